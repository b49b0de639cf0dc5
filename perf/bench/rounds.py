# SPDX-License-Identifier: MIT
"""How a measurement is made, repeated when it was disturbed, and put into rounds.

Every round visits all cells, in random order, and in each all contenders, in random order: what
the machine does meanwhile hits all alike, and pairs of one round are close in time.
"""

import json
import os
import random
import time

from . import stats
from .machine import Watch, pinned, say
from .machine import run as run_program
from .servers import Missing, Server

REPEATS_MAX = 2


class Repeats:
    """Time for repetitions: a busy machine must not keep us for ever."""

    def __init__(self, seconds):
        self.left_s = seconds

    def best_of(self, once):
        """once() until it is not disturbed; keeps the least disturbed. None when all failed."""
        kept = None
        for attempt in range(1 + REPEATS_MAX):
            if attempt and self.left_s <= 0:
                break
            start = time.monotonic()
            result = once()
            if attempt:
                self.left_s -= time.monotonic() - start
            if result:
                kept = min(kept or result, result, key=stats.how_disturbed)
            if kept and not kept["disturbed"]:
                break
        return kept


def load_command(options, cores, arguments):
    command = [os.path.join(options.programs, "load")] + [str(word) for word in arguments]
    return pinned(cores, command)


def load_once(options, name, command, arguments):
    """A fresh server, the load generator with these arguments, and who else used the cores."""
    try:
        server = Server(name, command, options.server_core)
    except Missing as reason:
        say(f"{name}: {reason}; this result does not count")
        return None
    with server:
        watch = Watch((options.server_core, options.load_core), (server.pid,))
        arguments = list(arguments) + ["--port", server.port, "--server-pid", server.pid]
        status, printed = run_program(load_command(options, options.load_core, arguments))
        alive = server.process.poll() is None
        others = watch.others() if alive else {}
    if status != 0 or not alive:
        say(f"{name}: {'the load generator failed' if alive else 'the server ended'}; "
            "this result does not count")
        return None
    result = json.loads(printed)
    result.update(others, impl=name)
    result["disturbed"] = stats.is_disturbed(result, options.disturbed)
    return result


def measure(options, repeats, name, command, arguments):
    return repeats.best_of(lambda: load_once(options, name, command, arguments))


def shuffled(items):
    items = list(items)
    random.shuffle(items)
    return items


def run(options, kind, cells, contenders, once, rounds=None):
    """once(cell, name, round) for everything; returns the results, which know their cell."""
    results = []
    rounds = rounds or options.rounds
    for number in range(rounds):
        for cell in shuffled(cells):
            for name in shuffled(contenders):
                result = once(cell, name, number)
                if result:
                    result.update(kind=kind, cell=str(cell), round=number)
                    results.append(result)
        say(f"{kind}: round {number + 1} of {rounds} done")
    return results


def of(results, cell=None, impl=None):
    return [result for result in results
            if (cell is None or result["cell"] == str(cell))
            and (impl is None or result["impl"] == impl)]


def impls(results):
    return {result["impl"] for result in results}
