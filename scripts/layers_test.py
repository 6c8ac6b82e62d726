#!/usr/bin/env python3
"""Tests of layers.py: a small tree that keeps the rules, and one violation of each."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

LAYERS = pathlib.Path(__file__).parent / "layers.py"


class LayersTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.write("src/base/base.h", "#include <stdint.h>\ntypedef int tv_base;\n")
        self.write("src/wasm/wasm.h", '#include "base/base.h"\n#include "torvyn/abi.h"\n')
        self.write("src/wasm/engine.c", '#include "wasm/wasm.h"\n#include <wasmtime/store.h>\n')
        self.write("src/flow/flow.h", '#include "wasm/wasm.h"\n')
        self.write("src/flow/channel.h", '#include "base/base.h"\n')
        self.write("src/flow/ring.h", '#include "base/base.h"\n')
        self.write("src/flow/ring_test.c", '#include "flow/ring.h"\n#include <cmocka.h>\n')
        self.write("src/connect/file/file.c", '#include "flow/channel.h"\n#include <uv.h>\n#include <sys/stat.h>\n')
        self.write("sdk/c/include/torvyn/abi.h", "#include <stdint.h>\n")

    def tearDown(self):
        self.folder.cleanup()

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def check(self, *arguments):
        command = [sys.executable, str(LAYERS), *arguments, str(self.root)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def expect_violation(self, path, text, message):
        self.write(path, text)
        result = self.check()
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(f"{path}:", result.stdout)
        self.assertIn(message, result.stdout)
        self.assertIn(" 1 violations", result.stdout)

    def test_tree_that_keeps_the_rules_passes(self):
        result = self.check("--compile", "cc")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_include_of_an_upper_module_is_found_with_its_line(self):
        self.expect_violation("src/base/log.c", '#include <stdio.h>\n#include "flow/flow.h"\n',
                              "src/base/log.c:2: base must not include flow/flow.h")

    def test_printing_of_foreign_text_as_it_is_is_found(self):
        self.expect_violation("src/flow/say.c", 'fprintf(stderr, "%d of "\n"%-8s", 1, name);\n',
                              "src/flow/say.c:1: fprintf prints foreign text as it is")

    def test_json_that_is_written_past_the_one_writer_is_found(self):
        self.expect_violation("src/flow/say.c", "\ntext = yyjson_mut_write(document, 0, &length);\n",
                              "src/flow/say.c:2: yyjson_mut_write is for tv_json_write")

    def test_include_of_a_sibling_is_found(self):
        self.write("src/connect/stdio/stdio.h", "")
        self.expect_violation("src/connect/file/other.c", '  #  include "connect/stdio/stdio.h"\n',
                              "connect/file must not include connect/stdio/stdio.h")

    def test_connectors_see_of_flow_the_channel_only(self):
        self.expect_violation("src/connect/file/other.c", '#include "flow/flow.h"\n', "of flow it may see")

    def test_test_support_is_for_tests_only(self):
        self.write("src/connect/testing/rig.h", '#include "flow/ring.h"\n#include <cmocka.h>\n')
        self.write("src/connect/file/file_test.c", '#include "connect/testing/rig.h"\n')
        self.assertEqual(self.check().returncode, 0, self.check().stdout)
        self.expect_violation("src/connect/file/other.c", '#include "connect/testing/rig.h"\n',
                              "connect/file must not include connect/testing/rig.h")

    def test_internal_header_of_another_module_is_found(self):
        self.expect_violation("src/pipeline/graph.c", '#include "flow/ring.h"\n', "it is internal to flow")

    def test_engine_outside_wasm_is_found(self):
        self.expect_violation("src/flow/stage.c", "#include <wasmtime.h>\n", "flow must not include <wasmtime.h>")

    def test_engine_under_quotes_is_found(self):
        self.expect_violation("src/flow/stage.c", '#include "wasmtime.h"\n', "flow must not include <wasmtime.h>")

    def test_libyaml_and_libuv_stay_in_their_modules(self):
        self.expect_violation("src/host/read.c", "#include <yaml.h>\n", "host must not include <yaml.h>")
        self.write("src/host/read.c", "#include <uv.h>\n")
        self.assertEqual(self.check().returncode, 0)
        self.expect_violation("src/pipeline/read.c", "#include <uv.h>\n", "pipeline must not include <uv.h>")

    def test_unknown_library_is_found(self):
        self.expect_violation("src/host/net.c", "#include <curl/curl.h>\n", "<curl/curl.h> is neither")

    def test_test_library_outside_tests_is_found(self):
        self.expect_violation("src/flow/stage.c", "#include <cmocka.h>\n", "for tests")

    def test_sdk_headers_for_components_are_refused_in_the_host(self):
        self.write("sdk/c/include/torvyn/torvyn.h", "")
        self.expect_violation("src/host/use.c", '#include "torvyn/torvyn.h"\n', "is for components")

    def test_folder_that_is_no_module_is_found(self):
        self.expect_violation("src/misc/use.c", "", "no module known")

    def test_missing_and_relative_headers_are_found(self):
        self.expect_violation("src/flow/stage.c", '#include "ring.h"\n', "is no header of this tree")

    def test_header_that_does_not_compile_alone_is_found(self):
        self.write("src/flow/stage.h", "static inline tv_base stage(void) { return 0; }\n")
        self.assertEqual(self.check().returncode, 0)
        result = self.check("--compile", "cc")
        self.assertEqual(result.returncode, 1)
        self.assertIn("src/flow/stage.h: does not compile alone", result.stdout)

    def test_empty_tree_is_a_failure(self):
        with tempfile.TemporaryDirectory() as empty:
            result = subprocess.run([sys.executable, str(LAYERS), empty], capture_output=True, check=False)
            self.assertEqual(result.returncode, 1)


if __name__ == "__main__":
    unittest.main()
