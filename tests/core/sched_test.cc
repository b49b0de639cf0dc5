/* SPDX-License-Identifier: MIT */
/* The scheduler: order, fairness, budgets, virtual time, memory. */
#include "virtual_time.h"

#include <cerrno>
#include <vector>

#include <coil/sugar.h>

namespace
{

using Sched = VirtualTime;

/* ---------------------------------------------------------------------------------- order -- */

async(int, speaks, (char) mark, (int) times)
{
    vars(int i);
    for (my->i = 0; my->i < times; my->i++) {
        note(mark);
        await(coil_yield());
    }
    return my->i;
}

TEST_F(Sched, RunsReadyTasksInTheOrderOfSpawning)
{
    spawn(&sched.root, speaks('a', 1));
    spawn(&sched.root, speaks('b', 1));
    spawn(&sched.root, speaks('c', 1));
    EXPECT_EQ("", notebook) << "a spawned task starts in the next round";
    settle();
    EXPECT_EQ("abc", notebook);
}

TEST_F(Sched, YieldLetsEveryOtherReadyTaskRunOnce)
{
    spawn(&sched.root, speaks('a', 3));
    spawn(&sched.root, speaks('b', 2));
    spawn(&sched.root, speaks('c', 3));
    settle();
    EXPECT_EQ("abcabcac", notebook);
}

async(int, spawns_first)
{
    vars(coil_group group; int result);
    open_group(&my->group);
    spawn(&my->group, speaks('1', 2));
    note('0');
    await(coil_yield());
    note('2');
    await(my->result, coil_group_join(&my->group));
    return my->result;
}

TEST_F(Sched, PutsASpawnedTaskBehindThoseThatAreReady)
{
    spawn(&sched.root, spawns_first());
    spawn(&sched.root, speaks('x', 2));
    settle();
    EXPECT_EQ("0x12x1", notebook);
}

TEST_F(Sched, ResumesNoMoreTasksThanItsBudget)
{
    spawn(&sched.root, speaks('a', 1));
    spawn(&sched.root, speaks('b', 1));
    spawn(&sched.root, speaks('c', 1));
    EXPECT_TRUE(coil_sched_run(&sched, 2));
    EXPECT_EQ("ab", notebook);
    EXPECT_EQ(sched.now, coil_sched_next(&sched)) << "something is ready";
    EXPECT_TRUE(coil_sched_run(&sched, 0));
    EXPECT_EQ("ab", notebook);
    EXPECT_TRUE(coil_sched_run(&sched, 4));
    EXPECT_EQ("abc", notebook);
    EXPECT_EQ(1u, sched.live_count) << "c has yielded: that ends in the next round";
    EXPECT_FALSE(coil_sched_run(&sched, 4));
    EXPECT_EQ(0u, sched.live_count);
}

async(int, tells_who_runs, (coil_task **) out)
{
    vars();
    *out = coil_self;
    return coil_self == stage->running;
}

TEST_F(Sched, KnowsWhichTaskRuns)
{
    coil_task *seen = nullptr;
    int64_t result = 0;
    coil_task *task = coil_spawn_result(&sched.root, &result, tells_who_runs(&seen));
    settle();
    EXPECT_EQ(1, result);
    EXPECT_EQ(task, seen);
    EXPECT_EQ(nullptr, sched.running);
}

async(void, runs_the_scheduler)
{
    vars();
    (void)coil_sched_run(stage, 1);
}

using SchedDeathTest = VirtualTime;

TEST_F(SchedDeathTest, DoesNotRunInsideItself)
{
    EXPECT_DEATH((void)RUN(runs_the_scheduler()), "check failed: sched->running == NULL");
}

TEST(SchedDeath, EndsOnlyWhenAllTasksHave)
{
    coil_sched sched;
    coil_sched_init(&sched, 0, nullptr);
    spawn(&sched.root, coil_yield());
    EXPECT_DEATH(coil_sched_fini(&sched), "check failed: sched->live_count == 0");
    while (coil_sched_run(&sched, 10)) {
    }
    coil_sched_fini(&sched);
}

/* ----------------------------------------------------------------------------------- time -- */

async(int, sleeps, (coil_duration) duration, (char) mark)
{
    vars();
    await(coil_sleep(duration));
    note(mark);
    return 0;
}

async(int, sleeps_until, (coil_time) deadline, (char) mark)
{
    vars();
    await(coil_sleep_until(deadline));
    note(mark);
    return 0;
}

TEST_F(Sched, SleepIsNeverEarly)
{
    spawn(&sched.root, sleeps(coil_ms(10), 's'));
    settle();
    EXPECT_EQ(start + coil_ms(10), coil_sched_next(&sched));
    coil_sched_advance(&sched, start + coil_ms(10) - 1);
    settle();
    EXPECT_EQ("", notebook);
    coil_sched_advance(&sched, start + coil_ms(10));
    settle();
    EXPECT_EQ("s", notebook);
}

TEST_F(Sched, SleepOfAStrayWakeUpGoesOn)
{
    coil_task *task = spawn(&sched.root, sleeps(coil_ms(10), 's'));
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_EQ("", notebook);
    pass_until(start + coil_ms(10) - 1);
    EXPECT_EQ("", notebook);
    pass(1);
    EXPECT_EQ("s", notebook);
}

TEST_F(Sched, SleepTakesAnInstant)
{
    spawn(&sched.root, sleeps_until(start + coil_ms(20), 'b'));
    spawn(&sched.root, sleeps_until(start + coil_ms(10), 'a'));
    spawn(&sched.root, sleeps_until(start - coil_ms(10), '0'));
    drive();
    EXPECT_EQ("0ab", notebook);
    EXPECT_EQ(coil_ms(20), elapsed());
}

TEST_F(Sched, SleepsThatEndTogetherEndInTheirOrder)
{
    for (char mark = 'a'; mark <= 'j'; mark++)
        spawn(&sched.root, sleeps(coil_ms(10), mark));
    drive();
    EXPECT_EQ("abcdefghij", notebook);
}

TEST_F(Sched, SleepsThatAreDueInOneAdvanceEndByDeadline)
{
    spawn(&sched.root, sleeps(coil_ms(30), 'c'));
    spawn(&sched.root, sleeps(coil_ms(10), 'a'));
    spawn(&sched.root, sleeps(coil_ms(20), 'b'));
    settle();
    coil_sched_advance(&sched, start + coil_s(1));
    settle();
    EXPECT_EQ("abc", notebook);
}

TEST_F(Sched, SleepWithoutLengthStillWaitsForTheNextAdvance)
{
    spawn(&sched.root, sleeps(0, 'a'));
    spawn(&sched.root, sleeps(coil_ms(-1), 'b'));
    settle();
    EXPECT_EQ("", notebook);
    coil_sched_advance(&sched, sched.now);
    settle();
    EXPECT_EQ("ba", notebook);
}

/* A clock that is a second further each time that it is read. */
struct CountingClock {
    coil_clock base = {read};
    coil_time now = coil_s(1000);
    int count = 0;

    static coil_time read(coil_clock *clock)
    {
        auto *self = reinterpret_cast<CountingClock *>(clock);
        self->count++;
        return self->now += coil_s(1);
    }
};

CountingClock clock_on_demand; /* (It outlives every scheduler that may still ask it.) */

class SchedWithAClock : public VirtualTime
{
protected:
    SchedWithAClock()
    {
        clock_on_demand = CountingClock();
    }

    CountingClock &clock = clock_on_demand;
};

TEST_F(SchedWithAClock, SparesItWhenNobodyAsksForTheTime)
{
    spawn(&sched.root, speaks('a', 3));
    for (int i = 0; i < 3; i++) {
        ASSERT_TRUE(coil_sched_spare_clock(&sched, &clock.base));
        settle();
    }
    EXPECT_EQ("aaa", notebook);
    EXPECT_EQ(0, clock.count);
}

TEST_F(SchedWithAClock, TheTimeStandsStillFromWhenItIsFirstAskedFor)
{
    ASSERT_TRUE(coil_sched_spare_clock(&sched, &clock.base));
    coil_time first = coil_sched_now(&sched);
    EXPECT_EQ(coil_s(1001), first);
    EXPECT_EQ(first, coil_sched_now(&sched));
    EXPECT_EQ(1, clock.count);
    ASSERT_TRUE(coil_sched_spare_clock(&sched, &clock.base));
    EXPECT_LT(first, coil_sched_now(&sched));
}

TEST_F(SchedWithAClock, TheTimeOfAClockThatGoesBackStandsStill)
{
    coil_sched_advance(&sched, coil_s(5000));
    ASSERT_TRUE(coil_sched_spare_clock(&sched, &clock.base));
    EXPECT_EQ(coil_s(5000), coil_sched_now(&sched));
}

TEST_F(SchedWithAClock, ASleepInARoundWithoutAClockCountsFromWhenItBegins)
{
    spawn(&sched.root, sleeps(coil_ms(1), 'a'));
    ASSERT_TRUE(coil_sched_spare_clock(&sched, &clock.base));
    settle();
    EXPECT_EQ(clock.now + coil_ms(1), coil_sched_next(&sched));
    EXPECT_FALSE(coil_sched_spare_clock(&sched, &clock.base)) << "a timer is armed";
    coil_sched_advance(&sched, clock.now);
    settle();
    EXPECT_EQ("", notebook);
    pass(coil_ms(1));
    EXPECT_EQ("a", notebook);
    EXPECT_TRUE(coil_sched_spare_clock(&sched, &clock.base));
}

TEST_F(Sched, SleepWithoutEndEndsWhenItIsCancelled)
{
    int64_t result = 0;
    coil_task *task = coil_spawn_result(&sched.root, &result, sleeps(COIL_FOREVER, '!'));
    pass(coil_s(1000000));
    EXPECT_EQ(COIL_NEVER, coil_sched_next(&sched));
    coil_task_cancel(task);
    settle();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ("", notebook);
}

TEST_F(Sched, TimeDoesNotRunBackwards)
{
    pass(coil_s(1));
    coil_sched_advance(&sched, start);
    EXPECT_EQ(coil_s(1), elapsed());
}

TEST_F(Sched, MayWaitForeverWhenNothingIsDue)
{
    EXPECT_EQ(COIL_NEVER, coil_sched_next(&sched));
}

/* --------------------------------------------------------------------------------- memory -- */

TEST_F(Sched, GivesTheMemoryOfAnEndedTaskToTheNext)
{
    spawn(&sched.root, sleeps(0, 'a')); /* From now on it is known how large such a task is. */
    drive();
    coil_task *first = spawn(&sched.root, sleeps(0, 'a'));
    drive();
    EXPECT_EQ(first, spawn(&sched.root, sleeps(0, 'b')));
}

TEST_F(Sched, AllocatesAlignedBlocksOfAllSizes)
{
    std::vector<std::pair<char *, size_t>> blocks;
    for (size_t size_bytes = 1; size_bytes < 10000; size_bytes += 61) {
        auto *block = static_cast<char *>(coil_sched_allocate(&sched, size_bytes));
        ASSERT_NE(nullptr, block);
        EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(block) % 16);
        memset(block, static_cast<int>(size_bytes), size_bytes);
        blocks.emplace_back(block, size_bytes);
    }
    for (auto &[block, size_bytes] : blocks) {
        for (size_t i = 0; i < size_bytes; i++)
            ASSERT_EQ(static_cast<char>(size_bytes), block[i]);
        coil_sched_release(&sched, block, size_bytes);
    }
}

TEST_F(Sched, HoldsManyTasks)
{
    constexpr int count = 20000;
    for (int i = 0; i < count; i++)
        spawn(&sched.root, sleeps(coil_us(i % 1000), '.'));
    drive();
    EXPECT_EQ(static_cast<size_t>(count), notebook.size());
}

} // namespace
