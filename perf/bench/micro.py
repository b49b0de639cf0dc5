# SPDX-License-Identifier: MIT
"""Micro-benchmarks, Coil's beside those of its peers: runs the programs, makes the tables.

Every program takes the arguments that perf/micro/measure.h describes. The rounds are interleaved:
in each, every question is put to all contenders in random order, so that a slow minute hits all
alike.
"""

import functools
import json
import os
import platform
import statistics
import subprocess
import time

from . import stats
from .machine import Watch, machine, package_version, pinned, say
from .machine import run as run_program
from .rounds import shuffled
from .servers import MISSING

# The contenders that have a column, and what installs them.
COLUMNS = {"coil": "", "asyncio": "python3", "asio": "libasio-dev", "go": "golang-go",
           "tokio": "librust-tokio-dev", "libuv": "libuv1-dev", "libevent": "libevent-dev",
           "node": "nodejs"}
# The column `raw` is the best of those that answer.
RAW = ("eventfd", "msg_ring", "heap", "off", "pread", "io_uring", "mmsg", "posix_spawn",
       "recv_send")
JUDGED = ("coil", "libuv") + RAW
QUICK = ("yield", "spawn_join", "post_round_trip", "file_read_4k", "spawn_child")

# The questions of the first table: what one operation is, and the goal that Coil has set itself.
ROWS = {
    "lock": ("lock and unlock, nobody else wants it", None),
    "semaphore": ("semaphore: acquire and release", None),
    "event": ("event: set, wait, clear", None),
    "queue": ("queue: put and get, one task", None),
    "queue_64_slots": ("queue of 64: one item, task to task", 40),
    "queue_1_slot": ("queue of 1: one item, task to task", 60),
    "channel_ping_pong": ("channel without buffer: there and back", None),
    "yield": ("yield to another task", 10),
    "spawn_join": ("spawn a task and join it", 40),
    "spawn_join_all": ("the same, 1 M alive at once; each", None),
    "timer_1m": ("timer: arm and cancel, 1 M live", 40),
    "timers_1m": ("1 M timers armed, then cancelled; each", 60),
    "timer_fire_1m": ("1 M timers armed over 100 ms, until all have fired; CPU time of each", 200),
    "timer_refire_1m": ("timers that fire and arm again, 1 M armed, time is virtual; each", None),
    "recv_send": ("a message of 64 B received and sent back", None),
    "recv_send_50": ("the same on 50 connections; each", None),
    "rpc_call": ("Thrift: getStatus over TCP, both ends", None),
    "rpc_status": ("Thrift: getStatus decoded, its reply encoded", None),
    "rpc_decode": ("Thrift: call with a struct of 10 fields decoded", None),
    "rpc_encode": ("Thrift: the same struct encoded", None),
    "post_round_trip": ("thread to thread and back", ("raw", 1.05)),
    "thread_queue_round_trip": ("the same through queues", None),
    "stream_write_64": ("64 B written to a stream", None),
    "stream_read_64": ("64 B read from a stream", None),
    "stream_read_64k": ("64 KiB read from a stream", None),
    "stream_line": ("a line of 64 B read from a stream, of 64 that come together", None),
    "stream_parts": ("two slices written as one", None),
    "file_read_4k": ("read 4 KiB of a file in memory", None),
    "file_read_4k_32": ("the same, 32 at a time; each", None),
    "name_hosts": ("the addresses of localhost", None),
    "name_cached": ("of a name in the cache", None),
    "name_asked": ("of a name that a server is asked for, 32 at a time; each", None),
    "datagram_64": ("a datagram of 64 B by UDP, sent and received", None),
    "datagram_1400": ("the same, 1400 B", None),
    "datagram_1400_cut": ("the same, cut and joined by the kernel", None),
    "spawn_child": ("a child process: start it, await its end", None),
    "spawn_children_50": ("the same, 50 at a time; each", None),
    "debug_yield": ("debug mode: yield", ("raw", 2.0)),
    "debug_spawn_join": ("debug mode: spawn a task and join it", ("raw", 2.0)),
    "debug_queue": ("debug mode: queue of 64, task to task", ("raw", 2.0)),
    "debug_through_pipe": ("debug mode: a byte through a pipe", ("raw", 2.0)),
    "task_resident": ("bytes of a parked task, resident", None),
    "task_slab": ("bytes of a parked task, exactly", 270),
    "sleeper_slab": ("bytes of a sleeping task, exactly", 270),
}
# These pin their own threads; the others get one core.
THREADED = ("post_round_trip", "thread_queue_round_trip")
LIMIT_S = 330  # No round begins that would not end by then.
BEGIN, END = "<!-- begin: perf/compare --only micro --publish -->", "<!-- end -->"


# ---- Running ----


def listed(directory):
    """Every question and contender there is, as (bench, impl, program)."""
    found = []
    for name in sorted(os.listdir(directory)):
        program = os.path.join(directory, name)
        if not os.access(program, os.X_OK) or os.path.isdir(program):
            continue
        listing = subprocess.run([program, "--list"], stdout=subprocess.PIPE, text=True,
                                 check=False)
        if listing.returncode != 0:
            say(f"{name} is left out: it does not start")
            continue
        found += [tuple(line.split()) + (program,) for line in listing.stdout.splitlines()]
    return found


def discover(directory, wanted):
    """Those of `wanted`, which may be None."""
    found = listed(directory)
    there = {impl for _, impl, _ in found}
    for impl, package in COLUMNS.items():
        if impl not in there and impl in (wanted or COLUMNS):
            say(f"{impl} is left out: not built (perf/compare --setup installs {package})")
    return [subject for subject in found if subject[1] in (wanted or there)]


def measure_once(bench, impl, program, options):
    command = [program, bench, impl]
    cores = (options.server_core, options.load_core)[:2 if bench in THREADED else 1]
    watch = Watch(cores)
    status, printed = run_program(pinned(cores, command))
    result = watch.others()
    if status == MISSING:
        return None
    if status != 0:
        say(f"{os.path.basename(program)} {bench} {impl} does not count: it failed with "
            f"{status}")
        return None
    result["disturbed"] = stats.is_disturbed(result, options.disturbed)
    result.update(json.loads(printed))
    return result


def wanted_contenders(options):
    """`raw` is whatever is in that column. None: all there are."""
    if not options.impl:
        return JUDGED if options.judged else None
    return tuple(options.impl) + (RAW if "raw" in options.impl else ())


def wanted_subjects(options):
    found = discover(os.path.join(options.programs, "micro"), wanted_contenders(options))
    benches = options.bench or (QUICK if options.quick else None)
    return [subject for subject in found if benches is None or subject[0] in benches]


def run(options, repeats):
    subjects = wanted_subjects(options)
    benches = list(dict.fromkeys(bench for bench, _, _ in subjects))
    results = []
    start = time.monotonic()
    for round_number in range(options.rounds):
        elapsed = time.monotonic() - start
        if round_number and elapsed + elapsed / round_number > LIMIT_S:
            say(f"{round_number} rounds have taken {elapsed:.0f} s: no more of them")
            break
        for bench in benches:
            for subject in shuffled(subject for subject in subjects if subject[0] == bench):
                result = repeats.best_of(functools.partial(measure_once, *subject, options))
                if result:
                    result.update(kind="micro", cell=bench, round=round_number)
                    results.append(result)
        say(f"round {round_number + 1} of {options.rounds} done")
    return results


# ---- Tables ----


def value(result):
    return result["ns"] if "ns" in result else result["bytes"]


def of(results, bench, impl):
    return [result for result in results if (result["bench"], result["impl"]) == (bench, impl)]


def middle(results):
    return statistics.median(value(result) for result in results)


def figure(number):
    return f"{number:,.1f}" if number < 100 else f"{number:,.0f}"


def best_raw(results, bench):
    """The name of the best of RAW, or None."""
    answers = {impl: middle(of(results, bench, impl)) for impl in RAW if of(results, bench, impl)}
    return min(answers, key=answers.get) if answers else None


def raw_ratio(results, bench):
    """Coil / the best of RAW, paired; the best is chosen by its median, not in each round."""
    raw = best_raw(results, bench)
    if raw is None:
        return None
    mine, theirs = of(results, bench, "coil"), of(results, bench, raw)
    return stats.paired(mine, theirs, "ns" if "ns" in theirs[0] else "bytes")


def goal_cell(results, bench, goal, quick=False):
    mine = of(results, bench, "coil")
    if goal is None or not mine:
        return ""
    if not isinstance(goal, tuple):
        return stats.goal_text(goal, "met" if middle(mine) <= goal else "missed", quick)
    ratio, most = raw_ratio(results, bench), goal[1]
    if ratio is None:
        return ""
    verdict = "met" if ratio[0] <= most else "missed"
    if verdict == "missed" and ratio[0] - (ratio[1] or 0) <= most:
        verdict = "within error"
    error = "" if ratio[1] is None else f" ± {ratio[1]:.2f}"
    said = stats.goal_text(f"raw × {most:.2f}", verdict, quick)
    return f"{said}, {ratio[0]:.2f}{error}"


def side_by_side(results, quick):
    columns = [impl for impl in COLUMNS if any(result["impl"] == impl for result in results)]
    lines = ["| one operation | " + " | ".join(columns) + " | raw | goal |",
             "|---" + "|---:" * (len(columns) + 1) + "|---|"]
    for bench, (label, goal) in ROWS.items():
        if not any(result["bench"] == bench for result in results):
            continue
        cells = [figure(middle(mine)) if mine else ""
                 for mine in (of(results, bench, impl) for impl in columns)]
        raw = best_raw(results, bench)
        cells.append(f"{figure(middle(of(results, bench, raw)))} ({raw})" if raw else "")
        said = goal_cell(results, bench, goal, quick)
        lines.append(f"| {label} | {' | '.join(cells)} | {said} |")
    return lines + [""]


def every_figure(results):
    lines = ["| bench | contender | n | median | min..max | disturbed |",
             "|---|---|---:|---:|---:|---|"]
    for bench, impl in sorted({(result["bench"], result["impl"]) for result in results}, key=place):
        mine = of(results, bench, impl)
        values = [value(result) for result in mine]
        disturbed = sum(result["disturbed"] for result in mine)
        lines.append(f"| {bench} | {impl} | {mine[0]['n']:,} | {figure(middle(mine))} "
                     f"| {figure(min(values))}..{figure(max(values))} "
                     f"| {f'{disturbed} of {len(mine)}' if disturbed else ''} |")
    return lines + [""]


def place(key):
    """Questions in the order of ROWS, the others after them; Coil first in each."""
    bench, impl = key
    benches, impls = list(ROWS), list(COLUMNS)
    return (benches.index(bench) if bench in ROWS else len(benches), bench,
            impls.index(impl) if impl in COLUMNS else len(impls), impl)


def versions(results):
    there = {result["impl"] for result in results}
    named = [f"{impl} {package_version(package)}" for impl, package in COLUMNS.items()
             if impl in there and impl not in ("coil", "asyncio")]
    if "asyncio" in there:
        named.insert(0, f"asyncio of Python {platform.python_version()}")
    return ", ".join(named)


def head(results):
    text = (f"{stats.rounds_text(results)}, interleaved; the median of the rounds, in ns unless it "
            "says bytes.")
    verdict = stats.disturbance(results)
    said = stats.disturbance_text(verdict)
    return f"{text} {f'**{said}**' if verdict['marked'] else said}."


def tables(results, quick=False):
    if not results:
        return []
    peers = versions(results)
    beside = f"Beside Coil: {peers}." if peers else ""
    return (["### Micro-benchmarks", "", head(results), beside, ""] +
            side_by_side(results, quick) +
            ["### Micro-benchmarks, every figure", ""] + every_figure(results))


# ---- Publishing ----


def publish(root, results):
    """The tables into docs/performance.md, between markers; the results beside the programs."""
    path = os.path.join(root, "docs", "performance.md")
    with open(path, encoding="utf-8") as document:
        before, _, rest = document.read().partition(BEGIN)
    if END not in rest:
        raise SystemExit(f"perf: {path} has no {BEGIN} and {END}")
    lines = [f"Measured on {machine()}.", ""] + tables(results)
    with open(path, "w", encoding="utf-8") as document:
        document.write("\n".join([before + BEGIN] + lines) + END + rest.partition(END)[2])
    with open(os.path.join(root, "perf", "micro", "results.json"), "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(result) for result in results) + "\n]\n")
