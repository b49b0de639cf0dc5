# SPDX-License-Identifier: MIT
"""Connections that say nothing, held by a process of the load generator."""

import json
import subprocess

from .machine import prefer_me
from .rounds import load_command


class Holder:
    """Has none at first. `arguments`: more of perf/bin/load's."""

    def __init__(self, options, cores, port, arguments=()):
        command = load_command(options, cores, ["--port", port, "--idle", 0, *arguments])
        self.process = subprocess.Popen(command, preexec_fn=prefer_me, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def hold(self, count):
        """So many from now on. False: it could not connect so often; it has said why."""
        try:
            self.process.stdin.write(f"{count}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        line = self.process.stdout.readline()
        return bool(line) and json.loads(line)["connections"] == count

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
