/* SPDX-License-Identifier: MIT */
#include <coil/event.h>

#include <coil/check.h>
#include <coil/select.h>
#include <coil/waiter.h>

void coil_event_init(coil_event *event)
{
    event->set = false;
    coil_list_init(&event->waiters);
}

void coil_event_fini(coil_event *event)
{
    COIL_CHECK(coil_list_empty(&event->waiters));
}

void coil_event_set(coil_event *event)
{
    event->set = true;
    coil_waiter_grant_all(&event->waiters, 0);
}

void coil_event_clear(coil_event *event)
{
    event->set = false;
}

static coil_turn wait_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);

    coil_event *event = coil_arguments(coil_event_wait, leaf)->event;
    if (coil_task_refuses(task) || event->set)
        return coil_leave(task, leaf);

    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, &event->waiters, task, leaf);
}

coil_define_leaf(coil_event_wait, wait_step, coil_waiter_cancel);

static bool is_set(const coil_select_case *what)
{
    return coil_container_of(what->waiters, coil_event, waiters)->set;
}

static int see(const coil_select_case *what)
{
    (void)what;
    return 0;
}

const coil_select_kind coil_event_waiting = {is_set, see};
