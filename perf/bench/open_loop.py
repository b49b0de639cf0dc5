# SPDX-License-Identifier: MIT
"""The open loop: what a request waits for when requests do not wait for each other.

All servers get the same rates, shares of what the slowest of the judged servers can do, and in the
same round the same random arrivals. Latencies count from when a request was due.
"""

import statistics

from . import rounds, stats
from .cells import Cell
from .servers import JUDGED

CELL = Cell(50, 64, 1)
SHARES = (0.2, 0.5, 0.8)
SECONDS_FACTOR = 2  # a tail needs more requests than a mean
CURVE = [0, .1, .2, .3, .4, .5, .6, .7, .75, .8, .85, .9, .925, .95, .97, .98, .99, .995, .998,
         .999, .9995, .9998, .9999, .99995, .99999]


def throughput(options, repeats, name, command):
    """Closed-loop requests/s, for when the run has not measured the cell anyway."""
    arguments = ["--connections", CELL.connections, "--size", CELL.size, "--warmup",
                 options.warmup, "--seconds", options.seconds]
    result = rounds.measure(options, repeats, name, command, arguments)
    return result["requests_per_s"] if result else None


def slowest(options, repeats, servers, echo_results):
    """The closed-loop throughput of the slowest judged server, with its name."""
    known = {}
    for name in [name for name in ("coil",) + JUDGED if name in servers] or list(servers):
        mine = rounds.of(echo_results, CELL, name)
        known[name] = (statistics.median(result["requests_per_s"] for result in mine) if mine
                       else throughput(options, repeats, name, servers[name]))
    known = {name: speed for name, speed in known.items() if speed}
    name = min(known, key=known.get)
    return name, known[name]


def choose_rates(options, repeats, servers, echo_results):
    """[(label, requests/s)]"""
    if options.rates:
        return [(f"{rate:,.0f}/s", rate) for rate in options.rates]
    name, speed = slowest(options, repeats, servers, echo_results)
    return [(f"{share:.0%} of {name}'s {speed:,.0f}/s", round(share * speed, -2))
            for share in (SHARES[1:2] if options.quick else SHARES)]


def run(options, repeats, servers, echo_results):
    labels = dict(choose_rates(options, repeats, servers, echo_results))

    def once(label, name, number):
        arguments = ["--connections", CELL.connections, "--size", CELL.size, "--rate",
                     labels[label], "--seed", number + 1, "--buckets", "--spin", "--warmup",
                     options.warmup, "--seconds", options.seconds * SECONDS_FACTOR]
        arguments += [] if options.fixed else ["--poisson"]
        return rounds.measure(options, repeats, name, servers[name], arguments)

    return rounds.run(options, "open", list(labels), servers, once, options.open_rounds)


def curve(results):
    """[[share, us], ...] of all rounds together, up to what so many requests can tell."""
    merged = stats.merge(result["buckets"] for result in results)
    count = sum(number for _, number in merged)
    return [[share, round(stats.quantile(merged, share) / 1e3, 2)] for share in CURVE
            if count * (1 - share) >= 1]
