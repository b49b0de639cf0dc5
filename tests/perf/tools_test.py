#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command lines of perf/: tools_test.py BUILD_DIRECTORY. (The quick forms of compare, scale and
allocators, which take longer, are tests of their own.)"""

import os
import re
import subprocess
import sys
import unittest

PERF = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                    "perf")
PROGRAMS = os.path.join(sys.argv.pop(1), "perf", "bin") if len(sys.argv) > 1 else ""
SCRIPTS = ("allocators", "compare", "instructions", "latency", "record", "scale")
SERVERS = ("echo_epoll", "echo_libuv", "echo_uring", "echo_libevent", "echo_asio")


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, timeout=30)


class Scripts(unittest.TestCase):
    def test_each_says_how_to_call_it(self):
        for name in SCRIPTS:
            with self.subTest(name):
                done = run(os.path.join(PERF, name), "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(done.stdout.startswith(f"usage: {name} "), done.stdout)

    def test_each_that_builds_says_that_it_was_told_not_to(self):
        for name in ("children", "compare", "logs", "prefork", "scale", "supervision", "thrift",
                     "workers"):
            with self.subTest(name):
                done = run(os.path.join(PERF, name), "--build", "/nowhere", "--no-build")
                self.assertEqual((done.returncode, done.stderr), (1,
                    f"perf/{name}: /nowhere is not built: run without --no-build\n"))

    def test_probes_says_what_it_cannot_list(self):
        for arguments, said in (([], "usage: "), (["--help"], "usage: "),
                                (["/nowhere"], "cannot read /nowhere: No such file"),
                                ([__file__], f"{__file__} has no probes")):
            with self.subTest(arguments=arguments):
                done = run(sys.executable, "-B", os.path.join(PERF, "probes.py"), *arguments)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(said, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)

    def test_each_option_that_the_guide_shows_is_there(self):
        with open(os.path.join(PERF, "README.md"), encoding="utf-8") as file:
            lines = [line.split() for line in file if line.startswith("    perf/")]
        shown = {}
        for words in lines:
            options = re.findall(r"--[a-z][a-z-]*", " ".join(words))
            shown.setdefault(words[0].removeprefix("perf/"), set()).update(options)
        for name, options in shown.items():
            text = run(os.path.join(PERF, name), "--help").stdout
            for option in options - {"--flag", "--perf"}:  # Of others' commands.
                with self.subTest(name, option=option):
                    self.assertRegex(text, option + r"\b")

    def test_each_refuses_what_it_does_not_know(self):
        for name in SCRIPTS:
            with self.subTest(name):
                done = run(os.path.join(PERF, name), "--nonsense")
                self.assertEqual(done.returncode, 2)
                self.assertIn(f"{name}: error:", done.stderr)

    def test_scale_publishes_all_or_nothing(self):
        for part in (["--quick"], ["--only", "idle"]):
            done = run(os.path.join(PERF, "scale"), "--publish", *part)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--output", done.stderr)

    def test_those_that_look_at_a_process_say_that_it_is_not_there(self):
        for name in ("latency", "record"):
            with self.subTest(name):
                done = run(os.path.join(PERF, name), "999999999")
                self.assertIn(done.returncode, (1, 77), done.stderr)
                self.assertIn(f"perf/{name}: ", done.stderr)

    def test_instructions_names_the_cells_and_servers_that_there_are(self):
        if not os.path.exists(os.path.join(PROGRAMS, "step")):
            self.skipTest("perf/step is for x86-64")
        build = os.path.dirname(os.path.dirname(PROGRAMS))
        command = [os.path.join(PERF, "instructions"), "--build", build, "--echo"]
        for option, known in (("--cell", "churn, 20"), ("--impl", "epoll")):
            done = run(*command, option, "nonsense")
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"'{known}'", done.stderr)


    def test_a_file_that_cannot_be_written_is_named_before_anything_is_measured(self):
        for name, option, more in (("record", "--output", ["--", "sleep", "20"]),
                                   ("allocators", "--markdown", []),
                                   ("compare", "--output", []), ("scale", "--output", []),
                                   ("instructions", "--save", [])):
            with self.subTest(name):
                done = run(os.path.join(PERF, name), option, "/proc/nonsense/file", *more)
                self.assertEqual(done.returncode, 2)
                self.assertIn(f"argument {option}: cannot write into /proc/nonsense/file",
                              done.stderr)

    def test_names_that_nobody_has_are_refused(self):
        build = os.path.dirname(os.path.dirname(PROGRAMS))
        for name, option, more in (("compare", "--impl", ["--quick", "--no-build"]),
                                   ("compare", "--bench", ["--quick", "--no-build"]),
                                   ("instructions", "--bench", [])):
            with self.subTest(name, option=option):
                done = run(os.path.join(PERF, name), "--build", build, *more, option, "nonsense")
                self.assertEqual(done.returncode, 2)
                self.assertRegex(done.stderr, f"{option}.* '?nonsense'?; there is: ")

    def test_figures_to_compare_with_have_to_be_there(self):
        done = run(os.path.join(PERF, "instructions"), "--against", "/nonsense")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("there is no /nonsense", done.stderr)


class Programs(unittest.TestCase):
    def test_the_load_generator_says_how_to_call_it(self):
        done = run(os.path.join(PROGRAMS, "load"), "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for mode in ("--rate", "--churn", "--idle"):
            self.assertIn(mode, done.stdout)

    def test_the_load_generator_refuses_nonsense(self):
        for words in ([], ["--port", "1", "--churn", "--idle", "3"], ["--port", "0"],
                      ["--port", "1", "more"]):
            done = run(os.path.join(PROGRAMS, "load"), *words)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn("usage: load", done.stderr)

    def test_servers_say_how_to_call_them(self):
        for name in SERVERS:
            program = os.path.join(PROGRAMS, name)
            if not os.path.exists(program):
                continue
            with self.subTest(name):
                done = run(program, "--nonsense")
                self.assertEqual(done.returncode, 2)
                self.assertIn("--port N", done.stderr)

    def test_each_micro_benchmark_lists_what_it_answers(self):
        micro = os.path.join(PROGRAMS, "micro")
        self.assertGreater(len(os.listdir(micro)), 0)
        for name in sorted(os.listdir(micro)):
            with self.subTest(name):
                done = run(os.path.join(micro, name), "--list")
                if done.returncode == 77:  # What it runs on is not installed.
                    continue
                self.assertEqual(done.returncode, 0, done.stderr)
                for line in done.stdout.splitlines():
                    self.assertRegex(line, r"^\w+ \w+$")


if __name__ == "__main__":
    unittest.main()
