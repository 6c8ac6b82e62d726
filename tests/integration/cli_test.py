"""Verbs, flags, help and exit codes, as a person meets them."""

import json

from harness import Case, component, main

VERBS = ["new", "build", "inspect", "check", "plan", "run", "ps", "top", "flow", "tap", "stop", "connectors", "reference", "schema", "version", "help"]


class Verbs(Case):
    def test_without_a_verb_the_list_is_shown_and_the_exit_code_is_usage(self):
        done = self.torvyn()
        self.assertEqual(64, done.returncode)
        for verb in VERBS:
            self.assertIn(f"\n  {verb} ", done.stderr)

    def test_help_lists_every_verb(self):
        done = self.torvyn("help")
        self.assertEqual(0, done.returncode)
        for verb in VERBS:
            self.assertIn(f"\n  {verb} ", done.stdout)

    def test_every_verb_has_help_with_examples_both_ways(self):
        for verb in VERBS:
            first = self.torvyn(verb, "--help")
            second = self.torvyn("help", verb)
            self.assertEqual((0, 0), (first.returncode, second.returncode), verb)
            self.assertEqual(first.stdout, second.stdout)
            self.assertIn("Examples:\n  torvyn " + verb, first.stdout)
            self.assertIn("Usage: torvyn " + verb, first.stdout)

    def test_unknown_verb_suggests_the_nearest(self):
        done = self.torvyn("chekc")
        self.assertEqual(64, done.returncode)
        self.assertIn("there is no verb 'chekc'; did you mean 'check'?", done.stderr)
        self.assertEqual("", done.stdout)
        again = self.torvyn("help", "chekc")
        self.assertEqual((64, done.stderr), (again.returncode, again.stderr))

    def test_unknown_verb_far_from_all_suggests_nothing(self):
        done = self.torvyn("frobnicate")
        self.assertEqual(64, done.returncode)
        self.assertNotIn("did you mean", done.stderr)

    def test_unknown_flag_suggests_the_nearest(self):
        done = self.torvyn("run", "--worker", "2", "p.yaml")
        self.assertEqual(64, done.returncode)
        self.assertIn("there is no flag '--worker'; did you mean '--workers'?", done.stderr)

    def test_flag_without_value_is_a_usage_error(self):
        done = self.torvyn("run", "p.yaml", "--workers")
        self.assertEqual(64, done.returncode)
        self.assertIn("--workers needs a value", done.stderr)

    def test_wrong_values_of_flags_say_what_was_expected(self):
        for flags, expected in [
            (["--workers", "0"], "from 1 to 64"),
            (["--workers", "many"], "from 1 to 64"),
            (["--format", "xml"], "'text' or 'json'"),
            (["--grace", "soon"], "--grace"),
            (["--set", "INPUT"], "NAME=VALUE"),
            (["--quiet=yes"], "takes no value"),
            (["--log-level", "loud"], "trace, debug, info, warn or error"),
        ]:
            done = self.torvyn("run", "p.yaml", *flags)
            self.assertEqual(64, done.returncode, flags)
            self.assertIn(expected, done.stderr, flags)

    def test_missing_and_surplus_arguments_are_usage_errors(self):
        self.assertEqual(64, self.torvyn("check").returncode)
        done = self.torvyn("check", "a.yaml", "b.yaml")
        self.assertEqual(64, done.returncode)
        self.assertIn("one argument too many: 'b.yaml'", done.stderr)

    def test_version_names_engine_and_contract(self):
        version = json.loads(self.torvyn("version", "--format", "json").stdout)
        self.assertEqual([1], version["contract_versions"])
        self.assertRegex(version["engine"], r"^wasmtime \d+\.\d+\.\d+$")
        self.assertIn("torvyn " + version["torvyn"], self.torvyn("--version").stdout)

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            done = self.torvyn("help", stdout=full)
        self.assertEqual(1, done.returncode)
        self.assertIn("standard output could not be written", done.stderr)


class Tables(Case):
    def test_connectors_are_listed_and_explained(self):
        done = self.torvyn("connectors")
        self.assertEqual(0, done.returncode)
        for name in ("file", "stdio", "generator"):
            self.assertRegex(done.stdout, rf"(?m)^{name} ")
            self.assertIn("As ", self.torvyn("connectors", name).stdout)

    def test_connectors_as_json(self):
        connectors = json.loads(self.torvyn("connectors", "--format", "json").stdout)
        paths = [option for option in connectors[0]["input"] if option["name"] == "path"]
        self.assertTrue(paths[0]["required"])

    def test_unknown_connector_suggests_the_nearest(self):
        done = self.torvyn("connectors", "fiel")
        self.assertEqual(64, done.returncode)
        self.assertIn("did you mean 'file'", done.stderr)

    def test_schema_is_json_and_reference_is_markdown(self):
        schema = json.loads(self.torvyn("schema").stdout)
        self.assertIn("2020-12", schema["$schema"])
        self.assertTrue(self.torvyn("reference").stdout.startswith("#"))


class Inspect(Case):
    def test_inspect_says_what_a_component_needs(self):
        info = json.loads(self.torvyn("inspect", component("curious"), "--format", "json").stdout)
        self.assertEqual(("curious", "2.1.0", "router"), (info["name"], info["version"], info["role"]))
        self.assertEqual(["out", "alerts"], info["ports"])
        self.assertIn({"module": "torvyn", "name": "clock", "grant": "clock"}, info["imports"])
        self.assertEqual("own", info["state"])
        stateless = json.loads(self.torvyn("inspect", component("pass"), "--format", "json").stdout)
        self.assertEqual("none", stateless["state"])
        text = self.torvyn("inspect", component("curious")).stdout
        self.assertIn("torvyn.clock   (needs the grant 'clock')", text)

    def test_build_of_what_is_no_c_says_so_in_its_own_words(self):
        for name, words in (("x.cpp", "x.cpp is C++; `torvyn build` compiles C."), ("x.rs", "x.rs is Rust;"),
                            ("x", "x is no C source: its name does not end in .c")):
            self.write(name, "")
            done = self.torvyn("build", name)
            self.assertEqual((1, ""), (done.returncode, done.stdout))
            self.assertIn(words, done.stderr)
        self.assertIn("cannot read y.c: No such file", self.torvyn("build", "y.c").stderr)

    def test_inspect_of_what_is_no_module_fails_with_the_file_s_name(self):
        self.write("garbage.wasm", b"\x00asm garbage")
        for name in ("garbage.wasm", "missing.wasm"):
            done = self.torvyn("inspect", name)
            self.assertEqual(1, done.returncode)
            self.assertIn(name, done.stderr)


if __name__ == "__main__":
    main()
