#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""publisher: fb303 and a service of its own, spoken to by a client that shares no code with Coil."""
import signal

from stage import *


def start_publishers(connection, *names):
    """How many run now, or the message of the exception."""
    arguments = struct.pack(">bhbi", LIST, 1, STRING, len(names)) + b"".join(map(string, names))
    kind, _, _, body = ask(connection, "startPublishers", arguments)
    assert kind == REPLY, kind
    if body[0] == I32:
        return read_i32_result(body)
    kind, identifier, inner_kind, inner_identifier = struct.unpack_from(">bhbh", body)
    assert (kind, identifier, inner_kind, inner_identifier) == (12, 1, STRING, 1), body
    message, at = read_string(body, 6)
    assert body[at:] == b"\0\0", body
    return message


class Publisher(Test):
    def serve(self):
        self.port = free_ports()
        self.publisher = self.start("publisher", "--port", self.port)
        return self.connect(self.port)

    def test_is_alive(self):
        client = self.serve()
        self.assertEqual(ALIVE, get_status(client))
        for sequence in (0, 7, -1, 2**31 - 1):
            self.assertEqual(sequence, ask(client, "getStatus", sequence=sequence)[2])
        kind, _, _, body = ask(client, "getName")
        self.assertEqual((REPLY, "publisher"), (kind, read_string(body, 3)[0]))
        self.assert_ends(self.publisher, signal.SIGTERM)
        self.assertEqual(f"listening at 127.0.0.1:{self.port}", self.publisher.err[0])

    def test_starts_publishers(self):
        client = self.serve()
        self.assertEqual(2, start_publishers(client, "eth-0", "disk_1.usage"))
        self.assertEqual(3, start_publishers(client, "more"))
        self.assertEqual(3, start_publishers(client))
        self.assertEqual(3, start_publishers(self.connect(self.port)))
        kind, _, _, body = ask(client, "getCounter", struct.pack(">bh", STRING, 1) +
                               string("publishers"))
        self.assertEqual((REPLY, 3), (kind, struct.unpack_from(">q", body, 3)[0]))

    def test_throws_at_a_bad_data_source_and_starts_none(self):
        client = self.serve()
        self.assertEqual("bad data source '../etc'", start_publishers(client, "good", "../etc", "x"))
        self.assertEqual("bad data source ''", start_publishers(client, ""))
        self.assertIn("bad data source '", start_publishers(client, "x" * 100000 + "/"))
        self.assertEqual(1, start_publishers(client, "good"))

    def test_unknown_method_is_an_exception_and_no_end(self):
        client = self.serve()
        self.assertEqual(EXCEPTION, ask(client, "noSuchMethod")[0])
        self.assertEqual(ALIVE, get_status(client))

    def test_malformed_frame_ends_its_own_connection_only(self):
        patient = self.serve()
        for bad in (framed(b"garbage"), framed(b""), b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 64,
                    framed(thrift_call("getStatus")[4:-1]), framed(b"\x80\x01\x00\x09" + b"\0" * 9)):
            client = self.connect(self.port)
            client.sendall(bad)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):  # It may say what was wrong, as the sender would understand it.
                pass
            self.assertEqual(ALIVE, get_status(patient))
        self.assertEqual(ALIVE, get_status(self.connect(self.port)))

    def test_calls_may_be_pipelined(self):
        client = self.serve()
        client.sendall(b"".join(thrift_call("getStatus", sequence=i) for i in range(500)))
        self.assertEqual(list(range(500)), sorted(read_reply(client)[2] for _ in range(500)))

    def test_shutdown_ends_it_with_0(self):
        client = self.serve()
        client.sendall(thrift_call("shutdown", kind=ONEWAY))
        self.assertEqual(0, self.publisher.wait())
        self.assertIn("stopping after 1 calls", self.publisher.err)

    def test_signals_end_it_with_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assertEqual(ALIVE, get_status(self.serve()))
            self.assert_ends(self.publisher, number)

    def test_port_in_use(self):
        self.check_port_in_use("publisher")

    def test_command_line(self):
        self.check_command_line("publisher")


if __name__ == "__main__":
    unittest.main()
