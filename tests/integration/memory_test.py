"""What `torvyn plan` reserves is an upper bound: the resident size of a run under the worst load that can be made stays
below it. Components take their whole budget and touch every page; queues fill to the brim behind a slow last stage.
Each test also shows that the load was the worst: what did not fill would prove nothing.
"""

import json

from harness import Case, component, main

RECORD = 4000


class Reserved(Case):
    def worst_load(self, flows, stages, memory, queue_bytes, workers):
        """A chain of `stages` in each of `flows`, the last one slow, with input for four times all queues."""
        text = [
            "version: 1\nname: worst\n",
            f"limits: {{ workers: {workers} }}\n",
            "components:\n",
            f'  hoard: {{ file: "{component("hoard")}", memory: {memory} }}\n',
            f'  slow: {{ file: "{component("slow")}", memory: {memory} }}\n',
            "channels:\n",
            f"  in: {{ connector: file, path: in.txt, max_record: 8KiB, queue: {{ bytes: {queue_bytes} }} }}\n",
            f'  out: {{ connector: file, path: "${{flow}}.txt", queue: {{ bytes: {queue_bytes} }} }}\n',
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

    def measure(self, flows, records):
        plan = json.loads(self.torvyn("plan", "p.yaml", "--format", "json").stdout)
        report = self.run_json("p.yaml")
        self.assertEqual(flows * records, report["records_out"])
        self.assertEqual(flows, len(report["flows"]))
        self.assertGreater(report["rss_peak_bytes"], 4 << 20)
        self.assertLess(report["rss_peak_bytes"], plan["reserved_bytes"])
        return plan, report

    def assert_grown(self, report):
        for flow in report["flows"]:
            for stage in flow["stages"][:-1]:
                self.assertEqual(stage["memory_bytes_max"], stage["memory_bytes_peak"], stage["name"])

    def test_one_small_flow(self):
        records = self.worst_load(flows=1, stages=2, memory="256KiB", queue_bytes=131072, workers=1)
        _, report = self.measure(1, records)
        self.assert_grown(report)

    def test_full_queues_and_grown_components(self):
        records = self.worst_load(flows=2, stages=4, memory="2MiB", queue_bytes=262144, workers=2)
        plan, report = self.measure(2, records)
        self.assert_grown(report)
        for flow in report["flows"]:
            for edge in flow["edges"]:
                if edge["name"].endswith("-> out"):
                    continue  # the connector takes it away as it comes
                # A record more would not have fitted behind the skip record at the ring's end.
                self.assertGreater(edge["queued_bytes_peak"], edge["capacity_bytes"] - 2 * 8192, edge["name"])
        self.assertGreater(report["rss_peak_bytes"], plan["expected_bytes"] // 2)

    def test_many_flows(self):
        records = self.worst_load(flows=150, stages=2, memory="256KiB", queue_bytes=131072, workers=2)
        _, report = self.measure(150, records)
        self.assert_grown(report)


if __name__ == "__main__":
    main()
