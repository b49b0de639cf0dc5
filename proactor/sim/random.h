/* SPDX-License-Identifier: MIT */
/*
 * random.h - the only source of chance in a simulation.
 *
 * One generator per world, seeded once: the same seed gives the same numbers with every compiler on
 * every machine. So nobody may draw numbers in an order that the language leaves open (two draws
 * among the arguments of one call), nor a number of times that depends on addresses.
 *
 * The generator is xoshiro256** by Blackman and Vigna, seeded by splitmix64.
 */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct sim_random {
    uint64_t state[4];
} sim_random;

/* Probabilities are in millionths: 0 is never, SIM_ALWAYS is always. */
typedef uint32_t sim_probability;
#define SIM_ALWAYS ((sim_probability)1000000)

void sim_random_init(sim_random *random, uint64_t seed);

uint64_t sim_random_next(sim_random *random);

/* 0 <= result < limit, all alike probable. `limit` is not 0. */
uint64_t sim_random_number(sim_random *random, uint64_t limit);

#endif
