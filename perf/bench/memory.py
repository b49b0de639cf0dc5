# SPDX-License-Identifier: MIT
"""What /proc says of memory."""


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def kilobytes(text, name):
    """The figure of that name, in bytes; 0 if there is none."""
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def anonymous_bytes(pid):
    """Memory of its own that is really there: code and files are not in it."""
    return kilobytes(read(f"/proc/{pid}/smaps_rollup"), "Pss_Anon")
