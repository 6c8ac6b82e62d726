"""Signals: sources stop, what is under way is delivered; a second one, later than a second, ends at once."""

import json
import os
import signal
import subprocess
import time

from harness import DEADLINE_S, INTERRUPT, TERMINATE, Case, component, main

# Budgets that a record of a slow component stays within on a slow machine, too.
SLOW_CPU = ", cpu: { record: 1m, call: 10m }"


def wait_past_one_request():
    """What comes within a second of the first signal is the same request; this is the time that has to pass."""
    time.sleep(1.1)


def worker_ticks(pid):
    """User time of the workers' threads, in clock ticks: only a guest makes them use much of it."""
    ticks = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/stat") as stat:
                name, _, rest = stat.read().partition(")")
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        if "tv-worker" in name:
            ticks += int(rest.split()[11])
    return ticks


class Signals(Case):
    def follow(self, **more):
        """A pipeline that follows a file and so never ends by itself."""
        self.write("in.txt", "")
        return self.pipeline(source="{ connector: file, path: in.txt, mode: follow }", **more)

    def append(self, count):
        with open(self.path("in.txt"), "a", encoding="utf-8") as file:
            for i in range(count):
                file.write(f"{i}\n")

    def test_sigterm_and_sigint_drain_without_loss(self):
        for number in (TERMINATE, INTERRUPT):
            self.follow()
            self.write("out.txt", "")
            process = self.start("run", "p.yaml", "--format", "json")
            self.append(1000)
            self.wait_for_lines("out.txt", 1000)
            process.send_signal(number)
            code, output, errors = self.finish(process)
            self.assertEqual(0, code, errors)
            report = json.loads(output)
            self.assert_balanced(report)
            self.assertEqual(("drained", 1000, 0), (
                report["outcome"], report["records_out"], sum(report["dropped"].values())))

    def test_sighup_and_sigquit_drain_too(self):
        for number in (signal.SIGHUP, signal.SIGQUIT):
            self.follow()
            self.write("out.txt", "")
            process = self.start("run", "p.yaml", "--format", "json")
            self.append(1000)
            self.wait_for_lines("out.txt", 1000)
            process.send_signal(number)
            code, output, errors = self.finish(process)
            self.assertEqual(0, code, errors)
            report = json.loads(output)
            self.assertEqual(("drained", 1000), (report["outcome"], report["records_out"]))

    def test_grace_time_over_after_sighup_has_its_exit_code(self):
        self.write("in.txt", "".join(f"{i}\n" for i in range(5000)))
        self.pipeline(component_of="slow", component_more=SLOW_CPU, stage_more="    config: { turns: 5000000 }")
        process = self.start("run", "p.yaml", "--grace", "1ms")
        self.wait_for_lines("out.txt", 1)
        process.send_signal(signal.SIGHUP)
        self.assertEqual(128 + signal.SIGHUP, self.finish(process)[0])

    def test_nohup_is_respected(self):
        self.follow()
        self.write("out.txt", "")
        process = self.start("run", "p.yaml", "--format", "json",
                             preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.wait_for_error_line(process, "runs p.yaml")
        process.send_signal(signal.SIGHUP)
        self.append(10)
        self.wait_for_lines("out.txt", 10)
        process.send_signal(TERMINATE)
        code, _, errors = self.finish(process)
        self.assertEqual((0, False), (code, "SIGHUP" in errors))

    def test_user_signals_mean_nothing(self):
        self.follow()
        self.write("out.txt", "")
        process = self.start("run", "p.yaml", "--format", "json")
        self.wait_for_error_line(process, "runs p.yaml")
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGTTOU):
            process.send_signal(number)
        self.append(10)
        self.wait_for_lines("out.txt", 10)
        process.send_signal(TERMINATE)
        code, output, _ = self.finish(process)
        self.assertEqual((0, 10), (code, json.loads(output)["records_out"]))

    def test_signals_within_a_second_are_one_request(self):
        # Many records are under way when they come, and the queues behind the stage are full.
        count = 2000
        self.write("in.txt", "".join(f"{i}\n" for i in range(count)))
        self.pipeline(component_of="slow", component_more=SLOW_CPU, stage_more="    config: { turns: 20000 }")
        process = self.start("run", "p.yaml", "--format", "json")
        self.wait_for_lines("out.txt", 1)
        begun = time.monotonic()
        for number in (TERMINATE, TERMINATE, INTERRUPT, signal.SIGHUP):
            process.send_signal(number)
        if time.monotonic() - begun > 0.9:
            self.skipTest("this machine is too slow to send four signals within a second")
        code, output, errors = self.finish(process)
        self.assertEqual((0, False), (code, "stopped at once" in errors), errors)
        report = json.loads(output)
        self.assert_balanced(report)
        self.assertEqual(report["records_in"], report["records_out"])
        self.assertEqual([str(i) for i in range(report["records_out"])], self.lines("out.txt"))

    def test_figures_after_a_second_signal_are_true(self):
        self.write("in.txt", "".join(f"{i}\n" for i in range(5000)))
        self.pipeline(component_of="slow", component_more=SLOW_CPU, stage_more="    config: { turns: 1000000 }\n"
                                                                               "    batch: { records: 1 }")
        process = self.start("run", "p.yaml", "--format", "json")
        self.wait_for_lines("out.txt", 5)
        process.send_signal(TERMINATE)
        self.wait_for_error_line(process, "sources stop")
        wait_past_one_request()
        process.send_signal(TERMINATE)
        code, output, errors = self.finish(process)
        self.assertEqual(128 + TERMINATE, code, errors)
        report = json.loads(output)
        self.assert_balanced(report)
        self.assertEqual("stopped", report["outcome"])
        self.assertEqual(report["records_out"], len(self.lines("out.txt")))
        self.assertGreater(report["dropped"]["stopped"], 0)

    def outputs(self):
        return [name for name in os.listdir(self.folder) if name.startswith("line-")]

    def test_signal_while_it_starts_ends_it_before_anything_is_read(self):
        self.write("in.txt", "1\n")
        self.write("p.yaml", self.read(self.pipeline(
            component_of="slow", component_more=SLOW_CPU, stage_more="    config: { start_turns: 100000000 }",
            sink="{ connector: file, path: \"${flow}.txt\" }")) + "flows: [ { name: line, count: 200 } ]\n")
        process = self.start("run", "p.yaml")
        self.wait_for(self.outputs, "the first flow")
        process.send_signal(TERMINATE)
        code, output, errors = self.finish(process)
        self.assertEqual((128 + TERMINATE, ""), (code, output), errors)
        self.assertIn("stopped by SIGTERM before it had started", errors)
        self.assertEqual([0] * len(self.outputs()), [os.path.getsize(self.path(name)) for name in self.outputs()])

    def test_records_under_way_are_delivered_after_the_signal(self):
        # The stage takes its time, so that the queue in front of it is full when the signal comes.
        self.write("in.txt", "".join(f"{i}\n" for i in range(5000)))
        self.pipeline(component_of="slow", stage_more="    config: { turns: 20000 }")
        process = self.start("run", "p.yaml", "--format", "json")
        self.wait_for_lines("out.txt", 1)
        process.send_signal(TERMINATE)
        code, output, errors = self.finish(process)
        self.assertEqual(0, code, errors)
        report = json.loads(output)
        self.assert_balanced(report)
        self.assertEqual(report["records_in"], report["records_out"])
        self.assertEqual([str(i) for i in range(report["records_out"])], self.lines("out.txt"))

    def test_grace_time_that_is_over_counts_what_was_left(self):
        self.write("in.txt", "".join(f"{i}\n" for i in range(5000)))
        self.pipeline(component_of="slow", component_more=SLOW_CPU, stage_more="    config: { turns: 5000000 }")
        process = self.start("run", "p.yaml", "--format", "json", "--grace", "50ms")
        self.wait_for_lines("out.txt", 1)
        process.send_signal(TERMINATE)
        code, output, errors = self.finish(process)
        self.assertEqual(128 + TERMINATE, code, errors)
        report = json.loads(output)
        self.assert_balanced(report)
        self.assertEqual("stopped", report["outcome"])
        self.assertGreater(report["dropped"]["stopped"], 0)
        self.assertEqual(report["records_in"], report["records_out"] + report["dropped"]["stopped"])
        self.assertIn("--grace", errors)

    def test_second_signal_ends_at_once(self):
        self.write("in.txt", "".join(f"{i}\n" for i in range(5000)))
        self.pipeline(component_of="slow", component_more=SLOW_CPU, stage_more="    config: { turns: 5000000 }")
        for first, second in ((TERMINATE, TERMINATE), (INTERRUPT, INTERRUPT), (TERMINATE, INTERRUPT)):
            self.write("out.txt", "")
            process = self.start("run", "p.yaml", "--grace", "1h")
            self.wait_for_lines("out.txt", 1)
            process.send_signal(first)
            self.wait_for_error_line(process, "sources stop")
            wait_past_one_request()
            process.send_signal(second)
            code, _, errors = self.finish(process)
            self.assertEqual(128 + second, code)
            self.assertIn("stopped at once", errors)

    def test_signal_while_the_component_loops_for_ever_ends_within_its_budget(self):
        self.write("in.txt", "spin\n" * 1000)
        self.pipeline(component_of="trouble", component_more=", cpu: { record: 50ms, call: 1s }",
                      stage_more="    restart: { limit: 1000, window: 1h, backoff: 1ms, backoff_max: 1ms }")
        process = self.start("run", "p.yaml", "--format", "json", "--grace", "200ms")
        self.wait_for_lines("dead.jsonl", 1)
        process.send_signal(TERMINATE)
        code, output, errors = self.finish(process)
        self.assertEqual(128 + TERMINATE, code, errors)
        self.assert_balanced(json.loads(output))

    def test_component_that_loops_for_ever_at_its_start_is_ended_by_its_budget(self):
        self.write("in.txt", "")
        self.pipeline(component_of="slow", component_more=", cpu: { record: 50ms, call: 1s }",
                      stage_more="    config: { start_turns: 9000000000000000000 }")
        done = self.torvyn("run", "p.yaml")
        self.assertEqual(1, done.returncode)
        self.assertIn("CPU budget", done.stderr)

    def test_second_signal_ends_at_once_even_while_a_call_is_awaited(self):
        self.write("in.txt", "spin\n")
        self.pipeline(component_of="trouble", component_more=", cpu: { record: 1m, call: 10m }")
        process = self.start("run", "p.yaml", "--grace", "10ms")
        self.wait_for(lambda: worker_ticks(process.pid) >= 50, "the component to loop")
        process.send_signal(TERMINATE)
        self.wait_for_error_line(process, "sources stop")
        self.wait_for_error_line(process, "not everything was delivered")
        wait_past_one_request()
        process.send_signal(INTERRUPT)
        self.assertEqual(128 + INTERRUPT, process.wait(timeout=DEADLINE_S))

    def test_dead_letters_that_cannot_be_written_are_counted(self):
        self.write("in.txt", "a\nreject\nb\nreject\nc\n")  # c comes out when all before it is done
        self.write("p.yaml", self.read(self.pipeline(component_of="trouble")).replace("dead.jsonl", "/dev/full"))
        process = self.start("run", "p.yaml", "--grace", "10ms", "--format", "json")
        self.wait_for_lines("out.txt", 3)
        process.send_signal(TERMINATE)
        code, output, errors = self.finish(process)
        self.assertEqual(128 + TERMINATE, code, errors)
        report = json.loads(output)
        self.assertEqual((2, 2), (report["dead_lettered"], report["dead_letters_unwritten"]))

    def test_source_without_channel_stops_and_drains(self):
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
  beat: {{ component: pulse, config: {{ count: 30000000 }} }}
  work: {{ component: pass, from: beat, to: out }}
""",
        )
        process = self.start("run", "p.yaml", "--format", "json")
        self.wait_for(lambda: os.path.exists(self.path("out.bin")) and os.path.getsize(self.path("out.bin")) > 0,
                      "output")
        process.send_signal(TERMINATE)
        code, output, errors = self.finish(process)
        self.assertEqual(0, code, errors)
        report = json.loads(output)
        self.assert_balanced(report)
        self.assertEqual(report["records_in"], report["records_out"])
        self.assertEqual(report["records_out"] * 12, os.path.getsize(self.path("out.bin")))

    def test_standard_input_that_stays_open_does_not_hold_up_the_end(self):
        self.pipeline(source="{ connector: stdio }")
        process = self.start("run", "p.yaml", "--format", "json")
        process.stdin.write(b"one\ntwo\n")
        process.stdin.flush()
        self.wait_for_lines("out.txt", 2)
        process.send_signal(TERMINATE)
        self.assertEqual(0, process.wait(timeout=DEADLINE_S))
        report = json.loads(process.stdout.read())
        self.assertEqual(2, report["records_out"])

    def test_reader_that_does_not_read_ends_with_the_grace_time(self):
        self.write("in.txt", ("x" * 1000 + "\n") * 20000)
        self.pipeline(sink="{ connector: stdio }")
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        process = self.start("run", "p.yaml", "--grace", "100ms", "--format", "json",
                             stdin=subprocess.DEVNULL, stdout=write_end)
        os.close(write_end)
        os.read(read_end, 1)  # it is running, and the pipe is about to be full
        process.send_signal(TERMINATE)
        errors = process.stderr.read().decode()
        self.assertEqual(128 + TERMINATE, process.wait(timeout=DEADLINE_S), errors)
        report = json.loads(errors[errors.index("{\n"):errors.rindex("}") + 1])
        self.assert_balanced(report)
        self.assertGreater(report["dropped"]["stopped"], 0)


if __name__ == "__main__":
    main()
