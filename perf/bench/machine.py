# SPDX-License-Identifier: MIT
"""What the benchmarks know of the machine, and of the processes that they start on it."""

import ctypes
import math
import os
import platform
import resource
import signal
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def say(text):
    print(f"perf: {text}", file=sys.stderr, flush=True)


# ---- Cores ----


def siblings(cpu):
    """The CPUs that share a core with this one, itself included."""
    path = f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    try:
        with open(path, encoding="ascii") as file:
            text = file.read().strip()
    except OSError:
        return {cpu}
    found = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def choose_cores():
    """One for the server, another for the load: where possible not two halves of one core."""
    cpus = sorted(os.sched_getaffinity(0))
    apart = [cpu for cpu in cpus if cpu not in siblings(cpus[0])]
    return cpus[0], (apart or cpus[1:] or cpus)[0]


def pinned(cores, command):
    """`cores`: the number of one, or a list of them."""
    several = cores if isinstance(cores, (list, tuple)) else [cores]
    return ["taskset", "-c", ",".join(map(str, several))] + command


def prefer_me():
    """Lets a measured process win against the rest of the machine, as far as we are allowed to, and
    end with us, however we end."""
    os.setsid()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as autogroup:
            autogroup.write("-19")
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except OSError:
        pass


def descriptor_limit():
    """The highest that we may ask for."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def raise_descriptor_limit():
    """Ours, and so that of all that we start: 10,000 connections are more than a shell permits."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptor_limit(), descriptor_limit()))


# ---- Who else used them ----


def core_ticks(cores, stat=None):
    """(busy, stolen) CPU time of these cores so far; busy includes stolen, but no idling."""
    if stat is None:
        with open("/proc/stat", encoding="ascii") as file:
            stat = file.read()
    wanted = {f"cpu{core}" for core in cores}
    busy = stolen = 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name in wanted:
            ticks = [int(field) for field in fields[:8]]
            busy += sum(ticks) - ticks[3] - ticks[4]
            stolen += ticks[7]
    return busy, stolen


def process_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def own_ticks():
    """Ours, and that of the processes that we have waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages) * TICKS_PER_S


def tick_error(elapsed_ticks, cores):
    """/proc/stat is a sample, one for each tick: the standard deviation at worst, of half busy
    cores, in cores; and a tick for rounding."""
    return (0.5 * math.sqrt(elapsed_ticks * cores) + 1) / elapsed_ticks


class Watch:
    """How much CPU time of these cores went to others than us, our children and `pids`."""

    def __init__(self, cores, pids=()):
        self.cores, self.pids = cores, pids
        self.start = time.monotonic()
        self.before = self._ticks()

    def _ticks(self):
        ours = own_ticks() + sum(process_ticks(pid) for pid in self.pids)
        return core_ticks(self.cores) + (ours,)

    def others(self):
        """What to put into a result: cores used by others, and the stolen part of that."""
        busy, stolen, ours = (now - then for now, then in zip(self._ticks(), self.before))
        elapsed_ticks = max(1.0, (time.monotonic() - self.start) * TICKS_PER_S)
        return {"others_cores": round(max(0.0, busy - ours) / elapsed_ticks, 3),
                "others_error": round(tick_error(elapsed_ticks, len(self.cores)), 3),
                "stolen_cores": round(stolen / elapsed_ticks, 3)}


# ---- Running ----

STUCK = 124  # the exit status of what did not end in time


def run(command, limit_s=120):
    """(exit status, stdout) of a program that is measured or measures."""
    try:
        done = subprocess.run(command, preexec_fn=prefer_me, stdout=subprocess.PIPE, text=True,
                              timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return STUCK, ""
    return done.returncode, done.stdout


# ---- Names and versions ----


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as cpuinfo:
        models = [line.partition(":")[2].strip() for line in cpuinfo
                  if line.startswith("model name")]
    model = models[0] if models else "unknown CPU"
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}"


def package_version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.partition(":")[2] or done.stdout
