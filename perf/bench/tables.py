# SPDX-License-Identifier: MIT
"""The results as Markdown tables."""

import statistics

from . import cells, stats
from .idle import FIRST, KINDS
from .open_loop import curve
from .rounds import impls, of
from .servers import JUDGED, in_order

# What Coil has set itself: the geometric mean over the cells, relative to each peer.
MEAN_GOALS = {"libuv": 1.08, "asio": 1.2, "asio_uring": 1.2, "go": 1.35, "asyncio": 1.5,
              "uvloop": 1.5}
CHURN_GOAL = 1.12  # of libuv
IDLE_GOAL_BYTES = 270
IDLE_TEXT = """Bytes per connection, of {count:,}; server processes: {processes}. First the server's
own memory (anonymous, and PSS, which has its share of mapped files), for connections that never
said anything and for those that had one request answered; *base* is all of a process that has
served {first} others before. The last two columns are the kernel's, slab and TCP buffers of the
*whole machine*: both ends of each connection are in them, and whatever else happened."""


def median(results, field):
    return statistics.median(result[field] for result in results)


def ratio_text(ratio):
    if ratio is None:
        return ""
    value, error = ratio
    return f"{value:.2f}" if error is None else f"{value:.2f} ± {error:.2f}"


def table(columns, rows):
    """`columns` are titles; one that begins with "<" is text, the others are figures."""
    titles = [column.lstrip("<") for column in columns]
    marks = ["---" if column.startswith("<") else "---:" for column in columns]
    lines = ["| " + " | ".join(titles) + " |", "|" + "|".join(marks) + "|"]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows] + [""]


# ---- Echo and churn ----


def judged(results, cell):
    return {name: of(results, cell, name) for name in JUDGED}


def judged_against(results, cell):
    """The name of the best judged peer of a cell, by its median over the run."""
    return stats.best(judged(results, cell))


def ratio_to_best(results, cell, name):
    """Beside the best judged peer of a cell; None without any."""
    return stats.paired_with_best(of(results, cell, name), judged(results, cell))


def ratio_to(results, cell, name, peer):
    """None without the peer."""
    if peer is None:
        return None
    return stats.paired(of(results, cell, name), of(results, cell, peer))


def mean_over_cells(results, name, peer):
    ratios = [ratio_to(results, cell, name, peer) for cell in cells_of(results)]
    return stats.geometric_mean([ratio for ratio in ratios if ratio])


def mean_of_best(results):
    """Coil beside the best judged peer of each cell."""
    ratios = [ratio_to_best(results, cell, "coil") for cell in cells_of(results)]
    return stats.geometric_mean([ratio for ratio in ratios if ratio])


def cells_of(results):
    """As (connections, bytes, depth), in the order of the matrix."""
    found = {cells.parse(result["cell"])[0] for result in results}
    return sorted(found, key=lambda cell: (cell.depth, cell.size, cell.connections))


def cpu_us(results, field):
    """CPU of the server or of the load generator per request."""
    return statistics.median(result[field] / result["requests"] for result in results
                             if result["requests"]) * 1e6


def notes(mine, connections):
    found = []
    if sum(result["load_bound"] for result in mine) * 2 > len(mine):
        found.append("load-bound")
    disturbed = sum(result["disturbed"] for result in mine)
    if disturbed:
        found.append(f"disturbed {disturbed} of {len(mine)}")
    served = median(mine, "connections_served")
    if served < connections:
        found.append(f"served {served:.0f}")
    return ", ".join(found)


def server_row(results, cell, name):
    mine = of(results, cell, name)
    speeds = [result[stats.JUDGED] for result in mine]
    return [name, f"{statistics.median(speeds):,.0f}", f"{min(speeds):,.0f}..{max(speeds):,.0f}",
            ratio_text(ratio_to(results, cell, name, "libuv")),
            ratio_text(ratio_to_best(results, cell, name)),
            f"{cpu_us(mine, 'server_cpu_s'):.2f}", f"{cpu_us(mine, 'load_cpu_s'):.2f}",
            f"{median(mine, 'requests_per_s'):,.0f}", f"{median(mine, 'p50_us'):,.1f}",
            f"{median(mine, 'p99_us'):,.1f}", f"{median(mine, 'server_cpu_share'):.2f}",
            f"{median(mine, 'load_cpu_share'):.2f}", notes(mine, cell.connections)]


def cell_table(results, cell):
    columns = ["<server", "requests per server CPU s", "min..max", "of libuv",
               "of the best", "server µs", "load µs", "requests/s", "p50 µs", "p99 µs",
               "server core", "load core", "<"]
    names = in_order(impls(of(results, cell)))
    return table(columns, [server_row(results, cell, name) for name in names])


def echo_judgement(results, quick):
    """One line for each cell: the figures that the project is judged by."""
    rows = []
    for cell in cells_of(results):
        best = judged_against(results, cell)
        if not best or not of(results, cell, "coil"):
            continue
        ratio = ratio_to_best(results, cell, "coil")
        mine = of(results, cell, "coil")
        verdict = "" if quick else stats.reached(ratio, 1.0)
        rows.append([cell.title(), ratio_text(ratio_to(results, cell, "coil", "libuv")), best,
                     ratio_text(ratio), verdict,
                     f"{cpu_us(mine, 'server_cpu_s'):.2f}", f"{cpu_us(mine, 'load_cpu_s'):.2f}",
                     notes(mine, cell.connections)])
    return table(["<connections × bytes × depth", "Coil of libuv", "<best peer", "Coil of the best",
                  "<at least 1.00", "server µs", "load µs", "<"], rows) if rows else []


def echo_means(results, quick):
    """The goals are of all judged cells: a part of them is not judged."""
    is_judged = not quick and set(cells.matrix()) <= set(cells_of(results))
    rows = [["the best of each cell", ratio_text(mean_of_best(results)), "", ""]]
    for peer in in_order(impls(results) - {"coil"}):
        mean, goal = mean_over_cells(results, "coil", peer), MEAN_GOALS.get(peer)
        of_libuv = mean_over_cells(results, peer, "libuv")
        said = stats.goal_text(goal, stats.reached(mean, goal), not is_judged) if goal else ""
        rows.append([peer, ratio_text(mean), said, ratio_text(of_libuv)])
    return table(["<peer", "Coil of it", "<goal", "it of libuv"], rows)


def echo_section(results, quick):
    lines = ["## Echo", ""]
    judgement = echo_judgement(results, quick)
    if judgement:
        lines += ["### Coil beside the best of libuv, epoll and io_uring", ""] + judgement
    if "coil" in impls(results):
        lines += ["### Geometric means over the cells", ""] + echo_means(results, quick)
    for cell in cells_of(results):
        lines += [f"### {cell.title()}", ""] + cell_table(results, cell)
    return lines


def churn_section(results, quick):
    how = results[0]
    source = (f"closed with FIN, from {how['sources']} addresses in turn" if how["close"] == "fin"
              else "closed with RST")
    ratio = ratio_to(results, how["cell"], "coil", "libuv")
    lines = ["## Connection churn", "",
             f"Connect, one request of {how['message_bytes']} B, close; {how['connections']} at a "
             f"time, {source}. A request here is such a connection, its latency that of all of it.",
             ""]
    lines += cell_table(results, cells_of(results)[0])
    if ratio:
        said = stats.goal_text(CHURN_GOAL, stats.reached(ratio, CHURN_GOAL), quick)
        lines += [f"Coil of libuv: {ratio_text(ratio)}; the goal is {said}.", ""]
    return lines


# ---- Idle connections ----


def idle_row(results, name):
    row = [name, f"{median(of(results, impl=name), 'base_bytes') / 1024:,.0f}"]
    for kind in KINDS:
        mine = of(results, kind, name)
        row += [f"{median(mine, field):,.0f}" if mine else ""
                for field in ("anonymous_bytes", "pss_bytes")]
    kernel = of(results, "silent", name)
    return row + [f"{median(kernel, field):,.0f}" if kernel else ""
                  for field in ("slab_bytes", "tcp_bytes")]


def idle_section(results, quick):
    count = results[0]["connections"]
    lines = ["## Idle connections", "", IDLE_TEXT.format(
        count=count, processes=results[0]["processes"], first=FIRST), ""]
    columns = ["<server", "base, KiB", "silent: anonymous", "PSS", "after a request: anonymous",
               "PSS", "machine: slab", "machine: TCP buffers"]
    lines += table(columns, [idle_row(results, name) for name in in_order(impls(results))])
    mine = of(results, "silent", "coil")
    if mine:
        value = median(mine, "anonymous_bytes")
        verdict = "met" if value <= IDLE_GOAL_BYTES else "missed"
        said = stats.goal_text(IDLE_GOAL_BYTES, verdict, quick)
        lines += [f"Coil: {value:,.0f}; the goal is {said}.", ""]
    return lines


# ---- Open loop ----


def open_labels(results):
    return sorted({result["cell"] for result in results},
                  key=lambda label: of(results, label)[0]["rate"])


def curve_at(points, share):
    found = [value for at, value in points if at == share]
    return f"{found[0]:,.1f}" if found else ""


def open_row(results, label, name):
    mine = of(results, label, name)
    points = curve(mine)
    unanswered = sum(result["unanswered"] for result in mine)
    remarks = [f"{unanswered:,} not answered in time"] if unanswered else []
    disturbed = sum(result["disturbed"] for result in mine)
    remarks += [f"disturbed {disturbed} of {len(mine)}"] if disturbed else []
    return [name] + [curve_at(points, share) for share in (.5, .9, .99, .999)] + [
        f"{max(result['max_us'] for result in mine):,.0f}",
        f"{cpu_us(mine, 'server_cpu_s'):.2f}", ", ".join(remarks)]


def open_section(results, _quick):
    how = results[0]
    lines = ["## Open loop", "",
             f"{how['connections']} connections, {how['message_bytes']} B, {how['arrivals']} "
             "arrivals. Latencies in µs from when a request was *due*, so that a server that "
             "stalls shows for how long; all rounds together. On a machine with few cores the "
             "tails are mostly time slices of other processes.", ""]
    for label in open_labels(results):
        rate = of(results, label)[0]["rate"]
        lines += [f"### {rate:,.0f} requests/s ({label})", ""]
        names = in_order(impls(of(results, label)))
        lines += table(["<server", "p50", "p90", "p99", "p99.9", "max", "server µs of CPU", "<"],
                       [open_row(results, label, name) for name in names])
    return lines


SECTIONS = {"echo": echo_section, "churn": churn_section, "idle": idle_section,
            "open": open_section}


def sections(results, quick=False):
    """{kind: lines} of those that were measured; a quick run is not judged. Micro-benchmarks have tables of their own."""
    found = {}
    for kind, section in SECTIONS.items():
        mine = [result for result in results if result["kind"] == kind]
        if mine:
            found[kind] = section(mine, quick)
    return found
