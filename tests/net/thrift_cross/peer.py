#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ThriftTest by Apache Thrift's Python library, as a client or as a server.

    peer.py client|server --port N [--host H] [--domain-socket PATH] [--ssl --keys DIRECTORY] [--zlib]
            --transport buffered|framed|http|header --protocol binary|accel|compact|accelc|json|header
            [--multiplexed] --gen DIRECTORY

A client calls everything once and exits with 0 if all results are right. A server says its port on
a line of its own and serves until it is killed.
"""
import argparse
import logging
import sys

parser = argparse.ArgumentParser()
parser.add_argument("role", choices=["client", "server"])
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--domain-socket")
parser.add_argument("--ssl", action="store_true")
parser.add_argument("--keys")
parser.add_argument("--zlib", action="store_true")
parser.add_argument("--transport", default="buffered")
parser.add_argument("--protocol", default="binary")
parser.add_argument("--multiplexed", action="store_true")
parser.add_argument("--gen", required=True, help="where the generated code is")
options = parser.parse_args()
sys.path.insert(0, options.gen)

from thrift.protocol.TBinaryProtocol import (  # noqa: E402
    TBinaryProtocolAcceleratedFactory, TBinaryProtocolFactory)
from thrift.protocol.TCompactProtocol import (  # noqa: E402
    TCompactProtocolAcceleratedFactory, TCompactProtocolFactory)
from thrift.protocol.THeaderProtocol import THeaderProtocolFactory  # noqa: E402
from thrift.protocol.TJSONProtocol import TJSONProtocolFactory  # noqa: E402
from thrift.protocol.TMultiplexedProtocol import TMultiplexedProtocol  # noqa: E402
from thrift.server import THttpServer, TServer  # noqa: E402
from thrift.Thrift import TApplicationException  # noqa: E402
from thrift.TMultiplexedProcessor import TMultiplexedProcessor  # noqa: E402
from thrift.transport import THttpClient, TSocket, TSSLSocket, TTransport, TZlibTransport  # noqa: E402
from ThriftTest import SecondService, ThriftTest  # noqa: E402
from ThriftTest.ttypes import (  # noqa: E402
    Insanity, Numberz, Xception, Xception2, Xtruct, Xtruct2)

PROTOCOLS = {
    "binary": TBinaryProtocolFactory,
    "accel": lambda: TBinaryProtocolAcceleratedFactory(fallback=False),
    "compact": TCompactProtocolFactory,
    "accelc": lambda: TCompactProtocolAcceleratedFactory(fallback=False),
    "json": TJSONProtocolFactory,
    "header": THeaderProtocolFactory,
}

# ------------------------------------------------------------------------------------- client --

TEXTS = ["", "Test", 'quote " backslash \\ slash / \b\f\n\r\t', ']] "]] \\" \\" /',
         "Deutsch, Ελληνικά, עברית, العربية, हिन्दी, ไทย, 中文, 日本語, 한국어, Русский, 😀🎉𝄞"]
DOUBLES = [0.0, -1.0, -5.2098523, -0.000341012439638598279, 2.0**53 - 1, 1e307, 1e-292, 0.1]


def is_raised(kind, call):
    """The exception of that kind which the call raises; None."""
    try:
        call()
    except kind as raised:
        return raised
    return None


class Client:
    def __init__(self):
        self.failures = 0
        self.transport, self.protocol = self.connect()
        self.main = ThriftTest.Client(self.named("ThriftTest"))

    def connect(self):
        if options.transport == "http":
            scheme = "https" if options.ssl else "http"
            transport = THttpClient.THttpClient(
                f"{scheme}://{options.host}:{options.port}/service",
                **({"cafile": f"{options.keys}/CA.pem"} if options.ssl else {}))
        else:
            if options.ssl:
                raw = TSSLSocket.TSSLSocket(
                    options.host, options.port, ca_certs=f"{options.keys}/CA.pem",
                    certfile=f"{options.keys}/client.crt", keyfile=f"{options.keys}/client.key")
            elif options.domain_socket:
                raw = TSocket.TSocket(unix_socket=options.domain_socket)
            else:
                raw = TSocket.TSocket(options.host, options.port)
            raw.setTimeout(20000)
            if options.zlib:
                raw = TZlibTransport.TZlibTransport(raw, 9)
            transport = {"buffered": TTransport.TBufferedTransport,
                         "framed": TTransport.TFramedTransport,
                         "header": TTransport.TBufferedTransport}[options.transport](raw)
            if options.transport == "header":
                transport = raw
        protocol = PROTOCOLS[options.protocol]().getProtocol(transport)
        transport.open()
        return transport, protocol

    def named(self, service):
        return TMultiplexedProtocol(self.protocol, service) if options.multiplexed else self.protocol

    def expect(self, is_right, what):
        if not is_right:
            print(f"peer.py: {what}", file=sys.stderr)
            self.failures += 1

    def echo(self, name, thing):
        self.expect(getattr(self.main, name)(thing) == thing, f"{name}({thing!r:.60})")

    def call_echoes(self):
        for text in TEXTS:
            self.echo("testString", text)
        for number in DOUBLES:
            self.echo("testDouble", number)
        for bits in 7, 15, 31, 63:
            for number in 2**bits - 1, -2**bits, 0, -1:
                if bits == 7:
                    self.echo("testByte", number)
                if bits <= 31:
                    self.echo("testI32", number)
                self.echo("testI64", number)
                self.echo("testTypedef", number)
        self.echo("testBool", True)
        self.echo("testBool", False)
        for size in 0, 1, 2, 4, 6, 16, 33, 255, 1024, 65537, 131072:
            self.echo("testBinary", bytes(i & 255 for i in range(size)))
        struct = Xtruct("Zero", 1, -3, -5)
        self.echo("testStruct", struct)
        self.echo("testNest", Xtruct2(1, struct, 5))
        self.echo("testMap", {i: i - 10 for i in range(5)})
        self.echo("testMap", {})
        self.echo("testStringMap", {"a": "2", "b": "blah", "some": "thing", "": 'key "\\" of nothing'})
        self.echo("testSet", {8, 1, 42, -7})
        self.echo("testSet", set())
        self.echo("testList", [1, 4, 9, -42])
        self.echo("testList", [])
        self.echo("testEnum", Numberz.FIVE)

    def call_others(self):
        main = self.main
        self.expect(main.testVoid() is None, "testVoid")
        self.expect(main.testMapMap(42) == {
            -4: {-4: -4, -3: -3, -2: -2, -1: -1}, 4: {1: 1, 2: 2, 3: 3, 4: 4}}, "testMapMap")
        argument = Insanity({Numberz.FIVE: 5, Numberz.EIGHT: 8},
                            [Xtruct("Goodbye4", 4, 4, 4), Xtruct("Hello2", 2, 2, 2)])
        insane = main.testInsanity(argument)
        self.expect(insane[1] == {Numberz.TWO: argument, Numberz.THREE: argument}, "testInsanity")
        last = insane[2][Numberz.SIX]
        self.expect(not last.userMap and not last.xtructs, "testInsanity: SIX")
        self.expect(main.testMulti(42, 4242, 424242, {1: "abc"}, Numberz.FIVE, 0xf0f0f0) ==
                    Xtruct("Hello2", 42, 4242, 424242), "testMulti")

    def call_exceptions(self):
        main = self.main
        raised = is_raised(Xception, lambda: main.testException("Xception"))
        self.expect(raised == Xception(1001, "Xception"), "testException: Xception")
        self.expect(is_raised(TApplicationException, lambda: main.testException("TException")),
                    "testException: TException")
        self.expect(main.testException("success") is None, "testException: success")
        raised = is_raised(Xception, lambda: main.testMultiException("Xception", "ignore"))
        self.expect(raised == Xception(1001, "This is an Xception"), "testMultiException: Xception")
        raised = is_raised(Xception2, lambda: main.testMultiException("Xception2", "ignore"))
        self.expect(raised and raised.errorCode == 2002 and
                    raised.struct_thing.string_thing == "This is an Xception2",
                    "testMultiException: Xception2")
        self.expect(main.testMultiException("success", "foobar").string_thing == "foobar",
                    "testMultiException: success")

    def call_all(self):
        self.call_echoes()
        self.call_others()
        self.call_exceptions()
        self.main.testOneway(0)
        self.echo("testI32", -1)
        if options.multiplexed:
            second = SecondService.Client(self.named("SecondService"))
            self.expect(second.secondtestString("2nd") == 'testString("2nd")', "secondtestString")
        self.transport.close()
        return self.failures


# ------------------------------------------------------------------------------------- server --


class Handler:
    def __getattr__(self, name):
        return lambda thing: thing  # All that are not below.

    def testVoid(self):
        pass

    def testMapMap(self, hello):
        return {-4: {i: i for i in range(-4, 0)}, 4: {i: i for i in range(1, 5)}}

    def testInsanity(self, argument):
        return {1: {Numberz.TWO: argument, Numberz.THREE: argument}, 2: {Numberz.SIX: Insanity()}}

    def testMulti(self, arg0, arg1, arg2, arg3, arg4, arg5):
        return Xtruct("Hello2", arg0, arg1, arg2)

    def testException(self, arg):
        if arg == "Xception":
            raise Xception(1001, arg)
        if arg == "TException":
            raise ValueError("what nobody has declared")

    def testMultiException(self, arg0, arg1):
        if arg0 == "Xception":
            raise Xception(1001, "This is an Xception")
        if arg0 == "Xception2":
            raise Xception2(2002, Xtruct("This is an Xception2"))
        return Xtruct(arg1)

    def testOneway(self, seconds):
        pass


class SecondHandler:
    def secondtestString(self, thing):
        return f'testString("{thing}")'


def serve():
    logging.disable()
    first = ThriftTest.Processor(Handler())
    processor = TMultiplexedProcessor()
    processor.registerProcessor("ThriftTest", first)
    processor.registerProcessor("SecondService", SecondService.Processor(SecondHandler()))
    processor.registerDefault(first)
    protocols = PROTOCOLS[options.protocol]()
    if options.transport == "http":
        secure = {"cert_file": f"{options.keys}/server.crt",
                  "key_file": f"{options.keys}/server.key"} if options.ssl else {}
        server = THttpServer.THttpServer(processor, (options.host, options.port), protocols, **secure)
        server.httpd.RequestHandlerClass.log_message = lambda *words: None
        print(server.httpd.server_port, flush=True)
        server.serve()
        return
    if options.ssl:
        listener = TSSLSocket.TSSLServerSocket(options.host, options.port,
                                               certfile=f"{options.keys}/server.crt",
                                               keyfile=f"{options.keys}/server.key")
    elif options.domain_socket:
        listener = TSocket.TServerSocket(unix_socket=options.domain_socket)
    else:
        listener = TSocket.TServerSocket(options.host, options.port)
    transports = {"buffered": TTransport.TBufferedTransportFactory,
                  "framed": TTransport.TFramedTransportFactory,
                  "header": TTransport.TTransportFactoryBase}[options.transport]()
    if options.zlib:
        inner = transports
        transports = type("", (), {"getTransport": staticmethod(lambda raw: inner.getTransport(
            TZlibTransport.TZlibTransport(raw, 9)))})()
    server = TServer.TThreadedServer(processor, listener, transports, protocols, daemon=True)
    announce = listener.listen

    def listen():
        announce()
        port = 0 if options.domain_socket else listener.handle.getsockname()[1]
        print(port, flush=True)

    listener.listen = listen
    server.serve()


if options.role == "server":
    serve()
sys.exit(0 if Client().call_all() == 0 else 1)
