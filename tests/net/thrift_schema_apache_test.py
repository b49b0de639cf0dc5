#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Structs of Coil's and of Apache's generated code: thrift_schema_apache_test.py PEER IDL [SEED]

Random values of the structs of good/everything.thrift are written by the Python that Apache's compiler
makes of it, read and written again by Coil (thrift_schema_peer), and read by Apache's: they have to be
what they were, from each protocol to each. Exits with 77, the code for "skipped", where Apache's library or compiler is missing.
"""
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    from thrift.protocol import TBinaryProtocol, TCompactProtocol, TJSONProtocol
    from thrift.Thrift import TMessageType, TType
    from thrift.transport import TTransport
except ImportError as missing:
    print(f"skipped: Apache Thrift for Python is not installed ({missing})")
    sys.exit(77)

STRUCTS = {"Leaf": 300, "Node": 300, "Choice": 200, "Part": 200, "Trouble": 50}
# Those of Apache for each of ours. Accelerated ones are in C, where there is a compiler for it.
PROTOCOLS = {
    "binary": [TBinaryProtocol.TBinaryProtocol, TBinaryProtocol.TBinaryProtocolAccelerated],
    "compact": [TCompactProtocol.TCompactProtocol, TCompactProtocol.TCompactProtocolAccelerated],
    "json": [TJSONProtocol.TJSONProtocol],
}
EDGES = {TType.BYTE: 8, TType.I16: 16, TType.I32: 32, TType.I64: 64}


class Chance(random.Random):
    """Random values by the tables of types that Apache's generated Python carries."""

    def value(self, type, arguments, depth):
        if type == TType.BOOL:
            return self.random() < 0.5
        if type in EDGES:
            most = (1 << EDGES[type] - 1) - 1
            return self.choice([0, -1, most, -most - 1, self.randint(-most, most)])
        if type == TType.DOUBLE:
            return self.choice([0.0, -0.0, 1e307, 5e-324, self.uniform(-1e6, 1e6)])
        if type == TType.STRING:
            size = self.choice([0, 1, 9, 300])
            return self.randbytes(size) if arguments == "BINARY" else "".join(self.choices("aé\n\"€", k=size))
        if type == TType.STRUCT:
            return self.struct(arguments[0], depth + 1)
        count = self.choice([0, 1, 3]) if depth < 4 else 0
        if type == TType.MAP:
            return {self.value(*arguments[0:2], depth): self.value(*arguments[2:4], depth) for _ in range(count)}
        values = [self.value(*arguments[0:2], depth) for _ in range(count)]
        return values if type == TType.LIST else set(values)

    def struct(self, type, depth=0):
        fields = [it for it in type.thrift_spec if it is not None]
        chosen = {}
        if type.__name__ == "Choice":
            chosen = {field[2]: None for field in fields}
            fields = [self.choice(fields)]
        for _, field_type, name, arguments, _ in fields:
            is_needed = type.__name__ == "Choice" or (type.__name__, name) == ("Leaf", "name")
            if is_needed or self.random() < 0.8:
                chosen[name] = self.value(field_type, arguments, depth)
        return type(**chosen)


def to_bytes(value, kind):
    transport = TTransport.TMemoryBuffer()
    protocol = kind(transport)
    protocol.writeMessageBegin("m", TMessageType.CALL, 1)
    value.write(protocol)
    protocol.writeMessageEnd()
    return transport.getvalue()


def from_bytes(type, data, kind):
    protocol = kind(TTransport.TMemoryBuffer(data))
    protocol.readMessageBegin()
    if issubclass(type, Exception):
        return type.read(protocol)
    value = type(text=None) if type.__name__ == "Choice" else type()
    value.read(protocol)
    return value


def same(value, found):
    """Whether nothing was lost. What was not set has come back as its default."""
    if value is None:
        return True
    if isinstance(value, list):
        return len(value) == len(found) and all(map(same, value, found))
    if isinstance(value, dict):
        return value.keys() == found.keys() and all(same(it, found[key]) for key, it in value.items())
    if hasattr(value, "thrift_spec"):
        return all(same(it, getattr(found, name)) for name, it in vars(value).items())
    return value == found


def run(peer, idl, seed):
    with tempfile.TemporaryDirectory() as directory:
        shutil.copytree(Path(idl).parent, directory, dirs_exist_ok=True)
        copy = Path(directory) / Path(idl).name
        # Apache's Python knows neither fields without a number nor structs for a default.
        text = copy.read_text().replace('leaf = {"name": "from a default"}', "leaf")
        for unknown in ("  -1: i8 odd\n", "  i32 first\n", "  string second\n", "  optional binary fourth\n"):
            text = text.replace(unknown, "")
        copy.write_text(text)
        subprocess.run(["thrift", "-r", "--gen", "py", "-out", directory, copy], check=True, capture_output=True)
        sys.path.insert(0, directory)
        from everything import ttypes
        from parts import ttypes as parts

        chance = Chance(seed)
        values = [chance.struct(getattr(ttypes, name, None) or getattr(parts, name))
                  for name, count in STRUCTS.items() for _ in range(count)]
        request = b""
        ways = []
        for value in values:
            come, go = chance.choice(list(PROTOCOLS)), chance.choice(list(PROTOCOLS))
            ways.append((come, go))
            data = to_bytes(value, chance.choice(PROTOCOLS[come]))
            request += f"{type(value).__name__} {come} {go}\n".encode() + struct.pack(">i", len(data)) + data
        reply = subprocess.run([peer], input=request, stdout=subprocess.PIPE, check=True).stdout
        position = 0
        for value, way in zip(values, ways):
            (size,) = struct.unpack_from(">i", reply, position)
            data = reply[position + 4:position + 4 + size]
            position += 4 + size
            if size == 0:
                return f"seed {seed}: not understood, {way}: {value}"
            for kind in PROTOCOLS[way[1]]:
                found = from_bytes(type(value), data, kind)
                if not same(value, found):
                    return f"seed {seed}, {way}, {kind.__name__}:\n{value}\nhas become\n{found}"
        print(f"{len(values)} values are the same on both sides")
    return None


def main():
    if shutil.which("thrift") is None:
        print("skipped: Apache Thrift's compiler is not installed")
        return 77
    peer, idl, *seed = sys.argv[1:]
    return run(peer, idl, int(seed[0]) if seed else 1)


if __name__ == "__main__":
    sys.exit(main())
