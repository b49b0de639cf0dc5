/* SPDX-License-Identifier: MIT */
/*
 * coil/recorder.h - a flight recorder: the last that a loop and the kernel have said to each other.
 *
 *     COIL_RECORDER=4096 COIL_RECORDER_FILE=/var/tmp/service.%p ./service
 *
 * Every entry of the submission queue and of the completion queue of a loop is kept, with its time,
 * in a ring that holds the last 4096 of them, say. It is written when somebody asks for it
 * (coil/dump.h asks, too) and when the program crashes; and what was written can be imposed on the
 * program in the simulation (coil_sim_replay() in coil/sim.h, --replay in coil/sim_scenario.h), as
 * often as one likes.
 *
 *     off ──coil_recorder_start()──► on: each enter of the kernel is noted
 *      ▲                              │ coil_recorder_write(), coil_recorder_print(), a crash
 *      └──────coil_recorder_stop()────┘
 *
 * Off, it costs nothing: the loop calls the kernel by a pointer, and the recorder puts itself
 * there. On, an entry takes some nanoseconds, and each enter two readings of the clock; nothing is
 * allocated but for operations that are in flight for longer than the ring remembers.
 *
 * Not recorded: contents of buffers, paths, addresses; timers; and what a loop does by direct
 * system calls (a send(2) or recv(2) that is tried at once, getsockopt(2), clone(2)).
 *
 * What is written is lines of text, of version 1. Fields are separated by one space; a reader skips
 * lines that it does not know:
 *
 *     coil recording 1
 *     loop 1 started 5.000000000 first 1 count 6 before 0 0
 *     1 0.000001200 1 submit poll fd 4 size 1 flags 0x1
 *     2 0.000001200 1 submit recv fd 7 size 4096 flags 0x0
 *     3 0.000114300 1 complete 1 poll fd 4 = 1 flags 0x2
 *     4 0.000121000 2 submit cancel of 2 size 0 flags 0x0
 *     5 0.000150000 2 complete 2 recv fd 7 = ECANCELED flags 0x0
 *     6 0.000150000 2 complete - cancel = EALREADY flags 0x0
 *     end 6
 *
 * - `loop` counts the loops of the process. `started` is the time of coil/time.h at which recording
 *   began, in seconds. There are `count` entries, the first of which has the number `first`. So
 *   many submissions and completions the loop had had `before` that, whether they were overwritten
 *   or not recorded.
 * - An entry has its number, the seconds since recording began, the turn (how often the loop had
 *   entered the kernel, modulo 2^24) and what it is.
 * - A submission: the opcode; `fd`, or `direct` for a direct descriptor; the length (sqe->len). For
 *   reads and writes of files the offset follows (`at`), for a cancellation the number of the entry
 *   that submitted what is to end (`of`; 0: all; `-`: not known), else the flags: those of the
 *   operation, and above them sqe->ioprio.
 * - A completion: the number of the entry that submitted it (`-`: not known, because that was
 *   before the recorder was started, or there was no memory to remember it), opcode and descriptor
 *   from there, the result as a number or the name of the errno, and cqe->flags.
 * - `end` has the number of the last entry. Without it the writer did not get that far.
 *
 * Corresponds to nothing in Python's asyncio.
 */
#ifndef COIL_RECORDER_H
#define COIL_RECORDER_H

#include <coil/loop.h>

#include <stddef.h>
#include <stdio.h>

COIL_BEGIN_DECLS

enum {
    COIL_RECORDER_ENTRIES = 4096, /* That is 128 KiB, and some milliseconds of a busy loop. */
    COIL_RECORDER_ENTRIES_MAX = 1 << 24,
};

/*
 * From now on the last `entries` entries are kept: a power of two, else the next one is taken; 0
 * for COIL_RECORDER_ENTRIES. On the thread of the loop, also while it runs. Operations that are in
 * flight by now are not known.
 *
 * With COIL_RECORDER in the environment, each new loop does so: the number of entries, or 1 for the
 * usual one. It also calls coil_recorder_on_crash() with COIL_RECORDER_FILE.
 *
 * 0; -EALREADY, it is on; -EINVAL, more than COIL_RECORDER_ENTRIES_MAX; -ENOMEM.
 */
COIL_API int coil_recorder_start(coil_loop *loop, size_t entries);

/* Forget it all. Nothing if it is off. On the thread of the loop, which does so when it ends. */
COIL_API void coil_recorder_stop(coil_loop *loop);

/*
 * Write all entries to a descriptor, in the calling thread. 0; -ENOENT, it is off; or the error of
 * write(2). On the thread of the loop; in its signal handlers, too.
 */
COIL_API int coil_recorder_write(const coil_loop *loop, int fd);

/* The last `count` entries to a stream: a recording that begins there. Nothing if it is off. */
COIL_API void coil_recorder_print(const coil_loop *loop, size_t count, FILE *out);

/*
 * When the process gets SIGABRT (a COIL_CHECK() that fails, abort(3)), SIGSEGV, SIGBUS, SIGFPE or
 * SIGILL, append the recordings of all loops to the file `path`, in which %p stands for the process
 * id; then the process ends as it would have, or what has handled the signal before does so. NULL:
 * the last 100 entries of each to stderr; so if the file cannot be written, after a line that says
 * why. The text is kept, not copied. Dumps (coil/dump.h) append to that file, too. May be called
 * again, for another file.
 *
 * Other loops run on while theirs are written: their oldest entries may be younger ones.
 *
 * 0, or the error of sigaction(2). Any thread, before it happens.
 */
COIL_API int coil_recorder_on_crash(const char *path);

COIL_END_DECLS

#endif
