/* SPDX-License-Identifier: MIT */
#include "thread_waiter.h"

#include <coil/check.h>
#include <coil/kernel.h>

#include <errno.h>
#include <time.h>

void thread_waiter_check_thread(void)
{
    COIL_CHECK(coil_loop_current() == NULL); /* Await it there. */
}

/* ------------------------------------------------------------------------------ granting -- */

void thread_waiter_grant(thread_waiter *waiter, int result, thread_waiters *granted)
{
    COIL_CHECK(waiter->state == THREAD_WAITER_WAITING);
    coil_list_remove(&waiter->link);
    waiter->state = THREAD_WAITER_GRANTED;
    waiter->result = result;
    if (waiter->task == NULL) {
        coil_kernel_cond_signal(&waiter->granted);
        return;
    }
    waiter->next = NULL;
    if (granted->first == NULL)
        granted->last = &granted->first;
    *granted->last = waiter;
    granted->last = &waiter->next;
}

void thread_waiter_grant_all(coil_list *list, int result, thread_waiters *granted)
{
    thread_waiter *waiter;
    while ((waiter = thread_waiter_first(list)) != NULL)
        thread_waiter_grant(waiter, result, granted);
}

/* On the thread of the task. */
static void tell(coil_post *post)
{
    thread_waiter *waiter = coil_container_of(post, thread_waiter, post);
    waiter->told = true;
    coil_task_wake(waiter->task);
}

void thread_waiters_wake(thread_waiters *granted)
{
    thread_waiter *next;
    for (thread_waiter *waiter = granted->first; waiter != NULL; waiter = next) {
        next = waiter->next; /* Once it has been told, the waiter may be gone. */
        if (waiter->loop == coil_loop_current()) {
            tell(&waiter->post);
        } else {
            coil_loop_post(waiter->loop, &waiter->post);
        }
    }
    granted->first = NULL;
}

/* --------------------------------------------------------------------------------- tasks -- */

coil_turn thread_waiter_suspend(thread_waiter *waiter, pthread_mutex_t *lock, coil_list *list,
        coil_task *task, coil_frame *leaf)
{
    waiter->state = THREAD_WAITER_WAITING;
    waiter->lock = lock;
    waiter->task = task;
    waiter->loop = coil_loop_of(task);
    waiter->post.run = tell;
    waiter->told = false;
    coil_list_append(list, &waiter->link);
    (void)pthread_mutex_unlock(lock);
    leaf->vars = waiter;
    return coil_leaf_suspend(leaf);
}

coil_turn thread_waiter_step(coil_task *task, coil_frame *leaf)
{
    const thread_waiter *waiter = leaf->vars;

    if (!waiter->told)
        return COIL_WAIT; /* Somebody woke the task for a reason of his own. */
    if (waiter->state == THREAD_WAITER_WITHDRAWN)
        (void)coil_task_unwind_here(task);
    return coil_leave_with(task, leaf, waiter->result);
}

void thread_waiter_cancel(coil_task *task, coil_frame *leaf)
{
    thread_waiter *waiter = leaf->vars;
    if (waiter->told)
        return; /* The primitive may be gone. */

    (void)pthread_mutex_lock(waiter->lock);
    const bool withdrawn = waiter->state == THREAD_WAITER_WAITING;
    if (withdrawn) {
        coil_list_remove(&waiter->link);
        waiter->state = THREAD_WAITER_WITHDRAWN;
        waiter->result = -ECANCELED;
    }
    (void)pthread_mutex_unlock(waiter->lock);
    if (withdrawn) {
        waiter->told = true;
        coil_task_wake(task);
    }
}

/* ------------------------------------------------------------------------------- threads -- */

int thread_waiter_wait(
        thread_waiter *waiter, pthread_mutex_t *lock, coil_list *list, coil_duration limit)
{
    const coil_time deadline = coil_time_after(coil_kernel_now(), limit > 0 ? limit : 0);

    waiter->state = THREAD_WAITER_WAITING;
    waiter->lock = lock;
    waiter->task = NULL;
    (void)pthread_cond_init(&waiter->granted, NULL);
    coil_list_append(list, &waiter->link);
    while (waiter->state == THREAD_WAITER_WAITING &&
            coil_kernel_cond_wait(&waiter->granted, lock, deadline))
        continue;
    if (waiter->state == THREAD_WAITER_WAITING) {
        coil_list_remove(&waiter->link);
        waiter->state = THREAD_WAITER_WITHDRAWN;
        waiter->result = -ETIME;
    }
    (void)pthread_mutex_unlock(lock);
    (void)pthread_cond_destroy(&waiter->granted);
    return waiter->result;
}
