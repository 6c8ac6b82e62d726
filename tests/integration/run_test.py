"""`torvyn run`: data goes through, faults are contained and counted, broken surroundings are answered."""

import base64
import ctypes
import hashlib
import json
import os
import resource
import shutil
import stat
import struct
import subprocess
import tempfile

from harness import DEADLINE_S, TERMINATE, TORVYN, Case, component, main, only_stage


def give_up_priorities():
    """In a new process: neither the capability nor the limits allow anything better than the usual priority."""
    PR_CAPBSET_DROP, CAP_SYS_NICE = 24, 23
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_NICE, 0, 0, 0)  # who may not drop it does not have it
    for limit in (resource.RLIMIT_NICE, resource.RLIMIT_RTPRIO):
        resource.setrlimit(limit, (0, 0))


class Through(Case):
    def test_file_to_file_is_byte_for_byte(self):
        text = "".join(f"record {i}\n" for i in range(10000)) + "\nlast, umlaut ü, empty line above\n"
        self.write("in.txt", text)
        self.pipeline()
        report = self.run_json("p.yaml")
        self.assertEqual(text, self.read("out.txt"))
        self.assertEqual((10002, 10002), (report["records_in"], report["records_out"]))
        self.assertEqual("done", report["outcome"])

    def test_standard_input_to_standard_output(self):
        self.pipeline(source="{ connector: stdio }", sink="{ connector: stdio }")
        done = self.torvyn("run", "p.yaml", stdin="one\ntwo\n")
        self.assertEqual((0, "one\ntwo\n"), (done.returncode, done.stdout))
        self.assertRegex(done.stderr, r"messages in +2\b")  # the summary makes way for the records

    def test_summary_goes_to_standard_output_otherwise(self):
        self.write("in.txt", "1\n2\n3\n")
        self.pipeline()
        done = self.torvyn("run", "p.yaml")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertNotRegex(done.stderr, r"messages in +3\b")
        self.assertRegex(done.stdout, r"messages in +3\b")
        self.assertRegex(done.stdout, r"(?m)^  work +3 +3 +0 +0 ")

    def test_quiet_says_nothing(self):
        self.write("in.txt", "1\n")
        self.pipeline()
        done = self.torvyn("run", "p.yaml", "--quiet")
        self.assertEqual((0, "", ""), (done.returncode, done.stdout, done.stderr))

    def test_without_the_right_to_a_higher_priority_it_says_so_only_to_those_who_ask(self):
        self.write("in.txt", "1\n")
        self.pipeline()
        for level, said in (("info", False), ("debug", True)):
            process = self.start("run", "p.yaml", "--quiet", "--log-level", level, preexec_fn=give_up_priorities)
            code, output, errors = self.finish(process)
            self.assertEqual((0, ""), (code, output), errors)
            self.assertEqual(said, "no higher priority for the I/O thread" in errors, errors)
            others = [line for line in errors.splitlines() if " info  run: " not in line]
            self.assertTrue(said or not others, errors)

    def test_log_lines_can_be_json_and_can_be_fewer(self):
        self.write("in.txt", "fail\n")
        self.pipeline(component_of="trouble")
        done = self.torvyn("run", "p.yaml", "--quiet", "--log-format", "json")
        for line in done.stderr.splitlines():
            self.assertEqual({"time", "level", "place", "text"}, set(json.loads(line)))
        self.assertIn("test/work", done.stderr)
        self.pipeline(component_of="pass")
        self.assertEqual("", self.torvyn("run", "p.yaml", "--quiet", "--log-level", "error").stderr)

    def test_progress_is_shown_on_a_terminal_only(self):
        self.write("in.txt", "".join(f"{i}\n" for i in range(200)))
        self.pipeline(source="{ connector: file, path: in.txt, mode: follow }")  # it runs until it is told to end
        main_end, terminal = os.openpty()
        self.addCleanup(os.close, main_end)
        process = self.start("run", "p.yaml", stdin=subprocess.DEVNULL, stderr=terminal, env={"TERM": "xterm"})
        os.close(terminal)
        shown = b""
        while b"running: in 200" not in shown:
            shown += os.read(main_end, 4096)
        process.send_signal(TERMINATE)
        output = process.stdout.read().decode()
        self.assertEqual(0, process.wait())
        self.assertRegex(output, r"messages out +200\b")

    def test_empty_input_ends_at_once(self):
        self.write("in.txt", "")
        self.pipeline()
        report = self.run_json("p.yaml")
        self.assertEqual((0, None), (report["records_out"], report["start_ms"]))
        self.assertEqual("", self.read("out.txt"))

    def test_report_measures_the_start_and_the_process(self):
        self.write("in.txt", "1\n")
        self.pipeline()
        report = self.run_json("p.yaml")
        self.assertGreater(report["start_ms"], 0)
        self.assertGreater(report["rss_peak_bytes"], 1 << 20)
        self.assertGreater(report["cpu_s"], 0)
        self.assertGreater(only_stage(report)["memory_bytes_peak"], 0)

    def test_flows_have_their_own_parameters(self):
        self.pipeline(source='{ connector: file, path: "${INPUT}" }',
                      sink='{ connector: file, path: "${OUTPUT}", mode: truncate }')
        flows = "".join(f"  - {{ name: f{i}, parameters: {{ INPUT: in{i}, OUTPUT: out{i} }} }}\n" for i in range(5))
        self.write("p.yaml", self.read("p.yaml") + "flows:\n" + flows)
        for i in range(5):
            self.write(f"in{i}", f"of {i}\n" * (i + 1))
        report = self.run_json("p.yaml", "--workers", "2")
        self.assertEqual(15, report["records_out"])
        for i in range(5):
            self.assertEqual(f"of {i}\n" * (i + 1), self.read(f"out{i}"))

    def test_flows_that_share_an_instance_get_their_own_records(self):
        self.pipeline(component_more=", instances: shared", source='{ connector: file, path: "in${index}" }',
                      sink='{ connector: file, path: "out${index}", mode: truncate }')
        self.write("p.yaml", self.read("p.yaml") + "limits: { memories: 9 }\nflows:\n  - { name: f, count: 40 }\n")
        for i in range(1, 41):
            self.write(f"in{i}", "".join(f"{i} of {k}\n" for k in range(200)))
        report = self.run_json("p.yaml", "--workers", "2")
        self.assertEqual(8000, report["records_out"])
        for i in range(1, 41):
            self.assertEqual(self.read(f"in{i}"), self.read(f"out{i}"))

    def test_sources_that_share_an_instance_count_each_for_itself(self):
        self.write(
            "p.yaml",
            f"""version: 1
name: test
dead_letters: dead.jsonl
components:
  pulse: {{ file: "{component('pulse')}", memory: 256KiB, instances: shared }}
channels:
  out: {{ connector: file, path: "out${{index}}", format: length-prefixed, mode: truncate }}
stages:
  beat: {{ component: pulse, config: {{ count: 3000 }}, to: out }}
flows:
  - {{ name: f, count: 30 }}
limits: {{ memories: 9 }}
""",
        )
        report = self.run_json("p.yaml", "--workers", "2")
        self.assertEqual(30 * 3000, report["records_out"])
        expected = b"".join(struct.pack("<I", 8) + struct.pack("<q", i) for i in range(1, 3001))
        for i in range(1, 31):
            with open(self.path(f"out{i}"), "rb") as file:
                self.assertEqual(expected, file.read())

    def test_any_number_of_flows_writes_to_standard_output_with_few_descriptors(self):
        self.write(
            "p.yaml",
            f"""version: 1
name: test
dead_letters: dead.jsonl
components:
  pulse: {{ file: "{component('pulse')}", memory: 256KiB }}
channels:
  out: {{ connector: stdio, format: length-prefixed }}
stages:
  beat: {{ component: pulse, config: {{ count: 50 }}, to: out }}
flows:
  - {{ name: f, count: 150 }}
""",
        )
        limited = ["sh", "-c", 'ulimit -n 60 && exec "$0" "$@"', TORVYN, "run", "p.yaml", "--quiet"]
        done = subprocess.run(limited, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=self.environment(), timeout=DEADLINE_S)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(150 * 50 * 12, len(done.stdout))

    def test_source_without_channel_runs_to_its_end(self):
        self.write(
            "p.yaml",
            f"""version: 1
name: test
dead_letters: dead.jsonl
components:
  pulse: {{ file: "{component('pulse')}", memory: 1MiB }}
  pass: {{ file: "{component('pass')}", memory: 1MiB }}
channels:
  out: {{ connector: file, path: out.bin, format: length-prefixed, mode: truncate }}
stages:
  beat: {{ component: pulse, config: {{ count: 5000 }} }}
  work: {{ component: pass, from: beat, to: out }}
""",
        )
        report = self.run_json("p.yaml")
        self.assertEqual((5000, 5000), (report["records_in"], report["records_out"]))
        self.assertEqual(5000 * 12, os.path.getsize(self.path("out.bin")))


class Faults(Case):
    TROUBLE = ["a", "trap", "b", "spin", "c", "stack", "d", "memory", "e", "fail", "f", "reject", "g", "double"]
    LEFT = ["a", "b", "c", "d", "e", "f", "g", "double", "double"]

    def test_bad_records_are_dead_lettered_and_the_others_arrive(self):
        self.write("in.txt", "\n".join(self.TROUBLE) + "\n")
        self.pipeline(component_of="trouble")
        report = self.run_json("p.yaml")
        self.assertEqual(self.LEFT, self.lines("out.txt"))
        stage = only_stage(report)
        self.assertEqual((14, 8, 6, 1, 5), tuple(
            stage[key] for key in ("popped", "processed", "dead_lettered", "rejected", "faults")))
        self.assertEqual({"trap", "cpu", "result"}, set(stage["faults_by_reason"]) - {"stack"})
        self.assertEqual(9, stage["emitted"])
        self.assertEqual(14, stage["counters"]["seen"])

    def test_dead_letter_has_all_that_is_needed_to_find_and_replay_it(self):
        self.write("in.txt", "good\ntrap\nreject\n")
        self.pipeline(component_of="trouble")
        self.run_json("p.yaml")
        letters = [json.loads(line) for line in self.lines("dead.jsonl")]
        with open(component("trouble"), "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        self.assertEqual(2, len(letters))
        trap, rejected = letters
        self.assertEqual(("test", "work", "trap", digest), tuple(
            trap[key] for key in ("flow", "stage", "reason", "module_sha256")))
        self.assertEqual(("in", 2), (trap["origin"], trap["origin_sequence"]))
        self.assertIn("trouble_trap", trap["function"])
        self.assertIn("tv_process", trap["backtrace"])
        self.assertEqual(b"trap", base64.b64decode(trap["payload_base64"]))
        self.assertEqual(("rejected", "the record says reject"), (rejected["reason"], rejected["message"]))
        self.assertEqual(b"reject", base64.b64decode(rejected["payload_base64"]))

    def test_why_records_were_rejected_is_said_with_how_often(self):
        self.write("in.txt", "".join(f"reject:value {i} of sensor is odd\n" for i in range(40)) + 5 * "reject:no time\n" +
                   "reject:a\nreject:b\nreject:\ngood\n")
        self.pipeline(component_of="mouth")
        done = self.torvyn("run", "p.yaml")
        self.assertEqual(0, done.returncode)
        self.assertIn("rejected 40: value 0 of sensor is odd\n    rejected 5: no time\n", done.stdout)
        self.assertIn("rejected 2: other reasons", done.stdout)
        self.assertIn("most of what came in was rejected", done.stdout)
        self.assertEqual(1, done.stderr.count("most of what comes in is rejected"), done.stderr)
        stage = self.run_json("p.yaml")["flows"][0]["stages"][0]
        self.assertEqual({"reason": "value 0 of sensor is odd", "times": 40}, stage["rejections"][0])
        self.assertEqual(48, sum(item["times"] for item in stage["rejections"]))
        self.assertEqual(65, self.torvyn("run", "p.yaml", "--fail-on-dead-letters").returncode)
        self.write("in.txt", "good\n")
        done = self.torvyn("run", "p.yaml", "--fail-on-dead-letters")
        self.assertEqual(0, done.returncode)
        self.assertNotIn("rejected", done.stdout)

    def test_some_records_rejected_is_no_warning(self):
        self.write("in.txt", 200 * "reject:x\ngood\ngood\n")
        self.pipeline(component_of="mouth")
        done = self.torvyn("run", "p.yaml")
        self.assertNotIn("most of what", done.stdout + done.stderr)

    def test_dead_letters_are_appended(self):
        self.write("in.txt", "reject\n")
        self.pipeline(component_of="trouble")
        self.run_json("p.yaml")
        self.run_json("p.yaml")
        self.assertEqual(2, len(self.lines("dead.jsonl")))

    def test_no_dead_letters_leave_no_file(self):
        self.write("in.txt", "good\n")
        self.pipeline(component_of="trouble")
        self.run_json("p.yaml")
        self.assertFalse(os.path.exists(self.path("dead.jsonl")))

    def test_stop_policy_fails_the_flow_and_counts_what_was_left(self):
        self.write("in.txt", "a\ntrap\n" + "b\n" * 100)
        self.pipeline(component_of="trouble", stage_more="    restart: { mode: stop }")
        done = self.torvyn("run", "p.yaml", "--quiet", "--format", "json")
        self.assertEqual(1, done.returncode, done.stderr)
        report = json.loads(done.stdout)
        self.assert_balanced(report)
        self.assertEqual("failed", report["outcome"])
        self.assertEqual("failed", report["flows"][0]["state"])
        self.assertEqual(["a"], self.lines("out.txt"))
        self.assertEqual(100, report["dropped"]["stopped"])
        self.assertIn("work", done.stderr)

    def test_too_many_restarts_fail_the_flow(self):
        self.write("in.txt", "trap\n" * 10)
        self.pipeline(component_of="trouble",
                      stage_more="    restart: { mode: restart, limit: 3, window: 1h, backoff: 1ms, backoff_max: 1ms }")
        done = self.torvyn("run", "p.yaml", "--quiet", "--format", "json")
        self.assertEqual(1, done.returncode)
        report = json.loads(done.stdout)
        self.assert_balanced(report)
        self.assertEqual(4, only_stage(report)["faults"])
        self.assertRegex(report["flows"][0]["failure"],
                         r"^stage work: 4 faults within 1 h, its restart limit is 3; the last at record 4 of in: trap: "
                         r".*raise `restart: \{ limit: \.\.\. \}` of the stage$")
        self.assertIn("at record 4 of in", only_stage(report)["last_error"])

    def test_failing_flow_leaves_the_others_alone(self):
        self.pipeline(component_of="trouble", source='{ connector: file, path: "${INPUT}" }',
                      sink='{ connector: file, path: "${OUTPUT}", mode: truncate }',
                      stage_more="    restart: { mode: stop }")
        self.write("p.yaml", self.read("p.yaml") + "flows:\n"
                   "  - { name: bad, parameters: { INPUT: bad.txt, OUTPUT: bad.out } }\n"
                   "  - { name: good, parameters: { INPUT: good.txt, OUTPUT: good.out } }\n")
        self.write("bad.txt", "trap\n")
        self.write("good.txt", "x\n" * 1000)
        done = self.torvyn("run", "p.yaml", "--quiet", "--format", "json")
        self.assertEqual(1, done.returncode)
        report = json.loads(done.stdout)
        self.assert_balanced(report)
        self.assertEqual(["failed", "ended"], [flow["state"] for flow in report["flows"]])
        self.assertEqual(1000, len(self.lines("good.out")))

    def test_bad_configuration_of_a_component_says_so(self):
        self.write("in.txt", "1\n")
        self.pipeline(component_of="slow", stage_more="    config: { turns: -1 }")
        done = self.torvyn("run", "p.yaml", "--quiet")
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stderr, r"(?m)error test/work: config turns: .* \(p\.yaml:15:15\)$")
        self.assertRegex(done.stderr, r"(?m)^p\.yaml:15:15: error: .*stage work: .*config turns: -1 is outside 0 to")
        said = json.loads(self.torvyn("run", "p.yaml", "--quiet", "--format", "json").stdout)["diagnostics"][0]
        self.assertEqual((15, 15), (said["line"], said["column"]))


class ManyFlows(Case):
    def many(self, count):
        self.pipeline(source="{ connector: file, path: in.txt, chunk: 4KiB, max_record: 4KiB, queue: { bytes: 16KiB } }",
                      sink='{ connector: file, path: "out.${N}", mode: truncate, buffer: 4KiB }')
        flows = "".join(f"  - {{ name: f{i}, parameters: {{ N: \"{i}\" }} }}\n" for i in range(count))
        self.write("p.yaml", self.read("p.yaml") + "flows:\n" + flows)
        self.write("in.txt", "".join(f"{i}\n" for i in range(100)))

    def test_more_flows_than_the_soft_limit_of_open_files_run(self):
        self.many(100)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard < 512:
            self.skipTest("the hard limit of open files is too low")
        process = self.start("run", "p.yaml", "--quiet", "--format", "json", stdin=subprocess.DEVNULL,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)))
        code, output, errors = self.finish(process)
        self.assertEqual(0, code, errors)
        report = json.loads(output)
        self.assert_balanced(report)
        self.assertEqual(10000, report["records_out"])
        for i in range(100):
            self.assertEqual(100, len(self.lines(f"out.{i}")))

    def test_hard_limit_of_open_files_is_named_with_its_remedy(self):
        self.many(100)
        process = self.start("run", "p.yaml", "--quiet", "--strict", stdin=subprocess.DEVNULL,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
        code, _, errors = self.finish(process)
        self.assertEqual(1, code)
        self.assertRegex(errors, r"channel f\d+/.*Too many open files; raise the limit")


class DeadLetters(Case):
    def write_pair(self, letters):
        self.write("bad.txt", "reject\n" * 100000)
        self.write("good.txt", "ok\n" * 100000)
        self.write("p.yaml", f"""
version: 1
name: test
dead_letters: {letters}
components: {{ c: {{ file: {component("trouble")}, memory: 1MiB }} }}
channels:
  in: {{ connector: file, path: "${{NAME}}.txt" }}
  out: {{ connector: file, path: "${{NAME}}.out" }}
stages: {{ s: {{ component: c, from: in, to: out }} }}
flows:
  - {{ name: bad, parameters: {{ NAME: bad }} }}
  - {{ name: good, class: critical, parameters: {{ NAME: good }} }}
""")

    def summary(self):
        done = self.torvyn("run", "p.yaml", "--workers", "1", "--format", "json")
        report = json.loads(done.stdout)
        self.assertEqual((0, "kept"), (done.returncode, report["conservation"]), done.stderr)
        return report

    def test_full_disk_stops_nobody_and_what_is_lost_is_counted(self):
        self.write_pair("/dev/full")
        report = self.summary()
        self.assertEqual(100000, len(self.lines("good.out")))
        self.assertEqual(100000, report["dead_lettered"])
        self.assertEqual(100000, report["dead_letters_unwritten"])

    def test_full_disk_stops_only_the_flow_that_rejects_if_it_is_to_wait(self):
        self.write_pair("{ path: /dev/full, on_limit: block }")
        process = self.start("run", "p.yaml", "--workers", "1", "--format", "json", "--grace", "100ms")
        self.wait_for_lines("good.out", 100000)
        process.terminate()
        code, output, errors = self.finish(process)
        self.assertEqual(128 + TERMINATE, code, errors)
        self.assertLess(json.loads(output)["dead_lettered"], 100000)

    def test_file_is_rotated_private_and_bounded_in_all(self):
        self.write_pair("{ path: dead.jsonl, rotate_size: 1MiB, keep: 2 }")
        self.assertEqual(100000, self.summary()["dead_lettered"])
        names = sorted(name for name in os.listdir(self.folder) if name.startswith("dead"))
        self.assertEqual(["dead.jsonl", "dead.jsonl.1", "dead.jsonl.2"], names)
        for name in names:
            status = os.stat(self.path(name))
            self.assertEqual(0o600, stat.S_IMODE(status.st_mode))
            self.assertLessEqual(status.st_size, 1 << 20)

    def test_several_workers_rotate_the_same_file_and_lose_nothing(self):
        self.write_pair("{ path: dead.jsonl, rotate_size: 256KiB, keep: 1000 }")
        self.write("good.txt", "reject\n" * 100000)
        done = self.torvyn("run", "p.yaml", "--workers", "2", "--format", "json", "--quiet")
        self.assertEqual(0, json.loads(done.stdout)["dead_letters_unwritten"])
        lines = sum(len(self.lines(name)) for name in os.listdir(self.folder) if name.startswith("dead"))
        self.assertEqual(200000, lines)

    def test_beyond_the_budget_of_its_flow_letters_are_lost_and_counted(self):
        self.write_pair("{ path: dead.jsonl, rate: 1KiB, burst: 1MiB }")
        lost = self.summary()["dead_letters_unwritten"]
        self.assertGreater(lost, 50000)
        self.assertEqual(100000 - lost, len(self.lines("dead.jsonl")))

    def test_switched_off_they_are_counted_alone(self):
        self.write_pair("{ enabled: false }")
        report = self.summary()
        self.assertEqual((100000, None), (report["dead_lettered"], report["dead_letters_file"]))
        self.assertFalse([name for name in os.listdir(self.folder) if "dead" in name])

    def test_link_in_the_place_of_the_file_is_refused(self):
        self.write_pair("dead.jsonl")
        self.write("other", "kept")
        os.symlink(self.path("other"), self.path("dead.jsonl"))
        done = self.torvyn("run", "p.yaml")
        self.assertEqual(1, done.returncode)
        self.assertIn("symbolic link", done.stderr)
        self.assertEqual("kept", self.read("other"))


class NoStart(Case):
    """With --format json, why it does not start is JSON, too: one object like that of `check`."""

    def refused(self, code, *more, stream="stdout"):
        done = self.torvyn("run", "p.yaml", "--format", "json", "--quiet", *more)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        found = json.loads(getattr(done, stream))
        self.assertEqual({"errors", "warnings", "hidden", "diagnostics"}, set(found))
        self.assertEqual("", done.stderr if stream == "stdout" else done.stdout)
        return found["diagnostics"][-1]

    def test_wrong_file_is_told_as_check_tells_it(self):
        self.pipeline(component_more=", memroy: 2MiB")
        said = self.refused(78)
        self.assertEqual(json.loads(self.torvyn("check", "p.yaml", "--format", "json").stdout)["diagnostics"][-1], said)
        planned = self.torvyn("plan", "p.yaml", "--format", "json")
        self.assertEqual((78, said), (planned.returncode, json.loads(planned.stdout)["diagnostics"][-1]))

    def test_missing_module_missing_input_and_missing_memory_are_json(self):
        self.pipeline()
        self.assertIn("in.txt", self.refused(1)["message"])
        self.pipeline(head="limits: { memory: 16MiB }")
        self.assertIn("does not fit", self.refused(1)["message"])
        self.pipeline()
        self.write("p.yaml", self.read("p.yaml").replace("pass.wasm", "gone.wasm"))
        self.assertIn("gone.wasm", self.refused(78)["message"])

    def test_socket_that_is_taken_is_json(self):
        self.write("in.txt", "")
        self.pipeline()
        self.write("taken", "")
        self.assertIn("taken", self.refused(1, "--control", self.path("taken"))["message"])

    def test_pipeline_that_writes_to_standard_output_leaves_it_alone(self):
        self.pipeline(sink="{ connector: stdio }")
        self.assertIn("in.txt", self.refused(1, stream="stderr")["message"])


class Surroundings(Case):
    def test_missing_input_file_is_named(self):
        self.pipeline()
        done = self.torvyn("run", "p.yaml")
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stderr, r"channel test/in: .*in\.txt.*No such file")

    def test_output_folder_that_is_missing_is_named(self):
        self.write("in.txt", "1\n")
        self.pipeline(sink="{ connector: file, path: nowhere/out.txt }")
        done = self.torvyn("run", "p.yaml")
        self.assertEqual(1, done.returncode)
        self.assertIn("nowhere/out.txt", done.stderr)

    def test_dead_letter_file_that_cannot_be_written_is_refused_at_the_start(self):
        self.write("in.txt", "1\n")
        self.pipeline()
        self.write("p.yaml", self.read("p.yaml").replace("dead.jsonl", "nowhere/dead.jsonl"))
        done = self.torvyn("run", "p.yaml")
        self.assertEqual(1, done.returncode)
        self.assertIn("dead_letters", done.stderr)
        self.assertFalse(os.path.exists(self.path("out.txt")) and self.read("out.txt"))

    def test_reader_that_goes_away_ends_the_run(self):
        self.write("in.txt", "x" * 1000 + "\n")
        self.write("in.txt", ("x" * 1000 + "\n") * 20000)
        self.pipeline(sink="{ connector: stdio }")
        process = self.start("run", "p.yaml", "--quiet", "--format", "json", stdin=subprocess.DEVNULL)
        process.stdout.read(1000)
        process.stdout.close()
        process.stdout = None
        errors = process.stderr.read().decode()
        self.assertEqual(1, process.wait())
        self.assertIn("failed", errors)

    def test_standard_descriptors_that_are_closed_are_no_other_file(self):
        self.write("in.txt", "x" * 300000 + "\nshort\n")  # a line too long, which the log speaks of
        self.pipeline()
        closed = subprocess.run(["sh", "-c", 'exec "$0" run p.yaml --quiet <&- >&- 2>&-', TORVYN], cwd=self.folder,
                                env=self.environment(), timeout=DEADLINE_S)
        self.assertEqual(0, closed.returncode)
        self.assertEqual("short\n", self.read("out.txt"))
        self.assertFalse(os.path.exists(self.path("dead.jsonl")))
        self.pipeline(sink="{ connector: stdio }")
        closed = subprocess.run(["sh", "-c", 'exec "$0" run p.yaml >&-', TORVYN], cwd=self.folder,
                                env=self.environment(), stderr=subprocess.PIPE, timeout=DEADLINE_S)
        self.assertEqual(1, closed.returncode)
        self.assertIn(b"standard output is not open", closed.stderr)

    def test_full_device_as_standard_output_is_said_and_waited_for(self):
        self.write("in.txt", "x\n" * 1000)
        self.pipeline(sink="{ connector: stdio }")
        with open("/dev/full", "wb") as full:
            process = self.start("run", "p.yaml", "--grace", "50ms", stdin=subprocess.DEVNULL, stdout=full)
        self.wait_for_error_line(process, "No space left")
        process.send_signal(TERMINATE)
        code, _, errors = self.finish(process)
        self.assertEqual(128 + TERMINATE, code)
        self.assertRegex(errors, r"stopped 1,000")

    def test_full_disk_holds_the_flow_until_there_is_room(self):
        disk = tempfile.mkdtemp(prefix="torvyn-disk-")
        self.addCleanup(shutil.rmtree, disk, ignore_errors=True)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if mounted.returncode != 0:
            self.skipTest("needs the right to mount a small file system")
        self.addCleanup(subprocess.run, ["umount", disk], check=False)
        ballast = os.path.join(disk, "ballast")
        with open(ballast, "wb") as file:
            file.write(b"x" * (200 << 10))
        count = 2000
        self.write("in.txt", "".join(f"{i:099}\n" for i in range(count)))
        self.pipeline(sink=f'{{ connector: file, path: "{disk}/out.txt" }}')
        process = self.start("run", "p.yaml", "--format", "json", stdin=subprocess.DEVNULL)
        self.wait_for_error_line(process, "No space left")
        os.unlink(ballast)
        code, output, _ = self.finish(process)
        self.assertEqual(0, code)
        self.assertEqual(count, json.loads(output)["records_out"])
        with open(os.path.join(disk, "out.txt"), encoding="utf-8") as file:
            self.assertEqual([f"{i:099}" for i in range(count)], file.read().splitlines())

    def test_record_that_is_too_long_is_counted(self):
        self.write("in.txt", "short\n" + "x" * 200000 + "\nshort\n")
        self.pipeline()
        report = self.run_json("p.yaml")
        self.assertEqual(2, report["records_out"])
        self.assertEqual(["short", "short"], self.lines("out.txt"))


if __name__ == "__main__":
    main()
