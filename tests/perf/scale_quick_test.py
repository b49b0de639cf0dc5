#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""perf/scale --quick, and what it writes: scale_quick_test.py BUILD."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
SCALE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "perf", "scale")
BUILD = sys.argv.pop(1) if len(sys.argv) > 1 else ""


class Quick(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        command = [SCALE, "--quick", "--no-build", "--build", BUILD, "--connections-to", "100",
                   "--output", cls.directory.name]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=100, check=False)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        with open(os.path.join(cls.directory.name, "scale.json"), encoding="utf-8") as file:
            cls.results = json.load(file)["results"]

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def of(self, **wanted):
        return [result for result in self.results
                if all(result.get(name) == value for name, value in wanted.items())]

    def test_asks_all_questions(self):
        self.assertEqual({result["kind"] for result in self.results},
                         {"loops", "connections", "idle", "live"})

    def test_by_turns_is_even(self):
        by_turns = self.of(kind="loops", impl="coil by-turns")
        self.assertGreater(len(by_turns), 0)
        for result in by_turns:
            self.assertLess(result["connections_max_over_mean"], 1.13, result)

    def test_the_memory_of_an_idle_connection_is_accounted_for(self):
        result, = self.of(kind="idle", impl="coil", processes=1)
        self.assertEqual(result["connections"], 2000)
        self.assertAlmostEqual(result["allocated_bytes"] / result["bytes"], 1, delta=0.25)
        self.assertGreater(len(result["task"]["frames"]), 0)

    def test_draws_plots_that_are_xml(self):
        plots = [name for name in os.listdir(self.directory.name) if name.endswith(".svg")]
        self.assertEqual(len(plots), 4)
        for name in plots:
            xml.etree.ElementTree.parse(os.path.join(self.directory.name, name))


if __name__ == "__main__":
    unittest.main()
