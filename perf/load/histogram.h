/* SPDX-License-Identifier: MIT */

/*
 * A log-linear histogram of durations in nanoseconds: 128 steps in each power of two, so a quantile
 * is never more than 0.8 % off, and recording is one increment.
 */
#ifndef COIL_PERF_HISTOGRAM_H
#define COIL_PERF_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_BITS = 7,
    HISTOGRAM_STEPS = 1 << HISTOGRAM_BITS,
    HISTOGRAM_BUCKETS = 58 * HISTOGRAM_STEPS
};

struct histogram {
    uint64_t count;
    uint64_t max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t ns)
{
    if (ns < HISTOGRAM_STEPS)
        return (unsigned)ns;
    unsigned octave = 63U - (unsigned)__builtin_clzll(ns) - HISTOGRAM_BITS;
    return ((octave + 1) << HISTOGRAM_BITS) + ((unsigned)(ns >> octave) - HISTOGRAM_STEPS);
}

/* The middle of a bucket. */
static inline double histogram_value_ns(unsigned bucket)
{
    if (bucket < HISTOGRAM_STEPS)
        return bucket;
    unsigned octave = (bucket >> HISTOGRAM_BITS) - 1;
    uint64_t low = ((uint64_t)(bucket & (HISTOGRAM_STEPS - 1)) + HISTOGRAM_STEPS) << octave;
    return (double)low + (double)(1ULL << octave) / 2;
}

static inline void histogram_add(struct histogram *histogram, uint64_t ns)
{
    histogram->buckets[histogram_bucket(ns)]++;
    histogram->count++;
    if (ns > histogram->max_ns)
        histogram->max_ns = ns;
}

/* The value below which `share` (0 to 1) of all recorded values lie; 0 when there are none. */
static inline double histogram_quantile_ns(const struct histogram *histogram, double share)
{
    uint64_t rank = (uint64_t)(share * (double)histogram->count);
    uint64_t seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > rank)
            return histogram_value_ns(i);
    }
    return (double)histogram->max_ns;
}

#endif
