"""Watching and steering a real run: ps, top, flow, stop, from another process."""

import json
import os
import resource
import shutil
import signal
import socket

from harness import TORVYN, Case, component, main
from screen import Terminal


class Watch(Case):
    def environment(self, extra=None):
        return super().environment({"TERM": "xterm-256color", **(extra or {})})

    def torvyn(self, *arguments, **options):
        if arguments[:2] in (("flow", "remove"), ("flow", "set")):
            arguments = (*arguments, "--timeout", "1h")  # a drain takes as long as it takes
        return super().torvyn(*arguments, "--control", self.path("torvyn/watched.sock"), **options)

    def start_run(self, flows="  - { name: \"line-${index}\", count: 4 }\n  - { name: bad, class: high }", limits="workers: 1"):
        """Flows whose source makes numbers without end; `bad` gets a record for which its component loops for ever."""
        self.write("in.txt", "spin\n" * 3)
        self.write(
            "p.yaml",
            f"""version: 1
name: watched
dead_letters: dead.jsonl
limits: {{ {limits} }}
components:
  pulse: {{ file: "{component("pulse")}", memory: 1MiB }}
  pass: {{ file: "{component("pass")}", memory: 1MiB }}
  trouble: {{ file: "{component("trouble")}", memory: 1MiB, cpu: {{ record: 50ms }} }}
channels:
  in: {{ connector: file, path: in.txt, mode: follow }}
flows:
{flows}
stages:
  pump: {{ component: pulse, to: [] }}
  hand: {{ component: pass, from: pump }}
  odd: {{ component: trouble, from: in }}
""",
        )
        process = self.start("run", "p.yaml", "--quiet", "--format", "json")
        self.wait_for(self.somebody_listens, "a control socket")
        return process

    def somebody_listens(self):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(self.path("torvyn/watched.sock")) == 0

    def succeed(self, *arguments):
        done = self.torvyn(*arguments)
        self.assertEqual((0, ""), (done.returncode, done.stderr), arguments)
        return done.stdout

    def flows(self, *arguments):
        return {flow["name"]: flow for flow in json.loads(self.succeed("ps", "--format", "json", *arguments))["flows"]}

    def wait_for_flows(self, state, names):
        """Figures are as new as the worker has come to publish them."""
        self.wait_for(lambda: set(self.flows("--state", state)) == names, f"{names} {state}")

    def stop(self, process):
        self.assertEqual("watched: stopped\n", self.succeed("stop"))
        code, output, errors = self.finish(process)
        self.assertEqual(0, code, errors)
        report = json.loads(output)
        self.assertEqual("kept", report["conservation"])
        return report

    def test_output_that_cannot_be_written_is_named_until_it_can(self):
        # As a full disk, but for this process alone: its files may not grow beyond 100 KiB.
        self.write("in.txt", "")
        self.write("p.yaml", f"""version: 1
name: watched
dead_letters: dead.jsonl
components:
  pass: {{ file: "{component("pass")}", memory: 1MiB }}
channels:
  in: {{ connector: file, path: in.txt, mode: follow }}
  out: {{ connector: file, path: out.txt }}
stages:
  work: {{ component: pass, from: in, to: out }}
""")
        process = self.start("run", "p.yaml", "--format", "json")
        self.wait_for(self.somebody_listens, "a control socket")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100 << 10, resource.RLIM_INFINITY))
        text = "".join(f"{i:099}\n" for i in range(3000))
        self.write("in.txt", text)

        def outage():
            flow = json.loads(self.succeed("ps", "watched", "--format", "json"))
            return flow["last_error"], flow["channels"][1]["trouble"]

        self.wait_for(lambda: outage()[1], "trouble")
        last_error, trouble = outage()
        self.assertRegex(trouble["text"], "cannot write out.txt: File too large; .*raise the limit")
        self.assertGreaterEqual(trouble["s"], 0)
        self.assertRegex(last_error, "^channel out, for .*: cannot write out.txt: File too large")
        self.assertIn("cannot write out.txt: File too large", self.succeed("ps"))
        self.assertRegex(self.succeed("ps", "watched"), r"\nchannel out, for \d+ s: cannot write out.txt")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.wait_for_lines("out.txt", 3000)
        self.wait_for(lambda: outage() == (None, None), "the end of the trouble")
        self.assertEqual(text, self.read("out.txt"))
        self.succeed("stop")
        _, output, errors = self.finish(process)
        channel = json.loads(output)["flows"][0]["channels"][1]
        self.assertIsNone(channel["trouble"])
        self.assertGreater(channel["figures"]["outage_ms"], 0)
        self.assertRegex(errors, "out.txt: cannot write: File too large; .*Records are kept and tried again")
        self.assertRegex(errors, r"out.txt: writing again after .* \(failed tries: \d+\)")

    def test_the_first_question_has_rates_already(self):
        def first_has_rates():  # unless the worker has not come to say anything yet
            nonlocal process, answer
            process = self.start_run()
            answer = json.loads(self.succeed("ps", "--format", "json"))
            if answer["rates_over_s"] == 0:
                self.stop(process)
            return answer["rates_over_s"] > 0

        process = answer = None
        self.wait_for(first_has_rates, "rates in the first answer of a run")
        self.assertGreater(answer["rates_over_s"], 0.2)
        self.assertEqual(["bad", "line-1", "line-2", "line-3", "line-4"], [flow["name"] for flow in answer["flows"]])
        self.assertTrue(all(flow["memory_bytes"] > 0 for flow in answer["flows"]))
        self.wait_for(lambda: all(flow["in_per_s"] > 0 for flow in self.flows().values()), "records in all flows")
        self.stop(process)

    def test_a_component_that_loops_is_found(self):
        process = self.start_run()
        self.wait_for(lambda: json.loads(self.succeed("ps", "bad", "--format", "json"))["faults"] >= 3, "three faults")
        first = self.succeed("ps", "--sort", "faults").splitlines()[3]
        self.assertIn("CPU budget", first)
        text = self.succeed("ps", "bad")
        self.assertIn("3 dead-lettered", text)
        row = next(line for line in text.splitlines() if line.startswith("odd "))
        self.assertIn("the CPU budget is used up", row)
        self.stop(process)

    def test_flows_are_paused_resumed_set_removed_and_added(self):
        process = self.start_run()
        self.assertIn("paused 4 flows: line-1, line-2", self.succeed("flow", "pause", "line-*"))
        self.wait_for_flows("paused", {"line-1", "line-2", "line-3", "line-4"})
        self.wait_for_flows("running", {"bad"})
        self.assertEqual("resumed line-2\n", self.succeed("flow", "resume", "line-2"))
        self.wait_for_flows("running", {"bad", "line-2"})
        self.assertEqual("changed line-2\n", self.succeed("flow", "set", "line-2", "class=critical"))
        self.wait_for(lambda: self.flows("line-2*")["line-2"]["class"] == "critical", "line-2 as a critical flow")
        self.assertIn("removed line-1", self.succeed("flow", "remove", "line-1", "--now"))
        self.assertNotIn("line-1", self.flows())
        self.assertIn("added extra; ", self.succeed("flow", "add", "extra", "template=line", "class=background"))
        self.assertEqual("background", self.flows("--class", "background")["extra"]["class"])
        done = self.torvyn("flow", "pause", "lin-2")
        self.assertEqual(1, done.returncode)
        self.assertIn("line-2", done.stderr)
        report = self.stop(process)
        self.assertEqual("drained", report["outcome"])

    def test_a_flow_that_does_not_fit_is_refused_and_the_others_run_on(self):
        process = self.start_run(limits="memory: 73MiB")
        left = 40
        done = None
        while left and (done is None or done.returncode == 0):
            left -= 1
            done = self.torvyn("flow", "add", f"more-{left}", "template=line")
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertIn(f"flow 'more-{left}' does not fit", done.stderr)
        self.succeed("flow", "remove", "line-1", "--now")
        self.succeed("flow", "add", "again", "template=line")  # what was refused has left nothing behind
        self.assertNotIn(f"more-{left}", self.flows())
        self.stop(process)

    def start_writer(self):
        self.write("in.txt", "one\n")
        os.mkdir(self.path("kept"))
        self.write(
            "p.yaml",
            f"""version: 1
name: watched
limits: {{ workers: 1 }}
components:
  pass: {{ file: "{component("pass")}", memory: 1MiB }}
channels:
  in: {{ connector: file, path: in.txt, mode: follow }}
  out: {{ connector: file, path: "${{FOLDER}}/out.txt" }}
flows:
  - {{ name: writer, parameters: {{ FOLDER: . }} }}
stages:
  hand: {{ component: pass, from: in, to: out }}
""",
        )
        process = self.start("run", "p.yaml", "--quiet", "--format", "json")
        self.wait_for(self.somebody_listens, "a control socket")
        return process

    def test_a_flow_whose_new_parameters_fail_runs_again_as_it_was(self):
        process = self.start_writer()
        for _ in range(2):
            done = self.torvyn("flow", "set", "writer", "--set", "FOLDER=missing")
            self.assertEqual(1, done.returncode)
            self.assertIn("its folder does not exist", done.stderr)
            self.assertIn("the flow runs again as it was", done.stderr)
            self.assertEqual("running", self.flows()["writer"]["state"])
        self.stop(process)

    def test_a_flow_that_cannot_come_back_is_gone_and_says_so(self):
        process = self.start_writer()
        self.succeed("flow", "add", "other", "template=writer", "--set", "FOLDER=kept")
        self.wait_for_lines("kept/out.txt", 1)  # what is not delivered yet would wait for the folder to come back
        shutil.rmtree(self.path("kept"))
        done = self.torvyn("flow", "set", "other", "--set", "FOLDER=missing")
        self.assertEqual(1, done.returncode)
        self.assertIn("nor could it be started as it was: channel other/out", done.stderr)
        self.wait_for(lambda: set(self.flows()) == {"writer"}, "the other one gone")
        os.mkdir(self.path("kept"))
        self.succeed("flow", "add", "other", "template=writer", "--set", "FOLDER=kept")
        self.stop(process)

    def test_top_shows_the_run_and_ends_with_it(self):
        process = self.start_run()
        terminal = Terminal([TORVYN, "top", "--interval", "250ms", "--control", self.path("torvyn/watched.sock")], 24, 120, env=self.environment(), cwd=self.folder)
        self.addCleanup(terminal.close)
        terminal.wait_for_text("line-4")
        lines = terminal.wait_for(lambda lines: lines[0].endswith(" 5 flows: 5 running"), "five flows at work")
        self.assertRegex(lines[0], r"^torvyn  up \d+ s  5 flows: 5 running$")
        terminal.type("c")
        lines = terminal.wait_for(lambda lines: any(line.split()[:2] == ["pass", "5"] for line in lines), "components")
        self.assertTrue(any(line.split()[:2] == ["pulse", "5"] for line in lines))
        terminal.type("f/bad\r\r")
        terminal.wait_for_text("NO WORKER")
        self.stop(process)
        code, errors = terminal.end()
        self.assertEqual(69, code)
        self.assertIn("the connection was closed", errors)
        self.assertFalse(terminal.screen.alternate)

    def test_stop_now_ends_at_once_and_the_books_balance(self):
        process = self.start_run()
        self.assertRegex(self.succeed("stop", "--now"), r"watched: stopped(: \d+ records left, \d+ dropped)?\n")
        code, output, _ = self.finish(process)
        report = json.loads(output)
        self.assert_balanced(report)
        self.assertEqual({"drained": 0, "stopped": 1}[report["outcome"]], code)

    def test_a_run_that_is_killed_leaves_a_socket_that_the_next_run_replaces(self):
        process = self.start_run()
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = self.torvyn("ps")
        self.assertEqual(69, done.returncode)
        self.assertIn("nobody listens on", done.stderr)
        self.stop(self.start_run())


if __name__ == "__main__":
    main()
