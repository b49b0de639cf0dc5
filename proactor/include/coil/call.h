/* SPDX-License-Identifier: MIT */
/*
 * coil/call.h - have a function called on the loop's thread: soon, later, or again and again.
 *
 *     typedef struct beacon {
 *         coil_call call;
 *         int socket;
 *     } beacon;
 *
 *     coil_call_init(&beacon->call, send_beacon);               void send_beacon(coil_call *call)
 *     coil_call_every(loop, &beacon->call, coil_s(1));
 *     ...
 *     coil_call_cancel(&beacon->call);
 *
 *     idle --coil_call_soon, later, at--> pending --its turn--> idle, then run(call)
 *      ^                                   |   ^
 *      +--------coil_call_cancel()---------+   +--coil_call_every(): pending, then run(call)
 *
 * Invariants
 *   - Exactly once per schedule, never inline: run(call) is called by a later turn of the loop.
 *   - A turn begins with the calls that are due and runs only what was queued when it began, then
 *     the ready tasks, then I/O. A call that schedules itself again cannot keep I/O from happening.
 *   - First come, first served. What is due at a time runs when the clock of the turn has reached
 *     it, never early, by deadline; equal deadlines in the order of scheduling.
 *   - One appointment: scheduling a pending call moves it.
 *   - A function that is called cannot wait. It may do anything else: schedule and cancel calls,
 *     itself included, spawn and cancel tasks, stop the loop, free its own memory if it is idle.
 *
 * Pending calls do not keep a loop running: coil_loop_run() ends with the last task, and what is
 * still pending then is so in the next run. coil_loop_run_forever() is for a loop of calls only.
 * What is pending when the loop is destroyed is idle afterwards, and is never run.
 *
 * On the loop's thread, within a run and between runs, tasks and calls alike. From other threads
 * and signal handlers: coil_loop_post() (coil/loop.h).
 *
 * asyncio: call_soon, call_later, call_at, TimerHandle; Twisted: LoopingCall.
 */
#ifndef COIL_CALL_H
#define COIL_CALL_H

#include <coil/list.h>
#include <coil/loop.h>
#include <coil/timer.h>

COIL_BEGIN_DECLS

typedef struct coil_call coil_call;

/* The caller's memory. While it is pending, it must not be freed or moved. */
struct coil_call {
    void (*run)(coil_call *call);
    uint64_t missed_count; /* coil_call_every(): ticks that passed without a run. Read only. */

    /* Private. */
    coil_loop *loop;
    coil_list link;
    coil_timer timer;
    coil_duration period; /* 0: once. */
};

/* Make `call` idle. Not for a pending one. */
COIL_API void coil_call_init(coil_call *call, void (*run)(coil_call *call));

/* Run it in the next turn, behind what is queued already. */
COIL_API void coil_call_soon(coil_loop *loop, coil_call *call);

/*
 * Run it at a time of the loop's clock (coil_loop_now()), or `delay` from now. What has passed is
 * due in the next turn; COIL_NEVER and COIL_FOREVER never come, but the call is pending.
 */
COIL_API void coil_call_at(coil_loop *loop, coil_call *call, coil_time when);
COIL_API void coil_call_later(coil_loop *loop, coil_call *call, coil_duration delay);

/*
 * Run it every `period` (> 0), first in one period from now, until it is cancelled or scheduled
 * otherwise. It keeps its phase: tick n is due at n periods from now, however late the others were.
 * It does not catch up: ticks that have passed without a run are counted in `missed_count` instead.
 */
COIL_API void coil_call_every(coil_loop *loop, coil_call *call, coil_duration period);

/* It will not run. O(1). Nothing if it is idle. Its memory is the caller's again. */
COIL_API void coil_call_cancel(coil_call *call);

/* Is it still to run? In its own run(): only if it is periodic or has been scheduled anew. */
static inline bool coil_call_pending(const coil_call *call)
{
    return coil_list_linked(&call->link);
}

COIL_END_DECLS

#endif
