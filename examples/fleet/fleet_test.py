#!/usr/bin/env python3
"""The fleet example: fleet_test.py TORVYN COMPONENTS_FOLDER

A flow for each row of the table, each with its own limits, and the same with many more rows.
"""
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

DEADLINE_S = 30  # only there to fail
HERE = os.path.dirname(os.path.abspath(__file__))
TORVYN, COMPONENTS = sys.argv[1:3]


def devices():
    with open(os.path.join(HERE, "devices.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class FleetTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def torvyn(self, verb, *arguments, **variables):
        variables = {"COMPONENTS": COMPONENTS, "OUTPUT": self.folder, **variables}
        variables.setdefault("DEAD_LETTERS", os.path.join(self.folder, "dead-letters.jsonl"))
        command = [TORVYN, verb, os.path.join(HERE, "fleet.yaml"), *arguments]
        for name, value in variables.items():
            command += ["--set", f"{name}={value}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder,
                              env={**os.environ, "TORVYN_RUNTIME_DIR": os.path.join(self.folder, "control")})
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def alerts(self, device):
        with open(os.path.join(self.folder, f"alerts-{device}.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def test_restart_appends_to_what_is_there(self):
        with open(os.path.join(HERE, "devices.csv"), encoding="utf-8") as file:
            devices = [line.split(",")[0] for line in file][1:]
        self.torvyn("run", "--quiet", READINGS=4000)
        first = {device: self.alerts(device) for device in devices}
        self.assertTrue(any(first.values()))
        self.torvyn("run", "--quiet", READINGS=4000)
        self.assertEqual({device: alerts * 2 for device, alerts in first.items()},
                         {device: self.alerts(device) for device in devices})
        self.torvyn("run", "--quiet", READINGS=4000, OUTPUT_MODE="truncate")
        self.assertEqual(first, {device: self.alerts(device) for device in devices})

    def test_each_device_has_a_flow_with_its_own_limits(self):
        report = json.loads(self.torvyn("run", "--quiet", "--format", "json", READINGS=4000))
        self.assertEqual("kept", report["conservation"])
        flows = {flow["name"]: flow for flow in report["flows"]}
        self.assertEqual([row["id"] for row in devices()], list(flows))
        count = 0
        for row in devices():
            self.assertEqual(row["class"], flows[row["id"]]["class"])
            for alert in self.alerts(row["id"]):
                count += 1
                self.assertEqual((row["id"], row["site"]), (alert["device"], alert["site"]))
                self.assertFalse(float(row["low"]) <= alert["value"] <= float(row["high"]), alert)
                self.assertIn(alert["limit"], (float(row["low"]), float(row["high"])))
        self.assertGreater(count, 2 * len(devices()))
        self.assertEqual(count, report["records_out"])

    def test_plan_sums_the_flows_of_the_table(self):
        self.assertIn(f"flow device x {len(devices())}\n", self.torvyn("plan"))
        plan = json.loads(self.torvyn("plan", "--format", "json"))
        self.assertEqual((len(devices()), len(devices())), (plan["flows"], plan["instances"]))

    def test_many_devices(self):
        table = os.path.join(self.folder, "many.csv")
        with open(table, "w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["id", "site", "class", "seed", "base", "low", "high"])
            for i in range(500):
                out.writerow([f"sensor-{i}", f'"{i}", somewhere', "normal", i, 50, 30, 70])
        report = json.loads(self.torvyn("run", "--quiet", "--format", "json", DEVICES=table, MEMORY="2GiB", READINGS=200))
        self.assertEqual("kept", report["conservation"])
        self.assertEqual(500, len(report["flows"]))
        self.assertEqual(100000, report["records_in"])
        self.assertTrue(os.path.exists(os.path.join(self.folder, "alerts-sensor-499.jsonl")))

    def test_a_device_is_added_while_it_runs_and_one_too_many_is_refused(self):
        plan = json.loads(self.torvyn("plan", "--format", "json"))
        own = sum(line["reserved_bytes"] for line in plan["lines"] if line["group"] == "device")
        limit = plan["reserved_bytes"] + own * 3 // (2 * len(devices()))
        socket = os.path.join(self.folder, "c.sock")
        command = [TORVYN, "run", os.path.join(HERE, "fleet.yaml"), "--quiet", "--grace", "1h", "--control", socket]
        for name, value in {"COMPONENTS": COMPONENTS, "OUTPUT": self.folder, "MEMORY": limit, "RATE": 1,
                            "READINGS": 0}.items():
            command += ["--set", f"{name}={value}"]
        process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        deadline = time.monotonic() + DEADLINE_S
        while self.verb("ps", "--control", socket).returncode != 0:
            self.assertLess(time.monotonic(), deadline, "it never answered")
            time.sleep(0.01)
        row = {"site": "hall-9", "class": "normal", "seed": 7, "base": 50, "low": 30, "high": 70}
        added = self.add(socket, "sensor-1", id="sensor-1", **row)
        self.assertEqual(0, added.returncode, added.stderr)
        refused = self.add(socket, "sensor-2", id="sensor-2", **row)
        self.assertNotEqual(0, refused.returncode)
        self.assertRegex(refused.stderr, r"flow 'sensor-2' does not fit: it reserves .* bytes")
        self.assertIn("parameter site is missing", self.add(socket, "sensor-3", id="sensor-3").stderr)
        removed = self.verb("flow", "remove", "sensor-1", "--timeout", "1h", "--control", socket)
        self.assertEqual(0, removed.returncode, removed.stderr)
        again = self.add(socket, "sensor-2", id="sensor-2", **row) # there is room now
        self.assertEqual(0, again.returncode, again.stderr)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(0, process.wait(DEADLINE_S), process.stderr.read())
        process.stderr.close()
        self.assertEqual([], self.alerts("sensor-2"))

    def verb(self, *arguments):
        return subprocess.run([TORVYN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def add(self, socket, name, **parameters):
        values = [text for key, value in parameters.items() for text in ("--set", f"{key}={value}")]
        return self.verb("flow", "add", name, "template=device", *values, "--control", socket)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
