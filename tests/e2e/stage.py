# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: programs that end with their test, free ports, a client of Thrift.

The first argument of a test is the directory of the example programs, the others go to unittest.
"""
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

DIRECTORY = os.path.abspath(sys.argv.pop(1))
PATIENCE_S = 20  # For what should happen at once, on a machine that is busy.


def free_ports(count=1):
    """The first of `count` successive ports that nobody listens at, below the ephemeral ones."""
    while True:
        first = random.randrange(15000, 32000)
        sockets = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.socket())
                sockets[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for each in sockets:
                each.close()


def eventually(condition, patience_s=PATIENCE_S):
    """The first true value of condition(), or the last false one."""
    end = time.monotonic() + patience_s
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.01)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def connect(port):
    """To a server that may still be starting."""
    def attempt():
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        except ConnectionRefusedError:
            return None
    connection = eventually(attempt)
    if connection is None:
        raise AssertionError(f"nobody listens at {port}")
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive(connection, size):
    received = b""
    while len(received) < size:
        some = connection.recv(min(size - len(received), 1 << 20))
        if not some:
            break
        received += some
    return received


class Program:
    """A program under test; its output is gathered while it runs."""

    def __init__(self, name, *arguments, env=None):
        path = name if os.path.isabs(name) else os.path.join(DIRECTORY, name)
        self.process = subprocess.Popen([path, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        errors="replace", env={**os.environ, **(env or {})})
        self.pid = self.process.pid
        self.out, self.err = [], []
        self.readers = [
            threading.Thread(target=self.gather, args=(self.process.stdout, self.out), daemon=True),
            threading.Thread(target=self.gather, args=(self.process.stderr, self.err), daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def gather(stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """Its exit status, when it and its output have ended."""
        status = self.process.wait(PATIENCE_S)
        for reader in self.readers:
            reader.join(PATIENCE_S)
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        self.process.stdout.close()
        self.process.stderr.close()


class Test(unittest.TestCase):
    def start(self, name, *arguments, **options):
        program = Program(name, *arguments, **options)
        self.addCleanup(program.close)
        return program

    def connect(self, port):
        connection = connect(port)
        self.addCleanup(connection.close)
        return connection

    def assert_ends(self, program, number, status=0):
        program.signal(number)
        self.assertEqual(status, program.wait(), program.err)

    def assert_refuses(self, program, status, text):
        """It ends by itself, with one line on stderr."""
        self.assertEqual(status, program.wait())
        self.assertEqual(1, len(program.err), program.err)
        self.assertIn(text, program.err[0])

    def check_command_line(self, name):
        """What all of the examples do alike."""
        for bad in ("abc", "-1", "65536", "99999999999999999999", "", "80x"):
            self.assert_refuses(self.start(name, "--port", bad), 2, f"'{bad}' is not a number")
        program = self.start(name, "--no-such-option")
        self.assertEqual(2, program.wait())
        self.assertIn("unrecognized option", program.err[0])
        program = self.start(name, "--help")
        self.assertEqual(0, program.wait())
        self.assertIn(name, program.out[0])
        self.assertEqual([], program.err)

    def check_port_in_use(self, name):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            program = self.start(name, "--port", port)
            self.assert_refuses(program, 1, f"{name}: cannot listen at 127.0.0.1:{port}: ")
            self.assertIn("ddress already in use", program.err[0])


# ------------------------------------------------------------------------------------- Thrift --

CALL, REPLY, EXCEPTION, ONEWAY = 1, 2, 3, 4
I32, STRING, LIST = 8, 11, 15
ALIVE = 2


def string(text):
    encoded = text.encode()
    return struct.pack(">i", len(encoded)) + encoded


def framed(message):
    return struct.pack(">I", len(message)) + message


def thrift_call(method, arguments=b"", sequence=1, kind=CALL):
    head = struct.pack(">I", 0x80010000 | kind) + string(method) + struct.pack(">i", sequence)
    return framed(head + arguments + b"\0")


def read_string(message, at):
    (size,) = struct.unpack_from(">i", message, at)
    return message[at + 4:at + 4 + size].decode(), at + 4 + size


def read_reply(connection):
    """(kind, method, sequence, what follows), or None at the end of the stream."""
    head = receive(connection, 4)
    if not head:
        return None
    message = receive(connection, struct.unpack(">I", head)[0])
    (version,) = struct.unpack_from(">I", message)
    method, at = read_string(message, 4)
    (sequence,) = struct.unpack_from(">i", message, at)
    return version & 0xff, method, sequence, message[at + 4:]


def read_i32_result(body):
    """Field 0 of a result, which is an i32."""
    kind, identifier, value, stop = struct.unpack(">bhib", body)
    assert (kind, identifier, stop) == (I32, 0, 0), body
    return value


def ask(connection, method, arguments=b"", sequence=1):
    connection.sendall(thrift_call(method, arguments, sequence))
    return read_reply(connection)


def get_status(connection):
    kind, method, _, body = ask(connection, "getStatus")
    assert (kind, method) == (REPLY, "getStatus")
    return read_i32_result(body)


__all__ = ["ALIVE", "CALL", "DIRECTORY", "EXCEPTION", "I32", "LIST", "ONEWAY", "PATIENCE_S", "REPLY",
           "STRING", "Program", "Test", "ask", "connect", "eventually", "framed", "free_ports",
           "get_status", "is_running", "os", "read_i32_result", "read_reply", "read_string", "receive",
           "signal", "socket", "string", "struct", "sys", "threading", "thrift_call", "time",
           "unittest"]
