/* SPDX-License-Identifier: MIT */
/*
 * One turn of the loop (docs/ARCHITECTURE.md). With one connection that is busy there is a turn per
 * request: so what is rare is asked for together, by one look at `chores`, and what a completion
 * goes through is inline.
 */
#include "loop_private.h"
#include "receiver_private.h"

#include <coil/round.h>

enum {
    BUDGET = 1024,    /* Resumptions per turn, before completions are looked at again. */
    BATCH_MEMORY = 8, /* Turns. */
    BATCH_LEAST = 8,
};

/* Two callers each, of which one is hot. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* ----------------------------------------------------------------------------- completions -- */

/*
 * While many completions come at a time, a wait hopes for half as many: each time that the loop
 * falls asleep for less costs more than what it would do meanwhile.
 */
static COIL_NOINLINE void adapt_batch(coil_loop *loop, unsigned count)
{
    if (loop->ring.wait_region == NULL)
        return;
    loop->typical_batch += count - loop->typical_batch / BATCH_MEMORY;
    unsigned batch = loop->typical_batch / BATCH_MEMORY;
    loop->ring.batch = batch >= BATCH_LEAST ? batch / 2 : 1;
}

/*
 * Not an earlier life of its memory? That may have been given back; it can be read all the same
 * (core/slab.c), which AddressSanitizer does not know.
 */
static inline COIL_UNINSTRUMENTED bool is_awaited(const coil_op *op, const struct io_uring_cqe *cqe)
{
    return (uint16_t)cqe->user_data == op->generation && op->state == OP_IN_FLIGHT;
}

/* The completion at `head` has arrived; the last of them is before `tail`. */
static ALWAYS_INLINE void complete(coil_loop *loop, unsigned head, unsigned tail)
{
    const struct io_uring_cq *cq = &loop->ring.uring.cq;
    const struct io_uring_cqe *cqe = &cq->cqes[head & cq->ring_mask];

    if ((cqe->user_data & OP_TAG_MASK) != OP_TAG_OP)
        return; /* The outcome of a cancellation; or it was to wake us up, no more. */

    coil_op *op = op_named(cqe->user_data);
    if (coil_unlikely(!is_awaited(op, cqe))) {
        loop->stats.stale++;
        return;
    }
    const op_kind *kind = op->kind;
    COIL_PROBE(complete, op, cqe->res, cqe->flags, kind->name, op->task);
    if (coil_likely(kind == &receiver_ring_kind) &&
            receiver_complete_usual(loop, op, cqe, head, tail))
        return;
    if (coil_likely(cqe->flags & IORING_CQE_F_MORE)) {
        kind->complete(op, cqe->res, cqe->flags);
    } else {
        op_complete_last(op, cqe->res, cqe->flags);
    }
}

static ALWAYS_INLINE void reap(coil_loop *loop)
{
    const struct io_uring_cq *cq = &loop->ring.uring.cq;
    unsigned head = *cq->khead;
    unsigned tail = __atomic_load_n(cq->ktail, __ATOMIC_ACQUIRE);

    loop->stats.completions += tail - head;
    if (coil_unlikely(tail - head != loop->typical_batch / BATCH_MEMORY))
        adapt_batch(loop, tail - head); /* (Else it is as typical as can be.) */
    for (; head != tail; head++)
        complete(loop, head, tail);
    __atomic_store_n(cq->khead, head, __ATOMIC_RELEASE);
}

void loop_reap(coil_loop *loop)
{
    reap(loop);
}

/* --------------------------------------------------------------------------------- waiting -- */

/*
 * The loop says that it is about to sleep, and then looks for messages; others leave a message, and
 * then look whether it sleeps. All of this is sequentially consistent, so one of them sees the
 * other.
 */
static inline bool fall_asleep(coil_loop *loop)
{
    __atomic_store_n(&loop->asleep, true, __ATOMIC_SEQ_CST);
    if (coil_likely(!loop_has_mail(loop)))
        return true;
    __atomic_store_n(&loop->asleep, false, __ATOMIC_RELAXED);
    return false;
}

static ALWAYS_INLINE void exchange(coil_loop *loop, coil_time deadline)
{
    bool wait = deadline > RING_NO_WAIT && fall_asleep(loop);
    watch_beat(&loop->watch, WATCH_WAITS);
    COIL_CHECK(ring_enter(&loop->ring, wait ? deadline : RING_NO_WAIT) == 0);
    watch_beat(&loop->watch, WATCH_RUNS + loop->stats.turns);
    if (wait)
        __atomic_store_n(&loop->asleep, false, __ATOMIC_RELAXED);
    reap(loop);
}

void loop_exchange(coil_loop *loop, coil_time deadline)
{
    exchange(loop, deadline);
}

/* Until when there is nothing to do but to wait for events. */
static inline coil_time next_deadline(coil_loop *loop)
{
    coil_time deadline = COIL_NEVER;
    if (coil_unlikely(!coil_timer_wheel_rests(&loop->sched.wheel)))
        deadline = coil_sched_next(&loop->sched);
    if (coil_unlikely(coil_sched_has_excess(&loop->sched)))
        deadline = loop_scavenge(loop, deadline);
    return deadline;
}

/* There is more to do, or the run is over: submit, and do not wait. */
static void go_on(coil_loop *loop, bool busy)
{
    if (!busy && loop->sched.live_count == 0)
        return; /* Over, and nobody is left. */
    if (ring_unsubmitted(&loop->ring) > 0 || ring_needs_enter(&loop->ring))
        loop_exchange(loop, RING_NO_WAIT);
}

/* ----------------------------------------------------------------------------------- turns -- */

static bool stopping(const coil_loop *loop)
{
    return __atomic_load_n(&loop->stopping, __ATOMIC_ACQUIRE);
}

/* A turn after which there is something else to do than to wait, or another way to wait. */
static COIL_NOINLINE void end_turn(coil_loop *loop, bool is_last)
{
    coil_time deadline = COIL_NEVER;
    const bool busy = !coil_sched_idle(&loop->sched) || !coil_list_empty(&loop->calls_soon);

    if (loop->chores & LOOP_HAS_QUEUED)
        op_drain(loop);
    if (loop->chores & LOOP_IS_MEASURED)
        loop_metrics_end_turn(loop);
    if (busy || is_last) {
        go_on(loop, busy);
    } else if (loop->is_virtual) {
        loop_wait_virtually(loop);
    } else {
        deadline = next_deadline(loop);
        loop_exchange(loop, deadline);
    }
    if (loop->chores & LOOP_IS_MEASURED)
        loop_metrics_begin_turn(loop, deadline);
}

/* True: it may have been the last one. */
static inline bool turn(coil_loop *loop)
{
    __asm__("" : "+r"(loop)); /* Else addresses of its members are kept on the stack. */
    loop->stats.turns++;
    if (!coil_sched_spare_clock(&loop->sched, &loop->clock))
        coil_sched_advance(&loop->sched, loop_clock(loop));
    if (coil_unlikely(loop_has_mail(loop)))
        loop_run_posted(loop);
    if (coil_unlikely(loop->chores & LOOP_HAS_CALLS))
        loop_run_calls(loop);
    (void)coil_sched_round(&loop->sched, BUDGET);
    bool is_last = loop_has_reached_goal(loop) || stopping(loop);
    __atomic_store_n(&loop->load, loop->sched.live_count, __ATOMIC_RELAXED);
    if (coil_unlikely(!coil_sched_idle(&loop->sched) || is_last || loop->chores != 0)) {
        end_turn(loop, is_last);
        return is_last || loop->is_virtual || stopping(loop);
    }
    exchange(loop, next_deadline(loop));
    return stopping(loop);
}

static void turn_to_goal(coil_loop *loop)
{
    while (!loop_has_reached_goal(loop)) {
        while (!turn(loop))
            continue;
        if (stopping(loop) || loop->is_hung)
            return;
    }
}

void loop_turn_to_goal(coil_loop *loop)
{
    const coil_sched_place outer = coil_sched_enter(&loop->sched);
    turn_to_goal(loop);
    coil_sched_leave(&outer);
}
