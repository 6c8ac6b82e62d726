#!/usr/bin/env python3
"""What becomes of odd readings in a pipeline of source, aggregator and sink: gateway_analytics_test.py TORVYN COMPONENTS

Values without quality, devices that store and forward, clocks that are wrong, days of local time: every reading is in a
window, or where the configuration says, and the books say so.
"""
import collections
import json
import os
import subprocess
import sys
import tempfile
import unittest

TORVYN, COMPONENTS = (os.path.abspath(path) for path in sys.argv[1:3])
NOON = 1772366400  # 2026-03-01T12:00:00Z

PIPELINE = """
version: 1
name: case
dead_letters: "{folder}/dead.jsonl"
control: "{folder}/case.sock"
components:
  source: {{ file: "{components}/sensor-source.wasm", memory: 1MiB }}
  aggregate: {{ file: "{components}/local-aggregator.wasm", memory: 4MiB }}
  sink: {{ file: "{components}/uplink-sink.wasm", memory: 1MiB }}
channels:
  in: {{ connector: file, path: "{folder}/in.jsonl" }}
  out: {{ connector: file, path: "{folder}/out.jsonl", mode: truncate }}
stages:
  source: {{ component: source, from: in, config: {{ fields: {{ time: ts }} }} }}
  aggregate: {{ component: aggregate, from: source, config: {aggregate} }}
  sink: {{ component: sink, from: [ {outputs} ], to: out }}
"""
OUTPUTS = "aggregate.windows, aggregate.alerts"


def line(ts, device, value, **more):
    return {"ts": ts, "device": device, "metric": "m", "value": value, **more}


class Run:
    def __init__(self, lines, aggregate, outputs=OUTPUTS):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "in.jsonl"), "w", encoding="utf-8") as file:
                file.writelines(json.dumps(one) + "\n" for one in lines)
            path = os.path.join(folder, "pipeline.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(PIPELINE.format(folder=folder, components=COMPONENTS, aggregate=json.dumps(aggregate),
                                           outputs=outputs))
            command = [TORVYN, "run", path, "--quiet", "--format", "json"]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=True)
            self.said = done.stderr.decode()
            self.report = json.loads(done.stdout)
            self.documents = self.read(folder, "out.jsonl")
            self.dead = self.read(folder, "dead.jsonl")

    @staticmethod
    def read(folder, name):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            return [json.loads(one) for one in file]

    def windows(self):
        return [one for one in self.documents if one["type"] == "window"]

    def counted(self, device):
        """Readings in the windows of a device, each window as it was sent last."""
        newest = {(w["start"], w.get("part", 0)): w["count"] for w in self.windows() if w["device"] == device}
        return sum(newest.values())

    def counters(self, stage):
        return next(s["counters"] for s in self.report["flows"][0]["stages"] if s["name"] == stage)


# Four hours of a device, and then ten readings of windows that were sent long ago.
LATE = ([line(NOON + 60 * i, "d", i) for i in range(240)] + [line(NOON + 60 * i, "d", i) for i in range(10)])


class GatewayAnalyticsTest(unittest.TestCase):
    def test_null_of_bad_quality_is_counted_as_bad(self):
        lines = [line(NOON + i, "d", None if i % 2 else 20, quality="bad" if i % 2 else "good") for i in range(6)]
        run = Run(lines, {"window": {"size": "1m"}})
        self.assertEqual([(w["count"], w["bad"], w["max"]) for w in run.windows()], [(3, 3, 20)])
        self.assertEqual(run.dead, [])

    def test_a_device_that_stored_and_forwarded_is_not_late(self):
        lines = [line(NOON + 60 * i, device, i) for device in ("live", "backlog") for i in range(240)]
        run = Run(lines, {"window": {"size": "5m"}, "lateness": "10m"})
        self.assertEqual((run.counted("live"), run.counted("backlog")), (240, 240))
        self.assertEqual(run.dead, [])
        self.assertNotIn("late", run.said)  # a port that nobody needs is no warning

    def test_late_readings_are_dead_letters_with_their_reason(self):
        run = Run(LATE, {"window": {"size": "5m"}})
        self.assertEqual(run.counted("d"), 240)
        self.assertEqual(len(run.dead), 10)
        self.assertEqual({one["message"] for one in run.dead}, {"late: its window was sent and is corrected no more"})
        self.assertEqual(run.report["dead_lettered"], 10)

    def test_late_readings_go_to_their_port(self):
        run = Run(LATE, {"window": {"size": "5m"}, "late": "port"}, OUTPUTS + ", aggregate.late")
        late = [one for one in run.documents if one["type"] == "reading"]
        self.assertEqual([one["value"] for one in late], list(range(10)))
        self.assertEqual(run.counted("d"), 240)
        self.assertEqual(run.dead, [])

    def test_late_readings_that_are_dropped_are_in_the_books(self):
        run = Run(LATE, {"window": {"size": "5m"}, "too_late": "drop"})
        self.assertEqual(run.counted("d"), 240)
        self.assertEqual(run.dead, [])
        self.assertEqual(run.report["dropped_by_components"], 10)
        self.assertEqual(run.counters("aggregate")["dropped_late"], 10)

    def test_late_readings_to_a_port_that_nothing_reads_are_said(self):
        run = Run(LATE, {"window": {"size": "5m"}, "too_late": "port"})
        aggregate = next(s for s in run.report["flows"][0]["stages"] if s["name"] == "aggregate")
        self.assertEqual(aggregate["emitted_unconnected"], 10)

    def test_local_days_begin_at_the_offset_or_in_the_zone(self):
        midnight = 1782856800  # 2026-07-01T00:00:00+02:00
        lines = [line(midnight + 3600 * i, "d", i) for i in range(72)]
        for window in ({"size": "1d", "offset": "-2h"}, {"size": "1d", "zone": "Europe/Berlin"}):
            run = Run(lines, {"window": window, "lateness": "1h"})
            self.assertEqual([w["count"] for w in run.windows()], [24, 24, 24])
            self.assertEqual(run.windows()[0]["start"], "2026-06-30T22:00:00Z")

    def test_wrong_clocks_lose_no_readings(self):
        year = 366 * 86400
        clocks = {
            "first reading from the future": lambda d, i: NOON + 10 * i + (year if i == 0 and d == 0 else 0),
            "one device at 1970": lambda d, i: NOON * (d != 1) + 10 * i,
            "one device at 1970 that speaks first": lambda d, i: NOON * (d != 0) + 10 * i,
            "one device in the future": lambda d, i: NOON + 10 * i + year * (d == 0),
            "two of three are wrong": lambda d, i: (NOON, 7, NOON + year)[d] + 10 * i,
            "all at 1970 until they are told": lambda d, i: NOON * (i >= 100) + 10 * i,
            "jumps to the future and returns": lambda d, i: NOON + 10 * i + year * (d == 1 and 100 <= i < 200),
            "years ago": lambda d, i: 1000000000 + 10 * i,
            "every two hours": lambda d, i: NOON + 7200 * i,
            "every two hours, one of three": lambda d, i: NOON + (7200 * i if d == 2 else 10 * i),
        }
        for name, clock in clocks.items():
            with self.subTest(name):
                lines = [line(clock(d, i), "d%d" % d, i) for i in range(400) for d in range(3)]
                run = Run(lines, {"window": {"size": "5m"}})
                found = collections.Counter({d: run.counted("d%d" % d) for d in range(3)})
                self.assertEqual((found, len(run.dead)), ({0: 400, 1: 400, 2: 400}, 0))

    def test_a_clock_that_was_set_back_goes_on(self):
        lines = [line(NOON + 10 * i - (3600 if i >= 400 else 0), "d", i) for i in range(1000)]
        run = Run(lines, {"window": {"size": "5m"}})
        self.assertEqual(run.counted("d") + len(run.dead), 1000)
        self.assertLessEqual(len(run.dead), 15)
        self.assertEqual(run.counters("aggregate")["clocks_set_back"], 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
