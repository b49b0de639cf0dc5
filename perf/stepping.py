# SPDX-License-Identifier: MIT
"""User-space instructions per request of the servers, counted one by one (perf/step/step.c).

What a server costs besides the kernel. Exact, and the same on a busy machine; only how requests
meet in one turn of a server may vary from run to run, and hardly does.
"""

import bisect
import collections
import json
import os
import struct
import subprocess
import sys

CELLS = {"1 x 64 B": ["--connections", "1"],
         "1 x 64 B, depth 16": ["--connections", "1", "--depth", "16"],
         "1 x 4 KiB": ["--connections", "1", "--size", "4096"],
         "1 x 4 KiB, depth 16": ["--connections", "1", "--size", "4096", "--depth", "16"],
         "50 x 64 B": ["--connections", "50", "--rounds", "5"],
         "50 x 4 KiB": ["--connections", "50", "--size", "4096", "--rounds", "5"],
         "churn, 20": ["--connections", "20", "--churn"]}
SERVERS = {"coil": ("docs", "examples", "echo"), "uring": ("perf", "bin", "echo_uring"),
           "epoll": ("perf", "bin", "echo_epoll"), "libuv": ("perf", "bin", "echo_libuv")}
GOALS = {"uring": 1.15, "libuv": 0.5}  # At most so much of theirs, except for churn.
NAMES = {0: "read", 1: "write", 3: "close", 20: "writev", 44: "sendto", 45: "recvfrom",
         46: "sendmsg", 47: "recvmsg", 54: "setsockopt", 228: "clock_gettime", 232: "epoll_wait",
         233: "epoll_ctl", 281: "epoll_pwait", 288: "accept4", 426: "io_uring_enter"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def servers_of(build, more):
    """The servers by name: those that are built, and those of `NAME=COMMAND`."""
    found = {name: [os.path.join(build, *path), "--port", "PORT"]
             for name, path in SERVERS.items()}
    for spec in more:
        name, _, command = spec.partition("=")
        found[name] = command.split() + ["--port", "PORT"]
    for name in list(found):
        if not os.access(found[name][0], os.X_OK):
            say(f"perf/instructions: {name} is left out: there is no {found[name][0]}")
            del found[name]
    return found


def step(build, server, cell):
    """What perf/step/step.c prints, or None."""
    program = os.path.join(build, "perf", "bin", "step")
    done = subprocess.run([program] + cell + server, stdout=subprocess.PIPE, text=True,
                          check=False, timeout=120)
    return json.loads(done.stdout) if done.returncode == 0 else None


# ---- Whose instruction is it? ----


def load_base(path):
    """Where offset 0 of the first mapping lies in the addresses that symbols have."""
    with open(path, "rb") as file:
        head = file.read(64)
        kind, = struct.unpack_from("<H", head, 16)
        if kind == 3:  # ET_DYN: a library, or position independent.
            return 0
        table, = struct.unpack_from("<Q", head, 32)
        file.seek(table)
        size, count = struct.unpack_from("<HH", head, 54)
        headers = [struct.unpack_from("<IIQQ", file.read(size)) for _ in range(count)]
    return min(header[3] for header in headers if header[0] == 1)


def functions_of(path):
    """Sorted (address, end, name) of an object's functions; of a stripped one, those it exports."""
    for option in ("-nS", "-nSD"):
        listing = subprocess.run(["nm", option, "--defined-only", path], stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, text=True, check=False).stdout
        lines = [line.split() for line in listing.splitlines()]
        found = [(int(line[0], 16), int(line[0], 16) + int(line[1], 16), line[3].partition("@")[0])
                 for line in lines if len(line) == 4 and line[2] in "tTwWiI"]
        if found:
            return found
    return []


def name_of(functions, address):
    """Whose it is; "?" for what has no symbol, in a stripped library or between functions."""
    i = bisect.bisect_right(functions, (address, float("inf"))) - 1
    return functions[i][2] if i >= 0 and address < functions[i][1] else "?"


def by_function(counted):
    """Instructions by (function, object)."""
    totals = collections.Counter()
    for path, places in counted["places"].items():
        if not places:
            continue
        functions = functions_of(path) if os.path.exists(path) else []
        base = load_base(path) if functions else 0
        for offset, count in places:
            totals[name_of(functions, offset + base), os.path.basename(path)] += count
    return totals


def by_line(counted):
    """Instructions by (function, file:line), what was inlined where it was written."""
    totals = collections.Counter()
    for path, places in counted["places"].items():
        if not places or not os.path.exists(path):
            continue
        base = load_base(path)
        asked = "\n".join(hex(offset + base) for offset, _ in places)
        answer = subprocess.run(["addr2line", "-f", "-e", path], input=asked, text=True,
                                stdout=subprocess.PIPE, check=True).stdout.splitlines()
        for (_, count), function, line in zip(places, answer[::2], answer[1::2]):
            place = os.path.basename(line.partition(" ")[0])
            where = os.path.basename(path) if place.startswith("?") else place
            totals[function, where] += count
    return totals


# ---- Printing ----


def syscalls_of(counted):
    return ", ".join(f"{NAMES.get(int(number), number)} {count / counted['requests']:.2f}"
                     for number, count in counted["syscalls"].items())


def lines_of(counted):
    """Lines of the processor's cache that the code of a usual request, and of its turn, lies in."""
    return sum(len({offset // 64 for offset, count in places if 32 * count >= counted["requests"]})
               for places in counted["places"].values())


def print_breakdown(counted, split, least):
    totals = split(counted)
    for (function, where), count in totals.most_common():
        per_request = count / counted["requests"]
        if per_request >= least:
            print(f"{per_request:>14.1f}  {function}  ({where})")


def verdict(figures):
    """How Coil stands to its goals, by cell; True if it keeps them."""
    fine = True
    for cell, row in figures.items():
        for other, limit in GOALS.items():
            if cell.startswith("churn") or "coil" not in row or other not in row:
                continue
            ratio = row["coil"] / row[other]
            fine = fine and ratio <= limit
            print(f"{cell:<20} coil / {other:<6}{ratio:>6.2f}, the goal is {limit:.2f}"
                  f"{'' if ratio <= limit else '  MISSED'}")
    return fine


def nothing_matches(option, text, there):
    say(f"perf/instructions: nothing matches {option} '{text}'; there is: "
        + ", ".join(f"'{name}'" for name in there))
    sys.exit(2)


def wanted_servers(options):
    servers = servers_of(options.build, options.server)
    wanted = options.impl.split(",") if options.impl else list(servers)
    for name in wanted:
        if name not in servers:
            nothing_matches("--impl", name, servers)
    return {name: servers[name] for name in wanted}


def wanted_cells(options):
    found = {name: cell for name, cell in CELLS.items()
             if not options.cell or name.startswith(options.cell)}
    return found or nothing_matches("--cell", options.cell, CELLS)


def count_cell(options, cell, arguments, servers):
    """{server: instructions per request}, each printed as it comes."""
    split = by_line if options.by_line else by_function if options.by_function else None
    figures = {}
    for name, command in servers.items():
        counted = step(options.build, command, arguments)
        if not counted:
            say(f"perf/instructions: {name} does not count: stepping it failed")
            continue
        figures[name] = counted["instructions"] / counted["requests"]
        print(f"{cell:<28}{name:<8}{figures[name]:>10.1f}{lines_of(counted):>7}   "
              f"{syscalls_of(counted)}")
        if split:
            print_breakdown(counted, split, options.least)
    return figures


def save(figures, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=4)
        file.write("\n")


def run(options):
    """The table of all servers and cells, and where the instructions are, if that is asked for.
    True if all were counted, and Coil keeps its goals."""
    if not os.path.exists(os.path.join(options.build, "perf", "bin", "step")):
        sys.exit(f"perf/instructions: {options.build} has no perf/bin/step: "
                 "build it (x86-64 only)")
    servers = wanted_servers(options)
    cells = wanted_cells(options)
    print(f"{'instructions per request':<28}{'':<8}{'user space':>10}  lines   system calls")
    figures = {cell: count_cell(options, cell, arguments, servers)
               for cell, arguments in cells.items()}
    if options.save:
        save(figures, options.save)
    return verdict(figures) and all(len(row) == len(servers) for row in figures.values())
