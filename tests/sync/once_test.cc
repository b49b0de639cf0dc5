/* SPDX-License-Identifier: MIT */
#include <coil/once.h>

#include "world.h"

#include <deque>

#include <coil/sugar.h>

namespace
{

/* What is opened once. */
struct store {
    coil_once opened;
    int running;       /* Openings under way. */
    int success_count; /* How many came to an end. */
    numbers order;     /* Who tried. */
};

struct user {
    store *where;
    int number;
    int error; /* What its opening ends with. */
    coil_duration duration;
    int rc; /* 1000: the call has not come back. */
    bool tidied;
};

} // namespace

static void stop(user *who)
{
    who->where->running--;
}

async(int, open_store, (user *) who)
{
    vars();

    EXPECT_EQ(0, who->where->running++);
    defer(stop(who));
    who->where->order.push_back(who->number);
    await(coil_sleep(who->duration));
    if (who->error == 0)
        who->where->success_count++;
    return who->error;
}

/* With enter and done. */
async(int, use, (user *) who, (coil_duration) limit)
{
    vars();

    await(who->rc, within(limit, coil_once_enter(&who->where->opened)));
    if (who->rc < 0)
        return who->rc;
    if (who->rc > 0) {
        attempt(open_store(who));
        coil_once_done(&who->where->opened);
    }
    return 0;
}

/* With run. */
async(int, use_by_run, (user *) who, (coil_duration) limit)
{
    vars();

    await(who->rc, within(limit, coil_once_run(&who->where->opened, open_store, who)));
    return who->rc;
}

/* The one after it may come only when this has tidied up, which takes a while. */
async(int, fail_slowly, (user *) who)
{
    vars();

    attempt(who->rc, coil_once_enter(&who->where->opened));
    defer(await(coil_sleep(coil_ms(3))); who->tidied = true);
    return -EIO;
}

/* A deep call makes the frame stack chain a block while it is guarded. */
async(int, dig, (int) depth)
{
    vars(char padding[400]);

    my->padding[0] = 1;
    if (depth > 0)
        attempt(dig(depth - 1));
    else
        await(coil_sleep(1));
    return 0;
}

async(int, use_deeply, (user *) who)
{
    vars();

    attempt(who->rc, coil_once_enter(&who->where->opened));
    if (who->rc > 0) {
        attempt(dig(20));
        who->where->success_count++;
        coil_once_done(&who->where->opened);
    }
    attempt(dig(20));
    return 0;
}

async(int, forget, (user *) who)
{
    vars();

    attempt(who->rc, coil_once_enter(&who->where->opened));
    return who->error;
}

async(void, forget_without_a_result, (user *) who)
{
    vars();

    await(who->rc, coil_once_enter(&who->where->opened));
    await(coil_sleep(who->duration));
}

async(int, enter_twice, (user *) who)
{
    vars();

    attempt(who->rc, coil_once_enter(&who->where->opened));
    attempt(who->rc, coil_once_enter(&who->where->opened));
    return 0;
}

async(int, finish_for_others, (coil_once *) once)
{
    vars();

    coil_once_done(once);
    return 0;
}

namespace
{

class Once : public World
{
protected:
    Once()
    {
        coil_once_init(&where.opened);
    }

    ~Once() override
    {
        run_out();
        EXPECT_EQ(0, where.running);
        coil_once_fini(&where.opened);
    }

    user &user_of(int number, int error = 0)
    {
        all.push_back({&where, number, error, coil_ms(1), 1000, false});
        results.push_back(1000);
        return all.back();
    }

    coil_task *come(int number, int error = 0, coil_duration limit = COIL_FOREVER)
    {
        user &who = user_of(number, error);
        return coil_spawn_result(&sched.root, &results.back(), use(&who, limit));
    }

    store where = {};
    std::deque<user> all;
    std::deque<int64_t> results;
};

TEST_F(Once, IsDoneByTheFirstWhileTheOthersWait)
{
    for (int i = 0; i < 100; i++)
        come(i);
    settle();
    EXPECT_FALSE(coil_once_is_done(&where.opened));
    run_out();
    EXPECT_TRUE(coil_once_is_done(&where.opened));
    EXPECT_EQ((numbers{0}), where.order);
    EXPECT_EQ(1, where.success_count);
    EXPECT_EQ(1, all[0].rc);
    EXPECT_EQ(0, all[99].rc);
    EXPECT_EQ(0, results[99]);
}

TEST_F(Once, MakesNobodyWaitAfterwards)
{
    come(1);
    run_out();
    come(2);
    coil_sched_run(&sched, 1);
    EXPECT_EQ(0, results[1]);
}

TEST_F(Once, IsTriedByTheNextIfTheFirstFails)
{
    come(1, -EIO);
    come(2, -ENOENT);
    come(3);
    come(4);
    run_out();
    EXPECT_EQ((numbers{1, 2, 3}), where.order);
    EXPECT_EQ((std::deque<int64_t>{-EIO, -ENOENT, 0, 0}), results);
    EXPECT_EQ(coil_ms(3), sched.now);
}

TEST_F(Once, IsTriedByTheNextWhoComesIfNobodyWaited)
{
    come(1, -EIO);
    run_out();
    EXPECT_FALSE(coil_once_is_done(&where.opened));
    come(2);
    run_out();
    EXPECT_EQ((numbers{1, 2}), where.order);
    EXPECT_TRUE(coil_once_is_done(&where.opened));
}

TEST_F(Once, IsTriedByTheNextIfTheFirstIsCancelled)
{
    coil_task *victim = come(1);
    come(2);
    settle();
    coil_task_cancel(victim);
    run_out();
    EXPECT_EQ((numbers{1, 2}), where.order);
    EXPECT_EQ((std::deque<int64_t>{-ECANCELED, 0}), results);
    EXPECT_EQ(1, where.success_count);
}

TEST_F(Once, IsTriedByTheNextOnlyWhenTheFirstHasTidiedUp)
{
    user &first = user_of(1);
    spawn(&sched.root, fail_slowly(&first));
    come(2);
    pass(coil_ms(3) - 1);
    EXPECT_TRUE(where.order.empty());
    pass(1);
    EXPECT_TRUE(first.tidied);
    EXPECT_EQ((numbers{2}), where.order);
}

TEST_F(Once, LosesAWaiterThatIsCancelledAndKeepsTheOthers)
{
    come(1, -EIO);
    coil_task *victim = come(2);
    come(3);
    settle();
    coil_task_cancel(victim);
    coil_task_cancel(victim);
    EXPECT_EQ(1u, length(where.opened.waiters));
    run_out();
    EXPECT_EQ((numbers{1, 3}), where.order);
}

TEST_F(Once, GoesToTheNextIfTheHeirIsCancelledInTheSameRound)
{
    coil_task *first = come(1);
    coil_task *heir = come(2);
    come(3);
    settle();
    coil_task_cancel(first);
    coil_sched_run(&sched, 1); /* The first has left: it is the second's turn. */
    EXPECT_EQ(heir, where.opened.runner);
    coil_task_cancel(heir);
    run_out();
    EXPECT_EQ(1, all[1].rc);
    EXPECT_EQ(-ECANCELED, results[1]);
    EXPECT_EQ(0, results[2]);
    EXPECT_EQ(1, where.success_count);
}

TEST_F(Once, IsDeliveredIfItWasDoneBeforeTheCancellation)
{
    coil_task *first = come(1);
    coil_task *second = come(2);
    settle();
    coil_sched_advance(&sched, coil_ms(1));
    coil_sched_run(&sched, 1);
    EXPECT_TRUE(coil_once_is_done(&where.opened));
    coil_task_cancel(second);
    (void)first;
    run_out();
    EXPECT_EQ(0, all[1].rc);
}

TEST_F(Once, IsWaitedForUntilTheDeadline)
{
    come(1);
    come(2, 0, coil_us(500));
    pass(coil_us(500));
    EXPECT_EQ(-ETIME, results[1]);
    run_out();
    EXPECT_EQ((numbers{1}), where.order);
}

TEST_F(Once, IsRefusedToATaskThatIsBeingCancelled)
{
    coil_task_cancel(come(1));
    settle();
    EXPECT_EQ(1000, all[0].rc);
    EXPECT_TRUE(where.order.empty());
    come(2);
}

TEST_F(Once, RunsACoroutine)
{
    int64_t first = 1, second = 1, third = 1;
    coil_spawn_result(&sched.root, &first, use_by_run(&user_of(1, -EIO), COIL_FOREVER));
    coil_spawn_result(&sched.root, &second, use_by_run(&user_of(2), COIL_FOREVER));
    coil_spawn_result(&sched.root, &third, use_by_run(&user_of(3), COIL_FOREVER));
    run_out();
    EXPECT_EQ((numbers{1, 2}), where.order);
    EXPECT_EQ(-EIO, first);
    EXPECT_EQ(0, second);
    EXPECT_EQ(0, third);
}

TEST_F(Once, IsTriedByTheNextIfTheDeadlineOfARunPasses)
{
    int64_t first = 1, second = 1;
    coil_spawn_result(&sched.root, &first, use_by_run(&user_of(1), coil_us(500)));
    coil_spawn_result(&sched.root, &second, use_by_run(&user_of(2), COIL_FOREVER));
    run_out();
    EXPECT_EQ(-ETIME, first);
    EXPECT_EQ(0, second);
    EXPECT_EQ((numbers{1, 2}), where.order);
    EXPECT_EQ(coil_us(1500), sched.now);
}

TEST_F(Once, LeavesTheFrameStackInOrderWhateverItsDepth)
{
    for (int i = 0; i < 3; i++)
        spawn(&sched.root, use_deeply(&user_of(i)));
    run_out();
    EXPECT_EQ(1, where.success_count);
}

TEST_F(Once, SurvivesTheCancellationOfAllButTheLast)
{
    std::vector<coil_task *> tasks;
    for (int i = 0; i < 50; i++)
        tasks.push_back(come(i));
    settle();
    for (coil_task *task : tasks)
        coil_task_cancel(task);
    come(50);
    run_out();
    EXPECT_EQ((numbers{0, 50}), where.order);
    EXPECT_EQ(1, where.success_count);
}

TEST_F(Once, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    come(1);
    coil_task *task = come(2);
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_EQ(1000, all[1].rc);
}

TEST_F(Once, MayNotBeForgotten)
{
    EXPECT_DEATH(
            {
                spawn(&sched.root, forget(&user_of(1)));
                settle();
            },
            "unwound");
    EXPECT_DEATH(
            {
                user_of(1).duration = 0;
                spawn(&sched.root, forget_without_a_result(&all.back()));
                run_out();
            },
            "unwound");
}

TEST_F(Once, MayBeGivenUpByAnErrorOrACancellation)
{
    spawn(&sched.root, forget(&user_of(1, -EIO)));
    settle();
    coil_task *victim = spawn(&sched.root, forget_without_a_result(&user_of(2)));
    settle();
    EXPECT_EQ(victim, where.opened.runner);
    coil_task_cancel(victim);
    settle();
    EXPECT_EQ(nullptr, where.opened.runner);
}

TEST_F(Once, IsEnteredOnceByWhoeverDoesIt)
{
    EXPECT_DEATH(
            {
                spawn(&sched.root, enter_twice(&user_of(1)));
                settle();
            },
            "runner != task");
}

TEST_F(Once, IsFinishedByWhoeverDoesItAndNobodyElse)
{
    EXPECT_DEATH(coil_once_done(&where.opened), "runner != NULL");
    come(1);
    settle();
    EXPECT_DEATH(
            {
                spawn(&sched.root, finish_for_others(&where.opened));
                settle();
            },
            "running == once->runner");
}

TEST_F(Once, IsEnteredByACoroutine)
{
    EXPECT_DEATH(
            {
                spawn(&sched.root, coil_once_enter(&where.opened));
                settle();
            },
            "leaf->up");
}

TEST_F(Once, MayNotEndWhileItIsDone)
{
    come(1);
    settle();
    EXPECT_DEATH(coil_once_fini(&where.opened), "frame == NULL");
}

} // namespace
