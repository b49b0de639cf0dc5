/* SPDX-License-Identifier: MIT */
/* pairing.h - which descriptor of a recording is which one of the program that is replayed. */
#ifndef SIM_PAIRING_H
#define SIM_PAIRING_H

#include "recording.h"

typedef struct sim_pair {
    sim_recorded_fd recorded;
    sim_recorded_fd own;
} sim_pair;

/* Zeroed: empty. Each descriptor of either side is in one pair at most. */
typedef struct sim_pairing {
    sim_pair *pairs;
    size_t count;
    size_t room;
} sim_pairing;

static inline bool sim_recorded_fd_is(sim_recorded_fd a, sim_recorded_fd b)
{
    return a.fd == b.fd && a.is_direct == b.is_direct;
}

/* The pair of a descriptor. NULL: it is in none. */
const sim_pair *sim_pairing_own(const sim_pairing *pairing, sim_recorded_fd own);
const sim_pair *sim_pairing_recorded(const sim_pairing *pairing, sim_recorded_fd recorded);

/* From now on these two are the same, and no others. */
void sim_pairing_set(sim_pairing *pairing, sim_recorded_fd recorded, sim_recorded_fd own);

/* It is in no pair any more. */
void sim_pairing_forget(sim_pairing *pairing, sim_recorded_fd own);

void sim_pairing_free(sim_pairing *pairing);

#endif
