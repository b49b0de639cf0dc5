# SPDX-License-Identifier: MIT
"""Values of options that several commands have: what cannot be is said before all measuring."""

import argparse
import math
import os
import sys
import tempfile

COUNT_MAX = 10 ** 9


def number(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"not a number of 0 or more: {text}")
    return value


def positive(text):
    value = number(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"not above 0: {text}")
    return value


def count(text):
    if not text.isdecimal() or not 1 <= int(text) <= COUNT_MAX:
        raise argparse.ArgumentTypeError(f"not a count of 1 or more: {text}")
    return int(text)


def server(text):
    name, _, command = text.partition("=")
    if not name or not command.strip():
        raise argparse.ArgumentTypeError(f"not NAME=COMMAND, like 'mine=path/to/server': {text}")
    return text


def refuse(path, error):
    raise argparse.ArgumentTypeError(f"cannot write into {path}: {error.strerror}") from None


def output_directory(path):
    """Made if it is not there. Tried, since access(2) allows root everything."""
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        return refuse(path, error)


def output_file(path):
    """What is there stays as it is until there is something to put in its place."""
    try:
        if os.path.exists(path):
            os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
        else:
            with tempfile.TemporaryFile(dir=os.path.dirname(path) or "."):
                pass
        return path
    except OSError as error:
        return refuse(path, error)


def refuse_unknown(program, option, names, known):
    """Ends, if one of `names`, which may be None, is none of `known`."""
    unknown = [name for name in names or () if name not in known]
    if unknown:
        print(f"{program}: {option} knows no {', '.join(unknown)}; there is: "
              + ", ".join(sorted(known)), file=sys.stderr)
        sys.exit(2)
