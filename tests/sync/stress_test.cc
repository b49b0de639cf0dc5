/* SPDX-License-Identifier: MIT */
/*
 * Random tasks on one of each primitive, with random deadlines, cancellations of tasks, of scopes
 * and of whole groups, before and after hand-overs and in the same turn. Nothing may get lost and
 * nothing may come twice. Virtual time, so one seed is one schedule: COIL_SEED=<n> repeats a run.
 */
#include <coil/event.h>
#include <coil/mutex.h>
#include <coil/queue.h>
#include <coil/semaphore.h>

#include "world.h"

#include <array>
#include <cstdlib>
#include <list>
#include <random>

#include <coil/sugar.h>

namespace
{

constexpr size_t permit_count = 3;

enum item_state { PUTTING, REFUSED, WAS_PUT };

struct item_record {
    item_state state;
    int got_count;
};

using callers = std::list<coil_task *>; /* In the order in which they called. */

struct arena {
    coil_mutex mutex;
    coil_semaphore permits;
    coil_event event;
    coil_queue_of(size_t) queue;
    std::array<size_t, 4> slots;

    std::mt19937 random;
    callers alive;
    bool calm; /* No more cancellations, and the event stays set. */

    /* Calls that have begun and have not ended: what the lists of waiters must agree with. */
    callers locking, acquiring, watching, putting, getting;

    size_t inside_mutex;
    size_t holding_permits;
    int tickets, last_ticket;
    std::vector<item_record> items;
    size_t was_done[5]; /* How often each thing succeeded, so that the test tests something. */
    size_t cancel_count;

    bool one_in(unsigned count)
    {
        return random() % count == 0;
    }

    coil_duration nap()
    {
        return static_cast<coil_duration>(random() % 4);
    }

    coil_duration patience()
    {
        return one_in(2) ? COIL_FOREVER : nap();
    }

    coil_task *anyone()
    {
        auto at = alive.begin();
        std::advance(at, static_cast<long>(random() % alive.size()));
        return *at;
    }

    void cancel(coil_task *task)
    {
        cancel_count++;
        coil_task_cancel(task);
    }

    /* Called before and after every hand-over: a cancellation may come at both times. */
    void mischief(const callers &waiting)
    {
        if (calm)
            return;
        if (one_in(10))
            cancel(anyone());
        if (one_in(10) && !waiting.empty())
            cancel(waiting.front()); /* Next in line, or served just now and not running yet. */
    }

    size_t new_item()
    {
        items.push_back({PUTTING, 0});
        return items.size() - 1;
    }

    void give_back_mutex()
    {
        EXPECT_EQ(1u, inside_mutex);
        inside_mutex--;
        mischief(locking);
        coil_mutex_unlock(&mutex);
        mischief(locking);
    }

    void give_back_permit()
    {
        holding_permits--;
        mischief(acquiring);
        coil_semaphore_release(&permits, 1);
        mischief(acquiring);
    }

    void enter_mutex(int ticket)
    {
        EXPECT_EQ(0u, inside_mutex++);
        EXPECT_LT(last_ticket, ticket) << "overtaken";
        last_ticket = ticket;
        was_done[0]++;
    }

    void hold_permit()
    {
        EXPECT_GE(permit_count, ++holding_permits);
        was_done[1]++;
    }

    void put_ended(size_t item, int rc)
    {
        EXPECT_TRUE(rc == 0 || rc == -ETIME || rc == -EPIPE) << rc;
        items[item].state = rc == 0 ? WAS_PUT : REFUSED;
        was_done[2] += rc == 0;
    }

    void get_ended(size_t item, int rc)
    {
        EXPECT_TRUE(rc == 0 || rc == -ETIME || rc == -EPIPE) << rc;
        if (rc == 0) {
            items.at(item).got_count++;
            was_done[3]++;
        }
    }

    /* Between two turns nothing is on its way: everything is with somebody or in its place. */
    void check();
};

void arena::check()
{
    EXPECT_EQ(locking.size(), length(mutex.waiters));
    EXPECT_EQ(acquiring.size(), length(permits.waiters));
    EXPECT_EQ(watching.size(), length(event.waiters));
    EXPECT_EQ(putting.size(), length(queue.queue.putters));
    EXPECT_EQ(getting.size(), length(queue.queue.getters));

    EXPECT_EQ(inside_mutex, mutex.owner == nullptr ? 0u : 1u);
    EXPECT_EQ(permit_count, permits.available_count + holding_permits);
    EXPECT_TRUE(locking.empty() || mutex.owner != nullptr);
    EXPECT_TRUE(acquiring.empty() || permits.available_count == 0);
    EXPECT_TRUE(watching.empty() || !coil_event_is_set(&event));
    EXPECT_TRUE(getting.empty() || coil_queue_count(&queue) == 0);
    EXPECT_TRUE(putting.empty() || coil_queue_count(&queue) == slots.size());

    size_t in_queue = 0;
    for (const item_record &item : items) {
        EXPECT_LE(item.got_count, item.state == WAS_PUT ? 1 : 0);
        in_queue += item.state == WAS_PUT && item.got_count == 0;
    }
    EXPECT_EQ(in_queue, coil_queue_count(&queue));
}

} // namespace

/* The calls themselves, counted for as long as they last. */

async(int, lock, (arena *) all)
{
    vars(int rc;);

    all->locking.push_back(coil_self);
    defer(all->locking.remove(coil_self));
    await(my->rc, coil_mutex_lock(&all->mutex));
    return my->rc;
}

async(int, acquire, (arena *) all)
{
    vars(int rc;);

    all->acquiring.push_back(coil_self);
    defer(all->acquiring.remove(coil_self));
    await(my->rc, coil_semaphore_acquire(&all->permits));
    return my->rc;
}

async(int, watch, (arena *) all)
{
    vars();

    all->watching.push_back(coil_self);
    defer(all->watching.remove(coil_self));
    await(coil_event_wait(&all->event));
    all->was_done[4]++;
    return 0;
}

async(int, put, (arena *) all, (size_t *) item)
{
    vars(int rc;);

    all->putting.push_back(coil_self);
    defer(all->putting.remove(coil_self));
    await(my->rc, coil_queue_put(&all->queue, item));
    return my->rc;
}

async(int, get, (arena *) all, (size_t *) out_item)
{
    vars(int rc;);

    all->getting.push_back(coil_self);
    defer(all->getting.remove(coil_self));
    await(my->rc, coil_queue_get(&all->queue, out_item));
    return my->rc;
}

/* What tasks do with them. */

async(int, use_mutex, (arena *) all)
{
    vars(int ticket;);

    my->ticket = ++all->tickets;
    if (all->one_in(2))
        attempt(within(all->nap(), lock(all)));
    else
        attempt(lock(all));
    all->enter_mutex(my->ticket);
    defer(all->give_back_mutex());
    await(coil_sleep(all->nap()));
    return 0;
}

async(int, use_permit, (arena *) all)
{
    vars();

    attempt(within(all->patience(), acquire(all)));
    all->hold_permit();
    defer(all->give_back_permit());
    await(coil_sleep(all->nap()));
    return 0;
}

async(int, put_one, (arena *) all)
{
    vars(size_t item; int rc;);

    my->item = all->new_item();
    await(my->rc, within(all->patience(), put(all, &my->item)));
    all->put_ended(my->item, my->rc);
    all->mischief(all->getting);
    return my->rc;
}

async(int, get_one, (arena *) all)
{
    vars(size_t item; int rc;);

    await(my->rc, within(all->patience(), get(all, &my->item)));
    all->get_ended(my->item, my->rc);
    all->mischief(all->putting);
    return my->rc;
}

/* A permit while cleaning up, when cancellations are masked. */
async(int, tidy_up, (arena *) all)
{
    vars();

    defer(ignore(use_permit(all)));
    await(coil_sleep(all->nap()));
    return 0;
}

/* One inside the other, always in this order, or they would wait for each other. */
async(int, use_both, (arena *) all)
{
    vars(int ticket;);

    my->ticket = ++all->tickets;
    attempt(lock(all));
    all->enter_mutex(my->ticket);
    defer(all->give_back_mutex());
    attempt(use_permit(all));
    return 0;
}

/* Everything at once, without a pause. */
async(int, meddle, (arena *) all)
{
    vars(size_t item;);

    if (coil_mutex_try_lock(&all->mutex, coil_self) == 0) {
        all->enter_mutex(++all->tickets);
        all->give_back_mutex();
    }
    if (coil_semaphore_try_acquire(&all->permits) == 0) {
        all->hold_permit();
        all->give_back_permit();
    }
    if (coil_queue_try_get(&all->queue, &my->item) == 0)
        all->get_ended(my->item, 0);
    my->item = all->new_item();
    all->put_ended(my->item, coil_queue_try_put(&all->queue, &my->item) == 0 ? 0 : -ETIME);
    coil_event_set(&all->event);
    all->mischief(all->watching);
    if (!all->calm)
        coil_event_clear(&all->event);
    return 0;
}

async(int, do_something, (arena *) all)
{
    vars(unsigned choice;);

    my->choice = static_cast<unsigned>(all->random()) % 9;
    if (my->choice == 0)
        attempt(use_mutex(all));
    else if (my->choice == 1)
        attempt(use_permit(all));
    else if (my->choice == 2)
        attempt(put_one(all));
    else if (my->choice == 3)
        attempt(get_one(all));
    else if (my->choice == 4)
        attempt(within(all->patience(), watch(all)));
    else if (my->choice == 5)
        attempt(tidy_up(all));
    else if (my->choice == 6)
        attempt(within(all->patience(), use_mutex(all)));
    else if (my->choice == 7)
        attempt(use_both(all));
    else
        attempt(meddle(all));
    return 0;
}

async(int, work, (arena *) all)
{
    vars(int left;);

    all->alive.push_back(coil_self);
    defer(all->alive.remove(coil_self));
    for (my->left = 1 + static_cast<int>(all->random() % 6); my->left > 0; my->left--)
        ignore(within(all->patience(), do_something(all)));
    return 0;
}

/* A group that lives for a while and is then cancelled, left, or awaited. */
async(int, parent, (arena *) all)
{
    vars(coil_group children; unsigned left;);

    all->alive.push_back(coil_self);
    defer(all->alive.remove(coil_self));
    open_group(&my->children);
    my->children.keep_going = true;
    for (my->left = 1 + static_cast<unsigned>(all->random()) % 6; my->left > 0; my->left--)
        spawn(&my->children, work(all));
    await(coil_sleep(all->nap()));
    if (all->one_in(3))
        coil_group_cancel(&my->children);
    if (all->one_in(2))
        ignore(coil_group_join(&my->children));
    return 0;
}

namespace
{

class SyncStress : public World
{
protected:
    void begin(unsigned seed)
    {
        coil_sched_fini(&sched);
        coil_sched_init(&sched, 0, nullptr);
        sched.root.keep_going = true;
        all = arena();
        all.random.seed(seed);
        coil_mutex_init(&all.mutex);
        coil_semaphore_init(&all.permits, permit_count, permit_count);
        coil_event_init(&all.event);
        coil_queue_init(&all.queue, all.slots.data(), all.slots.size());
    }

    /* What the outside world does between two turns. */
    void poke()
    {
        if (all.one_in(3))
            spawn(&sched.root, work(&all));
        if (all.one_in(8))
            spawn(&sched.root, parent(&all));
        if (all.one_in(4) && !all.alive.empty())
            all.cancel(all.anyone());
        if (all.one_in(6)) {
            coil_event_set(&all.event);
            if (all.one_in(2) && !all.alive.empty())
                all.cancel(all.anyone());
            coil_event_clear(&all.event);
        }
    }

    /* Run some tasks only, so that pokes come between a hand-over and its effect. */
    void turn()
    {
        if (all.one_in(2))
            poke();
        if (coil_sched_run(&sched, 1 + all.random() % 8))
            return;
        all.check();
        poke();
        if (coil_sched_next(&sched) != COIL_NEVER)
            coil_sched_advance(&sched, coil_sched_next(&sched));
    }

    /* Without cancellations, everybody must come to an end: nothing was lost. */
    void end()
    {
        all.calm = true;
        run_out();
        all.check();
        coil_event_set(&all.event);
        coil_queue_close(&all.queue);
        run_out();
        all.check();
        ASSERT_EQ(0u, sched.live_count);
        EXPECT_EQ(nullptr, all.mutex.owner);
        EXPECT_EQ(permit_count, all.permits.available_count);

        size_t item = 0;
        while (coil_queue_try_get(&all.queue, &item) == 0)
            all.items.at(item).got_count++;
        for (const item_record &record : all.items)
            EXPECT_EQ(record.state == WAS_PUT ? 1 : 0, record.got_count);
        coil_queue_fini(&all.queue);
        coil_event_fini(&all.event);
        coil_semaphore_fini(&all.permits);
        coil_mutex_fini(&all.mutex);
    }

    void run(unsigned seed, int turns)
    {
        SCOPED_TRACE(testing::Message() << "COIL_SEED=" << seed);
        begin(seed);
        for (int i = 0; i < turns && !HasFailure(); i++)
            turn();
        end();
    }

    arena all = {};
};

TEST_F(SyncStress, NothingGetsLostAndNothingComesTwice)
{
    const char *given = getenv("COIL_SEED");
    const unsigned seed = given != nullptr ? static_cast<unsigned>(strtoul(given, nullptr, 10))
                                           : std::random_device()();
    printf("COIL_SEED=%u\n", seed);
    for (unsigned i = 0; i < (given != nullptr ? 1u : 50u) && !HasFatalFailure(); i++)
        run(seed + i, 1000);
}

TEST_F(SyncStress, DoesAllThatItShould)
{
    run(1, 5000);
    for (const size_t count : all.was_done)
        EXPECT_LT(500u, count);
    EXPECT_LT(500u, all.cancel_count);
}

} // namespace
