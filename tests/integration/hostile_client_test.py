"""Clients of the control socket that ask for too much: whatever they ask for, connectors go on and others are answered."""

import json
import time

from harness import component, main
from live import LiveCase



class HostileClients(LiveCase):
    def start_healthy(self):
        self.write("p.yaml", f"""version: 1
name: live
dead_letters: dead.jsonl
components:
  it: {{ file: "{component('pass')}", memory: 2MiB }}
channels:
  in: {{ connector: generator, sensors: 1, rate: 1000 }}
  out: {{ connector: file, path: "${{flow}}.txt", mode: truncate }}
stages:
  first: {{ component: it, from: in }}
  last: {{ component: it, from: first, to: out }}
flows:
  - {{ name: healthy }}
""")
        process = self.start("run", "p.yaml", "--control", "s", "--quiet", "--format", "json")
        self.wait_for(lambda: self.connects(process), "the control socket")
        return process

    def longest_ping_s(self, client, count=50):
        longest = 0
        for _ in range(count):
            begin = time.monotonic()
            self.done(client.ask("ping"))
            longest = max(longest, time.monotonic() - begin)
        return longest

    def assert_healthy(self, client):
        """Connectors are served, and another client is answered."""
        lines = self.lines_of("healthy.txt")
        self.assertLess(self.longest_ping_s(client), 5)
        self.wait_for(lambda: self.lines_of("healthy.txt") > lines + 100, "the healthy flow's output to go on")

    def lines_of(self, name):
        with open(self.path(name), "rb") as file:
            return file.read().count(b"\n")

    def test_expressions_that_explode_are_refused_or_cost_a_share(self):
        process = self.start_healthy()
        other = self.connect()
        for regex in ("((((((a{99}){99}){99}){99}){99}){99})", "(((((x?){255}){255}){255}){255})", "x" * 513):
            self.refused("invalid", "regex", verb="tap", flow="healthy", at="first", regex=regex)
        taps = []
        for number in range(8):
            client = self.connect()
            for regex in ("(.?){120}(.?.?){60}#", "(.*.*.*)*#")[number % 2:number % 2 + 1]:
                taps.append((client, client.send("tap", flow="healthy", at=("first", "in")[number % 2], regex=regex)))
        for client, tap in taps:
            self.done(client.next_of(tap))
        self.assert_healthy(other)
        self.assertEqual(8, self.done(other.ask("info"))["control"]["taps"])
        for client, tap in taps:
            self.done(client.ask("cancel", stream=tap))
        self.assertEqual(0, self.stop(process)[0])

    def test_floods_of_requests_cost_a_share(self):
        process = self.start_healthy()
        other = self.connect()
        glob = "*" + "a*" * 60 + "b"
        floods = [
            {"verb": "ps", "limit": 500}, {"verb": "top", "components": True, "limit": 2000},
            {"verb": "ps", "match": glob}, {"verb": "flow-add", "flow": {"k" + str(i): 1 for i in range(5000)}},
            {"verb": "flow-pause", "flow": "h" * 60}, {"verb": "flow-set", "flow": "healthy", "class": "high"},
        ]
        for flood in floods:
            line = json.dumps({"id": 1, **flood}).encode() + b"\n"
            client = self.connect()
            client.socket.sendall(line * min(30, 60000 // len(line) + 1))
            self.assert_healthy(other)
            client.close()
        deep = {"id": 1, "verb": "ps", "match": 0}
        line = json.dumps(deep)[:-2].encode() + b"[" * 30000 + b"]" * 30000 + b"}\n"
        client = self.connect()
        client.socket.sendall(line)
        self.assertFalse(client.next_of(1)["ok"])
        self.refused("invalid", "equals", verb="tap", flow="healthy", at="in", field="v", equals=[[[1]]])
        self.assert_healthy(other)
        self.assertEqual(0, self.stop(process)[0])


if __name__ == "__main__":
    main()
