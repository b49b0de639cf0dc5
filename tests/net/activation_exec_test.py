#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A server that becomes its successor, again and again: activation_exec_test.py <activated_peer>"""
import socket
import subprocess
import sys

PATIENCE_S = 10
TIMES = 20
EACH = 3

# LISTEN_PID is known to the process itself only.
START = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=greeting exec "$0" "$@"'


def said(address):
    text = b""
    with socket.create_connection(address, PATIENCE_S) as peer:
        while part := peer.recv(100):
            text += part
    return text.decode()


def start(program, listener):
    number = listener.fileno()
    moved = "" if number == 3 else f" 3<&{number} {number}<&-"
    return subprocess.Popen(
        ["/bin/sh", "-c", START + moved, program, str(EACH), str(TIMES - 1)], pass_fds=[number])


def main(program):
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    child = start(program, listener)
    served = 0
    try:
        listener.close()
        while True:
            try:
                text = said(address)
            except (ConnectionRefusedError, ConnectionResetError):
                break  # That was the last one; nobody else may refuse.
            if text == "":
                break
            assert text == "greeting", f"connection {served}: {text!r}"
            served += 1
        assert child.wait(PATIENCE_S) == 0, child.returncode
    finally:
        child.kill()
        child.wait()
    # Who has connected when one of them stops is served by it, beyond its number.
    assert served >= EACH * TIMES, f"{served} connections were served"
    print(f"{served} connections were served by {TIMES} programs, one after the other")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
