#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Test programs in a network namespace of their own, on whose loopback tc-netem(8) delays, reorders
and loses packets. Skipped (77) with the reason where there is no netem: then lossy_network_test and
lossy_tls_test, which bring their own bad line, are all that there is.

    netem_test.py PROGRAM...
    netem_test.py --line 'tbf rate 100mbit burst 64k latency 50ms' PROGRAM...      another line
"""

import argparse
import os
import shutil
import subprocess
import sys

SKIPPED = 77
LINE = "netem delay 2ms 1ms loss 0.5% reorder 5% 50%"
INSIDE = "COIL_INSIDE_A_NAMESPACE"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def enter():
    """The same again, in a namespace (with those of users, where we are not root)."""
    if not shutil.which("unshare") or not shutil.which("tc"):
        skip("no unshare(1), or no tc(8) (iproute2)")
    options = ["--net"] if os.geteuid() == 0 else ["--net", "--map-root-user"]
    probe = subprocess.run(["unshare", *options, "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        skip(f"no network namespace: {probe.stderr.strip()}")
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", *options, sys.executable, *sys.argv])


def tc(line):
    return subprocess.run(["tc", "qdisc", "replace", "dev", "lo", "root", *line.split()],
                          capture_output=True, text=True)


def worsen(line):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    outcome = tc(line)
    if outcome.returncode != 0:
        skip(f"the kernel has no '{line.split()[0]}': {outcome.stderr.strip()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--line", default=LINE, help="how tc(8) is to make it")
    parser.add_argument("programs", nargs="+", metavar="PROGRAM")
    options = parser.parse_args()
    if INSIDE not in os.environ:
        enter()
    worsen(options.line)
    failed = [each for each in options.programs if subprocess.run([each]).returncode != 0]
    for each in failed:
        print(f"failed with '{options.line}': {each}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
