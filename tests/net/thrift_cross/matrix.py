#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ThriftTest between Coil and Apache Thrift, in both directions, for every transport and protocol.

    matrix.py --coil-server FILE --coil-client FILE [--cpp FILE] [--glib FILE] [--python DIRECTORY]
              [--node MODULES,GENERATED] [--peer NAME] [--check FILE | --table FILE]
              [--only WORDS] [--list] [--jobs N] [--without WORD,...]

Each cell is a server and a client that calls all there is (peer.cc, peer_glib.c, peer.py, peer.js;
cross_calls.c). What a peer cannot do is in LACKS and FAULTS, with the reason, and is not tried, but by
--table, which tries the faults and complains of one that is gone.

    --check FILE    also fails if the table in FILE does not say what is here
    --table FILE    tries everything, and writes the tables into FILE, between the markers
    --without       what this build of Coil does not have: ssl, zlib, http

Exits with 1 if a cell fails, and with 77 and the reason if the peer is not there.
"""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
LIMIT_S = 60  # Of a client: on a machine that is busy, with a peer that starts slowly.
FAULT_LIMIT_S = 5

Cell = collections.namedtuple("Cell", "server client variant transport protocol")

TRANSPORTS = {
    "buffered": ["binary", "compact", "json"],
    "framed": ["binary", "compact", "json"],
    "http": ["binary", "compact", "json"],
    "header": ["header"],
}
VARIANTS = ["TCP", "multiplexed", "zlib", "unix", "TLS"]
NAMES = {"coil": "Coil", "cpp": "C++", "glib": "c_glib", "python": "Python", "node": "Node"}
MISSING = {
    "cpp": "thrift-compiler, libthrift-dev, libevent-dev or libboost-dev",
    "glib": "thrift-compiler or libthrift-c-glib-dev",
    "python": "thrift-compiler or python3-thrift",
    "node": "thrift-compiler, node, or the package `thrift`, which deploy/setup gets by npm",
}


def peer_of(cell):
    return cell.client if cell.server == "coil" else cell.server


def has(peer, **wanted):
    """Whether it is a cell of that peer, and each of its `wanted` is one of the given words."""
    return lambda cell: peer_of(cell) == peer and all(
        getattr(cell, name) in words.split() for name, words in wanted.items())


# What the library does not have.
LACKS = {
    "not tried: with THeader zlib is a transform of each message, not of the connection":
        lambda c: c.transport == "header" and c.variant == "zlib",
    "no JSON, HTTP or THeader in the library": lambda c: peer_of(c) == "glib" and (
        c.protocol in ("json", "header") or c.transport == "http"),
    "no server with TLS in the library": has("glib", server="glib", variant="TLS"),
    "no zlib in the library": has("node", variant="zlib"),
    "not tried by this test": lambda c: c.transport == "http" and (
        has("node", variant="unix multiplexed")(c) or has("python", variant="unix zlib")(c)),
}
# What it has, and what is wrong there; seen with the versions that docs/thrift.md names.
FAULTS = {
    "its zlib transport garbles large binaries, and frames at once, also between two of its own":
        has("glib", variant="zlib"),
    "its client loses its place in large frames by TLS, also of Apache's C++ server":
        has("glib", client="glib", variant="TLS", transport="framed"),
    "its server by HTTP with TLS ends each handshake: it has a TLS context for clients":
        has("python", server="python", variant="TLS", transport="http"),
    "its server answers no THeader, also none of Apache's clients in C++ and Python":
        has("node", server="node", transport="header"),
}
# What works, but for this.
REMARKS = {
    "without oneway calls, whose answer the client does not read before 0.24 (THRIFT-6021)":
        has("cpp", client="cpp", transport="http"),
    "the server does not answer oneway calls: after one, and a second, Coil takes another connection":
        lambda c: c.server in ("cpp", "node") and c.transport == "http",
}


def reason_of(cell, *lists):
    return next((why for one in lists for why, is_it in one.items() if is_it(cell)), None)


def cells(peers):
    pairs = [("coil", "coil")] if "coil" in peers else []
    for peer in peers:
        if peer != "coil":
            pairs += [("coil", peer), (peer, "coil")]
    return [Cell(server, client, variant, transport, protocol)
            for server, client in pairs for transport, protocols in TRANSPORTS.items()
            for protocol in protocols for variant in VARIANTS]


# ---------------------------------------------------------------------------------- running --


def make_keys(directory):
    """An authority, and a server's and a client's certificate of it, under the names of Apache's."""
    def run(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "CA.key", "-out", "CA.pem",
        "-days", "2", "-subj", "/CN=an authority")
    pathlib.Path(directory, "names").write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\n", encoding="utf-8")
    for name in "server", "client":
        run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
            "-subj", "/CN=localhost")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "CA.pem", "-CAkey", "CA.key",
            "-CAcreateserial", "-out", f"{name}.crt", "-days", "2", "-extfile", "names")


class Programs:
    """How each peer is started, as a server and as a client. `place`: a port, or a path."""

    def __init__(self, given, keys):
        self.given = given
        self.keys = keys

    def coil(self, role, cell, place):
        words = [self.given.coil_server if role == "server" else self.given.coil_client,
                 "--keys", self.keys, "--transport", cell.transport]
        words += ["--domain-socket", place] if cell.variant == "unix" else ["--port", place]
        # Python has frames in zlib; the others zlib in frames.
        zlib = "--zlib-around" if cell.server == "python" else "--zlib"
        words += {"TLS": ["--ssl"], "zlib": [zlib]}.get(cell.variant, [])
        named = {"binary": "multi", "compact": "multic", "json": "multij", "header": "multih"}
        is_named = cell.variant == "multiplexed"
        return words + ["--protocol", named[cell.protocol] if is_named else cell.protocol]

    def words(self, role, cell, place):
        """Of peer.cc, peer_glib.c and peer.js, which have the same arguments."""
        more = {"multiplexed": ["multiplexed"], "zlib": ["zlib"], "TLS": [f"ssl={self.keys}"]}
        return [*role, "localhost", place, cell.transport, cell.protocol,
                *more.get(cell.variant, [])]

    def cpp(self, role, cell, place):
        return [self.given.cpp, *self.words([role], cell, place)]

    def glib(self, role, cell, place):
        return [self.given.glib, *self.words([role], cell, place)]

    def node(self, role, cell, place):
        modules, generated = self.given.node.split(",")
        return ["env", f"NODE_PATH={modules}", "node", str(HERE / "peer.js"),
                *self.words([role, modules, generated], cell, place)]

    def python(self, role, cell, place):
        words = [sys.executable, "-W", "ignore", str(HERE / "peer.py"), role, "--host", "localhost",
                 "--keys", self.keys, "--gen", self.given.python,
                 "--transport", cell.transport, "--protocol", cell.protocol]
        words += ["--domain-socket", place] if cell.variant == "unix" else ["--port", place]
        more = {"multiplexed": ["--multiplexed"], "zlib": ["--zlib"], "TLS": ["--ssl"]}
        return words + more.get(cell.variant, [])


def port_of(line):
    """Of "41234", or of "cross_server: at [::]:41234"."""
    digits = line.strip().rpartition(":")[2]
    return digits if digits.isdigit() else "0"


def run_cell(programs, cell, limit_s):
    """What went wrong; "" if nothing has."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "socket")
        start = getattr(programs, cell.server)("server", cell, path if cell.variant == "unix" else "0")
        with subprocess.Popen(start, stdout=subprocess.PIPE, text=True) as server:
            try:
                line = server.stdout.readline()
                if not line:
                    return "the server has not begun"
                place = path if cell.variant == "unix" else port_of(line)
                call = getattr(programs, cell.client)("client", cell, place)
                client = subprocess.run(call, capture_output=True, text=True, errors="replace",
                                        timeout=limit_s, check=False)
                return "" if client.returncode == 0 else client.stderr or f"status {client.returncode}"
            except subprocess.TimeoutExpired:
                return f"nothing for {limit_s} s"
            finally:
                server.kill()


def run_cells(given, chosen):
    """Each of these cells, and what went wrong in it."""
    with tempfile.TemporaryDirectory() as keys:
        if any(cell.variant == "TLS" for cell in chosen):
            make_keys(keys)
        programs = Programs(given, keys)

        def run(cell):
            return run_cell(programs, cell, FAULT_LIMIT_S if reason_of(cell, FAULTS) else LIMIT_S)

        with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
            yield from zip(chosen, pool.map(run, chosen))


def name_of(cell):
    return (f"{NAMES[cell.client]} calls {NAMES[cell.server]}, {cell.variant}, {cell.transport}, "
            f"{cell.protocol}")


# ------------------------------------------------------------------------------- the tables --


def tables_of(peers):
    """A table for each peer, by name; with the reasons below it."""
    return {peer: table_of(peer) for peer in peers}


def table_of(peer):
    notes = []

    def mark_of(cell):
        why = reason_of(cell, LACKS, FAULTS)
        note = why or reason_of(cell, REMARKS)
        if note and note not in notes:
            notes.append(note)
        return ("–" if why else "✓") + (f"<sup>{notes.index(note) + 1}</sup>" if note else "")

    lines = ["| transport | protocol | " + " | ".join(VARIANTS) + " |",
             "|---|---|" + "---|" * len(VARIANTS)]
    rows = collections.defaultdict(lambda: collections.defaultdict(list))
    for cell in cells([peer]):
        rows[cell.transport, cell.protocol][cell.variant].append(mark_of(cell))
    for (transport, protocol), marks in rows.items():
        lines.append(f"| {transport} | {protocol} | " +
                     " | ".join(" ".join(marks[variant]) for variant in VARIANTS) + " |")
    lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))] if notes else []
    return "\n".join(lines) + "\n"


def between(peer):
    return re.compile(rf"(<!-- matrix {peer} -->\n).*?(<!-- end -->)", re.DOTALL)


def write_tables(path, peers):
    text = path.read_text(encoding="utf-8")
    for peer, table in tables_of(peers).items():
        text = between(peer).sub(lambda found, table=table: found[1] + table + found[2], text)
    path.write_text(text, encoding="utf-8")


def is_documented(path, peer):
    found = between(peer).search(path.read_text(encoding="utf-8"))
    return bool(found) and found[0] == f"<!-- matrix {peer} -->\n{table_of(peer)}<!-- end -->"


# ------------------------------------------------------------------------------------- main --


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--coil-server", required=True)
    parser.add_argument("--coil-client", required=True)
    parser.add_argument("--cpp")
    parser.add_argument("--glib")
    parser.add_argument("--python")
    parser.add_argument("--node", help="MODULES,GENERATED")
    parser.add_argument("--peer", choices=NAMES, help="only with this one")
    parser.add_argument("--check", type=pathlib.Path)
    parser.add_argument("--table", type=pathlib.Path)
    parser.add_argument("--only", default="", help="cells whose names have all of these words")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--without", default="")
    return parser.parse_args()


def is_wanted(given, cell):
    without = given.without.split(",")
    absent = ("zlib" in without and cell.variant == "zlib" or
              "http" in without and cell.transport == "http" or
              cell.variant == "TLS" and ("ssl" in without or not shutil.which("openssl")))
    return (not absent and not reason_of(cell, LACKS) and
            (given.table or not reason_of(cell, FAULTS)) and
            all(word in name_of(cell) for word in given.only.split()))


def complaint_of(cell, why):
    """What there is to say about the outcome of a cell; ""."""
    fault = reason_of(cell, FAULTS)
    if why and not fault:
        return f"FAILED {name_of(cell)}: {why.strip()[-400:]}"
    return f"works again: {name_of(cell)}, although {fault}" if fault and not why else ""


def loads(*command):
    """Whether an interpreter is there, and the library that it is told to load."""
    return bool(shutil.which(command[0])) and subprocess.run(
        command, check=False, capture_output=True).returncode == 0


def peers_of(given):
    there = ["coil"] + [name for name in MISSING if getattr(given, name)]
    if given.python and not loads(sys.executable, "-c", "import thrift, six"):
        there.remove("python")
    if given.node and not loads("node", "-e", f"require('{given.node.split(',')[0]}/thrift')"):
        there.remove("node")
    return there


def main():
    given = read_arguments()
    there = peers_of(given)
    if given.peer and given.peer not in there:
        print(f"{NAMES[given.peer]} is left out: no {MISSING[given.peer]}")
        return 77
    peers = [given.peer] if given.peer else there
    chosen = [cell for cell in cells(peers) if is_wanted(given, cell)]
    if given.list:
        print("\n".join(map(name_of, chosen)))
        return 0
    passed = 0
    complaints = 0
    for cell, why in run_cells(given, chosen):
        passed += why == ""
        if words := complaint_of(cell, why):
            complaints += 1
            print(words, flush=True)
    print(f"{passed} of {len(chosen)} cells passed")
    for peer in peers:
        if given.check and not is_documented(given.check, peer):
            complaints += 1
            print(f"{given.check.name} has another table of {NAMES[peer]}: `ninja thrift_matrix`")
    if given.table and not complaints:
        write_tables(given.table, peers)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
