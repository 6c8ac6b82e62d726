"""What comes out of every verb for a pipeline, paths, a component and records that want to act on the terminal: nothing
of it is acted on, and everything that is JSON is strict UTF-8."""

import base64
import json
import os
import socket
import unicodedata

from harness import Case, component, main

# Escapes, C1 in both spellings, bidirectional controls, zero width, separators, DEL, and bytes that are no UTF-8.
EVIL_TEXT = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066\u200b\u200f\ufeff\u2028\u2029\x7f\U000e0041\r\x08"
EVIL = EVIL_TEXT.encode() + b"\xff\x9b\xc3\xed\xa0\x80"
UNSEEN = {"Cc", "Cf", "Zl", "Zp", "Cs", "Cn"}


def sections(module):
    at = 8
    while at < len(module):
        start, kind = at, module[at]
        at, size, shift = at + 1, 0, 0
        while True:
            byte = module[at]
            at, size, shift = at + 1, size | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        yield kind, module[start:at + size], module[at:at + size]
        at += size


def described_as(module, text):
    """The module with another section that describes it."""
    kept = [whole for kind, whole, body in sections(module) if not (kind == 0 and body[1:17] == b"torvyn.component")]
    body = b"\x10torvyn.component" + text
    size = bytes([len(body) & 127 | 128, len(body) >> 7])
    return module[:8] + b"".join(kept) + b"\x00" + size + body


class Shown(Case):
    def environment(self, extra=None):
        return super().environment({"TORVYN_RUNTIME_DIR": self.path("torvyn"), **(extra or {})})

    def assert_shown(self, data, what):
        try:
            text = data.decode("utf-8")  # strict
        except UnicodeDecodeError:
            self.fail(f"{what} is no UTF-8: {data}")
        for character in text:
            if character != "\n":
                self.assertNotIn(unicodedata.category(character), UNSEEN, (what, character.encode(), text))
        return text

    def run_raw(self, *arguments, stdin=b""):
        """Both outputs, checked."""
        process = self.start(*arguments)
        output, errors = process.communicate(stdin, timeout=60)
        return (process.returncode, self.assert_shown(output, (arguments, "stdout")),
                self.assert_shown(errors, (arguments, "stderr")))

    def verbs(self, *arguments):
        """A verb in both formats; what claims to be JSON is."""
        texts = self.run_raw(*arguments)
        code, output, _ = self.run_raw(*arguments, "--format", "json")
        if output:
            json.loads(output)
        return texts, output

    def pipeline(self, name, **more):
        self.write(name, f"""version: 1
name: shown
dead_letters: dead.jsonl
components:
  mouth: {{ file: "{more.get("file", component("mouth"))}", memory: 1MiB }}
channels:
  in: {{ connector: file, path: "{more.get("input", "in.txt")}", mode: {more.get("mode", "once")} }}
  out: {{ connector: file, path: out.txt }}
stages:
  talk: {{ component: mouth, from: in, to: out {more.get("config", "")} }}
""")
        return name

    def test_names_of_files_and_flags(self):
        evil = os.fsdecode(EVIL.replace(b"/", b""))
        self.pipeline("good.yaml")
        os.makedirs(self.path(evil))
        os.rename(self.path("good.yaml"), self.path(evil + "/" + evil + ".yaml"))
        for verb in ("check", "plan", "run", "inspect"):
            for name in (evil, evil + "/x", evil + "/" + evil + ".yaml"):
                self.verbs(verb, name)
        for arguments in ((evil,), ("run", "--" + evil), ("run", "-" + evil), ("run", "a", evil), ("help", evil),
                          ("ps", evil), ("tap", evil + "/x"), ("tap", "x/" + evil), ("flow", evil, "x"),
                          ("flow", "set", evil, evil + "=1"), ("flow", "add", "x", "class=" + evil), ("new", evil),
                          ("build", evil + ".c"), ("build", evil), ("build", evil + ".c", "-o", evil, "--verbose"),
                          ("connectors", evil), ("top", "--sort", evil), ("run", "x", "--log-level", evil),
                          ("run", "x", "--set", evil), ("ps", "--control", evil), ("stop", "--grace", evil),
                          ("check", "x", "--format", evil), ("version", evil)):
            code, output, errors = self.run_raw(*arguments)
            self.assertNotEqual(0, code, (arguments, output))

    def test_what_a_pipeline_file_says(self):
        keys = 'version: 1\nname: "{0}"\n"{0}": 1\ncomponents:\n  "{0}": {{ file: "{0}", memory: "{0}" }}\n' \
               'channels:\n  in: {{ connector: "{0}", path: "{0}" }}\n' \
               'stages:\n  "{0}": {{ component: "{0}", from: "{0}" }}\nflows:\n  - {{ name: "{0}", for_each: "{0}" }}\n'
        # YAML refuses some characters as they are, so each also comes by an escape.
        escaped = "".join(f"\\U{ord(c):08x}" for c in EVIL_TEXT)
        for name, data in (("escaped.yaml", keys.format(escaped)), ("plain.yaml", keys.format("\u202e\u2066\u200b")),
                           ("raw.yaml", keys.format("x").encode().replace(b"x", EVIL)), ("bytes.yaml", EVIL)):
            self.write(name, data)
            for verb in ("check", "plan", "run"):
                self.verbs(verb, name)

    def test_values_of_variables_and_tables(self):
        self.pipeline("p.yaml", input="${WHERE}", config=', config: { refuse: "${WHERE}" }')
        for value in (os.fsdecode(EVIL), EVIL_TEXT, "\u202e"):
            for verb in ("check", "plan", "run"):
                self.verbs(verb, "p.yaml", "--set", "WHERE=" + value)
        self.write("t.csv", b"id\n" + EVIL.replace(b"\r", b"") + b"\n")
        self.write("flows.yaml", self.read("p.yaml").replace("stages:", "flows:\n  - { for_each: t.csv }\nstages:"))
        for verb in ("check", "plan", "run"):
            self.verbs(verb, "flows.yaml", "--set", "WHERE=x")

    def test_component_that_refuses_its_start(self):
        self.write("in.txt", "")
        escaped = "".join(f"\\U{ord(c):08x}" for c in EVIL_TEXT)
        self.pipeline("p.yaml", config=f', config: {{ refuse: "{escaped}" }}')
        for arguments in ((), ("--format", "json"), ("--log-format", "json")):
            code, output, errors = self.run_raw("run", "p.yaml", *arguments)
            self.assertNotEqual(0, code)
            self.assertTrue("owned" in output + errors)

    def test_module_that_is_described_so(self):
        with open(component("mouth"), "rb") as file:
            module = file.read()
        self.write("in.txt", "reject:x\n")
        for i, name in enumerate((b"\x9b31m\xff", "\u202e\u2066\u200b\x9b".encode(), b"\xc2")):
            self.write("evil.wasm", described_as(module, b"name=" + name + b"\nversion=" + name + b"\n"))
            (_, text, _), output = self.verbs("inspect", "evil.wasm")
            self.assertTrue(json.loads(output)["name"])
            self.pipeline("p.yaml", file="evil.wasm")
            for verb in ("check", "plan", "run"):
                self.verbs(verb, "p.yaml")
            for line in self.lines("dead.jsonl"):
                self.assertEqual("talk", json.loads(line)["stage"])
        for field in (b"role=", b"state=", b"max_output=", b"ports=", b"", b"name=" + 60 * b"x"):
            self.write("evil.wasm", described_as(module, field + EVIL.replace(b"\x7f", b"").translate(None, bytes(range(32)))))
            self.verbs("inspect", "evil.wasm")
            self.verbs("check", "p.yaml")

    def test_what_a_component_says_while_it_runs(self):
        evil = EVIL.replace(b"\r", b"").replace(b"\n", b"")
        short = evil[:60]
        records = [b"reject:" + evil, b"reject:" + 40 * b"\x01", b"reject:" + 250 * b"\x01", b"log:" + evil, b"count:" + short, b"trap"]
        self.write("in.txt", b"\n".join(records) + b"\n")
        self.pipeline("p.yaml")
        for arguments in ((), ("--format", "json"), ("--log-format", "json")):
            code, output, errors = self.run_raw("run", "p.yaml", *arguments)
            self.assertEqual(0, code, errors)
        with open(self.path("dead.jsonl"), "rb") as file:
            letters = [json.loads(self.assert_shown(line, "dead letter")) for line in file.read().splitlines()]
        self.assertEqual(evil, base64.b64decode(letters[0]["message_base64"]))
        self.assertIn("\x1b[2J", letters[0]["message"])  # where UTF-8, as it was
        self.assertEqual(40 * "\x01", letters[1]["message"])
        self.assertEqual(250 * b"\x01", base64.b64decode(letters[2]["message_base64"]))

    def test_a_running_pipeline_from_outside(self):
        evil = EVIL.replace(b"\r", b"").replace(b"\n", b"")
        self.write("in.txt", b"")
        self.pipeline("p.yaml", mode="follow")
        process = self.start("run", "p.yaml", "--quiet")

        def listens():
            with socket.socket(socket.AF_UNIX) as client:
                return client.connect_ex(self.path("torvyn/shown.sock")) == 0

        self.wait_for(listens, "a control socket")
        taps = [self.start("tap", "shown/" + place, "--limit", "3", *more)
                for place in ("talk", "in") for more in ((), ("--format", "json"))]
        def tapped():
            output = self.run_raw("ps", "shown", "--format", "json")
            return len(taps) == sum(tap.poll() is None for tap in taps) and output[0] == 0

        self.wait_for(tapped, "taps")
        line = 0
        while any(tap.poll() is None for tap in taps):
            line += 1
            with open(self.path("in.txt"), "ab") as file:
                for record in (evil, b'{"a":"' + EVIL_TEXT.encode()[20:30] + b'"}', b"log:" + evil, b"count:" + evil[:40],
                               b"reject:" + evil, b"trap"):
                    file.write(record + b"\n")
            self.wait_for_lines("out.txt", line * 4)
        for tap in taps:
            output, errors = tap.communicate(timeout=60)
            for text in self.assert_shown(output, "tap").splitlines():
                if "json" in tap.args:
                    json.loads(text)
            self.assert_shown(errors, "tap")
        self.wait_for(lambda: json.loads(self.run_raw("ps", "shown", "--format", "json")[1])["dead_lettered"], "figures")
        self.verbs("ps")
        _, text, _ = self.verbs("ps", "shown")[0]
        self.assertIn("stage talk rejected ", text)
        self.verbs("ps", os.fsdecode(EVIL))
        self.run_raw("top", "--format", "json")
        self.verbs("flow", "pause", os.fsdecode(EVIL))
        self.verbs("flow", "set", "shown", "--set", "X=" + os.fsdecode(EVIL))
        self.verbs("flow", "set", "shown", "--set", "X=" + EVIL_TEXT)
        self.verbs("tap", "shown/" + os.fsdecode(EVIL))
        self.verbs("stop")
        code, output, errors = self.finish(process)
        self.assert_shown(output.encode(), "run")
        self.assert_shown(errors.encode(), "run")


if __name__ == "__main__":
    main()
