/* SPDX-License-Identifier: MIT */
/*
 * shrink.h - the smallest set of occurrences of faults with which a run still fails in the same
 * way: whole kinds are left out first, then halves, quarters ... of what remains, down to single
 * ones. What is found is small, and each of them is needed; it need not be the smallest there is.
 */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include "job.h"
#include "options.h"

/*
 * `failed` has ended, and failed. The picks of `out_selection` are from sim_new(). False: without
 * success, it is nothing that can be run again.
 */
bool sim_shrink(const sim_options *options, const sim_job *failed, sim_selection *out_selection,
        unsigned *out_run_count);

#endif
