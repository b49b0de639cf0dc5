/* SPDX-License-Identifier: MIT */
#include <coil/histogram.h>

#include <coil/check.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t coil_histogram_middle(uint32_t bits, uint32_t bucket)
{
    const uint64_t low = coil_histogram_low(bits, bucket);
    const uint64_t width = coil_histogram_low(bits, bucket + 1) - low;

    return low + width / 2;
}

int coil_histogram_init(coil_histogram *histogram, uint32_t bits, uint64_t value_max)
{
    COIL_CHECK(bits > 0 && bits <= COIL_HISTOGRAM_BITS_MAX);
    *histogram = (coil_histogram){
            .bits = bits,
            .bucket_count = coil_histogram_bucket(bits, value_max) + 1,
    };
    histogram->buckets = calloc(histogram->bucket_count, sizeof(*histogram->buckets));
    return histogram->buckets == NULL ? -ENOMEM : 0;
}

void coil_histogram_fini(coil_histogram *histogram)
{
    if (histogram == NULL)
        return;
    free(histogram->buckets);
    *histogram = (coil_histogram){0};
}

void coil_histogram_reset(coil_histogram *histogram)
{
    histogram->count = 0;
    histogram->sum = 0;
    histogram->max = 0;
    memset(histogram->buckets, 0, histogram->bucket_count * sizeof(*histogram->buckets));
}

void coil_histogram_merge(coil_histogram *into, const coil_histogram *from)
{
    COIL_CHECK(into->bits == from->bits);
    COIL_CHECK(into->bucket_count == from->bucket_count);

    for (uint32_t i = 0; i < into->bucket_count; i++)
        into->buckets[i] += from->buckets[i];
    into->count += from->count;
    if (__builtin_add_overflow(into->sum, from->sum, &into->sum))
        into->sum = UINT64_MAX;
    if (from->max > into->max)
        into->max = from->max;
}

uint64_t coil_histogram_quantile(const coil_histogram *histogram, double share)
{
    if (histogram->count == 0)
        return 0;
    uint64_t rank = (uint64_t)(share * (double)histogram->count);
    if (rank >= histogram->count)
        rank = histogram->count - 1;

    uint64_t seen = 0;
    for (uint32_t i = 0; i < histogram->bucket_count - 1; i++) {
        seen += histogram->buckets[i];
        if (seen > rank) {
            const uint64_t middle = coil_histogram_middle(histogram->bits, i);
            return middle < histogram->max ? middle : histogram->max;
        }
    }
    return histogram->max;
}

uint64_t coil_histogram_mean(const coil_histogram *histogram)
{
    return histogram->count == 0 ? 0 : histogram->sum / histogram->count;
}
