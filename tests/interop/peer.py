#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Apache Thrift's Python library as one side of an interoperability test.

    peer.py <generated modules> client <port> [plain|accelerated]
    peer.py <generated modules> server simple|threaded|nonblocking

The server says "port N" when it listens. Exits with 77, "skipped", where the library is missing.
"""
import os
import sys
import threading
import time

try:
    from thrift.Thrift import TApplicationException, TMessageType
    from thrift.protocol import TBinaryProtocol
    from thrift.server import TNonblockingServer, TServer
    from thrift.transport import TSocket, TTransport
except ImportError as missing:
    print(f"skipped: Apache Thrift for Python is not installed ({missing})")
    sys.exit(77)

sys.path.insert(0, sys.argv[1])
from fb303.ttypes import fb_status  # noqa: E402
from interop import Interop  # noqa: E402
from interop.ttypes import Colour, Everything, Failure, Point  # noqa: E402

EVERYTHING = Everything(
    yes=True, tiny=-128, small=-2**15, medium=-2**31, large=-2**63, real=0.5, text="grüß dich",
    bytes=bytes([0, 1, 2, 255, 254]), colour=Colour.BLUE, words=["one", "", "three"],
    numbers={-7, 8, 2**31 - 1}, prices={"egg": 2**63 - 1, "": 0},
    path=[Point(1, 2), Point(3, 4)], paths={5: [Point(6, 7)], -5: []}, place=Point(8, 9),
    flags=[False, True], deep={"a": {"b": [1e-292, float("-inf")]}, "c": {}})
IN_WORDS = f"true -128 {-2**15} {-2**31} {-2**63} 0.5 grüß dich 5 bytes colour 40"

wrong = []


def expect(found, expected, what):
    if found != expected:
        wrong.append(what)
        print(f"not so: {what}: {found!r}, not {expected!r}", file=sys.stderr)


def protocol_of(kind, transport):
    if kind == "plain":
        return TBinaryProtocol.TBinaryProtocol(transport)
    return TBinaryProtocol.TBinaryProtocolAccelerated(transport)


def connect(port, kind):
    socket = TSocket.TSocket("127.0.0.1", port)
    socket.setTimeout(10000)
    transport = TTransport.TFramedTransport(socket)
    transport.open()
    return Interop.Client(protocol_of(kind, transport))


def ask_fb303(client):
    expect(client.getName(), "interop", "getName")
    expect(client.getVersion(), "1.0", "getVersion")
    expect(client.getStatus(), fb_status.ALIVE, "getStatus")
    expect(client.getStatusDetails(), "", "getStatusDetails")
    expect(client.getCounter("answers"), 42, "getCounter")
    expect(client.getCounter("nothing"), 0, "getCounter of nothing")
    expect(client.getCounters()["answers"], 42, "getCounters")
    client.setOption("colour", "röt")
    expect(client.getOption("colour"), "röt", "getOption")
    expect(client.getOptions(), {"colour": "röt"}, "getOptions")
    expect(client.getCpuProfile(1), "", "getCpuProfile")
    expect(abs(client.aliveSince() - time.time()) < 60, True, "aliveSince")
    client.reinitialize()


def call_types(client):
    expect(client.echo(EVERYTHING), EVERYTHING, "echo")
    expect(client.echo(Everything()), Everything(), "echo of nothing")
    long = Everything(text="x" * 1000000, words=["y" * 1000] * 1000)
    expect(client.echo(long), long, "echo of two megabytes")
    expect(client.describe(EVERYTHING), IN_WORDS, "describe")
    expect(client.sum([10**12, -1], {10, 20}, {"x": -300}), 999999999729, "sum")


def call_exceptions(client):
    client.check("fine")
    try:
        client.check("declared")
        expect("no exception", "Failure", "declared")
    except Failure as failure:
        expect((failure.code, failure.reason), (1001, "declared"), "Failure")
    try:
        client.check("undeclared")
        expect("no exception", "TApplicationException", "undeclared")
    except TApplicationException as error:
        expect(error.type, TApplicationException.INTERNAL_ERROR, "undeclared")
    expect(unknown_method(client), TApplicationException.UNKNOWN_METHOD, "unknown method")


def unknown_method(client):
    """Ask for a method that is not there; the type of the exception that comes back."""
    client._oprot.writeMessageBegin("noSuchMethod", TMessageType.CALL, 5)
    Interop.told_args().write(client._oprot)
    client._oprot.writeMessageEnd()
    client._oprot.trans.flush()
    _, kind, seqid = client._iprot.readMessageBegin()
    expect((kind, seqid), (TMessageType.EXCEPTION, 5), "answer to an unknown method")
    error = TApplicationException()
    error.read(client._iprot)
    client._iprot.readMessageEnd()
    return error.type


def run_client(port, kind):
    client = connect(port, kind)
    ask_fb303(client)
    call_types(client)
    call_exceptions(client)
    client.tell("from Python")
    client.tell("from Python")
    expect(client.told(), ["from Python"] * 2, "told")
    client.shutdown()
    client._iprot.trans.close()
    return 1 if wrong else 0


class Handler:
    def __init__(self):
        self.options = {}
        self.words = []
        self.started = int(time.time())

    def getName(self):
        return "interop"

    def getVersion(self):
        return "1.0"

    def getStatus(self):
        return fb_status.ALIVE

    def getStatusDetails(self):
        return ""

    def getCounters(self):
        return {"answers": 42}

    def getCounter(self, key):
        return self.getCounters().get(key, 0)

    def setOption(self, key, value):
        self.options[key] = value

    def getOption(self, key):
        return self.options.get(key, "")

    def getOptions(self):
        return self.options

    def getCpuProfile(self, seconds):
        return ""

    def aliveSince(self):
        return self.started

    def reinitialize(self):
        pass

    def shutdown(self):
        threading.Timer(0.05, os._exit, [0]).start()

    def echo(self, value):
        expect((value.text, value.bytes), (EVERYTHING.text, EVERYTHING.bytes), "echo")
        return value

    def describe(self, value):
        return (f"{str(value.yes).lower()} {value.tiny} {value.small} {value.medium} {value.large} "
                f"{value.real:.17g} {value.text} {len(value.bytes)} bytes colour {value.colour}")

    def sum(self, numbers, more, named):
        return sum(numbers) + sum(more) + sum(named.values())

    def check(self, how):
        if how == "declared":
            raise Failure(1001, how)
        if how == "undeclared":
            raise ValueError(how)

    def tell(self, word):
        self.words.append(word)

    def told(self):
        return self.words


class Listening(TSocket.TServerSocket):
    """Says its port, which the kernel has chosen."""

    def listen(self):
        super().listen()
        print("port", self.handle.getsockname()[1], flush=True)


def run_server(kind):
    listening = Listening("127.0.0.1", 0)
    processor = Interop.Processor(Handler())
    if kind == "nonblocking":
        TNonblockingServer.TNonblockingServer(processor, listening).serve()
    server = {"simple": TServer.TSimpleServer, "threaded": TServer.TThreadedServer}[kind]
    server(processor, listening, TTransport.TFramedTransportFactory(),
           TBinaryProtocol.TBinaryProtocolAcceleratedFactory()).serve()


if sys.argv[2] == "client":
    sys.exit(run_client(int(sys.argv[3]), sys.argv[4]))
run_server(sys.argv[3])
