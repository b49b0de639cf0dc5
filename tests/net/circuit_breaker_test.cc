/* SPDX-License-Identifier: MIT */
/* The state machine, told what time it is. */
#include <coil/circuit_breaker.h>
#include <coil/random.h>

#include "../sync/seeds.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

namespace
{

const coil_circuit_breaker_options quick = {.window = coil_s(16),
        .calls_min = 4,
        .failure_percent = 50,
        .open_duration = coil_s(10),
        .open_duration_max = coil_s(35),
        .probes = 1};

class CircuitBreaker : public testing::Test
{
protected:
    CircuitBreaker()
    {
        coil_circuit_breaker_init(&breaker, &quick);
    }

    int admit(coil_circuit_ticket *ticket)
    {
        return coil_circuit_breaker_admit(&breaker, now, ticket);
    }

    void settle(coil_circuit_ticket *ticket, coil_call_outcome outcome)
    {
        coil_circuit_breaker_settle(&breaker, now, ticket, outcome);
    }

    int call(coil_call_outcome outcome)
    {
        coil_circuit_ticket ticket = {};
        const int rc = admit(&ticket);
        if (rc == 0)
            settle(&ticket, outcome);
        return rc;
    }

    void trip()
    {
        for (int i = 0; i < 4; i++)
            EXPECT_EQ(0, call(COIL_CALL_FAILED));
        EXPECT_EQ(COIL_CIRCUIT_OPEN, breaker.state);
    }

    coil_circuit_breaker breaker;
    coil_time now = coil_s(1000);
};

TEST_F(CircuitBreaker, StaysClosedBelowTheRate)
{
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(0, call(i % 5 < 3 ? COIL_CALL_SUCCEEDED : COIL_CALL_FAILED));
    EXPECT_EQ(COIL_CIRCUIT_CLOSED, breaker.state);
}

TEST_F(CircuitBreaker, StaysClosedWithFewCallsWhateverBecomesOfThem)
{
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(0, call(COIL_CALL_FAILED));
    EXPECT_EQ(COIL_CIRCUIT_CLOSED, breaker.state);
}

TEST_F(CircuitBreaker, OpensAtTheRateAndRefusesAtOnce)
{
    trip();
    EXPECT_EQ(-EHOSTDOWN, call(COIL_CALL_SUCCEEDED));
    EXPECT_EQ(1u, breaker.stats.opened);
    EXPECT_EQ(1u, breaker.stats.refused);
    EXPECT_EQ(now + coil_s(10), coil_circuit_breaker_admits_at(&breaker));
}

TEST_F(CircuitBreaker, ForgetsWhatLiesBehindTheWindow)
{
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(0, call(COIL_CALL_FAILED));
    now += coil_s(17);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(0, call(COIL_CALL_FAILED));
    EXPECT_EQ(COIL_CIRCUIT_CLOSED, breaker.state);
    EXPECT_EQ(0, call(COIL_CALL_FAILED));
    EXPECT_EQ(COIL_CIRCUIT_OPEN, breaker.state);
}

TEST_F(CircuitBreaker, LetsOneProbeThroughAndClosesWhenItSucceeds)
{
    trip();
    now += coil_s(10);
    coil_circuit_ticket probe = {};
    coil_circuit_ticket other = {};
    EXPECT_EQ(0, admit(&probe));
    EXPECT_EQ(COIL_CIRCUIT_HALF_OPEN, breaker.state);
    EXPECT_EQ(-EHOSTDOWN, admit(&other));
    EXPECT_EQ(COIL_NEVER, coil_circuit_breaker_admits_at(&breaker));
    settle(&probe, COIL_CALL_SUCCEEDED);
    EXPECT_EQ(COIL_CIRCUIT_CLOSED, breaker.state);
    EXPECT_EQ(0, admit(&other));
    settle(&other, COIL_CALL_FAILED); /* The failures before do not count any more. */
    EXPECT_EQ(COIL_CIRCUIT_CLOSED, breaker.state);
}

TEST_F(CircuitBreaker, StaysOpenTwiceAsLongAfterEachProbeThatFailsUpToTheMaximum)
{
    trip();
    for (const coil_duration duration : {coil_s(10), coil_s(20), coil_s(35), coil_s(35)}) {
        now += duration - 1;
        EXPECT_EQ(-EHOSTDOWN, call(COIL_CALL_FAILED));
        now += 1;
        EXPECT_EQ(0, call(COIL_CALL_FAILED));
        EXPECT_EQ(COIL_CIRCUIT_OPEN, breaker.state);
    }
    now += coil_s(35);
    EXPECT_EQ(0, call(COIL_CALL_SUCCEEDED));
    trip();
    EXPECT_EQ(now + coil_s(10), coil_circuit_breaker_admits_at(&breaker));
}

TEST_F(CircuitBreaker, GivesThePlaceOfAnAbandonedProbeToTheNext)
{
    trip();
    now += coil_s(10);
    EXPECT_EQ(0, call(COIL_CALL_ABANDONED));
    EXPECT_EQ(COIL_CIRCUIT_HALF_OPEN, breaker.state);
    EXPECT_EQ(0, call(COIL_CALL_SUCCEEDED));
    EXPECT_EQ(COIL_CIRCUIT_CLOSED, breaker.state);
}

TEST_F(CircuitBreaker, IgnoresCallsThatBeganBeforeItOpened)
{
    coil_circuit_ticket slow = {};
    coil_circuit_ticket slower = {};
    EXPECT_EQ(0, admit(&slow));
    EXPECT_EQ(0, admit(&slower));
    trip();
    now += coil_s(10);
    coil_circuit_ticket probe = {};
    EXPECT_EQ(0, admit(&probe));
    settle(&slow, COIL_CALL_SUCCEEDED);
    settle(&slower, COIL_CALL_FAILED);
    EXPECT_EQ(COIL_CIRCUIT_HALF_OPEN, breaker.state);
    EXPECT_EQ(2u, breaker.stats.stale);
    settle(&probe, COIL_CALL_SUCCEEDED);
    EXPECT_EQ(COIL_CIRCUIT_CLOSED, breaker.state);
}

TEST_F(CircuitBreaker, CountsATicketOnce)
{
    coil_circuit_ticket ticket = {};
    settle(&ticket, COIL_CALL_FAILED); /* None. */
    EXPECT_EQ(0, admit(&ticket));
    settle(&ticket, COIL_CALL_SUCCEEDED);
    settle(&ticket, COIL_CALL_ABANDONED);
    EXPECT_EQ(1u, breaker.stats.succeeded);
    EXPECT_EQ(0u, breaker.stats.abandoned + breaker.stats.failed + breaker.stats.stale);
}

TEST_F(CircuitBreaker, StandsStillWhenTimeRunsBackwards)
{
    trip();
    now -= coil_s(500);
    EXPECT_EQ(-EHOSTDOWN, call(COIL_CALL_SUCCEEDED));
    now = coil_s(1010);
    EXPECT_EQ(0, call(COIL_CALL_SUCCEEDED));
}

/* Random calls, settled in any order: the books balance, and there is never a second probe. */
void run_random(unsigned seed)
{
    coil_random random;
    coil_circuit_breaker breaker;
    coil_circuit_breaker_options options = quick;
    std::vector<coil_circuit_ticket> under_way;
    coil_time now = 0;

    coil_random_init(&random, seed);
    options.probes = 1 + static_cast<unsigned>(coil_random_below(&random, 3));
    coil_circuit_breaker_init(&breaker, &options);
    for (int i = 0; i < 5000; i++) {
        now += coil_random_duration(&random, coil_s(1));
        coil_circuit_ticket ticket = {};
        const coil_circuit_state before = breaker.state;
        const bool was_probing = coil_circuit_breaker_admits_at(&breaker) == COIL_NEVER;
        if (coil_random_below(&random, 2) == 0) {
            if (coil_circuit_breaker_admit(&breaker, now, &ticket) == 0) {
                ASSERT_FALSE(was_probing);
                under_way.push_back(ticket);
            }
        } else if (!under_way.empty()) {
            const size_t at = coil_random_below(&random, under_way.size());
            coil_circuit_breaker_settle(&breaker, now, &under_way[at],
                    static_cast<coil_call_outcome>(coil_random_below(&random, 3)));
            under_way.erase(under_way.begin() + static_cast<long>(at));
        }
        const coil_circuit_stats &stats = breaker.stats;
        ASSERT_EQ(stats.admitted,
                stats.succeeded + stats.failed + stats.abandoned + stats.stale + under_way.size());
        ASSERT_FALSE(before == COIL_CIRCUIT_OPEN && breaker.state == COIL_CIRCUIT_CLOSED);
        ASSERT_FALSE(before == COIL_CIRCUIT_CLOSED && breaker.state == COIL_CIRCUIT_HALF_OPEN);
    }
}

TEST(CircuitBreakerAtRandom, KeepsItsBooks)
{
    for (const unsigned seed : seeds(20)) {
        SCOPED_TRACE(seed);
        run_random(seed);
    }
}

} // namespace
