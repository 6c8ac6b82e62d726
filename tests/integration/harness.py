"""What the tests of the executable share: a scratch folder each, small pipelines, running torvyn, waiting for facts.

The executable and the folder of the test components come from the environment (TORVYN, TORVYN_COMPONENTS). Nothing
here sleeps to give something time: tests wait for a condition, with a deadline that is only there to fail, on the
slowest machine there is. Runs drain for as long as it takes unless the test says otherwise.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

TORVYN = os.environ["TORVYN"]
COMPONENTS = os.environ["TORVYN_COMPONENTS"]
DEADLINE_S = float(os.environ.get("TORVYN_TEST_DEADLINE_S", "30"))


def component(name):
    return os.path.join(COMPONENTS, name + ".wasm")


def command(arguments):
    if arguments[:1] == ("run",) and "--grace" not in arguments:
        arguments = ("run", "--grace", "1h", *arguments[1:])
    return [TORVYN, *arguments]


class Case(unittest.TestCase):
    """A test with a folder of its own, in which torvyn runs."""

    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="torvyn-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        data = text if isinstance(text, bytes) else text.encode()
        with open(self.path(name), "wb") as file:
            file.write(data)
        return name

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def lines(self, name):
        return self.read(name).splitlines()

    def environment(self, extra=None):
        # The cache of compiled modules is shared by the tests; everything else is plain.
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", self.folder),
                       "XDG_RUNTIME_DIR": self.folder,
                       "TORVYN_RUNTIME_DIR": os.path.join(self.folder, "torvyn")}  # where control sockets lie
        for name in ("XDG_CACHE_HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                environment[name] = os.environ[name]
        environment.update(extra or {})
        return environment

    def torvyn(self, *arguments, stdin=None, env=None, stdout=subprocess.PIPE):
        """Runs to the end and returns the CompletedProcess with text."""
        return subprocess.run(
            command(arguments),
            cwd=self.folder,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=self.environment(env),
            timeout=DEADLINE_S,
            encoding="utf-8",
        )

    def start(self, *arguments, **more):
        """Starts torvyn and leaves it running; it is killed when the test ends."""
        options = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        options.update(more)
        environment = self.environment(options.pop("env", None))
        process = subprocess.Popen(command(arguments), cwd=self.folder, env=environment, **options)
        self.addCleanup(self.reap, process)
        return process

    @staticmethod
    def reap(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass

    def wait_for(self, condition, what):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > deadline:
                self.fail("never happened: " + what)
            time.sleep(0.005)

    def wait_for_lines(self, name, count):
        def there():
            try:
                with open(self.path(name), "rb") as file:
                    return file.read().count(b"\n") >= count
            except FileNotFoundError:
                return False

        self.wait_for(there, f"{count} lines in {name}")

    def wait_for_error_line(self, process, text):
        """Reads the standard error of a process up to the line that contains the text."""
        while True:
            line = process.stderr.readline().decode()
            if text in line:
                return
            self.assertTrue(line, f"it ended without saying: {text}")

    def finish(self, process):
        """Waits for the end; returns (exit code, standard output, standard error)."""
        output, errors = process.communicate(timeout=DEADLINE_S)
        return process.returncode, (output or b"").decode(), (errors or b"").decode()

    def run_json(self, *arguments, code=0, stdin=None):
        """`torvyn run` with the summary as JSON; the books must balance."""
        done = self.torvyn("run", *arguments, "--quiet", "--format", "json", stdin=stdin)
        self.assertEqual(code, done.returncode, done.stderr)
        report = json.loads(done.stdout)
        self.assert_balanced(report)
        return report

    def assert_balanced(self, report):
        self.assertEqual("kept", report["conservation"])
        for flow in report["flows"]:
            for edge in flow["edges"]:
                dropped = sum(edge["dropped"].values())
                self.assertEqual(edge["pushed"], edge["popped"] + dropped + edge["queued"], edge["name"])
            for stage in flow["stages"]:
                self.assertEqual(
                    stage["popped"],
                    stage["processed"] + stage["dead_lettered"] + stage["in_progress"],
                    stage["name"],
                )

    # ---- pipelines --------------------------------------------------------------------------------------------

    def pipeline(self, name="p.yaml", *, head="", component_of="pass", component_more="", source=None, sink=None,
                 stage_more=""):
        """One stage between a source and a sink channel."""
        source = source or "{ connector: file, path: in.txt }"
        sink = sink or "{ connector: file, path: out.txt, mode: truncate }"
        return self.write(
            name,
            f"""version: 1
name: test
dead_letters: dead.jsonl
{head}
components:
  it: {{ file: "{component(component_of)}", memory: 1MiB{component_more} }}
channels:
  in: {source}
  out: {sink}
stages:
  work:
    component: it
    from: in
    to: out
{stage_more}
""",
        )


def only_stage(report):
    return report["flows"][0]["stages"][0]


TERMINATE = signal.SIGTERM
INTERRUPT = signal.SIGINT

main = unittest.main
