#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An echo server for one connection that stalls once.

    stalling_server.py AFTER_S STALL_S      prints its port; ends with its connection

AFTER_S after the first byte it does nothing for STALL_S.
"""

import contextlib
import socket
import sys
import time


def main():
    after_s, stall_s = float(sys.argv[1]), float(sys.argv[2])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        peer, _ = listener.accept()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stall_at = None
    with peer, contextlib.suppress(ConnectionError):
        while received := peer.recv(65536):
            stall_at = stall_at or time.monotonic() + after_s
            if stall_s and time.monotonic() >= stall_at:
                time.sleep(stall_s)
                stall_s = 0
            peer.sendall(received)


if __name__ == "__main__":
    main()
