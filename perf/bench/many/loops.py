# SPDX-License-Identifier: MIT
"""One server on N processors: what a request costs, and how evenly the work lies."""

import json
import os
import random
import statistics
import subprocess

from ..machine import Watch, prefer_me, say
from ..rounds import load_command
from ..servers import Missing
from .connections import load_arguments
from .process import ReportingServer

CONNECTIONS = (16, 256)
SHARES = ("by-turns", "least-busy", "by-kernel")


def commands(options, count):
    """{name: (command, environment)} for `count` loops."""
    many = os.path.join(options.programs, "many")
    own = [os.path.join(many, "loops"), "--loops", str(count), "--share"]
    named = {f"coil {share}": (own + [share], None) for share in SHARES}
    named["epoll"] = ([os.path.join(many, "threads"), "--loops", str(count)], None)
    named["go"] = ([os.path.join(options.programs, "echo_go")],
                   {**os.environ, "GOMAXPROCS": str(count)})
    return {name: entry for name, entry in named.items() if os.access(entry[0][0], os.X_OK)}


def name_missing(options):
    if "go" not in commands(options, 1):
        say("go is left out of the loops: it is not built")


def placement(options, count):
    """The cores of the server, and those of each load: apart, as long as there are enough."""
    cores = options.cores
    left = cores[count:]
    if len(left) >= count:
        return cores[:count], [[core] for core in left[:count]]
    return cores[:count], [left or cores] * count


def run_loads(options, server, connections, load_cores):
    loads = []
    for cores in load_cores:
        arguments = load_arguments(options, server, connections // len(load_cores), options.warmup)
        loads.append(subprocess.Popen(load_command(options, cores, arguments),
                                      preexec_fn=prefer_me, stdout=subprocess.PIPE, text=True))
    said = [load.communicate()[0] for load in loads]
    if any(load.returncode for load in loads):
        return None
    return [json.loads(text) for text in said]


def unevenness(counts):
    """The largest, divided by the mean: 1 is even."""
    return round(max(counts) * len(counts) / sum(counts), 3) if counts and sum(counts) else None


def once(options, name, entry, count, connections):
    server_cores, load_cores = placement(options, count)
    try:
        server = ReportingServer(name, entry[0], server_cores, entry[1])
    except Missing as reason:
        say(f"{name}: {reason}")
        return None
    watch = Watch(options.cores, (server.pid,))
    loads = run_loads(options, server, connections, load_cores)
    others = watch.others()
    said = server.stop()
    if loads is None:
        say(f"{name}: the load failed; this result does not count")
        return None
    counts = json.loads(said) if said.startswith("{") else {}
    requests = sum(load["requests"] for load in loads)
    cpu_s = statistics.mean(load["server_cpu_s"] for load in loads)
    return {"kind": "loops", "impl": name, "loops": count, "connections": connections,
            "requests_per_s": round(requests / statistics.mean(load["seconds"] for load in loads)),
            "cpu_us": round(1e6 * cpu_s / requests, 3),
            "connections_max_over_mean": unevenness(counts.get("connections")),
            "requests_max_over_mean": unevenness(counts.get("requests")),
            "shared_cores": count + len(load_cores) > len(options.cores), **others}


def run(options):
    name_missing(options)
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count <= len(options.cores)]
    results = []
    for number in range(options.rounds):
        jobs = [(name, entry, count, connections) for count in counts for connections in CONNECTIONS
                for name, entry in commands(options, count).items()]
        random.shuffle(jobs)
        for job in jobs:
            result = once(options, *job)
            if result:
                results.append({**result, "round": number})
    return sorted(results, key=lambda result: result["impl"])
