# SPDX-License-Identifier: MIT
"""Micro-benchmarks, Coil's beside those of its peers: runs the programs, makes the tables.

Every program takes the arguments that perf/micro/measure.h describes. The rounds are interleaved:
in each, every question is put to all contenders in random order, so that a slow minute hits all
alike.
"""

import json
import os
import platform
import random
import statistics
import subprocess
import time

from machine import busy_ticks, own_ticks, pinned, prefer_me, say

# The contenders that have a column, and what installs them.
COLUMNS = {"coil": "", "asyncio": "python3", "asio": "libasio-dev", "go": "golang-go",
           "tokio": "librust-tokio-dev", "libuv": "libuv1-dev", "libevent": "libevent-dev",
           "node": "nodejs"}
RAW = ("eventfd", "msg_ring", "heap", "off", "pread", "io_uring", "posix_spawn")  # The column `raw` is the best of those that answer.

# The questions of the first table: what one operation is, and the goal that Coil has set itself.
ROWS = {
    "lock": ("lock and unlock, nobody else wants it", None),
    "semaphore": ("semaphore: acquire and release", None),
    "event": ("event: set, wait, clear", None),
    "queue": ("queue: put and get, one task", None),
    "queue_64_slots": ("queue of 64: one item, task to task", 60),
    "queue_1_slot": ("queue of 1: one item, task to task", 60),
    "channel_ping_pong": ("channel without buffer: there and back", None),
    "yield": ("yield to another task", 15),
    "spawn_join": ("spawn a task and join it", 60),
    "spawn_join_all": ("the same, 1 M alive at once; each", None),
    "timer_1m": ("timer: arm and cancel, 1 M live", 60),
    "timers_1m": ("1 M timers armed, then cancelled; each", 60),
    "timer_fire_1m": ("timer: fire and arm again, 1 M live", None),
    "post_round_trip": ("thread to thread and back", ("raw", 1.0)),
    "thread_queue_round_trip": ("the same through queues", None),
    "file_read_4k": ("read 4 KiB of a file in memory", None),
    "file_read_4k_32": ("the same, 32 at once; each", None),
    "spawn_child": ("spawn a child and reap it", None),
    "spawn_children_50": ("the same, 50 at once; each", None),
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
DISTURBED_TICKS = 1  # What others may always use: the clock of /proc/stat is that coarse.
REPEATS_MAX = 1
REPEATING_S = 180  # After so long nothing is repeated any more, so that a busy machine sees an end.
LIMIT_S = 330  # No round begins that would not end by then.
BEGIN, END = "<!-- begin: perf/run --only micro --publish -->", "<!-- end -->"


# ---- Running ----


def discover(directory):
    """Every question and contender there is, as (bench, impl, program)."""
    found = []
    for name in sorted(os.listdir(directory)):
        program = os.path.join(directory, name)
        listing = subprocess.run([program, "--list"], stdout=subprocess.PIPE, text=True, check=True)
        found += [tuple(line.split()) + (program,) for line in listing.stdout.splitlines()]
    there = {impl for _, impl, _ in found}
    for impl, package in COLUMNS.items():
        if impl not in there:
            say(f"perf: {impl} is left out: not built (deploy/setup --perf installs {package})")
    return found


def measure_once(bench, impl, program, disturbed_cores):
    command = [program, bench, impl]
    mine_before, all_before, start = own_ticks(), busy_ticks(), time.monotonic()
    done = subprocess.run(command if bench in THREADED else pinned(0, command),
                          preexec_fn=prefer_me, stdout=subprocess.PIPE, text=True, check=False)
    elapsed = time.monotonic() - start
    others_ticks = busy_ticks() - all_before - (own_ticks() - mine_before) - DISTURBED_TICKS
    if done.returncode != 0:
        say(f"perf: {os.path.basename(program)} {bench} {impl} does not count: it failed with "
            f"{done.returncode}")
        return None
    result = json.loads(done.stdout)
    result["others_cores"] = round(max(0.0, others_ticks / os.sysconf("SC_CLK_TCK") / elapsed), 3)
    result["disturbed"] = result["others_cores"] > disturbed_cores
    return result


def measure(bench, impl, program, options):
    """Repeats a disturbed measurement; keeps the least disturbed."""
    best = None
    repeat = not options.quick and time.monotonic() < options.repeat_until
    for _ in range(1 + REPEATS_MAX * repeat):
        result = measure_once(bench, impl, program, options.disturbed)
        if result and (best is None or result["others_cores"] < best["others_cores"]):
            best = result
        if best and not best["disturbed"]:
            break
    return best


def run(directory, options):
    subjects = discover(directory)
    if options.bench:
        subjects = [subject for subject in subjects if subject[0] in options.bench]
    if options.impl:
        subjects = [subject for subject in subjects if subject[1] in options.impl.split(",")]
    benches = list(dict.fromkeys(bench for bench, _, _ in subjects))
    results = []
    start = time.monotonic()
    options.repeat_until = start + REPEATING_S
    for round_number in range(options.rounds):
        elapsed = time.monotonic() - start
        if round_number and elapsed + elapsed / round_number > LIMIT_S:
            say(f"perf: {round_number} rounds have taken {elapsed:.0f} s: no more of them")
            break
        for bench in benches:
            contenders = [subject for subject in subjects if subject[0] == bench]
            random.shuffle(contenders)
            for contender in contenders:
                result = measure(*contender, options)
                if result:
                    result.update(kind="micro", round=round_number)
                    results.append(result)
        say(f"perf: round {round_number + 1} of {options.rounds} done")
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
    """Median over the rounds of Coil / the best of RAW in the same round."""
    ratios = []
    for mine in of(results, bench, "coil"):
        raw = [value(result) for impl in RAW for result in of(results, bench, impl)
               if result["round"] == mine["round"]]
        if raw:
            ratios.append(value(mine) / min(raw))
    return statistics.median(ratios) if ratios else None


def goal_cell(results, bench, goal):
    mine = of(results, bench, "coil")
    if goal is None or not mine:
        return ""
    if isinstance(goal, tuple):
        ratio, most = raw_ratio(results, bench), goal[1]
        if ratio is None:
            return ""
        return f"raw x {most:.2f}: {'met' if ratio <= most + 0.005 else 'missed'}, {ratio:.2f}"
    return f"{goal}: {'met' if middle(mine) <= goal else 'missed'}"


def side_by_side(results):
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
        lines.append(f"| {label} | {' | '.join(cells)} | {goal_cell(results, bench, goal)} |")
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


def package_version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.partition(":")[2] or done.stdout


def versions(results):
    there = {result["impl"] for result in results}
    named = [f"{impl} {package_version(package)}" for impl, package in COLUMNS.items()
             if impl in there and impl not in ("coil", "asyncio")]
    if "asyncio" in there:
        named.insert(0, f"asyncio of Python {platform.python_version()}")
    return ", ".join(named)


def verdict(results):
    disturbed = sum(result["disturbed"] for result in results)
    rounds = 1 + max(result["round"] for result in results)
    text = f"{rounds} rounds, interleaved; the median of the rounds, in ns unless it says bytes."
    if disturbed:
        text += f" Others used the cores during {disturbed} of {len(results)} measurements."
    if disturbed * 10 > len(results):
        text += " **This run was disturbed.**"
    return text


def tables(results):
    if not results:
        return []
    peers = versions(results)
    beside = f"Beside Coil: {peers}." if peers else ""
    return (["### Micro-benchmarks", "", verdict(results), beside, ""] + side_by_side(results) +
            ["### Micro-benchmarks, every figure", ""] + every_figure(results))


# ---- Publishing ----


def publish(root, lines, results):
    """Puts the tables into docs/performance.md, between markers, the results beside the programs."""
    path = os.path.join(root, "docs", "performance.md")
    with open(path, encoding="utf-8") as document:
        before, _, rest = document.read().partition(BEGIN)
    if END not in rest:
        raise SystemExit(f"perf: {path} has no {BEGIN} and {END}")
    with open(path, "w", encoding="utf-8") as document:
        document.write("\n".join([before + BEGIN] + lines) + END + rest.partition(END)[2])
    with open(os.path.join(root, "perf", "micro", "results.json"), "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(result) for result in results) + "\n]\n")
