/* SPDX-License-Identifier: MIT */
/*
 * coil/circuit_breaker.h - do not call who fails anyway, and find out when he works again.
 *
 *     rc = coil_circuit_breaker_admit(&breaker, coil_now(), &my->ticket);
 *     if (rc < 0)
 *         return rc;                                          open: -EHOSTDOWN, at once
 *     coil_defer(coil_circuit_breaker_settle(
 *             &breaker, coil_now(), &my->ticket, COIL_CALL_ABANDONED));
 *     coil_await(my->rc, coil_within(coil_s(1), call()));
 *     coil_circuit_breaker_settle(&breaker, coil_now(), &my->ticket,
 *             my->rc < 0 ? COIL_CALL_FAILED : COIL_CALL_SUCCEEDED);
 *
 * The limit is inside, where running out of time is a failure. Around all of this, it would cancel,
 * and who is silent would be called for ever.
 *
 *                      too many of the calls in the window have failed
 *            CLOSED ------------------------------------------------------> OPEN
 *              ^                                                            |  ^
 *              |                              open_duration is over, and    |  |  the probe
 *              |                              somebody asks: a probe        |  |  fails
 *              |                                                            v  |
 *              +-------------------- `probes` in a row succeed --------- HALF-OPEN
 *
 * Invariants
 *   - HALF-OPEN, one probe at a time is under way; everybody else is refused.
 *   - Each time that a probe fails, OPEN lasts twice as long, up to `open_duration_max`.
 *   - A ticket counts once, and in the state that it was given in: a call that began before the
 *     breaker opened has no say about whether it closes.
 *   - An abandoned call (cancelled, say) counts neither way; if it was the probe, the next one may
 *     try.
 *   - admitted = succeeded + failed + abandoned + stale + those under way.
 *
 * A pure state machine: it reads no clock, and waits for nothing. The time is the caller's; one
 * that runs backwards stands still. One thread at a time.
 *
 * (Nygard: Release It!, 2007; resilience4j: CircuitBreaker)
 */
#ifndef COIL_CIRCUIT_BREAKER_H
#define COIL_CIRCUIT_BREAKER_H

#include <coil/base.h>
#include <coil/time.h>

#include <stdbool.h>
#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_circuit_breaker coil_circuit_breaker;

/* Zero means the default. */
typedef struct coil_circuit_breaker_options {
    coil_duration window;            /* What is looked at: the last 10 s. At least 16 ns. */
    unsigned calls_min;              /* With fewer settled calls in it, it stays closed: 10. */
    unsigned failure_percent;        /* So many of them have failed: it opens. 50. */
    coil_duration open_duration;     /* For how long, at first: 5 s. */
    coil_duration open_duration_max; /* And at most: 60 s. */
    unsigned probes;                 /* That have to succeed, one after the other: 1. */
} coil_circuit_breaker_options;

typedef enum coil_circuit_state {
    COIL_CIRCUIT_CLOSED,
    COIL_CIRCUIT_OPEN,
    COIL_CIRCUIT_HALF_OPEN,
} coil_circuit_state;

typedef enum coil_call_outcome {
    COIL_CALL_SUCCEEDED,
    COIL_CALL_FAILED,
    COIL_CALL_ABANDONED,
} coil_call_outcome;

/* The right to one call. Zeroed: none, and settling it does nothing. */
typedef struct coil_circuit_ticket {
    uint64_t period; /* Private. */
} coil_circuit_ticket;

/* Since the breaker was made. */
typedef struct coil_circuit_stats {
    uint64_t admitted;
    uint64_t refused;
    uint64_t succeeded;
    uint64_t failed;
    uint64_t abandoned;
    uint64_t stale;  /* Settled when the state that they began in was over. */
    uint64_t opened; /* How often it has opened. */
} coil_circuit_stats;

enum { COIL_CIRCUIT_SLOTS = 16 };

/* The caller's memory. */
struct coil_circuit_breaker {
    coil_circuit_state state; /* Read only. OPEN until somebody asks, even if it is time. */
    coil_circuit_stats stats; /* Read only. */

    /* Private. */
    coil_circuit_breaker_options options;
    uint64_t period; /* Of one state: counts its changes, from 1. */
    coil_time now;   /* The latest that it was told. */
    coil_time opens; /* OPEN: until when. */
    coil_duration open_duration;
    bool probing;
    unsigned probes_succeeded;
    int64_t slot_number; /* The newest slot of the window. */
    struct {
        uint32_t succeeded, failed;
    } slots[COIL_CIRCUIT_SLOTS];
};

/* Closed, with nothing in the window. `options` may be NULL. There is nothing to give back. */
COIL_API void coil_circuit_breaker_init(
        coil_circuit_breaker *breaker, const coil_circuit_breaker_options *options);

/* May a call be made now? 0, and a ticket that is to be settled; or -EHOSTDOWN. */
COIL_API COIL_MUST_USE int coil_circuit_breaker_admit(
        coil_circuit_breaker *breaker, coil_time now, coil_circuit_ticket *out_ticket);

/* How the call went. The ticket is void afterwards, so that a second time does nothing. */
COIL_API void coil_circuit_breaker_settle(coil_circuit_breaker *breaker, coil_time now,
        coil_circuit_ticket *ticket, coil_call_outcome outcome);

/*
 * From when on a call may be made: a time that has passed if now; while a probe is under way,
 * COIL_NEVER, because that depends on it.
 */
COIL_API coil_time coil_circuit_breaker_admits_at(const coil_circuit_breaker *breaker);

COIL_END_DECLS

#endif
