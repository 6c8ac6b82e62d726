#!/usr/bin/env python3
"""The gateway pipeline as a whole: gateway_run_test.py TORVYN COMPONENTS_FOLDER

Half a day of simulated readings through `torvyn run` with the shipped pipeline file: the books balance, the incidents
are found, the output is what it says it is, and the same in both memory modes.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
GATEWAY = os.path.dirname(HERE)
sys.path.insert(0, GATEWAY)
import score  # noqa: E402

TORVYN, COMPONENTS = sys.argv[1:3]


def simulate(folder, *arguments):
    command = [sys.executable, os.path.join(GATEWAY, "simulate.py"), "--out", folder, *arguments]
    subprocess.run(command, check=True)


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def run(data, folder, mode):
    variables = {
        "COMPONENTS": COMPONENTS,
        "INPUT": os.path.join(data, "readings.jsonl"),
        "DEVICES": os.path.join(data, "devices.csv"),
        "OUTPUT": os.path.join(folder, "uplink.jsonl"),
        "DEAD_LETTERS": os.path.join(folder, "dead-letters.jsonl"),
        "MEMORY_MODE": mode,
    }
    command = [TORVYN, "run", os.path.join(GATEWAY, "gateway.yaml"), "--quiet", "--format", "json"]
    for name, value in variables.items():
        command += ["--set", "%s=%s" % (name, value)]
    # Whatever else of that name runs on this machine.
    environment = {**os.environ, "TORVYN_RUNTIME_DIR": os.path.join(folder, "control")}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    return json.loads(done.stdout)


class GatewayRunTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.data = os.path.join(cls.folder.name, "data")
        simulate(cls.data, "--hours", "12", "--incidents", "2", "--seed", "5", "--malformed", "0.001")
        cls.labels = json.loads(read(cls.data, "labels.json"))
        cls.report = run(cls.data, cls.folder.name, "auto")  # guard pages where they fit
        cls.uplink = read(cls.folder.name, "uplink.jsonl")
        cls.documents = [json.loads(line) for line in cls.uplink.splitlines()]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def counter(self, stage, name):
        return next(s["counters"][name] for s in self.report["flows"][0]["stages"] if s["name"] == stage)

    def test_books_balance(self):
        self.assertEqual(self.report["conservation"], "kept")
        self.assertEqual(self.report["records_in"], self.labels["lines"])
        self.assertEqual(sum(self.report["dropped"].values()), 0)
        self.assertEqual(self.report["faults"], 0)

    def test_every_broken_line_is_a_dead_letter(self):
        letters = [json.loads(line) for line in read(self.folder.name, "dead-letters.jsonl").splitlines()]
        self.assertEqual(len(letters), self.labels["malformed"])
        self.assertTrue(all(letter["reason"] == "rejected" and letter["message"] for letter in letters))

    def test_incidents_are_found(self):
        alerts = [document for document in self.documents if document["type"] == "alert"]
        result = score.compare(self.labels["incidents"], alerts, 600)
        self.assertEqual(result["missed"], [])
        self.assertLessEqual(len(result["false"]), 2)

    def test_every_reading_is_in_one_window_or_counted(self):
        newest = {}
        for document in self.documents:
            if document["type"] == "window":
                newest[document["device"], document["metric"], document["start"]] = document["count"]
        readings = self.report["records_in"] - self.report["dead_lettered"]
        self.assertEqual(sum(newest.values()) + self.counter("aggregate", "late_dropped"), readings)

    def test_unknown_devices_are_counted(self):
        self.assertEqual(self.counter("enrich", "unknown_devices"), self.labels["unknown"])

    def test_documents_are_counted(self):
        self.assertEqual(self.counter("send", "documents"), len(self.documents))

    def test_memory_modes_give_the_same_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            run(self.data, folder, "compact")
            self.assertEqual(sorted(read(folder, "uplink.jsonl").splitlines()), sorted(self.uplink.splitlines()))

    def test_same_seed_gives_the_same_day(self):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            for folder in (one, two):
                simulate(folder, "--readings", "2000", "--seed", "3")
            for name in ("readings.jsonl", "labels.json", "devices.csv"):
                self.assertEqual(read(one, name), read(two, name))
            self.assertEqual(read(one, "readings.jsonl").count(b"\n"), 2000)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
