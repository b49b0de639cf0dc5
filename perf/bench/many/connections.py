# SPDX-License-Identifier: MIT
"""How the cost of a request grows with the connections, all of which are busy."""

import json
import os
import random
import subprocess
import time

from ..machine import Watch, descriptor_limit, prefer_me, say
from ..memory import anonymous_bytes
from ..rounds import load_command
from ..servers import Missing, Server

SIZE = 64
RESERVED = 500  # descriptors that are left for other things
SERVERS = ("coil", "epoll", "uring", "libuv")


def steps(options):
    limit = min(descriptor_limit() - RESERVED, options.connections_to)
    powers = [10 ** power for power in range(1, 7) if 10 ** power < limit]
    return powers + ([limit] if limit > powers[-1] * 1.2 else [])


def servers(options):
    found = {"coil": os.path.join(options.build, "docs", "examples", "echo")}
    for name in SERVERS[1:]:
        found[name] = os.path.join(options.programs, "echo_" + name)
    for name, program in list(found.items()):
        if not os.access(program, os.X_OK):
            say(f"{name} is left out: there is no {os.path.basename(program)}")
            del found[name]
    return found


def load_arguments(options, server, connections, warmup_s):
    return ["--port", server.port, "--server-pid", server.pid, "--size", SIZE, "--connections",
            connections, "--warmup", warmup_s, "--seconds", options.seconds]


def once(options, name, program, connections):
    try:
        server = Server(name, [program], options.cores[:1])
    except Missing as reason:
        say(f"{name}: {reason}")
        return None
    before_bytes = anonymous_bytes(server.pid)
    watch = Watch((options.cores[0], options.cores[-1]), (server.pid,))
    # Every connection has been served a few times before the figures count.
    warmup_s = options.warmup + connections * 60e-6
    arguments = load_arguments(options, server, connections, warmup_s)
    load = subprocess.Popen(load_command(options, options.cores[-1], arguments),
                            preexec_fn=prefer_me, stdout=subprocess.PIPE, text=True)
    time.sleep(warmup_s + options.seconds / 2)
    during_bytes = anonymous_bytes(server.pid)
    said = load.communicate()[0]
    others = watch.others()
    server.stop()
    if load.returncode != 0:
        say(f"{name}: the load failed at {connections} connections")
        return None
    result = json.loads(said)
    return {"kind": "connections", "impl": name, "connections": connections,
            "cpu_us": round(1e6 * result["server_cpu_s"] / max(1, result["requests"]), 3),
            "requests_per_s": result["requests_per_s"], "p50_us": result["p50_us"],
            "bytes": round((during_bytes - before_bytes) / connections), **others}


def run(options):
    results = []
    found = servers(options)
    for number in range(options.rounds):
        jobs = [(name, program, connections) for connections in steps(options)
                for name, program in found.items()]
        random.shuffle(jobs)
        for job in jobs:
            result = once(options, *job)
            if result:
                results.append({**result, "round": number})
    return sorted(results, key=lambda result: list(found).index(result["impl"]))
