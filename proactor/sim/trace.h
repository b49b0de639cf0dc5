/* SPDX-License-Identifier: MIT */
/*
 * trace.h - what has happened last: the entries of all queues, and what was noted in words.
 *
 * All of it goes into world->trace_hash, by which two runs are compared: so nothing in it may
 * depend on an address. The last lines are kept, and written in words only when somebody reads
 * them.
 */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include "request.h"
#include "world.h"

#include <stdio.h>

typedef enum sim_step {
    SIM_SUBMITTED,
    SIM_COMPLETED,      /* The last one. */
    SIM_COMPLETED_MORE, /* IORING_CQE_F_MORE */
} sim_step;

void sim_trace_request(const sim_request *request, sim_step step, int result, uint32_t flags);

/* The last lines, oldest first. */
void trace_print(const sim_world *world, FILE *stream);

/* Takes a world that has none. */
void trace_free(sim_world *world);

#endif
