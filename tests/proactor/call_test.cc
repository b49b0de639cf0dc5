/* SPDX-License-Identifier: MIT */
/* coil/call.h: when calls run, how often, and what they may do. In the time of a test loop. */
#include "stage.h"

#include <coil/call.h>
#include <coil/test_loop.h>

#include <algorithm>
#include <thread>
#include <vector>

#include <coil/sugar.h>

namespace
{

/* A call that does what the test says. */
struct Act {
    Act() : Act([] {}) {}

    explicit Act(std::function<void()> what) : action(std::move(what))
    {
        coil_call_init(&call, run);
        link.act = this;
    }

    Act(const Act &) = delete;
    Act &operator=(const Act &) = delete;

    ~Act()
    {
        coil_call_cancel(&call);
    }

    static void run(coil_call *call)
    {
        Act *act = coil_container_of(call, Link, call)->act;
        act->count++;
        act->action();
    }

    struct Link {
        coil_call call;
        Act *act;
    } link = {};
    coil_call &call = link.call;
    int count = 0;
    std::function<void()> action;
};

class Call : public BareLoop
{
protected:
    Call() : BareLoop(coil_test_loop_create) {}

    std::vector<int> order;
};

TEST_F(Call, IsNeverInlineAndRunsOnce)
{
    Act act;
    coil_call_soon(loop, &act.call);
    EXPECT_EQ(0, act.count);
    EXPECT_TRUE(coil_call_pending(&act.call));
    coil_test_settle(loop);
    EXPECT_EQ(1, act.count);
    EXPECT_FALSE(coil_call_pending(&act.call));
    coil_test_settle(loop);
    EXPECT_EQ(1, act.count);
}

TEST_F(Call, SoonIsFirstComeFirstServed)
{
    std::deque<Act> acts;
    for (int i = 0; i < 100; i++) {
        acts.emplace_back([this, i] { order.push_back(i); });
        coil_call_soon(loop, &acts.back().call);
    }
    coil_test_settle(loop);
    ASSERT_EQ(100u, order.size());
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(i, order[static_cast<size_t>(i)]);
}

TEST_F(Call, ThatIsScheduledByACallRunsInTheNextTurn)
{
    Act last([this] { order.push_back(3); });
    Act second([this] { order.push_back(2); });
    Act first([&] {
        order.push_back(1);
        coil_call_soon(loop, &last.call);
    });
    coil_call_soon(loop, &first.call);
    coil_call_soon(loop, &second.call);
    uint64_t turns = coil_loop_statistics(loop).turns;
    coil_loop_stop(loop); /* One turn. */
    EXPECT_EQ(0, coil_loop_run_forever(loop));
    EXPECT_EQ(turns + 1, coil_loop_statistics(loop).turns);
    EXPECT_EQ((std::vector<int>{1, 2}), order);
    coil_test_settle(loop);
    EXPECT_EQ((std::vector<int>{1, 2, 3}), order);
}

async(int, reads_one, (int) fd, (char *) byte)
{
    vars(ssize_t count);
    attempt(my->count, coil_read(fd, byte, 1));
    return static_cast<int>(my->count);
}

TEST_F(Call, ThatSchedulesItselfForEverDoesNotStarveIo)
{
    Ends ends = make_pipe();
    char byte = 0;
    Act spinning;
    spinning.action = [&] {
        coil_call_soon(loop, &spinning.call);
        if (spinning.count == 100)
            put(ends.in, "x");
    };
    coil_call_soon(loop, &spinning.call);
    EXPECT_EQ(1, coil_loop_run_until(loop, reads_one(ends.out, &byte)));
    EXPECT_LE(100, spinning.count);
    EXPECT_GT(110, spinning.count);
    coil_call_cancel(&spinning.call);
}

TEST_F(Call, LaterIsNeverEarlyAndInOrderOfTheDeadline)
{
    std::deque<Act> acts;
    for (int delay : {5, 1, 3, 2, 4}) {
        acts.emplace_back([this, delay] {
            EXPECT_EQ(coil_s(delay), elapsed());
            order.push_back(delay);
        });
        coil_call_later(loop, &acts.back().call, coil_s(delay));
    }
    coil_test_pass(loop, coil_s(5) - 1);
    EXPECT_EQ((std::vector<int>{1, 2, 3, 4}), order);
    coil_test_pass(loop, 1);
    EXPECT_EQ((std::vector<int>{1, 2, 3, 4, 5}), order);
}

TEST_F(Call, EqualDeadlinesRunInTheOrderOfScheduling)
{
    std::deque<Act> acts;
    const coil_time when = coil_loop_now(loop) + coil_ms(77);
    for (int i = 0; i < 50; i++) {
        acts.emplace_back([this, i] { order.push_back(i); });
        coil_call_at(loop, &acts.back().call, when);
    }
    coil_call_at(loop, &acts[7].call, when); /* Anew: behind the others. */
    coil_test_pass(loop, coil_ms(77));
    ASSERT_EQ(50u, order.size());
    EXPECT_EQ(7, order[49]);
    for (int i = 0; i < 7; i++)
        EXPECT_EQ(i, order[static_cast<size_t>(i)]);
}

TEST_F(Call, WhatHasPassedIsDueAtOnceAndNeverNeverComes)
{
    Act past;
    Act never;
    Act forever;
    coil_call_at(loop, &past.call, INT64_MIN);
    coil_call_at(loop, &never.call, COIL_NEVER);
    coil_call_later(loop, &forever.call, COIL_FOREVER);
    coil_test_pass(loop, coil_s(86400));
    EXPECT_EQ(1, past.count);
    EXPECT_EQ(0, never.count + forever.count);
    EXPECT_TRUE(coil_call_pending(&never.call) && coil_call_pending(&forever.call));
    coil_call_cancel(&never.call);
    EXPECT_FALSE(coil_call_pending(&never.call));
}

TEST_F(Call, ThatIsCancelledDoesNotRun)
{
    Act soon;
    Act late;
    coil_call_soon(loop, &soon.call);
    coil_call_later(loop, &late.call, coil_s(1));
    coil_call_cancel(&soon.call);
    coil_call_cancel(&late.call);
    coil_call_cancel(&late.call);
    coil_test_pass(loop, coil_s(2));
    EXPECT_EQ(0, soon.count + late.count);
}

TEST_F(Call, MayBeCancelledByOneOfTheSameTurn)
{
    Act victim;
    Act killer([&victim] { coil_call_cancel(&victim.call); });
    coil_call_soon(loop, &killer.call);
    coil_call_soon(loop, &victim.call);
    coil_test_settle(loop);
    EXPECT_EQ(0, victim.count);

    coil_call_later(loop, &killer.call, coil_s(1)); /* Both are due in one turn. */
    coil_call_later(loop, &victim.call, coil_s(1));
    coil_test_pass(loop, coil_s(1));
    EXPECT_EQ(2, killer.count);
    EXPECT_EQ(0, victim.count);
}

TEST_F(Call, ThatIsScheduledAgainMovesAndRunsOnce)
{
    Act act;
    coil_call_later(loop, &act.call, coil_s(1));
    coil_call_later(loop, &act.call, coil_s(3));
    coil_test_pass(loop, coil_s(2));
    EXPECT_EQ(0, act.count);
    coil_call_soon(loop, &act.call);
    coil_test_pass(loop, coil_s(5));
    EXPECT_EQ(1, act.count);
}

TEST_F(Call, MayFreeItself)
{
    int runs = 0;
    Act *act = new Act;
    act->action = [act, &runs] {
        runs++;
        delete act;
    };
    coil_call_soon(loop, &act->call);
    coil_test_settle(loop);
    EXPECT_EQ(1, runs);
}

/* -------------------------------------------------------------------------------- periodic -- */

TEST_F(Call, EveryKeepsItsPhase)
{
    std::vector<coil_duration> ticks;
    Act act([&] { ticks.push_back(elapsed()); });
    coil_call_every(loop, &act.call, coil_s(10));
    coil_test_pass(loop, coil_s(35));
    EXPECT_EQ((std::vector<coil_duration>{coil_s(10), coil_s(20), coil_s(30)}), ticks);
    EXPECT_EQ(0u, act.call.missed_count);
    coil_call_cancel(&act.call);
    coil_test_pass(loop, coil_s(35));
    EXPECT_EQ(3u, ticks.size());
}

TEST_F(Call, EveryDoesNotCatchUpButCountsWhatItMissed)
{
    std::vector<coil_duration> ticks;
    Act act([&] { ticks.push_back(elapsed()); });
    coil_call_every(loop, &act.call, coil_s(10));
    loop->virtual_now += coil_s(47); /* Something has blocked the loop. */
    coil_test_settle(loop);
    EXPECT_EQ((std::vector<coil_duration>{coil_s(47)}), ticks);
    EXPECT_EQ(3u, act.call.missed_count) << "those at 20, 30 and 40 s";
    coil_test_pass(loop, coil_s(13));
    EXPECT_EQ((std::vector<coil_duration>{coil_s(47), coil_s(50), coil_s(60)}), ticks);
    EXPECT_EQ(3u, act.call.missed_count);
}

TEST_F(Call, EveryMayCancelOrRescheduleItselfInItsRun)
{
    Act once;
    once.action = [&once] {
        EXPECT_TRUE(coil_call_pending(&once.call));
        coil_call_cancel(&once.call);
    };
    Act slower;
    slower.action = [&] { coil_call_every(loop, &slower.call, coil_s(100)); };
    coil_call_every(loop, &once.call, coil_s(1));
    coil_call_every(loop, &slower.call, coil_s(1));
    coil_test_pass(loop, coil_s(300));
    EXPECT_EQ(1, once.count);
    EXPECT_EQ(3, slower.count) << "at 1, 101 and 201 s";
}

TEST_F(Call, EveryNanosecondStillLetsTimePass)
{
    Act act;
    coil_call_every(loop, &act.call, 1);
    coil_test_pass(loop, 1000);
    EXPECT_EQ(1000, act.count);
    EXPECT_EQ(0u, act.call.missed_count);
}

/* ------------------------------------------------------------------------------- and loops -- */

TEST_F(Call, DoesNotKeepTheLoopRunning)
{
    Act act;
    coil_call_later(loop, &act.call, coil_s(1));
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_EQ(0, act.count);
    EXPECT_EQ(0, elapsed());
    coil_spawn(coil_loop_root(loop), coil_sleep(coil_s(2)));
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_EQ(1, act.count);
}

TEST_F(Call, MaySpawnTasks)
{
    Act act([this] { coil_spawn(coil_loop_root(loop), coil_sleep(coil_s(10))); });
    coil_call_later(loop, &act.call, coil_s(5));
    coil_spawn(coil_loop_root(loop), coil_sleep(coil_s(5)));
    EXPECT_EQ(0, coil_loop_run(loop));
    EXPECT_EQ(coil_s(15), elapsed());
}

TEST_F(Call, ThatIsPendingAtTheEndOfItsLoopIsIdleThen)
{
    coil_loop *other = nullptr;
    ASSERT_EQ(0, coil_test_loop_create(&other, nullptr));
    Act soon;
    Act late;
    Act often;
    coil_call_soon(other, &soon.call);
    coil_call_later(other, &late.call, coil_s(1));
    coil_call_every(other, &often.call, coil_s(1));
    coil_loop_destroy(other);
    EXPECT_FALSE(coil_call_pending(&soon.call) || coil_call_pending(&late.call));
    coil_call_cancel(&often.call);
    coil_call_soon(loop, &soon.call); /* It may be used again. */
    coil_test_settle(loop);
    EXPECT_EQ(1, soon.count);
    EXPECT_EQ(0, late.count + often.count);
}

TEST_F(Call, RandomSchedulesComeOutAsInAModel)
{
    Random random = {42};
    std::deque<Act> acts;
    for (int i = 0; i < 500; i++)
        acts.emplace_back([this, i] { order.push_back(i); });
    std::vector<coil_time> due(500, -1);
    std::vector<int> rank(500, 0);
    for (int step = 0; step < 3000; step++) {
        size_t i = random.below(500);
        if (random.below(4) == 0) {
            coil_call_cancel(&acts[i].call);
            due[i] = -1;
            continue;
        }
        due[i] = COIL_TEST_EPOCH + static_cast<coil_time>(random.below(50)) * 40000;
        rank[i] = step;
        coil_call_at(loop, &acts[i].call, due[i]);
    }
    std::vector<int> model;
    for (int i = 0; i < 500; i++) {
        if (due[static_cast<size_t>(i)] >= 0)
            model.push_back(i);
    }
    std::sort(model.begin(), model.end(), [&](int a, int b) {
        auto x = static_cast<size_t>(a);
        auto y = static_cast<size_t>(b);
        return due[x] != due[y] ? due[x] < due[y] : rank[x] < rank[y];
    });
    coil_test_pass(loop, coil_ms(10));
    EXPECT_EQ(model, order);
}

using CallDeathTest = Call;

TEST_F(CallDeathTest, IsNotScheduledFromAnotherThreadOnARunningLoop)
{
    EXPECT_DEATH(
            {
                coil_loop *own = nullptr;
                (void)coil_loop_create(&own, nullptr);
                Act foreign;
                Act start([&] { std::thread([&] { coil_call_soon(own, &foreign.call); }).join(); });
                coil_call_soon(own, &start.call);
                (void)coil_loop_run_forever(own);
            },
            "use coil_loop_post");
}

TEST_F(CallDeathTest, IsNotScheduledOnALoopThatIsGone)
{
    EXPECT_DEATH(
            {
                coil_loop *own = nullptr;
                (void)coil_loop_create(&own, nullptr);
                coil_loop_destroy(own);
                Act act;
                coil_call_soon(own, &act.call);
            },
            "on a loop that has been destroyed");
}

TEST_F(CallDeathTest, APeriodIsPositive)
{
    Act act;
    EXPECT_DEATH(coil_call_every(loop, &act.call, 0), "period > 0");
}

} // namespace
