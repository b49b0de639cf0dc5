/* SPDX-License-Identifier: MIT */
#include <coil/latch.h>

#include "world.h"

#include <deque>

#include <coil/sugar.h>

namespace
{

struct watcher {
    coil_latch *latch;
    int number;
    numbers *order;
    bool done;    /* The wait came back. */
    bool went_on; /* So did the await behind it. */
};

} // namespace

async(void, watch, (watcher *) who, (coil_duration) limit)
{
    vars();

    await(within(limit, coil_latch_wait(who->latch)));
    who->done = true;
    who->order->push_back(who->number);
    await(coil_sleep(0));
    who->went_on = true;
}

/* Work that is done, or given up, in its own time. */
async(void, do_work, (coil_latch *) latch, (coil_duration) duration)
{
    vars();

    defer(coil_latch_count_down(latch, 1));
    await(coil_sleep(duration));
}

namespace
{

class Latch : public World
{
protected:
    Latch()
    {
        coil_latch_init(&latch, 0);
    }

    ~Latch() override
    {
        run_out();
        coil_latch_fini(&latch);
    }

    coil_task *come(int number, coil_duration limit = COIL_FOREVER)
    {
        all.push_back({&latch, number, &order, false, false});
        return spawn(&sched.root, watch(&all.back(), limit));
    }

    coil_latch latch;
    numbers order;
    std::deque<watcher> all;
};

TEST_F(Latch, MakesNobodyWaitIfNothingIsToBeDone)
{
    come(1);
    coil_sched_run(&sched, 1);
    EXPECT_EQ((numbers{1}), order);
}

TEST_F(Latch, ReleasesThoseWhoWaitInTheirOrderWhenAllIsDone)
{
    coil_latch_add(&latch, 3);
    come(1);
    come(2);
    settle();
    coil_latch_count_down(&latch, 2);
    settle();
    EXPECT_TRUE(order.empty());
    coil_latch_count_down(&latch, 1);
    come(3);
    settle();
    EXPECT_EQ((numbers{1, 2, 3}), order);
}

TEST_F(Latch, CountsWorkThatIsGivenUp)
{
    for (int i = 1; i <= 10; i++) {
        coil_latch_add(&latch, 1);
        coil_task *task = spawn(&sched.root, do_work(&latch, coil_ms(i)));
        if (i > 5)
            coil_task_cancel(task);
    }
    come(1);
    run_out();
    EXPECT_EQ((numbers{1}), order);
    EXPECT_EQ(coil_ms(5), sched.now);
}

TEST_F(Latch, ReleasesThoseWhoWaitedEvenIfSomethingIsAddedBeforeTheyRun)
{
    coil_latch_add(&latch, 1);
    come(1);
    settle();
    coil_latch_count_down(&latch, 1);
    coil_latch_add(&latch, 1);
    come(2);
    settle();
    EXPECT_EQ((numbers{1}), order);
    coil_latch_count_down(&latch, 1);
    settle();
    EXPECT_EQ((numbers{1, 2}), order);
}

TEST_F(Latch, LosesAWaiterThatIsCancelledAndKeepsTheOthers)
{
    coil_latch_add(&latch, 1);
    coil_task *victim = come(1);
    come(2);
    settle();
    coil_task_cancel(victim);
    coil_latch_count_down(&latch, 1);
    settle();
    EXPECT_EQ((numbers{2}), order);
}

TEST_F(Latch, DeliversWhatCameBeforeTheCancellation)
{
    coil_latch_add(&latch, 1);
    coil_task *victim = come(1);
    settle();
    coil_latch_count_down(&latch, 1);
    coil_task_cancel(victim);
    run_out();
    EXPECT_TRUE(all[0].done);
    EXPECT_FALSE(all[0].went_on);
}

TEST_F(Latch, IsWaitedForUntilTheDeadline)
{
    coil_latch_add(&latch, 1);
    come(1, coil_ms(5));
    pass(coil_ms(5) - 1);
    EXPECT_FALSE(all[0].done);
    pass(1);
    EXPECT_TRUE(all[0].done);
    EXPECT_EQ(1u, latch.count);
    EXPECT_TRUE(coil_list_empty(&latch.waiters));
}

TEST_F(Latch, MayBeGoneWhenThoseWhoWereReleasedRun)
{
    coil_latch_add(&latch, 1);
    come(1);
    settle();
    coil_latch_count_down(&latch, 1);
    coil_latch_fini(&latch);
    memset(&latch, 0xee, sizeof(latch));
    settle();
    EXPECT_EQ((numbers{1}), order);
    coil_latch_init(&latch, 0);
}

TEST_F(Latch, DoesNotCountBelowZeroOrBeyondWhatItCanCount)
{
    coil_latch_add(&latch, 2);
    EXPECT_DEATH(coil_latch_count_down(&latch, 3), "count <= latch->count");
    EXPECT_DEATH(coil_latch_add(&latch, SIZE_MAX - 1), "SIZE_MAX");
    coil_latch_add(&latch, SIZE_MAX - 2);
    coil_latch_count_down(&latch, SIZE_MAX);
    EXPECT_EQ(0u, latch.count);
}

TEST_F(Latch, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    coil_latch_add(&latch, 1);
    coil_task *task = come(1);
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_TRUE(order.empty());
    coil_latch_count_down(&latch, 1);
}

TEST_F(Latch, MayNotEndWhileATaskWaits)
{
    coil_latch_add(&latch, 1);
    come(1);
    settle();
    EXPECT_DEATH(coil_latch_fini(&latch), "coil_list_empty");
    coil_latch_count_down(&latch, 1);
}

} // namespace
