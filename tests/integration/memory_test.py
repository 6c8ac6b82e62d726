"""What `torvyn plan` reserves is an upper bound: the resident size of a run under the worst load that can be made stays
below it. Components take their whole budget and touch every page; queues fill to the brim behind a slow last stage, or
behind a reader that waits until they are full.
Each test also shows that the load was the worst: what did not fill would prove nothing.
"""

import json

from harness import TERMINATE, Case, component, main

RECORD = 4000
# To touch every page of a budget takes tens of milliseconds, on a busy machine more than the usual 100.
TIME = "cpu: { record: 1m, call: 10m }"


class Reserved(Case):
    def worst_load(self, flows, stages, memory, queue_bytes, workers, sink='connector: file, path: "${flow}.txt"'):
        """A chain of `stages` in each of `flows`, the last one slow, with input for four times all queues."""
        text = [
            "version: 1\nname: worst\n",
            f"limits: {{ workers: {workers} }}\n",
            "components:\n",
            f'  hoard: {{ file: "{component("hoard")}", memory: {memory}, {TIME} }}\n',
            f'  slow: {{ file: "{component("slow")}", memory: {memory}, {TIME} }}\n',
            "channels:\n",
            f"  in: {{ connector: file, path: in.txt, max_record: 8KiB, queue: {{ bytes: {queue_bytes} }} }}\n",
            f"  out: {{ {sink}, queue: {{ bytes: {queue_bytes} }} }}\n",
            "stages:\n",
        ]
        before = "in"
        for index in range(stages):
            last = index == stages - 1
            source = before if before == "in" else f"{{ stage: {before}, queue: {{ bytes: {queue_bytes} }} }}"
            more = ", to: out, batch: { records: 1 }, config: { turns: 20000 }" if last else ""
            text.append(f"  s{index}: {{ component: {'slow' if last else 'hoard'}, from: {source}{more} }}\n")
            before = f"s{index}"
        text.append(f"flows:\n  - {{ name: f, count: {flows}, quantum: 1024 }}\n")
        self.write("p.yaml", "".join(text))
        count = (stages + 1) * queue_bytes // RECORD * 4
        self.write("in.txt", "".join(f"{i:0{RECORD}}\n" for i in range(count)))
        return count

    def measure(self, flows, records, run=None):
        plan = json.loads(self.torvyn("plan", "p.yaml", "--format", "json").stdout)
        report = run(flows) if run else self.run_json("p.yaml")
        self.assertEqual(flows * records, report["records_out"])
        self.assertEqual(flows, len(report["flows"]))
        self.assertGreater(report["rss_peak_bytes"], 4 << 20)
        self.assertLess(report["rss_peak_bytes"], plan["reserved_bytes"])
        return plan, report

    # Who is to write needs room for two or three of the largest records, in one piece.
    @staticmethod
    def is_full(queued_bytes, queue):
        return queued_bytes > queue["capacity_bytes"] * 7 // 8

    def all_full(self, flows):
        for name in (f"f-{i:04}" for i in range(1, flows + 1)):
            done = self.torvyn("ps", name, "--control", self.path("c.sock"), "--format", "json")
            if done.returncode != 0:
                return False  # it does not listen yet
            flow = json.loads(done.stdout)
            # That of the input was full when its source was paused.
            inner = [queue for queue in flow["queues"] if not queue["name"].startswith("in ->")]
            if not all(self.is_full(queue["queued_bytes"], queue) for queue in inner):
                return False
            if not flow["channels"][0]["paused"]:
                return False
        return True

    def run_to_a_reader_that_waits(self, flows):
        process = self.start("run", "p.yaml", "--quiet", "--format", "json", "--control", self.path("c.sock"))
        self.wait_for(lambda: self.all_full(flows), "all queues full")
        code, _, errors = self.finish(process)
        self.assertEqual(0, code, errors)
        report = json.loads(errors)
        self.assert_balanced(report)
        return report

    def assert_grown(self, report):
        for flow in report["flows"]:
            for stage in flow["stages"][:-1]:
                self.assertEqual(stage["memory_bytes_max"], stage["memory_bytes_peak"], stage["name"])

    def test_one_small_flow(self):
        records = self.worst_load(flows=1, stages=2, memory="256KiB", queue_bytes=131072, workers=1)
        _, report = self.measure(1, records)
        self.assert_grown(report)

    def test_full_queues_and_grown_components(self):
        records = self.worst_load(flows=2, stages=4, memory="2MiB", queue_bytes=262144, workers=2,
                                  sink="connector: stdio")
        plan, report = self.measure(2, records, self.run_to_a_reader_that_waits)
        self.assert_grown(report)
        for flow in report["flows"]:
            for edge in flow["edges"]:
                self.assertTrue(self.is_full(edge["queued_bytes_peak"], edge), edge["name"])
        self.assertGreater(report["rss_peak_bytes"], plan["expected_bytes"] // 2)

    def test_many_flows(self):
        records = self.worst_load(flows=150, stages=2, memory="256KiB", queue_bytes=131072, workers=2)
        _, report = self.measure(150, records)
        self.assert_grown(report)


class Pressure(Case):
    """With `limits.overcommit` the sources of less important flows wait while memory is scarce."""

    def start_two(self):
        self.write(
            "p.yaml",
            f"""version: 1
name: two
dead_letters: dead.jsonl
limits: {{ memory: 64MiB, overcommit: true, workers: 1 }}
components:
  hoard: {{ file: "{component("hoard")}", memory: 128MiB, {TIME} }}
channels:
  in: {{ connector: file, path: "${{flow}}.in", mode: follow, max_record: 1KiB, queue: {{ bytes: 16KiB }} }}
  out: {{ connector: file, path: "${{flow}}.out", queue: {{ bytes: 128KiB }} }}
stages:
  work: {{ component: hoard, from: in, to: out, config: {{ take: "${{TAKE}}" }} }}
flows:
  - {{ name: important, class: critical, parameters: {{ TAKE: 0 }} }}
  - {{ name: late, class: background, parameters: {{ TAKE: {58 << 20} }} }}
""",
        )
        for name in ("important.in", "late.in"):
            self.write(name, "first\n")
        with open(self.path("log"), "wb") as log:
            return self.start("run", "p.yaml", "--quiet", "--control", self.path("c.sock"), stderr=log)

    def input_of(self, flow):
        done = self.torvyn("ps", flow, "--control", self.path("c.sock"), "--format", "json")
        self.assertEqual(0, done.returncode, done.stderr)
        channels = json.loads(done.stdout)["channels"]
        return next(channel for channel in channels if channel["name"] == "in")

    def append(self, name, text):
        with open(self.path(name), "a", encoding="utf-8") as file:
            file.write(text)

    def test_background_sources_wait_and_critical_ones_do_not(self):
        process = self.start_two()
        self.wait_for_lines("important.out", 1)
        self.wait_for(lambda: "in use" in self.read("log"), "a line about scarce memory")
        self.assertRegex(self.read("log"), r"MiB of 64 MiB in use: (sources of background|only critical)")
        self.wait_for(lambda: self.input_of("late")["paused"], "the background flow's source waits")
        taken = self.input_of("late")["records"]
        self.assertFalse(self.input_of("important")["paused"])
        self.append("late.in", "second\n")
        self.append("important.in", "second\n")
        self.wait_for_lines("important.out", 2)
        self.assertEqual(taken, self.input_of("late")["records"])
        process.send_signal(TERMINATE)
        self.assertEqual(0, self.finish(process)[0], self.read("log"))
        self.assertEqual(["first", "second"][:taken], self.lines("late.out")[:taken])

    def test_growth_beyond_the_limit_is_refused_and_the_others_go_on(self):
        count, take = 4, 58 << 20  # each alone fits, together they do not
        flows = "".join(f"  - {{ name: f{i} }}\n" for i in range(count))
        self.write("p.yaml", f"""version: 1
name: grown
dead_letters: dead.jsonl
limits: {{ memory: 64MiB, overcommit: true, workers: 1 }}
components:
  hoard: {{ file: "{component("hoard")}", memory: 128MiB, {TIME} }}
channels:
  in: {{ connector: file, path: "${{flow}}.in", max_record: 1KiB, queue: {{ bytes: 16KiB }} }}
  out: {{ connector: file, path: "${{flow}}.out", queue: {{ bytes: 128KiB }} }}
stages:
  work: {{ component: hoard, from: in, to: out, config: {{ take: {take} }} }}
flows:
{flows}""")
        for i in range(count):
            self.write(f"f{i}.in", "first\n")
        done = self.torvyn("run", "p.yaml", "--format", "json")
        self.assertEqual(0, done.returncode, done.stderr)
        report = json.loads(done.stdout)
        self.assertGreater(report["memory_growths_refused"], 0)
        self.assertLess(report["rss_peak_bytes"], 64 << 20)
        self.assertIn("more memory than is left", done.stderr)
        for i in range(count):
            self.assertEqual(["first"], self.lines(f"f{i}.out"))


if __name__ == "__main__":
    main()
