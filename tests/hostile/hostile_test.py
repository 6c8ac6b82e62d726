"""Hostile components beside a healthy flow: each comes to the end that its row says, and the other notices nothing."""

import json
import os
import subprocess
import unicodedata

import rows_of_records
import rows_of_sources
from hostile import HEALTHY_RECORDS, HostileCase, assemble, main, text_of
from rows_of_records import row

# Escapes, C1 in both spellings, bidirectional controls, DEL; and bytes that are no UTF-8 in the place of the mark.
MARK = "0123456789"
EVIL = "\\1b[2J\\1b]0;x\\07\\c2\\9b31m\\e2\\80\\ae\\e2\\81\\a6\\7f" + MARK
RAW = [(MARK.encode(), b"\xff\x9b31m\xc3\xed\xa0\x80\x1b")]
UNSEEN = {"Cc", "Cf", "Zl", "Zp", "Cs", "Cn"}


class HostileComponents(HostileCase):
    def test_components_whose_flows_end(self):
        rows = rows_of_records.ENDING
        self.judge_rows(rows, self.run_beside(rows, 0))

    def test_components_that_bring_their_flow_down(self):
        rows = rows_of_records.FAILING
        self.judge_rows(rows, self.run_beside(rows, 1))

    def test_sources_that_end(self):
        rows = rows_of_sources.ENDING
        self.judge_rows(rows, self.run_beside(rows, 0, sources=True))

    def test_sources_that_bring_their_flow_down(self):
        rows = rows_of_sources.FAILING
        self.judge_rows(rows, self.run_beside(rows, 1, sources=True))

    def test_sources_that_never_end_are_stopped(self):
        rows = rows_of_sources.ENDLESS
        undisturbed = self.alone(sources=True)
        process = self.start("run", "--grace", "10s", self.set_up_graph(rows, sources=True), "--quiet", "--format", "json")
        self.wait_for_lines("healthy.out", HEALTHY_RECORDS)
        process.terminate()
        code, output, errors = self.finish(process)
        self.assertEqual(0, code, errors)
        self.flows_of(json.loads(output), undisturbed)

    def test_log_that_nobody_reads(self):
        flood = row({}, 20, record=rows_of_records.log_lines(300))
        rows = {f"logs-{i}": flood for i in range(4)}
        undisturbed = self.alone()
        self.set_up_graph(rows, log_lines=10000)
        with open(self.path("report.json"), "wb") as report:
            process = self.start("run", "p.yaml", "--quiet", "--format", "json", stdout=report)
            process.wait(timeout=30)  # its standard error is a pipe that nobody reads
        self.assertEqual(0, process.returncode)
        flows = self.flows_of(json.loads(self.read("report.json")), undisturbed)
        for name in rows:
            stage = flows[name]["stages"][0]
            self.assertEqual((20, 6000), (stage["emitted"], stage["log_lines"] + stage["log_lines_suppressed"]))


class HostileTexts(HostileCase):
    """What a module holds may be anything; nothing of it acts on a terminal."""

    def assert_shown(self, data, what):
        for character in data.decode("utf-8"):  # strict
            if character != "\n":
                self.assertNotIn(unicodedata.category(character), UNSEEN, (what, data))

    def verbs(self, *arguments, codes=(0, 1, 65, 78)):
        """A verb in both formats, both outputs looked at."""
        for more in ((), ("--format", "json")):
            done = subprocess.run([os.environ["TORVYN"], *arguments, *more], cwd=self.folder, capture_output=True,
                                  env=self.environment(), stdin=subprocess.DEVNULL, timeout=30, check=False)
            self.assertIn(done.returncode, codes, (arguments, done.stderr))
            self.assert_shown(done.stdout, arguments)
            self.assert_shown(done.stderr, arguments)
            if more and done.stdout:
                json.loads(done.stdout)

    def test_texts_of_components_at_work(self):
        place = f'(data (i32.const 2048) "{EVIL}")'
        call = "(i32.const 2048) (i32.const 40)"
        rows = {
            "reject": row({"rejected": 3}, more=place, record=f"(drop (call $reject {call})) (i32.const 0)"),
            "log": row({"emitted": 3}, more=place, record=f"(call $log (i32.const 4) {call}) (call $forward (i32.const 0))"),
            "counter": row({"emitted": 3}, more=place, record=f"(drop (call $counter {call})) (call $forward (i32.const 0))"),
            "config": row({"emitted": 3}, more=place, record=f"(drop (call $config_get {call} (i32.const 3000) "
                          "(i32.const 8))) (call $forward (i32.const 0))"),
            "stdout": row({"emitted": 3}, more=place + ' (data (i32.const 3000) "\\00\\08\\00\\00\\28\\00\\00\\00")',
                          record="(drop (call $fd_write (i32.const 2) (i32.const 3000) (i32.const 1) (i32.const 3100))) "
                          "(call $forward (i32.const 0))"),
            "exit": row({"faults": {"exit": 3}, "emitted": 0}, record="(call $proc_exit (i32.const 27)) (i32.const 0)"),
            "trap": row({"faults": {"trap": 3}, "emitted": 0}, record=f"(call ${MARK}) (i32.const 0)",
                        more=f"(func ${MARK} unreachable)"),
        }
        for item in rows.values():
            item["replaced"] = RAW if MARK in item["text"] else None
        self.set_up_graph(rows)
        self.verbs("run", "p.yaml", codes=(0,))
        self.verbs("run", "p.yaml", "--log-format", "json", codes=(0,))
        self.verbs("check", "p.yaml", codes=(0,))
        self.verbs("plan", "p.yaml", codes=(0,))
        self.judge_rows(rows, self.run_beside_again(rows))
        with open(self.path("dead.jsonl"), "rb") as file:
            self.assert_shown(file.read(), "dead letters")

    def run_beside_again(self, rows):
        os.remove(self.path("dead.jsonl"))
        return self.run_beside(rows, 0)

    def test_texts_of_modules(self):
        self.set_up_graph({})
        evil = "(import \"{}\" \"{}\" {})"
        texts = [
            text_of().replace("(memory", evil.format("torvyn", EVIL, "(func)") + "(memory", 1),
            text_of().replace("(memory", evil.format(EVIL, EVIL, "(func)") + "(memory", 1),
            text_of().replace("(memory", evil.format("wasi_snapshot_preview1", EVIL, "(func)") + "(memory", 1),
            text_of().replace("(memory", evil.format("torvyn", EVIL, "(global i32)") + "(memory", 1),
            text_of(more=f'(func (export "tv_{EVIL}"))'),
            text_of(more=f'(func (export "tv_procesz{EVIL}"))', process=""),
            text_of(more=f'(func (export "{EVIL}"))', process=""),
            text_of(more=f"(func ${MARK} (drop (i64.const 1)) (drop))"),
        ]
        for number, text in enumerate(texts[:-1]):
            for replaced in (None, RAW):
                assemble(text, self.path("healthy.wasm"), replaced)
                with self.subTest(number=number, raw=bool(replaced)):
                    self.verbs("inspect", "healthy.wasm")
                    for verb in ("check", "plan", "run"):
                        self.verbs(verb, "p.yaml")


class HostileModules(HostileCase):
    """Modules that are refused, or that cost a lot before anything runs."""

    def refused(self, text, word, code=78):
        """check refuses it, and run starts nothing (78), or the other flows alone (1)."""
        self.set_up_graph({"bad": row({})})
        assemble(text, self.path("bad.wasm"))
        for verb, expected in (("check", 78), ("run", code)):
            done = self.torvyn(verb, "p.yaml")
            self.assertEqual(expected, done.returncode, (verb, done.stderr))
            self.assertIn(word, done.stdout + done.stderr)
        self.assertEqual(code == 1, os.path.exists(self.path("healthy.out")))

    def test_more_initial_memory_than_the_budget(self):
        self.refused(text_of(memory="17"), "memory")

    def test_oversized_table(self):
        self.refused(text_of(more="(table 70000 funcref)"), "65536")

    def test_more_data_segments_than_there_may_be(self):
        self.refused(text_of(more='(data (i32.const 2048) "x")' * 100001), "data segments", code=1)

    def test_thousands_of_data_segments(self):
        rows = {"segments": row(rows_of_records.passes(), more='(data (i32.const 2048) "x")' * 5000)}
        self.judge_rows(rows, self.run_beside(rows, 0))

    def test_a_deeply_nested_function(self):
        rows = {"nested": row(rows_of_records.passes(), more="(func " + "(block " * 2000 + ")" * 2000 + ")")}
        self.judge_rows(rows, self.run_beside(rows, 0))


if __name__ == "__main__":
    main()
