# SPDX-License-Identifier: MIT
"""How the cost of timers and tasks grows with those that live: many/growth.c, a few times."""

import json
import os
import subprocess

from ..machine import pinned, prefer_me, say


def run(options):
    program = os.path.join(options.programs, "many", "growth")
    results = []
    for number in range(options.rounds):
        done = subprocess.run(
            pinned(options.cores[0], [program, "--to", str(options.live_to)]), preexec_fn=prefer_me,
            stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            say(f"growth ended with status {done.returncode}")
            continue
        results += [{"kind": "live", "round": number, **json.loads(line)}
                    for line in done.stdout.splitlines()]
    return results
