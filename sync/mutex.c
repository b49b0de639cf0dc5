/* SPDX-License-Identifier: MIT */
#include <coil/mutex.h>

#include <coil/check.h>
#include <coil/sched.h>
#include <coil/waiter.h>

#include <errno.h>

void coil_mutex_init(coil_mutex *mutex)
{
    mutex->owner = NULL;
    coil_list_init(&mutex->waiters);
}

void coil_mutex_fini(coil_mutex *mutex)
{
    COIL_CHECK(mutex->owner == NULL);
    COIL_CHECK(coil_list_empty(&mutex->waiters));
}

int coil_mutex_try_lock(coil_mutex *mutex, coil_task *task)
{
    COIL_CHECK(task != NULL);
    if (mutex->owner != NULL)
        return -EAGAIN;
    mutex->owner = task;
    task->lock_count++;
    return 0;
}

void coil_mutex_unlock(coil_mutex *mutex)
{
    COIL_CHECK(mutex->owner != NULL);
    COIL_CHECK(mutex->owner->sched->running == mutex->owner);

    coil_waiter *heir = coil_waiter_first(&mutex->waiters);
    mutex->owner->lock_count--;
    mutex->owner = heir == NULL ? NULL : heir->task;
    if (heir != NULL) {
        heir->task->lock_count++;
        coil_waiter_grant(heir, 0);
    }
}

static coil_turn lock_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    coil_mutex *mutex = coil_arguments(coil_mutex_lock, leaf)->mutex;
    COIL_CHECK(mutex->owner != task); /* It would wait for itself. */
    if (coil_mutex_try_lock(mutex, task) == 0) {
        coil_result(coil_mutex_lock, leaf) = 0;
        return coil_leave(task, leaf);
    }
    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, &mutex->waiters, task, leaf);
}

coil_define_leaf(coil_mutex_lock, lock_step, coil_waiter_cancel);
