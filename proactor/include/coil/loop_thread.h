/* SPDX-License-Identifier: MIT */
/*
 * coil/loop_thread.h - a loop in a thread of its own, beside a program that is not written with
 * coroutines, or beside other loops (coil/runtime.h has many of them).
 *
 *     coil_loop_thread thread;
 *     rc = coil_loop_thread_start(&thread, NULL, reason);
 *     coil_remote_start(&remote, thread.loop, &page, fetch(url));      coil/remote.h
 *     rc = coil_remote_wait(&remote, coil_s(5));
 *     coil_loop_thread_stop(&thread, coil_s(10));
 *
 *     start(): thread, loop, running --stop()--> draining --grace is over--> cancelled --> joined
 *
 * Invariants
 *   - When start() returns, the loop runs, or there is neither loop nor thread, and a reason.
 *   - The loop runs until it is stopped, whether it has tasks or not. The failure of a root task is
 *     not that of the others. coil_loop_stop() on it is the end without grace; the thread is still
 *     to be joined.
 *   - From stop() on, calls from other threads end with -ESHUTDOWN, once the tasks that run have
 *     ended; this holds until the memory of the coil_loop_thread ends (coil_loop_thread_fini()).
 *
 * asyncio: a thread with run_forever(), without its two well-known races (started? stopped?).
 */
#ifndef COIL_LOOP_THREAD_H
#define COIL_LOOP_THREAD_H

#include <coil/kernel.h>
#include <coil/loop.h>
#include <coil/shutdown.h>

#include <pthread.h>
#include <signal.h>

COIL_BEGIN_DECLS

typedef struct coil_loop_thread coil_loop_thread;

/* Zero means the default. */
typedef struct coil_loop_thread_options {
    const char *name; /* At most 15 bytes of it are shown: "coil". */
    bool is_pinned;   /* To run on `cpu` only. */
    int cpu;
    bool takes_signals; /* Inherit the signal mask; else all are blocked but those of faults. */
    /* On the thread, before the loop runs: spawn root tasks. A negative result is that of start. */
    int (*prepare)(coil_loop_thread *thread);
} coil_loop_thread_options;

/* The caller's memory, from the start to coil_loop_thread_fini(). It must not move. */
struct coil_loop_thread {
    coil_loop *loop; /* Of the running thread; after the stop it refuses. Read only. */

    /* Private. */
    const coil_loop_thread_options *options; /* During the start. */
    char *reason;
    coil_kernel_thread thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool has_started;
    bool is_running;
    bool takes_signals;
    sigset_t signals; /* The mask of whoever has started it. */
    int error;
    coil_duration grace;
    coil_post stop;
};

/*
 * Start a thread with a loop that runs. `options` may be NULL. On failure there is nothing to stop
 * or to end, and `out_reason`, unless NULL, receives a line of at most COIL_REASON_BYTES. The
 * errors of coil_loop_create(); -EAGAIN, there can be no further thread; -EINVAL, a CPU that this
 * process may not use; -ENOMEM; that of `prepare`.
 */
COIL_API int coil_loop_thread_start(
        coil_loop_thread *thread, const coil_loop_thread_options *options, char *out_reason);

/*
 * End the loop: its shutdown is requested (coil/shutdown.h), its tasks have `grace` to end by
 * themselves, then all are cancelled and awaited; tasks that do not end are named on stderr. The
 * thread is joined. Once, from any thread but that one. COIL_CHECK.
 */
COIL_API void coil_loop_thread_stop(coil_loop_thread *thread, coil_duration grace);

/* The end of the memory, after the stop. Nobody may use the loop any more. */
COIL_API void coil_loop_thread_fini(coil_loop_thread *thread);

COIL_END_DECLS

#endif
