# SPDX-License-Identifier: MIT
"""Connections that say nothing: what they cost us, to the byte, and what they cost the kernel."""

import json
import os
import time

from ..holder import Holder
from ..machine import descriptor_limit, say
from ..memory import anonymous_bytes, kilobytes, read
from ..servers import Missing
from .connections import RESERVED, servers
from .process import ReportingServer

STEPS = (1000, 4000, 10000)
SETTLE_S = 10
SILENT_S = 7  # Coil parks what has received nothing for two whole ticks of two seconds.
SLABS_NAMED = 8


def await_rest(server):
    """Until the server has nothing to do: it has accepted them all. (To count its descriptors in
    /proc would make the kernel keep an inode for each.)"""
    end = time.monotonic() + SETTLE_S
    before = None
    while time.monotonic() < end:
        now = read(f"/proc/{server.pid}/schedstat").split()[0], anonymous_bytes(server.pid)
        if now == before:
            return
        before = now
        time.sleep(0.15)


def await_silence(options, servers):
    """Until all connections have been silent for some seconds, and are treated as such."""
    if not options.quick:
        time.sleep(SILENT_S)
    for server in servers:
        await_rest(server)


# ---- The kernel ----


def slabs():
    """{cache: bytes}; empty where we may not look."""
    try:
        lines = read("/proc/slabinfo").splitlines()[2:]
    except OSError:
        return {}
    fields = [line.split() for line in lines]
    return {entry[0]: int(entry[1]) * int(entry[3]) for entry in fields}


def kernel_now():
    meminfo = read("/proc/meminfo")
    parts = ("Slab", "PageTables", "Percpu", "KernelStack", "VmallocUsed")
    return {"total": sum(kilobytes(meminfo, part) for part in parts), "slabs": slabs()}


def kernel_growth(before, after, count):
    """Without the inodes of /proc: they come from who looks at the descriptors meanwhile."""
    caches = {name: (after["slabs"][name] - before["slabs"].get(name, 0)) / count
              for name in after["slabs"]}
    of_proc = caches.pop("proc_inode_cache", 0)
    largest = sorted(caches.items(), key=lambda entry: -entry[1])[:SLABS_NAMED]
    return {"kernel_bytes": round((after["total"] - before["total"]) / count - of_proc),
            "kernel_caches": {name: round(share) for name, share in largest if share >= 16}}


# ---- One server process ----


def by_caller(report):
    sums = {}
    for caller in report["callers"]:
        sums[caller["name"]] = sums.get(caller["name"], 0) + caller["bytes"]
    sums["released"] = -report["released_bytes"]
    return sums


def breakdown(first, last):
    """What a connection more has allocated, by who asked; what is in a task; and the sum."""
    count = last["connections"] - first["connections"]
    before, after = by_caller(first), by_caller(last)
    shares = {name: (after[name] - before.get(name, 0)) / count for name in after}
    named = {name: round(share, 1) for name, share in shares.items() if abs(share) >= 1}
    return {"allocated_bytes": round(sum(shares.values()), 1), "allocated": named,
            "task": last.get("task")}


def reading(server, name):
    report = json.loads(server.ask()) if name == "coil" else None
    return {"anonymous": anonymous_bytes(server.pid), "kernel": kernel_now(), "report": report}


def climb(options, server, holder, name, steps):
    """The readings at each step; None if the connections could not be made."""
    readings = []
    for count in steps:
        if not holder.hold(count):
            return None
        await_silence(options, [server])
        readings.append({"connections": count, **reading(server, name)})
    return readings


def result_of(name, readings):
    first, last = readings[0], readings[-1]
    count = last["connections"] - first["connections"]
    result = {"kind": "idle", "impl": name, "connections": last["connections"], "processes": 1,
              "bytes": round((last["anonymous"] - first["anonymous"]) / count, 1),
              "curve": [[entry["connections"], entry["anonymous"]] for entry in readings],
              **kernel_growth(first["kernel"], last["kernel"], count)}
    if last["report"]:
        result.update(breakdown(first["report"], last["report"]))
    return result


def once(options, name, command, steps):
    holder = None
    try:
        server = ReportingServer(name, command, options.cores[:1])
    except Missing as reason:
        say(f"{name}: {reason}")
        return None
    try:
        holder = Holder(options, options.cores, server.port)
        readings = climb(options, server, holder, name, steps)
    finally:
        if holder:
            holder.end()
        server.stop()
    if readings is None:
        say(f"{name}: the connections could not be made; this result does not count")
        return None
    return result_of(name, readings)


# ---- Several processes ----


def shares(options):
    each = descriptor_limit() - RESERVED
    return [min(each, options.idle_to - first) for first in range(0, options.idle_to, each)]


def many_once(options, command):
    """idle_to connections over as many server and client processes as the limits ask for."""
    members, holders = [], []
    try:
        for _ in shares(options):
            members.append(ReportingServer("idle", command, options.cores))
        before, kernel = sum(anonymous_bytes(server.pid) for server in members), kernel_now()
        for server, count in zip(members, shares(options)):
            holders.append(Holder(options, options.cores, server.port))
            if not holders[-1].hold(count):
                return None
            await_rest(server)
        await_silence(options, members)
        after = sum(anonymous_bytes(server.pid) for server in members)
        return {"kind": "idle", "impl": "coil", "connections": options.idle_to,
                "processes": len(members), "bytes": round((after - before) / options.idle_to, 1),
                **kernel_growth(kernel, kernel_now(), options.idle_to)}
    except Missing as reason:
        say(f"idle: {reason}")
        return None
    finally:
        for process in holders:
            process.end()
        for server in members:
            server.stop()


def run(options):
    own = [os.path.join(options.programs, "many", "idle")]
    limit = descriptor_limit() - RESERVED
    steps = [count for count in STEPS if count < min(limit, options.idle_to)]
    steps.append(min(limit, options.idle_to))
    named = {"coil": own}
    for name, program in servers(options).items():
        named["coil, the example" if name == "coil" else name] = [program]
    results = [once(options, name, command, steps) for name, command in named.items()]
    if options.idle_to > limit:
        results.append(many_once(options, own))
    return [result for result in results if result]
