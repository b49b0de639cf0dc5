# SPDX-License-Identifier: MIT
"""The closed loop: echo in each cell, and connection churn."""

from . import rounds
from .cells import Cell

CHURN_CELL = Cell(50, 64, 1)
TO_FILL_BYTES_PER_S = 5e8  # the slowest that all requests of a big cell get under way


def warmup_s(options, cell):
    return options.warmup + min(4.0, cell.in_flight_bytes() / TO_FILL_BYTES_PER_S)


def cell_arguments(options, cell):
    arguments = ["--connections", cell.connections, "--depth", cell.depth]
    return arguments + (["--thrift", options.thrift] if options.thrift else ["--size", cell.size])


def run_echo(options, repeats, servers):
    def once(cell, name, _):
        arguments = cell_arguments(options, cell)
        arguments += ["--warmup", warmup_s(options, cell), "--seconds", options.seconds]
        return rounds.measure(options, repeats, name, servers[name], arguments)

    return rounds.run(options, "echo", options.cells, servers, once)


def run_churn(options, repeats, servers):
    def once(cell, name, _):
        arguments = cell_arguments(options, cell) + ["--churn", "--warmup", options.warmup,
                                                     "--seconds", options.seconds]
        return rounds.measure(options, repeats, name, servers[name], arguments)

    return rounds.run(options, "churn", [CHURN_CELL], servers, once)
