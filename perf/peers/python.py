#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Python's asyncio, asked what perf/micro asks Coil, with the arguments of perf/micro/measure.h."""

import asyncio
import functools
import json
import os
import random
import sys
import tempfile
import threading
import time

MANY = 1_000_000
ENOUGH_NS = 20e6
RUNS = 3
SLOW = 100_000  # From so many on, one run: a second each.
PAGE_BYTES, PAGES = 4096, 16384
CHILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "helper", "exit_zero")


async def lock(count):
    mutex = asyncio.Lock()
    start = time.perf_counter_ns()
    for _ in range(count):
        async with mutex:
            pass
    return time.perf_counter_ns() - start


async def semaphore(count):
    permits = asyncio.Semaphore(1)
    start = time.perf_counter_ns()
    for _ in range(count):
        async with permits:
            pass
    return time.perf_counter_ns() - start


async def event(count):
    happened = asyncio.Event()
    start = time.perf_counter_ns()
    for _ in range(count):
        happened.set()
        await happened.wait()
        happened.clear()
    return time.perf_counter_ns() - start


async def queue(count):
    items = asyncio.Queue(64)
    start = time.perf_counter_ns()
    for i in range(count):
        await items.put(i)
        await items.get()
    return time.perf_counter_ns() - start


async def pass_items(items, count):
    async def put_all():
        for i in range(count):
            await items.put(i)

    async def get_all():
        for _ in range(count):
            await items.get()

    start = time.perf_counter_ns()
    await asyncio.gather(put_all(), get_all())
    return time.perf_counter_ns() - start


async def queue_64_slots(count):
    return await pass_items(asyncio.Queue(64), count)


async def queue_1_slot(count):
    return await pass_items(asyncio.Queue(1), count)


async def channel_ping_pong(count):
    """There are no channels without a buffer: queues of one slot."""
    there, back = asyncio.Queue(1), asyncio.Queue(1)

    async def serve():
        for i in range(count):
            await there.put(i)
            await back.get()

    async def answer():
        for _ in range(count):
            await back.put(await there.get())

    start = time.perf_counter_ns()
    await asyncio.gather(serve(), answer())
    return time.perf_counter_ns() - start


async def yield_(count):
    async def yield_often():
        for _ in range(count // 2):
            await asyncio.sleep(0)

    start = time.perf_counter_ns()
    await asyncio.gather(yield_often(), yield_often())
    return time.perf_counter_ns() - start


async def trivial():
    pass


async def spawn_join(count):
    start = time.perf_counter_ns()
    for _ in range(count):
        await asyncio.create_task(trivial())
    return time.perf_counter_ns() - start


async def spawn_join_all(count):
    start = time.perf_counter_ns()
    tasks = [asyncio.create_task(trivial()) for _ in range(count)]
    for task in tasks:
        await task
    return time.perf_counter_ns() - start


def nothing():
    pass


async def timer_1m(count):
    loop = asyncio.get_running_loop()
    live = [loop.call_later(1000 + random.random() * 60, nothing) for _ in range(MANY)]
    start = time.perf_counter_ns()
    for _ in range(count):
        loop.call_later(1030, nothing).cancel()
    spent = time.perf_counter_ns() - start
    for timer in live:
        timer.cancel()
    return spent


async def timers_1m(count):
    """Cancelled timers stay in the heap until the loop's next turn, which is therefore in."""
    loop = asyncio.get_running_loop()
    start = time.perf_counter_ns()
    live = [loop.call_later(1000 + random.random() * 60, nothing) for _ in range(count)]
    for timer in live:
        timer.cancel()
    await asyncio.sleep(0)
    return time.perf_counter_ns() - start


async def timer_fire_1m(count):
    """Armed over the next 100 ms, until all have fired; CPU time. One run: it takes seconds."""
    loop = asyncio.get_running_loop()
    over, left = asyncio.Event(), count

    def fired():
        nonlocal left
        left -= 1
        if left == 0:
            over.set()

    start = time.process_time_ns()
    for _ in range(count):
        loop.call_later(random.random() / 10, fired)
    await over.wait()
    return time.process_time_ns() - start


@functools.cache
def pages():
    file = tempfile.TemporaryFile()
    file.write(bytes(PAGE_BYTES * PAGES))
    file.flush()
    return file


async def read_pages(at_once, count):
    """A thread of the pool reads: asyncio has no files."""
    loop = asyncio.get_running_loop()
    fd = pages().fileno()

    async def read():
        for _ in range(count // at_once):
            offset = random.randrange(PAGES) * PAGE_BYTES
            page = await loop.run_in_executor(None, os.pread, fd, PAGE_BYTES, offset)
            assert len(page) == PAGE_BYTES

    start = time.perf_counter_ns()
    await asyncio.gather(*(read() for _ in range(at_once)))
    return time.perf_counter_ns() - start


async def file_read_4k(count):
    return await read_pages(1, count)


async def file_read_4k_32(count):
    return await read_pages(32, count)


async def run_child():
    child = await asyncio.create_subprocess_exec(CHILD)  # Inherits 0, 1 and 2.
    assert await child.wait() == 0


async def spawn_children(at_once, count):
    if sys.version_info < (3, 12):  # From then on it is the default.
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)
    start = time.perf_counter_ns()
    for _ in range(count // at_once):
        await asyncio.gather(*(run_child() for _ in range(at_once)))
    return time.perf_counter_ns() - start


async def spawn_child(count):
    return await spawn_children(1, count)


async def spawn_children_50(count):
    return await spawn_children(50, count)


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


async def task_resident(count):
    over = asyncio.Event()

    async def parks():
        await over.wait()

    tasks = [None] * count
    before = resident_bytes()
    for i in range(count):
        tasks[i] = asyncio.create_task(parks())
    await asyncio.sleep(0)
    grown = resident_bytes() - before
    over.set()
    for task in tasks:
        await task
    return grown


async def post_round_trip(count):
    """call_soon_threadsafe() there and back, each loop on a core of its own."""
    near = asyncio.get_running_loop()
    started, over, left = threading.Event(), asyncio.Event(), count
    far = asyncio.new_event_loop()

    def near_gets():
        nonlocal left
        left -= 1
        if left:
            far.call_soon_threadsafe(far_gets)
        else:
            over.set()

    def far_gets():
        near.call_soon_threadsafe(near_gets)

    def run_far():
        os.sched_setaffinity(0, {min(1, os.cpu_count() - 1)})
        far.call_soon(started.set)
        far.run_forever()

    thread = threading.Thread(target=run_far)
    thread.start()
    started.wait()
    os.sched_setaffinity(0, {0})
    start = time.perf_counter_ns()
    far.call_soon_threadsafe(far_gets)
    await over.wait()
    spent = time.perf_counter_ns() - start
    far.call_soon_threadsafe(far.stop)
    thread.join()
    far.close()
    return spent


# By name: the function, how often (0: as often as takes ENOUGH_NS), the unit.
SUBJECTS = {
    "lock": (lock, 0, "ns"),
    "semaphore": (semaphore, 0, "ns"),
    "event": (event, 0, "ns"),
    "queue": (queue, 0, "ns"),
    "queue_64_slots": (queue_64_slots, 0, "ns"),
    "queue_1_slot": (queue_1_slot, 0, "ns"),
    "channel_ping_pong": (channel_ping_pong, 0, "ns"),
    "yield": (yield_, 0, "ns"),
    "spawn_join": (spawn_join, 0, "ns"),
    "spawn_join_all": (spawn_join_all, 200_000, "ns"),
    "timer_1m": (timer_1m, 200_000, "ns"),
    "timers_1m": (timers_1m, MANY, "ns"),
    "timer_fire_1m": (timer_fire_1m, MANY, "ns"),
    "file_read_4k": (file_read_4k, 4096, "ns"),
    "file_read_4k_32": (file_read_4k_32, 4096, "ns"),
    "spawn_child": (spawn_child, 100, "ns"),
    "spawn_children_50": (spawn_children_50, 100, "ns"),
    "post_round_trip": (post_round_trip, 2048, "ns"),
    "task_resident": (task_resident, 100_000, "bytes"),
}


def measure(bench):
    function, count, unit = SUBJECTS[bench]
    runs = RUNS if unit == "ns" and count < SLOW else 1
    total = asyncio.run(function(count or 64))
    if not count:
        count = 64
        while total < ENOUGH_NS:
            count *= 2
            total = asyncio.run(function(count))
    total = min([total] + [asyncio.run(function(count)) for _ in range(runs - 1)])
    result = {"bench": bench, "impl": "asyncio", "n": count, unit: round(total / count, 2)}
    print(json.dumps(result), flush=True)


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(f"{bench} asyncio" for bench in SUBJECTS))
    elif len(sys.argv) == 3 and sys.argv[1] in SUBJECTS:
        measure(sys.argv[1])
    elif len(sys.argv) == 1:
        for bench in SUBJECTS:
            measure(bench)
    else:
        sys.exit(f"usage: {sys.argv[0]} [--list | BENCH asyncio]")


if __name__ == "__main__":
    main()
