#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""publisher_monitor: publishers die, hang and lie; it replaces them, and leaves none behind."""
import re

from stage import *

LINE = re.compile(r"^ *\d+\.\d{3} (monitor    |publisher \d+) \| ")
FAKE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_publisher.py")


class PublisherMonitor(Test):
    def watch(self, count, *publisher, **env):
        self.port = free_ports(count)
        self.monitor = self.start("publisher_monitor", "--count", count, "--port", self.port,
                                  *publisher, env=env)
        self.addCleanup(self.end_publishers)

    def end_publishers(self):
        for pid in self.pids():
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)

    def said(self, text):
        return [line for line in self.monitor.out if text in line]

    def await_said(self, text, count=1):
        found = eventually(lambda: len(self.said(text)) >= count and self.said(text))
        self.assertTrue(found, (text, self.monitor.out, self.monitor.err))
        return found

    def pids(self, number=r"\d+"):
        """The processes that have been publisher `number`, latest last."""
        starts = (re.search(rf"publisher {number} runs as process (\d+)$", line)
                  for line in list(self.monitor.out))
        return [int(start[1]) for start in starts if start]

    def await_alive(self, count):
        self.await_said("| listening at", count)
        for port in range(self.port, self.port + count):
            with connect(port) as client:
                self.assertEqual(ALIVE, get_status(client))

    def assert_all_gone(self):
        left = eventually(lambda: not any(map(is_running, self.pids())))
        self.assertTrue(left, [pid for pid in self.pids() if is_running(pid)])

    def assert_stops(self, number):
        self.assert_ends(self.monitor, number)
        self.assertFalse(any(map(is_running, self.pids())))
        self.assertEqual([], self.monitor.err)

    def test_starts_them_and_prefixes_every_line(self):
        self.watch(3)
        self.await_alive(3)
        self.assertEqual(3, len(set(self.pids())))
        for number in (1, 2, 3):
            self.await_said(f"publisher {number} | listening at 127.0.0.1:{self.port + number - 1}")
        self.assert_stops(signal.SIGTERM)
        self.assertEqual([], [line for line in self.monitor.out if not LINE.match(line)])
        self.await_said("monitor     | Terminated")
        self.await_said("exited with status 0", 3)
        self.await_said("| stopping after ", 3)

    def test_sigint_stops_everything_too(self):
        self.watch(2)
        self.await_alive(2)
        self.assert_stops(signal.SIGINT)

    def test_stops_before_they_are_up(self):
        self.watch(3)
        self.await_said("runs as process")
        self.assert_stops(signal.SIGTERM)

    def test_killed_one_is_replaced_and_no_other(self):
        self.watch(2)
        self.await_alive(2)
        first, second = self.pids(1)[-1], self.pids(2)[-1]
        begin = time.monotonic()
        os.kill(first, signal.SIGKILL)
        self.await_said("publisher 1 was killed by SIGKILL")
        self.await_said("publisher 1 is well again")
        self.assertLess(time.monotonic() - begin, 5)
        self.assertNotEqual(first, self.pids(1)[-1])
        self.assertEqual([second], self.pids(2))
        self.assert_stops(signal.SIGTERM)

    def test_stopped_one_is_replaced(self):
        self.watch(1)
        self.await_alive(1)
        os.kill(self.pids()[-1], signal.SIGSTOP)
        self.await_said("is well again")
        self.assertTrue(self.said("does not answer") or self.said("is not ready in time"))
        self.assertEqual(2, len(self.pids()))
        self.assertFalse(is_running(self.pids()[0]))
        self.assert_stops(signal.SIGTERM)

    def test_one_that_answers_badly_is_replaced(self):
        texts = {"garbage": "does not answer", "frame": "does not answer",
                 "closing": "does not answer", "silent": "does not answer", "dying": "says it is"}
        monitors = {}
        for behaviour in texts:  # All at once, because each takes more than a second.
            self.watch(1, FAKE, BEHAVIOUR=behaviour)
            monitors[behaviour] = self.monitor
            self.await_said("| ready")  # So that the next one takes another port.
        for behaviour, text in texts.items():
            with self.subTest(behaviour):
                self.monitor = monitors[behaviour]
                self.await_said(text)
                self.await_said("runs as process", 2)
                self.assert_stops(signal.SIGTERM)

    def test_pauses_grow(self):
        self.watch(1, FAKE, BEHAVIOUR="exiting")
        pauses = [float(re.search(r"again in ([\d.]+) s", line)[1])
                  for line in self.await_said("is started again in", 5)]
        self.assertEqual(0, pauses[0])  # It may have been a mishap.
        for attempt, pause in enumerate(pauses[1:5]):  # Any time up to a limit, which doubles.
            self.assertLessEqual(pause, 0.1 * 2**attempt)
        self.await_said("exited with status 3", 5)
        self.assert_stops(signal.SIGTERM)

    def test_prints_all_that_they_say(self):
        self.watch(1, FAKE, BEHAVIOUR="talkative")
        self.await_said("| ready")
        self.assert_stops(signal.SIGTERM)
        self.assertEqual(1, len(self.said("publisher 1 | on stderr")))
        self.assertEqual(1, len(self.said("publisher 1 | without end")))
        self.assertEqual(3, len(self.said("publisher 1 | on stdout")))
        self.assertEqual(10000, sum(line.split("| ")[1].count("a") for line in self.said("| aaa")))
        self.assertEqual([], [line for line in self.monitor.out if not LINE.match(line)])

    def test_one_that_ignores_sigterm_is_killed(self):
        self.watch(2, FAKE, BEHAVIOUR="stubborn")
        self.await_said("| ready", 2)
        self.assert_stops(signal.SIGTERM)
        self.await_said("was killed by SIGKILL", 2)

    def test_its_own_sudden_death_leaves_none_behind(self):
        for publisher in ((), (FAKE,)):
            self.watch(3, *publisher, BEHAVIOUR="stubborn")
            self.await_said("runs as process", 3)
            self.monitor.signal(signal.SIGKILL)
            self.assertEqual(-signal.SIGKILL, self.monitor.wait())
            self.assert_all_gone()

    def test_missing_program(self):
        for program in ("/nonexistent/publisher", "no-such-publisher", "/etc/passwd"):
            self.watch(3, program)
            self.assertEqual(1, self.monitor.wait())
            lines = self.monitor.out + self.monitor.err
            self.assertEqual(1, len(lines), lines)
            self.assertIn(f"does not start: cannot run '{program}': ", lines[0])

    def test_of_none_waits_for_its_end(self):
        self.watch(0)
        time.sleep(0.2)
        self.assert_stops(signal.SIGTERM)

    def test_command_line(self):
        self.check_command_line("publisher_monitor")


if __name__ == "__main__":
    unittest.main()
