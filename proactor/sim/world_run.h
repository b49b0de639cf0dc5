/* SPDX-License-Identifier: MIT */
/* The life of a world; coil/sim.h is made of it. */
#ifndef SIM_WORLD_RUN_H
#define SIM_WORLD_RUN_H

#include "world.h"

sim_world *world_create(uint64_t seed);
void world_destroy(sim_world *world);

/* Run a fiber, or let the clock go on, not beyond `limit`. False: nothing is left to be done. */
bool world_step(sim_world *world, coil_time limit);

/* Say who waits for what, for ever. */
void world_report_stuck(sim_world *world);

#endif
