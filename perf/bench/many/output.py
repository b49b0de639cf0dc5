# SPDX-License-Identifier: MIT
"""The growth curves as Markdown, JSON and SVG."""

import json
import os
import statistics

from .. import svg
from ..machine import machine
from ..stats import OTHERS_MAX
from ..tables import IDLE_GOAL_BYTES, table

TIMER_BENCHES = ("timer_hot", "timer_each", "timer_fire")
TASK_BENCHES = ("spawn_join", "spawn_each", "yield_one", "yield_each")
EXPLAINED = {
    "timer_hot": "arm and disarm one", "timer_each": "arm and disarm each, per timer",
    "timer_fire": "fire, and arm again", "spawn_join": "spawn and join one",
    "spawn_each": "spawn and end each, per task", "yield_one": "one yields",
    "yield_each": "each yields, per task", "timer_bytes": "memory of a timer",
    "task_bytes": "memory of a task that sleeps"}


def median(results, field):
    values = [result[field] for result in results if result.get(field) is not None]
    return statistics.median(values) if values else None


def spread(results, field):
    values = [result[field] for result in results]
    return f"{min(values):,.2f}..{max(values):,.2f}"


def of(results, **wanted):
    return [result for result in results
            if all(result.get(name) == value for name, value in wanted.items())]


def values(results, field):
    return list(dict.fromkeys(result[field] for result in results))


def figure(value, digits=2):
    return "" if value is None else f"{value:,.{digits}f}"


# ---- Sections ----


def loops_section(results, _quick):
    lines = ["## A server on several processors", "",
             "Echo, 64 B, one request outstanding per connection. CPU is the server's per request, "
             "kernel included: the figure to compare. Max/mean says how uneven the loops are: 1 is "
             "even. Where the load runs on the server's cores, requests/s says nothing.", ""]
    rows = []
    for count in sorted(values(results, "loops")):
        for connections in sorted(values(results, "connections")):
            for name in values(results, "impl"):
                mine = of(results, loops=count, connections=connections, impl=name)
                if mine:
                    rows.append([f"{count} loops, {connections} connections: {name}",
                                 figure(median(mine, "cpu_us")), spread(mine, "cpu_us"),
                                 figure(median(mine, "requests_per_s"), 0)
                                 + (" (shared)" if mine[0]["shared_cores"] else ""),
                                 figure(median(mine, "connections_max_over_mean")),
                                 figure(median(mine, "requests_max_over_mean"))])
    return lines + table(["<", "CPU µs per request", "min..max", "requests/s",
                          "connections max/mean", "requests max/mean"], rows)


def connections_section(results, _quick):
    lines = ["## What a request costs, with more and more connections", "",
             "Echo, 64 B, one request outstanding on every connection, one loop. Memory is what "
             "the server has more than before the first connection, while all are busy.", "",
             "![connections](scale-connections.svg)", ""]
    rows = []
    for count in sorted(values(results, "connections")):
        for name in values(results, "impl"):
            mine = of(results, connections=count, impl=name)
            if mine:
                rows.append([f"{count:,} connections: {name}", figure(median(mine, "cpu_us")),
                             spread(mine, "cpu_us"), figure(median(mine, "requests_per_s"), 0),
                             figure(median(mine, "bytes"), 0) if count >= 1000 else ""])
    return lines + table(["<", "CPU µs per request", "min..max", "requests/s",
                          "bytes per connection"], rows)


def part_rows(result):
    """What an idle connection of Coil's is made of."""
    rows = [[f"allocated: {name}", figure(size, 1)] for name, size in result["allocated"].items()]
    rows.append(["allocated, together", figure(result["allocated_bytes"], 1)])
    task = result.get("task")
    if task:
        rows.append(["in a task: all of it", figure(task["bytes"], 0)])
        rows.append(["in a task: coil_task", figure(task["head_bytes"], 0)])
        rows += [[f"in a task: frame of {frame['name']}", figure(frame["bytes"], 0)]
                 for frame in task["frames"]]
    return rows


def kernel_words(result):
    caches = ", ".join(f"{name} {size:,}" for name, size in result["kernel_caches"].items())
    return f"{result['kernel_bytes']:,}" + (f" ({caches})" if caches else "")


def million(result):
    user, kernel = result["bytes"], result["kernel_bytes"]
    return [f"A million would take {user * 1e6 / 2 ** 30:,.2f} GiB of ours and "
            f"{kernel * 1e6 / 2 ** 30:,.1f} GiB of the kernel's, both ends together. The command, "
            "and what the machine has to allow, are in "
            "[perf/README.md](../../perf/README.md#a-million-connections).", ""]


def idle_section(results, quick):
    lines = ["## What a silent connection costs", "",
             "Each is a task that waits in `coil_read_some()`. *Ours* is the slope of the server's "
             "anonymous memory, from the first thousand connections on. *The kernel's* is what the "
             "whole machine has more, for both ends of the connection: client sockets, too. Its "
             "largest caches are named.", "", "![memory](scale-memory.svg)", ""]
    rows = [[result["impl"], f"{result['connections']:,}", str(result["processes"]),
             figure(result["bytes"], 0), kernel_words(result)] for result in results]
    lines += table(["<", "connections", "processes", "ours, bytes", "the kernel's, bytes"], rows)
    own = [result for result in results if result["impl"] == "coil"]
    if own:
        verdict = "reached" if own[-1]["bytes"] <= IDLE_GOAL_BYTES else "not reached"
        goal = f"The goal is at most {IDLE_GOAL_BYTES} bytes; a quick run is not judged."
        lines += [goal if quick else
                  f"The goal of at most {IDLE_GOAL_BYTES} bytes is **{verdict}**: "
                  f"{own[-1]['bytes']:,.0f}.", ""]
        detailed = [result for result in own if "allocated" in result]
        if detailed:
            lines += ["What it is made of, in bytes per connection; malloc's own 8 per block are "
                      "in:", ""] + table(["<", "bytes"], part_rows(detailed[-1]))
        lines += million(own[-1])
    return lines


def live_section(results, _quick):
    lines = ["## Timers and tasks", "",
             "Nanoseconds per operation, the best of three in a process, the median of the rounds.",
             "", "![timers](scale-timers.svg)", "", "![tasks](scale-tasks.svg)", ""]
    counts = sorted(values(results, "live"))
    rows = []
    for bench in values(results, "bench"):
        unit = "bytes" if bench.endswith("_bytes") else "ns"
        rows.append([f"{EXPLAINED[bench]} ({bench}), {unit}"]
                    + [figure(median(of(results, bench=bench, live=count), unit), 1)
                       for count in counts])
    return lines + table(["<that live:"] + [f"{count:,}" for count in counts], rows)


SECTIONS = {"loops": loops_section, "connections": connections_section, "idle": idle_section,
            "live": live_section}


def markdown(options, results):
    busy = [result["others_cores"] for result in results if "others_cores" in result]
    disturbed = sum(share > OTHERS_MAX for share in busy)
    said = (f"{disturbed} of {len(busy)} measurements were disturbed: others used more than "
            f"{OTHERS_MAX} of a core meanwhile." if busy else "")
    lines = ["# How Coil grows", "", f"Measured on {machine()}; {options.rounds} rounds of "
             f"{options.seconds:g} s. {said}"
             + (" **A quick run: its figures are good for nothing.**" if options.quick else ""), "",
             "`perf/scale` measures this again; [perf/README.md](../../perf/README.md) says how.",
             ""]
    for kind, section in SECTIONS.items():
        mine = of(results, kind=kind)
        if mine:
            lines += section(mine, options.quick)
    return "\n".join(lines).rstrip() + "\n"


# ---- Plots ----


def growth(title, remark, series, labels):
    points = [point for line in series.values() for point in line]
    if not points:
        return None
    return svg.lines(title, remark, series, svg.log_axis([x for x, _ in points]),
                     svg.log_axis([max(y, 0.1) for _, y in points]), labels)


def connections_plot(results):
    series = {name: [(count, median(of(results, impl=name, connections=count), "cpu_us"))
                     for count in sorted(values(of(results, impl=name), "connections"))]
              for name in values(results, "impl")}
    return growth("CPU of a request, with more and more connections",
                  "echo, 64 B, one request outstanding on each", series,
                  ("connections", "server CPU per request, µs"))


def memory_plot(results):
    series = {}
    for result in results:
        if "curve" in result:
            series[result["impl"]] = [tuple(point) for point in result["curve"]]
    return growth("Memory of a server with silent connections", "anonymous memory of the process",
                  series, ("connections", "bytes"))


def live_plot(results, benches, title):
    series = {bench: [(count, median(of(results, bench=bench, live=count), "ns"))
                      for count in sorted(values(of(results, bench=bench), "live"))]
              for bench in benches if of(results, bench=bench)}
    return growth(title, "one core", series, ("that live", "ns"))


def plots(results):
    drawn = {"scale-connections.svg": connections_plot(of(results, kind="connections")),
             "scale-memory.svg": memory_plot(of(results, kind="idle")),
             "scale-timers.svg": live_plot(of(results, kind="live"), TIMER_BENCHES, "Timers"),
             "scale-tasks.svg": live_plot(of(results, kind="live"), TASK_BENCHES, "Tasks")}
    return {name: text for name, text in drawn.items() if text}


# ---- Files ----


def as_json(options, results):
    head = json.dumps({"format": 1, "machine": machine(),
                       "options": {"rounds": options.rounds, "seconds": options.seconds,
                                   "quick": options.quick}}, indent=1)
    lines = ",\n".join("  " + json.dumps(result) for result in results)
    return head[:-2] + ',\n "results": [\n' + lines + "\n ]\n}\n"


def write(directory, options, results):
    files = {"scale.md": markdown(options, results), "scale.json": as_json(options, results),
             **plots(results)}
    os.makedirs(directory, exist_ok=True)
    for name, text in files.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
