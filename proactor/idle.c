/* SPDX-License-Identifier: MIT */
#include "idle.h"

#include <stdlib.h>

enum {
    LEAST_COUNT = 64, /* With fewer, there is nothing to gain. */
    FIRST_CAPACITY = 128,
    IDLE_TICKS = 2, /* Whole ones, without a receive. */
    TICK_MS = 2000,
    ROUND_COUNT = 256,          /* So many are parked at a time, */
    ROUND_MS = 10,              /* and then a pause. */
    MOST_COUNT = (1 << 24) - 1, /* Places have no more bits. */
};

static void arm(idle_list *list, int64_t delay_ms)
{
    coil_time due = coil_time_after(coil_sched_now(list->sched), coil_ms(delay_ms));
    coil_timer_arm(&list->sched->wheel, &list->timer, due);
}

static bool is_idle(const idle_list *list, const idle_watch *watch)
{
    return (uint8_t)(list->tick - watch->tick) >= IDLE_TICKS;
}

/* Most have been parked: what they had in the list is memory, too. */
static void shrink(idle_list *list)
{
    uint32_t capacity = list->capacity;
    while (capacity > FIRST_CAPACITY && list->count <= capacity / 4)
        capacity /= 2;
    if (capacity == list->capacity)
        return;
    idle_watch **watches = realloc(list->watches, capacity * sizeof(watches[0]));
    if (watches == NULL)
        return;
    list->watches = watches;
    list->capacity = capacity;
}

/* The last one takes the place of one that leaves: so it is looked at in any case. */
static void look_around(coil_timer *timer)
{
    idle_list *list = coil_container_of(timer, idle_list, timer);
    unsigned round = 0;

    while (list->cursor < list->count && round < ROUND_COUNT) {
        idle_watch *watch = list->watches[list->cursor];
        if (!is_idle(list, watch)) {
            list->cursor++;
            continue;
        }
        idle_delist(list, watch);
        receiver_park(watch);
        round++;
    }
    if (round == ROUND_COUNT) {
        arm(list, ROUND_MS);
        return;
    }
    list->cursor = 0;
    shrink(list);
    list->tick++; /* Not before: a tick has as many rounds as it takes. */
    if (list->count >= LEAST_COUNT)
        arm(list, TICK_MS);
}

void idle_list_init(idle_list *list, coil_sched *sched)
{
    *list = (idle_list){.sched = sched};
    coil_timer_init(&list->timer, look_around);
}

void idle_list_fini(idle_list *list)
{
    if (list->sched != NULL)
        coil_timer_disarm(&list->sched->wheel, &list->timer);
    free(list->watches);
    *list = (idle_list){.sched = NULL};
}

static bool make_room(idle_list *list)
{
    if (list->count < list->capacity)
        return true;
    if (list->count == MOST_COUNT)
        return false;
    uint32_t capacity = list->capacity == 0 ? FIRST_CAPACITY : 2 * list->capacity;
    idle_watch **watches = realloc(list->watches, capacity * sizeof(watches[0]));
    if (watches == NULL)
        return false;
    list->watches = watches;
    list->capacity = capacity;
    return true;
}

void idle_enlist(idle_list *list, idle_watch *watch)
{
    watch->tick = list->tick;
    if (watch->place != 0 || list->sched == NULL || !make_room(list))
        return; /* Without memory it is never parked. */
    list->watches[list->count++] = watch;
    watch->place = list->count & MOST_COUNT;
    if (list->count >= LEAST_COUNT && !coil_timer_armed(&list->timer))
        arm(list, TICK_MS);
}

void idle_delist(idle_list *list, idle_watch *watch)
{
    if (watch->place == 0)
        return;
    idle_watch *last = list->watches[--list->count];
    list->watches[watch->place - 1] = last;
    last->place = watch->place;
    watch->place = 0;
}
