/* SPDX-License-Identifier: MIT */
#include <coil/condition.h>

#include "world.h"

#include <deque>

#include <coil/sugar.h>

namespace
{

/* A shelf that consumers wait for. */
struct shelf {
    coil_mutex mutex;
    coil_condition changed;
    int item_count;
    numbers order; /* Who took something. */
};

struct consumer {
    shelf *where;
    int number;
    int rc;          /* Of the last wait that came back. 1: none has. */
    int wait_count;  /* How many came back. */
    bool owned_late; /* Did it own the mutex when it left, however it did? */
};

} // namespace

static void leave(consumer *who, coil_task *self)
{
    who->owned_late = who->where->mutex.owner == self;
    coil_mutex_unlock(&who->where->mutex);
}

async(int, consume, (consumer *) who, (coil_duration) limit)
{
    vars();

    attempt(coil_mutex_lock(&who->where->mutex));
    defer(leave(who, coil_self));
    while (who->where->item_count == 0) {
        await(who->rc, within(limit, coil_condition_wait(&who->where->changed)));
        who->wait_count++;
        if (who->rc < 0)
            return who->rc;
    }
    who->where->item_count--;
    who->where->order.push_back(who->number);
    return 0;
}

/* One wait, whatever for, and an await behind it. */
async(int, wait_once, (consumer *) who)
{
    vars();

    attempt(coil_mutex_lock(&who->where->mutex));
    defer(leave(who, coil_self));
    await(who->rc, coil_condition_wait(&who->where->changed));
    who->where->order.push_back(who->number);
    await(coil_sleep(0));
    return who->rc;
}

async(int, hold, (shelf *) where, (coil_duration) duration)
{
    vars();

    attempt(coil_mutex_lock(&where->mutex));
    defer(coil_mutex_unlock(&where->mutex));
    await(coil_sleep(duration));
    return 0;
}

/* Waits inside of a defer, where nothing from outside can reach it. */
async(int, wait_while_leaving, (consumer *) who)
{
    vars();

    defer(await(who->rc, wait_once(who)));
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

async(void, wait_without_the_mutex, (coil_condition *) condition)
{
    vars();

    ignore(coil_condition_wait(condition));
}

namespace
{

class Condition : public World
{
protected:
    Condition()
    {
        coil_mutex_init(&where.mutex);
        coil_condition_init(&where.changed, &where.mutex);
    }

    ~Condition() override
    {
        run_out();
        EXPECT_EQ(nullptr, where.mutex.owner);
        coil_condition_fini(&where.changed);
        coil_mutex_fini(&where.mutex);
    }

    consumer &consumer_of(int number)
    {
        all.push_back({&where, number, 1, 0, false});
        return all.back();
    }

    void put(int count)
    {
        where.item_count += count;
        coil_condition_notify(&where.changed, static_cast<size_t>(count));
    }

    shelf where = {};
    std::deque<consumer> all;
};

TEST_F(Condition, GivesTheMutexAwayWhileItWaitsAndComesBackWithIt)
{
    consumer &who = consumer_of(1);
    spawn(&sched.root, consume(&who, COIL_FOREVER));
    settle();
    EXPECT_FALSE(coil_mutex_is_locked(&where.mutex));
    EXPECT_EQ(1u, length(where.changed.waiters));
    put(1);
    settle();
    EXPECT_EQ(0, who.rc);
    EXPECT_TRUE(who.owned_late);
    EXPECT_EQ((numbers{1}), where.order);
}

TEST_F(Condition, DoesNotWaitIfThereIsNothingToWaitFor)
{
    put(1);
    consumer &who = consumer_of(1);
    spawn(&sched.root, consume(&who, COIL_FOREVER));
    settle();
    EXPECT_EQ(0, who.wait_count);
    EXPECT_EQ((numbers{1}), where.order);
}

TEST_F(Condition, NotifiesInTheOrderOfWaiting)
{
    numbers expected;
    for (int i = 0; i < 100; i++) {
        spawn(&sched.root, consume(&consumer_of(i), COIL_FOREVER));
        expected.push_back(i);
    }
    settle();
    put(1);
    settle();
    EXPECT_EQ((numbers{0}), where.order);
    put(10);
    settle();
    EXPECT_EQ(11u, where.order.size());
    put(89);
    settle();
    EXPECT_EQ(expected, where.order);
    for (const consumer &who : all)
        EXPECT_EQ(1, who.wait_count);
}

TEST_F(Condition, NotifiesAllAndThoseWhoFindNothingWaitAgain)
{
    for (int i = 0; i < 3; i++)
        spawn(&sched.root, consume(&consumer_of(i), COIL_FOREVER));
    settle();
    where.item_count = 1;
    coil_condition_notify_all(&where.changed);
    settle();
    EXPECT_EQ((numbers{0}), where.order);
    EXPECT_EQ(1, all[1].wait_count);
    EXPECT_EQ(1, all[2].wait_count);
    EXPECT_EQ(2u, length(where.changed.waiters));
    put(2);
}

TEST_F(Condition, ForgetsANotificationThatNobodyWaitsFor)
{
    coil_condition_notify(&where.changed, 5);
    coil_condition_notify_all(&where.changed);
    consumer &who = consumer_of(1);
    spawn(&sched.root, wait_once(&who));
    settle();
    EXPECT_EQ(1, who.rc);
    coil_condition_notify(&where.changed, 0);
    settle();
    EXPECT_EQ(1, who.rc);
    coil_condition_notify(&where.changed, SIZE_MAX);
}

TEST_F(Condition, QueuesUpForTheMutexAfterANotification)
{
    consumer &who = consumer_of(1);
    spawn(&sched.root, wait_once(&who));
    settle();
    spawn(&sched.root, hold(&where, coil_ms(3)));
    settle();
    coil_condition_notify(&where.changed, 1);
    pass(coil_ms(3) - 1);
    EXPECT_EQ(1, who.rc);
    pass(1);
    EXPECT_EQ(0, who.rc);
}

TEST_F(Condition, OwnsTheMutexWhenItIsCancelled)
{
    consumer &who = consumer_of(1);
    int64_t result = 1;
    coil_task *victim = coil_spawn_result(&sched.root, &result, consume(&who, COIL_FOREVER));
    settle();
    spawn(&sched.root, hold(&where, coil_ms(3)));
    settle();
    coil_task_cancel(victim);
    pass(coil_ms(3) - 1);
    EXPECT_EQ(1, result) << "it locks first, and that takes its time";
    coil_task_cancel(victim);
    run_out();
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_TRUE(who.owned_late);
    EXPECT_EQ(coil_ms(3), sched.now);
}

TEST_F(Condition, OwnsTheMutexWhenTheDeadlineHasPassed)
{
    consumer &who = consumer_of(1);
    int64_t result = 1;
    coil_spawn_result(&sched.root, &result, consume(&who, coil_ms(2)));
    settle();
    spawn(&sched.root, hold(&where, coil_ms(3)));
    pass(coil_ms(2));
    EXPECT_EQ(1, result);
    pass(coil_ms(1));
    EXPECT_EQ(-ETIME, result);
    EXPECT_TRUE(who.owned_late);
}

TEST_F(Condition, DoesNotUnlockForATaskThatIsBeingCancelled)
{
    consumer &who = consumer_of(1);
    coil_task_cancel(spawn(&sched.root, wait_once(&who)));
    settle();
    EXPECT_EQ(1, who.rc);
    coil_task *victim = spawn(&sched.root, wait_once(&who));
    spawn(&sched.root, hold(&where, coil_ms(1)));
    coil_task_cancel(victim);
    EXPECT_TRUE(coil_list_empty(&where.changed.waiters));
}

TEST_F(Condition, PassesANotificationOnIfTheTaskIsCancelledInTheSameRound)
{
    consumer &first = consumer_of(1);
    consumer &second = consumer_of(2);
    int64_t results[2] = {1, 1};
    coil_task *victim = coil_spawn_result(&sched.root, &results[0], consume(&first, COIL_FOREVER));
    coil_spawn_result(&sched.root, &results[1], consume(&second, COIL_FOREVER));
    settle();
    put(1);
    coil_task_cancel(victim);
    coil_task_cancel(victim);
    settle();
    EXPECT_EQ(-ECANCELED, results[0]);
    EXPECT_TRUE(first.owned_late);
    EXPECT_EQ(0, results[1]);
    EXPECT_EQ((numbers{2}), where.order);
}

TEST_F(Condition, GoesToTheNextIfTheCancellationCameBeforeTheNotification)
{
    int64_t results[2] = {1, 1};
    coil_task *victim =
            coil_spawn_result(&sched.root, &results[0], consume(&consumer_of(1), COIL_FOREVER));
    coil_spawn_result(&sched.root, &results[1], consume(&consumer_of(2), COIL_FOREVER));
    settle();
    coil_task_cancel(victim);
    put(1);
    settle();
    EXPECT_EQ(-ECANCELED, results[0]);
    EXPECT_EQ((numbers{2}), where.order);
}

TEST_F(Condition, PassesANotificationOnIfTheTaskIsCancelledWhileItLocksAgain)
{
    int64_t results[2] = {1, 1};
    coil_task *victim =
            coil_spawn_result(&sched.root, &results[0], consume(&consumer_of(1), COIL_FOREVER));
    coil_spawn_result(&sched.root, &results[1], consume(&consumer_of(2), COIL_FOREVER));
    settle();
    spawn(&sched.root, hold(&where, coil_ms(3)));
    settle();
    put(1);
    pass(coil_ms(1));
    coil_task_cancel(victim);
    run_out();
    EXPECT_EQ(-ECANCELED, results[0]);
    EXPECT_TRUE(all[0].owned_late);
    EXPECT_EQ(0, results[1]);
}

TEST_F(Condition, PassesANotificationOnIfTheDeadlinePassesWhileItLocksAgain)
{
    int64_t results[2] = {1, 1};
    coil_spawn_result(&sched.root, &results[0], consume(&consumer_of(1), coil_ms(2)));
    coil_spawn_result(&sched.root, &results[1], consume(&consumer_of(2), COIL_FOREVER));
    settle();
    spawn(&sched.root, hold(&where, coil_ms(3)));
    settle();
    put(1);
    run_out();
    EXPECT_EQ(-ETIME, results[0]);
    EXPECT_TRUE(all[0].owned_late);
    EXPECT_EQ(0, results[1]);
}

TEST_F(Condition, PassesANotificationAlongAWholeRowOfCancelledTasks)
{
    std::vector<coil_task *> tasks;
    for (int i = 0; i < 50; i++)
        tasks.push_back(spawn(&sched.root, consume(&consumer_of(i), COIL_FOREVER)));
    settle();
    put(10);
    for (size_t i = 0; i < 40; i++)
        coil_task_cancel(tasks[i]);
    settle();
    EXPECT_EQ((numbers{40, 41, 42, 43, 44, 45, 46, 47, 48, 49}), where.order);
    EXPECT_EQ(0, where.item_count);
}

TEST_F(Condition, DoesNotPassOnWhatAllHaveBeenNotifiedOf)
{
    coil_task *victim = spawn(&sched.root, wait_once(&consumer_of(1)));
    settle();
    coil_condition_notify_all(&where.changed);
    consumer &late = consumer_of(2);
    coil_task_cancel(victim);
    spawn(&sched.root, wait_once(&late));
    settle();
    EXPECT_EQ(1, late.rc);
    coil_condition_notify(&where.changed, 1);
}

TEST_F(Condition, CanBeWaitedForByATaskThatCleansUp)
{
    consumer &who = consumer_of(1);
    coil_task *task = spawn(&sched.root, wait_while_leaving(&who));
    settle();
    coil_task_cancel(task);
    settle();
    coil_task_cancel(task);
    settle();
    EXPECT_EQ(1u, length(where.changed.waiters));
    coil_condition_notify(&where.changed, 1);
    settle();
    EXPECT_EQ(0, who.rc);
    EXPECT_EQ((numbers{1}), where.order);
}

TEST_F(Condition, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    consumer &who = consumer_of(1);
    coil_task *task = spawn(&sched.root, wait_once(&who));
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_EQ(1, who.rc);
    coil_condition_notify_all(&where.changed);
}

TEST_F(Condition, IsWaitedForOnlyByTheOwnerOfTheMutex)
{
    EXPECT_DEATH(
            {
                spawn(&sched.root, wait_without_the_mutex(&where.changed));
                settle();
            },
            "owner == task");
}

TEST_F(Condition, MayNotEndWhileSomebodyIsInside)
{
    spawn(&sched.root, wait_once(&consumer_of(1)));
    settle();
    EXPECT_DEATH(coil_condition_fini(&where.changed), "inside_count");
    spawn(&sched.root, hold(&where, coil_ms(1)));
    settle();
    coil_condition_notify_all(&where.changed);
    settle();
    EXPECT_DEATH(coil_condition_fini(&where.changed), "inside_count") << "it locks again";
}

} // namespace
