#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where io_uring is forbidden, as in many containers, every program says so in one line."""
import errno

from stage import *

NO_URING = sys.argv.pop(1)


class NoUring(Test):
    def check(self, name):
        for error in (errno.EPERM, errno.ENOSYS):
            with self.subTest(errno.errorcode[error]):
                program = self.start(NO_URING, error, os.path.join(DIRECTORY, name), "--port",
                                     free_ports())
                if program.process.wait(PATIENCE_S) == 77:
                    self.skipTest("no seccomp here")
                self.assert_refuses(program, 1, "coil: cannot set up io_uring: ")
                self.assertIn("seccomp", program.err[0])
                self.assertEqual([], program.out)

    def test_echo(self):
        self.check("echo")

    def test_publisher(self):
        self.check("publisher")

    def test_publisher_monitor(self):
        self.check("publisher_monitor")


if __name__ == "__main__":
    unittest.main()
