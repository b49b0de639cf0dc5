# SPDX-License-Identifier: MIT
"""The static probes (USDT) of a program or library, read from its ELF notes.

What they are is said in core/include/coil/probe.h. As a program, it lists them:

    python3 perf/probes.py build/release/deploy/libcoil.so

Exit status: 1 if there are none.
"""

import os
import re
import struct
import sys

PROVIDER = "coil"
NOTE_TYPE = 3
SECTION_IS_NOTE = 7


def sections(image):
    """(type, offset, size) of each; nothing if this is no 64-bit little-endian ELF file."""
    if image[:6] != b"\x7fELF\x02\x01":
        return
    (table,) = struct.unpack_from("<Q", image, 0x28)
    entry_bytes, count = struct.unpack_from("<HH", image, 0x3A)
    for index in range(count):
        at = table + index * entry_bytes
        (kind,) = struct.unpack_from("<I", image, at + 4)
        yield kind, *struct.unpack_from("<QQ", image, at + 0x18)


def notes(image):
    """The payload of each note of systemtap's."""
    for kind, at, size in sections(image):
        end = at + size
        while kind == SECTION_IS_NOTE and at + 12 <= end:
            owner_bytes, payload_bytes, note_type = struct.unpack_from("<III", image, at)
            owner_at = at + 12
            payload_at = owner_at + (owner_bytes + 3 & ~3)
            at = payload_at + (payload_bytes + 3 & ~3)
            if note_type == NOTE_TYPE and image[owner_at:owner_at + 8] == b"stapsdt\0":
                yield image[payload_at:payload_at + payload_bytes]


def probes_of(path):
    """Those of Coil in a file, as (name, [argument, ...])."""
    with open(path, "rb") as file:
        image = file.read()
    found = []
    for note in notes(image):
        provider, name, arguments = note[24:].split(b"\0")[:3]
        if provider.decode() == PROVIDER:
            found.append((name.decode(), arguments.decode().split()))
    return found


def object_of(pid):
    """The file with Coil's probes that a process has mapped: its program or libcoil.so. Or None."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
        mapped = re.findall(r"r-xp .* (/\S+)$", maps.read(), re.MULTILINE)
    for path in dict.fromkeys([os.readlink(f"/proc/{pid}/exe"), *mapped]):
        if os.path.exists(path) and probes_of(path):
            return path
    return None


def kernel_has(subsystem, tracepoint):
    """Is there that tracepoint, and tracefs to attach to it by?"""
    roots = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
    return any(os.path.exists(f"{root}/events/{subsystem}/{tracepoint}") for root in roots)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python3 perf/probes.py FILE")
    try:
        found = probes_of(sys.argv[1])
    except OSError as error:
        sys.exit(f"perf/probes.py: cannot read {sys.argv[1]}: {error.strerror}")
    if not found:
        sys.exit(f"perf/probes.py: {sys.argv[1]} has no probes; with a shared Coil, libcoil.so has")
    print("\n".join(" ".join((name, *arguments)) for name, arguments in found))


if __name__ == "__main__":
    main()
