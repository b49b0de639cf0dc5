/* SPDX-License-Identifier: MIT */
/*
 * coil/metrics.h - what a program counts and measures: counters, gauges and distributions, by name.
 *
 *     coil_metrics_init(&metrics, coil_now());
 *     coil_metric_about sales = {.name = "shop.sold"};
 *     coil_counter *sold = coil_metrics_counter(&metrics, &sales);
 *     coil_metric_about waits = {.name = "shop.checkout", .unit = COIL_METRIC_NS};
 *     coil_distribution *took = coil_metrics_distribution(&metrics, &waits);
 *     ...
 *     coil_counter_add(sold, 1, coil_now());
 *     coil_distribution_add(took, coil_now() - begun, coil_now());
 *     ...
 *     coil_distribution_read(took, COIL_METRIC_MINUTE, coil_now(), &summary);     .p99, .count
 *     coil_metrics_fini(&metrics);
 *
 * Everything is told per window: the last 60, 600 and 3600 seconds, and all time. A window moves in
 * tenths of its length, at multiples of those: the last 60 s are ten parts of 6 s, of which the
 * newest is still being filled, so they are what happened in the last 54 to 60 s.
 *
 * Who exports them: coil/metrics_flat.h (names with dots and integers, as fb303 and graphite have
 * them), coil/open_metrics.h (Prometheus).
 *
 * What it costs, and no more, whatever is measured:
 *
 *                     memory                                 one observation (perf/instructions)
 *     counter         0.5 KB and its texts                   about 10 instructions
 *     gauge           0.2 KB and its texts                   1
 *     distribution    0.2 KB and its texts; 79 KB more       about 30 instructions
 *                     from the first observation on
 *
 * and once per 6 s and distribution about a microsecond, to move its windows. Quantiles are exact
 * up to 31, and above that off by at most 3.2 % (coil/histogram.h, 4 bits); values of 2^40 and more
 * (18 minutes in nanoseconds) count in full, but of those no quantile says more than the maximum.
 *
 * Metrics live as long as their registry. Keep the pointer; looking a metric up by its name and
 * labels is for the beginning. There is no error to handle where things are counted: what could not
 * be made (no memory, too many, not a name) is NULL, and to count with NULL does nothing; `refused`
 * says how often that was. So make no metric of a name that a peer chooses: he would fill the
 * table.
 *
 * Several loops: nothing here is thread safe. Each loop has a registry of its own, on its own
 * thread. To read them as one, take an empty registry round: each loop, on its thread, adds its
 * own with coil_metrics_merge(), and hands on. All windows are cut at the same instants of the
 * common clock, so the sum is exact, quantiles too.
 *
 * No I/O, and no clock: time is passed in.
 */
#ifndef COIL_METRICS_H
#define COIL_METRICS_H

#include <coil/base.h>
#include <coil/histogram.h>
#include <coil/list.h>
#include <coil/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_counter coil_counter;
typedef struct coil_distribution coil_distribution;
typedef struct coil_gauge coil_gauge;
typedef struct coil_metric coil_metric;
typedef struct coil_metric_about coil_metric_about;
typedef struct coil_metric_label coil_metric_label;
typedef struct coil_metric_slice coil_metric_slice;
typedef struct coil_metric_source coil_metric_source;
typedef struct coil_metric_summary coil_metric_summary;
typedef struct coil_metrics coil_metrics;

enum {
    COIL_METRIC_COUNT_MAX = 4096, /* In a registry, unless it says otherwise. */
    COIL_METRIC_LABEL_COUNT_MAX = 8,
    COIL_METRIC_TEXT_BYTES_MAX = 1024, /* Of a name, a label's value, a help. */
};

enum coil_metric_kind { COIL_METRIC_COUNTER, COIL_METRIC_GAUGE, COIL_METRIC_DISTRIBUTION };

/* What is counted. Decides the ending of exported names and in what they are given. */
enum coil_metric_unit {
    COIL_METRIC_NUMBER, /* Just so many. */
    COIL_METRIC_NS,     /* Nanoseconds: exported as _us (flat) and _seconds (OpenMetrics). */
    COIL_METRIC_BYTES,  /* Exported as _bytes. */
};

/* What several loops' gauges are together. */
enum coil_metric_fold {
    COIL_METRIC_SUM,     /* Each has its own: open connections. */
    COIL_METRIC_LARGEST, /* All say the same, or the worst counts: memory of the process. */
};

enum coil_metric_window {
    COIL_METRIC_MINUTE,
    COIL_METRIC_TEN_MINUTES,
    COIL_METRIC_HOUR,
    COIL_METRIC_ALL_TIME,
};

#define COIL_METRIC_WINDOW_COUNT 4

/* Seconds: 60, 600, 3600; 0 for all time. */
COIL_API int64_t coil_metric_window_s(enum coil_metric_window window);

/*
 * `key` is a word ([A-Za-z_][A-Za-z0-9_]*), and not "quantile" or "le"; `value` is any text. In
 * flat names the values come first, in this order: {service="Shop", method="buy"} of "thrift.calls"
 * is Shop.buy.calls.
 */
struct coil_metric_label {
    const char *key;
    const char *value;
};

/* To make a metric. Texts are copied. */
struct coil_metric_about {
    const char *name; /* Words with dots between: "shop.sold". No unit in it. */
    const char *help; /* A sentence, or NULL. */
    enum coil_metric_unit unit;
    enum coil_metric_fold fold;      /* Of a gauge. */
    const coil_metric_label *labels; /* In an order that is the same for all of that name. */
    uint32_t label_count;
};

/* What all metrics have. Read only. Its labels are good for as long as it is. */
struct coil_metric {
    enum coil_metric_kind kind;
    enum coil_metric_unit unit;
    enum coil_metric_fold fold;
    uint32_t label_count;
    const char *name;
    const char *help; /* "" for none. */
    coil_metric_label labels[COIL_METRIC_LABEL_COUNT_MAX];
};

/*
 * Private: the part of time that is being filled, and the tenths that lie behind, by the window of
 * which they are tenths.
 */
#define COIL_METRIC_TENTHS 10
#define COIL_METRIC_RINGS 3

typedef struct coil_metric_place {
    coil_time ends; /* Of the open slice. INT64_MIN: nothing has been observed yet. */
    int64_t number; /* Of the open slice, since the beginning of the clock. */
    int64_t since;  /* When the registry began. */
} coil_metric_place;

struct coil_counter {
    coil_metric metric;
    uint64_t total; /* Read only: of all time. */

    /* Private. */
    uint64_t open;
    coil_metric_place place;
    uint64_t rings[COIL_METRIC_RINGS][COIL_METRIC_TENTHS];
};

struct coil_gauge {
    coil_metric metric;
    int64_t value; /* Set it at any time; or use coil_gauge_set(), which takes NULL. */
};

/* Private. Those of a distribution lie in one block. */
enum { COIL_METRIC_BITS = 4, COIL_METRIC_BUCKETS = 592 };

struct coil_metric_slice {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint32_t buckets[COIL_METRIC_BUCKETS];
};

struct coil_distribution {
    coil_metric metric;

    /* Private. */
    coil_metric_place place;
    coil_metric_slice *open; /* The others lie behind it. NULL: nothing has been observed. */
    coil_histogram all_time; /* Without the open slice. */
};

/* What a distribution says of one window. Durations in nanoseconds, sizes in bytes. */
struct coil_metric_summary {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t average;
    uint64_t p50;
    uint64_t p95;
    uint64_t p99;
    uint64_t p999;
    coil_duration covered; /* How much of the window has been, for rates. */
};

/*
 * Somebody who knows the values of gauges only when asked. `refresh` sets them; it is called by
 * coil_metrics_refresh(), which every reader calls first. It may make metrics.
 */
struct coil_metric_source {
    void (*refresh)(coil_metric_source *source, coil_metrics *metrics, coil_time now);

    /* Private: in metrics->sources. Zero before. */
    coil_list link;
};

struct coil_metrics {
    uint32_t count_max; /* COIL_METRIC_COUNT_MAX after init; set it before the first is made. */
    uint64_t refused;   /* Read only: metrics that were wanted and not made. */

    /* Sorted by name, then by labels: those of one name are neighbours. Read only. */
    uint32_t count;
    coil_metric **metrics;

    /* Private. */
    uint32_t room;
    coil_time since;
    coil_list sources;
};

/* An empty registry, which has been observing since `now`. It must stay where it is. */
COIL_API void coil_metrics_init(coil_metrics *metrics, coil_time now);

/* Release all metrics. Fine on NULL, on zeros, twice. */
COIL_API void coil_metrics_fini(coil_metrics *metrics);

/*
 * The metric of that name and labels: the one that there is, or a new one. NULL, and one more is
 * `refused`: there is no memory; there are count_max; the name or a label is none; or that name is
 * of another kind or unit, or has other label keys, already.
 */
COIL_API coil_counter *coil_metrics_counter(coil_metrics *metrics, const coil_metric_about *about);
COIL_API coil_gauge *coil_metrics_gauge(coil_metrics *metrics, const coil_metric_about *about);
COIL_API coil_distribution *coil_metrics_distribution(
        coil_metrics *metrics, const coil_metric_about *about);

/*
 * Ask `source` whenever somebody reads, until coil_metrics_forget() or the registry ends. It has to
 * stay until then.
 */
COIL_API void coil_metrics_ask(coil_metrics *metrics, coil_metric_source *source);
COIL_API void coil_metrics_forget(coil_metric_source *source);

/* Let all sources set their gauges. */
COIL_API void coil_metrics_refresh(coil_metrics *metrics, coil_time now);

/*
 * Add all that is in `from` to `into`, at `now`, as if it had been observed there: counters and
 * distributions are added up, window by window, gauges folded. `from` is refreshed; the sources of
 * `into` are not asked. What `into` has no room for is in its `refused`.
 */
COIL_API void coil_metrics_merge(coil_metrics *into, coil_metrics *from, coil_time now);

/* Private: end the open slice, the time of which is over. False: no memory. */
COIL_API void coil_counter_turn(coil_counter *counter, coil_time now) __attribute__((cold));
COIL_API bool coil_distribution_turn(coil_distribution *distribution, coil_time now)
        __attribute__((cold));

/* Private: count more where it is known that there is one, and that its slice has not ended. */
static inline void coil_counter_add_settled(coil_counter *counter, uint64_t count)
{
    counter->open += count;
    counter->total += count;
}

/* Count `count` more. */
static inline void coil_counter_add(coil_counter *counter, uint64_t count, coil_time now)
{
    if (coil_unlikely(counter == NULL))
        return;
    if (coil_unlikely(now >= counter->place.ends))
        coil_counter_turn(counter, now);
    coil_counter_add_settled(counter, count);
}

/* How many in the last 60, 600, 3600 s, or ever. */
COIL_API uint64_t coil_counter_sum(
        coil_counter *counter, enum coil_metric_window window, coil_time now);

/* The same per second of what the window has covered, as coil_metric_rate(). */
COIL_API uint64_t coil_counter_rate(
        coil_counter *counter, enum coil_metric_window window, coil_time now);

static inline void coil_gauge_set(coil_gauge *gauge, int64_t value)
{
    if (coil_likely(gauge != NULL))
        gauge->value = value;
}

/* Private: add a value to one of which it is known that its slice has not ended. */
static inline void coil_distribution_add_settled(coil_distribution *distribution, uint64_t value)
{
    const uint32_t last = COIL_METRIC_BUCKETS - 1;
    const uint32_t bucket = coil_histogram_bucket(COIL_METRIC_BITS, value);
    coil_metric_slice *open = distribution->open;

    open->buckets[bucket < last ? bucket : last]++;
    open->count++;
    open->sum += value;
    if (value > open->max)
        open->max = value;
}

/* Add a value. Without memory for the first one, it is not counted. */
static inline void coil_distribution_add(
        coil_distribution *distribution, uint64_t value, coil_time now)
{
    if (coil_unlikely(distribution == NULL))
        return;
    if (coil_unlikely(now >= distribution->place.ends)) {
        if (!coil_distribution_turn(distribution, now))
            return;
    }
    coil_distribution_add_settled(distribution, value);
}

/* What was observed in the last 60, 600, 3600 s, or ever. All zeros for NULL and for nothing. */
COIL_API void coil_distribution_read(coil_distribution *distribution,
        enum coil_metric_window window, coil_time now, coil_metric_summary *out_summary);

/* `count` per second of `covered`, or of one second if that is less, rounded down. */
COIL_API uint64_t coil_metric_rate(uint64_t count, coil_duration covered);

COIL_END_DECLS

#endif
