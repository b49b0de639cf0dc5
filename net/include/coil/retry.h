/* SPDX-License-Identifier: MIT */
/*
 * coil/retry.h - do it again, later, and not for ever.
 *
 *     static const coil_retry_policy patient = {.attempts = 5, .base = 50000000};      50 ms
 *
 *     coil_async (int, fetch_patiently, (const char *) name)
 *     {
 *         coil_vars (coil_retry retry; int rc);
 *
 *         coil_retry_init(&my->retry, &patient, NULL);
 *         coil_repeat (&my->retry, my->rc, fetch(name));       awaits it up to five times
 *         return my->rc;                                       what the last attempt has returned
 *     }
 *
 * Between two attempts it sleeps a while: at random between nothing and `base`, then 2 x `base`,
 * 4 x `base` and so on, at most `cap`. That is the "full jitter" of Brooker (Exponential backoff
 * and jitter, AWS 2015): those whom one outage has hit together do not come back together.
 *
 *     coil_retry_init()
 *         |
 *         v      failed, worth it, attempts and tokens left: sleep
 *      attempt <-----------------------------------------------+
 *         |                                                    |
 *         +-------------- coil_retry_next() -------------------+
 *                              |
 *                              v  succeeded, or not worth it, or too often: over
 *
 * Invariants
 *   - The result is that of the last attempt. Giving up invents no error of its own.
 *   - It does not sleep into a deadline: if the pause would not end before the deadline that bounds
 *     the task (within, until, a timeout), it gives up at once, with what the last attempt said.
 *   - A cancellation ends it where it is, in an attempt or a pause. -ECANCELED is never repeated.
 *   - Repeat only what may happen twice: an attempt that has failed for its caller may well have
 *     done its work.
 *
 * The decision itself (coil_retry_next) is a pure function of what it is told. One thread at a
 * time.
 */
#ifndef COIL_RETRY_H
#define COIL_RETRY_H

#include <coil/coro.h>
#include <coil/random.h>
#include <coil/sched.h>

COIL_BEGIN_DECLS

typedef struct coil_retry coil_retry;
typedef struct coil_retry_budget coil_retry_budget;
typedef struct coil_retry_policy coil_retry_policy;

/* Zero means the default. Read only while it is used; any number of retries may share it. */
struct coil_retry_policy {
    coil_duration base; /* What the first pause may last: 100 ms. */
    coil_duration cap;  /* And any: 10 s. */
    unsigned attempts;  /* The first one included: 4. 1: no retry. */
    /* Is `error`, which is negative, worth another attempt? NULL: coil_error_may_pass(). */
    bool (*worth_it)(const coil_retry_policy *policy, int error);
};

/*
 * How many retries many calls may make together, so that retries do not finish off who is
 * overloaded: each call brings `percent` hundredths of a token, each retry takes one; but none
 * after -EHOSTDOWN, because then nobody has been called. (Finagle: RetryBudget; gRPC A6: retry
 * throttling)
 */
struct coil_retry_budget {
    uint64_t
            granted_count; /* Retries that it has paid for, and those that it has not. Read only. */
    uint64_t refused_count;

    /* Private, in hundredths of a token. */
    uint64_t balance;
    uint64_t percent;
    uint64_t limit;
};

/* A full budget of `tokens_max`, into which each call pays `percent` hundredths. */
COIL_API void coil_retry_budget_init(
        coil_retry_budget *budget, unsigned percent, unsigned tokens_max);

/* One thing that is done until it succeeds. The caller's memory; may be initialised anew. */
struct coil_retry {
    unsigned attempt_count; /* That have ended, of the present call. Read only. */
    coil_random random;     /* After coil_retry_init() it may be given a seed of one's own. */

    /* Private. */
    const coil_retry_policy *policy;
    coil_retry_budget *budget;
    int again;
};

/* `policy` NULL: the defaults. `budget` NULL: no bound in common. Both must outlive it. */
COIL_API void coil_retry_init(
        coil_retry *retry, const coil_retry_policy *policy, coil_retry_budget *budget);

/* A new call begins: no attempts yet. coil_repeat() does this. */
COIL_API void coil_retry_begin(coil_retry *retry);

/*
 * An attempt has ended with `result`. How long to wait before the next one, from 0 ns, or -1: there
 * is none, because it has succeeded (`result` >= 0) or is given up.
 */
COIL_API coil_duration coil_retry_next(coil_retry *retry, int64_t result);

/* The pause before attempt n + 2, after n + 1 have failed: from 0 to min(cap, base * 2^n). */
COIL_API coil_duration coil_retry_pause(
        const coil_retry_policy *policy, unsigned n, coil_random *random);

/*
 * Errors that say "not now" rather than "not so": the peer or the way to it is down, the connection
 * was lost, time or resources ran out. False for -ECANCELED and for what would fail again; also
 * for -EHOSTDOWN, by which a circuit breaker refuses, since waiting a little does not help there. 0
 * or positive: false.
 */
COIL_API bool coil_error_may_pass(int error);

/*
 * Await the call, and again as long as `retry` says so; store each result in `to`. A statement.
 * The call is made anew, with its arguments, each time. `to` is an integer, or what begins with an
 * int64_t status or is an error pointer (coil/coro.h, rule 5).
 *
 *     void coil_repeat(coil_retry *retry, T to, coroutine T call);
 */
#define coil_repeat(retry, to, ...)                                                 \
    do {                                                                            \
        coil_retry_begin(retry);                                                    \
        do {                                                                        \
            coil_await(to, __VA_ARGS__);                                            \
            if (coil_likely(COIL_STATUS_(to) >= 0))                                 \
                break;                                                              \
            coil_await((retry)->again, coil_retry_wait((retry), COIL_STATUS_(to))); \
        } while ((retry)->again != 0);                                              \
    } while (0)

/* For loops of one's own: coil_retry_next(), and the pause. 1: again; 0: it is over. */
coil_declare(int, coil_retry_wait, (coil_retry *) retry, (int64_t) result);

COIL_END_DECLS

#endif
