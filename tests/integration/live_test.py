"""Many flows of one run, changed and watched over the control socket while they work."""

import json
import os
import random
import shutil
import signal
import unittest

from harness import TERMINATE, component, main
from live import LiveCase


class Live(LiveCase):
    # ---- many flows -----------------------------------------------------------------------------------------------

    def test_two_hundred_flows_are_added_removed_and_paused_while_they_work(self):
        process = self.start_flows(200)
        chance = random.Random(7)
        names = [flow["name"] for flow in self.done(self.client.ask("ps", limit=500))["flows"]]
        self.assertEqual(200, len(names))
        other = self.connect()
        for step in range(120):
            what = chance.choice(("add", "remove", "now", "pause", "resume", "set"))
            name = chance.choice(names)
            if what == "add":
                self.done(self.client.ask("flow-add", flow={"name": f"new-{step}"}))
                names.append(f"new-{step}")
            elif what in ("remove", "now"):
                how = "now" if what == "now" else "drain"
                done = self.done(self.client.ask("flow-remove", flow=name, how=how))
                self.assertEqual([name], done["flows"])
                names.remove(name)
                self.refused("not-found", verb="flow-pause", flow=name)
            elif what == "set":
                # More than comes in: a drain takes as long as the flow's own limits make it take.
                self.done(self.client.ask("flow-set", flow=name, **{"class": "critical"}, rate={"records": 500}))
            else:
                self.done(self.client.ask("flow-" + what, flow=name))
            if step % 20 == 0:
                self.assertEqual(len(names), self.done(other.ask("top", limit=5))["total"])
        self.assertEqual(sorted(names), sorted(flow["name"] for flow in
                                               self.done(self.client.ask("ps", limit=500))["flows"]))
        code, report = self.stop(process)
        self.assertEqual((0, "drained"), (code, report["outcome"]))
        self.assertGreater(report["flows_removed"], 0)
        dropped = sum(report["dropped"].values())
        self.assertEqual(report["records_in"], report["records_out"] + dropped)

    def test_paused_flow_stands_still_and_goes_on(self):
        process = self.start_flows(3, rate=2000)
        self.done(self.client.ask("flow-pause", flow="line-0002"))
        self.wait_for(lambda: self.flow("line-0002")["state"] == "paused", "figures of after the pause")
        before = self.flow("line-0002")
        self.assertEqual("paused", before["bottleneck"]["why"])
        self.wait_for(lambda: self.flow("line-0001")["records_out"] > 1000, "the others to go on")
        self.assertEqual(before["records_out"], self.flow("line-0002")["records_out"])
        self.done(self.client.ask("flow-resume", match="line-*"))
        self.wait_for(lambda: self.flow("line-0002")["records_out"] > before["records_out"], "it to go on")
        self.assertEqual(0, self.stop(process)[0])

    def test_removing_all_flows_leaves_a_run_to_which_one_can_be_added(self):
        process = self.start_flows(5)
        self.assertEqual(5, self.done(self.client.ask("flow-remove", match="*"))["count"])
        self.assertEqual(0, self.done(self.client.ask("info"))["flows"]["total"])
        self.done(self.client.ask("flow-add", flow={"name": "again", "class": "high"}))
        self.wait_for(lambda: self.flow("again")["records_out"] > 0, "records")
        self.assertEqual("high", self.flow("again")["class"])
        code, report = self.stop(process)
        self.assertEqual((0, 5), (code, report["flows_removed"]))

    def test_new_parameters_replace_a_flow_and_wrong_ones_leave_it(self):
        process = self.start_flows(1, more=", parameters: { TARGET: one.txt }",
                                   sink='{ connector: file, path: "${TARGET}" }')
        self.wait_for_lines("one.txt", 1)
        self.refused("invalid", "TARGT", verb="flow-set", flow="line-0001", parameters={"TARGT": "two.txt"})
        self.refused("fault", "runs again", verb="flow-set", flow="line-0001",
                     parameters={"TARGET": "no/such/folder.txt"})
        at = len(self.lines("one.txt"))
        self.wait_for_lines("one.txt", at + 1)
        answer = self.done(self.client.ask("flow-set", flow="line-0001", parameters={"TARGET": "two.txt"}))
        self.assertTrue(answer["replaced"])
        self.wait_for_lines("two.txt", 1)
        self.assertEqual(0, self.stop(process)[0])

    def start_table(self):
        """Flows of a table and counted ones, each with a default that can be set."""
        self.write("devices.csv", "device,site\npump-1,north\npump-2,south\n")
        self.write("p.yaml", f"""version: 1
name: live
dead_letters: dead.jsonl
components:
  it: {{ file: "{component('pass')}", memory: 512KiB }}
channels:
  in: {{ connector: generator, sensors: 1, rate: 200 }}
  out: {{ connector: file, path: "${{site:-c${{index}}}}-${{flow}}-${{SUFFIX}}.txt", mode: truncate }}
stages:
  first: {{ component: it, from: in, to: out }}
flows:
  - {{ for_each: devices.csv, template: device, parameters: {{ SUFFIX: a, OTHER: "1" }} }}
  - {{ name: line, count: 3, template: line, parameters: {{ SUFFIX: a, OTHER: "1" }} }}
""".replace("${site:-c${index}}", "${site:-counted}${index}"))
        process = self.start("run", "p.yaml", "--control", "s", "--quiet", "--format", "json")
        self.wait_for(lambda: self.connects(process), "the control socket")
        return process

    def test_a_flow_made_anew_keeps_what_is_not_set(self):
        process = self.start_table()
        self.wait_for_lines("south2-pump-2-a.txt", 1)
        self.wait_for_lines("counted3-line-0003-a.txt", 1)
        for name, output in (("pump-2", "south2-pump-2-b.txt"), ("line-0003", "counted3-line-0003-b.txt")):
            self.done(self.client.ask("flow-set", flow=name, **{"class": "high"}, rate={"records": 150}))
            self.done(self.client.ask("flow-set", flow=name, cpu="300ms"))
            self.done(self.client.ask("flow-set", flow=name, parameters={"SUFFIX": "b"}))
            self.wait_for_lines(output, 1)
            self.done(self.client.ask("flow-pause", flow=name))
            self.done(self.client.ask("flow-set", flow=name, parameters={"OTHER": "2"}, quantum=7))
            flow = self.flow(name)
            self.assertEqual("paused", flow["state"])
            self.assertEqual({"class": "high", "quantum": 7, "turn": "0", "cpu": "300ms",
                              "rate": {"records": 150, "bytes": 0, "burst": "0"}}, flow["settings"])
            self.assertEqual(("high", 7), (flow["class"], flow["quantum"]))
            self.assertEqual("b", flow["parameters"]["SUFFIX"])
            self.assertEqual("2", flow["parameters"]["OTHER"])
            self.done(self.client.ask("flow-resume", flow=name))
            said = self.torvyn("ps", name, "--control", "./s").stdout
            self.assertIn("SUFFIX=b", said)
            self.assertIn("150 records/s", said)
        self.assertEqual(("south", 2), tuple(self.flow("pump-2")["parameters"][key] for key in ("site", "index")))
        self.done(self.client.ask("flow-set", flow="pump-1", parameters={"site": "west"}))
        self.wait_for_lines("west1-pump-1-a.txt", 1)
        self.assertEqual(0, self.stop(process)[0])

    def test_a_flow_that_comes_back_is_as_it_was(self):
        process = self.start_flows(1, more=", parameters: { TARGET: one.txt }",
                                   sink='{ connector: file, path: "${TARGET}" }')
        self.done(self.client.ask("flow-set", flow="line-0001", **{"class": "critical"}))
        self.done(self.client.ask("flow-pause", flow="line-0001"))
        self.refused("fault", "runs again", verb="flow-set", flow="line-0001", **{"class": "background"},
                     parameters={"TARGET": "no/such/folder.txt"})
        flow = self.flow("line-0001")
        self.assertEqual(("paused", "critical", "critical"), (flow["state"], flow["class"], flow["settings"]["class"]))
        self.assertEqual({"index": 1, "TARGET": "one.txt"}, flow["parameters"])
        self.assertEqual(0, self.stop(process)[0])

    def test_the_time_in_a_state_is_not_the_uptime(self):
        process = self.start_flows(1)
        self.wait_for(lambda: self.flow("line-0001")["uptime_s"] > 1, "a second")
        self.done(self.client.ask("flow-pause", flow="line-0001"))
        flow = self.flow("line-0001")
        self.assertGreater(flow["uptime_s"], flow["state_s"] + 1)
        said = self.torvyn("ps", "line-0001", "--control", "./s").stdout
        self.assertRegex(said, r"line-0001, paused for .*, made .* ago")
        self.assertEqual(0, self.stop(process)[0])

    def test_flow_that_does_not_fit_is_refused_with_the_numbers(self):
        process = self.start_flows(2)
        self.write("p.yaml", "")  # what was read at the start counts
        reserved = self.done(self.client.ask("flow-add", flow={"name": "more"}))["reserved_bytes"]
        self.assertGreater(reserved, 1 << 20)
        self.refused("exists", "'more'", verb="flow-add", flow={"name": "more"})
        self.refused("invalid", "did you mean 'class'", verb="flow-add", flow={"name": "x", "clas": "high"})
        self.assertEqual(0, self.stop(process)[0])

    def test_why_a_flow_cannot_be_added_is_said_with_its_status_and_place(self):
        self.write("p.yaml", f"""version: 1
name: live
components: {{ it: {{ file: "{component('slow')}", memory: 1MiB }} }}
channels:
  in: {{ connector: file, path: "${{INPUT}}", mode: follow, missing: "${{MISSING}}" }}
  out: {{ connector: file, path: /dev/null }}
stages:
  work:
    component: it
    from: in
    to: out
    config: {{ turns: "${{TURNS}}" }}
flows: [ {{ name: a, parameters: {{ INPUT: in.txt, MISSING: wait, TURNS: "1" }} }} ]
""")
        process = self.start("run", "p.yaml", "--control", "s", "--quiet", "--format", "json")
        self.wait_for(lambda: self.connects(process), "the control socket")
        self.refused("fault", "p.yaml:12:15: ", "config turns: expected an integer, found 'many'", verb="flow-add",
                     flow={"name": "b", "parameters": {"TURNS": "many"}})
        self.refused("not-found", "gone.txt", verb="flow-add",
                     flow={"name": "b", "parameters": {"INPUT": "gone.txt", "MISSING": "fail"}})
        done = self.torvyn("flow", "add", "b", "--set", "INPUT=gone.txt", "--set", "MISSING=fail", "--control", "./s")
        self.assertEqual((1, ""), (done.returncode, done.stdout), done.stderr)
        self.assertEqual(0, self.stop(process)[0])

    # ---- why it is slow ---------------------------------------------------------------------------------------------

    def bottleneck(self, name):
        found = self.flow(name)["bottleneck"]
        return found and (found["why"], found["stage"])

    def test_what_holds_a_flow_up_is_named(self):
        process = self.start_flows(2, rate=2000)
        self.wait_for(lambda: self.bottleneck("line-0001") in (("input", "first"), ("input", "last")), "input")
        shown = self.flow("line-0001")
        for stage in shown["stages"]:
            shares = [stage[share + "_percent"]
                      for share in ("running", "waiting_input", "waiting_worker", "waiting_room")]
            self.assertAlmostEqual(100, sum(shares), delta=0.01)
        self.assertFalse(shown["throttling"]["rate"]["now"])
        self.done(self.client.ask("flow-set", flow="line-0001", rate={"records": 20, "burst": "100ms"}))
        self.wait_for(lambda: self.bottleneck("line-0001") == ("rate", "first"), "its rate to hold it back")
        self.wait_for(lambda: self.flow("line-0001")["throttling"]["rate"]["s"] > 0, "the time of that")
        top = self.done(self.client.ask("top"))
        self.assertEqual(2, sum(worker["flows"] for worker in top["workers"]))
        self.assertGreater(sum(worker["turns"] for worker in top["workers"]), 0)
        self.assertGreater(sum(worker["throttles"] for worker in top["workers"]), 0)
        self.assertGreater(self.done(self.client.ask("info"))["scheduler"]["turns"], 0)
        _, report = self.stop(process, grace_ms=0)
        self.assertGreater(report["scheduler"]["throttles"], 0)
        self.assertGreater(report["scheduler"]["busy_s"], 0)
        limited = next(flow for flow in report["flows"] if flow["name"] == "line-0001")
        self.assertGreater(limited["throttling"]["rate"]["times"], 0)
        self.assertGreater(limited["stages"][0]["waited_s"]["input"], 0)

    def test_output_that_takes_no_more_is_named(self):
        process = self.start_flows(1, rate=20000, sink="{ connector: file, path: /dev/full }")
        self.wait_for(lambda: self.bottleneck("line-0001") == ("room", "out"), "the channel")
        self.stop(process, how="now")

    # ---- tap ------------------------------------------------------------------------------------------------------

    def test_tap_shows_what_passes_and_ends_with_its_flow(self):
        process = self.start_flows(2, rate=500)
        tap = self.client.send("tap", flow="line-0001", at="first", field="device", limit=3)
        self.assertEqual("first", self.done(self.client.next_of(tap))["at"])
        sequences = []
        for _ in range(3):
            event = self.client.next_of(tap)["event"]
            self.assertEqual(("json", "first -> last"), (event["encoding"], event["queue"]))
            self.assertIn("device", event["payload"])
            sequences.append(event["sequence"])
        self.assertEqual(list(range(sequences[0], sequences[0] + 3)), sequences)
        self.assertEqual("limit", self.client.next_of(tap)["reason"])
        tap = self.client.send("tap", flow="line-0001", at="out", contains="nothing has this")
        self.done(self.client.next_of(tap))
        self.done(self.client.ask("flow-remove", flow="line-0001"))
        end = self.client.next_of(tap)
        self.assertEqual((True, "ended", 0), (end["done"], end["reason"], end["shown"]))
        tap = self.client.send("tap", flow="line-0002", at="in")
        self.done(self.client.next_of(tap))
        self.done(self.client.ask("cancel", stream=tap))
        self.refused("not-found", "did you mean 'line-0002'", verb="tap", flow="lin-0002", at="in")
        self.refused("invalid", "did you mean 'first'", verb="tap", flow="line-0002", at="frist")
        self.refused("invalid", "regex", verb="tap", flow="line-0002", at="in", regex="(")
        self.assertEqual(0, self.stop(process)[0])

    # ---- bad clients ----------------------------------------------------------------------------------------------

    def test_random_requests_are_answered_and_harm_nobody(self):
        process = self.start_flows(3)
        chance = random.Random(11)
        verbs = ["ping", "info", "ps", "top", "flow-add", "flow-pause", "flow-resume", "flow-set", "tap", "cancel", ""]
        names = ["flow", "match", "state", "class", "sort", "limit", "offset", "how", "at", "rate", "parameters",
                 "stream", "regex", "equals", "field", "turn", "cpu", "quantum", "port", "reverse"]
        values = [None, True, -1, 0, 1, 1e300, 2**63, "", "line-0001", "first", "*", "[", "\u0000", "x" * 300, [], {},
                  ["running"], {"name": 1}, {"name": "a/b"}, {"records": -1}, "critical", "2ms"]
        for _ in range(600):
            fields = {chance.choice(names): chance.choice(values) for _ in range(chance.randrange(4))}
            number = self.client.send(chance.choice(verbs), **fields)
            self.assertIn("ok", self.client.next_of(number))
        for _ in range(200):
            self.client.socket.sendall(bytes(chance.choice(b'{}[]":,\\0a ') for _ in range(40)) + b"\n")
        self.done(self.client.ask("flow-resume", match="*"))
        fresh = self.connect()
        self.assertEqual(3, self.done(fresh.ask("info"))["flows"]["total"])
        self.client = fresh
        self.assertEqual(0, self.stop(process)[0])

    def test_client_that_does_not_read_is_dropped_and_the_flows_go_on(self):
        process = self.start_flows(50)
        slow = self.connect()
        slow.socket.setblocking(False)
        try:
            for number in range(10000):  # until neither side takes any more
                slow.socket.send(json.dumps({"id": number % 30, "verb": "ps", "limit": 50}).encode() + b"\n")
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass
        self.wait_for(lambda: self.client.ask("info")["control"]["clients_dropped"] == 1, "the drop")
        before = self.flow("line-0001")["records_out"]
        self.wait_for(lambda: self.flow("line-0001")["records_out"] > before, "records")
        self.assertEqual(0, self.stop(process)[0])

    # ---- the end --------------------------------------------------------------------------------------------------

    def stop_by_hand(self, *more):
        done = self.torvyn("stop", "--control", "./s", "--format", "json", *more)
        return done.returncode, json.loads(done.stdout)

    def test_stop_returns_when_the_process_has_ended(self):
        process = self.start_flows(3)
        code, said = self.stop_by_hand("--drain")
        self.assertEqual((0, True, 0, 0, []), (code, said["complete"], said["left"], said["dropped"], said["flows"]))
        with open(f"/proc/{process.pid}/stat", encoding="utf-8") as file:  # of it there is only what its parent asks for
            self.assertEqual("Z", file.read().rsplit(")", 1)[1].split()[0])
        self.assertEqual(0, self.finish(process)[0])

    def test_stop_says_what_was_left_by_flow_and_fails(self):
        process = self.start_flows(1, rate=20000, sink="{ connector: file, path: /dev/full }")
        self.wait_for(lambda: self.bottleneck("line-0001") == ("room", "out"), "an output that takes no more")
        code, said = self.stop_by_hand("--drain", "--grace", "50ms")
        self.assertEqual((1, False, True), (code, said["complete"], said["grace_over"]))
        self.assertGreater(said["left"] + said["dropped"], 0)
        self.assertEqual(["line-0001"], [flow["name"] for flow in said["flows"]])
        self.assertEqual(said["left"], said["flows"][0]["left"])
        self.assertEqual(1, self.finish(process)[0])

    def test_what_was_dropped_before_the_stop_is_not_its_doing(self):
        self.write("p.yaml", f"""version: 1
name: live
dead_letters: dead.jsonl
components:
  it: {{ file: "{component('pass')}", memory: 512KiB }}
channels:
  in: {{ connector: generator, sensors: 1, rate: 20000, overflow: drop-oldest, queue: {{ bytes: 128KiB, records: 64 }} }}
  out: {{ connector: file, path: out.txt, mode: truncate }}
stages:
  first: {{ component: it, from: in, to: out }}
flows: [ {{ name: a }} ]
""")
        process = self.start("run", "p.yaml", "--control", "s", "--quiet", "--format", "json")
        self.wait_for(lambda: self.connects(process), "the control socket")
        self.done(self.client.ask("flow-pause", flow="a"))
        self.wait_for(lambda: self.flow("a")["dropped_total"] > 1000, "drops")
        self.done(self.client.ask("flow-resume", flow="a"))
        self.wait_for(lambda: self.flow("a")["channels"][0]["queued"] < 60, "its queue to be worked off")
        code, said = self.stop_by_hand("--drain")
        self.assertLess(said["dropped"], 1000, said)
        self.assertEqual(said["complete"], code == 0)
        report = json.loads(self.finish(process)[1])
        self.assertGreater(sum(report["dropped"].values()), 1000)

    def test_a_drain_lifts_the_rate_of_a_flow(self):
        process = self.start_flows(1, rate=2000, more=", rate: { records: 1, burst: 1s }")
        self.wait_for(lambda: self.flow("line-0001")["channels"][0]["queued"] > 400, "a queue that is full")
        code, said = self.stop_by_hand("--drain", "--grace", "30s")
        self.assertEqual((0, True, 0), (code, said["complete"], said["left"]), said)
        self.assertEqual(0, self.finish(process)[0])

    def test_a_drain_does_not_wait_for_a_back_off(self):
        self.write("in.txt", "trap\n" * 20)
        self.write("p.yaml", f"""version: 1
name: live
dead_letters: dead.jsonl
components:
  it: {{ file: "{component('trouble')}", memory: 512KiB }}
channels:
  in: {{ connector: file, path: in.txt, mode: follow }}
  out: {{ connector: file, path: out.txt, mode: truncate }}
stages:
  work: {{ component: it, from: in, to: out, restart: {{ limit: 100, window: 1h, backoff: 1h, backoff_max: 1h }} }}
""")
        process = self.start("run", "p.yaml", "--control", "s", "--quiet", "--format", "json")
        self.wait_for(lambda: self.connects(process), "the control socket")
        self.wait_for(lambda: self.flow("live")["faults"] == 2, "the second fault, after which it backs off")
        code, said = self.stop_by_hand("--drain", "--grace", "30s")
        self.assertEqual((0, True), (code, said["complete"]), said)
        report = json.loads(self.finish(process)[1])
        self.assertEqual(20, report["dead_lettered"])

    def test_stop_now_ends_without_a_drain_and_says_so(self):
        process = self.start_flows(3)
        code, report = self.stop(process, how="now")
        self.assertIn((code, report["outcome"]), [(1, "stopped"), (0, "drained")])  # there may be nothing left to drain
        self.assertEqual(report["records_in"], report["records_out"] + sum(report["dropped"].values()))

    def test_nothing_is_paused_or_changed_during_the_last_drain(self):
        process = self.start_flows(1, rate=20000, sink="{ connector: file, path: /dev/full }")
        self.wait_for(lambda: self.bottleneck("line-0001") == ("room", "out"), "an output that takes no more")
        self.done(self.client.ask("stop", grace_ms=3600000))
        for verb, more in (("flow-pause", {}), ("flow-resume", {}), ("flow-set", {"class": "high"})):
            self.refused("busy", "the pipeline is stopping", verb=verb, flow="line-0001", **more)
        self.assertEqual("draining", self.client.ask("info")["phase"])
        self.stop(process, how="now")

    def test_second_run_on_the_same_socket_is_refused_and_a_dead_one_is_replaced(self):
        process = self.start_flows(1)
        second = self.torvyn("run", "p.yaml", "--control", "s")
        self.assertEqual(1, second.returncode)
        self.assertIn(f"process {process.pid} listens", second.stderr)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = self.start_flows(1)
        process.send_signal(TERMINATE)
        self.assertEqual(0, self.finish(process)[0])

    def test_second_run_of_a_file_is_refused_with_how_to_start_two(self):
        self.stop(self.start_flows(1), how="now")  # for p.yaml
        first = self.start("run", "p.yaml", "--quiet", "--format", "json")
        self.wait_for(lambda: self.torvyn("ps", "--control", "live").returncode == 0, "the first to run")
        second = self.torvyn("run", "p.yaml")
        self.assertEqual(1, second.returncode, second.stderr)
        for word in ("'live' runs already", f"process {first.pid}", "--name live-2", "torvyn stop --control live"):
            self.assertIn(word, second.stderr)
        other = self.start("run", "p.yaml", "--name", "other", "--quiet", "--format", "json")
        self.wait_for(lambda: self.torvyn("ps", "--control", "other").returncode == 0, "the other to run")
        self.assertIn("2 pipelines run", self.torvyn("ps").stderr)
        for name, process in (("live", first), ("other", other)):
            said = self.torvyn("stop", "--control", name)
            self.assertEqual((0, f"{name}: stopped\n"), (said.returncode, said.stdout), said.stderr)
            self.finish(process)
        wrong = self.torvyn("run", "p.yaml", "--name", "a b")
        self.assertEqual(64, wrong.returncode)
        self.assertIn("'a b' cannot be a name", wrong.stderr)

    @unittest.skipIf(os.geteuid() != 0, "only root looks at other users'")
    def test_root_finds_what_other_users_run(self):
        user = 200000 + os.getpid()
        name = f"of-{user}"
        self.stop(self.start_flows(1), how="now")  # for p.yaml
        os.chmod(self.folder, 0o777)
        folder = f"/tmp/torvyn-{user}"
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        environment = {"TORVYN_RUNTIME_DIR": "", "XDG_RUNTIME_DIR": "", "HOME": self.folder}
        process = self.start("run", "p.yaml", "--name", name, "--quiet", "--format", "json", env=environment, user=user)
        found = f"{name} (running, process {process.pid})"
        self.wait_for(lambda: process.poll() is not None or
                      found in self.torvyn("ps", "--control", name, env=environment).stdout, "root to find it")
        self.assertIsNone(process.poll(), process.stderr.read() if process.poll() is not None else "")
        os.chown(folder, 1, 1)  # a stranger's folder
        self.assertNotEqual(0, self.torvyn("ps", "--control", name, env=environment).returncode)
        os.chown(folder, user, user)
        self.assertEqual(0, self.torvyn("stop", "--control", name, env=environment).returncode)
        self.assertEqual(0, self.finish(process)[0])


if __name__ == "__main__":
    main()
