# SPDX-License-Identifier: MIT
"""The command line of perf/compare, and how long a run will take."""

import argparse

from . import arguments, cells, idle, stats
from .build import RELEASE
from .echo import warmup_s
from .machine import choose_cores
from .open_loop import SECONDS_FACTOR, SHARES

KINDS = ("echo", "churn", "idle", "open", "micro")
QUICK_CELLS = "1x64,50x64,50x4096x16"
START_S = 0.35  # what a fresh server and its end cost, about
IDLE_S, IDLE_PER_S = 1.0, 3000
MICRO_S = 330

DESCRIPTION = """Compares Coil with every peer that is installed; perf/README.md says how, and what
the figures mean. Tables go to stdout."""


def words(text):
    return [word for word in text.split(",") if word]


def kinds(text):
    unknown = set(words(text)) - set(KINDS)
    if unknown:
        raise argparse.ArgumentTypeError(f"not one of {', '.join(KINDS)}: {', '.join(unknown)}")
    return words(text)


def cell_list(text):
    try:
        return cells.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"not CONNECTIONSxBYTES or CONNECTIONSxBYTESxDEPTH, like 50x64x16: {text}") from None


def rate_list(text):
    try:
        rates = [float(word) for word in words(text)]
    except ValueError:
        rates = []
    if not rates or min(rates) <= 0:
        raise argparse.ArgumentTypeError(f"not requests/s, like 50000,100000: {text}")
    return rates


def add_what(parser):
    group = parser.add_argument_group("what")
    group.add_argument("--quick", action="store_true",
                       help="does everything work? Under two minutes; figures good for nothing")
    group.add_argument("--judged", action="store_true",
                       help="only those that Coil has to match: epoll, uring, libuv")
    group.add_argument("--full", action="store_true", help="also 10,000 connections, and 64 KiB")
    group.add_argument("--only", type=kinds, default=list(KINDS), metavar="KIND,...",
                       help=f"some of {','.join(KINDS)}")
    group.add_argument("--cells", type=cell_list, metavar="50x64x16,...",
                       help="connections x bytes [x requests outstanding, or 1] of echo; the twelve "
                            "that are judged")
    group.add_argument("--impl", type=words, metavar="NAME,...",
                       help="only these contenders: coil, epoll, ...; a wrong name lists them")
    group.add_argument("--bench", type=words, metavar="NAME,...",
                       help="only these micro-benchmarks; a wrong name lists them")
    group.add_argument("--server", type=arguments.server, action="append", default=[],
                       metavar="NAME=COMMAND",
                       help="one more server; --port N is appended to its command, and it listens "
                            "on 127.0.0.1:N, sends back what it gets, and ends on SIGTERM")
    group.add_argument("--coil", metavar="PATH",
                       help="Coil's echo server, in place of docs/examples/echo")
    group.add_argument("--thrift", metavar="METHOD", help="Thrift calls instead of echo")


def add_how(parser):
    group = parser.add_argument_group("how")
    group.add_argument("--rounds", type=arguments.count, default=5,
                       help="of echo, churn and micro; idle has fewer: %(default)s")
    group.add_argument("--seconds", type=arguments.positive, default=0.7,
                       help="measured, of one measurement: %(default)s")
    group.add_argument("--warmup", type=arguments.number, default=0.25,
                       help="seconds before that: %(default)s")
    group.add_argument("--open-loop", action="store_true", help="the same as --only open")
    group.add_argument("--open-rounds", type=arguments.count, default=3,
                       help="rounds of open: %(default)s")
    group.add_argument("--rates", type=rate_list, metavar="R,...",
                       help="requests/s of the open loop, instead of 20, 50 and 80 %% of what the "
                            "slowest judged server can do")
    group.add_argument("--fixed", action="store_true",
                       help="equal gaps between the requests of the open loop, not random ones")
    group.add_argument("--idle-connections", type=arguments.count, default=5000,
                       help="of idle: %(default)s")
    group.add_argument("--disturbed", type=arguments.number, default=stats.OTHERS_MAX,
                       metavar="CORES",
                       help="CPU of others that makes a measurement count as disturbed: %(default)s")
    group.add_argument("--seed", type=int, help="of the order in the rounds; another one each time")
    group.add_argument("--build", default=RELEASE,
                       help="the build directory: build/release")
    group.add_argument("--no-build", action="store_true", help="what is there is up to date")
    group.add_argument("--setup", action="store_true",
                       help="first install the peers: deploy/setup --perf")


def add_output(parser):
    group = parser.add_argument_group("output")
    group.add_argument("--publish", action="store_true",
                       help="compare.md, compare.json and plots into docs/performance/, and the "
                            "micro-benchmarks into docs/performance.md; with --only micro, only "
                            "these")
    group.add_argument("--output", type=arguments.output_directory, metavar="DIR",
                       help="the same three into another directory")


def apply_quick(options):
    options.rounds, options.open_rounds = 1, 1
    options.seconds, options.warmup = min(options.seconds, 0.3), 0.1
    options.idle_connections = min(options.idle_connections, 500)
    options.cells = options.cells or cells.parse(QUICK_CELLS)


def refuse_to_publish_less(parser, options):
    """What is published takes the place of what all contenders did in all of it."""
    if options.quick:
        parser.error("the figures of a quick run are good for nothing: --output, not --publish")
    if (options.only not in (["micro"], list(KINDS)) or options.open_loop or options.thrift
            or options.judged or options.impl or options.bench or options.cells):
        parser.error("--publish would replace the whole comparison by this part of it: "
                     "--output DIR, or --only micro for its tables alone")


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=DESCRIPTION)
    add_what(parser)
    add_how(parser)
    add_output(parser)
    options = parser.parse_args(arguments)
    if options.publish:
        refuse_to_publish_less(parser, options)
    if options.quick:
        apply_quick(options)
    if options.open_loop:
        options.only = ["open"]
    options.cells = options.cells or cells.matrix(options.full)
    if options.thrift:
        options.only = [kind for kind in options.only if kind in ("echo", "churn")]
        options.cells = list(dict.fromkeys(cell._replace(size=0) for cell in options.cells))
    options.server_core, options.load_core = choose_cores()
    return options


def estimated_s(options, servers):
    """Without the repetitions of what was disturbed."""
    each = options.seconds + START_S
    total = 0.0
    if "echo" in options.only:
        total += sum(warmup_s(options, cell) + each for cell in options.cells) * options.rounds
    if "churn" in options.only:
        total += (options.warmup + each) * options.rounds
    if "idle" in options.only:
        idle_each = IDLE_S + options.idle_connections / IDLE_PER_S
        total += len(idle.KINDS) * idle_each * min(options.rounds, idle.ROUNDS_MAX)
    if "open" in options.only:
        rates = len(options.rates) if options.rates else 1 if options.quick else len(SHARES)
        open_each = options.warmup + options.seconds * SECONDS_FACTOR + START_S
        total += rates * open_each * options.open_rounds
    total *= servers
    return total + (("micro" in options.only) * (15 if options.quick else MICRO_S))
