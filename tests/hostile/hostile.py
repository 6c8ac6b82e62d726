"""Hostile components: how they are put together, run beside a healthy flow, and judged.

A component is a template of WebAssembly text with parts exchanged: what it does with a record, and the bodies of its
exports. Left alone it hands every record on. The modules of a run serve one flow each, all of one graph
(in -> work -> after -> out, or without `in` for sources); another flow of it is healthy. What that one writes must be
what it writes when it is alone, and the books of all flows must balance.
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import harness  # pylint: disable=wrong-import-position

WAT2WASM = os.environ["TORVYN_WAT2WASM"]
CLASSES = ("critical", "high", "normal", "background")
HEALTHY_RECORDS = 20000
OUTPUT_LIMIT = 5000
RESTARTS = 3  # within the run, then a flow has failed

IMPORTS = {
    "emit": "(param i32) (result i32)", "forward": "(param i32) (result i32)", "log": "(param i32 i32 i32)",
    "config_get": "(param i32 i32 i32 i32) (result i32)", "asset_size": "(param i32 i32) (result i64)",
    "asset_read": "(param i32 i32 i64 i32 i32) (result i32)", "counter": "(param i32 i32) (result i32)",
    "counter_add": "(param i32 i64) (result i32)", "reject": "(param i32 i32) (result i32)",
    "timer_set": "(param i64) (result i32)",
}
WASI = {
    "fd_write": "(param i32 i32 i32 i32) (result i32)", "sched_yield": "(result i32)", "proc_exit": "(param i32)",
    "poll_oneoff": "(param i32 i32 i32 i32) (result i32)",
}
TYPES = {
    "tv_init": "(result i32)", "tv_resume": "(result i32)", "tv_tick": "(param i64) (result i32)",
    "tv_close": "(result i32)", "tv_pull": "(param i32) (result i32)", "_initialize": "",
}

# Places in memory: 1024 the request of emit, 2048 texts, 65536 the arena.
HELPERS = """
  (func $fail_unless (param $it i32) (if (i32.eqz (local.get $it)) (then unreachable)))
  (func $request (param $payload i32) (param $bytes i32) (param $port i32)
    (memory.fill (i32.const 1024) (i32.const 0) (i32.const 40))
    (i64.store (i32.const 1024) (i64.const 0x8000000000000000))
    (i32.store (i32.const 1040) (local.get $payload))
    (i32.store (i32.const 1048) (local.get $bytes))
    (i32.store16 (i32.const 1054) (local.get $port)))
  (func $out (param $payload i32) (param $bytes i32) (param $port i32) (result i32)
    (call $request (local.get $payload) (local.get $bytes) (local.get $port))
    (call $emit (i32.const 1024)))
  (func $watermark (param $time i64) (result i32)
    (memory.fill (i32.const 1024) (i32.const 0) (i32.const 40))
    (i64.store (i32.const 1024) (local.get $time))
    (i32.store16 (i32.const 1054) (i32.const 0xffff))
    (i32.store8 (i32.const 1056) (i32.const 1))
    (call $emit (i32.const 1024)))
  (func $grow_all (result i32) (local $pages i32)
    (loop $more
      (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (local.set $pages (memory.size))
    (memory.fill (i32.const 131072) (i32.const 0xaa)
                 (i32.sub (i32.mul (local.get $pages) (i32.const 65536)) (i32.const 131072)))
    (local.get $pages))
  (func $spin (result i32) (loop $for_ever (br $for_ever)) (i32.const 0))
  (func $deep (param $n i32) (result i32)
    (i32.add (i32.const 1) (call $deep (i32.add (local.get $n) (i32.const 1)))))
"""

# Each record in turn by $record, which answers 0 when it is done with it and 1 if it wants it again.
PROCESS = """
  (func (export "tv_process") (param $count i32) (result i32) (local $k i32) (local $at i32)
    (local.set $at (i32.const 65600))
    (block $full
      (loop $each
        (i32.store (i32.const 65536) (local.get $k))
        (br_if $full (call $record (local.get $at) (local.get $k)))
        (local.set $at (i32.add (local.get $at) (i32.load (local.get $at))))
        (local.set $k (i32.add (local.get $k) (i32.const 1)))
        (br_if $each (i32.lt_u (local.get $k) (local.get $count)))))
    (local.get $k))
"""
FORWARD = "(call $forward (i32.const 0))"
ARENA = "(i32.const 65536)"


def text_of(record=FORWARD, process=PROCESS, arena=ARENA, start=None, more="", memory="4", pull=None, init="", **bodies):
    """The module as text. `bodies` are those of optional exports; `init` runs in tv_init, `start` at instantiation."""
    exports = {"tv_" + name if not name.startswith("_") else name: body for name, body in bodies.items()}
    if init:
        exports["tv_init"] = init
    if pull:
        exports["tv_pull"], process = pull, ""
    lines = ["(module"]
    lines += [f'  (import "torvyn" "{name}" (func ${name} {kind}))' for name, kind in IMPORTS.items()]
    used = " ".join([record, process, arena, start or "", more, init, pull or "", *bodies.values()])
    lines += [f'  (import "wasi_snapshot_preview1" "{name}" (func ${name} {kind}))'
              for name, kind in WASI.items() if "$" + name in used]
    lines += [f'  (memory (export "memory") {memory})', '  (func (export "torvyn_abi_1"))',
              f'  (func (export "tv_arena") (param $size i32) (result i32) {arena})', HELPERS, more,
              f"  (func $record (param $at i32) (param $k i32) (result i32) {record})", process]
    lines += [f'  (func (export "{name}") {TYPES[name]} {body})' for name, body in exports.items()]
    if start:
        lines += [f"  (func $start {start})", "  (start $start)"]
    return "\n".join(lines) + ")\n"


def assemble(text, target, replaced=None, options=()):
    """Makes TARGET of the text; `replaced` are pairs of byte strings of one length, for what is no UTF-8."""
    done = subprocess.run([WAT2WASM, "--enable-all", "--debug-names", *options, "-", "-o", target], input=text.encode(),
                          stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{target}: {done.stderr.decode()}")
    if replaced:
        with open(target, "r+b") as file:
            module = file.read()
            for old, new in replaced:
                assert old in module and len(old) == len(new), (target, old, new)
                module = module.replace(old, new)
            file.seek(0)
            file.write(module)


class HostileCase(harness.Case):
    """Runs hostile flows beside a healthy one."""

    HEALTHY = text_of()
    SOURCE = text_of(pull="""
        (local $n i32)
        (loop $each
          (if (i32.ge_u (global.get $made) (i32.const 20000)) (then (return (i32.const 0x20000000))))
          (call $letters (global.get $made))
          (if (call $out (i32.const 2048) (i32.const 5) (i32.const 0)) (then (return (i32.const 0))))
          (global.set $made (i32.add (global.get $made) (i32.const 1)))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $each (i32.lt_u (local.get $n) (local.get 0))))
        (i32.const 0)""", more="""
        (global $made (mut i32) (i32.const 0))
        (func $letters (param $n i32) (local $k i32)
          (loop $each
            (i32.store8 (i32.add (i32.const 2048) (local.get $k))
              (i32.add (i32.const 97) (i32.and (local.get $n) (i32.const 15))))
            (local.set $n (i32.shr_u (local.get $n) (i32.const 4)))
            (local.set $k (i32.add (local.get $k) (i32.const 1)))
            (br_if $each (i32.lt_u (local.get $k) (i32.const 5)))))""")

    def set_up_graph(self, rows, sources=False, name="p.yaml", log_lines=20):
        """Writes the modules and the pipeline of the rows."""
        assemble(self.SOURCE if sources else self.HEALTHY, self.path("healthy.wasm"))
        self.write("healthy.txt", "".join(f"reading {i}\n" for i in range(HEALTHY_RECORDS)))
        self.write("asset.txt", "0123456789")
        components, flows = [self.component_line("healthy")], [self.flow_line("healthy", "healthy.txt", "normal")]
        for number, (row, more) in enumerate(rows.items()):
            assemble(more["text"], self.path(row + ".wasm"), more.get("replaced"), more.get("options", ()))
            self.write(row + ".in", more.get("input", "a\nb\nc\n"))
            components.append(self.component_line(row, more.get("grants", "")))
            flows.append(self.flow_line(row, row + ".in", more.get("class", CLASSES[number % 4])))
        after = self.path("after.wasm")
        assemble(self.HEALTHY, after)
        self.write(name, f"""version: 1
name: hostile
dead_letters: dead.jsonl
limits: {{ workers: 1, memories: 1000 }}
components:
  after: {{ file: after.wasm, memory: 512KiB }}
{chr(10).join(components)}
channels:
{"" if sources else '  in: { connector: file, path: "${INPUT}", max_record: 4KiB }'}
  out: {{ connector: file, path: "${{flow}}.out", mode: truncate }}
stages:
  work:
    component: "${{flow}}"
    {"" if sources else "from: in"}
    batch: {{ records: 64, bytes: 16KiB }}
    restart: {{ limit: {RESTARTS}, window: 1d, backoff: 1ms, backoff_max: 1ms }}
    config: {{ key: value }}
    assets: {{ asset.txt: asset.txt }}
    log: {{ lines_per_second: {log_lines} }}
    output_limit: {OUTPUT_LIMIT}
  after: {{ component: after, from: work, batch: {{ records: 64, bytes: 80KiB }}, to: out }}
flows:
{chr(10).join(flows)}
""")
        return name

    @staticmethod
    def component_line(name, grants=""):
        return f"  {name}: {{ file: {name}.wasm, memory: 1MiB, cpu: {{ record: 40ms, call: 120ms }}, grants: [{grants}] }}"

    @staticmethod
    def flow_line(name, source, kind):
        return f"  - {{ name: {name}, class: {kind}, parameters: {{ INPUT: {source} }} }}"

    def alone(self, sources=False):
        """What the healthy flow writes when it is alone."""
        self.set_up_graph({}, sources, "alone.yaml")
        self.run_json("alone.yaml")
        with open(self.path("healthy.out"), "rb") as file:
            data = file.read()
        self.assertEqual(HEALTHY_RECORDS, data.count(b"\n"))
        os.remove(self.path("healthy.out"))
        return data

    def run_beside(self, rows, code, sources=False):
        """The report by flow; the healthy flow is compared, books and dead letters are checked."""
        undisturbed = self.alone(sources)
        report = self.run_json(self.set_up_graph(rows, sources), "--log-level", "error", code=code)
        return self.flows_of(report, undisturbed)

    def flows_of(self, report, undisturbed):
        self.assert_balanced(report)
        with open(self.path("healthy.out"), "rb") as file:
            self.assertTrue(file.read() == undisturbed, "the healthy flow's output differs from that of a run alone")
        flows = {flow["name"]: flow for flow in report["flows"]}
        self.assert_untouched(flows["healthy"])
        self.assert_dead_letters(report)
        return flows

    def assert_untouched(self, flow):
        self.assertEqual("ended", flow["state"])
        for stage in flow["stages"]:
            self.assertEqual((HEALTHY_RECORDS, 0, 0), (stage["emitted"], stage["faults"], stage["dead_lettered"]))

    def assert_dead_letters(self, report):
        count = 0
        if os.path.exists(self.path("dead.jsonl")):
            with open(self.path("dead.jsonl"), "rb") as file:
                for line in file.read().decode("utf-8").splitlines():  # strict
                    json.loads(line)
                    count += 1
        self.assertEqual(report["dead_lettered"], count + report["dead_letters_unwritten"])

    def judge_rows(self, rows, flows):
        for name, row in rows.items():
            with self.subTest(row=name):
                self.judge(flows[name], **row["expected"])

    def judge(self, flow, state="ended", faults=None, starts_failed=0, **expected):
        """One flow against its row: state, faults by reason, failed starts, figures of the stage at work."""
        stage = flow["stages"][0]
        self.assertEqual((state, starts_failed), (flow["state"], flow["starts_failed"]),
                         (stage.get("last_error"), flow.get("failure")))
        self.assertEqual(faults or {}, stage["faults_by_reason"], stage.get("last_error"))
        for figure, value in expected.items():
            self.assertEqual(value, stage[figure], (figure, stage))


main = harness.main
