#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""chat: who is in the room hears it, who does not read is dropped, and restarts are not noticed."""
import shutil
import subprocess
import tempfile

from stage import *

RESTARTS = 1000 if os.environ.get("COIL_LONG") else 20


class Chat(Test):
    def setUp(self):
        self.port = free_ports()

    def serve(self, *arguments):
        self.chat = self.start("chat", "--port", self.port, *arguments)
        return self.chat

    def member(self):
        member = self.connect(self.port)
        member.sendall(b"hello\n")
        self.assert_hears(member, b"hello")
        return member

    @staticmethod
    def line(member):
        text = b""
        while not text.endswith(b"\n"):
            part = member.recv(1)
            if not part:
                break
            text += part
        return text

    def assert_hears(self, member, text):
        self.assertRegex(self.line(member), rb"^\d+: " + text + b"\n$")

    def test_all_in_the_room_hear_it(self):
        self.serve()
        one, other = self.member(), self.member()
        self.assert_hears(one, b"hello")
        one.sendall(b"how are you?\n")
        self.assert_hears(one, b"how are you\\?")
        self.assert_hears(other, b"how are you\\?")
        self.assert_ends(self.chat, signal.SIGTERM)
        self.assertEqual(["chat: 2 connections, 0 of them dropped for not reading"], self.chat.err)

    def test_other_rooms_do_not(self):
        self.serve()
        one, other = self.member(), self.member()
        self.assert_hears(one, b"hello")
        other.sendall(b"/join attic\nanybody?\n")
        self.assert_hears(other, b"anybody\\?")
        one.sendall(b"still here\n")
        self.assert_hears(one, b"still here")
        other.sendall(b"/join lobby\nback\n")
        self.assert_hears(other, b"back")
        self.assert_hears(one, b"back")

    def test_who_does_not_read_is_dropped_and_the_others_stay(self):
        self.serve()
        deaf, speaker = self.member(), self.member()
        text = b"x" * 1000 + b"\n"
        count = 20000  # More than all buffers on the way hold.
        for _ in range(count):
            speaker.sendall(text)
            self.assertTrue(receive(speaker, len(text) + 3))
        heard = receive(deaf, count * (len(text) + 3))  # What was on its way, and then the end.
        self.assertLess(len(heard), count * len(text))
        self.assert_ends(self.chat, signal.SIGTERM)
        self.assertEqual(["chat: 2 connections, 1 of them dropped for not reading"], self.chat.err)

    @unittest.skipUnless(shutil.which("ncat"), "ncat is not installed")
    def test_ncat_is_a_member(self):
        self.serve()
        listener = self.member()
        ncat = subprocess.run(["ncat", "-i", "1", "127.0.0.1", str(self.port)], input=b"from ncat\n",
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=PATIENCE_S)
        self.assert_hears(listener, b"from ncat")
        self.assertIn(b": from ncat\n", ncat.stdout)

    def test_restarts_refuse_nobody(self):
        with tempfile.TemporaryDirectory(prefix="coil-chat-") as directory:
            path = f"unix:{directory}/handover"
            old = self.serve(path)
            self.member()
            visitors = Visitors(self.port)
            try:
                for _ in range(RESTARTS):
                    new = self.serve(path)
                    self.assertEqual(0, old.wait(), old.err)
                    old = new
                    before = visitors.heard
                    self.assertTrue(eventually(lambda: visitors.heard > before + 3))
            finally:
                visitors.stop()
            self.assertEqual([], visitors.failures)
            self.assert_ends(old, signal.SIGTERM)
            self.assertEqual([], os.listdir(directory))
            print(f"{RESTARTS} restarts, {visitors.heard} visits, none failed", file=sys.stderr)

    def test_killed_successor_changes_nothing(self):
        with tempfile.TemporaryDirectory(prefix="coil-chat-") as directory:
            path = f"unix:{directory}/handover"
            self.serve(path)
            member = self.member()
            # The sockets are asked for, and then nothing more is said.
            with socket.socket(socket.AF_UNIX) as successor:
                successor.settimeout(PATIENCE_S)
                successor.connect(f"{directory}/handover")
                self.assertTrue(successor.recv(1))
            member.sendall(b"still here\n")
            self.assert_hears(member, b"still here")
            self.assert_ends(self.chat, signal.SIGTERM)

    def test_port_in_use(self):
        self.check_port_in_use("chat")

    def test_command_line(self):
        self.check_command_line("chat")


class Visitors:
    """Threads that come, say a line, hear it and go, without end."""

    def __init__(self, port):
        self.port, self.heard, self.failures, self.done = port, 0, [], False
        self.threads = [threading.Thread(target=self.visit) for _ in range(3)]
        for thread in self.threads:
            thread.start()

    def visit(self):
        while not self.done:
            try:
                with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as visitor:
                    room = str(threading.get_ident()).encode()[-20:]
                    visitor.sendall(b"/join %s\nx\n" % room)
                    text = visitor.recv(100)
                    if not text.endswith(b": x\n"):
                        self.failures.append(f"heard {text!r}")
                    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.heard += 1
            except OSError as error:
                self.failures.append(repr(error))

    def stop(self):
        self.done = True
        for thread in self.threads:
            thread.join()


if __name__ == "__main__":
    unittest.main()
