/* SPDX-License-Identifier: MIT */
/*
 * run.h - one run of a scenario, in this process (of the operating system), and what is known of it
 * afterwards.
 *
 *     sim_run() -> PASSED
 *         |
 *         +------> FAILED: reported on stderr, and the process has ended with status 1
 */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <coil/sim_scenario.h>

#include "fault.h"
#include "world.h"

#include <stdbool.h>
#include <stdint.h>

enum { SIM_TEXT_BYTES = 500, SIM_OVERRIDES_MAX = 32 };

/* What the command line says of every run. */
typedef struct sim_settings {
    coil_sim_profile profile;
    const char *profile_name;
    struct {
        sim_fault_kind kind;
        sim_probability probability;
    } overrides[SIM_OVERRIDES_MAX]; /* --fault */
    size_t override_count;
    bool prints_trace;
    const char *replayed;       /* --replay: the text of a recording. NULL: none. */
    const char *replay_program; /* --replay-program. NULL: the first that was started. */
} sim_settings;

/* Which run. */
typedef struct sim_case {
    const coil_sim_scenario *scenario;
    uint64_t seed;
    sim_nth_kind nth_kind;
    uint64_t nth;                   /* 0: none fails because of its number. */
    const sim_selection *selection; /* NULL: all faults of the profile. */
} sim_case;

typedef enum sim_verdict {
    SIM_UNKNOWN, /* Nobody has said anything: it has been killed. */
    SIM_PASSED,
    SIM_FAILED,
} sim_verdict;

/* Lies in memory that the process of the run shares with the one that reads it. */
typedef struct sim_result {
    sim_verdict verdict;
    char text[SIM_TEXT_BYTES]; /* FAILED: why. */
    uint64_t likeness;
    coil_duration duration; /* Of the time of the world. */
    uint64_t operation_count;
    uint64_t fingerprint;
    uint64_t nth_total; /* How many there were that could have failed. */
    uint64_t nth_count; /* Not 0: the n-th was reached, and has failed. */
    sim_occurrences occurrences;
} sim_result;

/* Run it. Returns only if it has passed. `result` is zeroed but for the room for occurrences. */
void sim_run(const sim_case *what, const sim_settings *settings, sim_result *result);

#endif
