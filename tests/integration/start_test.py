"""Flows that cannot start: they fail, with retries; the others run. With --strict, all or none."""

import json
import os
import unittest

from harness import Case, component

RETRIES = ", restart: { backoff: 10ms, backoff_max: 20ms }"


class Starts(Case):
    def pipeline(self, more=RETRIES, of="pass", component_more="", config="", assets="", rows=("a", "b", "c")):
        self.write("flows.csv", "NAME\n" + "".join(name + "\n" for name in rows))
        self.write("p.yaml", f"""
version: 1
name: test
dead_letters: dead.jsonl
components: {{ c: {{ file: {component(of)}, memory: 1MiB{component_more} }} }}
channels:
  in: {{ connector: file, path: "${{NAME}}.txt" }}
  out: {{ connector: file, path: "${{NAME}}.out", mode: truncate }}
stages: {{ s: {{ component: c, from: in, to: out{more}{config}{assets} }} }}
flows: [ {{ name: "${{NAME}}", for_each: flows.csv }} ]
""")

    def inputs(self, *names):
        for name in names:
            self.write(name + ".txt", "1\n2\n")

    def summary(self, *more):
        done = self.torvyn("run", "p.yaml", "--format", "json", *more)
        return done, {flow["name"]: flow for flow in json.loads(done.stdout)["flows"]}

    def assert_done(self, *names):
        for name in names:
            self.assertEqual("1\n2\n", self.read(name + ".out"), name)

    def test_missing_input_of_one_flow_leaves_the_others_alone(self):
        self.pipeline()
        self.inputs("a", "c")
        done, flows = self.summary()
        self.assertEqual(1, done.returncode)
        self.assert_done("a", "c")
        self.assertEqual(("ended", "failed"), (flows["a"]["state"], flows["b"]["state"]))
        self.assertRegex(flows["b"]["failure"], r"channel b/in: cannot read b\.txt: No such file")
        self.assertEqual(6, flows["b"]["starts_failed"])  # the first, and five restarts
        self.assertEqual("kept", json.loads(done.stdout)["conservation"])

    def test_missing_asset_of_one_flow_leaves_the_others_alone(self):
        self.pipeline(assets=', assets: { table: "${NAME}.csv" }')
        self.inputs("a", "b", "c")
        self.write("a.csv", "")
        self.write("c.csv", "x")
        self.assertEqual(78, self.torvyn("check", "p.yaml").returncode)
        self.assertEqual(78, self.torvyn("run", "p.yaml", "--strict").returncode)
        done, flows = self.summary()
        self.assertEqual(1, done.returncode)
        self.assert_done("a", "c")
        self.assertRegex(flows["b"]["failure"], r"stage s: asset: .*b\.csv")

    def test_component_that_refuses_in_one_flow_leaves_the_others_alone(self):
        self.pipeline(of="slow", config=', config: { start_turns: "${TURNS}", turns: 1 }')
        self.write("flows.csv", "NAME,TURNS\na,1\nb,-1\nc,1\n")
        self.inputs("a", "b", "c")
        done, flows = self.summary()
        self.assertEqual(1, done.returncode)
        self.assert_done("a", "c")
        self.assertEqual("failed", flows["b"]["state"])
        self.assertIn("stage s: the component could not start", flows["b"]["failure"])
        self.assertIn("p.yaml", flows["b"]["failure"])

    def test_component_that_loops_at_its_start_leaves_the_others_alone(self):
        self.pipeline(of="slow", component_more=", cpu: { record: 20ms, call: 1s }",
                      config=', config: { start_turns: "${TURNS}", turns: 1 }')
        self.write("flows.csv", "NAME,TURNS\na,1\nb,9000000000000000000\nc,1\n")
        self.inputs("a", "b", "c")
        done, flows = self.summary()
        self.assertEqual(1, done.returncode)
        self.assert_done("a", "c")
        self.assertIn("CPU budget", flows["b"]["failure"])

    def test_with_restart_mode_stop_it_is_tried_once(self):
        self.pipeline(more=", restart: { mode: stop }")
        self.inputs("a", "c")
        done, flows = self.summary()
        self.assertEqual((1, 1), (done.returncode, flows["b"]["starts_failed"]))

    def test_strict_starts_all_or_none(self):
        self.pipeline()
        self.inputs("a", "c")
        done = self.torvyn("run", "p.yaml", "--strict")
        self.assertEqual(1, done.returncode)
        self.assertRegex(done.stderr, r"channel b/in: cannot read b\.txt")
        self.assertFalse(os.path.exists(self.path("a.out")) and self.read("a.out"))

    def test_where_none_can_start_the_run_does_not(self):
        self.pipeline()
        done = self.torvyn("run", "p.yaml", "--format", "json", "--quiet")
        self.assertEqual(1, done.returncode)
        self.assertIn("a.txt", json.loads(done.stdout)["diagnostics"][-1]["message"])

    def state_of(self, name):
        done = self.torvyn("ps", name, "--format", "json")
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def test_ps_says_when_it_is_tried_next_and_it_runs_as_soon_as_it_can(self):
        self.pipeline(more=", restart: { limit: 10000, backoff: 50ms, backoff_max: 50ms }")
        self.inputs("a", "c")
        process = self.start("run", "p.yaml", "--format", "json")
        self.wait_for(lambda: self.state_of("b").get("next_start_s") is not None, "a retry that ps shows")
        self.assertIsNone(process.poll())
        self.inputs("b")
        code, output, errors = self.finish(process)
        self.assertEqual(0, code, errors)
        self.assert_done("a", "b", "c")
        flow = next(flow for flow in json.loads(output)["flows"] if flow["name"] == "b")
        self.assertEqual("ended", flow["state"])
        self.assertGreater(flow["starts_failed"], 0)

    def test_flow_that_waits_for_its_start_can_be_removed(self):
        self.pipeline(more=", restart: { limit: 10, backoff: 1h, backoff_max: 1h }")
        self.inputs("a", "c")
        process = self.start("run", "p.yaml", "--format", "json")
        self.wait_for(lambda: (self.state_of("b").get("next_start_s") or 0) > 1, "the long back-off")
        self.assertEqual(0, self.torvyn("flow", "remove", "b").returncode)
        code, output, errors = self.finish(process)
        self.assertEqual({"a", "c"}, {flow["name"] for flow in json.loads(output)["flows"]})

    def test_signal_ends_a_run_that_waits_for_a_start(self):
        self.pipeline(more=", restart: { limit: 10, backoff: 1h, backoff_max: 1h }")
        self.inputs("a", "c")
        process = self.start("run", "p.yaml", "--format", "json")
        self.wait_for(lambda: (self.state_of("b").get("next_start_s") or 0) > 1, "the long back-off")
        process.terminate()
        code, output, errors = self.finish(process)
        self.assertEqual(1, code, errors)
        self.assert_done("a", "c")


if __name__ == "__main__":
    unittest.main()
