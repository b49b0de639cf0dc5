/* SPDX-License-Identifier: MIT */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include "world.h"

/* The last lines, on stderr. */
void trace_print(const sim_world *world);

#endif
