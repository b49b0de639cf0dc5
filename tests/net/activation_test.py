#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Socket activation by systemd's own tool: activation_test.py <activated_peer>"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
PATIENCE_S = 10


def connected(path):
    """Connect, when the tool has begun to listen."""
    end = time.monotonic() + PATIENCE_S
    while True:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(PATIENCE_S)
        try:
            peer.connect(path)
            return peer
        except OSError:
            peer.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def said(peer):
    text = b""
    with peer:
        while part := peer.recv(100):
            text += part
    return text.decode()


def main(program):
    tool = shutil.which("systemd-socket-activate")
    if tool is None:
        print("skipped: systemd-socket-activate is not installed (systemd)")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="coil-activation-") as directory:
        path = os.path.join(directory, "socket")
        child = subprocess.Popen(
            [tool, f"--listen={path}", "--fdname=greeting", program, "3"], stderr=subprocess.PIPE)
        try:
            for _ in range(3):
                text = said(connected(path))
                assert text == "greeting", text
            assert child.wait(PATIENCE_S) == 0, child.stderr.read()
        finally:
            child.kill()
            child.wait()
            child.stderr.close()
        assert os.path.exists(path), "the path belongs to systemd"
    print("3 connections were served on a passed socket")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
