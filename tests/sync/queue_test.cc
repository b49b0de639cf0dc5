/* SPDX-License-Identifier: MIT */
#include <coil/queue.h>

#include "parcel.h"
#include "world.h"

#include <array>
#include <deque>
#include <memory>
#include <random>

#include <coil/sugar.h>

namespace
{

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

static void note(courier *who)
{
    expect_whole(who->item);
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

/* Gets one item and deals with it. */
async(int, work_off, (parcel_queue *) queue, (coil_duration) effort, (numbers *) out_done)
{
    vars(parcel item;);

    attempt(coil_queue_get(queue, &my->item));
    defer(coil_queue_item_done(queue));
    await(coil_sleep(effort));
    out_done->push_back(my->item.number);
    return 0;
}

async(int, join, (parcel_queue *) queue, (coil_duration) limit, (int *) out_rc)
{
    vars();

    await(*out_rc, within(limit, coil_queue_join(queue)));
    return *out_rc;
}

async(int, join_and_note, (parcel_queue *) queue, (int) name, (numbers *) order)
{
    vars();

    attempt(coil_queue_join(queue));
    order->push_back(name);
    return 0;
}

namespace
{

/* Leaves by urgency, the highest first. */
struct errand {
    int urgency;
    int number;
};

using errand_queue = coil_priority_queue_of(errand);

} // namespace

static bool more_urgent(const errand *one, const errand *other)
{
    return one->urgency > other->urgency;
}

async(int, put_errand, (errand_queue *) queue, (int) urgency, (int) number)
{
    vars(errand item;);

    my->item = {urgency, number};
    attempt(coil_queue_put(queue, &my->item));
    return 0;
}

async(int, get_errand, (errand_queue *) queue, (numbers *) out_numbers)
{
    vars(errand item;);

    attempt(coil_queue_get(queue, &my->item));
    out_numbers->push_back(my->item.number);
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

/* ------------------------------------------------------------------------- other orders -- */

class LifoQueue : public Queue
{
protected:
    LifoQueue()
    {
        coil_queue_fini(&queue);
        coil_lifo_queue_init(&queue, slots.data(), slots.size());
    }
};

TEST_F(LifoQueue, GivesBackTheYoungestFirst)
{
    fill();
    EXPECT_EQ(-EAGAIN, try_put(4));
    parcel item;
    ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
    EXPECT_EQ(3, item.number);
    ASSERT_EQ(0, try_put(5));
    EXPECT_EQ((numbers{5, 2, 1, 0}), drain());
}

TEST_F(LifoQueue, StillServesTasksInTheOrderOfWaiting)
{
    spawn(&sched.root, get(&getter()));
    spawn(&sched.root, get(&getter()));
    settle();
    ASSERT_EQ(0, try_put(0));
    ASSERT_EQ(0, try_put(1));
    settle();
    EXPECT_EQ(0, couriers[0].item.number);
    EXPECT_EQ(1, couriers[1].item.number);

    fill();
    spawn(&sched.root, put(&putter_of(4)));
    spawn(&sched.root, put(&putter_of(5)));
    settle();
    parcel item;
    ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
    EXPECT_EQ(3, item.number);
    EXPECT_EQ((numbers{4, 5, 2, 1, 0}), drain());
}

class PriorityQueue : public World
{
protected:
    PriorityQueue()
    {
        coil_priority_queue_init(&queue, slots.data(), slots.size(), more_urgent);
    }

    ~PriorityQueue() override
    {
        coil_queue_close(&queue);
        run_out();
        coil_queue_fini(&queue);
    }

    int try_put(int urgency, int number)
    {
        const errand item = {urgency, number};
        return coil_queue_try_put(&queue, &item);
    }

    numbers drain()
    {
        numbers left;
        errand item;
        while (coil_queue_try_get(&queue, &item) == 0)
            left.push_back(item.number);
        return left;
    }

    errand_queue queue;
    std::array<coil_priority_slot_of(errand_queue), 8> slots;
    numbers got;
};

TEST_F(PriorityQueue, GivesBackWhatComesFirst)
{
    const int urgencies[] = {3, 1, 4, 2, 9, 5, 6, 0};
    for (const int urgency : urgencies)
        ASSERT_EQ(0, try_put(urgency, urgency));
    EXPECT_TRUE(coil_queue_full(&queue));
    EXPECT_EQ(-EAGAIN, try_put(7, 7));
    EXPECT_EQ((numbers{9, 6, 5, 4, 3, 2, 1, 0}), drain());
    EXPECT_TRUE(coil_queue_empty(&queue));
}

TEST_F(PriorityQueue, KeepsTheOrderOfThoseThatAreEqual)
{
    for (int i = 0; i < 8; i++)
        ASSERT_EQ(0, try_put(i % 2, i));
    EXPECT_EQ((numbers{1, 3, 5, 7, 0, 2, 4, 6}), drain());
    for (int i = 0; i < 8; i++)
        ASSERT_EQ(0, try_put(0, i));
    EXPECT_EQ((numbers{0, 1, 2, 3, 4, 5, 6, 7}), drain());
}

/* What it is: a list that is sorted and stable. */
TEST_F(PriorityQueue, IsASortedListThatIsStable)
{
    std::mt19937 random(1);
    std::deque<errand> model;
    for (int i = 0; i < 100000; i++) {
        if (random() % 2 == 0) {
            const errand item = {static_cast<int>(random() % 4), i};
            const int rc = coil_queue_try_put(&queue, &item);
            ASSERT_EQ(model.size() == slots.size() ? -EAGAIN : 0, rc);
            if (rc == 0)
                model.insert(std::upper_bound(model.begin(), model.end(), item,
                                     [](const errand &a, const errand &b) {
                                         return more_urgent(&a, &b);
                                     }),
                        item);
        } else {
            errand item;
            const int rc = coil_queue_try_get(&queue, &item);
            ASSERT_EQ(model.empty() ? -EAGAIN : 0, rc);
            if (rc != 0)
                continue;
            ASSERT_EQ(model.front().number, item.number);
            model.pop_front();
        }
        ASSERT_EQ(model.size(), coil_queue_count(&queue));
    }
}

TEST_F(PriorityQueue, ServesTasksInTheOrderOfWaitingHoweverUrgentTheirItems)
{
    spawn(&sched.root, get_errand(&queue, &got));
    settle();
    for (int i = 0; i < 9; i++)
        ASSERT_EQ(0, try_put(5, i)); /* The first is handed over at once. */
    spawn(&sched.root, put_errand(&queue, 1, 100));
    spawn(&sched.root, put_errand(&queue, 9, 101));
    settle();
    EXPECT_EQ((numbers{0}), got);
    errand item;
    ASSERT_EQ(0, coil_queue_try_get(&queue, &item)); /* 100 is in, 101 waits. */
    EXPECT_EQ(1, item.number);
    ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
    EXPECT_EQ(2, item.number);
    EXPECT_EQ((numbers{101, 3, 4, 5, 6, 7, 8, 100}), drain());
}

TEST_F(PriorityQueue, NeedsAComparison)
{
    errand_queue none;
    EXPECT_DEATH(coil_priority_queue_init(&none, slots.data(), 8, nullptr), "comes_first != NULL");
}

/* ------------------------------------------------------------------------------ growing -- */

/* An allocator that counts, and has had enough after a while. */
struct miser {
    coil_allocator allocator;
    size_t left_count;
    size_t given_bytes;
};

void *give(coil_allocator *allocator, size_t size_bytes)
{
    miser *who = coil_container_of(allocator, miser, allocator);
    if (who->left_count == 0)
        return nullptr;
    who->left_count--;
    who->given_bytes += size_bytes;
    return malloc(size_bytes);
}

void take_back(coil_allocator *allocator, void *memory, size_t size_bytes)
{
    coil_container_of(allocator, miser, allocator)->given_bytes -= size_bytes;
    free(memory);
}

class GrowingQueue : public Queue
{
protected:
    ~GrowingQueue() override
    {
        coil_queue_close(&queue);
        run_out();
        coil_queue_fini(&queue);
        EXPECT_EQ(0u, poor.given_bytes);
        coil_queue_init(&queue, slots.data(), slots.size());
    }

    void grow_to(size_t capacity_count)
    {
        coil_queue_fini(&queue);
        coil_queue_init(&queue, nullptr, capacity_count);
        queue.queue.allocator = &poor.allocator;
    }

    miser poor = {{give, take_back}, SIZE_MAX, 0};
};

TEST_F(GrowingQueue, TakesMemoryForWhatIsInItAndNotForItsCapacity)
{
    grow_to(SIZE_MAX);
    EXPECT_EQ(0u, poor.given_bytes);
    for (int i = 0; i < 1000; i++)
        ASSERT_EQ(0, try_put(i));
    EXPECT_EQ(1024 * sizeof(parcel), poor.given_bytes);
    const numbers left = drain();
    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(i, left.at(static_cast<size_t>(i)));
}

TEST_F(GrowingQueue, KeepsTheOrderWhenItGrowsInTheMiddle)
{
    grow_to(100);
    parcel item;
    int next_in = 0, next_out = 0;
    while (next_in < 100) {
        ASSERT_EQ(0, try_put(next_in++));
        ASSERT_EQ(0, try_put(next_in++));
        ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
        EXPECT_EQ(next_out++, item.number);
    }
    for (const int number : drain())
        EXPECT_EQ(next_out++, number);
    EXPECT_EQ(next_in, next_out);
}

TEST_F(GrowingQueue, IsFullAtItsCapacity)
{
    grow_to(13);
    EXPECT_FALSE(coil_queue_full(&queue));
    for (int i = 0; i < 13; i++)
        ASSERT_EQ(0, try_put(i));
    EXPECT_TRUE(coil_queue_full(&queue));
    EXPECT_EQ(-EAGAIN, try_put(13));
    EXPECT_EQ(13 * sizeof(parcel), poor.given_bytes);
    spawn(&sched.root, put(&putter_of(13)));
    settle();
    EXPECT_EQ(14u, drain().size());
}

TEST_F(GrowingQueue, ReportsThatThereIsNoMemoryAndKeepsWhatItHas)
{
    grow_to(100);
    poor.left_count = 1;
    for (int i = 0; i < 8; i++)
        ASSERT_EQ(0, try_put(i));
    EXPECT_EQ(-ENOMEM, try_put(8));
    courier &who = putter_of(8);
    spawn(&sched.root, put(&who));
    settle();
    EXPECT_EQ(-ENOMEM, who.rc);
    poor.left_count = 1;
    EXPECT_EQ(0, try_put(8));
    EXPECT_EQ((numbers{0, 1, 2, 3, 4, 5, 6, 7, 8}), drain());
}

TEST_F(GrowingQueue, NeedsNoMemoryToHandOver)
{
    grow_to(100);
    poor.left_count = 0;
    spawn(&sched.root, get(&getter()));
    settle();
    EXPECT_EQ(0, try_put(0));
    EXPECT_EQ(-ENOMEM, try_put(1));
}

TEST_F(GrowingQueue, RefusesASizeThatCannotBe)
{
    coil_queue huge;
    coil_queue_init_untyped(&huge, nullptr, SIZE_MAX / 4, SIZE_MAX);
    huge.allocator = &poor.allocator;
    EXPECT_EQ(-ENOMEM, coil_queue_try_put_untyped(&huge, nullptr));
    coil_queue_fini_untyped(&huge);
}

TEST_F(GrowingQueue, UsesTheHeapUnlessToldOtherwise)
{
    parcel_queue plain;
    parcel item = parcel_of(1);
    coil_lifo_queue_init(&plain, nullptr, 1000);
    for (int i = 0; i < 100; i++)
        ASSERT_EQ(0, coil_queue_try_put(&plain, &item));
    coil_queue_fini(&plain);
}

TEST_F(GrowingQueue, CanHaveAnyOrder)
{
    errand_queue errands;
    coil_priority_queue_init(&errands, nullptr, SIZE_MAX, more_urgent);
    errands.queue.allocator = &poor.allocator;
    for (int i = 0; i < 1000; i++) {
        const errand item = {i % 10, i};
        ASSERT_EQ(0, coil_queue_try_put(&errands, &item));
    }
    errand before = {10, 0}, item;
    while (coil_queue_try_get(&errands, &item) == 0) {
        EXPECT_TRUE(before.urgency > item.urgency ||
                    (before.urgency == item.urgency && before.number < item.number));
        before = item;
    }
    coil_queue_fini(&errands);
}

/* ----------------------------------------------------------------------- join, abort ----- */

TEST_F(Queue, IsJoinedAtOnceIfNothingIsUnfinished)
{
    int rc = 1;
    spawn(&sched.root, join(&queue, COIL_FOREVER, &rc));
    coil_sched_run(&sched, 1);
    EXPECT_EQ(0, rc);
}

TEST_F(Queue, IsJoinedWhenEveryItemIsDone)
{
    int rc = 1;
    fill();
    spawn(&sched.root, join(&queue, COIL_FOREVER, &rc));
    for (int i = 0; i < 4; i++)
        spawn(&sched.root, work_off(&queue, coil_ms(1 + i), &got));
    pass(coil_ms(4) - 1);
    EXPECT_EQ(0u, coil_queue_count(&queue));
    EXPECT_EQ(1u, queue.queue.out_count);
    EXPECT_EQ(1, rc);
    pass(1);
    EXPECT_EQ(0, rc);
    EXPECT_EQ((numbers{0, 1, 2, 3}), got);
}

TEST_F(Queue, IsNotJoinedWhileThereIsMoreToDo)
{
    int rc = 1;
    fill();
    spawn(&sched.root, join(&queue, COIL_FOREVER, &rc));
    settle();
    parcel item;
    for (int i = 0; i < 4; i++) {
        ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
        settle();
        EXPECT_EQ(1, rc);
        coil_queue_item_done(&queue);
        settle();
        EXPECT_EQ(i == 3 ? 0 : 1, rc);
    }
}

TEST_F(Queue, CountsWhatIsHandedOverAsUnfinished)
{
    int rc = 1;
    spawn(&sched.root, work_off(&queue, coil_ms(2), &got));
    settle();
    ASSERT_EQ(0, try_put(0));
    EXPECT_EQ(0u, coil_queue_count(&queue));
    spawn(&sched.root, join(&queue, COIL_FOREVER, &rc));
    pass(coil_ms(1));
    EXPECT_EQ(1, rc);
    pass(coil_ms(1));
    EXPECT_EQ(0, rc);
}

TEST_F(Queue, CountsAnItemAsDoneIfItsWorkerIsCancelled)
{
    int rc = 1;
    coil_task *worker = spawn(&sched.root, work_off(&queue, coil_s(1), &got));
    settle();
    ASSERT_EQ(0, try_put(0));
    spawn(&sched.root, join(&queue, COIL_FOREVER, &rc));
    settle();
    coil_task_cancel(worker);
    settle();
    EXPECT_EQ(0, rc);
    EXPECT_TRUE(got.empty());
}

TEST_F(Queue, ReleasesAllWhoJoinInTheOrderOfWaiting)
{
    ASSERT_EQ(0, try_put(0));
    numbers order;
    for (int i = 0; i < 3; i++)
        spawn(&sched.root, join_and_note(&queue, i, &order));
    settle();
    parcel item;
    ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
    coil_queue_item_done(&queue);
    ASSERT_EQ(0, try_put(1)); /* Too late to hold them. */
    settle();
    EXPECT_EQ((numbers{0, 1, 2}), order);
    EXPECT_EQ((numbers{1}), drain());
}

TEST_F(Queue, IsJoinedUntilADeadlineOrACancellation)
{
    int hasty = 1, patient = 1;
    ASSERT_EQ(0, try_put(0));
    spawn(&sched.root, join(&queue, coil_ms(5), &hasty));
    coil_task *other = spawn(&sched.root, join(&queue, COIL_FOREVER, &patient));
    pass(coil_ms(5));
    EXPECT_EQ(-ETIME, hasty);
    coil_task_cancel(other);
    settle();
    EXPECT_EQ(1, patient);
    EXPECT_EQ(0u, length(queue.queue.joiners));
}

TEST_F(Queue, ReportsAJoinThatWasOverBeforeTheCancellation)
{
    int rc = 1;
    ASSERT_EQ(0, try_put(0));
    coil_task *task = spawn(&sched.root, join(&queue, COIL_FOREVER, &rc));
    settle();
    parcel item;
    ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
    coil_queue_item_done(&queue);
    coil_task_cancel(task);
    settle();
    EXPECT_EQ(0, rc);
}

TEST_F(Queue, IsStillJoinedAfterItWasClosed)
{
    int rc = 1;
    ASSERT_EQ(0, try_put(0));
    spawn(&sched.root, join(&queue, COIL_FOREVER, &rc));
    settle();
    coil_queue_close(&queue);
    settle();
    EXPECT_EQ(1, rc);
    EXPECT_EQ((numbers{0}), drain());
    settle();
    EXPECT_EQ(1, rc);
    coil_queue_item_done(&queue);
    settle();
    EXPECT_EQ(0, rc);
}

TEST_F(Queue, DropsWhatIsInItWhenItIsShutDown)
{
    numbers dropped;
    int rc = 1;
    fill();
    courier &late = putter_of(4);
    spawn(&sched.root, put(&late));
    spawn(&sched.root, join(&queue, COIL_FOREVER, &rc));
    settle();
    coil_queue_abort(&queue, [&](parcel *item) { dropped.push_back(item->number); });
    EXPECT_EQ((numbers{0, 1, 2, 3}), dropped);
    EXPECT_TRUE(coil_queue_empty(&queue));
    settle();
    EXPECT_EQ(-EPIPE, late.rc); /* Item 4 is still the putter's. */
    EXPECT_EQ(0, rc);
    EXPECT_EQ(-EPIPE, try_put(5));
    parcel item;
    EXPECT_EQ(-EPIPE, coil_queue_try_get(&queue, &item));
    coil_queue_abort(&queue, coil_queue_forget);
}

TEST_F(Queue, JoinsAfterAShutdownOnlyWhenWhatWasGotIsDone)
{
    int rc = 1;
    fill();
    parcel item;
    ASSERT_EQ(0, coil_queue_try_get(&queue, &item));
    spawn(&sched.root, join(&queue, COIL_FOREVER, &rc));
    settle();
    coil_queue_close(&queue);
    coil_queue_abort(&queue, coil_queue_forget);
    settle();
    EXPECT_EQ(1, rc);
    coil_queue_item_done(&queue);
    settle();
    EXPECT_EQ(0, rc);
}

TEST_F(Queue, TellsAllWaitingGettersThatItIsShutDown)
{
    courier &who = getter();
    spawn(&sched.root, get(&who));
    settle();
    coil_queue_abort(&queue, coil_queue_forget);
    settle();
    EXPECT_EQ(-EPIPE, who.rc);
}

TEST_F(LifoQueue, DropsInTheOrderInWhichItemsWouldHaveLeft)
{
    numbers dropped;
    fill();
    coil_queue_abort(&queue, [&](parcel *item) { dropped.push_back(item->number); });
    EXPECT_EQ((numbers{3, 2, 1, 0}), dropped);
}

TEST_F(Queue, HasNoMoreDoneThanWasGot)
{
    EXPECT_DEATH(coil_queue_item_done(&queue), "out_count > 0");
    ASSERT_EQ(0, try_put(0)); /* It is unfinished, but nobody has got it. */
    EXPECT_DEATH(coil_queue_item_done(&queue), "out_count > 0");
}

TEST_F(Queue, MayNotEndWhileATaskJoins)
{
    int rc = 1;
    ASSERT_EQ(0, try_put(0));
    coil_task *task = spawn(&sched.root, join(&queue, COIL_FOREVER, &rc));
    settle();
    EXPECT_DEATH(coil_queue_fini(&queue), "joiners");
    coil_task_cancel(task);
}

} // namespace
