"""The verbs that speak to a running pipeline, against a socket that says what the test wants."""

import json
import os
import socket
import unittest

from fake_gateway import INFO, FakeGateway, flow, full_flow, refusal
from harness import INTERRUPT, Case, main


class ControlCase(Case):
    def gateway(self, answers=None, name="gateway"):
        gateway = FakeGateway(os.path.join(self.folder, "torvyn", name + ".sock"), answers)
        self.addCleanup(gateway.close)
        return gateway

    def succeed(self, *arguments):
        done = self.torvyn(*arguments)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        return done.stdout

    def fail_with(self, code, *arguments):
        done = self.torvyn(*arguments)
        self.assertEqual((code, ""), (done.returncode, done.stdout), done.stderr)
        return done.stderr


class Finding(ControlCase):
    @unittest.skipIf(os.geteuid() != 0, "only root can give a folder away")
    def test_a_folder_of_somebody_else_is_passed_over(self):
        self.gateway()
        os.chown(self.path("torvyn"), 12345, 12345)
        self.assertIn("torvyn belongs to another user", self.fail_with(69, "ps"))

    def test_nothing_that_runs_is_said_with_where_it_was_looked_for(self):
        for verb in (["ps"], ["flow", "pause", "a"], ["tap", "a/b"], ["stop"]):
            said = self.fail_with(69, *verb)
            self.assertIn("no running torvyn found", said)
            self.assertIn(os.path.join(self.folder, "torvyn"), said)
            self.assertIn("torvyn run FILE", said)

    def test_refusals_are_json_where_json_is_wanted(self):
        def error_of(code, *arguments):
            done = self.torvyn(*arguments, "--format", "json")
            self.assertEqual((code, ""), (done.returncode, done.stderr), done.stdout)
            return json.loads(done.stdout)["error"]

        verbs = (["ps"], ["ps", "a"], ["top"], ["flow", "pause", "a"], ["tap", "a/b"], ["stop"])
        for verb in verbs:
            error = error_of(69, *verb)
            self.assertEqual("not-found", error["status"])
            self.assertIn("no running torvyn found", error["message"])
        self.gateway({verb: refusal("busy", "not now") for verb in ("ps", "top", "flow-pause", "tap", "stop")})
        for verb in verbs:
            self.assertEqual({"status": "busy", "message": "not now"}, error_of(1, *verb))

    def test_the_only_one_that_runs_is_found(self):
        self.gateway({"stop": {"how": "drain"}})
        self.assertEqual("gateway: stopping\n", self.succeed("stop", "--no-wait"))

    def test_of_several_one_must_be_chosen_and_may_be_by_name(self):
        self.gateway({"stop": {"how": "drain"}})
        other = self.gateway({"stop": {"how": "drain"}}, name="other")
        said = self.fail_with(69, "stop", "--no-wait")
        self.assertIn("2 pipelines run", said)
        self.assertIn("other", said)
        self.succeed("stop", "--no-wait", "--control", "other")
        self.succeed("stop", "--no-wait", "--control", other.path)
        self.assertEqual(2, len(other.wait_for("stop", 2)))

    def test_a_name_that_does_not_run_is_said(self):
        self.gateway()
        self.assertIn("no running pipeline 'factory' found", self.fail_with(69, "ps", "--control", "factory"))

    def test_a_socket_that_nobody_listens_on_is_passed_over(self):
        os.makedirs(self.path("torvyn"))
        left = socket.socket(socket.AF_UNIX)
        left.bind(self.path("torvyn/left.sock"))
        left.close()
        self.assertIn("no running torvyn found", self.fail_with(69, "ps"))
        self.assertIn("nobody listens", self.fail_with(69, "ps", "--control", self.path("torvyn/left.sock")))
        self.assertIn("there is no socket", self.fail_with(69, "ps", "--control", self.path("none.sock")))

    def test_what_is_no_socket_is_said_and_one_in_this_folder_is_pointed_to(self):
        self.write("file", "")
        self.assertIn("file is no socket", self.fail_with(69, "ps", "--control", self.path("file")))
        here = socket.socket(socket.AF_UNIX)
        self.addCleanup(here.close)
        here.bind(self.path("here"))
        self.assertIn("--control ./here", self.fail_with(69, "ps", "--control", "here"))

    def test_a_path_too_long_for_a_socket_is_said(self):
        self.assertIn("at most 107 bytes", self.fail_with(69, "ps", "--control", "/" + "x" * 200))

    def test_nonsense_from_the_far_side_is_an_error(self):
        for nonsense in (b"HTTP/1.1 400 Bad Request\n", b"[1]\n", b"\n", b'{"id":1,"ok":tru\n'):
            gateway = self.gateway({"ps": nonsense})
            self.assertIn("is it Torvyn's?", self.fail_with(1, "ps"))
            gateway.close()

    def test_a_line_beyond_the_maximum_is_an_error_and_one_at_the_maximum_is_not(self):
        def padded(request, connection):
            head = json.dumps({"id": request["id"], "ok": True, "flow": full_flow("a"), "pad": ""})
            connection.send_bytes(head[:-2].encode() + b"x" * (length - 1 - len(head)) + b'"}\n')

        self.gateway({"ps": padded})
        length = 1 << 20
        self.assertIn("detect runs", self.succeed("ps", "a"))
        length += 1
        self.assertIn("longer than 1048576 bytes", self.fail_with(1, "ps", "a"))

    def test_a_far_side_that_goes_away_is_said(self):
        self.gateway({"ps": lambda request, connection: connection.close()})
        self.assertIn("the connection was closed", self.fail_with(69, "ps"))

    def test_a_refused_connection_says_why(self):
        def refuse(_, connection):
            connection.send({"id": None, "ok": False, **refusal("limit", "16 clients are connected already")})
            connection.close()

        self.gateway({"ps": refuse})
        self.assertIn("16 clients are connected already", self.fail_with(1, "ps"))


class GatewayCase(ControlCase):
    """Says which socket, so that nothing else that runs on the machine is found."""

    def torvyn(self, *arguments, **options):
        if "--control" not in arguments:
            arguments = (*arguments, "--control", self.path("torvyn/gateway.sock"))
        return super().torvyn(*arguments, **options)

    def start(self, *arguments, **options):
        return super().start(*arguments, "--control", self.path("torvyn/gateway.sock"), **options)


class Ps(GatewayCase):
    def test_flows_are_a_table_with_a_line_about_the_process(self):
        self.gateway({"info": INFO, "ps": {"total": 2, "matched": 2, "rates_over_s": 1.0, "flows": [
            flow("line-1"), flow("l2", **{"class": "critical"}, demoted=True, state="failed",
                                 last_error="detect: \x1b[31mboom\n", cpu_percent=0, in_per_s=0, dropped_total=12345678)]}})
        output = self.succeed("ps")
        lines = output.splitlines()
        self.assertEqual("gateway (running, process 4711) for 1 h 6 min: 3 flows (2 running, 1 failed), "
                         "58.5 MiB resident of 400 MiB", lines[0])
        self.assertEqual(["FLOW", "CLASS", "STATE", "IN/S", "OUT/S", "QUEUE", "MEMORY", "CPU", "%", "DROPPED", "DEAD",
                          "FAULTS", "RESTARTS", "LAST", "ERROR"], lines[2].split())
        self.assertEqual(["line-1", "normal", "running", "6,920", "2.7", "98", "%", "1.8", "MiB", "41.2", "12", "3",
                          "3", "3"], lines[3].split())
        self.assertIn("critical (demoted)", lines[4])
        self.assertIn("12.3 M", lines[4])
        self.assertIn("detect: \\x1b[31mboom\\n", lines[4])
        self.assertNotIn("\x1b", output)

    def test_columns_are_aligned(self):
        self.gateway({"info": INFO, "ps": {"total": 2, "matched": 2, "flows": [flow("a"), flow("a-long-name")]}})
        lines = self.succeed("ps").splitlines()
        self.assertEqual(1, len({line.index("normal") for line in lines[3:5]} | {lines[2].index("CLASS")}))

    def test_flags_and_globs_become_fields_of_the_request(self):
        gateway = self.gateway({"info": INFO, "ps": {"total": 0, "matched": 0, "flows": []}})
        self.assertIn("no flow is like that", self.succeed(
            "ps", "line-*", "--sort", "cpu", "-r", "--state", "failed", "--class", "high", "--limit", "7"))
        request = gateway.wait_for("ps")[0]
        del request["id"]
        self.assertEqual({"verb": "ps", "match": "line-*", "sort": "cpu", "reverse": True, "state": "failed",
                          "class": "high", "limit": 7}, request)

    def test_pages_are_put_together_up_to_the_limit(self):
        def page(request, _):
            offset = request.get("offset", 0)
            flows = [flow(f"f{i}") for i in range(offset, min(offset + request["limit"], offset + 300, 1200))]
            more = {"next": offset + len(flows)} if offset + len(flows) < 1200 else {}
            return {"total": 1200, "matched": 1200, "rates_over_s": 1.0, "flows": flows, **more}

        gateway = self.gateway({"info": INFO, "ps": page})
        shown = json.loads(self.succeed("ps", "--limit", "1000", "--format", "json"))
        self.assertEqual([f"f{i}" for i in range(1000)], [each["name"] for each in shown["flows"]])
        self.assertEqual((1200, 1200), (shown["total"], shown["matched"]))
        self.assertEqual([500, 500, 400, 100], [each["limit"] for each in gateway.wait_for("ps", 4)])
        self.assertIn("... and 1000 more", self.succeed("ps"))
        self.assertEqual(1200, len(json.loads(self.succeed("ps", "-n", "9999", "--format", "json"))["flows"]))

    def test_one_flow_shows_stages_queues_channels_and_the_bottleneck(self):
        gateway = self.gateway({"ps": {"flow": full_flow("line-7", failure="too many restarts")}})
        output = self.succeed("ps", "line-7")
        self.assertEqual("line-7", gateway.wait_for("ps")[0]["flow"])
        for expected in (
            "line-7, running for 12 s",
            "normal, 32 records a cycle, on worker 1",
            "81,234 in (6,920/s), 312 out (2.7/s)",
            "81,234, 7 on top of lower classes, 2 moves between workers, 9 times held back by its rate limit (1.2 s)",
            "12 dropped (12 oldest), 3 dead-lettered, 1 of them rejected; 3 faults, 3 restarts",
            "detect runs 97 % of the time; source waits for it. Make that component cheaper",
            "out of bounds memory access",
            "too many restarts",
            "source -> detect",
            "readings",
        ):
            self.assertIn(expected, output)
        row = next(line.split() for line in output.splitlines() if line.startswith("detect "))
        self.assertEqual(["detect", "6,920", "6,920", "97.0", "2.0", "3.0", "0.0", "0", "0", "128", "KiB"], row[:11])

    def test_one_flow_as_json_is_what_the_far_side_said(self):
        self.gateway({"ps": {"flow": full_flow("line-7")}})
        self.assertEqual(full_flow("line-7"), json.loads(self.succeed("ps", "line-7", "--format", "json")))

    def test_a_flow_that_is_not_there_is_refused_with_the_far_sides_words(self):
        self.gateway({"ps": refusal("not-found", "there is no flow 'lin'; did you mean 'line'?")})
        self.assertEqual("torvyn: error: there is no flow 'lin'; did you mean 'line'?\n", self.fail_with(1, "ps", "lin"))

    def test_missing_and_mistyped_fields_do_no_harm(self):
        self.gateway({"info": {"flows": 3}, "ps": {"flows": [{}, {"name": 7, "in_per_s": "fast", "faults": -1}]}})
        self.assertEqual(5, len(self.succeed("ps").splitlines()))
        self.gateway({"ps": {"flow": {"bottleneck": None, "stages": [{}], "queues": 1}}}, name="other")
        self.assertIn("STAGE", self.succeed("ps", "x", "--control", "other"))


class Flow(GatewayCase):
    def request_of(self, gateway, verb):
        request = dict(gateway.wait_for(verb)[-1])
        del request["id"]
        return request

    def test_add_sends_an_entry_of_the_pipeline_file(self):
        gateway = self.gateway({"flow-add": {"count": 1, "flows": ["line-9"], "reserved_bytes": 3145728,
                                             "reserved_total_bytes": 312868864}})
        output = self.succeed("flow", "add", "line-9", "class=high", "quantum=64", "rate.records=500",
                              "rate.bytes=1MiB", "--set", "INPUT=a=b.jsonl", "--set", "LIMIT=7")
        self.assertEqual("added line-9; 298.4 MiB are reserved in all\n", output)
        self.assertEqual({"verb": "flow-add", "flow": {
            "name": "line-9", "class": "high", "quantum": 64, "rate": {"records": 500, "bytes": "1MiB"},
            "parameters": {"INPUT": "a=b.jsonl", "LIMIT": "7"}}}, self.request_of(gateway, "flow-add"))

    def test_set_names_a_flow_or_many(self):
        gateway = self.gateway({"flow-set": {"count": 2, "flows": ["a-1", "a-2"], "replaced": False}})
        self.assertEqual("changed 2 flows: a-1, a-2\n", self.succeed("flow", "set", "a-*", "class=critical"))
        self.assertEqual({"verb": "flow-set", "match": "a-*", "class": "critical"}, self.request_of(gateway, "flow-set"))
        self.succeed("flow", "set", "a-1", 'rate={"records": 5}', "--set", "X=1", "--timeout", "3s")
        self.assertEqual({"verb": "flow-set", "flow": "a-1", "rate": {"records": 5}, "parameters": {"X": "1"},
                          "timeout_ms": 3000}, self.request_of(gateway, "flow-set"))

    def test_remove_drains_unless_told_otherwise(self):
        gateway = self.gateway({"flow-remove": {"count": 1, "flows": ["a"], "records_in": 812, "records_out": 811,
                                                "dropped": {}}})
        self.assertEqual("removed a; 812 records in, 811 out\n", self.succeed("flow", "remove", "a"))
        self.assertEqual({"verb": "flow-remove", "flow": "a", "how": "drain", "timeout_ms": 10000},
                         self.request_of(gateway, "flow-remove"))
        self.succeed("flow", "remove", "a", "--now")
        self.assertEqual("now", self.request_of(gateway, "flow-remove")["how"])

    def test_pause_and_resume_say_how_many(self):
        self.gateway({"flow-pause": {"count": 300, "flows": [f"f{i}" for i in range(100)]},
                      "flow-resume": {"count": 1, "flows": ["a"]}})
        self.assertIn("paused 300 flows: f0, f1, ", self.succeed("flow", "pause", "f*"))
        self.assertIn("f99, ... (200 more)\n", self.succeed("flow", "pause", "f*"))
        self.assertEqual({"count": 1, "flows": ["a"]}, json.loads(self.succeed("flow", "resume", "a", "--format", "json")))

    def test_refusals_are_shown_and_the_exit_code_is_1(self):
        self.gateway({"flow-add": refusal("limit", "flow 'x' does not fit: it reserves 3 MiB")})
        self.assertIn("does not fit: it reserves 3 MiB", self.fail_with(1, "flow", "add", "x"))

    def test_wrong_usage_is_found_before_anything_is_sent(self):
        gateway = self.gateway()
        for arguments, expected in [
            (["ad", "x"], "did you mean 'add'?"),
            (["add"], "which flow? An argument is missing: torvyn flow add FLOW"),
            (["frob"], "add, remove, pause, resume or set; not 'frob'"),
            (["add", "x", "high"], "a setting is KEY=VALUE"),
            (["add", "x", "=high"], "a setting is KEY=VALUE"),
            (["add", "x", "class=high", "class=low"], "is set twice"),
            (["add", "x", "INPUT=a.jsonl"], "--set INPUT=a.jsonl"),
            (["add", "x", "rate=5", "rate.records=5"], "contradicts"),
            (["add", "x", "rate.=5"], "contradicts"),
            (["add", "x", "rate={records"], "no valid JSON"),
            (["add", "x", "--set", "=1"], "--set takes NAME=VALUE"),
            (["set", "x"], "nothing to set"),
            (["pause", "x", "class=high"], "takes no settings"),
            (["pause", "x", "--now"], "--now is for"),
            (["remove", "x", "--timeout", "2h"], "--timeout is from"),
        ]:
            self.assertIn(expected, self.fail_with(64, "flow", *arguments), arguments)
        self.assertEqual([], gateway.requests)


class Tap(GatewayCase):
    def events(self, *events, end=None):
        def answer(request, connection):
            connection.send({"id": request["id"], "ok": True, "flow": request["flow"], "at": request["at"]})
            for event in events:
                connection.send({"id": request["id"], "event": event})
            if end:
                connection.send({"id": request["id"], "done": True, **end})

        return answer

    END = {"reason": "limit", "seen": 9, "shown": 3, "filtered": 4, "skipped": 2, "missed": 1}

    def record(self, sequence, payload, encoding="json", **more):
        return {"sequence": sequence, "kind": "data", "port": 0, "queue": "detect -> uplink", "origin": "readings",
                "origin_sequence": 511, "time_ns": None, "key": 0, "payload_bytes": 54, "payload": payload,
                "encoding": encoding, **more}

    def test_records_are_lines_and_the_end_says_what_was_not_shown(self):
        self.gateway({"tap": self.events(
            self.record(1, {"sensor": "t-1"}, key=17), self.record(2, "plain\x1btext", "text", cut=True),
            self.record(3, "AAEC", "base64", kind="watermark"), {"missed": 1, "skipped": 2}, end=self.END)})
        done = self.torvyn("tap", "line-1/detect")
        self.assertEqual(0, done.returncode)
        self.assertEqual(['detect -> uplink #1 key=17 54B {"sensor":"t-1"}',
                          "detect -> uplink #2 54B plain\\x1btext...",
                          'detect -> uplink #3 watermark 54B base64:"AAEC"'], done.stdout.splitlines())
        self.assertIn("not shown so far: 2 over the rate, 1 missed", done.stderr)
        self.assertIn("limit: 9 seen, 3 shown, 4 filtered out, 2 over the rate, 1 missed", done.stderr)

    def test_json_is_an_event_a_line(self):
        self.gateway({"tap": self.events(self.record(1, [1, 2]), end=self.END)})
        done = self.torvyn("tap", "line-1/detect", "--format", "json")
        self.assertEqual([self.record(1, [1, 2])], [json.loads(line) for line in done.stdout.splitlines()])

    def test_flags_become_fields_of_the_request(self):
        gateway = self.gateway({"tap": self.events(end=self.END)})
        self.torvyn("tap", "a/b/c", "--limit", "5", "--rate", "10", "--contains", "7", "--regex", "^x", "--field",
                    "unit.id=C", "--kind", "all", "--key", "17", "--port", "1", "--payload", "1KiB")
        request = gateway.wait_for("tap")[0]
        del request["id"]
        self.assertEqual({"verb": "tap", "flow": "a/b", "at": "c", "limit": 5, "rate": 10, "contains": "7",
                          "regex": "^x", "field": "unit.id", "equals": "C", "kind": "all", "key": 17, "port": 1,
                          "payload_bytes": 1024}, request)

    def test_an_interrupt_cancels_the_stream_and_waits_for_its_last_word(self):
        streams = []

        def begin(request, connection):
            streams.append(request["id"])
            connection.send({"id": request["id"], "ok": True})
            connection.send({"id": request["id"], "event": self.record(1, 5)})

        def cancel(request, connection):
            connection.send({"id": request["id"], "ok": True})
            connection.send({"id": request["stream"], "done": True, **self.END, "reason": "cancelled"})

        gateway = self.gateway({"tap": begin, "cancel": cancel})
        process = self.start("tap", "line-1/detect")
        self.assertIn(b"#1", process.stdout.readline())
        process.send_signal(INTERRUPT)
        code, _, errors = self.finish(process)
        self.assertEqual(0, code, errors)
        self.assertIn("cancelled: 9 seen", errors)
        self.assertEqual(streams, [request["stream"] for request in gateway.wait_for("cancel")])

    def test_refusals_and_wrong_places_are_errors(self):
        self.gateway({"tap": refusal("not-found", "flow 'a' has no stage 'b'")})
        self.assertIn("has no stage 'b'", self.fail_with(1, "tap", "a/b"))
        for place in ("a", "/b", "a/"):
            self.assertIn("FLOW/STAGE", self.fail_with(64, "tap", place))
        self.assertIn("--field is PATH=VALUE", self.fail_with(64, "tap", "a/b", "--field", "x"))

    def test_a_far_side_that_ends_in_the_middle_is_an_error_after_what_was_shown(self):
        def begin(request, connection):
            connection.send({"id": request["id"], "ok": True})
            connection.send({"id": request["id"], "event": self.record(1, 5)})
            connection.close()

        self.gateway({"tap": begin})
        done = self.torvyn("tap", "a/b")
        self.assertEqual(69, done.returncode)
        self.assertIn("#1", done.stdout)
        self.assertIn("the connection was closed", done.stderr)


class Stop(GatewayCase):
    def test_stop_drains_and_does_not_return_while_the_process_is_there(self):
        gateway = self.gateway({"stop": lambda request, connection: {"how": "drain"}})
        process = self.start("stop", "--grace", "3s")
        request = gateway.wait_for("stop", answered=True)[0]
        self.assertEqual(("drain", 3000), (request["how"], request["grace_ms"]))
        self.assertIsNone(process.poll())
        gateway.close()  # but this process, which listened, goes on
        self.assertIsNone(process.poll())

    def test_now_is_passed_on(self):
        gateway = self.gateway({"stop": {"how": "now"}})
        said = json.loads(self.succeed("stop", "--now", "--no-wait", "--format", "json"))
        self.assertEqual({"pipeline": "gateway", "how": "now", "state": "stopping"}, said)
        self.assertNotIn("grace_ms", gateway.wait_for("stop")[0])

    def test_flags_that_contradict_each_other_are_usage_errors(self):
        self.assertIn("exclude each other", self.fail_with(64, "stop", "--now", "--drain"))
        self.assertIn("--grace is for a drain", self.fail_with(64, "stop", "--now", "--grace", "1s"))

    def test_a_refusal_is_an_error(self):
        self.gateway({"stop": refusal("busy", "the pipeline is stopping already")})
        self.assertIn("stopping already", self.fail_with(1, "stop"))


if __name__ == "__main__":
    main()
