/* SPDX-License-Identifier: MIT */
/*
 * fault.h - which faults strike, and which have struck.
 *
 * Whether the n-th draw of a kind strikes depends on the seed, the kind and n alone, and not on
 * what else has been drawn: so one occurrence can be left out of a run, and what remains is as like
 * as can be to what it was. An occurrence is named by its kind and its n: short-read:17.
 *
 * The director of a scenario is spared.
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include "world.h"

/* NULL: there are no more. */
const char *sim_fault_name(size_t kind);

/* SIM_FAULT_COUNT: there is none of that name. The name has `size_bytes`. */
sim_fault_kind sim_fault_named(const char *name, size_t size_bytes);

/* What is no fault, but the order of things: another fiber, another order of completions. */
static inline bool sim_fault_is_order(sim_fault_kind kind)
{
    return kind == SIM_FAULT_PREEMPT || kind == SIM_FAULT_CANCEL_ENDS_LAST;
}

/* ------------------------------------------------------------------------------ occurrences -- */

typedef struct sim_occurrence {
    sim_fault_kind kind;
    pid_t process; /* 0: none, but the world itself. */
    uint64_t number;
    coil_time time;
} sim_occurrence;

/* A list of those that have struck, in memory of whoever wants it. */
typedef struct sim_occurrences {
    size_t count;
    size_t room;
    uint64_t lost_count; /* Without room. */
    sim_occurrence list[];
} sim_occurrences;

/* ------------------------------------------------------------------------------- selections -- */

/* One occurrence; number 0: all of the kind. */
typedef struct sim_pick {
    sim_fault_kind kind;
    uint64_t number;
} sim_pick;

/* Those that may strike, in order of kind and number; no others do. */
typedef struct sim_selection {
    sim_pick *picks;
    size_t count;
} sim_selection;

bool sim_selection_has(const sim_selection *selection, sim_fault_kind kind, uint64_t number);

/* Puts them in order. */
void sim_selection_sort(sim_selection *selection);

/* "short-read:17,preempt", or "none". From sim_new(). */
char *sim_selection_text(const sim_selection *selection);

/* What that says. The picks are from sim_new(). -EINVAL */
int sim_selection_parse(const char *text, sim_selection *out_selection);

/* --------------------------------------------------------------------------------- the n-th -- */

/*
 * Counts one allocation, submission or completion of `process`: 0, or the error with which it is to
 * fail, which is `usual` unless somebody has chosen another one.
 */
int sim_nth_error(sim_process *process, sim_nth_kind kind, int usual);

#endif
