#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What do the compilers say to a misuse? Compares with table.txt.

    run.py [--update] [case...]

Each case is compiled as a user would compile it, with -Wall -Wextra, in eight ways: gcc and clang,
C and C++, with and without optimisation. `error` and `warn` are what the compiler says; `warn` is an
error under -Werror. `ok` is silence: right for what is no misuse, a gap for what is one (tests/lint
is for those). The text of a case must be found in what the first compiler that complains says.

Cases of the table that end in .c lie beside it; those with a path lie there, and must be silent
with all the warnings that this project itself is compiled with.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
TABLE = os.path.join(HERE, "table.txt")

INCLUDES = ["-I" + os.path.join(ROOT, module, "include") for module in ("core", "proactor")]
COMMON = ["-D_GNU_SOURCE", *INCLUDES, "-S", "-o", "/dev/null"]
USER = ["-Wall", "-Wextra"]
OURS = """-Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wcast-qual -Wpointer-arith
    -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wdouble-promotion -Wimplicit-fallthrough
    -Wdate-time -fno-common -fvisibility=hidden -fno-omit-frame-pointer
    -fstack-protector-strong""".split()
OURS_IN_C = """-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
    -Wbad-function-cast -Werror=implicit-function-declaration
    -Werror=incompatible-pointer-types -Werror=int-conversion""".split()
OURS_IN = {
    "gcc": OURS_IN_C + """-Werror=jump-misses-init -Wduplicated-cond -Wduplicated-branches
        -Wlogical-op -Wcast-align=strict -Wnull-dereference -Wformat-signedness -Walloc-zero
        -Wstrict-aliasing=2 -Warray-bounds=2 -Wtrampolines""".split(),
    "clang": OURS_IN_C + """-Wconditional-uninitialized -Wcast-align -Wshorten-64-to-32 -Wcomma
        -Wmissing-variable-declarations -Wunreachable-code -Wextra-semi-stmt -Wassign-enum
        -Wthread-safety""".split(),
    "g++": ["-Wuseless-cast", "-Wextra-semi"],
    "clang++": """-Wconditional-uninitialized -Wcast-align -Wshorten-64-to-32 -Wcomma
        -Wunreachable-code -Wextra-semi-stmt -Wassign-enum""".split(),
}
MODES = ["gcc-O0", "gcc-O2", "gcc-strict", "clang-O0", "clang-O2", "clang-strict", "g++-O0", "clang++-O0"]
ERRORS_MAX = 3
LEVELS = {"O0": ["-O0"], "O2": ["-O2"], "strict": ["-O2", "-DCOIL_STRICT"]}


def compile_one(case, mode):
    """What the compiler says to the case: (verdict, text)."""
    compiler, level = mode.rsplit("-", 1)
    plus = compiler.endswith("++")
    source = os.path.join(ROOT if "/" in case else HERE, case)
    command = [compiler, *COMMON, *LEVELS[level]]
    command += ["-std=gnu++17", "-x", "c++"] if plus else ["-std=gnu17"]
    command += OURS + OURS_IN[compiler] if "/" in case else USER
    said = subprocess.run(command + [source], capture_output=True, text=True,
                          env=dict(os.environ, LC_ALL="C"), check=False)
    verdict = "error" if said.returncode else "warn" if "warning:" in said.stderr else "ok"
    return verdict, said.stderr


def read_table():
    """{case: (verdicts by mode, text)}"""
    table = {}
    for line in open(TABLE, encoding="utf-8"):
        words, _, text = line.partition('"')
        words = words.split()
        if words and words[0] != "#":
            table[words[0]] = (dict(zip(MODES, words[1:])), text.strip().rstrip('"'))
    return table


def write_table(results, table):
    lines = [line for line in open(TABLE, encoding="utf-8") if line.startswith("#")]
    for case in table:
        cells = " ".join(f"{results[case, mode][0]:<{len(mode)}}" for mode in MODES)
        text = f' "{table[case][1]}"' if table[case][1] else ""
        lines.append(f"{case:<30} {cells}{text}".rstrip() + "\n")
    open(TABLE, "w", encoding="utf-8").writelines(lines)


def is_verbose(case, output):
    """An unknown name is to be said once, and not again for each use of what it is part of."""
    return case.startswith("undeclared_") and len(re.findall(r"\berror:", output)) > ERRORS_MAX


def check(case, expected, text, results):
    """The complaints about one case."""
    said = [results[case, mode] for mode in MODES if (case, mode) in results]
    for mode in MODES:
        if (case, mode) not in results:
            continue
        verdict, output = results[case, mode]
        if expected.get(mode) != verdict:
            yield f"{case}: {mode}: {verdict}, not {expected.get(mode)}\n{output}"
        if is_verbose(case, output):
            yield f"{case}: {mode}: more than {ERRORS_MAX} errors for one mistake\n{output}"
    loud = [output for verdict, output in said if verdict != "ok"]
    if text and loud and not re.search(text, loud[0]):
        yield f'{case}: nobody says "{text}"\n{loud[0]}'


def main():
    update = "--update" in sys.argv
    wanted = [word for word in sys.argv[1:] if not word.startswith("--")]
    table = read_table()
    files = {name for name in os.listdir(HERE) if name.endswith(".c")}
    missing = sorted(files - set(table))
    if missing:
        sys.exit("not in table.txt: " + " ".join(missing))

    modes = [mode for mode in MODES if shutil.which(mode.rsplit("-", 1)[0])]
    if len(modes) < len(MODES):
        print("not found:", " ".join(sorted({m.rsplit("-", 1)[0] for m in set(MODES) - set(modes)})))
    jobs = [(case, mode) for case in table for mode in modes if not wanted or case in wanted]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = dict(zip(jobs, pool.map(lambda job: compile_one(*job), jobs)))
    if update:
        write_table(results, table)
        return 0

    complaints = [complaint for case, (expected, text) in table.items()
                  if not wanted or case in wanted
                  for complaint in check(case, expected, text, results)]
    print("\n".join(complaints))
    print(f"{len(jobs)} compilations, {len(complaints)} complaints")
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
