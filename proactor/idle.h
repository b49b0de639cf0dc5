/* SPDX-License-Identifier: MIT */
/*
 * idle.h - which descriptors have received nothing for a while.
 *
 *     enlisted --nothing for some seconds--> receiver_park() --something comes--> enlisted
 *
 * An armed receive costs the kernel three times the memory of an armed poll (860 and 270 bytes), so
 * where there are many descriptors, the idle ones are polled. Looking for them costs a timer every
 * other second, and a byte written per receive; where few descriptors are awake there is no timer.
 */
#ifndef IDLE_H
#define IDLE_H

#include <coil/sched.h>

#include <stdbool.h>

/* A descriptor, as this module sees it. Zeroed: not enlisted. */
typedef struct idle_watch {
    uint32_t place : 24; /* Which one in the list, from 1; 0: it is not there. */
    uint32_t tick : 8;   /* Of the list, when it received last. */
} idle_watch;

/* The descriptors of a loop that are awake. */
typedef struct idle_list {
    coil_sched *sched;
    coil_timer timer;
    idle_watch **watches;
    uint32_t count;
    uint32_t capacity;
    uint32_t cursor; /* Those before it have been looked at in this tick. */
    uint8_t tick;
} idle_list;

/* Without a scheduler nothing is ever parked: on a test loop, time passes when nothing happens. */
void idle_list_init(idle_list *list, coil_sched *sched);
void idle_list_fini(idle_list *list);

/* It is about to receive: look from now on whether it does. Nothing if that is so already. */
void idle_enlist(idle_list *list, idle_watch *watch);

/* It is going, or parked. */
void idle_delist(idle_list *list, idle_watch *watch);

/* It has received something. */
static inline void idle_touch(const idle_list *list, idle_watch *watch)
{
    watch->tick = list->tick;
}

/* For the receiver to define: poll from now on. */
void receiver_park(idle_watch *watch);

#endif
