# SPDX-License-Identifier: MIT
"""Memory of connections that say nothing: the server's own, and beside it the kernel's.

The server's is what /proc/PID/smaps_rollup has more with the connections than before: before them
it has served a few others, so that what it allocates once, such as a pool of buffers, counts as its
base. The kernel's can only be read for the whole machine, and belongs to both ends of each
connection.
"""

import os
import time

from . import rounds
from .holder import Holder
from .machine import Watch, say
from .memory import kilobytes, read
from .servers import Missing, Server

PER_SERVER = 19000  # connections: below the usual limit of 20,000 descriptors
FIRST = 16  # connections that come and go before
ROUNDS_MAX = 3
SETTLE_S = 4
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
KINDS = {"silent": [], "greeted": ["--greet"]}


# ---- Reading ----


def user_bytes(pid):
    text = read(f"/proc/{pid}/smaps_rollup")
    return {"pss": kilobytes(text, "Pss"), "anonymous": kilobytes(text, "Anonymous")}


def tcp_bytes(sockstat):
    """The buffers of all TCP sockets: the last figure of the line, in pages."""
    for line in sockstat.splitlines():
        if line.startswith("TCP:"):
            return int(line.split()[-1]) * PAGE_BYTES
    return 0


def kernel_bytes():
    return {"slab": kilobytes(read("/proc/meminfo"), "Slab"),
            "tcp": tcp_bytes(read("/proc/net/sockstat"))}


def total_user(servers):
    memory = [user_bytes(server.pid) for server in servers]
    return {name: sum(entry[name] for entry in memory) for name in memory[0]}


def settled(servers):
    """The memory once it has stopped changing, which says that all connections are accepted."""
    end = time.monotonic() + SETTLE_S
    last = None
    while time.monotonic() < end:
        now = total_user(servers), sum(len(os.listdir(f"/proc/{s.pid}/fd")) for s in servers)
        if now == last:
            break
        last = now
        time.sleep(0.15)
    return last[0]


# ---- Measuring ----


def shares(total):
    """19,000 for each server, and the rest for the last."""
    return [min(PER_SERVER, total - first) for first in range(0, total, PER_SERVER)]


def open_connections(options, server, count, arguments):
    """Who holds them; None if a connection failed."""
    holder = Holder(options, options.load_core, server.port, arguments)
    if holder.hold(count):
        return holder
    holder.end()
    return None


def end_all(holders):
    for holder in holders:
        holder.end()


def per_connection(after, before, count):
    return {f"{name}_bytes": round((after[name] - before[name]) / count, 1) for name in after}


def measure_servers(options, servers, kind):
    """The result for these running servers; None if a connection failed."""
    watch = Watch((options.server_core, options.load_core), [server.pid for server in servers])
    first = [open_connections(options, server, FIRST, KINDS["greeted"]) for server in servers]
    end_all(holder for holder in first if holder)
    before, kernel_before = settled(servers), kernel_bytes()
    counts, holders = shares(options.idle_connections), []
    for server, count in zip(servers, counts):
        holder = open_connections(options, server, count, KINDS[kind])
        if holder is None:
            end_all(holders)
            return None
        holders.append(holder)
    result = per_connection(settled(servers), before, sum(counts))
    result.update(per_connection(kernel_bytes(), kernel_before, sum(counts)))
    end_all(holders)
    result.update(watch.others(), connections=sum(counts), processes=len(servers),
                  base_bytes=before["anonymous"] // len(servers))
    return result


def idle_once(options, name, command, kind):
    servers = []
    try:
        for _ in shares(options.idle_connections):
            servers.append(Server(name, command, options.server_core))
        result = measure_servers(options, servers, kind)
    except (Missing, OSError) as reason:
        say(f"{name}: {reason}")
        result = None
    finally:
        for server in servers:
            server.stop()
    if result is None:
        say(f"{name}: idle connections failed; this result does not count")
        return None
    result["impl"] = name
    result["disturbed"] = False  # Memory does not depend on who else computes.
    return result


def run(options, servers):
    def once(kind, name, _):
        return idle_once(options, name, servers[name], kind)

    return rounds.run(options, "idle", list(KINDS), servers, once,
                      rounds=min(options.rounds, ROUNDS_MAX))
