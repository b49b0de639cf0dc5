/* SPDX-License-Identifier: MIT */
#include <coil/mutex.h>

#include "world.h"

#include <algorithm>
#include <deque>

#include <coil/sugar.h>

namespace
{

/* The room that the mutex guards. */
struct room {
    coil_mutex mutex;
    int inside;
    int most_inside;
    numbers order; /* Who came in. */
};

struct visitor {
    room *where;
    int number;
    coil_duration stay;
    int lock_rc; /* 1: the lock call has not come back. */
    bool stayed; /* The await inside came back. */
};

} // namespace

static void enter(visitor *who)
{
    room *where = who->where;
    where->inside++;
    where->most_inside = std::max(where->most_inside, where->inside);
    where->order.push_back(who->number);
}

static void leave(visitor *who)
{
    who->where->inside--;
    coil_mutex_unlock(&who->where->mutex);
}

async(int, visit, (visitor *) who)
{
    vars();

    await(who->lock_rc, coil_mutex_lock(&who->where->mutex));
    if (who->lock_rc < 0)
        return who->lock_rc;
    enter(who);
    defer(leave(who));
    await(coil_sleep(who->stay));
    who->stayed = true;
    return 0;
}

async(int, visit_within, (visitor *) who, (coil_duration) limit)
{
    vars();

    await(who->lock_rc, within(limit, coil_mutex_lock(&who->where->mutex)));
    if (who->lock_rc < 0)
        return who->lock_rc;
    enter(who);
    defer(leave(who));
    await(coil_sleep(who->stay));
    who->stayed = true;
    return 0;
}

async(int, visit_twice, (visitor *) who)
{
    vars();

    attempt(visit(who));
    attempt(visit(who));
    return 0;
}

/* The whole visit has a limit: it is unwound wherever it is. */
async(int, short_visit, (visitor *) who, (coil_duration) limit)
{
    vars();

    attempt(within(limit, visit(who)));
    return 0;
}

/* Takes the lock while it is being cancelled. */
async(int, tidy_up_in, (visitor *) who)
{
    vars();

    defer(await(who->lock_rc, coil_mutex_lock(&who->where->mutex)); enter(who); leave(who));
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

async(int, visit_after, (visitor *) who, (int) depth)
{
    vars(char padding[300]; int rc;);

    if (depth > 0)
        await(my->rc, visit_after(who, depth - 1));
    else
        await(my->rc, visit(who));
    return my->rc;
}

/* Let the others line up, then hand over and cancel in one turn. */
async(void, hand_over_then_cancel, (room *) where, (coil_task **) victim)
{
    vars();

    ignore(coil_mutex_lock(&where->mutex));
    await(coil_sleep(coil_ms(1)));
    coil_mutex_unlock(&where->mutex);
    coil_task_cancel(*victim);
    coil_task_cancel(*victim);
}

async(void, cancel_then_hand_over, (room *) where, (coil_task **) victim)
{
    vars();

    ignore(coil_mutex_lock(&where->mutex));
    await(coil_sleep(coil_ms(1)));
    coil_task_cancel(*victim);
    coil_task_cancel(*victim);
    coil_mutex_unlock(&where->mutex);
}

static coil_turn stay_step(coil_task *task, coil_frame *leaf);

coil_leaf(void, stay_until, (bool *) condition);
coil_leaf_fn(stay_until, stay_step, NULL);

static coil_turn stay_step(coil_task *task, coil_frame *leaf)
{
    return *coil_arguments(stay_until, leaf)->condition ? coil_leave(task, leaf)
                                                        : coil_leaf_suspend(leaf);
}

/* Has the lock until it is woken and `*may_leave`. */
async(void, hold, (room *) where, (bool *) may_leave)
{
    vars();

    ignore(coil_mutex_lock(&where->mutex));
    await(stay_until(may_leave));
    coil_mutex_unlock(&where->mutex);
}

async(int, crowd, (std::deque<visitor> *) all)
{
    vars(coil_group group; size_t i;);

    open_group(&my->group);
    for (my->i = 0; my->i < all->size(); my->i++)
        spawn(&my->group, visit(&(*all)[my->i]));
    attempt(coil_group_join(&my->group));
    return 0;
}

async(void, unlock_what_is_not_ours, (coil_mutex *) mutex)
{
    vars();

    coil_mutex_unlock(mutex);
}

async(void, lock_twice, (coil_mutex *) mutex)
{
    vars();

    ignore(coil_mutex_lock(mutex));
    defer(coil_mutex_unlock(mutex));
    ignore(coil_mutex_lock(mutex));
}

async(void, try_twice, (coil_mutex *) mutex, (int *) out_first, (int *) out_second)
{
    vars();

    *out_first = coil_mutex_try_lock(mutex, coil_self);
    *out_second = coil_mutex_try_lock(mutex, coil_self);
    coil_mutex_unlock(mutex);
}

async(void, hand_over_then_try, (coil_mutex *) mutex, (int *) out_rc)
{
    vars();

    ignore(coil_mutex_lock(mutex));
    await(coil_sleep(coil_ms(1)));
    coil_mutex_unlock(mutex);
    *out_rc = coil_mutex_try_lock(mutex, coil_self);
}

namespace
{

class Mutex : public World
{
protected:
    Mutex()
    {
        coil_mutex_init(&where.mutex);
    }

    ~Mutex() override
    {
        run_out();
        EXPECT_EQ(0, where.inside);
        EXPECT_GE(1, where.most_inside);
        EXPECT_EQ(nullptr, where.mutex.owner);
        coil_mutex_fini(&where.mutex);
    }

    /* It stays as long as the tasks that write to it. */
    visitor &visitor_of(int number)
    {
        all.push_back({&where, number, coil_ms(1), 1, false});
        return all.back();
    }

    std::deque<visitor> &visitors(int count)
    {
        for (int i = 0; i < count; i++)
            visitor_of(i);
        return all;
    }

    room where = {};
    std::deque<visitor> all;
    coil_task *victim = nullptr;
    bool may_leave = false;
};

TEST_F(Mutex, IsTakenAtOnceIfItIsFree)
{
    visitor &who = visitor_of(1);
    coil_task *task = spawn(&sched.root, visit(&who));
    coil_sched_run(&sched, 1);
    EXPECT_EQ(0, who.lock_rc);
    EXPECT_EQ(task, where.mutex.owner);
    EXPECT_TRUE(coil_mutex_is_locked(&where.mutex));
    run_out();
    EXPECT_TRUE(who.stayed);
    EXPECT_FALSE(coil_mutex_is_locked(&where.mutex));
    EXPECT_EQ(nullptr, where.mutex.owner);
}

TEST_F(Mutex, IsHandedOverInTheOrderOfWaiting)
{
    visitors(100);
    numbers expected;
    for (visitor &who : all) {
        spawn(&sched.root, visit(&who));
        expected.push_back(who.number);
    }
    run_out();
    EXPECT_EQ(expected, where.order);
    EXPECT_EQ(coil_ms(100), sched.now);
}

TEST_F(Mutex, BelongsToTheHeirBeforeItRuns)
{
    visitor &heir = visitor_of(1);
    int rc = 1;
    spawn(&sched.root, hand_over_then_try(&where.mutex, &rc));
    spawn(&sched.root, visit(&heir));
    run_out();
    EXPECT_EQ(-EAGAIN, rc);
    EXPECT_TRUE(heir.stayed);
}

TEST_F(Mutex, SendsThoseWhoComeBackToTheEndOfTheQueue)
{
    visitors(3);
    for (visitor &who : all)
        spawn(&sched.root, visit_twice(&who));
    run_out();
    EXPECT_EQ((numbers{0, 1, 2, 0, 1, 2}), where.order);
}

TEST_F(Mutex, CanBeTriedForWithoutWaiting)
{
    int first = 1, second = 1;
    spawn(&sched.root, try_twice(&where.mutex, &first, &second));
    settle();
    EXPECT_EQ(0, first);
    EXPECT_EQ(-EAGAIN, second);
}

TEST_F(Mutex, LosesAWaiterThatIsCancelledAndKeepsTheOthers)
{
    visitors(4);
    std::vector<coil_task *> tasks;
    for (visitor &who : all)
        tasks.push_back(spawn(&sched.root, visit(&who)));
    settle();
    coil_task_cancel(tasks[1]);
    coil_task_cancel(tasks[2]);
    coil_task_cancel(tasks[1]);
    EXPECT_EQ(1u, length(where.mutex.waiters));
    run_out();
    EXPECT_EQ((numbers{0, 3}), where.order);
    EXPECT_EQ(1, all[1].lock_rc);
}

TEST_F(Mutex, IsDeliveredIfItWasHandedOverBeforeTheCancellation)
{
    visitor &who = visitor_of(1);
    visitor &next = visitor_of(2);
    int64_t result = 1;
    spawn(&sched.root, hand_over_then_cancel(&where, &victim));
    victim = coil_spawn_result(&sched.root, &result, visit(&who));
    spawn(&sched.root, visit(&next));
    run_out();
    EXPECT_EQ(0, who.lock_rc);
    EXPECT_FALSE(who.stayed); /* The cancellation came at the next await, */
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ((numbers{1, 2}), where.order); /* and gave the lock back. */
}

TEST_F(Mutex, GoesToTheNextIfTheCancellationCameBeforeTheHandOver)
{
    visitor &who = visitor_of(1);
    visitor &next = visitor_of(2);
    int64_t result = 1;
    spawn(&sched.root, cancel_then_hand_over(&where, &victim));
    victim = coil_spawn_result(&sched.root, &result, visit(&who));
    spawn(&sched.root, visit(&next));
    run_out();
    EXPECT_EQ(1, who.lock_rc);
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ((numbers{2}), where.order);
}

TEST_F(Mutex, BecomesFreeIfItsOnlyWaiterIsCancelledFirst)
{
    visitor &who = visitor_of(1);
    spawn(&sched.root, cancel_then_hand_over(&where, &victim));
    victim = spawn(&sched.root, visit(&who));
    pass(coil_ms(1));
    EXPECT_EQ(nullptr, where.mutex.owner);
    EXPECT_TRUE(where.order.empty());
}

TEST_F(Mutex, IsRefusedToATaskThatIsBeingCancelledEvenIfItIsFree)
{
    visitor &who = visitor_of(1);
    coil_task_cancel(spawn(&sched.root, visit(&who)));
    settle();
    EXPECT_EQ(1, who.lock_rc);
    EXPECT_EQ(nullptr, where.mutex.owner);
}

TEST_F(Mutex, IsWaitedForUntilTheDeadlineAndNotLonger)
{
    visitor &holder = visitor_of(1);
    visitor &who = visitor_of(2);
    int64_t result = 1;
    holder.stay = coil_ms(10);
    spawn(&sched.root, visit(&holder));
    coil_spawn_result(&sched.root, &result, visit_within(&who, coil_ms(5)));
    pass(coil_ms(5) - 1);
    EXPECT_EQ(1, result);
    pass(1);
    EXPECT_EQ(-ETIME, result);
    EXPECT_TRUE(coil_list_empty(&where.mutex.waiters));
    run_out();
    EXPECT_EQ((numbers{1}), where.order);
}

TEST_F(Mutex, IsDeliveredIfTheDeadlineComesAfterTheHandOverInOneTurn)
{
    visitor &who = visitor_of(1);
    int64_t result = 1;
    coil_task *holder = spawn(&sched.root, hold(&where, &may_leave));
    coil_spawn_result(&sched.root, &result, visit_within(&who, coil_ms(5)));
    settle();
    may_leave = true;
    coil_task_wake(holder);
    EXPECT_TRUE(coil_sched_run(&sched, 1)); /* The holder has unlocked, the heir is ready. */
    coil_sched_advance(&sched, coil_ms(5));
    run_out();
    EXPECT_EQ(0, who.lock_rc);
    EXPECT_TRUE(who.stayed); /* The deadline was one for the lock alone. */
    EXPECT_EQ(0, result);
}

TEST_F(Mutex, IsNotDeliveredIfTheDeadlineComesBeforeTheUnlockInOneTurn)
{
    visitor &who = visitor_of(1);
    int64_t result = 1;
    coil_task *holder = spawn(&sched.root, hold(&where, &may_leave));
    coil_spawn_result(&sched.root, &result, visit_within(&who, coil_ms(5)));
    settle();
    may_leave = true;
    coil_task_wake(holder); /* It will run first, yet too late. */
    coil_sched_advance(&sched, coil_ms(5));
    run_out();
    EXPECT_EQ(-ETIME, result);
    EXPECT_TRUE(where.order.empty());
}

TEST_F(Mutex, IsGivenBackIfADeadlineUnwindsTheHolder)
{
    visitor &who = visitor_of(1);
    visitor &next = visitor_of(2);
    int64_t result = 1;
    who.stay = coil_s(1);
    coil_spawn_result(&sched.root, &result, short_visit(&who, coil_ms(5)));
    spawn(&sched.root, visit(&next));
    pass(coil_ms(5));
    EXPECT_EQ(-ETIME, result);
    EXPECT_EQ((numbers{1, 2}), where.order);
}

TEST_F(Mutex, SurvivesADeadlineAndACancellationInBothOrders)
{
    visitor &holder = visitor_of(1);
    visitor &first = visitor_of(2);
    visitor &second = visitor_of(3);
    int64_t results[2] = {1, 1};
    holder.stay = coil_ms(10);
    spawn(&sched.root, visit(&holder));
    coil_task *a = coil_spawn_result(&sched.root, &results[0], visit_within(&first, coil_ms(5)));
    coil_task *b = coil_spawn_result(&sched.root, &results[1], visit_within(&second, coil_ms(5)));
    settle();
    coil_task_cancel(a);
    coil_sched_advance(&sched, coil_ms(5));
    coil_task_cancel(b);
    run_out();
    EXPECT_EQ(-ECANCELED, results[0]);
    EXPECT_EQ(-ECANCELED, results[1]);
    EXPECT_EQ((numbers{1}), where.order);
}

TEST_F(Mutex, OutlivesTheCancellationOfAHundredWaitersAndItsHolder)
{
    visitors(101);
    spawn(&sched.root, crowd(&all));
    settle();
    visitor &stranger = visitor_of(1000);
    spawn(&sched.root, visit(&stranger));
    settle();
    EXPECT_EQ(101u, length(where.mutex.waiters));
    coil_task_cancel(coil_container_of(sched.root.tasks.next, coil_task, link));
    run_out();
    EXPECT_EQ((numbers{0, 1000}), where.order);
    EXPECT_TRUE(stranger.stayed);
    for (size_t i = 1; i <= 100; i++)
        EXPECT_EQ(1, all[i].lock_rc);
}

TEST_F(Mutex, CanBeLockedByATaskThatCleansUp)
{
    visitor &holder = visitor_of(1);
    visitor &who = visitor_of(2);
    holder.stay = coil_ms(10);
    spawn(&sched.root, visit(&holder));
    coil_task *task = spawn(&sched.root, tidy_up_in(&who));
    settle();
    coil_task_cancel(task);
    settle();
    coil_task_cancel(task);
    EXPECT_EQ(1u, length(where.mutex.waiters)); /* The clean-up is masked. */
    run_out();
    EXPECT_EQ((numbers{1, 2}), where.order);
}

TEST_F(Mutex, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    visitor &holder = visitor_of(1);
    visitor &who = visitor_of(2);
    spawn(&sched.root, visit(&holder));
    coil_task *task = spawn(&sched.root, visit(&who));
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_EQ(1, who.lock_rc);
    run_out();
    EXPECT_TRUE(who.stayed);
}

TEST_F(Mutex, CanBeWaitedForAtTheEndOfADeepStack)
{
    visitors(20);
    std::vector<coil_task *> tasks;
    for (visitor &who : all)
        tasks.push_back(spawn(&sched.root, visit_after(&who, who.number)));
    settle();
    for (size_t i = 1; i < tasks.size(); i += 2)
        coil_task_cancel(tasks[i]);
    run_out();
    EXPECT_EQ((numbers{0, 2, 4, 6, 8, 10, 12, 14, 16, 18}), where.order);
}

TEST_F(Mutex, IsUnlockedByItsOwnerOnly)
{
    visitor &who = visitor_of(1);
    coil_task *owner = spawn(&sched.root, visit(&who));
    settle();
    ASSERT_EQ(owner, where.mutex.owner);
    EXPECT_DEATH(coil_mutex_unlock(&where.mutex), "running == mutex->owner");
    EXPECT_DEATH(
            {
                spawn(&sched.root, unlock_what_is_not_ours(&where.mutex));
                settle();
            },
            "running == mutex->owner");
}

TEST_F(Mutex, IsUnlockedOnlyIfItIsLocked)
{
    EXPECT_DEATH(coil_mutex_unlock(&where.mutex), "owner != NULL");
}

TEST_F(Mutex, IsNotRecursive)
{
    EXPECT_DEATH(
            {
                spawn(&sched.root, lock_twice(&where.mutex));
                settle();
            },
            "owner != task");
}

TEST_F(Mutex, MayNotEndLocked)
{
    visitor &who = visitor_of(1);
    spawn(&sched.root, visit(&who));
    settle();
    EXPECT_DEATH(coil_mutex_fini(&where.mutex), "owner == NULL");
}

} // namespace
