# SPDX-License-Identifier: MIT
"""Where the project lies, and what of it the benchmarks need built."""

import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RELEASE = os.path.join(ROOT, "build", "release")
TARGETS = ["perf_programs", "example_echo"]


def build(directory):
    """Coil with its benchmarks, and the example that is its echo server."""
    if not os.path.exists(os.path.join(directory, "CMakeCache.txt")):
        configure = ["cmake", "-S", ROOT, "-B", directory, "-DCMAKE_BUILD_TYPE=RelWithDebInfo"]
        if shutil.which("ninja"):  # As the preset: else that would refuse this directory later.
            configure += ["-G", "Ninja"]
        subprocess.run(configure, check=True, stdout=sys.stderr)
    command = ["cmake", "--build", directory, "-j", str(os.cpu_count()), "--target"]
    subprocess.run(command + TARGETS, check=True, stdout=sys.stderr)


def build_if_wanted(options, program):
    """With --no-build only see that `program` of perf/bin is there."""
    if not options.no_build:
        build(options.build)
    elif not os.path.exists(os.path.join(options.build, "perf", "bin", program)):
        sys.exit(f"perf/{os.path.basename(sys.argv[0])}: {options.build} is not built: "
                 "run without --no-build")
