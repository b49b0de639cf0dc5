# SPDX-License-Identifier: MIT
"""Which plots a run gives: {file name: SVG}."""

from . import stats, svg, tables
from .open_loop import curve
from .rounds import impls, of
from .servers import in_order

RATIO = "requests per server CPU second, of libuv"


def remark(results, text):
    verdict = stats.disturbance(results)
    said = f"{stats.rounds_text(results)}, {stats.disturbance_text(verdict)}"
    return f"{text}; {said}", verdict["marked"]


def echo_plot(results):
    """Coil and the judged peers beside libuv, in every cell."""
    names = [name for name in in_order(impls(results)) if name in ("coil", "epoll", "uring")]
    groups = []
    for cell in tables.cells_of(results):
        members = {name: tables.ratio_to(results, cell, name, "libuv") for name in names}
        members = {name: ratio for name, ratio in members.items() if ratio}
        if members:
            label = f"{cell.connections:,} | {cell.size_text()} | depth {cell.depth}"
            groups.append((label, members))
    if not groups:
        return None
    text, warning = remark(results, "median of paired ratios ± its standard error")
    return svg.bars("Echo beside libuv, by connections, bytes and depth", text, groups, RATIO,
                    warning=warning)


def peers_plot(results):
    """All servers: the geometric mean over the cells."""
    groups = []
    for name in in_order(impls(results)):
        mean = tables.mean_over_cells(results, name, "libuv")
        if mean and name != "libuv":
            groups.append((name, {name: mean}))
    if not groups:
        return None
    groups.sort(key=lambda group: -next(iter(group[1].values()))[0])
    text, warning = remark(results, f"{len(tables.cells_of(results))} cells, ± standard error")
    return svg.bars("Echo beside libuv: geometric mean over the cells", text, groups, RATIO,
                    warning=warning, legend=False)


def churn_plot(results):
    cell = results[0]["cell"]
    members = [(name, {name: tables.ratio_to(results, cell, name, "libuv")})
               for name in in_order(impls(results)) if name != "libuv"]
    members = [(name, bar) for name, bar in members if bar[name]]
    if not members:
        return None
    text, warning = remark(results, "connect, one request, close")
    return svg.bars("Connection churn beside libuv", text, members,
                    "connections per server CPU second, of libuv", warning=warning, legend=False)


def growth_series(results):
    """CPU of the server per small request, over the number of connections."""
    series = {}
    small = [cell for cell in tables.cells_of(results) if (cell.size, cell.depth) == (64, 1)]
    for name in in_order(impls(results)):
        points = [(cell.connections, tables.cpu_us(of(results, cell, name), "server_cpu_s"))
                  for cell in small if of(results, cell, name)]
        if len(points) > 1:
            series[name] = points
    return series


def growth_plot(results):
    series = growth_series(results)
    if not series:
        return None
    points = [point for line in series.values() for point in line]
    text, warning = remark(results, "echo, 64 B, one request outstanding on each connection")
    return svg.lines("How the cost of a request grows with connections", text, series,
                     svg.log_axis([x for x, _ in points]), svg.log_axis([y for _, y in points]),
                     ("connections", "server CPU per request, µs"), warning)


def open_plot(results, label):
    series = {name: curve(of(results, label, name))
              for name in in_order(impls(of(results, label)))}
    points = [point for line in series.values() for point in line]
    rate = of(results, label)[0]["rate"]
    text, warning = remark(of(results, label), "from when a request was due")
    return svg.lines(f"Latency at {rate:,.0f} requests/s, open loop", text, series,
                     svg.Percentile(max(x for x, _ in points)),
                     svg.log_axis([max(y, 0.1) for _, y in points]),
                     ("requests that waited at most so long", "µs"), warning,
                     marks=False)


OURS = ("echo.svg", "peers.svg", "connections.svg", "churn.svg", "open-1.svg", "open-2.svg",
        "open-3.svg")


def all_plots(results):
    by_kind = {}
    for result in results:
        by_kind.setdefault(result["kind"], []).append(result)
    plots = {}
    if "echo" in by_kind:
        plots["echo.svg"] = echo_plot(by_kind["echo"])
        plots["peers.svg"] = peers_plot(by_kind["echo"])
        plots["connections.svg"] = growth_plot(by_kind["echo"])
    if "churn" in by_kind:
        plots["churn.svg"] = churn_plot(by_kind["churn"])
    for number, label in enumerate(tables.open_labels(by_kind.get("open", [])), 1):
        plots[f"open-{number}.svg"] = open_plot(by_kind["open"], label)
    return {name: plot for name, plot in plots.items() if plot}
