/* SPDX-License-Identifier: MIT */
/*
 * coil/histogram.h - how values are distributed, in memory that does not grow with their number.
 *
 *     coil_histogram_init(&latencies, 7, UINT64_MAX)              -ENOMEM, or 0
 *     coil_histogram_add(&latencies, took_ns);                    one increment of a bucket
 *     p99_ns = coil_histogram_quantile(&latencies, 0.99);
 *     coil_histogram_fini(&latencies);
 *
 * Log-linear: every power of two is divided into 2^bits buckets of the same width, and what is
 * below 2^bits has a bucket for each value. So a quantile is exact below 2^(bits + 1), and above it
 * off by at most 1 / 2^(bits + 1) of itself, because the middle of a bucket stands for all of it:
 *
 *     bits    error up to    buckets for values up to 2^40, 2^64
 *     4       3.2 %          592, 976
 *     7       0.4 %          4352, 7424
 *
 * Values above `value_max` are counted in the last bucket, for which the largest value ever seen
 * stands. Count, sum and maximum are exact (the sum stops at UINT64_MAX).
 *
 * No I/O, no clock. Not thread safe: each thread its own, merged when read.
 */
#ifndef COIL_HISTOGRAM_H
#define COIL_HISTOGRAM_H

#include <coil/base.h>

#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_histogram coil_histogram;

enum { COIL_HISTOGRAM_BITS_MAX = 12 };

struct coil_histogram {
    uint64_t count; /* Read only, as the next two. */
    uint64_t sum;
    uint64_t max;

    /* Private: of the buckets, read with coil_histogram_low() what they stand for. */
    uint32_t bits;
    uint32_t bucket_count;
    uint64_t *buckets;
};

/* The bucket of a value, were there no value_max. */
static inline uint32_t coil_histogram_bucket(uint32_t bits, uint64_t value)
{
    if (value >> bits == 0)
        return (uint32_t)value;
    const uint32_t octave = 63U - (uint32_t)__builtin_clzll(value) - bits;
    return (octave << bits) + (uint32_t)(value >> octave);
}

/* The lowest value of a bucket; it ends where the next one begins. */
static inline uint64_t coil_histogram_low(uint32_t bits, uint32_t bucket)
{
    if (bucket >> bits <= 1)
        return bucket;
    const uint32_t octave = (bucket >> bits) - 1;
    return (uint64_t)(bucket - (octave << bits)) << octave;
}

/* The value that stands for a bucket: its middle. */
COIL_API uint64_t coil_histogram_middle(uint32_t bits, uint32_t bucket);

/*
 * Make it empty, with 2^bits buckets (1 to COIL_HISTOGRAM_BITS_MAX) in each power of two up to
 * `value_max`: 8 bytes per bucket. -ENOMEM.
 */
COIL_API COIL_MUST_USE int coil_histogram_init(
        coil_histogram *histogram, uint32_t bits, uint64_t value_max);

/* Give the buckets back. Fine on NULL, on zeros, twice. */
COIL_API void coil_histogram_fini(coil_histogram *histogram);

/* Forget all values. */
COIL_API void coil_histogram_reset(coil_histogram *histogram);

static inline void coil_histogram_add(coil_histogram *histogram, uint64_t value)
{
    const uint32_t bucket = coil_histogram_bucket(histogram->bits, value);
    const uint32_t last = histogram->bucket_count - 1;

    histogram->buckets[bucket < last ? bucket : last]++;
    histogram->count++;
    if (coil_unlikely(__builtin_add_overflow(histogram->sum, value, &histogram->sum)))
        histogram->sum = UINT64_MAX;
    if (value > histogram->max)
        histogram->max = value;
}

/* Add all values of `from`, which has to have the same bits and value_max, to `into`. */
COIL_API void coil_histogram_merge(coil_histogram *into, const coil_histogram *from);

/*
 * The value below which `share` (0 to 1) of all values lie: of n sorted ones that at index
 * share * n, the last one at most. 0 if there are none.
 */
COIL_API uint64_t coil_histogram_quantile(const coil_histogram *histogram, double share);

/* The mean, rounded down; 0 if there are no values. */
COIL_API uint64_t coil_histogram_mean(const coil_histogram *histogram);

COIL_END_DECLS

#endif
