/* SPDX-License-Identifier: MIT */
#include <coil/retry.h>

#include <coil/check.h>

#include <errno.h>

enum { DEFAULT_ATTEMPTS = 4, TOKEN = 100 };

static const coil_retry_policy default_policy;

/* ------------------------------------------------------------------------------- the errors -- */

bool coil_error_may_pass(int error)
{
    switch (-error) {
    case EAGAIN:
    case EBUSY:
    case ECONNABORTED:
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case EMFILE:
    case ENETDOWN:
    case ENETRESET:
    case ENETUNREACH:
    case ENFILE:
    case ENOBUFS:
    case ENODATA:
    case ENOMEM:
    case ENOTCONN:
    case EPIPE:
    case ETIME:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

/* ------------------------------------------------------------------------------- the budget -- */

void coil_retry_budget_init(coil_retry_budget *budget, unsigned percent, unsigned tokens_max)
{
    uint64_t limit = (uint64_t)tokens_max * TOKEN;
    *budget = (coil_retry_budget){.balance = limit, .percent = percent, .limit = limit};
}

static void pay_in(coil_retry_budget *budget)
{
    uint64_t room = budget->limit - budget->balance;
    budget->balance += budget->percent < room ? budget->percent : room;
}

/* Who has called nobody, because a breaker was open, need not pay. */
static bool is_free(const coil_retry *retry, int64_t result)
{
    return retry->budget == NULL || result == -EHOSTDOWN;
}

static bool pay_for_retry(coil_retry_budget *budget)
{
    if (budget->balance < TOKEN) {
        budget->refused_count++;
        return false;
    }
    budget->balance -= TOKEN;
    budget->granted_count++;
    return true;
}

/* There is no retry after all. */
static void refund(coil_retry_budget *budget)
{
    uint64_t room = budget->limit - budget->balance;
    budget->balance += room < TOKEN ? room : TOKEN;
    budget->granted_count--;
}

/* -------------------------------------------------------------------------------- the retry -- */

void coil_retry_init(coil_retry *retry, const coil_retry_policy *policy, coil_retry_budget *budget)
{
    *retry = (coil_retry){.policy = policy == NULL ? &default_policy : policy, .budget = budget};
    coil_random_init(&retry->random, coil_random_seed());
}

void coil_retry_begin(coil_retry *retry)
{
    retry->attempt_count = 0;
    if (retry->budget != NULL)
        pay_in(retry->budget);
}

coil_duration coil_retry_pause(const coil_retry_policy *policy, unsigned n, coil_random *random)
{
    coil_duration cap = policy->cap <= 0 ? coil_s(10) : policy->cap;
    coil_duration limit = policy->base <= 0 ? coil_ms(100) : policy->base;

    for (; n > 0 && limit < cap; n--)
        limit = limit > cap / 2 ? cap : 2 * limit;
    return coil_random_duration(random, limit < cap ? limit : cap);
}

static bool is_worth_it(const coil_retry_policy *policy, int error)
{
    if (error == -ECANCELED)
        return false;
    return policy->worth_it == NULL ? coil_error_may_pass(error) : policy->worth_it(policy, error);
}

coil_duration coil_retry_next(coil_retry *retry, int64_t result)
{
    const coil_retry_policy *policy = retry->policy;
    unsigned attempts = policy->attempts == 0 ? DEFAULT_ATTEMPTS : policy->attempts;

    retry->attempt_count++;
    if (result >= 0 || result < -4095 || retry->attempt_count >= attempts)
        return -1;
    if (!is_worth_it(policy, (int)result))
        return -1;
    if (!is_free(retry, result) && !pay_for_retry(retry->budget))
        return -1;
    return coil_retry_pause(policy, retry->attempt_count - 1, &retry->random);
}

coil_define(int, coil_retry_wait, (coil_retry *) retry, (int64_t) result)
{
    coil_vars();
    coil_duration pause = coil_retry_next(retry, result);

    if (pause < 0)
        return 0;
    if (coil_time_after(coil_task_now(coil_self), pause) >= coil_task_deadline(coil_self)) {
        if (!is_free(retry, result))
            refund(retry->budget);
        return 0;
    }
    coil_await(coil_sleep(pause));
    return 1;
}
