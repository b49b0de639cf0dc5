# SPDX-License-Identifier: MIT
"""A server on some cores, and what /proc says of it."""

import random
import signal
import subprocess
import time

from ..machine import pinned, prefer_me
from ..servers import Missing, port_is_open

START_S = 10
END_S = 30  # ten thousand connections take a while to close


class Server:
    """A process that listens on `port`. What it writes is read with line(), and after its end."""

    def __init__(self, command, cores, environment=None):
        for _ in range(20):
            self.port = random.randint(20000, 29999)
            self.process = subprocess.Popen(
                pinned(",".join(map(str, cores)), command + ["--port", str(self.port)]),
                preexec_fn=prefer_me, stdout=subprocess.PIPE, text=True, env=environment)
            self.pid = self.process.pid
            if self._listens():
                return
            self.stop()
        raise Missing(f"{command[0]} does not listen")

    def _listens(self):
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            if port_is_open(self.port):
                return True
            time.sleep(0.005)
        return False

    def ask(self):
        """The line that it writes when it gets SIGUSR1."""
        self.process.send_signal(signal.SIGUSR1)
        return self.process.stdout.readline()

    def stop(self):
        """What it writes at its end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            said = self.process.communicate(timeout=END_S)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            said = self.process.communicate()[0]
        return said


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def kilobytes(text, name):
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def anonymous_bytes(pid):
    """Memory of its own that is really there: code and files are not in it."""
    return kilobytes(read(f"/proc/{pid}/smaps_rollup"), "Pss_Anon")
