"""Readers that stop or are slow: of the log, of the summary, of records. Nobody but them waits, and the end comes."""

import json
import os
import pty
import subprocess
import termios
import threading
import time

from harness import DEADLINE_S, TERMINATE, Case, component, main

RECORDS = 3000


class Stalls(Case):
    def forget_outputs(self):
        for name in ("noisy.txt", "healthy.txt"):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))

    def two_flows(self):
        """A flow that floods the log and never ends by itself beside a healthy one that does not either."""
        self.forget_outputs()
        self.write("in.txt", "".join(f"{i}\n" for i in range(RECORDS)))
        self.write(
            "p.yaml",
            f"""version: 1
name: test
dead_letters: dead.jsonl
components:
  chatty: {{ file: "{component('chatty')}", memory: 1MiB }}
channels:
  in: {{ connector: file, path: in.txt, mode: follow }}
  out: {{ connector: file, path: "${{flow}}.txt", mode: truncate }}
stages:
  work:
    component: chatty
    from: in
    to: out
    config: {{ lines: "${{LINES}}" }}
    log: {{ lines_per_second: 10000 }}
flows:
  - {{ name: noisy, parameters: {{ LINES: "10" }} }}
  - {{ name: healthy, parameters: {{ LINES: "0" }} }}
""")

    def to_standard_output_and_a_file(self):
        """Two chains that have nothing in common."""
        self.forget_outputs()
        self.write("in.txt", "".join(f"{i}\n" for i in range(RECORDS)))
        self.write(
            "p.yaml",
            f"""version: 1
name: test
dead_letters: dead.jsonl
components:
  pass: {{ file: "{component('pass')}", memory: 1MiB }}
channels:
  in: {{ connector: file, path: in.txt, mode: follow }}
  also_in: {{ connector: file, path: in.txt, mode: follow }}
  out: {{ connector: stdio }}
  healthy: {{ connector: file, path: healthy.txt, mode: truncate }}
stages:
  stalls: {{ component: pass, from: in, to: out }}
  goes_on: {{ component: pass, from: also_in, to: healthy }}
""")

    def terminal(self, *, stopped):
        """The two ends of a terminal that nobody reads; `stopped`: by ^S, so that it takes nothing at all."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        if stopped:
            termios.tcflow(slave, termios.TCOOFF)
        return slave

    def full_pipe(self):
        """The writing end of a pipe that takes nothing; its reading end."""
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        self.addCleanup(os.close, write_end)
        os.set_blocking(write_end, False)
        try:
            while True:
                os.write(write_end, b"-" * 4096)
        except BlockingIOError:
            pass
        os.set_blocking(write_end, True)
        return read_end, write_end

    def assert_all_came_through(self):
        expected = [str(i) for i in range(RECORDS)]
        self.wait_for_lines("healthy.txt", RECORDS)
        self.wait_for_lines("noisy.txt", RECORDS)
        self.assertEqual(expected, self.lines("healthy.txt"))
        self.assertEqual(expected, self.lines("noisy.txt"))

    def end(self, process, code=0):
        begun = time.monotonic()
        process.send_signal(TERMINATE)
        self.assertEqual(code, process.wait(timeout=DEADLINE_S))
        return time.monotonic() - begun

    def test_terminal_that_is_not_read_holds_up_nobody(self):
        for stopped in (True, False):
            self.two_flows()
            slave = self.terminal(stopped=stopped)
            process = self.start("run", "p.yaml", stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
                                 env={"TERM": "xterm"})
            self.assert_all_came_through()
            self.end(process)

    def test_full_pipe_as_standard_error_holds_up_nobody_and_what_was_lost_is_said(self):
        self.two_flows()
        read_end, write_end = self.full_pipe()
        process = self.start("run", "p.yaml", "--format", "json", stdin=subprocess.DEVNULL, stderr=write_end)
        self.assert_all_came_through()
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(iter_lines(read_end, b"lines were lost here")))
        reader.start()
        reader.join(DEADLINE_S)
        self.assertFalse(reader.is_alive(), "nothing was said of lost lines")
        drain = threading.Thread(target=lambda: list(iter_lines(read_end, b"drained after")), daemon=True)
        drain.start()
        self.end(process)
        drain.join(DEADLINE_S)
        self.assertGreater(json.loads(process.stdout.read())["log_lines_lost"], 0)

    def test_slow_reader_of_standard_error_holds_up_nobody(self):
        self.two_flows()
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        process = self.start("run", "p.yaml", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=write_end)
        os.close(write_end)
        over = threading.Event()

        def read_slowly():
            while not over.wait(0.045) and os.read(read_end, 4096):
                pass

        reader = threading.Thread(target=read_slowly)
        reader.start()
        self.addCleanup(lambda: (over.set(), reader.join()))
        self.assert_all_came_through()
        self.end(process)

    def test_closed_standard_error_holds_up_nobody(self):
        self.two_flows()
        process = self.start("run", "p.yaml", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             preexec_fn=lambda: os.close(2))
        self.assert_all_came_through()
        self.end(process)

    def test_summary_that_is_not_read_is_given_up(self):
        for stall in (lambda: self.full_pipe()[1], lambda: self.terminal(stopped=True)):
            self.two_flows()
            process = self.start("run", "p.yaml", stdin=subprocess.DEVNULL, stdout=stall(), stderr=subprocess.DEVNULL)
            self.assert_all_came_through()
            self.end(process)

    def test_result_in_json_that_is_not_read_is_a_failure(self):
        self.two_flows()
        process = self.start("run", "p.yaml", "--format", "json", "--quiet", stdin=subprocess.DEVNULL,
                             stdout=self.full_pipe()[1], stderr=subprocess.DEVNULL)
        self.assert_all_came_through()
        self.end(process, code=1)

    def test_signal_while_a_result_waits_for_its_reader_shortens_the_wait(self):
        self.write("in.txt", "1\n")
        self.pipeline()
        process = self.start("run", "p.yaml", "--format", "json", stdin=subprocess.DEVNULL,
                             stdout=self.full_pipe()[1])
        self.wait_for_error_line(process, "done after")
        self.assertLess(self.end(process, code=1), 25)

    def test_warnings_before_the_start_are_not_waited_for(self):
        self.two_flows()
        self.write("p.yaml", self.read("p.yaml").replace("memory: 1MiB }", "memory: 1MiB, grants: [ clock ] }"))
        process = self.start("run", "p.yaml", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=self.full_pipe()[1])
        self.assert_all_came_through()
        self.end(process)

    def test_records_nobody_reads_hold_up_their_flow_alone(self):
        for stall in (lambda: self.full_pipe()[1], lambda: self.terminal(stopped=True)):
            self.to_standard_output_and_a_file()
            process = self.start("run", "p.yaml", "--grace", "100ms", stdin=subprocess.DEVNULL, stdout=stall(),
                                 stderr=subprocess.DEVNULL)
            self.wait_for_lines("healthy.txt", RECORDS)
            self.end(process, code=128 + TERMINATE)
            self.assertEqual([str(i) for i in range(RECORDS)], self.lines("healthy.txt"))


def iter_lines(descriptor, last):
    """Lines up to the one that contains `last`."""
    rest = b""
    while True:
        data = os.read(descriptor, 4096)
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
        if not data or any(last in line for line in lines):
            return


if __name__ == "__main__":
    main()
