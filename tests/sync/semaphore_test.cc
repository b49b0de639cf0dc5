/* SPDX-License-Identifier: MIT */
#include <coil/semaphore.h>

#include "world.h"

#include <algorithm>
#include <deque>

#include <coil/sugar.h>

namespace
{

/* Where permits are used, and counted. */
struct office {
    coil_semaphore permits;
    size_t held_count;
    size_t most_held_count;
    numbers order; /* Who got one. */
};

struct client {
    office *where;
    int number;
    coil_duration stay;
    int acquire_rc; /* 1: the call has not come back. */
    bool stayed;    /* The await after it came back. */
};

} // namespace

static void begin_use(client *who)
{
    office *where = who->where;
    where->held_count++;
    where->most_held_count = std::max(where->most_held_count, where->held_count);
    where->order.push_back(who->number);
}

static void end_use(client *who)
{
    who->where->held_count--;
    coil_semaphore_release(&who->where->permits, 1);
}

async(int, use, (client *) who, (coil_duration) limit)
{
    vars();

    await(who->acquire_rc, within(limit, coil_semaphore_acquire(&who->where->permits)));
    if (who->acquire_rc < 0)
        return who->acquire_rc;
    begin_use(who);
    defer(end_use(who));
    await(coil_sleep(who->stay));
    who->stayed = true;
    return 0;
}

/* Takes a permit for ever. */
async(int, consume, (client *) who)
{
    vars();

    attempt(coil_semaphore_acquire(&who->where->permits));
    who->where->order.push_back(who->number);
    return 0;
}

/* Takes many, for a millisecond. */
async(int, use_many, (client *) who, (size_t) count, (coil_duration) limit)
{
    vars();

    await(who->acquire_rc, within(limit, coil_semaphore_acquire_many(&who->where->permits, count)));
    if (who->acquire_rc < 0)
        return who->acquire_rc;
    who->where->held_count += count;
    who->where->order.push_back(who->number);
    defer(who->where->held_count -= count; coil_semaphore_release(&who->where->permits, count));
    await(coil_sleep(who->stay));
    who->stayed = true;
    return 0;
}

async(int, crowd, (std::deque<client> *) all)
{
    vars(coil_group group; size_t i;);

    open_group(&my->group);
    for (my->i = 0; my->i < all->size(); my->i++)
        spawn(&my->group, use(&(*all)[my->i], COIL_FOREVER));
    attempt(coil_group_join(&my->group));
    return 0;
}

namespace
{

class Semaphore : public World
{
protected:
    void open(size_t available_count, size_t bound_count)
    {
        coil_semaphore_init(&where.permits, available_count, bound_count);
        all_count = available_count;
    }

    void close()
    {
        run_out();
        EXPECT_EQ(0u, where.held_count);
        EXPECT_EQ(all_count, where.permits.available_count) << "every permit is back";
        coil_semaphore_fini(&where.permits);
    }

    /* It stays as long as the tasks that write to it. */
    client &client_of(int number)
    {
        clients.push_back({&where, number, coil_ms(1), 1, false});
        return clients.back();
    }

    office where = {};
    size_t all_count = 0;
    std::deque<client> clients;
};

TEST_F(Semaphore, LetsAsManyInAsThereArePermits)
{
    open(3, 3);
    numbers expected;
    for (int i = 0; i < 99; i++) {
        spawn(&sched.root, use(&client_of(i), COIL_FOREVER));
        expected.push_back(i);
    }
    settle();
    EXPECT_EQ(3u, where.held_count);
    EXPECT_EQ(96u, length(where.permits.waiters));
    close();
    EXPECT_EQ(3u, where.most_held_count);
    EXPECT_EQ(expected, where.order);
    EXPECT_EQ(coil_ms(33), sched.now);
}

TEST_F(Semaphore, CanBeginWithoutPermits)
{
    open(0, COIL_SEMAPHORE_UNBOUNDED);
    spawn(&sched.root, consume(&client_of(1)));
    settle();
    EXPECT_TRUE(where.order.empty());
    coil_semaphore_release(&where.permits, 1);
    EXPECT_EQ(0u, where.permits.available_count);
    close();
    EXPECT_EQ((numbers{1}), where.order);
}

TEST_F(Semaphore, CanBeTriedForWithoutWaiting)
{
    open(2, 2);
    EXPECT_EQ(0, coil_semaphore_try_acquire(&where.permits));
    EXPECT_EQ(0, coil_semaphore_try_acquire(&where.permits));
    EXPECT_EQ(-EAGAIN, coil_semaphore_try_acquire(&where.permits));
    coil_semaphore_release(&where.permits, 2);
    close();
}

TEST_F(Semaphore, HandsReleasedPermitsToThoseWhoWaitAndNotToNewcomers)
{
    open(0, COIL_SEMAPHORE_UNBOUNDED);
    for (int i = 0; i < 3; i++)
        spawn(&sched.root, consume(&client_of(i)));
    settle();
    coil_semaphore_release(&where.permits, 2);
    EXPECT_EQ(-EAGAIN, coil_semaphore_try_acquire(&where.permits));
    spawn(&sched.root, consume(&client_of(3)));
    settle();
    EXPECT_EQ((numbers{0, 1}), where.order);
    coil_semaphore_release(&where.permits, 5);
    EXPECT_EQ(3u, where.permits.available_count);
    settle();
    EXPECT_EQ((numbers{0, 1, 2, 3}), where.order);
    all_count = 3;
    close();
}

TEST_F(Semaphore, ReleasesNothingIfAskedToReleaseNothing)
{
    open(0, 1);
    spawn(&sched.root, consume(&client_of(1)));
    settle();
    coil_semaphore_release(&where.permits, 0);
    settle();
    EXPECT_TRUE(where.order.empty());
    coil_semaphore_release(&where.permits, 1);
    close();
}

TEST_F(Semaphore, LosesAWaiterThatIsCancelledAndKeepsTheOthers)
{
    open(1, 1);
    spawn(&sched.root, use(&client_of(1), COIL_FOREVER));
    coil_task *victim = spawn(&sched.root, use(&client_of(2), COIL_FOREVER));
    spawn(&sched.root, use(&client_of(3), COIL_FOREVER));
    settle();
    coil_task_cancel(victim);
    coil_task_cancel(victim);
    EXPECT_EQ(1u, length(where.permits.waiters));
    close();
    EXPECT_EQ((numbers{1, 3}), where.order);
}

TEST_F(Semaphore, DeliversAPermitThatWasHandedOverBeforeTheCancellation)
{
    open(1, 1);
    client &who = client_of(1);
    int64_t result = 1;
    ASSERT_EQ(0, coil_semaphore_try_acquire(&where.permits));
    coil_task *victim = coil_spawn_result(&sched.root, &result, use(&who, COIL_FOREVER));
    settle();
    coil_semaphore_release(&where.permits, 1);
    coil_task_cancel(victim);
    coil_task_cancel(victim);
    close();
    EXPECT_EQ(0, who.acquire_rc);
    EXPECT_FALSE(who.stayed);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Semaphore, KeepsAPermitThatWasReleasedAfterTheCancellation)
{
    open(1, 1);
    client &who = client_of(1);
    int64_t result = 1;
    ASSERT_EQ(0, coil_semaphore_try_acquire(&where.permits));
    coil_task *victim = coil_spawn_result(&sched.root, &result, use(&who, COIL_FOREVER));
    settle();
    coil_task_cancel(victim);
    coil_semaphore_release(&where.permits, 1);
    EXPECT_EQ(1u, where.permits.available_count); /* Already, though the task has not run. */
    close();
    EXPECT_EQ(1, who.acquire_rc);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Semaphore, DeliversOrKeepsAPermitAtADeadlineButNeverBoth)
{
    for (const bool release_first : {true, false}) {
        open(1, 1);
        client &who = client_of(1);
        int64_t result = 1;
        ASSERT_EQ(0, coil_semaphore_try_acquire(&where.permits));
        coil_spawn_result(&sched.root, &result, use(&who, coil_ms(5)));
        settle();
        if (release_first)
            coil_semaphore_release(&where.permits, 1);
        coil_sched_advance(&sched, sched.now + coil_ms(5));
        if (!release_first)
            coil_semaphore_release(&where.permits, 1);
        close();
        EXPECT_EQ(release_first ? 0 : -ETIME, who.acquire_rc);
        EXPECT_EQ(release_first, who.stayed);
        EXPECT_EQ(release_first ? 0 : -ETIME, result);
    }
}

TEST_F(Semaphore, IsRefusedToATaskThatIsBeingCancelledEvenIfAPermitIsThere)
{
    open(1, 1);
    client &who = client_of(1);
    coil_task_cancel(spawn(&sched.root, use(&who, COIL_FOREVER)));
    close();
    EXPECT_EQ(1, who.acquire_rc);
}

TEST_F(Semaphore, GetsEveryPermitBackWhenAHundredTasksAreCancelledAtOnce)
{
    open(10, 10);
    for (int i = 0; i < 110; i++)
        client_of(i);
    coil_task *host = spawn(&sched.root, crowd(&clients));
    settle();
    EXPECT_EQ(10u, where.held_count);
    EXPECT_EQ(100u, length(where.permits.waiters));
    coil_sched_advance(&sched, coil_ms(1)); /* Ten are about to release, none has run. */
    coil_task_cancel(host);
    close();
    EXPECT_EQ(10u, where.order.size());
}

TEST_F(Semaphore, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    open(0, 1);
    coil_task *task = spawn(&sched.root, consume(&client_of(1)));
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_TRUE(where.order.empty());
    EXPECT_EQ(1u, length(where.permits.waiters));
    coil_semaphore_release(&where.permits, 1);
    close();
}

TEST_F(Semaphore, NeverHasMorePermitsThanItsBound)
{
    open(1, 2);
    coil_semaphore_release(&where.permits, 1);
    EXPECT_DEATH(coil_semaphore_release(&where.permits, 1), "bound_count");
    all_count = 2;
    close();
}

TEST_F(Semaphore, DoesNotCountBeyondWhatItCanCount)
{
    open(1, COIL_SEMAPHORE_UNBOUNDED);
    EXPECT_DEATH(coil_semaphore_release(&where.permits, SIZE_MAX), "bound_count");
    close();
}

TEST_F(Semaphore, MayNotBeginAboveItsBound)
{
    EXPECT_DEATH(coil_semaphore_init(&where.permits, 3, 2), "bound_count");
}

TEST_F(Semaphore, GivesManyAtOnceOrNone)
{
    open(5, 5);
    spawn(&sched.root, use_many(&client_of(1), 3, COIL_FOREVER));
    spawn(&sched.root, use_many(&client_of(2), 3, COIL_FOREVER));
    spawn(&sched.root, use_many(&client_of(3), 2, COIL_FOREVER));
    settle();
    EXPECT_EQ((numbers{1}), where.order);
    EXPECT_EQ(2u, where.permits.available_count);
    pass(coil_ms(1));
    EXPECT_EQ((numbers{1, 2, 3}), where.order);
    EXPECT_EQ(0u, where.permits.available_count);
    close();
}

TEST_F(Semaphore, DoesNotStarveALargeRequestWhileSmallOnesComeAndGo)
{
    open(4, 4);
    for (int i = 0; i < 100; i++) {
        client &who = client_of(i);
        if (i == 10)
            spawn(&sched.root, use_many(&who, 4, COIL_FOREVER));
        else
            spawn(&sched.root, use(&who, COIL_FOREVER));
        pass(coil_us(300));
    }
    close();
    EXPECT_EQ(10, where.order[10]);
    EXPECT_TRUE(std::is_sorted(where.order.begin(), where.order.end()));
}

TEST_F(Semaphore, LetsNobodyOvertakeALargeRequestEvenIfThereIsEnough)
{
    open(2, 3);
    spawn(&sched.root, use_many(&client_of(1), 3, COIL_FOREVER));
    settle();
    EXPECT_EQ(2u, where.permits.available_count);
    EXPECT_EQ(-EAGAIN, coil_semaphore_try_acquire(&where.permits));
    EXPECT_EQ(-EAGAIN, coil_semaphore_try_acquire_many(&where.permits, 0));
    coil_semaphore_release(&where.permits, 1);
    all_count = 3;
    close();
    EXPECT_EQ((numbers{1}), where.order);
}

TEST_F(Semaphore, LetsThoseBehindMoveUpAtOnceWhenALargeRequestIsCancelled)
{
    open(2, 3);
    coil_task *large = spawn(&sched.root, use_many(&client_of(1), 3, COIL_FOREVER));
    spawn(&sched.root, use_many(&client_of(2), 1, COIL_FOREVER));
    spawn(&sched.root, use_many(&client_of(3), 2, COIL_FOREVER));
    settle();
    coil_task_cancel(large);
    coil_task_cancel(large);
    EXPECT_EQ(1u, where.permits.available_count);
    EXPECT_EQ(1u, length(where.permits.waiters));
    settle();
    EXPECT_EQ((numbers{2}), where.order);
    close();
    EXPECT_EQ((numbers{2, 3}), where.order);
}

TEST_F(Semaphore, LetsThoseBehindMoveUpWhenTheDeadlineOfALargeRequestPasses)
{
    open(2, 3);
    spawn(&sched.root, use_many(&client_of(1), 3, coil_us(10)));
    spawn(&sched.root, use_many(&client_of(2), 2, COIL_FOREVER));
    pass(coil_us(10));
    EXPECT_EQ((numbers{2}), where.order);
    EXPECT_EQ(-ETIME, clients[0].acquire_rc);
    close();
}

TEST_F(Semaphore, DeliversManyThatWereHandedOverBeforeTheCancellation)
{
    open(3, 3);
    ASSERT_EQ(0, coil_semaphore_try_acquire_many(&where.permits, 3));
    coil_task *victim = spawn(&sched.root, use_many(&client_of(1), 3, COIL_FOREVER));
    settle();
    coil_semaphore_release(&where.permits, 3);
    coil_task_cancel(victim);
    EXPECT_EQ(0u, where.permits.available_count);
    close();
    EXPECT_EQ(0, clients[0].acquire_rc);
    EXPECT_FALSE(clients[0].stayed);
}

TEST_F(Semaphore, MayBeReleasedAboveItsBoundToThoseWhoWait)
{
    open(0, 2);
    for (int i = 0; i < 5; i++)
        spawn(&sched.root, consume(&client_of(i)));
    settle();
    coil_semaphore_release(&where.permits, 5);
    close();
    EXPECT_EQ((numbers{0, 1, 2, 3, 4}), where.order);
}

TEST_F(Semaphore, IsNotAskedForMoreThanItsBound)
{
    open(0, 2);
    EXPECT_DEATH(EXPECT_EQ(0, coil_semaphore_try_acquire_many(&where.permits, 3)), "bound_count");
    close();
}

TEST_F(Semaphore, MayNotEndWhileATaskWaits)
{
    open(0, 1);
    spawn(&sched.root, consume(&client_of(1)));
    settle();
    EXPECT_DEATH(coil_semaphore_fini(&where.permits), "coil_list_empty");
    coil_semaphore_release(&where.permits, 1);
    close();
}

} // namespace
