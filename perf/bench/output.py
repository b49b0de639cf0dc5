# SPDX-License-Identifier: MIT
"""The run as Markdown, JSON and SVG."""

import contextlib
import json
import os
import platform

from . import micro, plots, rounds, stats, tables
from .machine import machine, package_version
from .open_loop import curve

PACKAGES = {"uring": "liburing-dev", "libuv": "libuv1-dev", "libevent": "libevent-dev",
            "asio": "libasio-dev", "go": "golang-go", "node": "nodejs",
            "uvloop": "python3-uvloop", "tokio": "librust-tokio-dev"}
KEPT = ("kind", "cell", "impl", "round", "disturbed", "others_cores", "stolen_cores",
        "load_waited_share", "server_waited_share", "connections", "requests", "rate",
        "requests_per_s", "requests_per_server_cpu_s", "server_cpu_s", "load_cpu_s", "p50_us",
        "p99_us", "max_us", "unanswered", "connections_served", "ns", "bytes", "n",
        "anonymous_bytes", "pss_bytes", "base_bytes", "slab_bytes", "tcp_bytes", "processes")


def versions(results):
    named = {name: package_version(PACKAGES[name]) for name in sorted(rounds.impls(results))
             if name in PACKAGES}
    named = {name: version for name, version in named.items() if version}
    return {**named, "python": platform.python_version()}


# ---- JSON ----


def estimate_json(ratio):
    return None if ratio is None else {"median": round(ratio[0], 4), "error":
                                       None if ratio[1] is None else round(ratio[1], 4)}


def echo_summary(results):
    found = []
    for cell in tables.cells_of(results):
        best = tables.judged_against(results, cell)
        ratio = tables.ratio_to_best(results, cell, "coil")
        found.append({"cell": str(cell), "best_peer": best, "of_best": estimate_json(ratio),
                      "verdict": stats.reached(ratio, 1.0),
                      "of": {peer: estimate_json(tables.ratio_to(results, cell, "coil", peer))
                             for peer in sorted(rounds.impls(results) - {"coil"})}})
    return found


def summary(results):
    by_kind = {kind: [result for result in results if result["kind"] == kind]
               for kind in dict.fromkeys(result["kind"] for result in results)}
    found = {}
    if "echo" in by_kind:
        echo = by_kind["echo"]
        found["echo"] = echo_summary(echo)
        found["echo_geometric_means"] = {
            peer: estimate_json(tables.mean_over_cells(echo, "coil", peer))
            for peer in sorted(rounds.impls(echo) - {"coil"})}
    if "churn" in by_kind:
        churn = by_kind["churn"]
        found["churn"] = {
            peer: estimate_json(tables.ratio_to(churn, churn[0]["cell"], "coil", peer))
            for peer in sorted(rounds.impls(churn) - {"coil"})}
    if "open" in by_kind:
        found["open"] = [{"rate": label, "impl": name,
                          "curve_us": curve(rounds.of(by_kind["open"], label, name))}
                         for label in tables.open_labels(by_kind["open"])
                         for name in sorted(rounds.impls(rounds.of(by_kind["open"], label)))]
    return found


def as_json(options, results):
    return {"format": 1, "machine": machine(), "versions": versions(results),
            "disturbance": stats.disturbance(results),
            "options": {"cells": [str(cell) for cell in options.cells],
                        "rounds": options.rounds, "seconds": options.seconds,
                        "warmup": options.warmup, "seed": options.seed, "quick": options.quick,
                        "cores": [options.server_core, options.load_core]},
            "summary": summary(results),
            "results": [{field: result[field] for field in KEPT if field in result}
                        for result in results]}


def value_text(value):
    """A list has each entry on a line of its own."""
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join("  " + json.dumps(entry) for entry in value) + "\n ]"


def json_text(document):
    """One result to a line, so that differences can be read."""
    parts = [f' "{name}": {value_text(value)}' for name, value in document.items()
             if name != "summary"]
    inner = [f'  "{name}": {value_text(value)}' for name, value in document["summary"].items()]
    parts.insert(-1, ' "summary": {\n' + ",\n".join(inner) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


# ---- Markdown ----


def head(options, results):
    verdict = stats.disturbance(results)
    said = stats.disturbance_text(verdict)
    named = ", ".join(f"{name} {version}" for name, version in versions(results).items())
    return ["# Coil beside its peers", "",
            f"Measured on {machine()}; {named}.",
            f"{stats.rounds_text(results)} of {options.seconds:g} s after {options.warmup:g} s of "
            f"warm-up, order seed {options.seed}, server on core {options.server_core}, load on "
            f"core {options.load_core}.",
            (f"**{said}.** {stats.DISTURBED_ADVICE}" if verdict["marked"] else f"{said}.")
            + (" **A quick run: it shows that everything works, its figures are good for nothing.**"
               if options.quick else ""), "",
            "[perf/README.md](../../perf/README.md) says what the figures mean; `perf/compare` "
            "measures them again. A ratio is the median over the rounds of the ratio within a "
            "round, with the standard error of that median.", ""]


def pictures(names, kind):
    prefixes = {"echo": ("echo", "peers", "connections"), "churn": ("churn",), "open": ("open-",)}
    return [f"![{name[:-4]}]({name})\n" for name in names if name.startswith(prefixes.get(kind,
                                                                                          "-"))]


def markdown(options, results, plot_names):
    lines = head(options, results)
    for kind, section in tables.sections(results, options.quick).items():
        lines += section[:2] + pictures(plot_names, kind) + section[2:]
    of_micro = [result for result in results if result["kind"] == "micro"]
    return lines + micro.tables(of_micro, options.quick)


def write(directory, options, results):
    """compare.md, compare.json and the plots; returns the Markdown."""
    drawn = plots.all_plots(results)
    files = {"compare.md": "\n".join(markdown(options, results, list(drawn))).rstrip() + "\n",
             "compare.json": json_text(as_json(options, results)), **drawn}
    os.makedirs(directory, exist_ok=True)
    for name in set(plots.OURS) - set(files):  # Of a run before, which this one does not show.
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(directory, name))
    for name, text in files.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
    return files["compare.md"]
