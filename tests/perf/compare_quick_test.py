#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""perf/compare --quick on a tiny matrix, and what it writes: compare_quick_test.py BUILD."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
COMPARE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "perf", "compare")
BUILD = sys.argv.pop(1) if len(sys.argv) > 1 else ""
KINDS = {"echo", "churn", "idle", "open", "micro"}


class Quick(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        command = [COMPARE, "--quick", "--judged", "--no-build", "--build", BUILD, "--cells",
                   "1x64,50x64x16", "--seconds", "0.1", "--bench", "yield,spawn_child",
                   "--idle-connections", "100", "--rates", "2000", "--output", cls.directory.name]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=100, check=False)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.markdown, cls.said = done.stdout, done.stderr
        with open(os.path.join(cls.directory.name, "compare.json"), encoding="utf-8") as file:
            cls.document = json.load(file)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def of_kind(self, kind):
        return [result for result in self.document["results"] if result["kind"] == kind]

    def test_measures_every_kind(self):
        self.assertEqual({result["kind"] for result in self.document["results"]}, KINDS)

    def test_says_how_long_it_will_take(self):
        self.assertRegex(self.said, r"this takes about [\d.]+ minutes")

    def test_echo_has_every_cell_and_server(self):
        impls = {result["impl"] for result in self.of_kind("echo")}
        self.assertLessEqual({"coil", "epoll"}, impls)
        self.assertLessEqual(impls, {"coil", "epoll", "uring", "libuv"})
        self.assertEqual(len(self.of_kind("echo")), 2 * len(impls))
        for result in self.of_kind("echo"):
            self.assertGreater(result["requests_per_server_cpu_s"], 0)
            self.assertGreater(result["load_cpu_s"], 0)
            self.assertEqual(result["connections_served"], result["connections"])

    def test_summary_compares_coil_in_every_cell(self):
        summary = self.document["summary"]["echo"]
        self.assertEqual([entry["cell"] for entry in summary], ["1x64x1", "50x64x16"])
        for entry in summary:
            self.assertIn(entry["best_peer"], ("epoll", "uring", "libuv"))
            self.assertIn(entry["verdict"], ("met", "missed"))
            self.assertEqual(entry["of_best"], entry["of"][entry["best_peer"]])
            self.assertIsNone(entry["of_best"]["error"])  # One round cannot tell.

    def test_every_result_says_whether_it_was_disturbed(self):
        disturbed = sum(result["disturbed"] for result in self.document["results"])
        said = self.document["disturbance"]
        self.assertEqual((said["disturbed"], said["of"]),
                         (disturbed, len(self.document["results"])))
        self.assertIn(f"{disturbed} of {len(self.document['results'])} measurements disturbed",
                      self.markdown)

    def test_open_loop_has_curves_that_rise(self):
        for entry in self.document["summary"]["open"]:
            values = [value for _, value in entry["curve_us"]]
            self.assertEqual(values, sorted(values))
            self.assertGreater(len(values), 5)

    def test_idle_connections_have_user_and_kernel_memory(self):
        for result in self.of_kind("idle"):
            self.assertLessEqual({"anonymous_bytes", "pss_bytes", "slab_bytes", "tcp_bytes"},
                                 set(result))
            self.assertEqual(result["connections"], 100)

    def test_writes_the_tables_and_the_plots(self):
        names = set(os.listdir(self.directory.name))
        self.assertLessEqual({"compare.md", "compare.json", "open-1.svg"}, names)
        for name in names:
            if name.endswith(".svg"):
                xml.etree.ElementTree.parse(os.path.join(self.directory.name, name))
        with open(os.path.join(self.directory.name, "compare.md"), encoding="utf-8") as file:
            text = file.read()
        for heading in ("## Echo", "## Connection churn", "## Idle connections", "## Open loop",
                        "### Micro-benchmarks"):
            self.assertIn(heading, text)


if __name__ == "__main__":
    unittest.main()
