#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every mistake in a file is reported where it is, and nothing else is.

usage: mistakes.py COIL_THRIFT [--compatible-with OLD] FILE...

A comment `// LINE:COLUMN text` in a file says that an error is reported there, whose message contains
the text. Under the message are the line and a caret in the very column. In a comparison with an old
file the text may begin with "warning: ".
"""
import re
import subprocess
import sys
from pathlib import Path


def errors_of(program, words, path):
    result = subprocess.run([program, *(words or ["--quiet"]), path], capture_output=True, text=True)
    lines = result.stderr.splitlines()
    errors = {}
    for index, line in enumerate(lines):
        match = re.fullmatch(re.escape(path) + r":(\d+):(\d+): (?:error: )?((?!note).*)", line)
        if match:
            shown = lines[index + 1].partition("| ")[2]
            caret = lines[index + 2].partition("| ")[2].index("^") + 1
            errors[int(match[1]), int(match[2])] = (match[3], shown, caret)
    return result.returncode, errors


def check(program, words, path):
    text = Path(path).read_text().splitlines()
    expected = {(int(line), int(column)): message for line, column, message in
                re.findall(r"^// (\d+):(\d+) (.*)$", "\n".join(text), re.MULTILINE)}
    status, found = errors_of(program, words, path)
    for place in sorted(set(expected) | set(found)):
        message, shown, caret = found.get(place, ("nothing", None, None))
        if place not in expected:
            yield f"{place}: did not expect: {message}"
        elif expected[place] not in message:
            yield f"{place}: expected '{expected[place]}', found: {message}"
        elif caret != place[1] or shown != (text + [""])[place[0] - 1]:
            yield f"{place}: the caret is in column {caret} of '{shown}'"
    if status != 1 or not expected:
        yield f"exit status {status} with {len(expected)} expected errors"


def main():
    program, *paths = sys.argv[1:]
    words = []
    if paths[0] == "--compatible-with":
        words, paths = paths[:2], paths[2:]
    failed = False
    for path in paths:
        for problem in check(program, words, path):
            failed = True
            print(f"{path}: {problem}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
