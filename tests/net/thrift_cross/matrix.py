#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ThriftTest between Coil and Apache Thrift, in both directions, for every transport and protocol.

    matrix.py --coil-server FILE --coil-client FILE --python DIRECTORY --cpp FILE
              --node MODULES,GENERATED [--table FILE] [--only WORD] [--list]

Each cell is a server of its own, or Coil's one, and a client that calls all there is (peer.py,
peer.cc, peer.js, cross_calls.c). Exits with 1 if a cell fails that is not among the known faults of others,
and with 77 if there is nobody to talk to. --table writes the matrix as Markdown.
"""
import argparse
import collections
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
LIMIT_S = 20

Cell = collections.namedtuple("Cell", "server client place transport protocol multiplexed zlib")

TRANSPORTS = {
    "buffered": ["binary", "compact", "json"],
    "framed": ["binary", "compact", "json"],
    "http": ["binary", "compact", "json"],
    "header": ["header"],
}
PLACES = ["ip", "unix", "ssl"]
NAMES = {"coil": "Coil", "cpp": "C++", "python": "Python", "node": "Node", "glib": "c_glib"}

# Pairs that others cannot be, and why. Everything else has to work.
FAULTS = {
    "the client does not read the answer to a oneway call (THRIFT-6021)":
        lambda c: c.transport == "http" and c.client == "cpp",
    "the server does not answer a oneway call":
        lambda c: c.transport == "http" and c.server == "cpp",
    "the server loses what arrives in pieces; C++ clients wait as long":
        lambda c: c.transport in ("buffered", "framed") and c.server == "node",
}


def is_possible(cell):
    """Whether the libraries have it at all."""
    if cell.transport == "http" and cell.place != "ip" and "python" in cell:
        return False
    if cell.transport == "http" and cell.place == "unix" and "cpp" in cell:
        return False
    if "node" in cell and (cell.zlib or (cell.transport == "http" and (
            cell.place == "unix" or cell.multiplexed))):
        return False
    if cell.zlib and (cell.transport != "buffered" or cell.place != "ip" or cell.multiplexed):
        return False
    if cell.multiplexed and cell.place != "ip":
        return False
    return True


def cells(peers):
    for server in ["coil", *peers]:
        for client in (["coil", *peers] if server == "coil" else ["coil"]):
            for place in PLACES:
                for transport, protocols in TRANSPORTS.items():
                    for protocol in protocols:
                        for multiplexed, zlib in (False, False), (True, False), (False, True):
                            cell = Cell(server, client, place, transport, protocol, multiplexed, zlib)
                            if is_possible(cell):
                                yield cell


def make_keys(directory):
    """An authority, and a server's and a client's certificate of it, under the names of Apache's."""
    def run(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "CA.key", "-out", "CA.pem",
        "-days", "2", "-subj", "/CN=an authority")
    pathlib.Path(directory, "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in "server", "client":
        run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
            "-subj", "/CN=localhost")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "CA.pem", "-CAkey", "CA.key",
            "-CAcreateserial", "-out", f"{name}.crt", "-days", "2", "-extfile", "names")


class Programs:
    """How each peer is started, as a server and as a client."""

    def __init__(self, given, directory):
        self.given = given
        self.directory = directory

    def socket(self):
        return f"{self.directory}/socket"

    def coil(self, program, cell, port):
        words = [program, "--port", str(port), "--keys", self.directory]
        if cell.place == "unix":
            words += ["--domain-socket", self.socket()]
        if cell.place == "ssl":
            words.append("--ssl")
        if cell.zlib:
            words.append("--zlib")
        named = {"binary": "multi", "compact": "multic", "json": "multij", "header": "multih"}
        protocol = named[cell.protocol] if cell.multiplexed else cell.protocol
        return words + ["--transport", cell.transport, "--protocol", protocol]

    def cpp(self, role, cell, port):
        place = self.socket() if cell.place == "unix" else str(port)
        words = [self.given.cpp, role, "localhost", place, cell.transport, cell.protocol]
        return words + [word for word, is_on in (
            ("multiplexed", cell.multiplexed), ("zlib", cell.zlib),
            (f"ssl={self.directory}", cell.place == "ssl")) if is_on]

    def python(self, role, cell, port):
        words = ["/usr/bin/python3", str(HERE / "peer.py"), role, "--host", "localhost",
                 "--port", str(port), "--keys", self.directory, "--gen", self.given.python,
                 "--transport", cell.transport, "--protocol", cell.protocol]
        if cell.place == "unix":
            words += ["--domain-socket", self.socket()]
        return words + [word for word, is_on in (
            ("--multiplexed", cell.multiplexed), ("--zlib", cell.zlib),
            ("--ssl", cell.place == "ssl")) if is_on]

    def node(self, role, cell, port):
        place = self.socket() if cell.place == "unix" else str(port)
        words = ["node", str(HERE / "peer.js"), role, *self.given.node.split(","), "localhost", place,
                 cell.transport, cell.protocol]
        return words + [word for word, is_on in (
            ("multiplexed", cell.multiplexed), (f"ssl={self.directory}", cell.place == "ssl")) if is_on]

    def server(self, cell):
        if cell.server == "coil":
            return self.coil(self.given.coil_server, cell, 0)
        return getattr(self, cell.server)("server", cell, 0)

    def client(self, cell, port):
        if cell.client == "coil":
            return self.coil(self.given.coil_client, cell, port)
        return getattr(self, cell.client)("client", cell, port)


def port_of(line):
    """Of "41234", or of "cross_server: at [::]:41234"."""
    digits = line.strip().rpartition(":")[2]
    return int(digits) if digits.isdigit() else 0


def run_cell(programs, cell):
    """What went wrong; "" if nothing has."""
    if os.path.exists(programs.socket()):
        os.unlink(programs.socket())
    server = subprocess.Popen(programs.server(cell), stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        if not line:
            return "the server has not begun"
        client = subprocess.run(programs.client(cell, port_of(line)), capture_output=True,
                                text=True, errors="replace", timeout=LIMIT_S, check=False)
        return "" if client.returncode == 0 else client.stderr or f"status {client.returncode}"
    except subprocess.TimeoutExpired:
        return f"nothing for {LIMIT_S} s"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def fault_of(cell):
    """Why it need not work; None if it has to."""
    return next((why for why, is_it in FAULTS.items() if is_it(cell)), None)


def name_of(cell):
    words = [f"{NAMES[cell.server]} serves {NAMES[cell.client]}", cell.place, cell.transport,
             cell.protocol]
    return ", ".join(words + ["multiplexed"] * cell.multiplexed + ["zlib"] * cell.zlib)


def table_of(results):
    """Rows: transport, protocol; columns: who serves whom; in each how many passed of how many."""
    pairs = list(dict.fromkeys((cell.server, cell.client) for cell in results))
    lines = ["| transport | protocol | " + " | ".join(
        f"{NAMES[server]} ← {NAMES[client]}" for server, client in pairs) + " |",
        "|---|---|" + "---|" * len(pairs)]
    for transport, protocols in TRANSPORTS.items():
        for protocol in protocols:
            row = []
            for pair in pairs:
                chosen = {c: why for c, why in results.items() if (c.server, c.client) == pair and
                          (c.transport, c.protocol) == (transport, protocol)}
                passed = sum(why == "" for why in chosen.values())
                row.append(f"{passed}/{len(chosen)}" if chosen else "–")
            lines.append(f"| {transport} | {protocol} | " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--coil-server", required=True)
    parser.add_argument("--coil-client")
    parser.add_argument("--python")
    parser.add_argument("--cpp")
    parser.add_argument("--node", help="MODULES,GENERATED")
    parser.add_argument("--table")
    parser.add_argument("--only", default="", help="cells whose name has this in it")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    peers = [name for name in ("cpp", "python", "node") if getattr(given, name)]
    results = {}
    unexpected = 0
    with tempfile.TemporaryDirectory() as directory:
        make_keys(directory)
        programs = Programs(given, directory)
        for cell in cells(peers):
            if given.only not in name_of(cell) or (
                    "coil" == cell.client and not given.coil_client):
                continue
            if given.list:
                print(name_of(cell))
                continue
            results[cell] = why = run_cell(programs, cell)
            known = fault_of(cell)
            if why and not known:
                unexpected += 1
                print(f"FAILED {name_of(cell)}: {why.strip()[-400:]}", flush=True)
    if given.table:
        pathlib.Path(given.table).write_text(table_of(results), encoding="utf-8")
    print(f"{sum(why == '' for why in results.values())} of {len(results)} cells passed")
    if not results and not given.list:
        return 77
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
