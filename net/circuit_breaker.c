/* SPDX-License-Identifier: MIT */
#include <coil/circuit_breaker.h>

#include "defaults.h"

#include <coil/check.h>

#include <errno.h>
#include <string.h>

void coil_circuit_breaker_init(
        coil_circuit_breaker *breaker, const coil_circuit_breaker_options *options)
{
    memset(breaker, 0, sizeof(*breaker));
    if (options != NULL)
        breaker->options = *options;
    coil_circuit_breaker_options *own = &breaker->options;
    set_default_duration(&own->window, coil_s(10));
    set_default_duration(&own->open_duration, coil_s(5));
    set_default_duration(&own->open_duration_max, coil_s(60));
    set_default(&own->calls_min, 10);
    set_default(&own->failure_percent, 50);
    set_default(&own->probes, 1);
    COIL_CHECK(own->window >= COIL_CIRCUIT_SLOTS);
    COIL_CHECK(own->failure_percent <= 100);
    breaker->period = 1;
    breaker->now = INT64_MIN;
    breaker->opens = INT64_MIN;
    breaker->open_duration = own->open_duration;
}

/* ------------------------------------------------------------------------------- the window -- */

/* Slots that have become too old are empty again. */
static void advance(coil_circuit_breaker *breaker, coil_time now)
{
    if (now <= breaker->now)
        return;
    breaker->now = now;
    int64_t number = now / (breaker->options.window / COIL_CIRCUIT_SLOTS);
    for (int i = 0; i < COIL_CIRCUIT_SLOTS && breaker->slot_number < number - i; i++) {
        memset(&breaker->slots[(uint64_t)(number - i) % COIL_CIRCUIT_SLOTS], 0,
                sizeof(breaker->slots[0]));
    }
    breaker->slot_number = number;
}

static void count(coil_circuit_breaker *breaker, bool failed)
{
    uint64_t at = (uint64_t)breaker->slot_number % COIL_CIRCUIT_SLOTS;
    uint32_t *counter = failed ? &breaker->slots[at].failed : &breaker->slots[at].succeeded;
    *counter += *counter < UINT32_MAX;
}

static bool has_failed_too_often(const coil_circuit_breaker *breaker)
{
    uint64_t failed = 0;
    uint64_t total = 0;

    for (int i = 0; i < COIL_CIRCUIT_SLOTS; i++) {
        failed += breaker->slots[i].failed;
        total += (uint64_t)breaker->slots[i].failed + breaker->slots[i].succeeded;
    }
    return total >= breaker->options.calls_min &&
           failed * 100 >= total * breaker->options.failure_percent;
}

/* ------------------------------------------------------------------------------- the states -- */

static void enter(coil_circuit_breaker *breaker, coil_circuit_state state)
{
    breaker->state = state;
    breaker->period++;
    breaker->probing = false;
    breaker->probes_succeeded = 0;
}

static void open_for(coil_circuit_breaker *breaker, coil_duration duration)
{
    coil_duration longest = breaker->options.open_duration_max;
    breaker->open_duration = duration > longest ? longest : duration;
    breaker->opens = coil_time_after(breaker->now, breaker->open_duration);
    breaker->stats.opened++;
    enter(breaker, COIL_CIRCUIT_OPEN);
}

static void close_it(coil_circuit_breaker *breaker)
{
    memset(breaker->slots, 0, sizeof(breaker->slots));
    breaker->open_duration = breaker->options.open_duration;
    enter(breaker, COIL_CIRCUIT_CLOSED);
}

static coil_duration doubled(coil_duration duration)
{
    return duration > COIL_FOREVER / 2 ? COIL_FOREVER : 2 * duration;
}

int coil_circuit_breaker_admit(
        coil_circuit_breaker *breaker, coil_time now, coil_circuit_ticket *out_ticket)
{
    advance(breaker, now);
    if (breaker->state == COIL_CIRCUIT_OPEN && breaker->now >= breaker->opens)
        enter(breaker, COIL_CIRCUIT_HALF_OPEN);
    if (breaker->state == COIL_CIRCUIT_OPEN || breaker->probing) {
        breaker->stats.refused++;
        return -EHOSTDOWN;
    }
    breaker->probing = breaker->state == COIL_CIRCUIT_HALF_OPEN;
    breaker->stats.admitted++;
    out_ticket->period = breaker->period;
    return 0;
}

static void settle_probe(coil_circuit_breaker *breaker, coil_call_outcome outcome)
{
    breaker->probing = false;
    if (outcome == COIL_CALL_FAILED) {
        open_for(breaker, doubled(breaker->open_duration));
    } else if (outcome == COIL_CALL_SUCCEEDED) {
        breaker->probes_succeeded++;
        if (breaker->probes_succeeded >= breaker->options.probes)
            close_it(breaker);
    }
}

static void count_outcome(coil_circuit_stats *stats, coil_call_outcome outcome, bool is_stale)
{
    if (is_stale) {
        stats->stale++;
    } else if (outcome == COIL_CALL_ABANDONED) {
        stats->abandoned++;
    } else if (outcome == COIL_CALL_FAILED) {
        stats->failed++;
    } else {
        stats->succeeded++;
    }
}

void coil_circuit_breaker_settle(coil_circuit_breaker *breaker, coil_time now,
        coil_circuit_ticket *ticket, coil_call_outcome outcome)
{
    uint64_t period = ticket->period;

    if (period == 0)
        return;
    ticket->period = 0;
    advance(breaker, now);
    count_outcome(&breaker->stats, outcome, period != breaker->period);
    if (period != breaker->period)
        return;
    if (breaker->state == COIL_CIRCUIT_HALF_OPEN) {
        settle_probe(breaker, outcome);
    } else if (outcome != COIL_CALL_ABANDONED) {
        count(breaker, outcome == COIL_CALL_FAILED);
        if (outcome == COIL_CALL_FAILED && has_failed_too_often(breaker))
            open_for(breaker, breaker->options.open_duration);
    }
}

coil_time coil_circuit_breaker_admits_at(const coil_circuit_breaker *breaker)
{
    if (breaker->state == COIL_CIRCUIT_OPEN)
        return breaker->opens;
    return breaker->probing ? COIL_NEVER : INT64_MIN;
}
