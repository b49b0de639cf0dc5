#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""coil_gdb.py, on a program that runs: its loops, its tasks, and where they wait."""
import re
import shutil
import subprocess

from stage import *

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/gdb/coil_gdb.py")
SKIPPED = 77
# What a person would type, for the address of the last task that is printed.
OF_THE_LAST = ('python gdb.execute("coil-bt " + '
               'gdb.execute("coil-tasks", to_string=True).splitlines()[-1].split()[2] + " vars")')


def look_at(pid, *commands):
    """What gdb prints after each of the commands."""
    words = ["gdb", "-batch", "-nx", "-ex", "set debuginfod enabled off", "-p", str(pid), "-ex", f"source {SCRIPT}"]
    for command in commands:
        words += ["-ex", "echo ----\\n", "-ex", command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=6 * PATIENCE_S, check=False)
    if "ptrace: " in done.stderr:
        print("gdb may not attach to programs here:", done.stderr.splitlines()[0])
        sys.exit(SKIPPED)
    return done.stdout.split("----\n")[1:], done.stderr


class Gdb(Test):
    def test_tasks_of_all_loops_and_where_they_wait(self):
        port = free_ports()
        echo = self.start("echo", "--port", port)
        for _ in range(2):
            client = self.connect(port)
            client.sendall(b"hello")
            self.assertEqual(b"hello", receive(client, 5))
        (tasks, stack, usage), errors = look_at(echo.pid, "coil-tasks", OF_THE_LAST, "coil-tasks one two")
        shape = [re.sub(r"0x[0-9a-f]+", "ADDRESS", line) for line in tasks.splitlines() if "coil_" in line]
        self.assertEqual([f"(coil_loop *) ADDRESS  loop 1, thread {echo.pid}",
                          "    (coil_task *) ADDRESS  serve in coil_receiver_next"], shape[:2], errors)
        self.assertEqual(2, shape.count("            (coil_task *) ADDRESS  echo in coil_read_some"), tasks)
        self.assertRegex(stack, r"(?s)#0 +coil_read_some\n.*#1 +echo \(\S*echo.c:\d+\)  await \(my->in, ")
        self.assertRegex(stack, r"vars \{in = \{size_bytes = ")
        self.assertIn("usage: coil-tasks [GROUP]", usage + errors)
        self.assert_ends(echo, signal.SIGTERM)


if __name__ == "__main__":
    if not shutil.which("gdb"):
        print("there is no gdb")
        sys.exit(SKIPPED)
    unittest.main()
