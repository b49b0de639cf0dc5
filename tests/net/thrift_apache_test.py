#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare Coil's Thrift codec with Apache's: thrift_apache_test.py <thrift_peer> [seed]

Random messages are encoded by Apache's TBinaryProtocol and sent to thrift_peer. It must find in
them the values that went in, and must write a message in which Apache finds the same values. Exits
with 77, the code for "skipped", where Apache's library is missing.
"""
import random
import struct
import subprocess
import sys

try:
    from thrift.protocol import TBinaryProtocol
    from thrift.Thrift import TApplicationException, TType
    from thrift.transport import TTransport
except ImportError as missing:
    print(f"skipped: Apache Thrift for Python is not installed ({missing})")
    sys.exit(77)

MESSAGES = 2000
NAMES = {TType.BOOL: "bool", TType.BYTE: "i8", TType.I16: "i16", TType.I32: "i32", TType.I64: "i64"}
SIZES = {TType.BYTE: 8, TType.I16: 16, TType.I32: 32, TType.I64: 64}
SCALARS = [TType.BOOL, *SIZES, TType.DOUBLE, TType.STRING]
CONTAINERS = [TType.STRUCT, TType.LIST, TType.SET, TType.MAP]


# A value is (type, content). Content of a struct: [(id, value)], of a list or set: (element type,
# [value]), of a map: (key type, value type, [(key, value)]).


def random_value(rng, type_, depth):
    if type_ == TType.BOOL:
        return type_, rng.random() < 0.5
    if type_ in SIZES:
        bits = SIZES[type_]
        edge = [-(1 << bits - 1), (1 << bits - 1) - 1, 0, -1]
        return type_, rng.choice(edge + [rng.randrange(edge[0], edge[1])] * 4)
    if type_ == TType.DOUBLE:
        edge = [0.0, -0.0, 1e307, 1e-292, 9007199254740991.0, float("inf"), 5e-324]
        return type_, rng.choice(edge + [rng.uniform(-1e6, 1e6)] * 4)
    if type_ == TType.STRING:
        return type_, rng.randbytes(rng.choice([0, 1, 7, 100, 5000]))
    if type_ == TType.STRUCT:
        return type_, [(rng.randrange(-32768, 32768), random_any(rng, depth + 1))
                       for _ in range(rng.randrange(6))]
    key, value = random_type(rng, depth + 1), random_type(rng, depth + 1)
    count = rng.choice([0, 1, 2, 5])
    if type_ == TType.MAP:
        return type_, (key, value, [(random_value(rng, key, depth + 1),
                                     random_value(rng, value, depth + 1)) for _ in range(count)])
    return type_, (value, [random_value(rng, value, depth + 1) for _ in range(count)])


def random_type(rng, depth):
    return rng.choice(SCALARS if depth > 4 else SCALARS + CONTAINERS)


def random_any(rng, depth):
    return random_value(rng, random_type(rng, depth), depth)


def words(value):
    """The value as thrift_walk.c prints it."""
    type_, content = value
    if type_ in NAMES:
        return f"{NAMES[type_]}:{int(content)}"
    if type_ == TType.DOUBLE:
        return "double:" + struct.pack(">d", content).hex()
    if type_ == TType.STRING:
        return "string:" + content.hex()
    if type_ == TType.STRUCT:
        return "{" + "".join(f"{id_}={words(field)};" for id_, field in content) + "}"
    if type_ == TType.MAP:
        return "(" + "".join(f"{words(k)}->{words(v)}," for k, v in content[2]) + ")"
    inside = "".join(words(element) + "," for element in content[1])
    return f"[{inside}]" if type_ == TType.LIST else f"<{inside}>"


def write(protocol, value):
    type_, content = value
    if type_ == TType.STRUCT:
        protocol.writeStructBegin("")
        for id_, field in content:
            protocol.writeFieldBegin("", field[0], id_)
            write(protocol, field)
            protocol.writeFieldEnd()
        protocol.writeFieldStop()
        protocol.writeStructEnd()
    elif type_ == TType.MAP:
        protocol.writeMapBegin(content[0], content[1], len(content[2]))
        for pair in content[2]:
            write(protocol, pair[0])
            write(protocol, pair[1])
        protocol.writeMapEnd()
    elif type_ == TType.LIST:
        protocol.writeListBegin(content[0], len(content[1]))
        for element in content[1]:
            write(protocol, element)
        protocol.writeListEnd()
    elif type_ == TType.SET:
        protocol.writeSetBegin(content[0], len(content[1]))
        for element in content[1]:
            write(protocol, element)
        protocol.writeSetEnd()
    else:
        {TType.BOOL: protocol.writeBool, TType.BYTE: protocol.writeByte,
         TType.I16: protocol.writeI16, TType.I32: protocol.writeI32, TType.I64: protocol.writeI64,
         TType.DOUBLE: protocol.writeDouble, TType.STRING: protocol.writeBinary}[type_](content)


def read(protocol, type_):
    if type_ == TType.STRUCT:
        fields = []
        protocol.readStructBegin()
        while True:
            _, field_type, id_ = protocol.readFieldBegin()
            if field_type == TType.STOP:
                break
            fields.append((id_, read(protocol, field_type)))
            protocol.readFieldEnd()
        protocol.readStructEnd()
        return type_, fields
    if type_ == TType.MAP:
        key, value, count = protocol.readMapBegin()
        pairs = [(read(protocol, key), read(protocol, value)) for _ in range(count)]
        protocol.readMapEnd()
        return type_, (key, value, pairs)
    if type_ == TType.LIST:
        element, count = protocol.readListBegin()
        elements = [read(protocol, element) for _ in range(count)]
        protocol.readListEnd()
        return type_, (element, elements)
    if type_ == TType.SET:
        element, count = protocol.readSetBegin()
        elements = [read(protocol, element) for _ in range(count)]
        protocol.readSetEnd()
        return type_, (element, elements)
    return type_, {TType.BOOL: protocol.readBool, TType.BYTE: protocol.readByte,
                   TType.I16: protocol.readI16, TType.I32: protocol.readI32,
                   TType.I64: protocol.readI64, TType.DOUBLE: protocol.readDouble,
                   TType.STRING: protocol.readBinary}[type_]()


def encode(name, message_type, seqid, value, strict):
    memory = TTransport.TMemoryBuffer()
    protocol = TBinaryProtocol.TBinaryProtocol(memory, strictWrite=strict)
    protocol.writeMessageBegin(name, message_type, seqid)
    if isinstance(value, TApplicationException):
        value.write(protocol)
    else:
        write(protocol, value)
    protocol.writeMessageEnd()
    return memory.getvalue()


def exchange(peer, frame):
    """The words and the frame that the peer makes of a frame."""
    peer.stdin.write(struct.pack(">I", len(frame)) + frame)
    peer.stdin.flush()
    line = peer.stdout.readline().decode().rstrip("\n")
    if line.startswith("error"):
        raise AssertionError(line)
    size = struct.unpack(">I", peer.stdout.read(4))[0]
    return line, peer.stdout.read(size)


def check_random(peer, rng):
    name = rng.choice(["", "ping", "Service:method", "größe" * 20])
    message_type, seqid = rng.randrange(1, 5), rng.randrange(-(1 << 31), 1 << 31)
    strict = rng.random() < 0.8
    value = random_value(rng, TType.STRUCT, 0)
    frame = encode(name, message_type, seqid, value, strict)

    line, returned = exchange(peer, frame)
    expected = f"{message_type} {seqid} {name.encode().hex()} {words(value)}"
    assert line == expected, f"Coil read\n{line}\ninstead of\n{expected}"

    protocol = TBinaryProtocol.TBinaryProtocol(TTransport.TMemoryBuffer(returned))
    read_name, *rest = protocol.readMessageBegin()
    if isinstance(read_name, bytes):  # Apache decodes the name behind a strict header only.
        read_name = read_name.decode()
    assert (read_name, *rest) == (name, message_type, seqid), "Apache read another header"
    assert words(read(protocol, TType.STRUCT)) == words(value), "Apache read something else"
    assert returned == frame, "the bytes differ"


def check_exceptions(peer):
    for type_ in range(11):
        sent = TApplicationException(type_, f"exception {type_}")
        _, returned = exchange(peer, encode("x", 3, 1, sent, True))
        protocol = TBinaryProtocol.TBinaryProtocol(TTransport.TMemoryBuffer(returned))
        protocol.readMessageBegin()
        received = TApplicationException()
        received.read(protocol)
        found = received.type, received.message
        assert found == (type_, f"exception {type_}"), f"Apache read {found}"


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    rng = random.Random(seed)
    peer = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        check_exceptions(peer)
        for _ in range(MESSAGES):
            check_random(peer, rng)
    except AssertionError as problem:
        print(f"seed {seed}: {problem}")
        return 1
    finally:
        peer.stdin.close()
        peer.wait()
    print(f"{MESSAGES} messages agree with Apache (seed {seed})")
    return peer.returncode


if __name__ == "__main__":
    sys.exit(main())
