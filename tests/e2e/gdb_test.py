#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What deploy/gdb/coil_gdb.py shows of a program that is stopped."""
import re
import shutil
import subprocess

from stage import *

CHILD = sys.argv.pop(1)
SCRIPT = sys.argv.pop(1)


def gdb(*commands):
    """What gdb says to these, where all tasks of the child wait."""
    every = ["set debuginfod enabled off", f"source {SCRIPT}", "break all_wait", "run", *commands]
    words = [word for command in every for word in ("-ex", command)]
    return subprocess.run(["gdb", "-nx", "-batch", *words, CHILD], text=True, timeout=PATIENCE_S * 3,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT).stdout


@unittest.skipIf(shutil.which("gdb") is None, "gdb is not installed")
class Gdb(Test):
    def asked(self, *commands):
        said = gdb(*commands)
        if "all_wait ()" not in said:
            self.skipTest("gdb cannot run a program here")
        return said

    def test_names_all_tasks_of_all_loops(self):
        said = self.asked("coil-tasks")
        self.assertRegex(said, r"\nloop 1 \(thread \d+\)\n"
                               r"    \(coil_task \*\) 0x\w+  bakery in look_around\n"
                               r"        \(coil_task \*\) 0x\w+  bake in coil_sleep\n"
                               r"        \(coil_task \*\) 0x\w+  bake in coil_sleep\n")

    def test_shows_the_stack_of_a_task_with_its_variables(self):
        tasks = re.findall(r"0x\w+(?=  bake )", self.asked("coil-tasks"))
        said = self.asked(f"coil-bt {tasks[1]} vars")
        self.assertRegex(said, r"\n#0  coil_sleep.*\n.*duration = 90000000000.*\n"
                               r"#1  bake \(\S*gdb_child.c:\d+\)  await \(coil_sleep.*\n"
                               r" +arguments \{needs_s = 90\}\n"
                               r" +vars \{loaves = 180\}\n")


if __name__ == "__main__":
    unittest.main()
