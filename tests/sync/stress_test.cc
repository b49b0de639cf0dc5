/* SPDX-License-Identifier: MIT */
/*
 * Random tasks on one of each primitive, with random deadlines, cancellations of tasks, of scopes
 * and of whole groups, before and after hand-overs and in the same turn. Nothing may get lost and
 * nothing may come twice. Virtual time, so one seed is one schedule: COIL_SEED=<n> repeats a run.
 */
#include <coil/barrier.h>
#include <coil/condition.h>
#include <coil/event.h>
#include <coil/latch.h>
#include <coil/mutex.h>
#include <coil/once.h>
#include <coil/queue.h>
#include <coil/rate_limiter.h>
#include <coil/rwlock.h>
#include <coil/semaphore.h>

#include "seeds.h"
#include "world.h"

#include <algorithm>
#include <array>
#include <list>
#include <map>
#include <random>

#include <coil/sugar.h>

namespace
{

constexpr size_t permit_count = 3;
constexpr size_t weight_count = 4;
constexpr int party_count = 3;
constexpr uint64_t burst_count = 3; /* A token comes every nanosecond. */

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

    coil_rwlock rwlock;
    size_t reading, writing;
    int last_rwlock_ticket, last_writer_ticket;
    callers rwlocking;
    std::map<coil_task *, bool> will_write; /* Those. */

    coil_semaphore weights;
    size_t held_weight;
    callers weighing;
    std::map<coil_task *, size_t> wanted; /* By those. */

    coil_mutex store; /* What is in stock may be taken by its owner. */
    coil_condition changed;
    size_t stock;
    callers expecting;

    coil_barrier barrier;
    std::array<size_t, party_count> arrivals; /* How often each index came back. */

    coil_latch latch;
    size_t pending;

    coil_once once;
    int running_once;
    size_t once_successes; /* Since it was made. */

    coil_rate_limiter limiter;
    coil_time full_at; /* When its bucket would be full, by our own account. */
    callers limited;

    size_t was_done[12]; /* How often each thing succeeded, so that the test tests something. */
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

    void enter_rwlock(int ticket, bool writes)
    {
        /* (Readers may run in another order than that in which they got it, together.) */
        EXPECT_LT(writes ? last_rwlock_ticket : last_writer_ticket, ticket) << "overtaken";
        last_rwlock_ticket = std::max(last_rwlock_ticket, ticket);
        if (writes)
            last_writer_ticket = ticket;
        EXPECT_EQ(0u, writing);
        EXPECT_TRUE(!writes || reading == 0);
        (writes ? writing : reading)++;
        was_done[5]++;
    }

    void give_back_rwlock(bool writes)
    {
        (writes ? writing : reading)--;
        mischief(rwlocking);
        coil_rwlock_unlock(&rwlock);
        mischief(rwlocking);
    }

    void give_back_weight(size_t count)
    {
        held_weight -= count;
        mischief(weighing);
        coil_semaphore_release(&weights, count);
        mischief(weighing);
    }

    void put_in_stock(size_t count)
    {
        stock += count;
        mischief(expecting);
        if (one_in(5))
            coil_condition_notify_all(&changed);
        else
            coil_condition_notify(&changed, count);
        mischief(expecting);
    }

    void tokens_granted(uint64_t count, coil_time now)
    {
        full_at = std::max(full_at, now) + static_cast<coil_time>(count);
        EXPECT_LE(full_at, now + static_cast<coil_time>(burst_count));
        was_done[10]++;
    }

    /* A new one, if nobody needs the old one any more. */
    void renew_once()
    {
        if (!coil_once_is_done(&once) || once.frame != nullptr)
            return;
        EXPECT_EQ(1u, once_successes);
        EXPECT_TRUE(coil_list_empty(&once.waiters));
        coil_once_fini(&once);
        coil_once_init(&once);
        once_successes = 0;
    }

    /* Between two turns nothing is on its way: everything is with somebody or in its place. */
    void check();
    void check_simple();
    void check_compound(coil_time now);
};

void arena::check()
{
    check_simple();
    check_compound(limiter.sched->now);
}

void arena::check_compound(coil_time now)
{
    EXPECT_EQ(rwlocking.size(), length(rwlock.waiters));
    EXPECT_EQ(reading, rwlock.reader_count);
    EXPECT_EQ(writing, rwlock.writer == nullptr ? 0u : 1u);
    EXPECT_TRUE(
            rwlocking.empty() || writing > 0 || (reading > 0 && will_write.at(rwlocking.front())))
            << "the first in the queue could come in";

    EXPECT_EQ(weighing.size(), length(weights.waiters));
    EXPECT_EQ(weight_count, weights.available_count + held_weight);
    EXPECT_TRUE(weighing.empty() || wanted.at(weighing.front()) > weights.available_count);

    /* Whoever was notified has had a look, unless it still waits for the mutex. */
    EXPECT_TRUE(coil_mutex_is_locked(&store) || stock == 0 || coil_list_empty(&changed.waiters))
            << "a notification was lost";

    EXPECT_EQ(barrier.arrived_count, static_cast<int>(length(barrier.waiters)));
    EXPECT_GT(party_count, barrier.arrived_count);
    EXPECT_TRUE(!barrier.broken || barrier.arrived_count == 0);
    for (const size_t count : arrivals)
        EXPECT_EQ(arrivals[0], count) << "they did not all go on";

    EXPECT_EQ(pending, latch.count);
    EXPECT_TRUE(pending > 0 || coil_list_empty(&latch.waiters));

    EXPECT_EQ(once_successes, coil_once_is_done(&once) ? 1u : 0u);
    EXPECT_EQ(running_once, once.runner == nullptr ? 0 : 1);
    EXPECT_TRUE(once.runner != nullptr || coil_list_empty(&once.waiters));

    EXPECT_EQ(limited.size(), length(limiter.waiters));
    EXPECT_EQ(std::max(full_at, now), std::max(limiter.full_at, now));
    EXPECT_EQ(limited.empty(), !coil_timer_armed(&limiter.timer));
}

void arena::check_simple()
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

async(int, lock_rwlock, (arena *) all, (bool) writes)
{
    vars(int rc);

    all->rwlocking.push_back(coil_self);
    defer(all->rwlocking.remove(coil_self));
    all->will_write[coil_self] = writes;
    if (writes)
        await(my->rc, coil_rwlock_write_lock(&all->rwlock));
    else
        await(my->rc, coil_rwlock_read_lock(&all->rwlock));
    return my->rc;
}

async(int, acquire_weight, (arena *) all, (size_t) count)
{
    vars(int rc);

    all->weighing.push_back(coil_self);
    defer(all->weighing.remove(coil_self));
    all->wanted[coil_self] = count;
    await(my->rc, coil_semaphore_acquire_many(&all->weights, count));
    return my->rc;
}

async(int, take_tokens, (arena *) all, (uint64_t) count)
{
    vars();

    all->limited.push_back(coil_self);
    defer(all->limited.remove(coil_self));
    attempt(coil_rate_limiter_acquire(&all->limiter, count));
    all->tokens_granted(count, coil_self->sched->now);
    return 0;
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

async(int, use_rwlock, (arena *) all)
{
    vars(int ticket; bool writes);

    my->ticket = ++all->tickets;
    my->writes = all->one_in(2);
    attempt(within(all->patience(), lock_rwlock(all, my->writes)));
    all->enter_rwlock(my->ticket, my->writes);
    defer(all->give_back_rwlock(my->writes));
    await(coil_sleep(all->nap()));
    if (my->writes && all->one_in(3)) {
        my->writes = false;
        all->writing--;
        all->reading++;
        coil_rwlock_downgrade(&all->rwlock);
        all->mischief(all->rwlocking);
        await(coil_sleep(all->nap()));
    }
    return 0;
}

async(int, use_weight, (arena *) all)
{
    vars(size_t count);

    my->count = all->random() % (weight_count + 1);
    attempt(within(all->patience(), acquire_weight(all, my->count)));
    all->held_weight += my->count;
    all->was_done[6]++;
    defer(all->give_back_weight(my->count));
    await(coil_sleep(all->nap()));
    return 0;
}

/* Comes back with the mutex, whatever happens. */
async(int, await_stock, (arena *) all)
{
    vars();

    all->expecting.push_back(coil_self);
    defer(EXPECT_EQ(coil_self, all->store.owner); all->expecting.remove(coil_self));
    while (all->stock == 0)
        attempt(within(all->patience(), coil_condition_wait(&all->changed)));
    all->stock--;
    all->was_done[7]++;
    return 0;
}

async(int, consume, (arena *) all)
{
    vars();

    attempt(coil_mutex_lock(&all->store));
    defer(coil_mutex_unlock(&all->store));
    if (all->one_in(2))
        await(coil_sleep(all->nap()));
    attempt(within(all->patience(), await_stock(all)));
    if (all->one_in(2))
        await(coil_sleep(all->nap()));
    return 0;
}

async(int, produce, (arena *) all)
{
    vars();

    if (all->stock > 1)
        return 0;
    if (all->one_in(2)) {
        all->put_in_stock(1);
        return 0;
    }
    attempt(coil_mutex_lock(&all->store));
    defer(coil_mutex_unlock(&all->store));
    await(coil_sleep(all->nap()));
    all->put_in_stock(1 + all->random() % 2);
    return 0;
}

async(int, meet, (arena *) all)
{
    vars(int index);

    await(my->index, within(coil_time_after(all->patience(), 5), coil_barrier_wait(&all->barrier)));
    if (my->index >= 0) {
        all->arrivals.at(static_cast<size_t>(my->index))++;
        all->was_done[8]++;
    } else if (all->one_in(2)) {
        coil_barrier_reset(&all->barrier);
    }
    return 0;
}

async(int, keep_pending, (arena *) all)
{
    vars();

    coil_latch_add(&all->latch, 1);
    all->pending++;
    defer(all->pending--; coil_latch_count_down(&all->latch, 1); all->mischief(all->alive));
    await(coil_sleep(all->nap()));
    attempt(within(all->patience(), use_permit(all)));
    return 0;
}

async(int, await_latch, (arena *) all)
{
    vars();

    await(coil_latch_wait(&all->latch));
    all->was_done[9]++;
    return 0;
}

async(int, run_once, (arena *) all)
{
    vars();

    EXPECT_EQ(0, all->running_once++);
    defer(all->running_once--);
    await(coil_sleep(all->nap()));
    if (all->one_in(3))
        return -EIO;
    all->once_successes++;
    all->was_done[11]++;
    return 0;
}

async(int, enter_once, (arena *) all)
{
    vars(int mine);

    attempt(my->mine, within(all->patience(), coil_once_enter(&all->once)));
    if (my->mine) {
        attempt(run_once(all));
        coil_once_done(&all->once);
        all->mischief(all->alive);
    }
    if (all->one_in(2))
        await(coil_sleep(all->nap()));
    return 0;
}

async(int, use_once, (arena *) all)
{
    vars();

    all->renew_once();
    if (all->one_in(2))
        attempt(enter_once(all));
    else
        attempt(within(all->patience(), coil_once_run(&all->once, run_once, all)));
    return 0;
}

async(int, use_tokens, (arena *) all)
{
    vars();

    if (all->one_in(4) && coil_rate_limiter_try_acquire(&all->limiter, 1) == 0)
        all->tokens_granted(1, coil_self->sched->now);
    else
        attempt(within(all->patience(), take_tokens(all, all->random() % (burst_count + 1))));
    return 0;
}

async(int, do_something_compound, (arena *) all)
{
    vars(unsigned choice);

    my->choice = static_cast<unsigned>(all->random()) % 10;
    if (my->choice == 0)
        attempt(use_rwlock(all));
    else if (my->choice == 1)
        attempt(within(all->patience(), use_weight(all)));
    else if (my->choice == 2)
        attempt(consume(all));
    else if (my->choice == 3)
        attempt(produce(all));
    else if (my->choice < 6)
        attempt(meet(all));
    else if (my->choice == 6)
        attempt(keep_pending(all));
    else if (my->choice == 7)
        attempt(within(all->patience(), await_latch(all)));
    else if (my->choice == 8)
        attempt(use_once(all));
    else
        attempt(use_tokens(all));
    return 0;
}

async(int, do_something, (arena *) all)
{
    vars(unsigned choice;);

    if (all->one_in(2)) {
        attempt(do_something_compound(all));
        return 0;
    }
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
        coil_rwlock_init(&all.rwlock);
        coil_semaphore_init(&all.weights, weight_count, weight_count);
        coil_mutex_init(&all.store);
        coil_condition_init(&all.changed, &all.store);
        coil_barrier_init(&all.barrier, party_count);
        coil_latch_init(&all.latch, 0);
        coil_once_init(&all.once);
        coil_rate_limiter_init(&all.limiter, &sched, 1, 1, burst_count);
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
        do {
            coil_barrier_abort(&all.barrier);
            all.put_in_stock(1000);
            run_out();
            all.check();
        } while (sched.live_count > 0 && all.barrier.arrived_count > 0);
        ASSERT_EQ(0u, sched.live_count);
        end_compound();
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

    void end_compound()
    {
        coil_rwlock_fini(&all.rwlock);
        coil_semaphore_fini(&all.weights);
        coil_condition_fini(&all.changed);
        coil_mutex_fini(&all.store);
        coil_barrier_fini(&all.barrier);
        coil_latch_fini(&all.latch);
        coil_once_fini(&all.once);
        coil_rate_limiter_fini(&all.limiter);
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
    for (const unsigned seed : seeds(50)) {
        run(seed, 1000);
        if (HasFatalFailure())
            return;
    }
}

TEST_F(SyncStress, DoesAllThatItShould)
{
    std::array<size_t, 12> was_done = {};
    size_t cancel_count = 0;
    for (unsigned seed = 1; seed <= 20 && !HasFailure(); seed++) {
        run(seed, 5000);
        for (size_t i = 0; i < was_done.size(); i++)
            was_done[i] += all.was_done[i];
        cancel_count += all.cancel_count;
    }
    for (const size_t count : was_done)
        EXPECT_LT(500u, count);
    EXPECT_LT(500u, cancel_count);
}

} // namespace
