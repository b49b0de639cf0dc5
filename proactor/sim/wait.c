/* SPDX-License-Identifier: MIT */
/* Lists of those who wait for a change. */
#include "world.h"

void sim_waiters_init(sim_waiters *waiters)
{
    coil_list_init(&waiters->list);
}

void sim_waiters_add(sim_waiters *waiters, sim_waiter *waiter)
{
    coil_list_append(&waiters->list, &waiter->link);
}

void sim_waiter_leave(sim_waiter *waiter)
{
    if (waiter->link.next != NULL)
        coil_list_remove(&waiter->link);
}

/* Each is told once, also if it leaves and joins again meanwhile. */
static void notify(sim_waiters *waiters, bool tells_one)
{
    bool was_told = false;
    coil_list told;
    coil_list *link;

    if (waiters->list.next == NULL || coil_list_empty(&waiters->list))
        return;
    coil_list_init(&told);
    told = waiters->list; /* The whole list changes its head. */
    told.next->prev = &told;
    told.prev->next = &told;
    coil_list_init(&waiters->list);
    while ((link = coil_list_take_first(&told)) != NULL) {
        sim_waiter *waiter = coil_container_of(link, sim_waiter, link);
        coil_list_append(&waiters->list, link);
        if (waiter->is_exclusive && was_told && tells_one)
            continue;
        was_told |= waiter->is_exclusive;
        waiter->changed(waiter);
    }
}

void sim_waiters_notify(sim_waiters *waiters)
{
    notify(waiters, false);
}

void sim_waiters_notify_one(sim_waiters *waiters)
{
    notify(waiters, true);
}
