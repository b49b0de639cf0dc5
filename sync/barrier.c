/* SPDX-License-Identifier: MIT */
#include <coil/barrier.h>

#include <coil/check.h>
#include <coil/waiter.h>

#include <errno.h>

void coil_barrier_init(coil_barrier *barrier, int party_count)
{
    COIL_CHECK(party_count > 0);
    barrier->party_count = party_count;
    barrier->arrived_count = 0;
    barrier->broken = false;
    coil_list_init(&barrier->waiters);
}

void coil_barrier_fini(coil_barrier *barrier)
{
    COIL_CHECK(coil_list_empty(&barrier->waiters));
}

static void turn_away(coil_barrier *barrier)
{
    barrier->arrived_count = 0;
    coil_waiter_grant_all(&barrier->waiters, -EPIPE);
}

void coil_barrier_abort(coil_barrier *barrier)
{
    barrier->broken = true;
    turn_away(barrier);
}

void coil_barrier_reset(coil_barrier *barrier)
{
    barrier->broken = false;
    turn_away(barrier);
}

/* The list is in the order of arrival, and nobody leaves it before the end. */
static void release_all(coil_barrier *barrier)
{
    coil_waiter *waiter;

    barrier->arrived_count = 0;
    for (int index = 0; (waiter = coil_waiter_first(&barrier->waiters)) != NULL; index++)
        coil_waiter_grant(waiter, index);
}

static coil_turn wait_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);

    coil_barrier *barrier = coil_arguments(coil_barrier_wait, leaf)->barrier;
    if (coil_task_refuses(task)) {
        coil_barrier_abort(barrier);
        return coil_leave(task, leaf);
    }
    if (barrier->broken) {
        coil_result(coil_barrier_wait, leaf) = -EPIPE;
        return coil_leave(task, leaf);
    }
    if (++barrier->arrived_count == barrier->party_count) {
        coil_result(coil_barrier_wait, leaf) = barrier->party_count - 1;
        release_all(barrier);
        return coil_leave(task, leaf);
    }
    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, &barrier->waiters, task, leaf);
}

static void wait_cancel(coil_task *task, coil_frame *leaf)
{
    (void)task;
    if (coil_waiter_withdraw(leaf))
        coil_barrier_abort(coil_arguments(coil_barrier_wait, leaf)->barrier);
}

coil_define_leaf(coil_barrier_wait, wait_step, wait_cancel);
