/* SPDX-License-Identifier: MIT */
#include <coil/condition.h>

#include <coil/check.h>
#include <coil/waiter.h>

/* What a task has to do with a notification that it cannot use. */
enum { KEEP, PASS_ON };

void coil_condition_init(coil_condition *condition, coil_mutex *mutex)
{
    COIL_CHECK(mutex != NULL);
    condition->mutex = mutex;
    condition->inside_count = 0;
    coil_list_init(&condition->waiters);
}

void coil_condition_fini(coil_condition *condition)
{
    COIL_CHECK(condition->inside_count == 0);
}

void coil_condition_notify(coil_condition *condition, size_t count)
{
    coil_waiter *waiter;

    for (; count > 0 && (waiter = coil_waiter_first(&condition->waiters)) != NULL; count--)
        coil_waiter_grant(waiter, PASS_ON);
}

void coil_condition_notify_all(coil_condition *condition)
{
    coil_waiter_grant_all(&condition->waiters, KEEP);
}

/* Unlock the mutex, unless the task is being cancelled, and wait. Result: KEEP or PASS_ON. */
coil_leaf(int, await_notice, (coil_condition *) condition, (bool *) out_unlocked);

static coil_turn notice_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);

    coil_condition *condition = coil_arguments(await_notice, leaf)->condition;
    COIL_CHECK(condition->mutex->owner == task);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    coil_turn turn = coil_waiter_suspend(waiter, &condition->waiters, task, leaf);
    *coil_arguments(await_notice, leaf)->out_unlocked = true;
    coil_mutex_unlock(condition->mutex);
    return turn;
}

coil_leaf_fn(await_notice, notice_step, coil_waiter_cancel);

/* Never waits; the point where a cancellation that came after the notice is seen. */
coil_leaf(void, settle_notice, (coil_condition *) condition, (int) duty);

static coil_turn settle_step(coil_task *task, coil_frame *leaf)
{
    const struct settle_notice__args *arguments = coil_arguments(settle_notice, leaf);

    if (coil_task_refuses(task) && arguments->duty == PASS_ON)
        coil_condition_notify(arguments->condition, 1);
    return coil_leave(task, leaf);
}

coil_leaf_fn(settle_notice, settle_step, NULL);

/* The defer locks if the wait was cut short. (Defers are masked: it cannot be cut short itself.) */
coil_define(int, coil_condition_wait, (coil_condition *) condition)
{
    coil_vars(int duty; bool unlocked);

    condition->inside_count++;
    coil_defer(if (my->unlocked) coil_ignore(coil_mutex_lock(condition->mutex));
               condition->inside_count--);
    coil_await(my->duty, await_notice(condition, &my->unlocked));
    coil_ignore(coil_shield(coil_mutex_lock(condition->mutex)));
    my->unlocked = false;
    coil_await(settle_notice(condition, my->duty));
    return 0;
}
