#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A publisher that behaves as badly as the variable BEHAVIOUR says."""
import os
import signal
import socket
import struct
import sys
import time

BEHAVIOUR = os.environ["BEHAVIOUR"]


def status(value):
    body = b"\0\0\0\x09getStatus" + struct.pack(">i", 1) + struct.pack(">bhib", 8, 0, value, 0)
    message = struct.pack(">I", 0x80010002) + body
    return struct.pack(">I", len(message)) + message


def answers():
    """To one call after the other: well at first, so that the watchdog's patience does not matter."""
    yield status(2)
    bad = {"garbage": b"\xff\xff\xff\xff garbage", "frame": b"\0\0\0\x04junk", "dying": status(3),
           "silent": None, "closing": b""}
    while True:
        yield bad.get(BEHAVIOUR, status(2))


def main():
    if BEHAVIOUR == "exiting":
        sys.exit(3)
    if BEHAVIOUR == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if BEHAVIOUR == "talkative":
        os.write(2, b"on stderr\n" + b"a" * 10000 + b"\nwithout end")
        os.write(1, b"\non stdout\n" * 3)
    listener = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])))
    print("ready", flush=True)
    for answer in answers():
        connection = listener.accept()[0]
        connection.recv(4096)
        if answer is None:
            time.sleep(1000)
        connection.sendall(answer)
        connection.close()


main()
