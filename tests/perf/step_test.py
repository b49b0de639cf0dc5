#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""perf/step counts what a server does: step_test.py BUILD_DIRECTORY [unittest arguments]."""

import json
import os
import subprocess
import sys
import unittest

BUILD = sys.argv.pop(1) if len(sys.argv) > 1 else ""
STEP = os.path.join(BUILD, "perf", "bin", "step")
EPOLL = os.path.join(BUILD, "perf", "bin", "echo_epoll")
COIL = os.path.join(BUILD, "docs", "examples", "echo")
SKIPPED = 77
CLOSE, SENDTO, RECVFROM, EPOLL_WAIT, ACCEPT4 = "3", "44", "45", "232", "288"


def step(server, *arguments):
    command = [STEP, *arguments, server, "--port", "PORT"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=100, check=False)
    if "Operation not permitted" in done.stderr:
        print("step_test: skipped: ptrace(2) is not permitted here", file=sys.stderr)
        os._exit(SKIPPED)
    if done.returncode != 0:
        raise AssertionError(f"step ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


class Step(unittest.TestCase):
    def assert_adds_up(self, counted):
        places = [count for object_ in counted["places"].values() for _, count in object_]
        self.assertEqual(sum(places), counted["instructions"])

    def test_counts_the_system_calls_of_each_request(self):
        counted = step(EPOLL, "--connections", "3", "--rounds", "4")
        self.assertEqual(counted["requests"], 12)
        self.assertEqual(counted["syscalls"][SENDTO], 12)
        self.assertNotIn(ACCEPT4, counted["syscalls"])
        self.assert_adds_up(counted)

    def test_pipelined_requests_are_one_read_and_one_write(self):
        counted = step(EPOLL, "--depth", "16", "--rounds", "4")
        self.assertEqual(counted["requests"], 64)
        self.assertEqual(counted["syscalls"][SENDTO], 4)

    def test_churn_counts_a_connection_for_each_request(self):
        counted = step(EPOLL, "--connections", "5", "--churn", "--rounds", "4")
        calls = counted["syscalls"]
        self.assertEqual(counted["requests"], 20)
        self.assertEqual(calls[SENDTO], 20)
        self.assertAlmostEqual(calls[CLOSE], 20, delta=5)  # Of the first and the last round.
        self.assertGreaterEqual(calls[ACCEPT4], 20)  # And one for each burst that finds no more.
        self.assertGreaterEqual(calls[RECVFROM], 35)  # The request, and the end of the stream.
        self.assertLess(calls[EPOLL_WAIT], 20)
        self.assert_adds_up(counted)

    def test_a_size_and_a_protocol_are_passed_on(self):
        counted = step(EPOLL, "--size", "4096", "--rounds", "2")
        self.assertEqual(counted["requests"], 2)

    def test_is_the_same_each_time(self):
        first, second = (step(EPOLL, "--connections", "4", "--churn", "--rounds", "5")
                         for _ in range(2))
        self.assertAlmostEqual(first["instructions"] / second["instructions"], 1, delta=0.05)

    def test_churn_of_coil_makes_two_calls_for_each_connection(self):
        if not os.access(COIL, os.X_OK):
            self.skipTest("the examples are not built")
        counted = step(COIL, "--connections", "5", "--churn", "--rounds", "4")
        calls = counted["syscalls"]
        self.assertEqual(counted["requests"], 20)
        if "426" in calls:  # io_uring_enter: it accepts and receives.
            self.assertEqual(calls[SENDTO], 20)
            self.assertAlmostEqual(calls[CLOSE], 20, delta=5)
            self.assertLess(sum(calls.values()), 3 * 20)

    def test_what_it_does_not_know_is_told(self):
        for arguments in (["--churn"], ["--connections", "0", EPOLL], ["--nonsense", EPOLL]):
            done = subprocess.run([STEP, *arguments], stderr=subprocess.PIPE, text=True,
                                  check=False, timeout=10)
            self.assertEqual(done.returncode, 2)
            self.assertIn("usage: step", done.stderr)


if __name__ == "__main__":
    unittest.main()
