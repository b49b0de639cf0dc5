/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_metrics.h - what a Thrift server does, measured: calls, errors, latencies, bytes.
 *
 *     coil_metrics metrics;
 *     coil_thrift_metrics measured;
 *
 *     coil_metrics_init(&metrics, coil_now());
 *     coil_thrift_metrics_init(&measured, &metrics, &server);
 *     fb303.metrics = &metrics;                               now anybody can ask
 *     coil_attempt(coil_thrift_serve(listener, &server));
 *     coil_thrift_metrics_fini(&measured);
 *     coil_metrics_fini(&metrics);
 *
 * Of each method that has been called, with the labels service and method; beside it what fb303
 * calls it (coil/metrics_flat.h):
 *
 *     thrift.num_calls          Shop.buy.num_calls.sum.60         calls that have ended
 *     thrift.num_exceptions     Shop.buy.num_exceptions.rate      answered with an exception
 *     thrift.num_errors         Shop.buy.num_errors.sum           not declared, or not at all
 *     thrift.latency            Shop.buy.latency_us.p99.60        from arrival to reply
 *     thrift.received           Shop.buy.received_bytes.sum.600
 *     thrift.sent               Shop.buy.sent_bytes.sum.600
 *
 * An error is an exception that the method does not declare, or a call that is not answered.
 *
 * Of the server: thrift.queue (thrift.queue_us.p99.60: how long calls waited to be started),
 * thrift.current_connections, thrift.waiting_calls and thrift.queued_calls as they are now, and as
 * counters thrift.accepted_connections, thrift.protocol_errors, thrift.overloaded_calls,
 * thrift.timed_out_calls, thrift.cancelled_calls, thrift.unknown_calls. Of the process:
 * process.resident_memory.
 *
 * Memory: 79 KB, 3 KB more, and the names, for each method that has been called; never more methods
 * than the services have. A call costs about 150 instructions.
 *
 * On the loop's thread only.
 */
#ifndef COIL_THRIFT_METRICS_H
#define COIL_THRIFT_METRICS_H

#include <coil/metrics.h>
#include <coil/thrift_server.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_metrics coil_thrift_metrics;
typedef struct coil_thrift_method_metrics coil_thrift_method_metrics;

struct coil_thrift_metrics {
    /*
     * Called before our own; the observer that the server had before init. For observers of yours,
     * set server.observer before that.
     */
    coil_thrift_observer *next;

    /* Private. */
    coil_thrift_observer observer;
    coil_metric_source source;
    coil_metrics *metrics;
    coil_thrift_server *server;
    coil_distribution *queue;
    coil_counter *unknown_calls;
    coil_thrift_method_metrics *methods; /* A hash table of those that were called. */
    uint32_t method_count;
    uint32_t method_room;
};

/*
 * Measure what `server` does, which need not have begun, into `metrics`: becomes its observer. Must
 * stay where it is, as must the other two. What there is no memory for is not measured
 * (metrics->refused).
 */
COIL_API void coil_thrift_metrics_init(
        coil_thrift_metrics *self, coil_metrics *metrics, coil_thrift_server *server);

/*
 * No longer. The metrics stay, with what has been measured. No call may be in progress. Fine on
 * NULL, on zeros, twice.
 */
COIL_API void coil_thrift_metrics_fini(coil_thrift_metrics *self);

COIL_END_DECLS

#endif
