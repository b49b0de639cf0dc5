/* SPDX-License-Identifier: MIT */
/* Threads that wait for each other at an address: futexes, conditions, mutexes. */
#ifndef SIM_MEET_H
#define SIM_MEET_H

#include "world.h"

/* The current fiber waits until somebody wakes those at `place`. False: the deadline. */
bool meet_wait(const void *place, coil_time deadline, const char *waits_for);

/* Wake all who wait there. */
void meet_wake_all(const void *place);

/* Wake one of them, which chance chooses. */
void meet_wake_one(const void *place);

#endif
