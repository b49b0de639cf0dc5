/* SPDX-License-Identifier: MIT */
#include <coil/waiter.h>

#include <coil/check.h>

#include <errno.h>

coil_turn coil_waiter_suspend(
        coil_waiter *waiter, coil_list *waiters, coil_task *task, coil_frame *leaf)
{
    waiter->task = task;
    waiter->state = COIL_WAITER_WAITING;
    coil_list_append(waiters, &waiter->link);
    leaf->vars = waiter;
    return coil_leaf_suspend(leaf);
}

static void decide(coil_waiter *waiter, coil_waiter_state state, int result)
{
    waiter->state = state;
    waiter->result = result;
    coil_list_remove(&waiter->link);
    coil_task_wake(waiter->task);
}

static COIL_COLD void grant_candidate(coil_waiter *waiter, int result)
{
    COIL_CHECK(waiter->state == COIL_WAITER_SELECTING); /* Else it is granted twice. */
    coil_candidate *candidate =
            coil_container_of(coil_exchange_of(waiter), coil_candidate, exchange);
    candidate->grant(candidate, result);
}

void coil_waiter_grant(coil_waiter *waiter, int result)
{
    if (coil_likely(waiter->state == COIL_WAITER_WAITING)) {
        decide(waiter, COIL_WAITER_GRANTED, result);
    } else {
        grant_candidate(waiter, result);
    }
}

coil_turn coil_waiter_step(coil_task *task, coil_frame *leaf)
{
    const coil_waiter *waiter = leaf->vars;

    if (waiter->state == COIL_WAITER_WAITING)
        return COIL_WAIT; /* Somebody woke the task for a reason of his own. */
    if (waiter->state == COIL_WAITER_WITHDRAWN)
        (void)coil_task_unwind_here(task);
    return coil_leave_with(task, leaf, waiter->result);
}

bool coil_waiter_withdraw(coil_frame *leaf)
{
    coil_waiter *waiter = leaf->vars;

    if (waiter->state != COIL_WAITER_WAITING)
        return false;
    decide(waiter, COIL_WAITER_WITHDRAWN, -ECANCELED);
    return true;
}

void coil_waiter_cancel(coil_task *task, coil_frame *leaf)
{
    (void)task;
    (void)coil_waiter_withdraw(leaf);
}

static coil_turn wait_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, coil_arguments(coil_waiter_wait, leaf)->waiters, task, leaf);
}

coil_define_leaf(coil_waiter_wait, wait_step, coil_waiter_cancel);
