/* SPDX-License-Identifier: MIT */
/* recording.h - what a flight recorder has written (coil/recorder.h), read again. */
#ifndef SIM_RECORDING_H
#define SIM_RECORDING_H

#include <coil/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A descriptor, or a direct one. */
typedef struct sim_recorded_fd {
    int fd;
    bool is_direct;
} sim_recorded_fd;

#define SIM_ANY_NUMBER UINT64_MAX /* Not known. */

typedef struct sim_recorded {
    uint64_t number;
    coil_duration time; /* Since the start. */
    uint32_t turn;
    bool is_completion;
    unsigned opcode;
    sim_recorded_fd place;
    uint64_t of; /* Of a completion, a cancellation; or SIM_ANY_NUMBER. Cancel: 0 is all. */

    uint32_t size;   /* Submission. */
    uint64_t detail; /* Submission: offset or flags. */
    int result;      /* Completion. */
    uint32_t flags;  /* Completion. */
} sim_recorded;

/* Of one loop. */
typedef struct sim_recording {
    sim_recorded *entries; /* From sim_new(). */
    size_t count;
    uint64_t first; /* The number of entries[0]. */
    uint64_t submissions_before;
} sim_recording;

/*
 * The last recording of this loop in a text. -ENOENT: there is none. -EINVAL: it makes no sense, in
 * the line with this number.
 */
int sim_recording_parse(
        const char *text, unsigned loop, sim_recording *out_recording, unsigned *out_line);

void sim_recording_free(sim_recording *recording);

/* NULL: it is not there. */
const sim_recorded *sim_recording_find(const sim_recording *recording, uint64_t number);

enum { SIM_RECORDED_BYTES = 160 };

/* As the recorder writes it, without number, time and turn. */
const char *sim_recorded_text(const sim_recorded *entry, char text[SIM_RECORDED_BYTES]);

#endif
