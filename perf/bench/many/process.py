# SPDX-License-Identifier: MIT
"""A server that reports on stdout what it has counted."""

import signal
import subprocess

from ..servers import Server


class ReportingServer(Server):
    OUTPUT = subprocess.PIPE
    END_S = 30  # Ten thousand connections take a while to close.

    def ask(self):
        """The line that it writes when it gets SIGUSR1."""
        self.process.send_signal(signal.SIGUSR1)
        return self.process.stdout.readline()
