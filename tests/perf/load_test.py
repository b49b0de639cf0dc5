#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The load generator, against real servers: load_test.py BUILD_DIRECTORY [unittest arguments]."""

import json
import os
import random
import resource
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "perf"))

from bench.servers import port_is_open

PROGRAMS = os.path.join(sys.argv.pop(1), "perf", "bin") if len(sys.argv) > 1 else ""


def load(port, *arguments, **how):
    command = [os.path.join(PROGRAMS, "load"), "--port", str(port)]
    command += [str(word) for word in arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60, check=False, **how)
    if done.returncode != 0:
        raise AssertionError(f"load ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


class CoordinatedOmission(unittest.TestCase):
    """One stall of 100 ms in a second. A tenth of those who came in that second met it."""

    @staticmethod
    def stalled(*arguments):
        server = subprocess.Popen([sys.executable, os.path.join(HERE, "stalling_server.py"), "0.5",
                                   "0.1"], stdout=subprocess.PIPE, text=True)
        with server:
            port = int(server.stdout.readline())
            return load(port, "--warmup", 0.2, "--seconds", 1, *arguments)

    def test_hides_a_stall_from_the_closed_loop(self):
        result = self.stalled()
        self.assertEqual(result["loop"], "closed")
        self.assertGreater(result["max_us"], 90e3)
        self.assertLess(result["p99_us"], 50e3)

    def test_is_corrected_in_the_open_loop(self):
        result = self.stalled("--rate", 1000)
        self.assertEqual(result["loop"], "open")
        self.assertEqual(result["requests"], 1000)
        self.assertEqual(result["unanswered"], 0)
        self.assertGreater(result["max_us"], 90e3)
        self.assertGreater(result["p99_us"], 60e3)

    def test_is_corrected_with_random_arrivals(self):
        result = self.stalled("--rate", 1000, "--poisson", "--seed", 7)
        self.assertGreater(result["p99_us"], 60e3)
        self.assertGreater(result["requests"], 800)


class Modes(unittest.TestCase):
    def setUp(self):
        for _ in range(20):
            self.port = random.randint(20000, 29999)
            self.server = subprocess.Popen([os.path.join(PROGRAMS, "echo_epoll"), "--port",
                                            str(self.port)])
            while self.server.poll() is None and not port_is_open(self.port):
                time.sleep(0.005)
            if self.server.poll() is None:
                return
        self.fail("the server does not listen")

    def tearDown(self):
        self.server.terminate()
        self.assertEqual(self.server.wait(timeout=10), 0)

    def test_closed_loop_counts_every_request(self):
        result = load(self.port, "--connections", 7, "--depth", 3, "--size", 5000, "--buckets",
                      "--warmup", 0.05, "--seconds", 0.2, "--server-pid", self.server.pid)
        self.assertEqual(sum(count for _, count in result["buckets"]), result["requests"])
        self.assertEqual(result["connections_served"], 7)
        self.assertGreater(result["requests_per_server_cpu_s"], 0)

    def test_churn_closes_with_fin_from_many_addresses(self):
        result = load(self.port, "--churn", "--connections", 5, "--warmup", 0.05, "--seconds", 0.2)
        self.assertEqual((result["loop"], result["close"]), ("churn", "fin"))
        self.assertEqual(result["sources"], 200)
        self.assertGreater(result["requests"], 50)

    def test_churn_closes_with_reset_where_asked_to(self):
        result = load(self.port, "--churn", "--reset", "--connections", 5, "--size", 9000,
                      "--warmup", 0.05, "--seconds", 0.2)
        self.assertEqual((result["close"], result["sources"]), ("reset", 1))
        self.assertGreater(result["requests"], 50)

    def test_same_seed_makes_the_same_arrivals(self):
        counts = {load(self.port, "--rate", 5000, "--poisson", "--seed", 3, "--warmup", 0,
                       "--seconds", 0.2)["requests"] for _ in range(2)}
        self.assertEqual(len(counts), 1)

    def test_idle_connections_beyond_a_process_are_held_by_helpers(self):
        def few_descriptors():
            resource.setrlimit(resource.RLIMIT_NOFILE, (132, 132))
        result = load(self.port, "--idle", 250, "--greet", stdin=subprocess.DEVNULL,
                      preexec_fn=few_descriptors)
        self.assertEqual((result["connections"], result["greeted"]), (250, True))
        self.assertEqual(result["processes"], 3)

    def test_idle_connections_become_as_many_as_stdin_says(self):
        def few_descriptors():
            resource.setrlimit(resource.RLIMIT_NOFILE, (132, 132))
        command = [os.path.join(PROGRAMS, "load"), "--port", str(self.port), "--idle", "0"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              preexec_fn=few_descriptors) as process:
            reports = [json.loads(process.stdout.readline())]
            for count in (40, 40, 150, 420):
                process.stdin.write(f"{count}\n")
                process.stdin.flush()
                reports.append(json.loads(process.stdout.readline()))
            process.stdin.close()
            self.assertEqual(process.wait(10), 0)
        self.assertEqual([report["connections"] for report in reports], [0, 40, 40, 150, 420])
        self.assertEqual([report["processes"] for report in reports], [1, 1, 1, 2, 5])


if __name__ == "__main__":
    unittest.main()
