"""Files that must not be one another, and names that must not lead out of their folder."""

import os
import unittest

import harness


class Paths(harness.Case):
    def refused(self, text, **pipeline):
        """check and run say `text`, and nothing has been written."""
        self.pipeline(**pipeline)
        for verb in ("check", "run"):
            done = self.torvyn(verb, "p.yaml")
            self.assertNotEqual(0, done.returncode, verb)
            self.assertIn(text, done.stdout + done.stderr, verb)

    def output_refused(self, path, text="would be written into", more="", **pipeline):
        self.refused(text, sink="{ connector: file, path: %s%s }" % (path, more), **pipeline)

    def setUp(self):
        super().setUp()
        self.write("in.txt", "a\nb\n")

    def test_an_output_that_is_the_input_is_refused_however_it_is_spelled(self):
        os.symlink("in.txt", self.path("link"))
        os.symlink(self.folder, self.path("here"))
        os.link(self.path("in.txt"), self.path("hard"))
        os.symlink("link", self.path("link2"))
        for path in ("in.txt", "./in.txt", "here/in.txt", ".//here/../%s/in.txt" % os.path.basename(self.folder),
                     self.path("in.txt"), "link", "link2", "hard"):
            self.output_refused(path)
        self.assertEqual("a\nb\n", self.read("in.txt"))

    def test_an_output_that_is_the_pipelines_or_a_components_file_is_refused(self):
        self.output_refused("p.yaml")
        os.symlink(harness.component("pass"), self.path("component"))
        self.output_refused("component")
        self.output_refused("dead.jsonl")
        self.write("asset.txt", "x")
        self.output_refused("asset.txt", stage_more="    assets: { a: asset.txt }\n")
        self.assertEqual("x", self.read("asset.txt"))

    def test_the_dead_letters_must_not_go_into_the_input(self):
        os.symlink("in.txt", self.path("dead.jsonl"))
        self.refused("the file for dead letters would be written into")

    def test_an_input_that_is_not_there_yet_is_not_written_either(self):
        os.symlink("later.txt", self.path("link"))
        source = "{ connector: file, path: later.txt, mode: follow, missing: wait }"
        self.output_refused("later.txt", source=source)
        self.output_refused("link", source=source)
        self.assertFalse(os.path.exists(self.path("later.txt")))

    def test_an_output_must_not_rotate_into_an_input(self):
        self.write("out.2", "a\n")
        source = "{ connector: file, path: out.2 }"
        self.output_refused("out", "would rotate into", ", rotate_size: 4KiB", source=source)
        self.output_refused("out", "would rotate into", ", rotate_size: 4KiB, keep: 2", source=source)
        self.pipeline(source=source, sink="{ connector: file, path: out, rotate_size: 4KiB, keep: 1 }")
        self.assertEqual(0, self.torvyn("run", "p.yaml").returncode)

    def test_an_output_must_not_fit_the_pattern_of_an_input(self):
        source = '{ connector: file, path: "*.txt", mode: follow }'
        self.output_refused("out.txt", "has a name that fits", source=source)
        self.pipeline(source='{ connector: file, path: "*.txt" }', sink="{ connector: file, path: out.log }")
        self.assertEqual(0, self.torvyn("run", "p.yaml").returncode)

    def test_names_that_look_like_patterns_or_dates_are_warned_of(self):
        for path in ("out-%Y-%m-%d.txt", "out-*.txt", "out-?", "out-[1]"):
            self.pipeline(sink='{ connector: file, path: "%s" }' % path)
            done = self.torvyn("check", "p.yaml")
            self.assertEqual(0, done.returncode)
            self.assertIn("is taken as it stands", done.stdout + done.stderr, path)
        self.pipeline(source='{ connector: file, path: "in-%F.txt", mode: follow, missing: wait }')
        done = self.torvyn("check", "p.yaml")
        self.assertIn("is taken as it stands", done.stdout + done.stderr)
        self.refused("can have 255 bytes", sink="{ connector: file, path: %s }" % ("x" * 256))

    def test_a_link_that_is_put_into_an_outputs_place_does_not_lead_into_an_input(self):
        self.pipeline(source="{ connector: file, path: in.txt, mode: follow, poll: 10ms }",
                      sink="{ connector: file, path: out.txt }")
        process = self.start("run", "p.yaml")
        self.wait_for_lines("out.txt", 2)
        os.symlink("in.txt", self.path("link"))
        os.rename(self.path("link"), self.path("out.txt"))
        with open(self.path("in.txt"), "a", encoding="utf-8") as file:
            file.write("c\n")
        told = b""
        while b"an input reads" not in told:
            line = process.stderr.readline()
            self.assertTrue(line, "it is not said")
            told += line
        self.assertEqual("a\nb\nc\n", self.read("in.txt"))
        os.unlink(self.path("out.txt"))
        self.wait_for_lines("out.txt", 1)
        self.assertEqual("c\n", self.read("out.txt"))

    def test_outputs_share_a_file_only_where_they_can(self):
        flows = "flows: [{ count: 2 }]"
        self.output_refused("out.bin", "channel \"out\" of flow", ", format: length-prefixed", head=flows)
        self.pipeline(sink="{ connector: file, path: out.txt }", head=flows)
        self.assertEqual(0, self.torvyn("run", "p.yaml").returncode)
        self.assertEqual(4, len(self.lines("out.txt")))
        self.pipeline(sink="{ connector: file, path: out.txt, mode: truncate }", head=flows)
        done = self.torvyn("check", "p.yaml")
        self.assertEqual(0, done.returncode)
        self.assertIn("would empty at its start", done.stdout + done.stderr)

    def test_a_table_column_does_not_lead_out_of_the_folder(self):
        for name in ("../up", "/tmp/x", "..", ".", "", "a/b", "x" * 256):
            self.write("t.csv", "id,name\np1,%s\n" % name)
            self.output_refused('"out-${name}/${name}"', "values of a table", head="flows: [{ for_each: t.csv }]")
        self.write("t.csv", "id,name\np1,-dash\np2,.hidden\np3,a b..c\n")
        os.mkdir(self.path("out"))
        self.pipeline(sink='{ connector: file, path: "out/${name}" }', head="flows: [{ for_each: t.csv }]")
        self.assertEqual(0, self.torvyn("run", "p.yaml").returncode)
        self.assertEqual(["-dash", ".hidden", "a b..c"], sorted(os.listdir(self.path("out"))))

    def test_files_of_other_kinds_get_a_clear_answer_at_once(self):
        os.mkfifo(self.path("fifo"))
        os.mkdir(self.path("folder"))
        for path, text in (("fifo", "it is a pipe"), ("folder", "it is a folder"), ("none/out", "does not exist")):
            self.pipeline(sink="{ connector: file, path: %s }" % path)
            self.assertIn(text, self.torvyn("run", "p.yaml").stderr)
        for path, text in (("fifo", "not a regular file"), ("folder", "it is a folder"),
                           ("/dev/zero", "not a regular file")):
            self.pipeline(source="{ connector: file, path: %s }" % path)
            self.assertIn(text, self.torvyn("run", "p.yaml").stderr)

    def test_permissions_of_new_files_are_as_asked_for(self):
        self.pipeline(sink='{ connector: file, path: out.txt, permissions: "0600" }')
        self.assertEqual(0, self.torvyn("run", "p.yaml").returncode)
        self.assertEqual(0o600, os.stat(self.path("out.txt")).st_mode & 0o777)
        self.refused("octal", sink='{ connector: file, path: out.txt, permissions: "0088" }')


if __name__ == "__main__":
    unittest.main()
