#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tls_echo, with openssl(1): certificates that are renewed, sessions that are resumed elsewhere."""
from stage import *

import shutil
import subprocess
import ssl
import tempfile


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=PATIENCE_S)


@unittest.skipUnless(shutil.which("openssl"), "there is no openssl(1)")
class TlsEcho(Test):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.chain = os.path.join(directory.name, "chain.pem")
        self.key = os.path.join(directory.name, "key.pem")
        self.tickets = os.path.join(directory.name, "tickets")
        self.session = os.path.join(directory.name, "session")
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                self.key)
        self.certify("first")

    def certify(self, name):
        """A certificate of that name, in place of the one before."""
        openssl("req", "-x509", "-key", self.key, "-days", "2", "-subj", f"/CN={name}", "-out",
                self.chain + ".new")
        os.rename(self.chain + ".new", self.chain)

    def keep_keys(self, *keys):
        with open(self.tickets, "wb") as file:
            file.write(b"".join(keys))

    def serve(self, *more):
        port = free_ports()
        program = self.start("tls_echo", "--port", port, self.chain, self.key, *more)
        self.connect(port)
        return program, port

    def name_at(self, port):
        text = ssl.get_server_certificate(("127.0.0.1", port), timeout=PATIENCE_S)
        out = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=text, text=True,
                             check=True, capture_output=True, timeout=PATIENCE_S)
        return out.stdout.split("CN")[1].strip(" =\n")

    # ---------------------------------------------------------------------------- signals --

    def test_hangup_renews_the_certificate_again_and_again(self):
        program, port = self.serve()
        self.assertEqual("first", self.name_at(port))
        for name in ("second", "third"):
            self.certify(name)
            program.signal(signal.SIGHUP)
            self.assertTrue(eventually(lambda: self.name_at(port) == name))
        self.assert_ends(program, signal.SIGTERM)

    def test_hangup_during_a_reload_is_another_reload(self):
        program, port = self.serve()
        self.certify("second")
        with open(self.chain, "rb") as file:
            second = file.read()
        os.unlink(self.chain)
        os.mkfifo(self.chain)
        program.signal(signal.SIGHUP)
        fifo = os.open(self.chain, os.O_WRONLY)  # It is reading: in the midst of the reload.
        os.unlink(self.chain)
        self.certify("third")
        program.signal(signal.SIGHUP)
        os.write(fifo, second)
        os.close(fifo)
        self.assertTrue(eventually(lambda: self.name_at(port) == "third"))
        self.assert_ends(program, signal.SIGTERM)
        self.assertEqual([], program.err)

    def test_end_during_a_reload_is_the_end(self):
        program, _ = self.serve()
        os.unlink(self.chain)
        os.mkfifo(self.chain)
        program.signal(signal.SIGHUP)
        fifo = os.open(self.chain, os.O_WRONLY)
        program.signal(signal.SIGTERM)
        os.close(fifo)  # Nothing has come: no certificate.
        self.assertEqual(0, program.wait())
        self.assertIn("stays as it is", program.err[0])

    # ---------------------------------------------------------------------------- tickets --

    def is_resumed(self, port, version):
        """A word there and back by openssl s_client, which keeps and brings its session."""
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version,
                   "-sess_out", self.session]
        if os.path.exists(self.session):
            command += ["-sess_in", self.session]
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        said = []
        timer = threading.Timer(PATIENCE_S, client.kill)
        timer.start()
        try:
            client.stdin.write("there and back\n")
            client.stdin.flush()
            for line in client.stdout:
                said.append(line)
                if line == "there and back\n":
                    break
            client.stdin.write("Q\n")
            client.stdin.close()
            said += client.stdout
            client.wait()
        finally:
            timer.cancel()
            client.stdout.close()
        self.assertIn("there and back\n", said)
        kinds = {line.split(",")[0] for line in said if line.startswith(("New, ", "Reused, "))}
        self.assertEqual(1, len(kinds), said)
        return kinds == {"Reused"}

    def check_sessions(self, version):
        one, other = os.urandom(80), os.urandom(80)
        if os.path.exists(self.session):
            os.unlink(self.session)
        self.keep_keys(one)
        first, port = self.serve(self.tickets)
        second, second_port = self.serve(self.tickets)
        self.assertFalse(self.is_resumed(port, version))
        self.assertTrue(self.is_resumed(second_port, version), "another process")
        self.assert_ends(first, signal.SIGTERM)
        first, port = self.serve(self.tickets)
        self.assertTrue(self.is_resumed(port, version), "after a restart")

        self.keep_keys(other, one)
        second.signal(signal.SIGHUP)
        self.certify("renewed")
        second.signal(signal.SIGHUP)
        self.assertTrue(eventually(lambda: self.name_at(second_port) == "renewed"))
        self.assertTrue(self.is_resumed(second_port, version), "by the key of before")
        # Of TLS 1.2, s_client does not keep the ticket that it gets in place of the one it has.
        self.assertEqual(version == "-tls1_2", self.is_resumed(port, version), "of the new key")
        self.assert_ends(first, signal.SIGTERM)
        self.assert_ends(second, signal.SIGTERM)
        stranger, port = self.serve()
        self.assertFalse(self.is_resumed(port, version), "it has keys of its own")
        self.assert_ends(stranger, signal.SIGTERM)

    def test_sessions_go_on_in_other_processes(self):
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version):
                self.certify("first")
                self.check_sessions(version)

    # ----------------------------------------------------------------------- command line --

    def test_port_in_use(self):
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            program = self.start("tls_echo", "--port", port, self.chain, self.key)
            self.assert_refuses(program, 1, f"tls_echo: cannot listen at 127.0.0.1:{port}: ")

    def test_command_line(self):
        self.check_command_line("tls_echo")
        program = self.start("tls_echo", self.chain)
        self.assertEqual(2, program.wait())
        program = self.start("tls_echo", self.chain + ".none", self.key)
        self.assert_refuses(program, 1, "none")


if __name__ == "__main__":
    unittest.main()
