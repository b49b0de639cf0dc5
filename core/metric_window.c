/* SPDX-License-Identifier: MIT */
/*
 * Windows. What is observed goes into one open slice of 6 s. When that ends it is added to three
 * rings of ten tenths each, 6, 60 and 360 s long, and a window is the sum of its ring and the open
 * slice. Slices are numbered from the beginning of the clock, so those of all loops are the same.
 */
#include <coil/metrics.h>

#include "metrics_private.h"

#include <coil/check.h>

#include <stdlib.h>
#include <string.h>

enum { TENTH_COUNT = COIL_METRIC_RINGS * COIL_METRIC_TENTHS, NS_PER_S = 1000000000 };

/* How many slices a tenth of each ring has. */
static const int64_t slices_per_tenth[COIL_METRIC_RINGS] = {1, 10, 60};

static coil_duration slice_length(void)
{
    return coil_s(6);
}

int64_t coil_metric_window_s(enum coil_metric_window window)
{
    return window == COIL_METRIC_ALL_TIME ? 0 : 60 * slices_per_tenth[window];
}

/* Rounded down, also before the beginning of the clock. */
static int64_t divide(int64_t number, int64_t divisor)
{
    const int64_t quotient = number / divisor;
    return number % divisor < 0 ? quotient - 1 : quotient;
}

static uint32_t tenth_of(int64_t number, int ring)
{
    const int64_t tenth = divide(number, slices_per_tenth[ring]);
    return (uint32_t)(tenth - divide(tenth, COIL_METRIC_TENTHS) * COIL_METRIC_TENTHS);
}

/* How many tenths begin anew between two slices: at most all of them. */
static uint32_t tenths_between(int64_t from, int64_t to, int ring)
{
    const int64_t passed =
            divide(to, slices_per_tenth[ring]) - divide(from, slices_per_tenth[ring]);
    return passed > COIL_METRIC_TENTHS ? COIL_METRIC_TENTHS : (uint32_t)passed;
}

static void begin_slice(coil_metric_place *place, int64_t number)
{
    place->number = number;
    place->ends = coil_time_after(number * slice_length(), slice_length());
}

/* How much of a window lies between the beginning of its first tenth, or ours, and now. */
static coil_duration covered(
        const coil_metric_place *place, enum coil_metric_window window, coil_time now)
{
    coil_time begin = place->since;

    if (window != COIL_METRIC_ALL_TIME) {
        const coil_duration tenth = slices_per_tenth[window] * slice_length();
        const coil_time first = (divide(now, tenth) - (COIL_METRIC_TENTHS - 1)) * tenth;
        begin = first > begin ? first : begin;
    }
    return now > begin ? now - begin : 0;
}

uint64_t coil_metric_rate(uint64_t count, coil_duration covered_ns)
{
    const uint64_t ns = covered_ns < NS_PER_S ? NS_PER_S : (uint64_t)covered_ns;

    return (uint64_t)((unsigned __int128)count * NS_PER_S / ns);
}

/*
 * The clocks that two loops have read may differ a little: those of whom the slice is that has
 * begun last decide, so that both are turned to the same one.
 */
static coil_time meet(coil_metric_place *into, const coil_metric_place *from, coil_time now)
{
    into->since = from->since < into->since ? from->since : into->since;
    if (into->ends != INT64_MIN && into->number * slice_length() > now)
        now = into->number * slice_length();
    if (from->ends != INT64_MIN && from->number * slice_length() > now)
        now = from->number * slice_length();
    return now;
}

/* -------------------------------------------------------------------------------- counters -- */

void coil_counter_turn(coil_counter *counter, coil_time now)
{
    coil_metric_place *place = &counter->place;
    const int64_t number = divide(now, slice_length());
    const bool is_first = place->ends == INT64_MIN;

    if (!is_first && number <= place->number)
        return;
    for (int ring = 0; !is_first && ring < COIL_METRIC_RINGS; ring++) {
        const uint32_t passed = tenths_between(place->number, number, ring);
        uint32_t tenth = tenth_of(place->number, ring);
        counter->rings[ring][tenth] += counter->open;
        for (uint32_t i = 0; i < passed; i++) {
            tenth = (tenth + 1) % COIL_METRIC_TENTHS;
            counter->rings[ring][tenth] = 0;
        }
    }
    counter->open = 0;
    begin_slice(place, number);
}

uint64_t coil_counter_sum(coil_counter *counter, enum coil_metric_window window, coil_time now)
{
    if (counter == NULL)
        return 0;
    if (window == COIL_METRIC_ALL_TIME)
        return counter->total;
    coil_counter_turn(counter, now);

    uint64_t sum = counter->open;
    for (int i = 0; i < COIL_METRIC_TENTHS; i++)
        sum += counter->rings[window][i];
    return sum;
}

uint64_t coil_counter_rate(coil_counter *counter, enum coil_metric_window window, coil_time now)
{
    if (counter == NULL)
        return 0;
    return coil_metric_rate(
            coil_counter_sum(counter, window, now), covered(&counter->place, window, now));
}

void metric_merge_counter(coil_counter *into, coil_counter *from, coil_time now)
{
    now = meet(&into->place, &from->place, now);
    coil_counter_turn(into, now);
    coil_counter_turn(from, now);
    COIL_CHECK(into->place.number == from->place.number);

    into->open += from->open;
    into->total += from->total;
    for (int ring = 0; ring < COIL_METRIC_RINGS; ring++) {
        for (int i = 0; i < COIL_METRIC_TENTHS; i++)
            into->rings[ring][i] += from->rings[ring][i];
    }
}

/* --------------------------------------------------------------------------- distributions -- */

/* The open slice is the first of the block. */
static coil_metric_slice *slice_at(const coil_distribution *distribution, int ring, uint32_t tenth)
{
    return distribution->open + 1 + (size_t)ring * COIL_METRIC_TENTHS + tenth;
}

static uint64_t added(uint64_t one, uint64_t other)
{
    uint64_t sum;
    return __builtin_add_overflow(one, other, &sum) ? UINT64_MAX : sum;
}

static void add_slice(coil_metric_slice *into, const coil_metric_slice *from)
{
    if (from->count == 0)
        return;
    into->count += from->count;
    into->sum = added(into->sum, from->sum);
    into->max = from->max > into->max ? from->max : into->max;
    for (int i = 0; i < COIL_METRIC_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

/* The same, but what it counts in is 64 bits wide, for good: a slice has 32, being one of many. */
static void add_to_histogram(coil_histogram *into, const coil_metric_slice *from)
{
    if (from->count == 0)
        return;
    into->count += from->count;
    into->sum = added(into->sum, from->sum);
    into->max = from->max > into->max ? from->max : into->max;
    for (int i = 0; i < COIL_METRIC_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

static bool allocate(coil_distribution *distribution)
{
    const uint64_t value_max = coil_histogram_low(COIL_METRIC_BITS, COIL_METRIC_BUCKETS - 1);

    if (distribution->open != NULL)
        return true;
    coil_metric_slice *slices = calloc(1 + TENTH_COUNT, sizeof(*slices));
    if (slices == NULL)
        return false;
    if (coil_histogram_init(&distribution->all_time, COIL_METRIC_BITS, value_max) < 0) {
        free(slices);
        return false;
    }
    COIL_CHECK(distribution->all_time.bucket_count == COIL_METRIC_BUCKETS);
    distribution->open = slices;
    return true;
}

bool coil_distribution_turn(coil_distribution *distribution, coil_time now)
{
    coil_metric_place *place = &distribution->place;
    const int64_t number = divide(now, slice_length());
    const bool is_first = place->ends == INT64_MIN;

    if (!allocate(distribution))
        return false;
    if (!is_first && number <= place->number)
        return true;
    for (int ring = 0; !is_first && ring < COIL_METRIC_RINGS; ring++) {
        const uint32_t passed = tenths_between(place->number, number, ring);
        uint32_t tenth = tenth_of(place->number, ring);
        add_slice(slice_at(distribution, ring, tenth), distribution->open);
        for (uint32_t i = 0; i < passed; i++) {
            tenth = (tenth + 1) % COIL_METRIC_TENTHS;
            coil_metric_slice *slice = slice_at(distribution, ring, tenth);
            if (slice->count > 0)
                *slice = (coil_metric_slice){0};
        }
    }
    add_to_histogram(&distribution->all_time, distribution->open);
    if (distribution->open->count > 0)
        *distribution->open = (coil_metric_slice){0};
    begin_slice(place, number);
    return true;
}

static void summarize(const coil_histogram *values, coil_metric_summary *out_summary)
{
    out_summary->count = values->count;
    out_summary->sum = values->sum;
    out_summary->max = values->max;
    out_summary->average = coil_histogram_mean(values);
    out_summary->p50 = coil_histogram_quantile(values, 0.5);
    out_summary->p95 = coil_histogram_quantile(values, 0.95);
    out_summary->p99 = coil_histogram_quantile(values, 0.99);
    out_summary->p999 = coil_histogram_quantile(values, 0.999);
}

void coil_distribution_read(coil_distribution *distribution, enum coil_metric_window window,
        coil_time now, coil_metric_summary *out_summary)
{
    uint64_t buckets[COIL_METRIC_BUCKETS] = {0};
    coil_histogram values = {
            .bits = COIL_METRIC_BITS, .bucket_count = COIL_METRIC_BUCKETS, .buckets = buckets};

    *out_summary = (coil_metric_summary){0};
    if (distribution == NULL)
        return;
    out_summary->covered = covered(&distribution->place, window, now);
    if (distribution->open == NULL)
        return;
    (void)coil_distribution_turn(distribution, now);
    add_to_histogram(&values, distribution->open);
    if (window == COIL_METRIC_ALL_TIME) {
        coil_histogram_merge(&values, &distribution->all_time);
    } else {
        for (uint32_t i = 0; i < COIL_METRIC_TENTHS; i++)
            add_to_histogram(&values, slice_at(distribution, (int)window, i));
    }
    summarize(&values, out_summary);
}

bool metric_merge_distribution(coil_distribution *into, coil_distribution *from, coil_time now)
{
    if (from->open == NULL)
        return true;
    now = meet(&into->place, &from->place, now);
    if (!coil_distribution_turn(into, now))
        return false;
    (void)coil_distribution_turn(from, now);
    COIL_CHECK(into->place.number == from->place.number);

    for (int i = 0; i < 1 + TENTH_COUNT; i++)
        add_slice(&into->open[i], &from->open[i]);
    coil_histogram_merge(&into->all_time, &from->all_time);
    return true;
}
