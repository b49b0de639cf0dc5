/* SPDX-License-Identifier: MIT */
#include <coil/event.h>

#include "world.h"

#include <deque>
#include <memory>

#include <coil/sugar.h>

namespace
{

struct spectator {
    coil_event *event;
    numbers *order;
    int number;
    bool released; /* The wait came back, */
    bool went_on;  /* and so did the await after it. */
};

} // namespace

static void note(spectator *who)
{
    who->released = true;
    if (who->order != nullptr)
        who->order->push_back(who->number);
}

async(int, watch, (spectator *) who)
{
    vars();

    await(coil_event_wait(who->event));
    note(who);
    await(coil_yield());
    who->went_on = true;
    return 0;
}

async(int, watch_for, (spectator *) who, (coil_duration) limit)
{
    vars();

    await(within(limit, coil_event_wait(who->event)));
    note(who);
    await(coil_yield());
    who->went_on = true;
    return coil_event_is_set(who->event) ? 0 : -ETIME;
}

async(int, watch_shielded, (spectator *) who)
{
    vars();

    await(shield(coil_event_wait(who->event)));
    note(who);
    await(coil_yield());
    who->went_on = true;
    return 0;
}

/* Waits while it is being cancelled. */
async(int, watch_on_leaving, (spectator *) who)
{
    vars();

    defer(await(coil_event_wait(who->event)); note(who));
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

async(void, set_then_cancel, (coil_event *) event, (coil_task *) victim)
{
    vars();

    coil_event_set(event);
    coil_event_clear(event);
    coil_task_cancel(victim);
    coil_task_cancel(victim);
}

async(void, cancel_then_set, (coil_event *) event, (coil_task *) victim)
{
    vars();

    coil_task_cancel(victim);
    coil_task_cancel(victim);
    coil_event_set(event);
}

namespace
{

class Event : public World
{
protected:
    Event()
    {
        coil_event_init(&event);
    }

    ~Event() override
    {
        coil_event_set(&event);
        run_out();
        coil_event_fini(&event);
    }

    /* It stays as long as the tasks that write to it. */
    spectator &spectator_of(int number)
    {
        spectators.push_back({&event, &order, number, false, false});
        return spectators.back();
    }

    coil_event event;
    numbers order;
    std::deque<spectator> spectators;
};

TEST_F(Event, IsClearAtFirst)
{
    EXPECT_FALSE(coil_event_is_set(&event));
}

TEST_F(Event, MakesTasksWaitUntilItIsSet)
{
    spectator &who = spectator_of(1);
    spawn(&sched.root, watch(&who));
    settle();
    EXPECT_FALSE(who.released);
    coil_event_set(&event);
    EXPECT_FALSE(who.released); /* Setting runs nobody. */
    settle();
    EXPECT_TRUE(who.went_on);
}

TEST_F(Event, MakesNobodyWaitWhileItIsSet)
{
    spectator &first = spectator_of(1);
    spectator &second = spectator_of(2);
    coil_event_set(&event);
    spawn(&sched.root, watch(&first));
    EXPECT_TRUE(coil_sched_run(&sched, 1)); /* One resumption takes it past the wait. */
    EXPECT_TRUE(first.released);
    spawn(&sched.root, watch(&second));
    settle();
    EXPECT_TRUE(second.released);
}

TEST_F(Event, MakesTasksWaitAgainAfterItWasCleared)
{
    spectator &who = spectator_of(1);
    coil_event_set(&event);
    coil_event_set(&event);
    coil_event_clear(&event);
    spawn(&sched.root, watch(&who));
    settle();
    EXPECT_FALSE(who.released);
}

TEST_F(Event, ReleasesAllInTheOrderOfWaiting)
{
    numbers expected;
    for (int i = 0; i < 100; i++) {
        spawn(&sched.root, watch(&spectator_of(i)));
        expected.push_back(i);
    }
    settle();
    coil_event_set(&event);
    settle();
    EXPECT_EQ(expected, order);
}

TEST_F(Event, ReleasesThoseWhoWaitEvenIfItIsClearedAtOnce)
{
    spectator &before = spectator_of(1);
    spectator &after = spectator_of(2);
    spawn(&sched.root, watch(&before));
    settle();
    coil_event_set(&event);
    coil_event_clear(&event);
    spawn(&sched.root, watch(&after));
    settle();
    EXPECT_TRUE(before.went_on);
    EXPECT_FALSE(after.released);
}

TEST_F(Event, MayBeGoneBeforeTheReleasedTasksRun)
{
    auto brief = std::make_unique<coil_event>();
    coil_event_init(brief.get());
    spectator first = {brief.get(), nullptr, 1, false, false};
    spectator second = first;
    spawn(&sched.root, watch(&first));
    coil_task *cancelled = spawn(&sched.root, watch(&second));
    settle();
    coil_task_cancel(cancelled);
    coil_event_set(brief.get());
    coil_event_fini(brief.get());
    brief.reset();
    settle();
    EXPECT_TRUE(first.went_on);
    EXPECT_FALSE(second.released);
}

TEST_F(Event, LosesAWaiterThatIsCancelledAndKeepsTheOthers)
{
    spectator &first = spectator_of(1);
    spectator &second = spectator_of(2);
    spectator &third = spectator_of(3);
    int64_t result = 1;
    spawn(&sched.root, watch(&first));
    coil_task *victim = coil_spawn_result(&sched.root, &result, watch(&second));
    spawn(&sched.root, watch(&third));
    settle();
    coil_task_cancel(victim);
    EXPECT_EQ(2u, length(event.waiters)); /* At once, not when the task runs. */
    settle();
    EXPECT_EQ(-ECANCELED, result);
    coil_event_set(&event);
    settle();
    EXPECT_EQ((numbers{1, 3}), order);
}

TEST_F(Event, DeliversAReleaseThatCameBeforeTheCancellation)
{
    spectator &who = spectator_of(1);
    int64_t result = 1;
    coil_task *victim = coil_spawn_result(&sched.root, &result, watch(&who));
    settle();
    spawn(&sched.root, set_then_cancel(&event, victim));
    settle();
    EXPECT_TRUE(who.released);
    EXPECT_FALSE(who.went_on);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Event, DeliversNothingAfterACancellation)
{
    spectator &who = spectator_of(1);
    int64_t result = 1;
    coil_task *victim = coil_spawn_result(&sched.root, &result, watch(&who));
    settle();
    spawn(&sched.root, cancel_then_set(&event, victim));
    settle();
    EXPECT_FALSE(who.released);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Event, RefusesATaskThatIsCancelledBeforeItsFirstWaitEvenIfSet)
{
    spectator &who = spectator_of(1);
    coil_event_set(&event);
    coil_task_cancel(spawn(&sched.root, watch(&who)));
    settle();
    EXPECT_FALSE(who.released);
}

TEST_F(Event, EndsAWaitAtItsDeadlineAndNotBefore)
{
    spectator &who = spectator_of(1);
    int64_t result = 1;
    coil_spawn_result(&sched.root, &result, watch_for(&who, coil_ms(5)));
    pass(coil_ms(5) - 1);
    EXPECT_FALSE(who.released);
    pass(1);
    EXPECT_TRUE(who.went_on);
    EXPECT_EQ(-ETIME, result);
    EXPECT_TRUE(coil_list_empty(&event.waiters));
}

TEST_F(Event, ReleasesAWaitBeforeItsDeadline)
{
    spectator &who = spectator_of(1);
    int64_t result = 1;
    coil_spawn_result(&sched.root, &result, watch_for(&who, coil_ms(5)));
    pass(coil_ms(4));
    coil_event_set(&event);
    pass(coil_ms(4));
    EXPECT_TRUE(who.went_on);
    EXPECT_EQ(0, result);
}

TEST_F(Event, SurvivesADeadlineAndACancellationInOneTurnInBothOrders)
{
    spectator &first = spectator_of(1);
    spectator &second = spectator_of(2);
    int64_t results[2] = {1, 1};
    coil_task *a = coil_spawn_result(&sched.root, &results[0], watch_for(&first, coil_ms(5)));
    coil_task *b = coil_spawn_result(&sched.root, &results[1], watch_for(&second, coil_ms(5)));
    settle();
    coil_task_cancel(a);
    coil_sched_advance(&sched, coil_ms(5)); /* Both deadlines. */
    coil_task_cancel(b);
    EXPECT_TRUE(coil_list_empty(&event.waiters));
    settle();
    EXPECT_EQ(-ECANCELED, results[0]);
    EXPECT_EQ(-ECANCELED, results[1]);
    EXPECT_TRUE(order.empty());
}

TEST_F(Event, CanBeWaitedForBehindAShield)
{
    spectator &who = spectator_of(1);
    int64_t result = 1;
    coil_task *victim = coil_spawn_result(&sched.root, &result, watch_shielded(&who));
    settle();
    coil_task_cancel(victim);
    settle();
    EXPECT_EQ(1u, length(event.waiters));
    coil_event_set(&event);
    settle();
    EXPECT_TRUE(who.released);
    EXPECT_FALSE(who.went_on);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Event, CanBeWaitedForByATaskThatCleansUp)
{
    spectator &who = spectator_of(1);
    coil_task *victim = spawn(&sched.root, watch_on_leaving(&who));
    settle();
    coil_task_cancel(victim);
    settle();
    coil_task_cancel(victim);
    settle();
    EXPECT_EQ(1u, length(event.waiters));
    coil_event_set(&event);
    settle();
    EXPECT_TRUE(who.released);
    EXPECT_EQ(0u, sched.live_count);
}

TEST_F(Event, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    spectator &who = spectator_of(1);
    coil_task *task = spawn(&sched.root, watch(&who));
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_FALSE(who.released);
    EXPECT_EQ(1u, length(event.waiters));
    coil_event_set(&event);
    settle();
    EXPECT_TRUE(who.went_on);
}

TEST_F(Event, MayNotEndWhileATaskWaits)
{
    spectator &who = spectator_of(1);
    spawn(&sched.root, watch(&who));
    settle();
    EXPECT_DEATH(coil_event_fini(&event), "coil_list_empty");
}

} // namespace
