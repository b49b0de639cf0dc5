#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare Coil's transports with Apache's: thrift_transport_apache_test.py <thrift_transport_echo>

Both ways over loopback: Apache's client transports send random messages to thrift_transport_echo,
which finds out what they speak and answers in kind; then it calls servers that stand on Apache's
transports. Exits with 77, the code for "skipped", where Apache's library is missing.
"""
import base64
import random
import socket
import struct
import subprocess
import sys
import threading

from thrift_apache_test import encode, read, words, write

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.server.THttpServer import THttpServer
from thrift.Thrift import TApplicationException, TType
from thrift.transport import THttpClient, TSocket, TTransport, TZlibTransport
from thrift.transport.THeaderTransport import (
    THeaderClientType, THeaderSubprotocolID, THeaderTransformID, THeaderTransport)

SIZES = [0, 100, 5000, 40000, 7]  # Of the texts in the messages of a connection.
PROTOCOLS = {"binary": TBinaryProtocol, "compact": TCompactProtocol, "json": TJSONProtocol}
WITHOUT = (sys.argv[2:3] or [""])[0].split(",")  # What the build lacks: "zlib", "http".


def header_transport(socket_transport, protocol, zlib):
    ids = {"binary": THeaderSubprotocolID.BINARY, "compact": THeaderSubprotocolID.COMPACT}
    transport = THeaderTransport(socket_transport, range(5), default_protocol=ids[protocol])
    if zlib:
        transport.add_transform(THeaderTransformID.ZLIB)
    return transport


def wrap(bare, name, protocol, compression):
    """What Apache puts around a socket."""
    if name == "header":
        return header_transport(bare, protocol, compression == "alone")
    kind = TTransport.TFramedTransport if name == "framed" else TTransport.TBufferedTransport
    if compression == "inside":
        return TZlibTransport.TZlibTransport(kind(bare))
    if compression == "beneath":
        # Framed reads from a stream that is inflated; what is unframed is the same thing buffered.
        return kind(TZlibTransport.TZlibTransport(TTransport.TBufferedTransport(bare)))
    return kind(bare)


def combinations():
    for name, compressions in (("framed", ("none", "beneath", "inside")),
                               ("unframed", ("none", "beneath")), ("header", ("none", "alone")),
                               ("http", ("none",))):
        for compression in compressions:
            if name in WITHOUT or (compression != "none" and "zlib" in WITHOUT):
                continue
            for protocol in PROTOCOLS:
                if name != "header" or protocol != "json":
                    yield name, protocol, compression


def random_text(rng, size):
    """What JSON has as it is, be it written as text or as the form in which it has binaries."""
    return base64.b64encode(rng.randbytes(size // 4 * 3))


def messages(rng):
    """The protocols have tests of their own: these are such that no form of them loses anything."""
    for index, size in enumerate(SIZES):
        number = (TType.I64, rng.randrange(-1 << 63, 1 << 63))
        numbers = (TType.LIST, (TType.I64, [number] * rng.randrange(1, 20)))
        text = (TType.STRING, random_text(rng, size))
        pairs = (TType.MAP, (TType.STRING, TType.LIST, [((TType.STRING, b"key0"), numbers)]))
        inner = (TType.STRUCT, [(1, text), (7, (TType.DOUBLE, rng.uniform(-1e6, 1e6)))])
        value = (TType.STRUCT, [(1, pairs), (2, (TType.BOOL, True)), (300, inner), (301, number)])
        yield f"method{index}", rng.randrange(1, 3), rng.randrange(1 << 31), value


def put(protocol, name, type_, seqid, value):
    protocol.writeMessageBegin(name, type_, seqid)
    write(protocol, value)
    protocol.writeMessageEnd()
    protocol.trans.flush()


def take(protocol):
    name, type_, seqid = protocol.readMessageBegin()
    value = read(protocol, TType.STRUCT)
    protocol.readMessageEnd()
    return name.decode() if isinstance(name, bytes) else name, type_, seqid, value


# ------------------------------------------------------------------------ Apache calls, Coil serves


def connect(port, name, protocol, compression):
    if name == "http":
        return THttpClient.THttpClient(f"http://127.0.0.1:{port}/service")
    bare = TSocket.TSocket("127.0.0.1", port)
    bare.setTimeout(10000)
    return wrap(bare, name, protocol, compression)


def check_calls(port, rng, name, protocol_name, compression):
    transport = connect(port, name, protocol_name, compression)
    transport.open()
    protocol = PROTOCOLS[protocol_name](transport)
    for index, message in enumerate(messages(rng)):
        if name == "header":
            transport.sequence_id = index - 3
            transport.set_header(b"client_timeout", str(index).encode())
            transport.set_header(b"", b"\0" * 200)
        put(protocol, *message)
        *rest, value = take(protocol)
        assert rest == list(message[:3]), f"{rest} came back for {message[:3]}"
        assert words(value) == words(message[3]), "other values came back"
        if name == "header":
            assert transport.sequence_id == index - 3, transport.sequence_id
            expected = {b"client_timeout": str(index).encode(), b"": b"\0" * 200}
            assert transport.get_headers() == expected, transport.get_headers()
    transport.close()


def exchange(port, sent):
    """What comes back until the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        peer.sendall(sent)
        peer.shutdown(socket.SHUT_WR)
        received = b""
        while part := peer.recv(65536):
            received += part
        return received


def exception_in(transport):
    protocol = TBinaryProtocol(transport)
    _, type_, _ = protocol.readMessageBegin()
    assert type_ == 3, type_
    exception = TApplicationException()
    exception.read(protocol)
    return exception


def check_refusals(port):
    answer = exchange(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    exception = exception_in(TTransport.TFramedTransport(TTransport.TMemoryBuffer(answer)))
    assert exception.type == TApplicationException.UNSUPPORTED_CLIENT_TYPE, exception
    assert "TLS" in exception.message, exception

    header = struct.pack(">HHIHBBBB", 0x0FFF, 0, 5, 1, 0, 1, 9, 0)  # Transform 9.
    answer = exchange(port, struct.pack(">I", len(header)) + header)
    transport = THeaderTransport(TTransport.TMemoryBuffer(answer), range(5))
    exception = exception_in(transport)
    assert exception.type == TApplicationException.INVALID_TRANSFORM, exception
    assert transport.sequence_id == 5

    if "http" not in WITHOUT:
        assert exchange(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 405 ")
        assert exchange(port, b"POST / HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 411 ")
        body = encode("x", 1, 1, (TType.STRUCT, []), True)
        head = b"POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert exchange(port, head + body).endswith(body)


def check_serving(echo, rng):
    server = subprocess.Popen([echo, "serve"], stdout=subprocess.PIPE)
    try:
        port = int(server.stdout.readline())
        for combination in combinations():
            try:
                check_calls(port, rng, *combination)
            except Exception as problem:
                raise AssertionError(f"Apache calls with {combination}: {problem!r}") from problem
        check_refusals(port)
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


# ------------------------------------------------------------------------ Coil calls, Apache serves


class Echo:
    """A processor, as Apache's servers want one."""

    def on_message_begin(self, _):
        pass

    def process(self, source, target):
        put(target, *take(source))


class Accepted(TSocket.TSocket):
    def __init__(self, handle):
        super().__init__()
        self.setHandle(handle)


def serve_connection(listener, name, protocol_name, compression):
    handle, _ = listener.accept()
    handle.settimeout(10)
    transport = wrap(Accepted(handle), name, protocol_name, compression)
    protocol = PROTOCOLS[protocol_name](transport)
    for _ in SIZES:
        Echo().process(protocol, protocol)
    transport.close()


class Factory:
    def __init__(self, protocol):
        self.protocol = protocol

    def getProtocol(self, transport):
        return self.protocol(transport)


def ask(echo, port, rng, name, protocol_name, compression):
    caller = subprocess.Popen([echo, "call", str(port), name, protocol_name, compression],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        for message in messages(rng):
            sent = encode(*message, True)
            caller.stdin.write(struct.pack(">I", len(sent)) + sent)
            caller.stdin.flush()
            size = caller.stdout.read(4)
            assert len(size) == 4, "Coil has given up"
            received = caller.stdout.read(struct.unpack(">I", size)[0])
            assert received == sent, "other values came back"
    finally:
        caller.stdin.close()
        caller.stdout.close()
        caller.wait()


def check_calling(echo, rng):
    for combination in combinations():
        name, protocol_name, compression = combination
        if name == "http":
            server = THttpServer(Echo(), ("127.0.0.1", 0), Factory(PROTOCOLS[protocol_name]))
            server.httpd.RequestHandlerClass.log_message = lambda *_: None
            port = server.httpd.server_address[1]
            thread = threading.Thread(target=server.serve, daemon=True)
        else:
            listener = socket.create_server(("127.0.0.1", 0))
            listener.settimeout(10)
            port = listener.getsockname()[1]
            thread = threading.Thread(
                target=serve_connection, args=(listener, *combination), daemon=True)
        thread.start()
        try:
            ask(echo, port, rng, *combination)
        except AssertionError as problem:
            raise AssertionError(f"Coil calls with {combination}: {problem}") from problem
        if name == "http":
            server.httpd.shutdown()
            server.httpd.server_close()
        else:
            listener.close()
        thread.join(10)


def main():
    seed = random.SystemRandom().randrange(1 << 32)
    rng = random.Random(seed)
    try:
        check_serving(sys.argv[1], rng)
        check_calling(sys.argv[1], rng)
    except AssertionError as problem:
        print(f"seed {seed}: {problem}")
        return 1
    print(f"{len(list(combinations()))} combinations agree with Apache both ways (seed {seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
