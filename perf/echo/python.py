# SPDX-License-Identifier: MIT
"""An echo server on Python's asyncio, or with --uvloop on uvloop: protocols, no streams.

Both loops set TCP_NODELAY on what they accept.
"""

import argparse
import asyncio
import resource
import signal
import sys

MISSING = 77  # The exit status of a peer that lacks what it runs on.
BUFFER_BYTES = 256 * 1024
BACKLOG = 65535  # The kernel cuts it to its own limit.


class Echo(asyncio.Protocol):
    """What a full socket refuses, the transport keeps; reading stops until it has gone out."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


class HotEcho(asyncio.BufferedProtocol):
    """asyncio's transport sends at once, so one buffer serves all connections. It is given up to a
    transport that still holds a part of it."""

    hot = memoryview(bytearray(BUFFER_BYTES))
    pause_writing, resume_writing = Echo.pause_writing, Echo.resume_writing

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, _size_hint):
        return HotEcho.hot

    def buffer_updated(self, count):
        self.transport.write(HotEcho.hot[:count])
        if self.transport.get_write_buffer_size():
            HotEcho.hot = memoryview(bytearray(BUFFER_BYTES))


async def serve(port, protocol):
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    await loop.create_server(protocol, "127.0.0.1", port, backlog=BACKLOG)
    await over.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--uvloop", action="store_true", help="uvloop instead of asyncio's own loop")
    parser.add_argument("--protocol", choices=["plain", "hot"], help="default: the faster one")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if options.uvloop:
        try:
            import uvloop
        except ImportError:
            print("echo: no uvloop (package python3-uvloop)", file=sys.stderr)
            sys.exit(MISSING)
        uvloop.install()
    # uvloop sends at the end of its turn: a shared buffer would have changed by then.
    plain = options.uvloop or options.protocol == "plain"
    asyncio.run(serve(options.port, Echo if plain else HotEcho))


if __name__ == "__main__":
    main()
