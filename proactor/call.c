/* SPDX-License-Identifier: MIT */
#include <coil/call.h>

#include "loop_private.h"

#include <stdio.h>
#include <stdlib.h>

static void queue(coil_loop *loop, coil_call *call)
{
    coil_list_append(&loop->calls_soon, &call->link);
    loop->chores |= LOOP_HAS_CALLS;
}

/* Its time has come: it runs in this turn, behind what is queued already. */
static void fire(coil_timer *timer)
{
    coil_call *call = coil_container_of(timer, coil_call, timer);
    coil_list_remove(&call->link);
    queue(call->loop, call);
}

void coil_call_init(coil_call *call, void (*run)(coil_call *call))
{
    *call = (coil_call){.run = run};
    coil_list_init(&call->link);
    coil_timer_init(&call->timer, fire);
}

void coil_call_cancel(coil_call *call)
{
    if (!coil_call_pending(call))
        return;
    coil_list_remove(&call->link);
    coil_timer_disarm(&call->loop->sched.wheel, &call->timer);
    call->period = 0;
}

static void arm(coil_call *call, coil_time deadline)
{
    coil_list_append(&call->loop->calls_timed, &call->link);
    coil_timer_arm(&call->loop->sched.wheel, &call->timer, deadline);
}

/* The loop that `call`, of which nothing is scheduled now, is to run on. */
static void begin(coil_loop *loop, coil_call *call)
{
    if (coil_loop_is_running(loop) && coil_loop_current() != loop) {
        fprintf(stderr, "coil: a call is scheduled on a loop that another thread runs: use "
                        "coil_loop_post()\n");
        abort();
    }
    if (coil_unlikely(loop->is_gone)) {
        fprintf(stderr, "coil: a call is scheduled on a loop that has been destroyed\n");
        abort();
    }
    coil_call_cancel(call);
    call->loop = loop;
    call->period = 0;
    call->missed_count = 0;
}

void coil_call_soon(coil_loop *loop, coil_call *call)
{
    begin(loop, call);
    queue(loop, call);
}

void coil_call_at(coil_loop *loop, coil_call *call, coil_time when)
{
    begin(loop, call);
    arm(call, when);
}

void coil_call_later(coil_loop *loop, coil_call *call, coil_duration delay)
{
    loop_touch(loop);
    coil_call_at(loop, call, coil_time_after(coil_sched_now(&loop->sched), delay));
}

void coil_call_every(coil_loop *loop, coil_call *call, coil_duration period)
{
    COIL_CHECK(period > 0);
    coil_call_later(loop, call, period);
    call->period = period;
}

/* The next tick that is still to come; those that have passed meanwhile are missed. */
static void rearm(coil_call *call)
{
    coil_time due = call->timer.deadline;
    coil_duration late = coil_sched_now(&call->loop->sched) - due;
    if (late >= call->period) {
        call->missed_count += (uint64_t)(late / call->period);
        due += late / call->period * call->period;
    }
    arm(call, coil_time_after(due, call->period));
}

/* What is scheduled from now on runs in the next turn: calls cannot keep I/O from happening. */
void loop_run_calls(coil_loop *loop)
{
    coil_list *queued = &loop->calls_soon;
    loop->chores &= (uint8_t)~LOOP_HAS_CALLS;
    coil_list_append(queued, &loop->calls_now); /* As the mark behind the last of them, */
    coil_list_remove(queued);                   /* and then as the head. */
    for (coil_list *link; (link = coil_list_take_first(&loop->calls_now)) != NULL;) {
        coil_call *call = coil_container_of(link, coil_call, link);
        if (call->period > 0)
            rearm(call);
        call->run(call); /* Which may free it. */
    }
}

static void drop(coil_list *calls)
{
    while (!coil_list_empty(calls))
        coil_call_cancel(coil_container_of(calls->next, coil_call, link));
}

void loop_drop_calls(coil_loop *loop)
{
    drop(&loop->calls_soon);
    drop(&loop->calls_now);
    drop(&loop->calls_timed);
}
