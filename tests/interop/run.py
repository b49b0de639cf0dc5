#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Start a server, let a client talk to it: run.py <server...> -- <client...>

The server says "port N" when it listens; PORT in its own command is a free one, for servers that say
nothing. PORT in the client's command is the server's. The client's last call is fb303's shutdown,
after which the server has to end with 0. Passes 77, "skipped", on.
"""
import socket
import subprocess
import sys
import time

PATIENCE_S = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def with_port(command, port):
    return [word.replace("PORT", str(port)) for word in command]


def wait_until_it_listens(server, port):
    for _ in range(PATIENCE_S * 100):
        with socket.socket() as probe:
            if server.poll() is not None or probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)


def start(command):
    port = free_port()
    says_port = not any("PORT" in word for word in command)
    server = subprocess.Popen(with_port(command, port), text=True,
                              stdout=subprocess.PIPE if says_port else None)
    if not says_port:
        wait_until_it_listens(server, port)
        return server, port
    words = server.stdout.readline().split()
    if words[:1] == ["skipped:"]:
        print(*words)
        sys.exit(77)
    return server, int(words[1])


def main():
    split = sys.argv.index("--")
    server, port = start(sys.argv[1:split])
    try:
        result = subprocess.run(with_port(sys.argv[split + 1:], port), timeout=PATIENCE_S).returncode
        if result != 0:
            sys.exit(result)
        ended = server.wait(PATIENCE_S)
        sys.exit(f"the server ended with {ended}" if ended else 0)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


main()
