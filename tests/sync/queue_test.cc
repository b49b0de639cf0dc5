/* SPDX-License-Identifier: MIT */
#include <coil/queue.h>

#include "world.h"

#include <array>
#include <deque>
#include <memory>

#include <coil/sugar.h>

namespace
{

/* Not a power of two in size, so that a wrong offset shows. */
struct parcel {
    int number;
    char bytes[13];
};

using parcel_queue = coil_queue_of(parcel);

struct courier {
    parcel_queue *queue;
    numbers *order; /* What was got, or whose put succeeded. */
    coil_duration limit;
    parcel item;
    int rc; /* 1: the call has not come back. */
    bool went_on;
};

} // namespace

static parcel parcel_of(int number)
{
    parcel made = {number, {}};
    snprintf(made.bytes, sizeof(made.bytes), "%d", number % 1000000);
    return made;
}

static void note(courier *who)
{
    EXPECT_EQ(std::to_string(who->item.number), who->item.bytes);
    who->order->push_back(who->item.number);
}

async(int, put, (courier *) who)
{
    vars();

    await(who->rc, within(who->limit, coil_queue_put(who->queue, &who->item)));
    if (who->rc < 0)
        return who->rc;
    note(who);
    await(coil_yield());
    who->went_on = true;
    return 0;
}

async(int, get, (courier *) who)
{
    vars();

    await(who->rc, within(who->limit, coil_queue_get(who->queue, &who->item)));
    if (who->rc < 0)
        return who->rc;
    note(who);
    await(coil_yield());
    who->went_on = true;
    return 0;
}

async(int, put_numbers, (parcel_queue *) queue, (int) first, (int) count)
{
    vars(int i; parcel item;);

    for (my->i = first; my->i < first + count; my->i++) {
        my->item = parcel_of(my->i);
        attempt(coil_queue_put(queue, &my->item));
    }
    return 0;
}

/* Until the queue ends. */
async(int, get_numbers, (parcel_queue *) queue, (numbers *) out_numbers)
{
    vars(int rc; parcel item;);

    for (;;) {
        await(my->rc, coil_queue_get(queue, &my->item));
        if (my->rc < 0)
            return my->rc == -EPIPE ? 0 : my->rc;
        out_numbers->push_back(my->item.number);
    }
}

async(int, get_all_together, (std::deque<courier> *) all)
{
    vars(coil_group group; size_t i;);

    open_group(&my->group);
    for (my->i = 0; my->i < all->size(); my->i++)
        spawn(&my->group, get(&(*all)[my->i]));
    attempt(coil_group_join(&my->group));
    return 0;
}

namespace
{

class Queue : public World
{
protected:
    Queue()
    {
        coil_queue_init(&queue, slots.data(), slots.size());
    }

    ~Queue() override
    {
        coil_queue_close(&queue);
        run_out();
        coil_queue_fini(&queue);
    }

    /* It stays as long as the tasks that write to it. */
    courier &putter_of(int number, coil_duration limit = COIL_FOREVER)
    {
        couriers.push_back({&queue, &was_put, limit, parcel_of(number), 1, false});
        return couriers.back();
    }

    courier &getter(coil_duration limit = COIL_FOREVER)
    {
        couriers.push_back({&queue, &got, limit, parcel_of(-1), 1, false});
        return couriers.back();
    }

    int try_put(int number)
    {
        const parcel item = parcel_of(number);
        return coil_queue_try_put(&queue, &item);
    }

    /* Fill it with 0, 1, 2 ... */
    void fill()
    {
        for (size_t i = 0; i < slots.size(); i++)
            ASSERT_EQ(0, try_put(static_cast<int>(i)));
    }

    /* What is left, oldest first. */
    numbers drain()
    {
        numbers left;
        parcel item;
        while (coil_queue_try_get(&queue, &item) == 0)
            left.push_back(item.number);
        return left;
    }

    parcel_queue queue;
    std::array<parcel, 4> slots;
    std::deque<courier> couriers;
    numbers was_put, got;
};

TEST_F(Queue, IsEmptyAtFirst)
{
    parcel item = parcel_of(7);
    EXPECT_EQ(0u, coil_queue_count(&queue));
    EXPECT_EQ(-EAGAIN, coil_queue_try_get(&queue, &item));
    EXPECT_EQ(7, item.number);
}

TEST_F(Queue, IsFullAtItsCapacity)
{
    fill();
    EXPECT_EQ(4u, coil_queue_count(&queue));
    EXPECT_EQ(-EAGAIN, try_put(4));
    EXPECT_EQ((numbers{0, 1, 2, 3}), drain());
}

TEST_F(Queue, KeepsTheOrderAroundTheEndOfItsMemory)
{
    fill();
    parcel item;
    for (int i = 0; i < 100; i++) {
        ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
        EXPECT_EQ(i, item.number);
        EXPECT_EQ(std::to_string(i), item.bytes);
        ASSERT_EQ(0, try_put(i + 4));
    }
    EXPECT_EQ((numbers{100, 101, 102, 103}), drain());
}

TEST_F(Queue, PassesEverythingFromOneTaskToAnother)
{
    spawn(&sched.root, get_numbers(&queue, &got));
    spawn(&sched.root, put_numbers(&queue, 0, 1000));
    settle();
    ASSERT_EQ(1000u, got.size());
    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(i, got[static_cast<size_t>(i)]);
}

TEST_F(Queue, WorksWithASingleSlot)
{
    parcel_queue narrow;
    parcel slot;
    coil_queue_init(&narrow, &slot, 1);
    spawn(&sched.root, put_numbers(&narrow, 0, 10));
    settle();
    EXPECT_EQ(1u, coil_queue_count(&narrow));
    spawn(&sched.root, get_numbers(&narrow, &got));
    settle();
    EXPECT_EQ((numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}), got);
    coil_queue_close(&narrow);
    settle();
    coil_queue_fini(&narrow);
}

TEST_F(Queue, ServesPuttersInTheOrderOfWaiting)
{
    fill();
    for (int i = 4; i < 104; i++)
        spawn(&sched.root, put(&putter_of(i)));
    settle();
    EXPECT_EQ(100u, length(queue.queue.putters));
    spawn(&sched.root, get_numbers(&queue, &got));
    settle();
    ASSERT_EQ(104u, got.size());
    for (int i = 0; i < 104; i++)
        EXPECT_EQ(i, got[static_cast<size_t>(i)]);
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(i + 4, was_put[static_cast<size_t>(i)]);
}

TEST_F(Queue, ServesGettersInTheOrderOfWaiting)
{
    for (int i = 0; i < 100; i++)
        spawn(&sched.root, get(&getter()));
    settle();
    spawn(&sched.root, put_numbers(&queue, 0, 100));
    settle();
    for (size_t i = 0; i < 100; i++)
        EXPECT_EQ(static_cast<int>(i), couriers[i].item.number);
}

TEST_F(Queue, LetsNobodyOvertakeAPutterThatWaits)
{
    fill();
    spawn(&sched.root, put(&putter_of(4)));
    settle();
    parcel item;
    ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
    EXPECT_EQ(-EAGAIN, try_put(5)); /* The room was the putter's at once. */
    EXPECT_EQ((numbers{1, 2, 3, 4}), drain());
}

TEST_F(Queue, LetsNobodyOvertakeAGetterThatWaits)
{
    spawn(&sched.root, get(&getter()));
    settle();
    ASSERT_EQ(0, try_put(0));
    parcel item;
    EXPECT_EQ(-EAGAIN, coil_queue_try_get(&queue, &item)); /* The item was the getter's at once. */
    settle();
    EXPECT_EQ((numbers{0}), got);
}

TEST_F(Queue, TellsAWaitingPutterThatItIsClosedAndKeepsItsItemOut)
{
    fill();
    courier &first = putter_of(4);
    courier &second = putter_of(5);
    spawn(&sched.root, put(&first));
    spawn(&sched.root, put(&second));
    settle();
    coil_queue_close(&queue);
    coil_queue_close(&queue);
    settle();
    EXPECT_EQ(-EPIPE, first.rc);
    EXPECT_EQ(-EPIPE, second.rc);
    EXPECT_EQ(-EPIPE, try_put(6));
    EXPECT_EQ((numbers{0, 1, 2, 3}), drain());
}

TEST_F(Queue, IsDrainedAfterItWasClosed)
{
    fill();
    coil_queue_close(&queue);
    int64_t result = 1;
    coil_spawn_result(&sched.root, &result, get_numbers(&queue, &got));
    settle();
    EXPECT_EQ(0, result);
    EXPECT_EQ((numbers{0, 1, 2, 3}), got);
    parcel item;
    EXPECT_EQ(-EPIPE, coil_queue_try_get(&queue, &item));
}

TEST_F(Queue, TellsAllWaitingGettersThatItIsClosed)
{
    for (int i = 0; i < 3; i++)
        spawn(&sched.root, get(&getter()));
    settle();
    coil_queue_close(&queue);
    settle();
    for (const courier &who : couriers)
        EXPECT_EQ(-EPIPE, who.rc);
}

TEST_F(Queue, DeliversWhatWasHandedOverBeforeItWasClosed)
{
    courier &who = getter();
    spawn(&sched.root, get(&who));
    settle();
    ASSERT_EQ(0, try_put(0));
    coil_queue_close(&queue);
    settle();
    EXPECT_EQ(0, who.rc);
    EXPECT_EQ((numbers{0}), got);
}

TEST_F(Queue, MayBeGoneBeforeThoseItHasServedRun)
{
    auto brief = std::make_unique<parcel_queue>();
    parcel slot;
    coil_queue_init(brief.get(), &slot, 1);
    courier &first = getter();
    courier &second = getter();
    courier &third = getter();
    first.queue = second.queue = third.queue = brief.get();
    spawn(&sched.root, get(&first));
    coil_task *victim = spawn(&sched.root, get(&second));
    spawn(&sched.root, get(&third));
    settle();
    const parcel item = parcel_of(3);
    ASSERT_EQ(0, coil_queue_try_put(brief.get(), &item));
    coil_task_cancel(victim);
    coil_queue_close(brief.get());
    coil_queue_fini(brief.get());
    brief.reset();
    settle();
    EXPECT_EQ(0, first.rc);
    EXPECT_EQ(1, second.rc);
    EXPECT_EQ(-EPIPE, third.rc);
}

TEST_F(Queue, DeliversAnItemThatWasHandedOverBeforeTheCancellation)
{
    courier &who = getter();
    int64_t result = 1;
    coil_task *victim = coil_spawn_result(&sched.root, &result, get(&who));
    settle();
    ASSERT_EQ(0, try_put(0));
    coil_task_cancel(victim);
    coil_task_cancel(victim);
    settle();
    EXPECT_EQ(0, who.rc);
    EXPECT_EQ((numbers{0}), got);
    EXPECT_FALSE(who.went_on);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Queue, KeepsAnItemThatWasPutAfterTheCancellation)
{
    courier &who = getter();
    coil_task *victim = spawn(&sched.root, get(&who));
    settle();
    coil_task_cancel(victim);
    ASSERT_EQ(0, try_put(0));
    settle();
    EXPECT_EQ(1, who.rc);
    EXPECT_EQ(-1, who.item.number); /* Untouched. */
    EXPECT_EQ((numbers{0}), drain());
}

TEST_F(Queue, GivesAnItemToTheNextGetterIfTheFirstWasCancelled)
{
    coil_task *victim = spawn(&sched.root, get(&getter()));
    courier &next = getter();
    spawn(&sched.root, get(&next));
    settle();
    coil_task_cancel(victim);
    ASSERT_EQ(0, try_put(0));
    settle();
    EXPECT_EQ(0, next.rc);
    EXPECT_EQ((numbers{0}), got);
}

TEST_F(Queue, ReportsAPutThatHappenedBeforeTheCancellation)
{
    fill();
    courier &who = putter_of(4);
    coil_task *victim = spawn(&sched.root, put(&who));
    settle();
    parcel item;
    ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
    coil_task_cancel(victim);
    coil_task_cancel(victim);
    settle();
    EXPECT_EQ(0, who.rc);
    EXPECT_FALSE(who.went_on);
    EXPECT_EQ((numbers{1, 2, 3, 4}), drain());
}

TEST_F(Queue, TakesNothingFromAPutterThatWasCancelledBefore)
{
    fill();
    courier &victim = putter_of(4);
    courier &next = putter_of(5);
    coil_task *task = spawn(&sched.root, put(&victim));
    spawn(&sched.root, put(&next));
    settle();
    coil_task_cancel(task);
    parcel item;
    ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
    settle();
    EXPECT_EQ(1, victim.rc);
    EXPECT_EQ(0, next.rc);
    EXPECT_EQ((numbers{1, 2, 3, 5}), drain());
}

TEST_F(Queue, DeliversOrKeepsAnItemAtADeadlineButNeverBoth)
{
    courier &early = getter(coil_ms(5));
    spawn(&sched.root, get(&early));
    settle();
    coil_sched_advance(&sched, coil_ms(5));
    ASSERT_EQ(0, try_put(0));
    settle();
    EXPECT_EQ(-ETIME, early.rc);
    EXPECT_EQ(-1, early.item.number);
    EXPECT_EQ((numbers{0}), drain());

    courier &late = getter(coil_ms(5));
    spawn(&sched.root, get(&late));
    settle();
    ASSERT_EQ(0, try_put(1));
    coil_sched_advance(&sched, coil_ms(10));
    settle();
    EXPECT_EQ(0, late.rc);
    EXPECT_EQ((numbers{1}), got);
    EXPECT_TRUE(late.went_on);
}

TEST_F(Queue, PutsOrRefusesAtADeadlineButNeverBoth)
{
    fill();
    parcel item;
    courier &early = putter_of(4, coil_ms(5));
    spawn(&sched.root, put(&early));
    settle();
    coil_sched_advance(&sched, coil_ms(5));
    ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
    settle();
    EXPECT_EQ(-ETIME, early.rc);
    EXPECT_EQ(3u, coil_queue_count(&queue));
    ASSERT_EQ(0, try_put(5));

    courier &late = putter_of(6, coil_ms(5));
    spawn(&sched.root, put(&late));
    settle();
    ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
    coil_sched_advance(&sched, coil_ms(10));
    settle();
    EXPECT_EQ(0, late.rc);
    EXPECT_EQ((numbers{2, 3, 5, 6}), drain());
}

TEST_F(Queue, RefusesATaskThatIsBeingCancelledEvenIfItCouldGoOn)
{
    ASSERT_EQ(0, try_put(0));
    courier &one = getter();
    courier &other = putter_of(1);
    coil_task_cancel(spawn(&sched.root, get(&one)));
    coil_task_cancel(spawn(&sched.root, put(&other)));
    settle();
    EXPECT_EQ(1, one.rc);
    EXPECT_EQ(1, other.rc);
    EXPECT_EQ((numbers{0}), drain());
}

TEST_F(Queue, LosesNothingWhenAHundredGettersAreCancelledAtOnce)
{
    for (int i = 0; i < 100; i++)
        getter();
    coil_task *host = spawn(&sched.root, get_all_together(&couriers));
    settle();
    EXPECT_EQ(100u, length(queue.queue.getters));
    for (int i = 0; i < 10; i++)
        ASSERT_EQ(0, try_put(i));
    coil_task_cancel(host);
    settle();
    ASSERT_EQ(0, try_put(10));
    EXPECT_EQ((numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}), got);
    EXPECT_EQ((numbers{10}), drain());
    EXPECT_EQ(0u, sched.live_count);
}

TEST_F(Queue, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    courier &who = getter();
    coil_task *task = spawn(&sched.root, get(&who));
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_EQ(1, who.rc);
    ASSERT_EQ(0, try_put(0));
    settle();
    EXPECT_EQ((numbers{0}), got);
}

TEST_F(Queue, HasACapacity)
{
    parcel_queue none;
    EXPECT_DEATH(coil_queue_init(&none, slots.data(), 0), "capacity_count > 0");
}

TEST_F(Queue, MayNotEndWhileATaskWaits)
{
    spawn(&sched.root, get(&getter()));
    settle();
    EXPECT_DEATH(coil_queue_fini(&queue), "getters");
    ASSERT_EQ(0, try_put(0));
    settle();
    fill();
    spawn(&sched.root, put(&putter_of(1)));
    settle();
    EXPECT_DEATH(coil_queue_fini(&queue), "putters");
}

} // namespace
