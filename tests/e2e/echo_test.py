#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""echo: what goes in comes out, whoever else is connected."""
from stage import *


class Echo(Test):
    def serve(self):
        self.port = free_ports()
        self.echo = self.start("echo", "--port", self.port)
        self.connect(self.port)

    def assert_echoes(self, connection, text=b"hello"):
        connection.sendall(text)
        self.assertEqual(text, receive(connection, len(text)))

    def test_many_clients_at_once_get_their_own(self):
        self.serve()
        clients = [self.connect(self.port) for _ in range(200)]
        for number, client in enumerate(clients):
            client.sendall(b"%04d" % number * 100)
        for number, client in reversed(list(enumerate(clients))):
            self.assertEqual(b"%04d" % number * 100, receive(client, 400))
        self.assert_ends(self.echo, signal.SIGTERM)

    def test_megabytes_come_back_while_more_are_sent(self):
        self.serve()
        client = self.connect(self.port)
        sent = os.urandom(1 << 20) * 16
        sender = threading.Thread(target=client.sendall, args=(sent,))
        sender.start()
        received = receive(client, len(sent))
        sender.join()
        self.assertTrue(sent == received)

    def test_half_closed_connection_still_gets_its_answer(self):
        self.serve()
        client = self.connect(self.port)
        client.sendall(b"x" * 300000)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(300000, len(receive(client, 1 << 30)))

    def test_client_that_goes_without_a_word_harms_nobody(self):
        self.serve()
        patient = self.connect(self.port)
        for _ in range(20):
            rude = self.connect(self.port)
            rude.sendall(b"x" * 100000)
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            rude.close()
        self.assert_echoes(patient)
        self.assert_echoes(self.connect(self.port))

    def test_signals_end_it_with_0_and_its_connections(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.serve()
            client = self.connect(self.port)
            self.assert_echoes(client)
            client.sendall(b"y" * 5000000)  # Nobody reads the answer.
            self.assert_ends(self.echo, number)
            self.assertEqual([], self.echo.err)
            self.echo = self.start("echo", "--port", self.port)  # The port is free at once.
            self.assert_echoes(self.connect(self.port))

    def test_two_signals_at_once_are_one_end(self):
        self.serve()
        self.echo.signal(signal.SIGSTOP)
        self.echo.signal(signal.SIGINT)
        self.echo.signal(signal.SIGTERM)
        self.assert_ends(self.echo, signal.SIGCONT)

    def test_port_in_use(self):
        self.check_port_in_use("echo")

    def test_command_line(self):
        self.check_command_line("echo")


if __name__ == "__main__":
    unittest.main()
