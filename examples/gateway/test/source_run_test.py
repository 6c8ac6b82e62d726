#!/usr/bin/env python3
"""sensor-source behind real files: source_run_test.py TORVYN COMPONENTS_FOLDER

A CSV file is followed from its end and through a rotation that changes its columns; two files of one stage have columns
of their own; messages without a time have that of their arrival.
"""
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

TORVYN, COMPONENTS = sys.argv[1:3]
WAIT_S = 30

PIPELINE = """version: 1
name: source
dead_letters: "{folder}/dead.jsonl"
control: "{folder}/source.sock"
components:
  source: {{ file: "{components}/sensor-source.wasm", memory: 1MiB }}
  sink: {{ file: "{components}/uplink-sink.wasm", memory: 1MiB }}
channels:
{channels}
  out: {{ connector: file, path: "{folder}/out.jsonl" }}
stages:
  source: {{ component: source, from: [ {inputs} ], config: {config} }}
  sink: {{ component: sink, from: source, to: out, config: {{ batch: {{ records: 1 }} }} }}
"""


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path, "rb") as opened:
        return [json.loads(line) for line in opened.read().splitlines()]


class SourceRunTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = self.scratch.name
        self.process = None

    def tearDown(self):
        if self.process:
            self.process.terminate()
            self.process.wait(WAIT_S)
        self.scratch.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content, mode="wb"):
        with open(self.path(name), mode) as opened:
            opened.write(content)

    def command(self, channels, config):
        declared = "".join('  %s: { connector: file, path: "%s", %s }\n' % (name, self.path(name + ".csv"), options)
                           for name, options in channels.items())
        text = PIPELINE.format(folder=self.folder, components=COMPONENTS, channels=declared.rstrip("\n"),
                               inputs=", ".join(channels), config=config)
        self.write("pipeline.yaml", text.encode())
        return [TORVYN, "run", self.path("pipeline.yaml"), "--quiet"]

    def readings(self):
        return [(r["device"], r.get("metric"), r["value"]) for r in lines(self.path("out.jsonl"))]

    def wait_for(self, device, meanwhile=lambda: None):
        """Waits for a reading of the device."""
        end = time.monotonic() + WAIT_S
        while device not in [reading[0] for reading in self.readings()]:
            meanwhile()
            self.assertIsNone(self.process.poll(), "torvyn has ended")
            self.assertLess(time.monotonic(), end, "waited for %s, have %s, dead letters %s" % (
                device, self.readings(), lines(self.path("dead.jsonl"))))
            time.sleep(0.02)

    def test_a_file_followed_from_its_end_has_its_header_and_so_has_the_next_one(self):
        self.write("in.csv", b"\xef\xbb\xbfvalue,time,device\n1,1772323200,old\n")
        command = self.command({"in": "mode: follow, start: end, poll: 50ms, rotate_wait: 0s"}, "{ format: csv }")
        self.process = subprocess.Popen(command)
        # Nothing tells when the file has been opened, so it grows until something comes.
        self.wait_for("a", lambda: self.write("in.csv", b"2,1772323201,a\n", "ab"))
        os.rename(self.path("in.csv"), self.path("in.csv.1"))
        self.write("new.csv", b"device,time,extra,value\nb,1772323202,7,3\n")
        os.rename(self.path("new.csv"), self.path("in.csv"))
        self.wait_for("b")
        self.assertEqual(set(self.readings()), {("a", None, 2), ("b", None, 3)})
        self.assertEqual(lines(self.path("dead.jsonl")), [])

    def test_files_of_one_stage_have_columns_of_their_own(self):
        self.write("left.csv", b"time,T1,device\n" + b"1772323200,1,a\n" * 500)
        self.write("right.csv", b"device,T2,time,T3\n" + b"b,2,1772323200,3\n" * 500)
        subprocess.run(self.command({"left": "mode: once", "right": "mode: once"},
                                    '{ format: csv, fields: { values: "*" } }'), check=True)
        self.assertEqual(sorted(self.readings()),
                         sorted([("a", "T1", 1), ("b", "T2", 2), ("b", "T3", 3)] * 500))

    def test_messages_without_a_time_have_that_of_their_arrival(self):
        self.write("in.csv", b'{"temperature":21.5}\n')
        before = datetime.datetime.now(datetime.timezone.utc)
        subprocess.run(self.command({"in": "mode: once"}, "{ device: kitchen, fields: { value: temperature }, "
                                                          "time: { missing: arrival } }"), check=True)
        after = datetime.datetime.now(datetime.timezone.utc)
        document, = lines(self.path("out.jsonl"))
        arrival = datetime.datetime.fromisoformat(document["time"][:23].rstrip("Z") + "+00:00")
        self.assertLessEqual(before - datetime.timedelta(milliseconds=1), arrival)
        self.assertLessEqual(arrival, after)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
