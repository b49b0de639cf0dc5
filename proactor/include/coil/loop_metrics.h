/* SPDX-License-Identifier: MIT */
/*
 * coil/loop_metrics.h - how long a loop lets others wait, measured.
 *
 *     coil_loop_metrics lag;
 *     coil_loop_metrics_init(&lag, &metrics, loop);
 *     ... run; loop.lag_us.p99.60 among the flat names, loop_lag_seconds for Prometheus ...
 *     coil_loop_metrics_fini(&lag);
 *
 *     loop.lag        a distribution: of each turn, from when the loop woke up, or should have for
 *                     a timer, until it looked for events again
 *     loop.turns      a counter, of those since then
 *     loop.tasks      a gauge: those that have not ended
 *
 * Whatever becomes ready during a turn, a timer or a request, has waited at most for its lag. A
 * coroutine that computes for 50 ms without a pause is a turn of 50 ms, and so is a processor that
 * others had meanwhile; a loop that has nothing to do has no lag. coil/watchdog.h says who it was.
 * (Node: perf_hooks.monitorEventLoopDelay(). asyncio has only slow_callback_duration, in debug
 * mode; programs sleep in a loop and look at the clock, and so miss what fits between two looks.)
 *
 * Every turn is in it. A loop that is measured reads the clock twice a turn: about 200 instructions
 * in all; one that is not is as fast as if there were no such thing. A Thrift server measures its
 * loop if it is told to (`measures_loop`).
 *
 * On the loop's thread only.
 */
#ifndef COIL_LOOP_METRICS_H
#define COIL_LOOP_METRICS_H

#include <coil/loop.h>
#include <coil/metrics.h>

COIL_BEGIN_DECLS

typedef struct coil_loop_metrics coil_loop_metrics;

/* Private. */
struct coil_loop_metrics {
    coil_list link;
    coil_metric_source source;
    coil_metrics *metrics;
    coil_loop *loop;
    coil_distribution *lag;
    uint64_t turns_told; /* So many of the loop's are counted, or were before. */
};

/*
 * Measure `loop` into `metrics`, which has no other loop's figures: once for each pair of them. All
 * three must stay where they are until coil_loop_metrics_fini(). A test loop has no lag: its time
 * is none. What there is no memory for is not measured (metrics->refused).
 */
COIL_API void coil_loop_metrics_init(
        coil_loop_metrics *self, coil_metrics *metrics, coil_loop *loop);

/* No longer. The metrics stay, with what has been measured. Fine on NULL, on zeros, twice. */
COIL_API void coil_loop_metrics_fini(coil_loop_metrics *self);

COIL_END_DECLS

#endif
