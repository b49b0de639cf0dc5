# SPDX-License-Identifier: MIT
"""A cell of the matrix: connections x bytes x requests outstanding on each."""

import typing

CONNECTIONS, SIZES, DEPTHS = (1, 50, 1000), (64, 4096), (1, 16)
IN_FLIGHT_MAX_BYTES = 1 << 30  # what all requests of a cell may take together


class Cell(typing.NamedTuple):
    connections: int
    size: int
    depth: int

    def __str__(self):
        return f"{self.connections}x{self.size}x{self.depth}"

    def size_text(self):
        if self.size == 0:
            return "a call"  # of Thrift
        return f"{self.size // 1024} KiB" if self.size >= 1024 else f"{self.size} B"

    def title(self):
        depth = f" × {self.depth}" if self.depth > 1 else ""
        return f"{self.connections} × {self.size_text()}{depth}"

    def in_flight_bytes(self):
        return self.connections * self.size * self.depth


def parse(text):
    """50x64 or 50x64x16, separated by commas."""
    cells = []
    for word in text.split(","):
        parts = [int(part) for part in word.split("x")]
        if len(parts) not in (2, 3) or min(parts) < 1:
            raise ValueError(f"not connections x bytes [x depth]: {word}")
        cells.append(Cell(*(parts + [1])[:3]))
    return cells


def matrix(full=False):
    """The 12 cells that Coil is judged by; with `full` also 10,000 connections and 64 KiB."""
    connections = CONNECTIONS + ((10000,) if full else ())
    sizes = SIZES + ((65536,) if full else ())
    cells = [Cell(*values) for values in
             ((count, size, depth) for depth in DEPTHS for size in sizes for count in connections)]
    return [cell for cell in cells if cell.in_flight_bytes() <= IN_FLIGHT_MAX_BYTES]
