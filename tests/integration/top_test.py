"""torvyn top in a pty, against a gateway that says what the test wants."""

import fnmatch
import json
import os
import signal

from fake_gateway import FakeGateway, full_flow, refusal
from harness import TORVYN, Case, main
from screen import Terminal

COLUMNS = ["name", "class", "state", "worker", "in_per_s", "out_per_s", "cpu_percent", "queue_percent", "memory_bytes",
           "dropped", "dead_lettered", "faults", "restarts", "throttled_s", "demoted"]
UP, DOWN, PAGE_DOWN, END, HOME, ENTER, ESCAPE = "\x1bOA", "\x1bOB", "\x1b[6~", "\x1bOF", "\x1bOH", "\r", "\x1b"


class Flows:
    """Answers `top` as the real thing does: sorts, filters, cuts."""

    def __init__(self, count):
        self.rows = [[f"flow-{i}", ["critical", "high", "normal", "background"][i % 4],
                      "failed" if i == 3 else "running", i % 2, 1000.0 + i, 10.0, i / 10, i % 101, 4096 * (i + 1), i,
                      0, 7 if i == 3 else 0, 0, 0.0, False] for i in range(count)]

    def __call__(self, request, _):
        column = {"name": 0, "class": 1, "state": 2, "in": 4, "out": 5, "cpu": 6, "queue": 7, "memory": 8,
                  "dropped": 9, "dead": 10, "faults": 11, "restarts": 12}[request.get("sort", "cpu")]
        rows = [row for row in self.rows if fnmatch.fnmatch(row[0], request.get("match", "*"))]
        figures = column >= 4
        rows.sort(key=lambda row: row[column], reverse=figures != request.get("reverse", False))
        offset = request.get("offset", 0)
        return {
            "total": len(self.rows), "matched": len(rows), "rates_over_s": 1.0, "columns": COLUMNS,
            "rows": rows[offset : offset + request["limit"]], "states": {"running": len(self.rows) - 1, "failed": 1},
            "totals": {"in_per_s": 80231.0, "out_per_s": 912.1, "cpu_percent": 171.0, "dropped": 12,
                       "dead_lettered": 3, "faults": 7},
            "workers": [{"index": 0, "busy_percent": 81.2, "flows": 100, "nested_percent": 1.5, "throttles": 3,
                         "moved_in": 4, "moved_out": 2}, {"index": 1, "busy_percent": 9, "flows": 9}],
            "components": [{"name": "detect", "stages": 200, "in_per_s": 7.0, "cpu_percent": 55.5,
                            "memory_bytes": 1048576, "faults": 7, "restarts": 7}],
            "process": {"rss_bytes": 61329408, "cpu_percent": 174.0, "limit_bytes": 419430400, "uptime_s": 12.4},
        }


class Top(Case):
    def gateway(self, answers):
        gateway = FakeGateway(os.path.join(self.folder, "torvyn", "gateway.sock"), answers)
        self.addCleanup(gateway.close)
        return gateway

    def start_top(self, *arguments, lines=24, columns=80, env=None, count=1000):
        self.flows = Flows(count)
        self.fake = self.gateway({"top": self.flows, "ps": lambda request, _: {"flow": full_flow(request["flow"])}})
        return self.open_terminal(*arguments, lines=lines, columns=columns, env=env)

    def open_terminal(self, *arguments, lines=24, columns=80, env=None):
        environment = self.environment({"TERM": "xterm-256color", **(env or {})})
        command = [TORVYN, "top", "--control", self.path("torvyn/gateway.sock"), *arguments]
        terminal = Terminal(command, lines, columns, env=environment, cwd=self.folder)
        self.addCleanup(terminal.close)
        return terminal

    def assert_given_back(self, terminal):
        self.assertEqual(terminal.modes_before, terminal.modes())
        self.assertFalse(terminal.screen.alternate)
        self.assertTrue(terminal.screen.cursor_shown)

    def quit(self, terminal):
        terminal.type("q")
        self.assertEqual((0, ""), terminal.end())
        self.assert_given_back(terminal)

    def first_names(self, lines):
        title = next(i for i, line in enumerate(lines) if line.startswith("FLOW"))
        return [line.split()[0] for line in lines[title + 1 : -1] if line]

    # ---- what is shown ----------------------------------------------------------------------------------------

    def test_flows_are_sorted_by_cpu_below_a_head(self):
        terminal = self.start_top(lines=24, columns=130)
        lines = terminal.wait_for_text("flow-999")
        self.assertEqual("torvyn  up 12 s  1000 flows: 999 running, 1 failed", lines[0])
        self.assertEqual("in 80,231/s  out 912/s  CPU 174 %  memory 58.5 MiB of 400 MiB  dropped 12  dead 3  faults 7",
                         lines[1])
        self.assertRegex(lines[2], r"^ 0 \[\|{12,15} *81 %\] +1 \[\|\| +9 %\]$")
        self.assertEqual(["FLOW", "CLASS", "STATE", "WORKER", "IN/S", "OUT/S", "CPU", "%v", "QUEUE", "%", "MEMORY",
                          "DROPPED", "DEAD", "FAULTS", "RESTARTS"], lines[4].split())
        self.assertEqual(["flow-999", "background", "running", "1", "1,999", "10", "99.9", "90", "3.9", "MiB", "999",
                          "0", "0", "0"], lines[5].split())
        self.assertEqual(18, len(self.first_names(lines)))
        self.assertIn("q quit", lines[23])
        self.quit(terminal)

    def test_only_what_is_visible_is_asked_for(self):
        terminal = self.start_top(lines=24)
        terminal.wait_for_text("flow-999")
        terminal.type(DOWN)  # so that a figure for the true size has been asked for
        terminal.type(PAGE_DOWN)
        self.fake.wait_for("top", 2)
        self.assertTrue(all(request["limit"] <= 24 for request in self.fake.requests))
        self.quit(terminal)

    def test_a_narrow_terminal_leaves_out_columns_from_the_least_on(self):
        terminal = self.start_top(lines=10, columns=40)
        lines = terminal.wait_for_text("flow-999")
        title = next(line for line in lines if line.startswith("FLOW"))
        self.assertEqual(["FLOW", "STATE", "IN/S", "CPU", "%v"], title.split())
        self.quit(terminal)

    def test_a_terminal_of_a_few_lines_does_no_harm(self):
        for lines, columns in ((1, 10), (2, 1), (4, 20)):
            terminal = self.start_top(lines=lines, columns=columns)
            self.fake.wait_for("top", answered=True)
            self.quit(terminal)
            self.fake.close()

    def test_resizing_shows_more_rows(self):
        terminal = self.start_top(lines=12)
        terminal.wait_for_text("flow-994")
        terminal.resize(40, 100, signal.SIGWINCH)
        lines = terminal.wait_for_text("flow-970")
        self.assertIn("q quit", lines[39])
        self.quit(terminal)

    def test_names_and_messages_cannot_speak_to_the_terminal(self):
        evil = {"flow": full_flow("evil", last_error="\x1b]0;owned\x07boom")}
        terminal = self.start_top(columns=100)
        self.flows.rows[999][0] = "flow-\x1b[2J999"
        self.fake.answers["ps"] = lambda request, _: evil
        terminal.wait_for_text("flow-\\x1b[2J999")
        terminal.type(ENTER)
        terminal.wait_for_text("\\x1b]0;owned\\x07boom")
        self.quit(terminal)

    # ---- keys -------------------------------------------------------------------------------------------------

    def test_sorting_goes_through_the_columns_and_round(self):
        terminal = self.start_top(columns=130)
        terminal.wait_for_text("CPU %v")
        terminal.type("s")
        terminal.wait_for_text("QUEUE %v")
        terminal.type("SSSSS")  # past WORKER, by which the gateway cannot sort
        terminal.wait_for_text("CLASSv")
        terminal.type("<")
        lines = terminal.wait_for(lambda lines: any("FLOWv" in line for line in lines) and "flow-0" in lines[5], "names")
        self.assertEqual(["flow-0", "flow-1", "flow-10"], self.first_names(lines)[:3])
        terminal.type("r")
        lines = terminal.wait_for(lambda lines: any("FLOW^" in line for line in lines) and "flow-999" in lines[5], "z-a")
        self.assertEqual(["flow-999", "flow-998"], self.first_names(lines)[:2])
        self.quit(terminal)

    def test_rows_are_reached_to_the_last_of_thousands(self):
        terminal = self.start_top(count=5000)
        terminal.wait_for_text("flow-4999")
        terminal.type(PAGE_DOWN)
        terminal.wait_for(lambda lines: "flow-4981" in self.first_names(lines), "the second page")
        terminal.type(END)
        lines = terminal.wait_for(lambda lines: self.first_names(lines)[-1:] == ["flow-0"], "the last row")
        self.assertEqual(18, len(self.first_names(lines)))
        terminal.type(UP * 18)
        terminal.wait_for(lambda lines: self.first_names(lines)[:1] == ["flow-18"], "one row above")
        terminal.type(HOME)
        terminal.wait_for(lambda lines: self.first_names(lines)[:1] == ["flow-4999"], "the first row")
        self.quit(terminal)

    def test_a_filter_is_a_part_of_the_name_or_a_pattern(self):
        terminal = self.start_top()
        terminal.wait_for_text("flow-999")
        terminal.type("/77")
        terminal.wait_for_text("filter: 77_")
        terminal.type("\x7f8" + ENTER)
        lines = terminal.wait_for_text("showing 20 like '78'")
        self.assertIn("of these: in ", "\n".join(lines))  # the totals are of those, CPU time of the process
        self.assertEqual("flow-978", self.first_names(lines)[0])
        terminal.type("/\x7f\x7fflow-?" + ENTER)
        lines = terminal.wait_for_text("showing 10 like 'flow-?'")
        self.assertEqual([f"flow-{i}" for i in range(9, -1, -1)], self.first_names(lines))
        terminal.type("/nonsense" + ENTER)
        terminal.wait_for_text("no flow is like that")
        terminal.type(ESCAPE)
        terminal.wait_for_text("flow-999")
        self.quit(terminal)

    def test_typing_a_filter_takes_letters_that_are_keys_and_escape_gives_up(self):
        terminal = self.start_top()
        terminal.wait_for_text("flow-999")
        terminal.type("/quit")
        terminal.wait_for_text("filter: quit_")
        terminal.type(ESCAPE)
        terminal.wait_for_text("q quit")
        terminal.type("/" + "x" * 100)
        terminal.wait_for_text("filter: " + "x" * 64 + "_")
        terminal.type(ESCAPE)
        self.quit(terminal)

    def test_a_pause_leaves_the_screen_as_it_is(self):
        terminal = self.start_top()
        terminal.wait_for_text("flow-999")
        terminal.type(" ")
        terminal.wait_for_text("PAUSED")
        self.flows.rows[999][0] = "renamed"
        terminal.type("h")
        terminal.wait_for_text("the chosen flow in full")
        terminal.type(ESCAPE)
        terminal.wait_for_text("flow-999")
        terminal.type(" ")
        lines = terminal.wait_for_text("renamed")
        self.assertNotIn("PAUSED", lines[0])
        self.quit(terminal)

    def test_figures_come_again_and_again(self):
        terminal = self.start_top("--interval", "250ms")
        terminal.wait_for_text("flow-999")
        self.flows.rows[999][0] = "renamed"
        terminal.wait_for_text("renamed")
        self.quit(terminal)

    def test_one_flow_shows_its_stages_and_the_bottleneck_and_escape_leads_back(self):
        terminal = self.start_top(columns=100)
        terminal.wait_for_text("flow-999")
        terminal.type(DOWN + ENTER)
        lines = terminal.wait_for_text("detect runs 97 % of the time; source waits for it. Make that component cheaper")
        self.assertEqual("flow-998", self.fake.wait_for("ps")[0]["flow"])
        row = next(line.split() for line in lines if line.startswith("detect "))
        self.assertEqual(["detect", "6,920", "6,920", "97.0", "2.0", "3.0", "0.0", "0", "128", "KiB"], row)
        self.assertTrue(any(line.startswith("source -> detect ") for line in lines))
        terminal.type(ESCAPE)
        terminal.wait_for_text("flow-999")
        self.quit(terminal)

    def test_long_sentences_are_broken_between_words(self):
        terminal = self.start_top(columns=40)
        terminal.wait_for_text("flow-999")
        terminal.type(ENTER)
        lines = terminal.wait_for_text("bottleneck")
        at = next(i for i, line in enumerate(lines) if line.startswith("bottleneck"))
        self.assertEqual(["bottleneck: detect runs 97 % of the", "time; source waits for it. Make that",
                          "component cheaper, or split the flow by", "key into several"], lines[at : at + 4])
        self.quit(terminal)

    def test_a_flow_that_is_gone_is_said_and_top_goes_on(self):
        terminal = self.start_top(columns=100)
        self.fake.answers["ps"] = refusal("not-found", "there is no flow 'flow-999'")
        terminal.wait_for_text("flow-999")
        terminal.type(ENTER)
        terminal.wait_for_text("there is no flow 'flow-999'")
        terminal.type(ESCAPE)
        terminal.wait_for_text("flow-998")
        self.quit(terminal)

    def test_components_and_workers_are_views_of_their_own(self):
        terminal = self.start_top()
        terminal.wait_for_text("flow-999")
        terminal.type("c")
        lines = terminal.wait_for_text("COMPONENT")
        row = next(line.split() for line in lines if line.startswith("detect"))
        self.assertEqual(["detect", "200", "7.0", "55.5", "1", "MiB", "7", "7"], row)
        terminal.type("w")
        lines = terminal.wait_for_text("BUSY %")
        self.assertIn(["0", "81.2", "100", "1.5", "3", "4", "2"], [line.split() for line in lines])
        terminal.type("\t")
        terminal.wait_for_text("flow-999")
        self.quit(terminal)

    def test_keys_without_meaning_do_nothing(self):
        terminal = self.start_top()
        terminal.wait_for_text("flow-999")
        terminal.type("\x01zZ\xc3\xa4\x1b[15~")
        self.quit(terminal)

    # ---- ways out ---------------------------------------------------------------------------------------------

    def test_signals_end_it_and_the_terminal_is_given_back(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            terminal = self.start_top()
            terminal.wait_for_text("flow-999")
            self.assertTrue(terminal.screen.alternate)
            terminal.process.send_signal(number)
            self.assertEqual((0, ""), terminal.end())
            self.assert_given_back(terminal)
            self.fake.close()

    def test_a_crash_gives_the_terminal_back_too(self):
        terminal = self.start_top()
        terminal.wait_for_text("flow-999")
        terminal.process.send_signal(signal.SIGABRT)
        code, _ = terminal.end()
        self.assertEqual(-signal.SIGABRT, code)
        self.assert_given_back(terminal)

    def test_the_end_of_the_pipeline_is_said_on_the_terminal_that_was_given_back(self):
        terminal = self.start_top()
        terminal.wait_for_text("flow-999")
        self.fake.close()
        code, errors = terminal.end()
        self.assertEqual(69, code)
        self.assertIn("the connection was closed", errors)
        self.assert_given_back(terminal)

    def test_nonsense_from_the_far_side_ends_it_cleanly(self):
        self.gateway({"top": b"nonsense\n"})
        terminal = self.open_terminal()
        code, errors = terminal.end()
        self.assertEqual(1, code)
        self.assertIn("is it Torvyn's?", errors)
        self.assert_given_back(terminal)

    # ---- terminals --------------------------------------------------------------------------------------------

    def test_without_a_terminal_it_says_what_to_do_instead(self):
        self.gateway({})
        done = self.torvyn("top", "--control", self.path("torvyn/gateway.sock"), env={"TERM": "xterm"})
        self.assertEqual((1, ""), (done.returncode, done.stdout))
        self.assertIn("top needs a terminal; `torvyn ps`", done.stderr)

    def test_terminals_that_the_system_does_not_know_work_if_they_are_common(self):
        terminal = self.start_top(env={"TERM": "xterm-kitty"})
        terminal.wait_for_text("flow-999")
        terminal.type("\x1b[B" + ENTER)
        terminal.wait_for_text("detect runs 97 %")
        self.assertEqual("flow-998", self.fake.wait_for("ps")[0]["flow"])
        self.quit(terminal)

    def test_unknown_and_dumb_terminals_are_refused_with_a_remedy(self):
        for name, expected in (("no-such-thing", "TERM=xterm torvyn top"), ("dumb", "cannot place its cursor"),
                               ("", "TERM is not set")):
            terminal = self.start_top(env={"TERM": name})
            code, errors = terminal.end()
            self.assertEqual(1, code)
            self.assertIn(expected, errors)
            self.assertEqual(terminal.modes_before, terminal.modes())
            self.fake.close()

    def test_as_json_it_prints_the_figures_once(self):
        self.gateway({"top": {"rows": [], "matched": 0}})
        done = self.torvyn("top", "--format", "json", "--control", self.path("torvyn/gateway.sock"))
        self.assertEqual({"rows": [], "matched": 0}, json.loads(done.stdout), done.stderr)

    def test_sorted_by_what_it_was_asked_for(self):
        terminal = self.start_top("--sort", "dropped", lines=24, columns=130)
        self.assertIn("DROPPEDv", " ".join(terminal.wait_for_text("flow-")[4].split()))
        self.quit(terminal)
        self.assertEqual("dropped", self.fake.wait_for("top")[0]["sort"])
        self.torvyn("top", "--format", "json", "--sort", "faults", "--control", self.path("torvyn/gateway.sock"))
        self.assertEqual("faults", self.fake.wait_for("top")[-1]["sort"])

    def test_an_unknown_order_lists_those_there_are(self):
        done = self.torvyn("top", "--sort", "quue")
        self.assertEqual(64, done.returncode)
        self.assertIn("--sort is one of name, class, state, in, out, cpu, queue, memory, dropped, dead, faults, "
                      "restarts, not 'quue'; did you mean 'queue'?", done.stderr)
        self.assertEqual(64, self.torvyn("top", "--sort", "worker").returncode)  # a column, but no order

    def test_an_interval_out_of_range_is_a_usage_error(self):
        for interval in ("249ms", "61s", "soon"):
            self.assertEqual(64, self.torvyn("top", "--interval", interval).returncode)


if __name__ == "__main__":
    main()
