/* SPDX-License-Identifier: MIT */
/*
 * coil/open_metrics.h - metrics as OpenMetrics 1.0 text, which Prometheus and its like fetch.
 *
 *     coil_metrics_refresh(&metrics, now);
 *     size = coil_open_metrics_format(&metrics, now, text, sizeof(text));
 *
 *     # TYPE thrift_latency_seconds summary
 *     # UNIT thrift_latency_seconds seconds
 *     # HELP thrift_latency_seconds From a call's arrival to its reply.
 *     thrift_latency_seconds{service="Shop",method="buy",quantile="0.99"} 0.000311295
 *     ...
 *     thrift_latency_seconds_count{service="Shop",method="buy"} 12
 *     thrift_latency_seconds_sum{service="Shop",method="buy"} 0.002113
 *     # EOF
 *
 * A counter is a `counter`, with _total behind its name; a gauge a `gauge`; a distribution a
 * `summary`, whose quantiles are those of the last 60 s, while sum and count are of all time, as
 * the format wants it. Dots in names are underscores, nanoseconds become seconds. Two metrics whose
 * names end in _total, _sum, _count, and are otherwise the same, are for you to avoid.
 *
 * Format: OpenMetrics 1.0, prometheus.io/docs/specs/om/open_metrics_spec. Its content type is
 * COIL_OPEN_METRICS_TYPE. Not thread safe, as coil/metrics.h.
 */
#ifndef COIL_OPEN_METRICS_H
#define COIL_OPEN_METRICS_H

#include <coil/metrics.h>

#include <sys/types.h>

COIL_BEGIN_DECLS

#define COIL_OPEN_METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

typedef struct coil_text_sink coil_text_sink;

/* Where text goes, some lines at a time. A negative result ends the writing, and is its result. */
struct coil_text_sink {
    int (*write)(coil_text_sink *sink, const char *text, size_t size);
};

/* Write all metrics to `sink`. 0, or what it said. Allocates nothing. */
COIL_API int coil_open_metrics_write(coil_metrics *metrics, coil_time now, coil_text_sink *sink);

/*
 * Write all metrics to `text`. Returns how many bytes there are, the zero at the end not counted;
 * if that is not below `size`, they have been cut, and are no document. As snprintf(3).
 */
COIL_API size_t coil_open_metrics_format(
        coil_metrics *metrics, coil_time now, char *text, size_t size);

COIL_END_DECLS

#endif
