/* SPDX-License-Identifier: MIT */
/* What the world alone does with its clock; world.h has what everybody may do. */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include "world.h"

/* When the next event is. COIL_NEVER: there is none. */
coil_time clock_next(const sim_world *world);

/* Run the events whose time has come, and those that they schedule for now. */
void clock_run_due(sim_world *world);

#endif
