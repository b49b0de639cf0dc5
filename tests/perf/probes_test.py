#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The static probes, and the tools that stand on them and on frame pointers.

    tests/perf/probes_test.py <build directory> [<class...>]

Exit status: 77 if nothing of what was asked for can be done here.
"""

import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import unittest
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(sys.argv.pop(1))
LIBRARY = os.path.join(BUILD, "deploy", "libcoil.so")
MICRO = os.path.join(BUILD, "perf", "bin", "micro")
TASKS = [os.path.join(MICRO, "task"), "--exact", "100", "spawn_join", "coil"]
AT_ONCE = 4  # One-liners that are tried beside each other.
SKIPPED = 77

sys.path[:0] = [os.path.join(ROOT, "perf"), os.path.join(ROOT, "tests", "e2e")]
sys.argv.insert(1, os.path.join(BUILD, "docs", "examples"))  # For stage.

# pylint: disable=wrong-import-position
import flame  # noqa: E402
import probes  # noqa: E402
import stage  # noqa: E402


def documented():
    """{probe: argument count}, as the table in the header says."""
    with open(os.path.join(ROOT, "core", "include", "coil", "probe.h"), encoding="utf-8") as file:
        table = file.read().partition("probe      when")[2].partition("\n *\n")[0]
    counts, name = {}, None
    for line in table.splitlines()[1:]:
        row = re.match(r" \*     (\w*) +.*", line)
        name = row[1] or name
        arguments = line[45:]
        counts[name] = counts.get(name, 0) + len([a for a in arguments.split(",") if a.strip()])
    return counts


def output_of(command, cwd=None):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


def titles_of(picture):
    return [each.text for each in picture.iter() if each.tag.endswith("title")]


def need_bpftrace(test):
    if os.geteuid() != 0:
        test.skipTest("only root may attach to probes")
    if not shutil.which("bpftrace"):
        test.skipTest("there is no bpftrace")
    if output_of(["bpftrace", "-e", "BEGIN { exit(); }"]).returncode != 0:
        test.skipTest("bpftrace does not run here")


class Notes(unittest.TestCase):
    def test_library_has_each_probe_with_the_arguments_that_are_documented(self):
        found = {name: len(arguments) for name, arguments in probes.probes_of(LIBRARY)}
        self.assertEqual(8, len(found))
        self.assertEqual(documented(), found)

    def test_no_argument_is_an_address_that_tools_cannot_follow(self):
        for name, arguments in probes.probes_of(LIBRARY):
            for argument in arguments:
                self.assertNotIn("(%rip)", argument, name)

    def test_file_that_is_no_program_has_none(self):
        self.assertEqual([], probes.probes_of(os.path.abspath(__file__)))


class Gdb(unittest.TestCase):
    def test_breaks_at_a_probe_and_sees_its_arguments(self):
        if not shutil.which("gdb"):
            self.skipTest("there is no gdb")
        done = output_of(["gdb", "-batch", "-nx", "-ex", "set debuginfod enabled off",
                          "-ex", "break -probe-stap coil:end", "-ex", "run",
                          "-ex", r'printf "end of %s: %d\n", (char *)$_probe_arg1, $_probe_arg2',
                          "-ex", "kill", "--args", *TASKS])
        if "ptrace" in done.stderr or "not permitted" in done.stderr:
            self.skipTest("gdb may not start programs: " + done.stderr.splitlines()[0])
        self.assertIn("end of trivial: 0", done.stdout, done.stderr)


class Counts(stage.Test):
    """What happens in a program from its start to its end, as bpftrace sees it."""

    SCRIPT = """
        usdt:PATH:coil:spawn { @spawn = count(); }
        usdt:PATH:coil:wake { @wake = count(); }
        usdt:PATH:coil:resume { @resume = count(); }
        usdt:PATH:coil:suspend { @suspend = count(); }
        usdt:PATH:coil:end { @end = count(); }
        """
    IO_SCRIPT = """
        usdt:PATH:coil:submit { @submit = count(); }
        usdt:PATH:coil:complete / (arg2 & 2) == 0 / { @complete = count(); }
        """

    def setUp(self):
        need_bpftrace(self)

    def watch(self, command, script):
        """bpftrace, which starts the command when it has attached, and ends with it."""
        script = script.replace("PATH", command[0])
        watcher = subprocess.Popen(
            ["bpftrace", "-f", "json", "-e", script, "-c", " ".join(command)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(watcher.communicate)
        self.addCleanup(watcher.kill)
        return watcher

    def counts(self, watcher):
        out, err = watcher.communicate(timeout=stage.PATIENCE_S)
        counts = {}
        for line in out.splitlines():
            report = json.loads(line) if line.startswith("{") else {}
            if report.get("type") == "map":
                counts.update({name[1:]: value for name, value in report["data"].items()})
        if not counts:
            self.skipTest("bpftrace cannot attach: " + err.strip().rpartition("\n")[2])
        return counts

    def assert_balanced(self, counts):
        self.assertEqual(counts["spawn"], counts["end"], counts)
        self.assertEqual(counts["resume"], counts["suspend"] + counts["end"], counts)

    def test_every_task_that_is_spawned_ends_and_waits_as_often_as_it_is_woken(self):
        counts = self.counts(self.watch(TASKS, self.SCRIPT))
        self.assert_balanced(counts)
        self.assertGreater(counts["spawn"], 100)
        self.assertEqual(counts["wake"], counts["suspend"])

    def test_no_request_of_a_server_goes_without_completion(self):
        port = stage.free_ports()
        echo = [os.path.join(stage.DIRECTORY, "echo"), "--port", str(port)]
        watcher = self.watch(echo, self.SCRIPT + self.IO_SCRIPT)
        for _ in range(10):
            client = self.connect(port)
            client.sendall(b"x" * 100000)
            stage.receive(client, 100000)
        with open(f"/proc/{watcher.pid}/task/{watcher.pid}/children", encoding="ascii") as children:
            os.kill(int(children.read()), stage.signal.SIGTERM)
        counts = self.counts(watcher)
        self.assert_balanced(counts)
        self.assertGreater(counts["spawn"], 10)
        self.assertGreater(counts["submit"], 10)
        self.assertEqual(counts["submit"], counts["complete"], counts)


class Served(stage.Test):
    """An echo server under load, in self.echo."""

    def setUp(self):
        load = os.path.join(BUILD, "perf", "bin", "load")
        if not os.path.exists(load):
            self.skipTest("the load generator is not built")
        self.port = stage.free_ports()
        self.echo = self.start("echo", "--port", self.port)
        self.connect(self.port)
        self.load = subprocess.Popen(
            [load, "--port", str(self.port), "--connections", "10", "--seconds", "60"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.load.wait)
        self.addCleanup(self.load.kill)

    def run_tool(self, name, *arguments):
        done = output_of([os.path.join(ROOT, "perf", name), str(self.echo.pid), *arguments])
        if done.returncode == SKIPPED:
            self.skipTest(done.stderr.strip())
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout


class Record(Served):
    def test_flame_graph_is_well_formed_and_shows_kernel_library_and_coroutines(self):
        path = os.path.join(BUILD, "record_test.svg")
        self.run_tool("record", "--seconds", "1", "--output", path)
        titles = titles_of(xml.etree.ElementTree.parse(path))
        for expected in ("echo (thread)", "coil_loop_run (coil)", "echo (coroutine)", "(kernel)"):
            self.assertTrue(any(expected in title for title in titles), (expected, titles))
        self.assertFalse([title for title in titles if "__step" in title or "__body" in title])

    def test_command_is_recorded_until_it_ends(self):
        path = os.path.join(BUILD, "record_command_test.svg")
        done = output_of([os.path.join(ROOT, "perf", "record"), "--output", path, "--",
                          TASKS[0], "--exact", "500000", *TASKS[3:]])
        if done.returncode == SKIPPED:
            self.skipTest(done.stderr.strip())
        with open(path, encoding="utf-8") as file:
            self.assertIn("run_spawn_join", file.read())


class Fold(unittest.TestCase):
    SCRIPT = """\
echo
\tffffffff81000001 tcp_sendmsg+0x10 ([kernel.kallsyms])
\t    55d000000003 echo__body.isra.0 (/usr/bin/echo)
\t    55d000000002 echo__step (/usr/bin/echo)
\t    55d000000001 coil_sched_run (/usr/bin/echo)

echo
\t    55d000000001 coil_sched_run (/usr/bin/echo)

"""

    def test_step_and_body_are_one_frame_of_the_coroutine(self):
        counts = flame.folded([*self.SCRIPT.splitlines(), ""])
        self.assertEqual({(("echo", "thread"), ("coil_sched_run", "coil"), ("echo", "coroutine"),
                           ("tcp_sendmsg", "kernel")): 1,
                          (("echo", "thread"), ("coil_sched_run", "coil")): 1}, counts)

    def test_names_that_are_no_xml_are_quoted(self):
        counts = {(("a<b>&", "thread"), ("operator<<", "user")): 3}
        picture = xml.etree.ElementTree.fromstring(flame.svg(counts, "<&>"))
        self.assertEqual(["a<b>& (thread): 100.0%, 3 samples",
                          "operator<< (user): 100.0%, 3 samples"], titles_of(picture))

    def test_nothing_can_be_drawn_too(self):
        self.assertIn("</svg>", flame.svg({}, "nothing"))


class Guide(Served):
    """Every one-liner of docs/guide/profiling.md attaches, and has something to say."""

    def one_liners(self):
        with open(os.path.join(ROOT, "docs", "guide", "profiling.md"), encoding="utf-8") as file:
            return re.findall(r"^bpftrace -e '(.*?)'$", file.read(), re.MULTILINE | re.DOTALL)

    def come_and_go(self, until):
        while not until.wait(0.01):
            stage.connect(self.port).close()

    def said(self, one_liner, seconds):
        """What it prints until it ends, as if it were interrupted."""
        done = output_of(["bpftrace", "-e", f"{one_liner} interval:s:{seconds} {{ exit(); }}"],
                         cwd=os.path.dirname(self.echo.process.args[0]))
        if "Attaching" not in done.stdout:
            raise AssertionError(one_liner + "\n" + done.stderr)
        return done.stdout.strip().partition("\n")[2]

    def said_in_the_end(self, one_liner):
        may_be_silent = any(rare in one_liner for rare in ("slow", "< 0"))
        return self.said(one_liner, 2) or may_be_silent or self.said(one_liner, 8)

    def test_one_liners_do_what_they_say(self):
        need_bpftrace(self)
        end = stage.threading.Event()
        visitor = stage.threading.Thread(target=self.come_and_go, args=(end,))
        visitor.start()
        self.addCleanup(visitor.join)
        self.addCleanup(end.set)
        self.assertGreater(len(self.one_liners()), 7)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:  # They listen, mostly.
            said = pool.map(self.said_in_the_end, self.one_liners())
            for one_liner, what in zip(self.one_liners(), said):
                self.assertTrue(what, one_liner)


class Latency(Served):
    def test_stages_of_a_request_have_their_times(self):
        table = self.run_tool("latency", "--seconds", "2")
        rows = [line.split() for line in table.splitlines()[1:]]
        stages = {row[0] for row in rows if float(row[2]) > 0}
        expected = {"queue", "run", "wait"}
        if probes.kernel_has("io_uring", "io_uring_complete"):
            expected.add("ring")
        self.assertLessEqual(expected, stages, table)
        self.assertIn(["queue", "echo"], [row[:2] for row in rows], table)
        for row in rows:
            figures = [float(figure) for figure in row[3:]]
            self.assertEqual(sorted(figures), figures, table)

    def test_program_that_ends_meanwhile_is_shown_until_then(self):
        self.run_tool("latency", "--seconds", "0.5")  # Where that is skipped, so is this.
        end = stage.threading.Timer(4, os.kill, (self.echo.pid, signal.SIGKILL))
        end.start()
        self.addCleanup(end.join)
        done = output_of([os.path.join(ROOT, "perf", "latency"), str(self.echo.pid),
                          "--seconds", "60"])
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^run +echo ")


if __name__ == "__main__":
    if not probes.probes_of(LIBRARY):
        print("skipped: built without probes")
        sys.exit(SKIPPED)
    result = unittest.main(exit=False).result
    every_one = result.testsRun > 0 and len(result.skipped) == result.testsRun
    sys.exit(SKIPPED if every_one else not result.wasSuccessful())
