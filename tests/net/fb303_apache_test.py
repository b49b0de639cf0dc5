#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Coil's fb303 and Apache's Thrift for Python: fb303_apache_test.py <fb303_peer> <IDL directory>

The two interface files are compiled by Apache's compiler. Its client asks Coil's server, under both
interfaces; Coil's client asks a server of Python's. What the server prints as OpenMetrics is read by
the parser of prometheus_client, where that is installed. Exits with 77, the code for "skipped",
where Apache's library or compiler is missing.
"""
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

try:
    from thrift.protocol import TBinaryProtocol, TCompactProtocol, TJSONProtocol
    from thrift.server import TServer
    from thrift.transport import TSocket, TTransport
    from thrift.Thrift import TApplicationException
except ImportError as missing:
    print(f"skipped: Apache Thrift for Python is not installed ({missing})")
    sys.exit(77)
if shutil.which("thrift") is None:
    print("skipped: Apache's Thrift compiler is not installed")
    sys.exit(77)
try:
    from prometheus_client.openmetrics import parser as openmetrics
except ImportError:
    openmetrics = None

PEER, IDL = sys.argv[1], sys.argv[2]
WAIT_S = 30


def generated(directory):
    """FacebookService and BaseService, as Apache's compiler writes them."""
    for name in ("fb303", "fb303_core"):
        subprocess.run(["thrift", "--gen", "py", "-out", directory, f"{IDL}/{name}.thrift"],
                       check=True)
    sys.path.insert(0, directory)
    return (importlib.import_module("fb303.FacebookService"),
            importlib.import_module("fb303_core.BaseService"))


class Coil:
    """Coil's server, until it is told to shut down."""

    def __enter__(self):
        self.process = subprocess.Popen([PEER, "serve"], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.transports = []
        return self

    def __exit__(self, *_):
        for transport in self.transports:
            transport.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def client(self, service, protocol=TBinaryProtocol.TBinaryProtocol):
        transport = TTransport.TFramedTransport(TSocket.TSocket("127.0.0.1", self.port))
        transport.open()
        self.transports.append(transport)
        return service.Client(protocol(transport))

    def rest(self):
        text, _ = self.process.communicate(timeout=WAIT_S)
        return text


class Asked(unittest.TestCase):
    """Apache's client and Coil's server."""

    def ask_both(self, client):
        """What both interfaces have."""
        self.assertEqual("peer", client.getName())
        self.assertEqual("1.0", client.getVersion())
        self.assertEqual(2, client.getStatus())
        self.assertEqual("as it should be", client.getStatusDetails())
        self.assertGreater(client.aliveSince(), 1600000000)
        self.assertEqual(3, client.getCounter("eggs"))
        self.assertEqual(0, client.getCounter("nothing"))
        client.setOption("colour", "red")
        self.assertEqual("red", client.getOption("colour"))
        self.assertEqual({"colour": "red"}, client.getOptions())
        counters = client.getCounters()
        self.assertEqual(3, counters["eggs"])
        self.assertGreater(counters["FacebookService.getName.num_calls.sum.60"], 0)
        self.assertIn("FacebookService.getCounter.latency_us.p99.9.3600", counters)

    def test_facebook_service(self):
        with Coil() as coil:
            client = coil.client(FacebookService)
            self.ask_both(client)
            self.assertEqual("", client.getCpuProfile(1))
            client.reinitialize()  # Refused, but who asks cannot know.
            self.assertEqual("peer", client.getName())

    def test_base_service(self):
        with Coil() as coil:
            client = coil.client(BaseService)
            self.ask_both(client)
            self.assertEqual({"eggs": 3}, client.getRegexCounters("e[gx]+s?"))
            self.assertEqual({"eggs": 3}, client.getSelectedCounters(["eggs", "nothing"]))
            self.assertEqual({"build": "abc"}, client.getExportedValues())
            self.assertEqual({"build": "abc"}, client.getSelectedExportedValues(["build", "x"]))
            self.assertEqual({}, client.getRegexExportedValues("b"))
            self.assertEqual("abc", client.getExportedValue("build"))
            with self.assertRaises(TApplicationException):
                client.getRegexCounters("(")
            self.assertEqual("peer", client.getName())

    def test_patterns_as_python_has_them(self):
        with Coil() as coil:
            client = coil.client(BaseService)
            client.getCounters()
            client.getRegexCounters("")  # All methods that follow have been called now.
            for pattern in (r".*\.p99\.60", r"thrift\..*", r"(process|thrift)\.[^.]*", r"\w+",
                            r".*\.(sum|rate)(\.\d{2,3})?", r"[^F].*", r"FacebookService\.getCounters.*"):
                names = set(client.getCounters())
                found = set(client.getRegexCounters(pattern))
                expected = {name for name in names if re.fullmatch(pattern, name)}
                self.assertTrue(expected, pattern)
                self.assertEqual(expected, found, pattern)

    def test_other_protocols(self):
        for protocol in (TCompactProtocol.TCompactProtocol, TJSONProtocol.TJSONProtocol):
            with Coil() as coil:
                client = coil.client(BaseService, protocol)
                self.ask_both(client)
                self.assertEqual({"eggs": 3}, client.getSelectedCounters(["eggs", "nothing"]))

    def test_open_metrics(self):
        with Coil() as coil:
            client = coil.client(FacebookService)
            self.ask_both(client)
            client.shutdown()
            text = coil.rest()
        self.assertTrue(text.endswith("# EOF\n"))
        if openmetrics is None:
            self.skipTest("prometheus_client is not installed")
        families = {family.name: family
                    for family in openmetrics.text_string_to_metric_families(text)}
        calls = families["thrift_num_calls"]
        self.assertEqual("counter", calls.type)
        by_method = {sample.labels["method"]: sample.value for sample in calls.samples}
        self.assertEqual(2, by_method["getCounter"])
        self.assertEqual(1, by_method["shutdown"])
        latency = families["thrift_latency_seconds"]
        self.assertEqual(("summary", "seconds"), (latency.type, latency.unit))
        p99 = [sample.value for sample in latency.samples
               if sample.labels == {"service": "FacebookService", "method": "getName",
                                    "quantile": "0.99"}]
        self.assertEqual(1, len(p99))
        self.assertTrue(0 < p99[0] < WAIT_S)
        memory = families["process_resident_memory_bytes"]
        self.assertEqual(("gauge", "bytes"), (memory.type, memory.unit))
        self.assertGreater(memory.samples[0].value, 1e6)


class Handler:
    """Both interfaces, in Python; what there is not is an exception."""

    def __init__(self, seen):
        self.seen = seen

    def __getattr__(self, name):
        answers = {"getName": "snake", "getVersion": "3", "getStatus": 5, "getStatusDetails": "why",
                   "getCounters": {"eggs": -7}, "getCounter": 1 << 40, "getOption": "o",
                   "getOptions": {"a": "b"}, "getCpuProfile": "p", "aliveSince": 1234567890123,
                   "getRegexCounters": {"r": 1}, "getSelectedCounters": {"s": 2},
                   "getExportedValues": {"v": "w"}, "getSelectedExportedValues": {"x": "y"},
                   "getRegexExportedValues": {}, "getExportedValue": "e", "setOption": None,
                   "reinitialize": None, "shutdown": None}

        def call(*arguments):
            self.seen.append((name, arguments))
            return answers[name]
        return call


class OneClient(TServer.TServer):
    """Serves one connection."""

    def serve(self):
        client = self.serverTransport.accept()
        protocol = TBinaryProtocol.TBinaryProtocol(TTransport.TFramedTransport(client))
        try:
            while True:
                self.processor.process(protocol, protocol)
        except (TTransport.TTransportException, EOFError):
            client.close()


class Asking(unittest.TestCase):
    """Coil's client and a server of Python's."""

    def ask(self, service, command="ask"):
        seen = []
        listener = TSocket.TServerSocket("127.0.0.1", 0)
        listener.listen()
        port = listener.handle.getsockname()[1]
        server = OneClient(service.Processor(Handler(seen)), listener)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        output = subprocess.run([PEER, command, f"127.0.0.1:{port}"], stdout=subprocess.PIPE,
                                text=True, check=True, timeout=WAIT_S).stdout
        thread.join(WAIT_S)
        listener.close()
        return dict(line.split(": ", 1) for line in output.splitlines()), dict(seen)

    def check_both(self, said):
        self.assertEqual('0 "snake"', said["getName"])
        self.assertEqual('5 ""', said["getStatus"])
        self.assertEqual('0 "" eggs=-7""', said["getCounters"])
        self.assertEqual('1099511627776 ""', said["getCounter"])
        self.assertEqual('0 "" a=0"b"', said["getOptions"])
        self.assertEqual('1234567890123 ""', said["aliveSince"])

    def test_facebook_service(self):
        said, seen = self.ask(FacebookService)
        self.check_both(said)
        self.assertEqual('0 "p"', said["getCpuProfile"])
        self.assertEqual("EREMOTEIO", said["getRegexCounters"])
        self.assertEqual(("eggs", "green"), seen["setOption"])
        self.assertEqual((1,), seen["getCpuProfile"])
        self.assertEqual({"reinitialize": (), "shutdown": ()},
                         self.ask(FacebookService, "tell")[1])

    def test_base_service(self):
        said, seen = self.ask(BaseService)
        self.check_both(said)
        self.assertEqual('0 "" s=2""', said["getSelectedCounters"])
        self.assertEqual('0 "" x=0"y"', said["getSelectedExportedValues"])
        self.assertEqual('0 ""', said["getRegexExportedValues"])
        self.assertEqual('0 "e"', said["getExportedValue"])
        self.assertEqual((["eggs", "build"],), seen["getSelectedCounters"])
        self.assertEqual(("eggs",), seen["getRegexCounters"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        FacebookService, BaseService = generated(os.path.abspath(scratch))
        unittest.main(argv=sys.argv[:1])
