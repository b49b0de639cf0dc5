/* SPDX-License-Identifier: MIT */
/*
 * What an observation costs (coil/metrics.h).
 *
 *     counter_add         one more, of a counter
 *     distribution_add    a value, each another one, of a distribution
 *     thrift_observe      all that is counted of one call of a Thrift server
 */
#include "measure.h"

#include <coil/loop.h>
#include <coil/metrics.h>
#include <coil/thrift_metrics.h>

static double run_counter_add(int64_t count)
{
    coil_metrics metrics;
    coil_metrics_init(&metrics, 0);
    coil_counter *counter = coil_metrics_counter(&metrics, &(coil_metric_about){.name = "counter"});

    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        MEASURE_OPAQUE(counter);
        coil_counter_add(counter, 1, coil_s(1));
    }
    double took_ns = measure_now_ns() - start_ns;
    coil_metrics_fini(&metrics);
    return took_ns;
}

static double run_distribution_add(int64_t count)
{
    coil_metrics metrics;
    coil_metrics_init(&metrics, 0);
    coil_distribution *distribution =
            coil_metrics_distribution(&metrics, &(coil_metric_about){.name = "distribution"});
    uint64_t random = 88172645463325252;

    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        MEASURE_OPAQUE(distribution);
        random = random * 6364136223846793005U + 1442695040888963407U;
        coil_distribution_add(distribution, random >> 40, coil_s(1));
    }
    double took_ns = measure_now_ns() - start_ns;
    coil_metrics_fini(&metrics);
    return took_ns;
}

/* On a loop, because that has the time. */
coil_async(int, observe, (int64_t) count, (double *) took_ns)
{
    coil_vars();
    static const coil_thrift_method method = {.name = "method"};
    coil_thrift_service service = {.name = "Service", .methods = &method, .method_count = 1};
    coil_thrift_server server = {.without_fb303 = true};
    coil_thrift_call call = {.service = &service, .method = &method};
    coil_thrift_outcome outcome = {.latency = 12345, .received_bytes = 100, .sent_bytes = 50};
    coil_thrift_metrics measured;
    coil_metrics metrics;

    coil_metrics_init(&metrics, coil_now());
    coil_thrift_metrics_init(&measured, &metrics, &server);
    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        MEASURE_OPAQUE(server.observer);
        server.observer->ended(server.observer, &call, &outcome);
    }
    *took_ns = measure_now_ns() - start_ns;
    coil_thrift_metrics_fini(&measured);
    coil_metrics_fini(&metrics);
    return 0;
}

static double run_thrift_observe(int64_t count)
{
    double took_ns = 0;
    if (coil_run(observe(count, &took_ns)) < 0)
        exit(EXIT_FAILURE);
    return took_ns;
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"counter_add", "coil", run_counter_add, 0, MEASURE_NS},
            {"distribution_add", "coil", run_distribution_add, 0, MEASURE_NS},
            {"thrift_observe", "coil", run_thrift_observe, 0, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
