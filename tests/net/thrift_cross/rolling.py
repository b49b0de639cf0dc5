#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Restart a Coil server again and again under the load of Apache's C++ client: no call may fail.

    rolling.py SERVER LOAD

Each server takes the listening socket over from the one before it, which then ends with 0, when it has
answered what it was asked (coil/handover.h). Skipped (77) if LOAD is "".
"""
import os
import subprocess
import sys
import tempfile
import threading

RESTARTS = 5
CALLS = 300  # Between two restarts.
PATIENCE_S = 60


class Load:
    """The client, and how many calls it has had answered."""

    def __init__(self, program, port, transport):
        self.process = subprocess.Popen([program, port, transport], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.answered = 0
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.answered = int(line)
                self.changed.notify()

    def wait_for(self, count):
        """So many more answers."""
        with self.changed:
            aim = self.answered + count
            if not self.changed.wait_for(lambda: self.answered >= aim, PATIENCE_S):
                sys.exit(f"no {count} answers in {PATIENCE_S} s")

    def end(self):
        self.process.stdin.close()
        self.reader.join()
        return self.process.wait(PATIENCE_S)


def start_server(program, directory, port):
    server = subprocess.Popen([program, "--port", port, "--handover", f"{directory}/handover"],
                              stdout=subprocess.PIPE, text=True)
    line = server.stdout.readline()
    if not line:
        sys.exit("a server has not begun")
    return server, line.strip().rpartition(":")[2]


def restart_under_load(server_program, load_program, transport):
    with tempfile.TemporaryDirectory() as directory:
        server, port = start_server(server_program, directory, "0")
        load = None
        try:
            load = Load(load_program, port, transport)
            for _ in range(RESTARTS):
                load.wait_for(CALLS)
                successor, same = start_server(server_program, directory, "0")
                before, server = server, successor
                if same != port:
                    sys.exit(f"the successor listens at {same}, not at {port}")
                if before.wait(PATIENCE_S) != 0:
                    sys.exit(f"a server has ended with {before.returncode}")
            load.wait_for(CALLS)
        finally:
            status = load.end() if load else 1
            server.kill()
            server.wait()
        if status != 0:
            sys.exit(f"calls have failed ({transport})")


def main():
    server, load = sys.argv[1:]
    if load == "":
        print("no thrift-compiler, libthrift-dev, libevent-dev or libboost-dev")
        return 77
    for transport in "framed", "buffered":
        restart_under_load(os.path.abspath(server), os.path.abspath(load), transport)
    return 0


if __name__ == "__main__":
    sys.exit(main())
