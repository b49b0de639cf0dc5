/* SPDX-License-Identifier: MIT */
#include <coil/thread_event.h>

#include "thread_waiter.h"

#include <coil/check.h>

void coil_thread_event_init(coil_thread_event *event)
{
    (void)pthread_mutex_init(&event->lock, NULL);
    event->set = false;
    coil_list_init(&event->waiters);
}

void coil_thread_event_fini(coil_thread_event *event)
{
    COIL_CHECK(coil_list_empty(&event->waiters));
    (void)pthread_mutex_destroy(&event->lock);
}

void coil_thread_event_set(coil_thread_event *event)
{
    thread_waiters granted = {0};
    (void)pthread_mutex_lock(&event->lock);
    event->set = true;
    thread_waiter_grant_all(&event->waiters, 0, &granted);
    (void)pthread_mutex_unlock(&event->lock);
    thread_waiters_wake(&granted); /* The event may be gone. */
}

void coil_thread_event_clear(coil_thread_event *event)
{
    (void)pthread_mutex_lock(&event->lock);
    event->set = false;
    (void)pthread_mutex_unlock(&event->lock);
}

bool coil_thread_event_is_set(coil_thread_event *event)
{
    (void)pthread_mutex_lock(&event->lock);
    const bool set = event->set;
    (void)pthread_mutex_unlock(&event->lock);
    return set;
}

int coil_thread_event_wait_blocking(coil_thread_event *event, coil_duration limit)
{
    thread_waiter waiting;

    thread_waiter_check_thread();
    (void)pthread_mutex_lock(&event->lock);
    if (!event->set)
        return thread_waiter_wait(&waiting, &event->lock, &event->waiters, limit);
    (void)pthread_mutex_unlock(&event->lock);
    return 0;
}

static coil_turn wait_step(coil_task *task, coil_frame *leaf)
{
    coil_thread_event *event = coil_arguments(coil_thread_event_wait, leaf)->event;

    if (leaf->at != NULL)
        return thread_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    (void)pthread_mutex_lock(&event->lock);
    if (!event->set) {
        return thread_waiter_suspend(
                coil_push(task, sizeof(thread_waiter)), &event->lock, &event->waiters, task, leaf);
    }
    (void)pthread_mutex_unlock(&event->lock);
    coil_result(coil_thread_event_wait, leaf) = 0;
    return coil_leave(task, leaf);
}

coil_define_leaf(coil_thread_event_wait, wait_step, thread_waiter_cancel);
