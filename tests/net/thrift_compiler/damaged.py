#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Damaged files end in errors, never in a crash, and in time.

usage: damaged.py COIL_THRIFT DIRECTORY [SEED [COUNT]]

Words of the good files are left out, doubled, exchanged and cut at a random byte. The exit status has
to be 0 or 1; with 1 there is an error, and it is in one of the lines of the file.
"""
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

STRANGE = [b"", b"\0", b"\xff", b"<", b">", b"{", b"}", b"(", b")", b"'", b'"', b"/*", b"99999999999", b"-0x",
           b"struct", b"typedef", b"list<", b"map<i32,", b"= {", b"= [", b"&", b"1:", b"extends", b".", b"*"]


def damaged(text, chance):
    words = re.findall(rb"\w+|\s+|[^\w\s]", text)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(words))
        words[place] = chance.choice([b"", words[place] * 2, chance.choice(words), chance.choice(STRANGE)])
    text = b"".join(words)
    return text[:chance.randrange(len(text))] if chance.random() < 0.2 else text


def check(program, text, path):
    path.write_bytes(text)
    result = subprocess.run([program, "--dump", path], capture_output=True, timeout=60)
    errors = re.findall(rb":(\d+):\d+: error: ", result.stderr)
    lines = text.count(b"\n") + 1
    return (result.returncode == 0 and not errors or
            result.returncode == 1 and errors and all(1 <= int(line) <= lines for line in errors))


def main():
    program, directory, seed, count = (sys.argv[1:] + ["1", "300"][len(sys.argv) - 3:])[:4]
    chance = random.Random(int(seed))
    files = [path.read_bytes().replace(b"include", b"// include")
             for path in sorted(Path(directory).glob("*/*.thrift"))]
    deep = [b"const i32 A = " + b"[" * 100000, b"typedef " + b"list<" * 100000, b"struct A { 1: i32 a = " + b"{1:" * 9999]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "damaged.thrift"
        for text in deep + [damaged(chance.choice(files), chance) for _ in range(int(count))]:
            if not check(program, text, path):
                sys.stdout.buffer.write(text + b"\n")
                return f"seed {seed}: this file is not handled"
    return None


if __name__ == "__main__":
    sys.exit(main())
