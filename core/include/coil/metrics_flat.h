/* SPDX-License-Identifier: MIT */
/*
 * coil/metrics_flat.h - metrics as names with dots and integers: what fb303, graphite and statsd
 * know.
 *
 * A name is made of the values of the labels, the name and its unit, the statistic and the seconds
 * of its window, none for all time. Of the counter "thrift.calls" {service="Shop", method="buy"},
 * and of the distribution "thrift.latency" with the same labels in nanoseconds:
 *
 *     Shop.buy.calls.sum.60                  .sum .rate (per second)
 *     Shop.buy.latency_us.p99.600            .count .sum .avg .rate .p50 .p95 .p99 .p99.9
 *     Shop.buy.latency_us.count              since the beginning
 *
 * Labels take the place of what the name has before its last dot; without labels it stays as it is:
 * a gauge "process.memory" in bytes is process.memory_bytes. Bytes other than letters, digits and
 * "_-:/" in a label's value are given as '_'.
 *
 * fb303's own names: facebook/fb303, cpp/fb303/ExportType.h, TimeseriesExporter.cpp.
 *
 * Not thread safe, as coil/metrics.h.
 */
#ifndef COIL_METRICS_FLAT_H
#define COIL_METRICS_FLAT_H

#include <coil/metrics.h>

COIL_BEGIN_DECLS

typedef struct coil_flat_values coil_flat_values;

/* Longer names are left out. */
enum { COIL_FLAT_NAME_BYTES_MAX = 1024 };

/* Who takes the values. `name` has `size` bytes, is terminated, and good during the call. */
struct coil_flat_values {
    void (*take)(coil_flat_values *values, const char *name, size_t size, int64_t value);
};

/* All values of one metric: 8 of a counter, 1 of a gauge, 32 of a distribution. */
COIL_API void coil_metric_flatten(coil_metric *metric, coil_time now, coil_flat_values *values);

/* All values of all metrics, after coil_metrics_refresh(), in the order of the registry. */
COIL_API void coil_metrics_flatten(coil_metrics *metrics, coil_time now, coil_flat_values *values);

/*
 * The value of that name. -ENOENT: there is none. Goes through the names, and computes the values
 * of a metric only if what belongs to all of them is right. Does not refresh.
 */
COIL_API COIL_MUST_USE int coil_metrics_find_flat(
        coil_metrics *metrics, coil_time now, const char *name, size_t size, int64_t *out_value);

COIL_END_DECLS

#endif
