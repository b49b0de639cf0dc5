/* SPDX-License-Identifier: MIT */
/*
 * coil/random.h - random numbers for jitter, choices and tests. Not for secrets.
 *
 *     coil_random random;
 *     coil_random_init(&random, 42);                  the same numbers in each run
 *     coil_random_init(&random, coil_random_seed());  others in each run, and in each process
 *     coil_duration wait = coil_random_duration(&random, coil_s(1));
 *
 * The generator is splitmix64: eight bytes of state, of which each seed begins elsewhere. One
 * thread at a time may use a generator; coil_random_seed() may be called by any.
 */
#ifndef COIL_RANDOM_H
#define COIL_RANDOM_H

#include <coil/base.h>
#include <coil/time.h>

#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_random {
    uint64_t state; /* Private. */
} coil_random;

/* Begin with `seed`, which may be any number. */
static inline void coil_random_init(coil_random *random, uint64_t seed)
{
    random->state = seed;
}

/* A seed that depends on the process, the time, and on how often it was asked for. */
COIL_API uint64_t coil_random_seed(void);

/* 64 bits. (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014) */
static inline uint64_t coil_random_next(coil_random *random)
{
    uint64_t bits = random->state += 0x9E3779B97F4A7C15;
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB;
    return bits ^ (bits >> 31);
}

/* One of 0 ... count - 1, all of them equally likely. 0 if `count` is 0. */
static inline uint64_t coil_random_below(coil_random *random, uint64_t count)
{
    uint64_t bits = coil_random_next(random);
    /* What does not fill a row of `count` is thrown away: less than one time in two. */
    uint64_t skipped = count == 0 ? 0 : (0 - count) % count;
    while (bits < skipped)
        bits = coil_random_next(random);
    return count == 0 ? 0 : bits % count;
}

/* From 0 to `limit`, both included; 0 if that is negative. */
static inline coil_duration coil_random_duration(coil_random *random, coil_duration limit)
{
    return limit <= 0 ? 0 : (coil_duration)coil_random_below(random, (uint64_t)limit + 1);
}

COIL_END_DECLS

#endif
