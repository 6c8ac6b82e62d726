"""What tests of a running pipeline share: a client of the control socket, and flows that work until they are stopped."""

import json
import socket

from harness import DEADLINE_S, Case, component


class Client:
    """Lines of JSON to and from a control socket; answers that are not asked for yet are kept."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE_S)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.file = self.socket.makefile("rb")
        self.last = 0
        self.lines = {}

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, verb, **fields):
        self.last += 1
        self.socket.sendall((json.dumps({"id": self.last, "verb": verb, **fields}) + "\n").encode())
        return self.last

    def next_of(self, number):
        """The next line with this id."""
        while not self.lines.get(number):
            line = self.file.readline()
            if not line:
                raise EOFError(number)
            line = json.loads(line)
            self.lines.setdefault(line["id"], []).append(line)
        return self.lines[number].pop(0)

    def ask(self, verb, **fields):
        """Where flows drain, for as long as it takes, unless told otherwise."""
        if verb in ("flow-remove", "flow-set"):
            fields.setdefault("timeout_ms", 3600000)
        return self.next_of(self.send(verb, **fields))


class LiveCase(Case):
    def start_flows(self, count, rate=200, more="", sink="{ connector: file, path: /dev/null }"):
        self.write("p.yaml", f"""version: 1
name: live
dead_letters: dead.jsonl
components:
  it: {{ file: "{component('pass')}", memory: 512KiB }}
channels:
  in: {{ connector: generator, sensors: 1, rate: {rate}, queue: {{ bytes: 128KiB, records: 512 }} }}
  out: {sink}
stages:
  first: {{ component: it, from: in }}
  last: {{ component: it, from: first, to: out }}
flows:
  - {{ name: line, count: {count}{more} }}
""")
        process = self.start("run", "p.yaml", "--control", "s", "--quiet", "--format", "json")
        self.wait_for(lambda: self.connects(process), "the control socket")
        return process

    def connects(self, process):
        self.assertIsNone(process.poll(), "it has ended")
        try:
            self.client = self.connect()
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return self.client.ask("info")["phase"] == "running"

    def connect(self):
        client = Client(self.path("s"))
        self.addCleanup(client.close)
        return client

    def done(self, answer):
        self.assertTrue(answer.get("ok"), answer)
        return answer

    def refused(self, status, *words, verb, **fields):
        answer = self.client.ask(verb, **fields)
        self.assertFalse(answer["ok"], answer)
        self.assertEqual(status, answer["error"]["status"], answer)
        for word in words:
            self.assertIn(word, answer["error"]["message"])

    def flow(self, name):
        return self.done(self.client.ask("ps", flow=name))["flow"]

    def stop(self, process, **fields):
        self.done(self.client.ask("stop", **fields))
        code, output, errors = self.finish(process)
        report = json.loads(output)
        self.assert_balanced(report)
        self.assertNotIn("internal error", errors)
        return code, report
