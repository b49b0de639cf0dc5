/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <coil/check.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { HISTOGRAM_BITS = 7 };

void load_histogram_init(coil_histogram *histogram)
{
    if (coil_histogram_init(histogram, HISTOGRAM_BITS, UINT64_MAX) < 0)
        load_die("malloc", ENOMEM);
}

/* Coil's histogram is all that we have of Coil; that checks its callers. */
void coil_check_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
    abort();
}

static void print_latencies(const coil_histogram *latencies)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};

    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        const uint64_t ns = coil_histogram_quantile(latencies, quantiles[i].share);
        printf("\"%s_us\":%.2f,", quantiles[i].name, (double)ns / 1e3);
    }
    printf("\"max_us\":%.2f,", (double)latencies->max / 1e3);
}

/* As pairs of a duration in nanoseconds and how often it was seen: those of several runs may be
 * put together. */
static void print_buckets(const coil_histogram *latencies)
{
    const char *separator = "";

    printf("\"buckets\":[");
    for (uint32_t i = 0; i < latencies->bucket_count; i++) {
        if (latencies->buckets[i] == 0)
            continue;
        printf("%s[%" PRIu64 ",%" PRIu64 "]", separator, coil_histogram_middle(latencies->bits, i),
                latencies->buckets[i]);
        separator = ",";
    }
    printf("],");
}

static void print_mode(const load_options *options)
{
    switch (options->mode) {
    case LOAD_OPEN:
        printf("\"loop\":\"open\",\"rate\":%.1f,\"arrivals\":\"%s\",\"seed\":%" PRIu64 ",",
                options->rate, options->poisson ? "poisson" : "fixed", options->seed);
        break;
    case LOAD_CHURN:
        printf("\"loop\":\"churn\",\"close\":\"%s\",\"sources\":%d,",
                options->reset ? "reset" : "fin", options->sources);
        break;
    case LOAD_CLOSED:
    case LOAD_IDLE:
        printf("\"loop\":\"closed\",");
        break;
    }
}

static double share(uint64_t from_ns, uint64_t to_ns, double seconds)
{
    return (double)(to_ns - from_ns) / 1e9 / seconds;
}

static void print_server(const load_result *result, double seconds)
{
    double server_s = (double)(result->to.server_cpu_ns - result->from.server_cpu_ns) / 1e9;
    double requests = (double)result->latencies->count;

    printf("\"server_cpu_s\":%.4f,\"server_cpu_share\":%.3f,\"requests_per_server_cpu_s\":%.1f,",
            server_s, server_s / seconds, server_s > 0 ? requests / server_s : 0);
    printf("\"server_waited_share\":%.3f,\"server_threads\":%d,",
            share(result->from.server_waited_ns, result->to.server_waited_ns, seconds),
            result->to.server_threads);
}

void load_report(const load_result *result)
{
    const load_options *options = result->options;
    double seconds = (double)(result->to.now_ns - result->from.now_ns) / 1e9;
    double own_s = (double)(result->to.own_cpu_ns - result->from.own_cpu_ns) / 1e9;
    double requests = (double)result->latencies->count;

    printf("{\"mode\":\"%s\",", options->method ? options->method : "echo");
    print_mode(options);
    printf("\"connections\":%d,\"depth\":%d,\"message_bytes\":%zu,\"seconds\":%.3f,",
            options->connections, options->depth, result->request_bytes, seconds);
    printf("\"requests\":%.0f,\"requests_per_s\":%.1f,", requests, requests / seconds);
    print_latencies(result->latencies);
    if (options->buckets)
        print_buckets(result->latencies);
    printf("\"connections_served\":%d,\"load_cpu_s\":%.4f,\"load_cpu_share\":%.3f,", result->served,
            own_s, own_s / seconds);
    printf("\"load_waited_share\":%.3f,",
            share(result->from.own_waited_ns, result->to.own_waited_ns, seconds));
    /* Above nine tenths of a core the generator sets the pace: requests/s is then a lower bound for
     * the server. */
    printf("\"load_bound\":%s,", own_s / seconds > 0.9 && !options->spin ? "true" : "false");
    if (options->server_pid)
        print_server(result, seconds);
    printf("\"unanswered\":%" PRIu64 ",\"errors\":%" PRIu64 "}\n", result->unanswered,
            result->errors);
    fflush(stdout);
}
