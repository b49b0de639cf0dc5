/* SPDX-License-Identifier: MIT */
/* options.h - the command line of a simulation, as coil/sim_scenario.h has it. */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include "run.h"

enum { SIM_NAMES_MAX = 64 };

typedef struct sim_options {
    const char *program;
    sim_settings settings;
    const char *names[SIM_NAMES_MAX]; /* --scenario; none: all. */
    size_t name_count;
    uint64_t first;
    uint64_t count;
    bool is_single; /* --seed: `first`, in this process. */
    bool helps;     /* And has done so. */
    bool lists;
    unsigned jobs;
    coil_duration budget; /* COIL_FOREVER: none. */
    coil_duration timeout;
    bool has_nth; /* --fail-... or --torture. */
    sim_nth_kind nth_kind;
    uint64_t nth; /* 0 with has_nth: all, one after the other. */
    bool has_selection;
    sim_selection selection; /* --only */
    char *recording;         /* --replay: what is in the file. */
    const char *replay_path; /* NULL: none. */
    bool shrinks;
    bool keeps_going;
    bool prints_fingerprints;
} sim_options;

/* -EINVAL: it makes no sense, which has been said on stderr. */
int sim_options_parse(int argc, char **argv, sim_options *out_options);

void sim_options_fini(sim_options *options);

bool sim_options_want(const sim_options *options, const coil_sim_scenario *scenario);

/* The command that runs a case again, with what `selection` allows; NULL: all faults. On stderr. */
void sim_options_print_command(
        const sim_options *options, const sim_case *what, const sim_selection *selection);

#endif
