#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Apache Thrift's Python library calls the example `publisher`: publisher.py <modules> <port>"""
import sys

try:
    from thrift.protocol import TBinaryProtocol
    from thrift.transport import TSocket, TTransport
except ImportError as missing:
    print(f"skipped: Apache Thrift for Python is not installed ({missing})")
    sys.exit(77)

sys.path.insert(0, sys.argv[1])
from fb303.ttypes import fb_status  # noqa: E402
from publisher import PublisherService  # noqa: E402
from publisher.ttypes import PublisherServiceException  # noqa: E402

socket = TSocket.TSocket("127.0.0.1", int(sys.argv[2]))
socket.setTimeout(10000)
transport = TTransport.TFramedTransport(socket)
client = PublisherService.Client(TBinaryProtocol.TBinaryProtocol(transport))
transport.open()
assert client.getName() == "publisher"
assert client.getStatus() == fb_status.ALIVE
assert client.startPublishers(["one", "two-2", "three_3.x"]) == 3
assert client.startPublishers([]) == 3
assert client.startPublishers(["four"]) == 4
try:
    client.startPublishers(["fine", "not fine", "nor / this"])
    sys.exit("no exception")
except PublisherServiceException as error:
    assert "not fine" in error.message, error.message
assert client.getCounter("publishers") == 4
client.shutdown()
transport.close()
