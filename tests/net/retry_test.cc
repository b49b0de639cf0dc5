/* SPDX-License-Identifier: MIT */
/* Pauses as numbers, and attempts on a clock that jumps. */
#include <coil/circuit_breaker.h>
#include <coil/retry.h>

#include <coil/test_loop.h>

#include "../sync/seeds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include <coil/sugar.h>

namespace
{

/* Zero: the default. */
coil_retry_policy policy_of(unsigned attempts, coil_duration base = 0, coil_duration cap = 0)
{
    return {base, cap, attempts, nullptr};
}

TEST(RetryPause, GrowsToTheCapAndIsSpreadOverAllOfIt)
{
    const coil_retry_policy policy = policy_of(0, coil_ms(100), coil_ms(700));
    coil_random random;
    coil_random_init(&random, 1);

    const coil_duration limits[] = {
            coil_ms(100), coil_ms(200), coil_ms(400), coil_ms(700), coil_ms(700)};
    for (unsigned n = 0; n < 5; n++) {
        coil_duration least = COIL_FOREVER;
        coil_duration most = 0;
        for (int i = 0; i < 2000; i++) {
            const coil_duration pause = coil_retry_pause(&policy, n, &random);
            least = std::min(least, pause);
            most = std::max(most, pause);
        }
        EXPECT_LE(most, limits[n]);
        EXPECT_GT(most, limits[n] / 100 * 99);
        EXPECT_LT(least, limits[n] / 100);
    }
    EXPECT_LE(coil_retry_pause(&policy, UINT32_MAX, &random), coil_ms(700));
}

TEST(RetryPause, DoesNotOverflow)
{
    const coil_retry_policy policy = policy_of(0, COIL_FOREVER / 2 + 1, COIL_FOREVER);
    coil_random random;
    coil_random_init(&random, 1);
    for (unsigned n = 0; n < 100; n++)
        EXPECT_GE(coil_retry_pause(&policy, n, &random), 0);
}

TEST(Random, IsTheSameForASeedAndEvenlySpread)
{
    coil_random one;
    coil_random other;
    coil_random_init(&one, 7);
    coil_random_init(&other, 7);
    unsigned counts[10] = {};
    for (int i = 0; i < 100000; i++) {
        const uint64_t number = coil_random_below(&one, 10);
        EXPECT_EQ(number, coil_random_below(&other, 10));
        counts[number]++;
    }
    for (const unsigned count : counts) {
        EXPECT_GT(count, 9500u);
        EXPECT_LT(count, 10500u);
    }
    EXPECT_EQ(0u, coil_random_below(&one, 0));
    EXPECT_NE(coil_random_seed(), coil_random_seed());
}

TEST(RetryNext, StopsAtSuccessAtWhatIsNotWorthItAndAfterTheLastAttempt)
{
    const coil_retry_policy policy = policy_of(3);
    coil_retry retry;
    coil_retry_init(&retry, &policy, nullptr);

    EXPECT_EQ(-1, coil_retry_next(&retry, 0));
    coil_retry_begin(&retry);
    EXPECT_EQ(-1, coil_retry_next(&retry, -EACCES));
    coil_retry_begin(&retry);
    EXPECT_EQ(-1, coil_retry_next(&retry, -ECANCELED));
    coil_retry_begin(&retry);
    EXPECT_GE(coil_retry_next(&retry, -ECONNREFUSED), 0);
    EXPECT_GE(coil_retry_next(&retry, -ETIME), 0);
    EXPECT_EQ(-1, coil_retry_next(&retry, -ECONNRESET));
    EXPECT_EQ(3u, retry.attempt_count);
}

TEST(RetryNext, DoesNotWaitForABreakerThatIsOpen)
{
    const coil_retry_policy policy = policy_of(3);
    coil_retry_budget budget;
    coil_retry retry;
    coil_retry_budget_init(&budget, 0, 5);
    coil_retry_init(&retry, &policy, &budget);
    EXPECT_FALSE(coil_error_may_pass(-EHOSTDOWN));
    EXPECT_EQ(-1, coil_retry_next(&retry, -EHOSTDOWN));
    EXPECT_EQ(0u, budget.granted_count + budget.refused_count);
}

TEST(RetryNext, CostsNothingWhereNobodyHasBeenCalled)
{
    coil_retry_policy policy = policy_of(100);
    policy.worth_it = [](const coil_retry_policy *, int error) { return error == -EHOSTDOWN; };
    coil_retry_budget budget;
    coil_retry retry;
    coil_retry_budget_init(&budget, 0, 5);
    coil_retry_init(&retry, &policy, &budget);
    for (int i = 0; i < 50; i++)
        EXPECT_GE(coil_retry_next(&retry, -EHOSTDOWN), 0);
    EXPECT_EQ(0u, budget.granted_count + budget.refused_count);
}

TEST(RetryNext, AsksThePolicyWhatIsWorthIt)
{
    coil_retry_policy policy = policy_of(0);
    policy.worth_it = [](const coil_retry_policy *, int error) {
        return error == -EACCES || error == -ECANCELED;
    };
    coil_retry retry;
    coil_retry_init(&retry, &policy, nullptr);
    EXPECT_GE(coil_retry_next(&retry, -EACCES), 0);
    EXPECT_EQ(-1, coil_retry_next(&retry, -ECONNREFUSED));
    EXPECT_EQ(-1, coil_retry_next(&retry, -ECANCELED)); /* It is not even asked. */
}

TEST(RetryBudget, BoundsTheRetriesOfManyCalls)
{
    const coil_retry_policy policy = policy_of(100);
    coil_retry_budget budget;
    coil_retry retry;
    coil_retry_budget_init(&budget, 10, 5);
    coil_retry_init(&retry, &policy, &budget);

    for (int call = 0; call < 1000; call++) {
        coil_retry_begin(&retry);
        while (coil_retry_next(&retry, -ECONNREFUSED) >= 0) {
        }
    }
    EXPECT_EQ(5u + 999 / 10, budget.granted_count); /* (Full at the first call.) */
    EXPECT_EQ(1000u, budget.refused_count);
}

/* ------------------------------------------------------------------------------ on a loop -- */

struct Trial {
    coil_retry_policy policy = {};
    int failures = 0; /* Before it succeeds. */
    int error = -ECONNREFUSED;
    coil_duration takes = 0;
    int attempts = 0;
    int ended = 0; /* Of the attempts, however. */
    int64_t rc = 1;
    coil_retry_budget *budget = nullptr;
    coil_retry retry = {};
};

async(int, attempt_once, (Trial *) trial)
{
    vars();
    trial->attempts++;
    defer(trial->ended++);
    await(coil_sleep(trial->takes));
    return trial->attempts <= trial->failures ? trial->error : 42;
}

async(int, attempt_all, (Trial *) trial)
{
    vars(int rc);
    coil_retry_init(&trial->retry, &trial->policy, trial->budget);
    coil_repeat(&trial->retry, my->rc, attempt_once(trial));
    return my->rc;
}

async(int, run_trial, (Trial *) trial, (coil_duration) limit)
{
    vars(int rc);
    trial->rc = -ECANCELED;
    await(my->rc, within(limit, attempt_all(trial)));
    trial->rc = my->rc;
    return 0;
}

class Retry : public testing::Test
{
protected:
    void SetUp() override
    {
        ASSERT_EQ(0, coil_test_loop_create(&loop, nullptr));
    }

    void TearDown() override
    {
        coil_loop_destroy(loop);
    }

    void run(Trial *trial, coil_duration limit = COIL_FOREVER)
    {
        EXPECT_EQ(0, coil_loop_run_until(loop, run_trial(trial, limit)));
    }

    coil_loop *loop = nullptr;
};

TEST_F(Retry, GivesTheFirstSuccess)
{
    Trial trial = {.failures = 3};
    run(&trial);
    EXPECT_EQ(42, trial.rc);
    EXPECT_EQ(4, trial.attempts);
}

TEST_F(Retry, GivesTheErrorOfTheLastAttempt)
{
    Trial trial = {.policy = policy_of(5), .failures = 100, .error = -EPIPE};
    run(&trial);
    EXPECT_EQ(-EPIPE, trial.rc);
    EXPECT_EQ(5, trial.attempts);
}

TEST_F(Retry, DoesNotRepeatWhatIsNotWorthIt)
{
    Trial trial = {.failures = 100, .error = -EPERM};
    run(&trial);
    EXPECT_EQ(-EPERM, trial.rc);
    EXPECT_EQ(1, trial.attempts);
}

TEST_F(Retry, DoesNotSleepIntoADeadlineAndTakesNoTokenForThat)
{
    coil_retry_budget budget;
    coil_retry_budget_init(&budget, 0, 10);
    Trial trial = {.policy = policy_of(9, coil_s(1000000), coil_s(1000000)),
            .failures = 100,
            .takes = coil_ms(10),
            .budget = &budget};
    const coil_time before = coil_loop_now(loop);
    run(&trial, coil_s(1));
    EXPECT_EQ(-ECONNREFUSED, trial.rc);
    EXPECT_EQ(1, trial.attempts);
    EXPECT_EQ(coil_ms(10), coil_loop_now(loop) - before);
    EXPECT_EQ(0u, budget.granted_count);
}

TEST_F(Retry, ADeadlineDuringAnAttemptIsTheDeadlines)
{
    Trial trial = {.failures = 100, .takes = coil_s(5)};
    run(&trial, coil_s(3));
    EXPECT_EQ(-ETIME, trial.rc);
    EXPECT_EQ(1, trial.attempts);
    EXPECT_EQ(1, trial.ended);
}

async(int, cancelled_after, (Trial *) trial, (coil_duration) delay)
{
    vars(coil_group group; coil_task *task);
    open_group(&my->group);
    my->task = spawn(&my->group, run_trial(trial, COIL_FOREVER));
    await(coil_sleep(delay));
    if (trial->rc == 1 || trial->rc == -ECANCELED)
        coil_group_cancel(&my->group);
    ignore(coil_group_join(&my->group));
    return 0;
}

/* At any time, in attempts and in pauses: it ends there, and no attempt is left over. */
TEST_F(Retry, EndsWhereItIsCancelled)
{
    for (const unsigned seed : seeds(300)) {
        SCOPED_TRACE(seed);
        coil_random random;
        coil_random_init(&random, seed);
        coil_retry_budget budget;
        coil_retry_budget_init(&budget, 0, 1000);
        Trial trial = {.policy = policy_of(8),
                .failures = static_cast<int>(coil_random_below(&random, 10)),
                .takes = coil_random_duration(&random, coil_ms(100)),
                .budget = &budget};
        const coil_duration delay = coil_random_duration(&random, coil_s(5));
        EXPECT_EQ(0, coil_loop_run_until(loop, cancelled_after(&trial, delay)));
        EXPECT_EQ(trial.attempts, trial.ended);
        const bool paused = budget.granted_count == static_cast<uint64_t>(trial.attempts);
        EXPECT_TRUE(paused || budget.granted_count + 1 == static_cast<uint64_t>(trial.attempts));
        EXPECT_TRUE(!paused || trial.rc == -ECANCELED);
        if (trial.rc == 42)
            EXPECT_EQ(trial.failures + 1, trial.attempts);
        else if (trial.rc == -ECONNREFUSED)
            EXPECT_EQ(8, trial.attempts);
        else
            EXPECT_EQ(-ECANCELED, trial.rc);
    }
}

/* ------------------------------------------------------------------------- with a breaker -- */

struct Silent {
    coil_circuit_breaker breaker;
    unsigned called = 0;
};

async(int, call_silent, (Silent *) server)
{
    vars();
    server->called++;
    await(coil_sleep(coil_s(1000)));
    return 0;
}

/* As the guide has it: the limit is what the breaker sees. */
async(int, guarded, (Silent *) server)
{
    vars(coil_circuit_ticket ticket; int rc);

    my->rc = coil_circuit_breaker_admit(&server->breaker, coil_task_now(coil_self), &my->ticket);
    if (my->rc < 0)
        return my->rc;
    defer(coil_circuit_breaker_settle(
            &server->breaker, coil_task_now(coil_self), &my->ticket, COIL_CALL_ABANDONED));
    await(my->rc, within(coil_s(1), call_silent(server)));
    coil_circuit_breaker_settle(&server->breaker, coil_task_now(coil_self), &my->ticket,
            my->rc < 0 ? COIL_CALL_FAILED : COIL_CALL_SUCCEEDED);
    return my->rc;
}

async(int, ask_patiently, (Silent *) server)
{
    vars(coil_retry retry; int rc);
    static const coil_retry_policy policy = policy_of(10, coil_ms(1));

    coil_retry_init(&my->retry, &policy, nullptr);
    coil_repeat(&my->retry, my->rc, guarded(server));
    return my->rc;
}

TEST_F(Retry, TellsTheBreakerOfWhoIsSilent)
{
    Silent server = {};
    coil_circuit_breaker_options options = {};
    options.calls_min = 3;
    options.window = coil_s(100);
    coil_circuit_breaker_init(&server.breaker, &options);
    EXPECT_EQ(-EHOSTDOWN, coil_loop_run_until(loop, ask_patiently(&server)));
    EXPECT_EQ(3u, server.called);
    EXPECT_EQ(3u, server.breaker.stats.failed);
    EXPECT_EQ(0u, server.breaker.stats.abandoned);
}

} // namespace
