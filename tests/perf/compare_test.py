#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The arithmetic of perf/compare, and what it says about it."""

import contextlib
import io
import json
import math
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import time
import unittest
import unittest.mock
import xml.etree.ElementTree

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "perf"))

from bench import (cells, idle, machine, memory, micro, output, plots, rounds, servers, stats, svg,
                   tables)
from bench import options as command_line


def echo(impl, number, speed, cell="50x64x1", disturbed=False):
    """A measurement as rounds.run returns it."""
    connections, size, depth = (int(part) for part in cell.split("x"))
    return {"kind": "echo", "cell": cell, "impl": impl, "round": number, "disturbed": disturbed,
            "others_cores": 0.5 if disturbed else 0.0, "stolen_cores": 0.0, stats.JUDGED: speed,
            "requests": 1000, "server_cpu_s": 1000 / speed, "load_cpu_s": 0.004, "seconds": 0.7,
            "connections": connections, "message_bytes": size, "depth": depth,
            "requests_per_s": speed / 2, "p50_us": 10.0, "p99_us": 20.0, "load_bound": False,
            "server_cpu_share": 0.5, "load_cpu_share": 0.5, "connections_served": connections}


def run_of(speeds, **more):
    """{impl: [speed of each round]}"""
    return [echo(impl, number, speed, **more) for impl, values in speeds.items()
            for number, speed in enumerate(values)]


class PairedRatio(unittest.TestCase):
    def test_cancels_what_a_round_did_to_both(self):
        results = run_of({"coil": [110, 55, 220], "libuv": [100, 50, 200]})
        ratio, error = tables.ratio_to(results, "50x64x1", "coil", "libuv")
        self.assertAlmostEqual(ratio, 1.1)
        self.assertAlmostEqual(error, 0)

    def test_uses_only_rounds_that_have_both(self):
        mine = [echo("coil", 0, 100), echo("coil", 1, 100), echo("coil", 2, 100)]
        theirs = [echo("libuv", 0, 50), echo("libuv", 2, 25), echo("libuv", 3, 1)]
        self.assertEqual(stats.paired_ratios(mine, theirs), [2, 4])

    def test_is_none_without_the_peer(self):
        results = run_of({"coil": [100, 100]})
        self.assertIsNone(tables.ratio_to(results, "50x64x1", "coil", "libuv"))
        self.assertIsNone(tables.ratio_to(results, "50x64x1", "coil", None))

    def test_survives_a_peer_that_did_nothing(self):
        self.assertEqual(stats.paired_ratios([echo("coil", 0, 1)], [{**echo("libuv", 0, 1),
                                                                    stats.JUDGED: 0}]), [])


class StandardError(unittest.TestCase):
    def test_is_that_of_the_mean_times_1_2533(self):
        values = [1.0, 2.0, 3.0, 4.0, 5.0]
        expected = 1.2533 * statistics.stdev(values) / math.sqrt(5)
        self.assertAlmostEqual(stats.median_error(values), expected, places=4)

    def test_is_about_how_far_medians_are_spread(self):
        source = random.Random(1)
        samples = [[source.gauss(1, 0.1) for _ in range(15)] for _ in range(2000)]
        spread = statistics.stdev(statistics.median(sample) for sample in samples)
        said = statistics.fmean(stats.median_error(sample) for sample in samples)
        self.assertAlmostEqual(said / spread, 1, delta=0.1)

    def test_of_one_round_is_not_known(self):
        self.assertEqual(stats.estimate([1.5]), (1.5, None))
        self.assertIsNone(stats.estimate([]))


class GeometricMean(unittest.TestCase):
    def test_of_a_half_and_two_is_one(self):
        mean, error = stats.geometric_mean([(0.5, 0.05), (2.0, 0.2)])
        self.assertAlmostEqual(mean, 1)
        self.assertAlmostEqual(error, math.sqrt(2) * 0.1 / 2)

    def test_does_not_know_an_error_that_a_cell_does_not(self):
        self.assertEqual(stats.geometric_mean([(4.0, None), (1.0, 0.1)]), (2.0, None))
        self.assertIsNone(stats.geometric_mean([]))


class BestPeer(unittest.TestCase):
    def test_is_chosen_over_the_run_and_not_in_each_round(self):
        # In each round one of them is at 130, but neither is better than 100 most of the time.
        results = run_of({"coil": [100] * 4, "epoll": [130, 90, 100, 100],
                          "libuv": [90, 130, 101, 101]})
        self.assertEqual(tables.judged_against(results, "50x64x1"), "libuv")
        ratio, _ = tables.ratio_to(results, "50x64x1", "coil", "libuv")
        self.assertAlmostEqual(ratio, 100 / 101)

    def test_is_chosen_in_other_rounds_than_the_one_that_counts(self):
        # libuv is the best of the run, but for its luck in round 0 epoll would be.
        results = run_of({"coil": [100] * 3, "epoll": [100, 104, 100], "libuv": [130, 101, 102]})
        self.assertEqual(tables.judged_against(results, "50x64x1"), "libuv")
        ratio, _ = tables.ratio_to_best(results, "50x64x1", "coil")
        self.assertAlmostEqual(ratio, statistics.median([100 / 100, 100 / 101, 100 / 102]))

    def test_of_equals_is_not_the_luckiest(self):
        source = random.Random(1)
        errors = []
        for _ in range(300):
            speeds = {name: [source.gauss(100, 10) for _ in range(6)]
                      for name in ("coil", "epoll", "libuv", "uring")}
            errors.append(tables.ratio_to_best(run_of(speeds), "50x64x1", "coil")[0] - 1)
        self.assertAlmostEqual(statistics.fmean(errors), 0, delta=0.01)

    def test_of_unequals_is_nearly_the_best(self):
        source = random.Random(1)
        errors = []
        for _ in range(300):
            speeds = {name: [source.gauss(speed, 10) for _ in range(6)] for name, speed in
                      (("coil", 100), ("epoll", 100), ("libuv", 97), ("uring", 97))}
            errors.append(tables.ratio_to_best(run_of(speeds), "50x64x1", "coil")[0] - 1)
        self.assertLess(statistics.fmean(errors), 0.03)
        self.assertGreater(statistics.fmean(errors), 0)

    def test_of_a_single_round_is_the_best_of_that(self):
        results = run_of({"coil": [100], "epoll": [110], "libuv": [90]})
        self.assertAlmostEqual(tables.ratio_to_best(results, "50x64x1", "coil")[0], 100 / 110)
        self.assertIsNone(tables.ratio_to_best(run_of({"coil": [100]}), "50x64x1", "coil"))

    def test_is_one_of_those_that_coil_is_judged_by(self):
        results = run_of({"coil": [100], "tokio": [900], "epoll": [110]})
        self.assertEqual(tables.judged_against(results, "50x64x1"), "epoll")


class Goal(unittest.TestCase):
    def test_is_met_within_one_standard_error_or_missed(self):
        self.assertEqual(stats.reached((1.00, 0.01), 1.0), "met")
        self.assertEqual(stats.reached((0.99, 0.01), 1.0), "within error")
        self.assertEqual(stats.reached((0.98, 0.01), 1.0), "missed")
        self.assertEqual(stats.reached((0.99, None), 1.0), "missed")
        self.assertEqual(stats.reached(None, 1.0), "")


class QuickRun(unittest.TestCase):
    def test_is_not_judged(self):
        results = run_of({"coil": [110], "libuv": [100]})
        for quick in (["--quick"], []):
            options = command_line.parse(["--seed", "1"] + quick)
            text = "\n".join(output.markdown(options, results, []))
            judged = re.search(r"[:|] (met|missed)\b", text)
            self.assertEqual(bool(judged), not quick)

    def test_has_no_two_columns_of_the_same_name(self):
        results = run_of({"coil": [110], "libuv": [100]})
        self.assertIn("| of libuv | of the best |",
                      "\n".join(tables.cell_table(results, cells.Cell(50, 64, 1))))


class PartOfTheMatrix(unittest.TestCase):
    def test_does_not_judge_the_mean_over_all_cells(self):
        whole = [result for cell in cells.matrix()
                 for result in run_of({"coil": [110], "libuv": [100]}, cell=str(cell))]
        self.assertIn("1.08: met", "\n".join(tables.echo_means(whole, False)))
        part = "\n".join(tables.echo_means(whole[2:], False))
        self.assertIn("| 1.08 |", part)
        self.assertNotIn("met", part)

    def test_without_coil_has_no_mean(self):
        results = run_of({"mine": [110], "epoll": [100]})
        self.assertNotIn("Geometric means", "\n".join(tables.echo_section(results, False)))


class Servers(unittest.TestCase):
    def test_may_listen_at_one_address_or_at_all(self):
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, ""),
                             (socket.AF_INET6, "::")):
            with self.subTest(host=host):
                try:
                    listening = socket.create_server((host, 0), family=family,
                                                     dualstack_ipv6=family == socket.AF_INET6)
                except (OSError, ValueError):
                    self.skipTest("there is no IPv6")
                port = listening.getsockname()[1]
                with listening:
                    self.assertTrue(servers.port_is_open(port))
                self.assertFalse(servers.port_is_open(port))

    def test_that_does_not_listen_is_not_waited_for_again_and_again(self):
        with unittest.mock.patch.object(servers, "START_S", 0.2):
            with self.assertRaisesRegex(servers.Missing, "^sh does not listen on 127.0.0.1:2"):
                servers.Server("deaf", ["sh", "-c", "exec sleep 60"], machine.choose_cores()[0])

    def test_that_ends_at_once_is_said_to(self):
        with self.assertRaisesRegex(servers.Missing, "^false ends at once, with status 1$"):
            servers.Server("gone", ["false"], machine.choose_cores()[0])


class CommandLine(unittest.TestCase):
    def test_says_what_an_option_looks_like(self):
        for arguments, said in ((["--cells", "50"], "CONNECTIONSxBYTES"),
                                (["--cells", "axb"], "CONNECTIONSxBYTES"),
                                (["--rates", "fast"], "requests/s"),
                                (["--server", "mine"], "NAME=COMMAND")):
            err = io.StringIO()
            with contextlib.redirect_stderr(err), self.assertRaises(SystemExit):
                command_line.parse(arguments)
            self.assertIn(said, err.getvalue())

    def test_refuses_what_cannot_be_measured_or_kept(self):
        for option, value, said in (("--rounds", "0", "not a count of 1 or more: 0"),
                                    ("--seconds", "nan", "not a number of 0 or more: nan"),
                                    ("--seconds", "0", "not above 0: 0"),
                                    ("--idle-connections", "-5", "not a count of 1 or more: -5"),
                                    ("--output", "/dev/null", "cannot write into /dev/null")):
            err = io.StringIO()
            with contextlib.redirect_stderr(err), self.assertRaises(SystemExit):
                command_line.parse([f"{option}={value}"])
            self.assertIn(f"argument {option}: {said}", err.getvalue())

    def test_publishes_all_or_the_micro_benchmarks(self):
        for arguments in ([], ["--full"], ["--only", "micro"]):
            self.assertTrue(command_line.parse(["--publish"] + arguments).publish)
        for arguments in (["--quick"], ["--only", "idle"], ["--only", "micro,idle"],
                          ["--bench", "yield", "--only", "micro"], ["--impl", "coil"],
                          ["--judged"], ["--cells", "1x64"], ["--open-loop"]):
            err = io.StringIO()
            with contextlib.redirect_stderr(err), self.assertRaises(SystemExit):
                command_line.parse(["--publish"] + arguments)
            self.assertIn("--output", err.getvalue())


class Children(unittest.TestCase):
    STARTER = """import os, signal, subprocess, sys
sys.path.insert(0, sys.argv[1])
from bench.machine import prefer_me
child = subprocess.Popen(["sleep", "60"], preexec_fn=prefer_me, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

    @staticmethod
    def runs(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                return stat.read().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    def test_end_with_who_measures_them(self):
        done = subprocess.run([sys.executable, "-B", "-c", self.STARTER, sys.path[0]],
                              stdout=subprocess.PIPE, text=True, check=False)
        pid = int(done.stdout)
        end = time.monotonic() + 10
        while self.runs(pid) and time.monotonic() < end:
            time.sleep(0.01)
        self.assertFalse(self.runs(pid))


class Histogram(unittest.TestCase):
    def test_merged_counts_what_both_counted(self):
        merged = stats.merge([[[10, 1], [30, 2]], [[20, 5], [30, 1]], []])
        self.assertEqual(merged, [(10, 1), (20, 5), (30, 3)])

    def test_quantiles_are_those_of_all_values(self):
        merged = stats.merge([[[value, 1]] for value in range(1, 101)])
        self.assertEqual(stats.quantile(merged, 0), 1)
        self.assertEqual(stats.quantile(merged, 0.5), 51)
        self.assertEqual(stats.quantile(merged, 0.99), 100)
        self.assertEqual(stats.quantile(merged, 1), 100)
        self.assertIsNone(stats.quantile([], 0.5))

    def test_curve_ends_where_there_are_too_few_requests(self):
        results = [{"buckets": [[1000, 500]]}, {"buckets": [[2000, 500]]}]
        points = tables.curve(results)
        self.assertEqual(points[0], [0, 1.0])
        self.assertEqual(points[-1], [0.999, 2.0])


class Disturbance(unittest.TestCase):
    def test_is_cpu_that_others_used_or_the_hypervisor_took(self):
        self.assertFalse(stats.is_disturbed({"others_cores": 0.1, "stolen_cores": 0.0}))
        self.assertTrue(stats.is_disturbed({"others_cores": 0.11, "stolen_cores": 0.0}))
        self.assertTrue(stats.is_disturbed({"others_cores": 0.06, "stolen_cores": 0.06}))

    def test_is_a_server_or_a_load_that_could_not_run(self):
        quiet = {"others_cores": 0.0, "stolen_cores": 0.0, "load_waited_share": 0.01}
        self.assertFalse(stats.is_disturbed(quiet))
        self.assertTrue(stats.is_disturbed({**quiet, "load_waited_share": 0.2}))
        server = {**quiet, "server_waited_share": 0.2}
        self.assertTrue(stats.is_disturbed({**server, "server_threads": 1}))
        self.assertFalse(stats.is_disturbed({**server, "server_threads": 4}))

    def test_is_not_the_error_of_a_clock_that_ticks(self):
        coarse = {"others_cores": 0.15, "stolen_cores": 0.0, "others_error": 0.07}
        self.assertFalse(stats.is_disturbed(coarse))
        self.assertAlmostEqual(machine.tick_error(100, 2), 0.0807, places=3)

    def test_above_a_tenth_marks_the_run(self):
        few = [{"disturbed": number < 1} for number in range(10)]
        many = [{"disturbed": number < 2} for number in range(10)]
        self.assertEqual(stats.disturbance(few), {"disturbed": 1, "of": 10, "marked": False})
        self.assertEqual(stats.disturbance(many), {"disturbed": 2, "of": 10, "marked": True})
        self.assertEqual(stats.disturbance([])["marked"], False)

    def test_is_said_in_every_output(self):
        options = command_line.parse(["--seed", "1"])
        said = "DISTURBED RUN: 6 of 6 measurements disturbed"
        results = run_of({"coil": [1, 1, 1], "libuv": [1, 1, 1]}, disturbed=True)
        self.assertIn(said, "\n".join(output.markdown(options, results, [])))
        self.assertIn("disturbed 3 of 3", "\n".join(output.markdown(options, results, [])))
        self.assertIn(said, plots.all_plots(results)["echo.svg"])
        self.assertIn("(disturbed)", plots.all_plots(results)["echo.svg"])
        self.assertTrue(output.as_json(options, results)["disturbance"]["marked"])

    def test_is_repeated_and_the_least_disturbed_kept(self):
        measured = [echo("coil", 0, speed, disturbed=True) for speed in (1, 2, 3)]
        for result, others in zip(measured, (0.9, 0.3, 0.5)):
            result["others_cores"] = others
        answers = iter(measured)
        self.assertEqual(rounds.Repeats(100).best_of(lambda: next(answers))[stats.JUDGED], 2)
        self.assertIsNone(next(answers, None))

    def test_is_not_repeated_once_quiet_or_without_time_left(self):
        answers = iter([echo("coil", 0, 1), echo("coil", 0, 2)])
        self.assertEqual(rounds.Repeats(100).best_of(lambda: next(answers))[stats.JUDGED], 1)
        answers = iter([echo("coil", 0, 1, disturbed=True), echo("coil", 0, 2)])
        self.assertEqual(rounds.Repeats(0).best_of(lambda: next(answers))[stats.JUDGED], 1)

    def test_looks_at_the_cores_in_use_alone(self):
        stat = ("cpu  900 0 0 900 0 0 0 9 0 0\ncpu0 10 1 5 100 50 2 3 4 0 0\n"
                "cpu1 20 0 0 0 0 0 0 1 0 0\ncpu10 500 0 0 0 0 0 0 0 0 0\nintr 1 2 3\n")
        self.assertEqual(machine.core_ticks([0], stat), (25, 4))
        self.assertEqual(machine.core_ticks([0, 1], stat), (46, 5))


class Matrix(unittest.TestCase):
    def test_has_the_twelve_judged_cells(self):
        self.assertEqual(len(cells.matrix()), 12)
        self.assertIn(cells.Cell(1000, 4096, 16), cells.matrix())

    def test_in_full_has_no_cell_that_takes_more_than_a_gigabyte(self):
        full = cells.matrix(full=True)
        self.assertIn(cells.Cell(10000, 65536, 1), full)
        self.assertNotIn(cells.Cell(10000, 65536, 16), full)

    def test_is_read_and_written(self):
        self.assertEqual(cells.parse("1x64,50x4096x16"), [(1, 64, 1), (50, 4096, 16)])
        self.assertEqual(str(cells.Cell(50, 4096, 16)), "50x4096x16")
        self.assertRaises(ValueError, cells.parse, "50")

    def test_round_measures_everything_once_and_knows_what(self):
        options = command_line.parse(["--rounds", "3"])
        results = rounds.run(options, "echo", ["a", "b"], ["x", "y"], lambda *_: {"impl": "x"})
        self.assertEqual(len(results), 12)
        self.assertEqual({(result["cell"], result["round"]) for result in results},
                         {(cell, number) for cell in "ab" for number in range(3)})


class Idle(unittest.TestCase):
    def test_gives_each_server_no_more_than_it_has_descriptors_for(self):
        self.assertEqual(idle.shares(5000), [5000])
        self.assertEqual(idle.shares(40000), [19000, 19000, 2000])

    def test_reads_what_the_kernel_says(self):
        self.assertEqual(memory.kilobytes("Rss:  8 kB\nPss:    12 kB\nPss_Anon: 4 kB\n", "Pss"),
                         12288)
        sockstat = "sockets: used 9\nTCP: inuse 4 orphan 0 tw 0 alloc 5 mem 3\nUDP: inuse 1 mem 7\n"
        self.assertEqual(idle.tcp_bytes(sockstat), 3 * idle.PAGE_BYTES)


class Plot(unittest.TestCase):
    def test_is_well_formed_and_has_bars_with_errors(self):
        results = run_of({"coil": [110, 120, 130], "libuv": [100, 100, 100]})
        results += run_of({"coil": [50, 60, 70], "libuv": [100, 100, 100]}, cell="1x64x1")
        drawn = plots.all_plots(results)
        self.assertEqual(sorted(drawn), ["connections.svg", "echo.svg", "peers.svg"])
        for text in drawn.values():
            xml.etree.ElementTree.fromstring(text)
        self.assertIn('class="error"', drawn["echo.svg"])

    def test_axes_reach_from_end_to_end(self):
        for axis, ends in ((svg.Linear(2, 4), (2, 4)), (svg.Log(10, 1000), (10, 1000)),
                           (svg.Percentile(0.999), (0, 0.999))):
            self.assertAlmostEqual(axis.place(ends[0]), 0)
            self.assertAlmostEqual(axis.place(ends[1]), 1)
            self.assertTrue(all(-1e-6 <= axis.place(value) <= 1 + 1e-6
                                for value, _ in axis.ticks()))

    def test_escapes_what_it_is_given(self):
        text = svg.bars("<&>", "", [("a", {"coil": (1.1, None)})], "")
        xml.etree.ElementTree.fromstring(text)


class Json(unittest.TestCase):
    def test_is_what_was_measured(self):
        options = command_line.parse(["--seed", "1"])
        document = output.as_json(options, run_of({"coil": [11, 12], "libuv": [10, 10]}))
        self.assertEqual(json.loads(output.json_text(document)), document)
        self.assertEqual(document["summary"]["echo"][0]["of"]["libuv"]["median"], 1.15)
        self.assertEqual(len(document["results"]), 4)


class MicroBenchmark(unittest.TestCase):
    @staticmethod
    def results(**times):
        return [{"kind": "micro", "bench": "post_round_trip", "cell": "post_round_trip",
                 "impl": impl, "round": number, "ns": ns, "n": 1, "disturbed": False}
                for impl, values in times.items() for number, ns in enumerate(values)]

    def test_is_divided_by_the_best_raw_one_of_the_run(self):
        results = self.results(coil=[100, 100, 100], eventfd=[100, 50, 100],
                               msg_ring=[90, 90, 90])
        ratio, error = micro.raw_ratio(results, "post_round_trip")
        self.assertAlmostEqual(ratio, 100 / 90)
        self.assertAlmostEqual(error, 0)

    def test_misses_or_meets_its_goal(self):
        raw = ("raw", 1.05)
        met = self.results(coil=[104, 104], msg_ring=[100, 100])
        self.assertIn("met", micro.goal_cell(met, "post_round_trip", raw))
        missed = self.results(coil=[110, 110], msg_ring=[100, 100])
        self.assertIn("missed", micro.goal_cell(missed, "post_round_trip", raw))
        self.assertIn("missed", micro.goal_cell(missed, "post_round_trip", 60))


if __name__ == "__main__":
    unittest.main()
