/* SPDX-License-Identifier: MIT */
/*
 * coil/timeout.h - a deadline that can be looked at and moved.
 *
 *     coil_async (int, session, (coil_stream *) peer)
 *     {
 *         coil_vars (coil_timeout idle; coil_slice line;);
 *
 *         coil_open_timeout(&my->idle, coil_s(30));            from here to the end: -ETIME
 *         for (;;) {
 *             coil_attempt(my->line, coil_read_until(peer, '\n', 4096));
 *             coil_timeout_extend(&my->idle, coil_s(30));      something came: 30 more seconds
 *             ...
 *
 * For a deadline around one call that stays where it is, coil_within() and coil_until() are
 * shorter. They are the same thing, and nest with these; the outermost that has passed wins.
 *
 *     open --deadline passes--> expired: the coroutine that opened it is unwound, result -ETIME
 *       |
 *       +--the coroutine leaves--> gone
 *
 * (asyncio: timeout(), timeout_at(), Timeout.when(), .reschedule(), .expired())
 *
 * Not thread safe.
 */
#ifndef COIL_TIMEOUT_H
#define COIL_TIMEOUT_H

#include <coil/task.h>
#include <coil/timer.h>

COIL_BEGIN_DECLS

typedef struct coil_timeout coil_timeout;

/* In the vars of the coroutine that opens it. */
struct coil_timeout {
    bool expired; /* Its deadline has passed while it was open. Read only. */

    /* Private. */
    coil_timer timer;
    coil_task *task;
    coil_frame *frame; /* Whom it unwinds. NULL: it is not open. */
    coil_time deadline;
};

/*
 * Inside a coroutine: cancel it if it is still there after `duration`, or at the time `deadline`.
 * Its defers run, and its result is -ETIME (see coil/coro.h, rule 5). COIL_FOREVER and COIL_NEVER:
 * not yet. As for a group, `timeout` must live in its vars or in memory that outlives it.
 */
#define coil_open_timeout(timeout, duration) \
    coil_timeout_open(                       \
            co__t, &co__f->co__h, (timeout), coil_time_after(coil_task_now(co__t), (duration)))
#define coil_open_timeout_at(timeout, deadline) \
    coil_timeout_open(co__t, &co__f->co__h, (timeout), (deadline))

/*
 * Move the deadline, from anywhere on the thread: to `deadline`, or to `duration` from now. 0;
 * -ETIME, it has expired already; -ENOENT, it is not open any more.
 */
COIL_API int coil_timeout_move(coil_timeout *timeout, coil_time deadline);
COIL_API int coil_timeout_extend(coil_timeout *timeout, coil_duration duration);

/* Its deadline; COIL_NEVER if there is none, or if it is not open any more. */
COIL_API coil_time coil_timeout_deadline(const coil_timeout *timeout);

/* Behind the macros. */
COIL_API void coil_timeout_open(
        coil_task *task, coil_frame *frame, coil_timeout *timeout, coil_time deadline);

COIL_END_DECLS

#endif
