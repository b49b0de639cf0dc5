/* SPDX-License-Identifier: MIT */
#include <coil/test_loop.h>

#include "loop_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdio.h>

int coil_test_loop_create(coil_loop **out_loop, char *out_reason)
{
    coil_loop *loop = NULL;
    int rc = coil_loop_create(&loop, out_reason);
    if (rc < 0)
        return rc;
    loop_debug_end(loop);
    coil_sched_fini(&loop->sched);
    loop->is_virtual = true;
    loop->chores |= LOOP_IS_VIRTUAL;
    loop_begin(loop, COIL_TEST_EPOCH);
    if ((rc = loop_debug_from_environment(loop)) < 0) {
        coil_loop_destroy(loop);
        return rc;
    }
    loop->virtual_now = COIL_TEST_EPOCH;
    loop->worker_patience = coil_s(1);
    loop->last_patience = coil_s(10);
    *out_loop = loop;
    return 0;
}

void coil_test_patience(coil_loop *loop, coil_duration patience)
{
    COIL_CHECK(loop->is_virtual);
    loop->patience = patience;
}

/* Wait for a completion, in real time. Signals and the like do not make it shorter. */
static bool comes_within(coil_loop *loop, coil_duration patience)
{
    uint64_t before = loop->stats.completions;
    coil_time end = coil_time_after(coil_kernel_now(), patience);
    coil_time until = RING_NO_WAIT; /* First what is there already. */
    do {
        loop_exchange(loop, until);
        if (loop->stats.completions != before || loop_has_mail(loop))
            return true;
        until = end;
    } while (patience > 0 && coil_kernel_now() < end &&
             !__atomic_load_n(&loop->stopping, __ATOMIC_RELAXED));
    return false;
}

static coil_duration patience_of(const coil_loop *loop, coil_time next)
{
    if (next == COIL_NEVER && loop->goal != LOOP_UNTIL_SETTLED)
        return loop->last_patience;
    if (loop->worker_count > 0 && loop->patience < loop->worker_patience)
        return loop->worker_patience;
    return loop->patience;
}

void loop_wait_virtually(coil_loop *loop)
{
    coil_time next = coil_sched_next(&loop->sched);
    bool is_due = next <= loop->virtual_now; /* A sleep of 0 takes a turn, and no time. */
    if (comes_within(loop, is_due ? 0 : patience_of(loop, next)) || is_due)
        return;
    if (loop->goal == LOOP_UNTIL_SETTLED) {
        loop->is_settled = true;
    } else if (next != COIL_NEVER) {
        loop->virtual_now = next;
    } else if (!__atomic_load_n(&loop->stopping, __ATOMIC_RELAXED)) {
        fprintf(stderr, "coil: nothing happens on the test loop any more; its tasks:\n");
        coil_loop_print_tasks(loop, stderr);
        loop->is_hung = true;
    }
}

void coil_test_settle(coil_loop *loop)
{
    COIL_CHECK(loop->is_virtual);
    loop->is_settled = false;
    while (!loop_drive(loop, LOOP_UNTIL_SETTLED))
        continue; /* It has been stopped. */
}

void coil_test_pass(coil_loop *loop, coil_duration duration)
{
    COIL_CHECK(duration >= 0);
    coil_time end = coil_time_after(loop->virtual_now, duration);
    COIL_CHECK(end != COIL_NEVER);
    coil_test_settle(loop);
    for (coil_time next; (next = coil_sched_next(&loop->sched)) <= end;) {
        if (next > loop->virtual_now)
            loop->virtual_now = next;
        coil_test_settle(loop);
    }
    loop->virtual_now = end;
    coil_test_settle(loop);
}
