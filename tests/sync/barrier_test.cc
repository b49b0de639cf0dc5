/* SPDX-License-Identifier: MIT */
#include <coil/barrier.h>

#include "world.h"

#include <deque>

#include <coil/sugar.h>

namespace
{

struct party {
    coil_barrier *barrier;
    int number;
    numbers *order; /* Who went on. */
    int rc;         /* 1000: the call has not come back. */
    bool went_on;   /* The await behind it came back. */
};

} // namespace

async(int, arrive, (party *) who, (coil_duration) limit)
{
    vars();

    await(who->rc, within(limit, coil_barrier_wait(who->barrier)));
    who->order->push_back(who->number);
    await(coil_sleep(0));
    who->went_on = true;
    return who->rc;
}

/* Several phases, of which some take longer for this task. */
async(int, do_phases, (party *) who, (int) count, (numbers *) phases)
{
    vars(int i);

    for (my->i = 0; my->i < count; my->i++) {
        await(coil_sleep((my->i * 7 + who->number * 3) % 5));
        attempt(who->rc, coil_barrier_wait(who->barrier));
        phases->push_back(my->i);
    }
    return 0;
}

namespace
{

class Barrier : public World
{
protected:
    Barrier()
    {
        coil_barrier_init(&barrier, 3);
    }

    ~Barrier() override
    {
        run_out();
        coil_barrier_fini(&barrier);
    }

    party &party_of(int number)
    {
        all.push_back({&barrier, number, &order, 1000, false});
        return all.back();
    }

    coil_task *come(int number, coil_duration limit = COIL_FOREVER)
    {
        return spawn(&sched.root, arrive(&party_of(number), limit));
    }

    numbers results() const
    {
        numbers each;
        for (const party &who : all)
            each.push_back(who.rc);
        return each;
    }

    coil_barrier barrier;
    numbers order;
    std::deque<party> all;
};

TEST_F(Barrier, LetsThemGoOnWhenAllHaveArrived)
{
    come(1);
    come(2);
    settle();
    EXPECT_EQ(2, barrier.arrived_count);
    EXPECT_TRUE(order.empty());
    come(3);
    settle();
    EXPECT_EQ((numbers{0, 1, 2}), results());
    EXPECT_EQ((numbers{3, 1, 2}), order) << "the last one does not give up its turn";
    EXPECT_EQ(0, barrier.arrived_count);
}

TEST_F(Barrier, OfOnePartyMakesNobodyWait)
{
    coil_barrier_init(&barrier, 1);
    come(1);
    come(2);
    settle();
    EXPECT_EQ((numbers{0, 0}), results());
}

TEST_F(Barrier, CanBeUsedAgainAndAgain)
{
    numbers phases;
    for (int i = 0; i < 3; i++)
        spawn(&sched.root, do_phases(&party_of(i), 50, &phases));
    run_out();
    ASSERT_EQ(150u, phases.size());
    for (size_t i = 0; i < phases.size(); i++)
        EXPECT_EQ(static_cast<int>(i / 3), phases[i]);
}

TEST_F(Barrier, IsEmptyBeforeThoseWhoWereReleasedHaveRun)
{
    for (int i = 1; i <= 4; i++)
        come(i);
    EXPECT_TRUE(coil_sched_run(&sched, 4)); /* The fourth belongs to the next phase. */
    EXPECT_EQ(1, barrier.arrived_count);
    settle();
    EXPECT_EQ((numbers{0, 1, 2, 1000}), results());
    come(5);
    come(6);
    settle();
    EXPECT_EQ((numbers{0, 1, 2, 0, 1, 2}), results());
}

TEST_F(Barrier, BreaksForAllIfOneIsCancelled)
{
    coil_task *victim = come(1);
    come(2);
    settle();
    coil_task_cancel(victim);
    coil_task_cancel(victim);
    EXPECT_TRUE(barrier.broken);
    settle();
    EXPECT_EQ((numbers{1000, -EPIPE}), results());
    come(3);
    settle();
    EXPECT_EQ(-EPIPE, all.back().rc);
    EXPECT_EQ(0, barrier.arrived_count);
}

TEST_F(Barrier, BreaksForAllIfADeadlinePasses)
{
    come(1);
    come(2, coil_ms(5));
    pass(coil_ms(5) - 1);
    EXPECT_FALSE(barrier.broken);
    pass(1);
    EXPECT_EQ((numbers{-EPIPE, -ETIME}), results());
}

TEST_F(Barrier, BreaksIfATaskComesThatIsBeingCancelled)
{
    come(1);
    settle();
    coil_task_cancel(come(2));
    settle();
    EXPECT_TRUE(barrier.broken);
    EXPECT_EQ((numbers{-EPIPE, 1000}), results());
}

TEST_F(Barrier, DoesNotBreakIfTheCancellationComesAfterTheLastArrival)
{
    coil_task *victim = come(1);
    come(2);
    settle();
    come(3);
    coil_sched_run(&sched, 1); /* All are released, two have not run. */
    coil_task_cancel(victim);
    coil_task_cancel(victim);
    settle();
    EXPECT_FALSE(barrier.broken);
    EXPECT_EQ((numbers{0, 1, 2}), results());
    EXPECT_FALSE(all[0].went_on);
    run_out();
    EXPECT_TRUE(all[1].went_on);
}

TEST_F(Barrier, DoesNotBreakIfTheDeadlinePassesAfterTheLastArrival)
{
    come(1, coil_ms(5));
    come(2);
    settle();
    come(3);
    coil_sched_run(&sched, 1);
    coil_sched_advance(&sched, coil_ms(5));
    settle();
    EXPECT_EQ((numbers{0, 1, 2}), results());
}

TEST_F(Barrier, CanBeAborted)
{
    come(1);
    come(2);
    settle();
    coil_barrier_abort(&barrier);
    coil_barrier_abort(&barrier);
    settle();
    EXPECT_EQ((numbers{-EPIPE, -EPIPE}), results());
    EXPECT_EQ((numbers{1, 2}), order);
}

TEST_F(Barrier, IsWholeAfterAReset)
{
    coil_barrier_abort(&barrier);
    coil_barrier_reset(&barrier);
    for (int i = 1; i <= 3; i++)
        come(i);
    settle();
    EXPECT_EQ((numbers{0, 1, 2}), results());
}

TEST_F(Barrier, SendsThoseAwayWhoWaitWhenItIsReset)
{
    come(1);
    come(2);
    settle();
    coil_barrier_reset(&barrier);
    EXPECT_FALSE(barrier.broken);
    for (int i = 3; i <= 5; i++)
        come(i);
    settle();
    EXPECT_EQ((numbers{-EPIPE, -EPIPE, 0, 1, 2}), results());
}

TEST_F(Barrier, MayBeGoneWhenThoseWhoWereReleasedRun)
{
    come(1);
    come(2);
    settle();
    come(3);
    coil_sched_run(&sched, 1);
    coil_barrier_fini(&barrier);
    memset(&barrier, 0xee, sizeof(barrier));
    settle();
    EXPECT_EQ((numbers{0, 1, 2}), results());
    coil_barrier_init(&barrier, 3);
}

TEST_F(Barrier, TakesAThousandParties)
{
    coil_barrier_init(&barrier, 1000);
    for (int i = 0; i < 1000; i++)
        come(i);
    settle();
    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(i, all[static_cast<size_t>(i)].rc);
}

TEST_F(Barrier, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    coil_task *task = come(1);
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_EQ(1000, all[0].rc);
    coil_barrier_abort(&barrier);
}

TEST_F(Barrier, HasAtLeastOneParty)
{
    EXPECT_DEATH(coil_barrier_init(&barrier, 0), "party_count > 0");
}

TEST_F(Barrier, MayNotEndWhileATaskWaits)
{
    come(1);
    settle();
    EXPECT_DEATH(coil_barrier_fini(&barrier), "coil_list_empty");
    coil_barrier_abort(&barrier);
}

} // namespace
