# SPDX-License-Identifier: MIT
"""The echo servers: which there are, how one is started, and how it is ended."""

import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import time

from .machine import pinned, prefer_me, say

JUDGED = ("epoll", "uring", "libuv")  # Coil has to match the best of these in each cell
PEERS = JUDGED + ("libevent", "asio", "asio_uring", "asyncio", "uvloop", "go", "node", "tokio")
MISSING = 77  # the exit status of a server whose peer is not installed
START_S = 10


class Missing(Exception):
    """It cannot run here."""


class Server:
    """One server process, pinned to its cores, listening on `port` of 127.0.0.1 or of any address."""

    OUTPUT = subprocess.DEVNULL
    END_S = 5

    def __init__(self, name, command, cores, environment=None):
        self.name = name
        for _ in range(20):
            self.port = random.randint(20000, 29999)
            self._start(pinned(cores, command + ["--port", str(self.port)]), environment)
            if self._listens():
                return
            if self.process.poll() is None:  # Another port would not help.
                self.stop()
                raise Missing(f"{command[0]} does not listen on 127.0.0.1:{self.port} "
                              f"within {START_S} s")
            self.process.communicate()
            if self.process.returncode == MISSING:
                raise Missing("not installed")
        raise Missing(f"{command[0]} ends at once, with status {self.process.returncode}")

    def _start(self, command, environment):
        self.process = subprocess.Popen(command, env=environment, preexec_fn=prefer_me,
                                        stdout=self.OUTPUT, text=True)
        self.pid = self.process.pid

    def _listens(self):
        """Looks into /proc, so that the server sees no connection but the measured ones. A port
        that is taken shows as a server that ends at once."""
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            if port_is_open(self.port):
                return True
            time.sleep(0.005)
        return False

    def stop(self):
        """What it has written, unless that goes to nobody."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            written = self.process.communicate(timeout=self.END_S)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            say(f"{self.name} did not end within {self.END_S} s of SIGTERM")
            return self.process.communicate()[0]
        if self.process.returncode not in (0, MISSING, -signal.SIGTERM):
            say(f"{self.name} ended with status {self.process.returncode}")
        return written

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


MAPPED_LOOPBACK = "0000000000000000FFFF00000100007F"  # ::ffff:127.0.0.1


def port_is_open(port):
    """Of 127.0.0.1, or of all addresses, IPv4 or both."""
    for path, addresses in (("tcp", ("0100007F", "0" * 8)), ("tcp6", ("0" * 32, MAPPED_LOOPBACK))):
        try:
            with open(f"/proc/net/{path}", encoding="ascii") as table:
                text = table.read()
        except FileNotFoundError:  # A kernel without IPv6.
            continue
        if any(re.search(rf": {address}:{port:04X} \S+ 0A ", text) for address in addresses):
            return True
    return False


# ---- Which there are ----


def echo_programs(options):
    """Name and command of Coil's own and of every echo_<peer> that has been built."""
    commands = {"coil": [options.coil or os.path.join(options.build, "docs", "examples", "echo")]}
    for entry in sorted(os.listdir(options.programs)):
        if entry.startswith("echo_") and os.access(os.path.join(options.programs, entry), os.X_OK):
            commands[entry[len("echo_"):]] = [os.path.join(options.programs, entry)]
    for spec in options.server:
        name, _, command = spec.partition("=")
        commands[name] = shlex.split(command)
    return commands


def in_order(names):
    """Coil first, then those that it is judged by, then the others."""
    first = [name for name in ("coil",) + JUDGED if name in names]
    return first + sorted(set(names) - set(first))


def find(options):
    """{name: command} of those that are wanted and that start; who is left out is named."""
    commands = echo_programs(options)
    wanted = options.impl or (("coil",) + JUDGED if options.judged else list(commands))
    found = {}
    for name in in_order(wanted):
        try:
            if name not in commands:
                raise Missing("not built")
            if shutil.which(commands[name][0]) is None:
                raise Missing(f"there is no program {commands[name][0]}")
            Server(name, commands[name], options.server_core).stop()
            found[name] = commands[name]
        except Missing as reason:
            ours = name == "coil" or any(spec.startswith(f"{name}=") for spec in options.server)
            say(f"{name} is left out: {reason}{'' if ours else ' (perf/compare --setup)'}")
    return found
