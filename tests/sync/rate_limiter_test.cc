/* SPDX-License-Identifier: MIT */
#include <coil/rate_limiter.h>

#include "world.h"

#include <deque>
#include <random>

#include <coil/sugar.h>

namespace
{

struct client {
    coil_rate_limiter *limiter;
    int number;
    uint64_t count;
    numbers *order; /* Who got its tokens. */
    int rc;         /* 1: the call has not come back. */
    coil_time at;   /* When it did. */
    bool went_on;
};

} // namespace

async(int, take, (client *) who, (coil_duration) limit)
{
    vars();

    await(who->rc, within(limit, coil_rate_limiter_acquire(who->limiter, who->count)));
    who->at = coil_self->sched->now;
    if (who->rc < 0)
        return who->rc;
    who->order->push_back(who->number);
    await(coil_sleep(0));
    who->went_on = true;
    return 0;
}

async(int, take_again_and_again, (coil_rate_limiter *) limiter, (int) count,
        (std::vector<coil_time> *) times)
{
    vars(int i);

    for (my->i = 0; my->i < count; my->i++) {
        attempt(coil_rate_limiter_acquire(limiter, 1));
        times->push_back(coil_self->sched->now);
    }
    return 0;
}

namespace
{

class RateLimiter : public World
{
protected:
    RateLimiter()
    {
        open(10, coil_s(1), 3); /* A token in 100 ms. */
    }

    ~RateLimiter() override
    {
        run_out();
        coil_rate_limiter_fini(&limiter);
    }

    void open(uint64_t token_count, coil_duration per, uint64_t burst_count)
    {
        coil_rate_limiter_init(&limiter, &sched, token_count, per, burst_count);
    }

    coil_task *come(int number, uint64_t count, coil_duration limit = COIL_FOREVER)
    {
        all.push_back({&limiter, number, count, &order, 1, -1, false});
        return spawn(&sched.root, take(&all.back(), limit));
    }

    coil_rate_limiter limiter;
    numbers order;
    std::deque<client> all;
};

TEST_F(RateLimiter, GrantsABurstAtOnceAndThenAtItsRate)
{
    for (int i = 0; i < 6; i++)
        come(i, 1);
    settle();
    EXPECT_EQ((numbers{0, 1, 2}), order);
    run_out();
    for (size_t i = 0; i < 6; i++)
        EXPECT_EQ(i < 3 ? 0 : coil_ms(100) * static_cast<coil_time>(i - 2), all[i].at);
}

TEST_F(RateLimiter, FillsUpToTheBurstAndNoFurther)
{
    EXPECT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 3));
    EXPECT_EQ(-EAGAIN, coil_rate_limiter_try_acquire(&limiter, 1));
    pass(coil_ms(100) - 1);
    EXPECT_EQ(-EAGAIN, coil_rate_limiter_try_acquire(&limiter, 1));
    pass(1);
    EXPECT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 1));
    pass(coil_s(3600));
    EXPECT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 3));
    EXPECT_EQ(-EAGAIN, coil_rate_limiter_try_acquire(&limiter, 1));
}

TEST_F(RateLimiter, DoesNotDriftWhenTheRateIsNoWholeNumberOfNanoseconds)
{
    std::vector<coil_time> times;
    open(3, 10, 1); /* Ten nanoseconds, by three. */
    spawn(&sched.root, take_again_and_again(&limiter, 3001, &times));
    run_out();
    ASSERT_EQ(3001u, times.size());
    for (size_t i = 0; i < times.size(); i++)
        ASSERT_EQ(static_cast<coil_time>((10 * i + 2) / 3), times[i]);
    EXPECT_EQ(10000, times.back());
}

TEST_F(RateLimiter, DoesNotDriftWhenTheLoopIsLate)
{
    std::vector<coil_time> times;
    open(1000, coil_s(1), 1);
    for (int i = 0; i < 100; i++)
        come(i, 1);
    settle();
    while (coil_sched_next(&sched) != COIL_NEVER) {
        coil_sched_advance(&sched, coil_sched_next(&sched) + coil_us(70));
        settle();
    }
    EXPECT_EQ(coil_ms(99) + coil_us(70), all[99].at);
}

TEST_F(RateLimiter, CatchesUpAfterAStall)
{
    for (int i = 0; i < 20; i++)
        come(i, 1);
    settle();
    coil_sched_advance(&sched, coil_ms(1050));
    settle();
    EXPECT_EQ(13u, order.size());
    pass(coil_ms(50) - 1);
    EXPECT_EQ(13u, order.size());
    pass(1);
    EXPECT_EQ(14u, order.size());
}

TEST_F(RateLimiter, ServesALargeRequestBeforeSmallOnesThatCameLater)
{
    ASSERT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 2));
    come(1, 3);
    come(2, 1);
    settle();
    EXPECT_TRUE(order.empty()) << "one is there, but it is not for the second";
    EXPECT_EQ(-EAGAIN, coil_rate_limiter_try_acquire(&limiter, 1));
    EXPECT_EQ(-EAGAIN, coil_rate_limiter_try_acquire(&limiter, 0));
    run_out();
    EXPECT_EQ((numbers{1, 2}), order);
    EXPECT_EQ(coil_ms(200), all[0].at);
    EXPECT_EQ(coil_ms(300), all[1].at);
}

TEST_F(RateLimiter, RefusesMoreThanItEverHolds)
{
    EXPECT_EQ(-EMSGSIZE, coil_rate_limiter_try_acquire(&limiter, 4));
    come(1, 4);
    come(2, UINT64_MAX);
    settle();
    EXPECT_EQ(-EMSGSIZE, all[0].rc);
    EXPECT_EQ(-EMSGSIZE, all[1].rc);
    EXPECT_EQ(COIL_NEVER, coil_rate_limiter_ready_at(&limiter, 4));
}

TEST_F(RateLimiter, TakesNothingForACancelledRequestAndLetsTheNextMoveUpAtOnce)
{
    ASSERT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 2));
    coil_task *large = come(1, 3);
    come(2, 1);
    come(3, 1);
    settle();
    coil_task_cancel(large);
    coil_task_cancel(large);
    settle();
    EXPECT_EQ((numbers{2}), order);
    EXPECT_EQ(0, all[1].at);
    run_out();
    EXPECT_EQ(coil_ms(100), all[2].at);
}

TEST_F(RateLimiter, LeavesNothingBehindWhenItsOnlyWaiterIsCancelled)
{
    ASSERT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 3));
    coil_task *victim = come(1, 3);
    settle();
    coil_task_cancel(victim);
    settle();
    EXPECT_EQ(COIL_NEVER, coil_sched_next(&sched)) << "the timer is disarmed";
    pass(coil_ms(100));
    EXPECT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 1));
}

TEST_F(RateLimiter, DeliversWhatWasGrantedBeforeTheCancellation)
{
    ASSERT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 3));
    coil_task *victim = come(1, 1);
    settle();
    coil_sched_advance(&sched, coil_ms(100));
    coil_task_cancel(victim);
    settle();
    EXPECT_EQ(0, all[0].rc);
    EXPECT_FALSE(all[0].went_on);
    EXPECT_EQ(-EAGAIN, coil_rate_limiter_try_acquire(&limiter, 1));
}

TEST_F(RateLimiter, WaitsUntilTheDeadlineEvenIfItIsBoundToPass)
{
    ASSERT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 3));
    come(1, 1, coil_ms(50));
    come(2, 1, coil_ms(150));
    come(3, 1, coil_ms(150)); /* Would have been in vain, had the first not given up. */
    run_out();
    EXPECT_EQ(-ETIME, all[0].rc);
    EXPECT_EQ(coil_ms(50), all[0].at);
    EXPECT_EQ(coil_ms(100), all[1].at);
    EXPECT_EQ(-ETIME, all[2].rc);
}

TEST_F(RateLimiter, TellsWhenARequestWouldBeServed)
{
    EXPECT_EQ(0, coil_rate_limiter_ready_at(&limiter, 3));
    ASSERT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 2));
    EXPECT_EQ(0, coil_rate_limiter_ready_at(&limiter, 1));
    EXPECT_EQ(coil_ms(200), coil_rate_limiter_ready_at(&limiter, 3));
    come(1, 3);
    come(2, 2);
    settle();
    EXPECT_EQ(coil_ms(500), coil_rate_limiter_ready_at(&limiter, 1));
    come(3, 1);
    run_out();
    EXPECT_EQ(coil_ms(500), all[2].at);
}

TEST_F(RateLimiter, IsRefusedToATaskThatIsBeingCancelled)
{
    coil_task_cancel(come(1, 1));
    settle();
    EXPECT_EQ(1, all[0].rc);
    EXPECT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 3));
}

TEST_F(RateLimiter, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    ASSERT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 3));
    coil_task *task = come(1, 1);
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_EQ(1, all[0].rc);
}

TEST_F(RateLimiter, CountsWithTheLargestAndSmallestRates)
{
    open(UINT32_MAX, 1, UINT32_MAX);
    EXPECT_EQ(0, coil_rate_limiter_try_acquire(&limiter, UINT32_MAX));
    EXPECT_EQ(1, coil_rate_limiter_ready_at(&limiter, 1));
    EXPECT_EQ(1, coil_rate_limiter_ready_at(&limiter, UINT32_MAX));
    open(1, INT64_MAX / 2, 1);
    EXPECT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 1));
    EXPECT_EQ(INT64_MAX / 2, coil_rate_limiter_ready_at(&limiter, 1));
    pass(INT64_MAX / 2);
    EXPECT_EQ(0, coil_rate_limiter_try_acquire(&limiter, 1));
    EXPECT_EQ(INT64_MAX - 1, coil_rate_limiter_ready_at(&limiter, 1));
    open(10, coil_s(1), 3);
}

TEST_F(RateLimiter, AgreesWithACountOfTokensAtEveryNanosecond)
{
    std::mt19937 random(1);
    for (int run = 0; run < 200; run++) {
        const uint64_t rate = 1 + random() % 9;
        const uint64_t per = 1 + random() % 9;
        const uint64_t burst = 1 + random() % 9;
        uint64_t level = burst * per; /* In units of 1 / per of a token. */
        open(rate, static_cast<coil_duration>(per), burst);
        for (int i = 0; i < 100; i++) {
            const uint64_t count = random() % (burst + 1);
            const bool enough = level >= count * per;
            ASSERT_EQ(enough ? 0 : -EAGAIN, coil_rate_limiter_try_acquire(&limiter, count));
            level -= enough ? count * per : 0;
            const uint64_t step = random() % 4;
            coil_sched_advance(&sched, sched.now + static_cast<coil_duration>(step));
            level = std::min(burst * per, level + step * rate);
        }
    }
}

TEST_F(RateLimiter, NeedsARateAndABucket)
{
    EXPECT_DEATH(open(0, 1, 1), "token_count > 0");
    EXPECT_DEATH(open(1, 0, 1), "per > 0");
    EXPECT_DEATH(open(1, 1, 0), "burst_count > 0");
    EXPECT_DEATH(open(1, 1, 1ull << 32), "UINT32_MAX");
    EXPECT_DEATH(open(1, INT64_MAX / 2 + 1, 1), "COIL_FOREVER / 2");
    EXPECT_DEATH(open(1, INT64_MAX, UINT32_MAX), "COIL_FOREVER / 2");
}

TEST_F(RateLimiter, MayNotEndWhileATaskWaits)
{
    come(1, 3);
    come(2, 3);
    settle();
    EXPECT_DEATH(coil_rate_limiter_fini(&limiter), "coil_list_empty");
}

} // namespace
