/* SPDX-License-Identifier: MIT */
#include <coil/thrift_metrics.h>

#include "fb303_default.h"

#include <coil/kernel.h>
#include <coil/loop.h>

#include <stdlib.h>

enum { ROOM_FIRST = 16 };

/* One method of one service. Free if `method` is NULL. */
struct coil_thrift_method_metrics {
    const coil_thrift_service *service;
    const coil_thrift_method *method;
    coil_counter *calls;
    coil_counter *exceptions;
    coil_counter *errors;
    coil_counter *received;
    coil_counter *sent;
    coil_distribution *latency;
    coil_time settled; /* Until then no slice of what every call counts for ends. */
};

/* --------------------------------------------------------------------------------- methods -- */

/* Where this method is, or a free place for it. There always is one. */
static coil_thrift_method_metrics *place_of(const coil_thrift_metrics *self,
        const coil_thrift_service *service, const coil_thrift_method *method)
{
    const uint32_t mask = self->method_room - 1;
    uint32_t place = (uint32_t)((uintptr_t)method / sizeof(*method)) & mask;

    for (;; place = (place + 1) & mask) {
        coil_thrift_method_metrics *found = &self->methods[place];
        if (found->method == NULL || (found->method == method && found->service == service))
            return found;
    }
}

/* Make room for one more, so that a quarter of the table at least is free. */
static bool reserve(coil_thrift_metrics *self)
{
    const uint32_t room_before = self->method_room;
    coil_thrift_method_metrics *before = self->methods;

    if (self->method_count < room_before / 4 * 3)
        return true;
    const uint32_t room = room_before == 0 ? ROOM_FIRST : room_before * 2;
    coil_thrift_method_metrics *methods = calloc(room, sizeof(*methods));
    if (methods == NULL)
        return false;
    self->methods = methods;
    self->method_room = room;
    for (uint32_t i = 0; i < room_before; i++) {
        if (before[i].method != NULL)
            *place_of(self, before[i].service, before[i].method) = before[i];
    }
    free(before);
    return true;
}

static coil_thrift_method_metrics metrics_of(
        coil_metrics *metrics, const coil_thrift_service *service, const coil_thrift_method *method)
{
    const coil_metric_label labels[] = {
            {"service", service->name == NULL ? "" : service->name},
            {"method", method->name},
    };
    const coil_metric_about about = {.labels = labels, .label_count = 2};
    coil_metric_about calls = about;
    coil_metric_about exceptions = about;
    coil_metric_about errors = about;
    coil_metric_about latency = about;
    coil_metric_about received = about;
    coil_metric_about sent = about;

    calls.name = "thrift.num_calls";
    calls.help = "Calls that have ended.";
    exceptions.name = "thrift.num_exceptions";
    exceptions.help = "Calls that were answered with an exception, or not at all.";
    errors.name = "thrift.num_errors";
    errors.help = "Calls that failed otherwise than their method declares.";
    latency.name = "thrift.latency";
    latency.help = "From the arrival of a call to its reply.";
    latency.unit = COIL_METRIC_NS;
    received.name = "thrift.received";
    received.help = "Bytes of calls.";
    received.unit = COIL_METRIC_BYTES;
    sent.name = "thrift.sent";
    sent.help = "Bytes of replies.";
    sent.unit = COIL_METRIC_BYTES;
    return (coil_thrift_method_metrics){
            .service = service,
            .method = method,
            .calls = coil_metrics_counter(metrics, &calls),
            .exceptions = coil_metrics_counter(metrics, &exceptions),
            .errors = coil_metrics_counter(metrics, &errors),
            .received = coil_metrics_counter(metrics, &received),
            .sent = coil_metrics_counter(metrics, &sent),
            .latency = coil_metrics_distribution(metrics, &latency),
            .settled = INT64_MIN,
    };
}

static COIL_NOINLINE coil_thrift_method_metrics *add_method(coil_thrift_metrics *self,
        const coil_thrift_service *service, const coil_thrift_method *method)
{
    if (!reserve(self)) {
        self->metrics->refused++;
        return NULL;
    }
    coil_thrift_method_metrics *place = place_of(self, service, method);
    *place = metrics_of(self->metrics, service, method);
    self->method_count++;
    return place;
}

static coil_thrift_method_metrics *find_method(coil_thrift_metrics *self,
        const coil_thrift_service *service, const coil_thrift_method *method)
{
    if (coil_likely(self->method_room > 0)) {
        coil_thrift_method_metrics *found = place_of(self, service, method);
        if (coil_likely(found->method != NULL))
            return found;
    }
    return add_method(self, service, method);
}

/* ------------------------------------------------------------------------------- observing -- */

/* When the first slice ends of what every call counts for. INT64_MIN: one of them is missing. */
static coil_time settled_until(
        const coil_thrift_metrics *self, const coil_thrift_method_metrics *method)
{
    const coil_counter *counters[] = {method->calls, method->received, method->sent};
    const coil_distribution *distributions[] = {method->latency, self->queue};
    coil_time earliest = INT64_MAX;

    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        if (counters[i] == NULL)
            return INT64_MIN;
        if (counters[i]->place.ends < earliest)
            earliest = counters[i]->place.ends;
    }
    for (size_t i = 0; i < sizeof(distributions) / sizeof(distributions[0]); i++) {
        if (distributions[i] == NULL || distributions[i]->open == NULL)
            return INT64_MIN;
        if (distributions[i]->place.ends < earliest)
            earliest = distributions[i]->place.ends;
    }
    return earliest;
}

static uint64_t in_ns(coil_duration duration)
{
    return duration > 0 ? (uint64_t)duration : 0;
}

/* Slices have ended, or are to begin. Much of what follows counts for every call, so often. */
static COIL_NOINLINE void count_and_settle(coil_thrift_metrics *self,
        coil_thrift_method_metrics *method, const coil_thrift_outcome *outcome, coil_time now)
{
    coil_distribution_add(self->queue, in_ns(outcome->queued), now);
    coil_counter_add(method->calls, 1, now);
    coil_counter_add(method->received, outcome->received_bytes, now);
    coil_counter_add(method->sent, outcome->sent_bytes, now);
    coil_distribution_add(method->latency, in_ns(outcome->latency), now);
    method->settled = settled_until(self, method);
}

static COIL_NOINLINE void count_failure(
        const coil_thrift_method_metrics *method, const coil_thrift_outcome *outcome, coil_time now)
{
    if (outcome->error != 0)
        coil_counter_add(method->errors, 1, now);
    coil_counter_add(method->exceptions, 1, now);
}

static COIL_NOINLINE void count_unknown(
        const coil_thrift_metrics *self, const coil_thrift_outcome *outcome, coil_time now)
{
    coil_distribution_add(self->queue, in_ns(outcome->queued), now);
    coil_counter_add(self->unknown_calls, 1, now);
}

static inline void count(
        coil_thrift_metrics *self, const coil_thrift_call *call, const coil_thrift_outcome *outcome)
{
    const coil_time now = coil_now();

    if (coil_unlikely(call->method == NULL)) { /* Its name is what a peer has made up. */
        count_unknown(self, outcome, now);
        return;
    }
    coil_thrift_method_metrics *method = find_method(self, call->service, call->method);
    if (coil_unlikely(method == NULL))
        return;
    if (coil_likely(now < method->settled)) {
        coil_distribution_add_settled(self->queue, in_ns(outcome->queued));
        coil_counter_add_settled(method->calls, 1);
        coil_counter_add_settled(method->received, outcome->received_bytes);
        coil_counter_add_settled(method->sent, outcome->sent_bytes);
        coil_distribution_add_settled(method->latency, in_ns(outcome->latency));
    } else {
        count_and_settle(self, method, outcome, now);
    }
    if (coil_unlikely(outcome->error != 0 || outcome->declared != NULL))
        count_failure(method, outcome, now);
}

static void ended(coil_thrift_observer *observer, const coil_thrift_call *call,
        const coil_thrift_outcome *outcome)
{
    coil_thrift_metrics *self = coil_container_of(observer, coil_thrift_metrics, observer);

    if (self->next != NULL)
        self->next->ended(self->next, call, outcome);
    count(self, call, outcome);
}

bool thrift_metrics_observes(const coil_thrift_observer *observer)
{
    return observer != NULL && observer->ended == ended;
}

/* ------------------------------------------------------------------------------ the server -- */

/* A counter that somebody else keeps: add what has come since we last looked. */
static void follow(coil_metrics *metrics, const char *name, uint64_t total, coil_time now)
{
    coil_counter *counter = coil_metrics_counter(metrics, &(coil_metric_about){.name = name});

    if (counter != NULL && total > counter->total)
        coil_counter_add(counter, total - counter->total, now);
}

static void show(coil_metrics *metrics, const char *name, uint64_t value)
{
    coil_gauge_set(coil_metrics_gauge(metrics, &(coil_metric_about){.name = name}),
            value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

static void refresh(coil_metric_source *source, coil_metrics *metrics, coil_time now)
{
    const coil_thrift_metrics *self = coil_container_of(source, coil_thrift_metrics, source);
    const coil_thrift_server_stats *stats = &self->server->stats;
    const coil_metric_about memory = {.name = "process.resident_memory",
            .help = "Memory of this process that is really there.",
            .unit = COIL_METRIC_BYTES,
            .fold = COIL_METRIC_LARGEST};
    const int64_t resident_bytes = coil_kernel_resident_bytes();

    follow(metrics, "thrift.accepted_connections", stats->connections, now);
    follow(metrics, "thrift.protocol_errors", stats->protocol_errors, now);
    follow(metrics, "thrift.overloaded_calls", stats->overloaded, now);
    follow(metrics, "thrift.timed_out_calls", stats->timed_out, now);
    follow(metrics, "thrift.cancelled_calls", stats->cancelled, now);
    show(metrics, "thrift.current_connections", stats->open_connections);
    show(metrics, "thrift.waiting_calls", stats->waiting_calls);
    show(metrics, "thrift.queued_calls", stats->queued_calls);
    if (resident_bytes >= 0)
        coil_gauge_set(coil_metrics_gauge(metrics, &memory), resident_bytes);
}

void coil_thrift_metrics_init(
        coil_thrift_metrics *self, coil_metrics *metrics, coil_thrift_server *server)
{
    const coil_metric_about queue = {.name = "thrift.queue",
            .help = "How long calls waited to be started.",
            .unit = COIL_METRIC_NS};
    const coil_metric_about unknown = {
            .name = "thrift.unknown_calls", .help = "Calls of methods that there are not."};

    *self = (coil_thrift_metrics){
            .next = server->observer,
            .observer = {.ended = ended},
            .source = {.refresh = refresh},
            .metrics = metrics,
            .server = server,
            .queue = coil_metrics_distribution(metrics, &queue),
            .unknown_calls = coil_metrics_counter(metrics, &unknown),
    };
    coil_metrics_ask(metrics, &self->source);
    server->observer = &self->observer;
}

void coil_thrift_metrics_fini(coil_thrift_metrics *self)
{
    if (self == NULL || self->server == NULL)
        return;
    if (self->server->observer == &self->observer)
        self->server->observer = self->next;
    coil_metrics_refresh(self->metrics, coil_now());
    coil_metrics_forget(&self->source);
    free(self->methods);
    *self = (coil_thrift_metrics){0};
}
