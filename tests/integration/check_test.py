"""`torvyn check` and `torvyn plan`: everything that is wrong is found at once, with place and remedy."""

import json

from harness import Case, component, main


def number(module, at):
    value = shift = 0
    while True:
        byte = module[at]
        at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at


def with_last_body(module, code):
    """The module whose last function begins with `code`; the rest of it is no-operations."""
    at = 8
    while module[at] != 10:  # the code section
        size, at = number(module, at + 1)
        at += size
    _, at = number(module, at + 1)
    count, at = number(module, at)
    for _ in range(count):
        size, start = number(module, at)
        at = start + size
    groups, start = number(module, start)
    for _ in range(groups):
        _, start = number(module, start)
        start += 1
    assert at - 1 - start >= len(code)
    return module[:start] + code + b"\x01" * (at - 1 - start - len(code)) + module[at - 1:]


class Check(Case):
    def findings(self, name, code=78):
        done = self.torvyn("check", name, "--format", "json")
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def messages(self, name, code=78):
        found = self.findings(name, code)
        return "\n".join(
            f"{item['severity']}: {item['message']} / {item.get('hint') or ''}" for item in found["diagnostics"]
        )

    def setUp(self):
        super().setUp()
        self.write("in.txt", "")

    def test_right_pipeline_is_ok(self):
        self.pipeline()
        done = self.torvyn("check", "p.yaml")
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertIn("p.yaml: ok", done.stdout)

    def test_missing_pipeline_file_is_a_configuration_error(self):
        done = self.torvyn("check", "nothing.yaml")
        self.assertEqual(78, done.returncode)
        self.assertIn("nothing.yaml", done.stdout)

    def test_what_many_flows_lack_is_said_for_the_first_and_counted(self):
        self.pipeline(head='flows: [ { name: "line-${index}", count: 1000 } ]',
                      stage_more='    assets: { table: "t-${index}.csv" }')
        self.write("p.yaml", self.read("p.yaml").replace("path: out.txt", 'path: "out-${index}.txt"'))
        found = self.findings("p.yaml")
        self.assertEqual((1000, 0), (found["errors"], found["hidden"]))
        self.assertEqual([f"t-{i}.csv" for i in range(1, 6)],
                         [item["message"].split(": ")[1] for item in found["diagnostics"]])
        self.assertEqual([None] * 4 + [995], [item.get("more") for item in found["diagnostics"]])
        self.assertIn("    and 995 more like this at the same place\n", self.torvyn("check", "p.yaml").stdout)

    def test_all_errors_come_at_once_with_their_places(self):
        self.write(
            "bad.yaml",
            """version: 1
name: bad
components:
  one: { file: missing.wasm, memroy: 1MiB }
  two: { file: garbage.wasm }
channels:
  in: { connector: fiel, path: in.txt }
  out: { connector: file, path: out.txt }
stages:
  a: { component: one, from: in }
  b: { component: tow, from: a, to: out }
""",
        )
        self.write("garbage.wasm", b"not a module")
        done = self.torvyn("check", "bad.yaml")
        self.assertEqual(78, done.returncode)
        text = done.stdout
        for place, words in [
            ("bad.yaml:4:30:", 'memory'),
            ("bad.yaml:7:", 'fiel'),
            ("bad.yaml:11:", 'two'),
        ]:
            self.assertTrue(any(place in line for line in text.splitlines()), f"{place} in:\n{text}")
            self.assertIn(words, text)

    def test_component_that_does_not_declare_it_cannot_be_shared(self):
        self.pipeline(component_of="slow", component_more=", instances: shared")
        self.assertIn("does not declare that its instances can be shared", self.messages("p.yaml"))
        self.pipeline(component_more=", instances: shared")
        self.assertEqual("", self.messages("p.yaml", code=0))

    def test_component_files_that_are_missing_or_broken_are_named(self):
        self.write("garbage.wasm", b"not a module")
        self.pipeline("p.yaml")
        text = self.read("p.yaml").replace(component("pass"), "missing.wasm")
        self.write("missing.yaml", text)
        self.write("broken.yaml", text.replace("missing.wasm", "garbage.wasm"))
        self.assertIn("missing.wasm: No such file or directory", self.messages("missing.yaml"))
        self.assertIn("garbage.wasm", self.messages("broken.yaml"))

    def test_code_that_a_run_refuses_is_refused_by_check_and_inspect(self):
        with open(component("pass"), "rb") as file:
            module = file.read()
        for what, code in (("operands are missing", b"\x6a\x1a"), ("no such local", b"\x20\xff\x7f\x1a"),
                           ("no such function", b"\x10\xff\xff\x7f"), ("a branch to nowhere", b"\x0c\x7f")):
            with self.subTest(what):
                self.write("bad.wasm", with_last_body(module, code))
                self.pipeline("p.yaml")
                self.write("p.yaml", self.read("p.yaml").replace(component("pass"), "bad.wasm"))
                self.write("in.txt", "")
                self.assertIn("bad.wasm: the module is not valid", self.messages("p.yaml"))
                for format in ("text", "json"):
                    done = self.torvyn("inspect", "bad.wasm", "--format", format)
                    self.assertEqual((1, ""), (done.returncode, done.stdout))
                    self.assertIn("bad.wasm: the module is not valid", done.stderr)
                self.assertIn("the module is not valid", self.torvyn("run", "p.yaml").stderr)

    def test_set_of_a_name_that_the_file_does_not_have_is_a_warning(self):
        self.pipeline(source='{ connector: file, path: "${INPUT}" }')
        text = self.torvyn("check", "p.yaml", "--set", "INPUT=in.txt", "--set", "INPTU=x").stdout
        self.assertIn("warning: nothing in the pipeline file asks for `--set INPTU`", text)
        self.assertNotIn("--set INPUT`", text)
        self.assertIn("--set INPUT`", self.torvyn("check", "p.yaml", "--set", "INPUT=a", "--set", "INPUT=in.txt").stdout)

    def test_input_file_that_is_not_there_is_a_warning(self):
        self.pipeline(source='{ connector: file, path: gone.txt }')
        self.assertIn("the input gone.txt is not there: No such file", self.messages("p.yaml", 0))
        for source in ("path: in.txt", "path: '*.csv'", "path: gone.txt, mode: follow, missing: wait"):
            self.pipeline(source=f"{{ connector: file, {source} }}")
            self.assertEqual("", self.messages("p.yaml", 0))

    def test_missing_grant_names_component_import_and_grant(self):
        self.pipeline(component_of="curious")
        messages = self.messages("p.yaml")
        self.assertIn('component "it" imports "clock" of "torvyn", which needs the grant "clock"', messages)
        self.assertIn("add \"clock\" to the component's grants", messages)

    def test_grant_that_is_not_used_is_a_warning(self):
        self.pipeline(component_more=", grants: [clock]")
        self.assertIn('warning: component "it" does not use the grant "clock"', self.messages("p.yaml", 0))

    def test_unknown_port_suggests_and_lists(self):
        self.pipeline(component_of="curious", component_more=", grants: [clock]")
        text = self.read("p.yaml").replace("    to: out", "    to: { alrets: out }")
        self.write("p.yaml", text)
        messages = self.messages("p.yaml")
        self.assertIn('stage "work" has no output port "alrets"', messages)
        self.assertIn('did you mean "alerts"?', messages)
        self.assertIn("out, alerts", messages)

    def test_port_that_leads_nowhere_is_a_warning(self):
        self.pipeline(component_of="curious", component_more=", grants: [clock]")
        self.assertIn('port "alerts" of stage "work" leads nowhere', self.messages("p.yaml", 0))

    def test_initial_memory_over_the_budget_is_an_error(self):
        self.pipeline(component_of="curious", component_more=", grants: [clock]")
        self.write("p.yaml", self.read("p.yaml").replace("memory: 1MiB", "memory: 64KiB"))
        self.assertRegex(self.messages("p.yaml"), r'component "it" begins with .* of memory, its budget is 64 KiB')

    def test_queue_too_small_for_two_largest_records_is_an_error(self):
        self.pipeline(sink="{ connector: file, path: out.txt, queue: { bytes: 128KiB } }")
        messages = self.messages("p.yaml")
        self.assertIn("the queue work -> out has 128 KiB (131072 bytes), but two of the largest records need ", messages)
        self.assertRegex(messages, r"each, of which 48 are the header")
        self.assertRegex(messages, r"give it at least \d+")

    def test_stage_without_input_whose_component_cannot_make_records_is_an_error(self):
        self.pipeline()
        self.write("p.yaml", self.read("p.yaml").replace("    from: in\n", "").replace(
            "  in: { connector: file, path: in.txt }\n", ""))
        self.assertIn("no tv_pull", self.messages("p.yaml"))

    def test_source_behind_another_stage_is_noticed(self):
        self.pipeline(component_of="pulse")
        self.assertIn("no tv_process", self.messages("p.yaml"))

    def test_losing_policy_where_waiting_is_possible_is_a_warning(self):
        self.pipeline(source="{ connector: file, path: in.txt, overflow: drop-newest }")
        self.assertIn('though connector "file" can wait', self.messages("p.yaml", 0))

    def test_unused_component_is_a_warning(self):
        self.pipeline()
        self.write("p.yaml", self.read("p.yaml").replace(
            "components:\n", f"components:\n  spare: {{ file: \"{component('slow')}\" }}\n"))
        self.assertIn('no stage uses component "spare"', self.messages("p.yaml", 0))

    def test_missing_asset_is_an_error(self):
        self.pipeline(stage_more="    assets: { table: nowhere.csv }")
        self.assertIn("nowhere.csv: No such file or directory", self.messages("p.yaml"))

    def test_more_than_the_limit_of_the_file_is_an_error(self):
        self.pipeline(head="limits: { memory: 16MiB, workers: 1 }",
                      source="{ connector: file, path: in.txt, queue: { bytes: 64MiB } }")
        self.assertRegex(self.messages("p.yaml"), r"the pipeline reserves .* limits.memory allows 16 MiB")
        planned = self.torvyn("plan", "p.yaml")
        self.assertEqual(1, planned.returncode)
        self.assertIn("queue in -> work", planned.stdout)
        self.assertRegex(planned.stderr, r"does not fit: the pipeline reserves .* limits.memory")
        self.assertEqual(1, self.torvyn("run", "p.yaml").returncode)

    def test_variables_come_from_the_command_line_then_the_environment(self):
        self.pipeline(source='{ connector: file, path: "${WHERE}" }')
        self.assertEqual(78, self.torvyn("check", "p.yaml").returncode)
        self.assertEqual(0, self.torvyn("check", "p.yaml", env={"WHERE": "a"}).returncode)
        self.assertEqual(0, self.torvyn("check", "p.yaml", "--set", "WHERE=b").returncode)

    def test_same_finding_in_many_flows_is_reported_once(self):
        self.pipeline(component_of="curious", component_more=", grants: [clock]")
        flows = "".join(f"  - {{ name: f{i} }}\n" for i in range(20))
        self.write("p.yaml", self.read("p.yaml") + "flows:\n" + flows)
        self.assertEqual(1, self.messages("p.yaml", 0).count("leads nowhere"))


class Plan(Case):
    def test_sums_are_those_of_the_lines(self):
        self.pipeline()
        plan = json.loads(self.torvyn("plan", "p.yaml", "--format", "json").stdout)
        for kind in ("reserved_bytes", "expected_bytes"):
            self.assertEqual(plan[kind], sum(line[kind] for line in plan["lines"]))
        self.assertTrue(plan["fits"])
        self.assertTrue(all(line["reserved_bytes"] >= line["expected_bytes"] for line in plan["lines"]))

    def test_what_is_in_the_file_is_in_the_plan(self):
        self.pipeline(source="{ connector: file, path: in.txt, queue: { bytes: 8MiB } }")
        plan = json.loads(self.torvyn("plan", "p.yaml", "--format", "json").stdout)
        lines = {line["what"]: line["reserved_bytes"] for line in plan["lines"]}
        self.assertEqual(8 << 20, lines["queue in -> work"])
        self.assertEqual(1 << 20, lines["stage work: linear memory"])

    def test_text_shows_both_sums_and_the_limits(self):
        self.pipeline(head="limits: { memory: 200MiB, workers: 1 }")
        text = self.torvyn("plan", "p.yaml").stdout
        for words in ("reserved", "expected", "limits.memory of the pipeline file", "200 MiB   fits"):
            self.assertIn(words, text)

    def test_what_does_not_fit_the_machine_is_refused_with_numbers(self):
        # A gigabyte a queue and 200 flows: more than any machine that runs this has.
        self.pipeline(source="{ connector: file, path: in.txt, queue: { bytes: 1GiB } }")
        flows = "".join(f"  - {{ name: f{i} }}\n" for i in range(4000))
        self.write("p.yaml", self.read("p.yaml").replace("name: test\n", "name: test\nlimits: { memories: 5000 }\n")
                   + "flows:\n" + flows)
        self.write("in.txt", "1\n")
        for verb in ("plan", "run"):
            done = self.torvyn(verb, "p.yaml")
            self.assertEqual(1, done.returncode, done.stderr)
            self.assertRegex(done.stderr, r"it does not fit: the pipeline reserves .* \(\d+ bytes\), .* \(\d+ bytes\)")


if __name__ == "__main__":
    main()
