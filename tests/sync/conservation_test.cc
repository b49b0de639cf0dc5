/* SPDX-License-Identifier: MIT */
/*
 * Random tasks on queues of every order and on a loader, with random deadlines and cancellations,
 * before and after hand-overs and in the same turn. Every item ends up in exactly one place, every
 * join ends, every load is answered once and with nothing stale. Virtual time, so one seed is one
 * schedule: COIL_SEED=<n> repeats a run. (FIFO beside the other primitives: stress_test.cc.)
 */
#include <coil/loader.h>
#include <coil/queue.h>

#include "seeds.h"
#include "world.h"

#include <algorithm>
#include <array>
#include <list>
#include <random>
#include <set>

#include <coil/sugar.h>

namespace
{

/* Who takes part, and what may happen to them. */
struct chance {
    std::mt19937 random;
    std::list<coil_task *> alive;
    size_t cancel_count;
    bool calm; /* No more cancellations. */

    unsigned below(unsigned count)
    {
        return static_cast<unsigned>(random()) % count;
    }

    bool one_in(unsigned count)
    {
        return below(count) == 0;
    }

    coil_duration nap()
    {
        return static_cast<coil_duration>(below(4));
    }

    coil_duration patience()
    {
        return one_in(2) ? COIL_FOREVER : nap();
    }

    void mischief()
    {
        if (calm || alive.empty() || !one_in(6))
            return;
        auto at = alive.begin();
        std::advance(at, static_cast<long>(below(static_cast<unsigned>(alive.size()))));
        cancel_count++;
        coil_task_cancel(*at);
    }
};

/* ------------------------------------------------------------------------------ queues -- */

struct item {
    unsigned urgency;
    size_t number;
};

enum item_state { PUTTING, REFUSED, WAS_PUT, WAS_GOT, WAS_DROPPED };

using item_queue = coil_priority_queue_of(item);

struct market {
    item_queue queue;
    chance luck;
    std::vector<item_state> items;
    size_t out_count; /* Got and not done. */
    size_t joining_count;
    size_t was_got, was_joined;

    item new_item()
    {
        items.push_back(PUTTING);
        return {luck.below(3), items.size() - 1};
    }

    /* It may have been got, and even dropped, before the task that has put it runs. */
    void put_ended(size_t number, int rc)
    {
        EXPECT_TRUE(rc == 0 || rc == -ETIME || rc == -EPIPE || rc == -ECANCELED) << rc;
        EXPECT_TRUE(rc == 0 || items.at(number) == PUTTING) << "taken from one who has not put";
        if (items.at(number) == PUTTING)
            items.at(number) = rc == 0 ? WAS_PUT : REFUSED;
    }

    void took(size_t number, item_state state)
    {
        EXPECT_TRUE(items.at(number) == PUTTING || items.at(number) == WAS_PUT)
                << "came twice, or out of nowhere: " << items.at(number);
        items.at(number) = state;
    }

    void got(size_t number)
    {
        took(number, WAS_GOT);
        out_count++;
        was_got++;
    }

    void done()
    {
        out_count--;
        luck.mischief();
        coil_queue_item_done(&queue);
        luck.mischief();
    }

    size_t in_state(item_state state)
    {
        return static_cast<size_t>(std::count(items.begin(), items.end(), state));
    }

    /* Between two turns nothing is on its way. */
    void check()
    {
        EXPECT_EQ(in_state(WAS_PUT), coil_queue_count(&queue));
        EXPECT_EQ(in_state(PUTTING), length(queue.queue.putters));
        EXPECT_EQ(out_count, queue.queue.out_count);
        EXPECT_EQ(joining_count, length(queue.queue.joiners));
        EXPECT_TRUE(coil_list_empty(&queue.queue.getters) || coil_queue_empty(&queue));
        EXPECT_TRUE(coil_list_empty(&queue.queue.putters) || coil_queue_full(&queue));
        EXPECT_TRUE(joining_count == 0 || !coil_queue_empty(&queue) || out_count > 0);
    }
};

/* ------------------------------------------------------------------------------ loader -- */

constexpr int key_count = 12;

struct value {
    int key;
    int version;
};

using source = coil_loader_of(int, value);
using request = coil_batch_of(source);

struct archive {
    source values;
    chance *luck;
    const coil_loader_options *options;
    std::array<int, key_count> versions; /* What a fetch reads when it starts. */
    size_t waiting_count, fetching_count;
    size_t was_loaded, had_failed, was_abandoned;
};

} // namespace

static bool more_urgent(const item *one, const item *other)
{
    return one->urgency > other->urgency;
}

async(int, put_one, (market *) all)
{
    vars(item mine; int rc;);

    my->mine = all->new_item();
    my->rc = -ECANCELED;
    defer(all->put_ended(my->mine.number, my->rc));
    if (all->luck.one_in(4))
        my->rc = coil_queue_try_put(&all->queue, &my->mine) == 0 ? 0 : -ETIME;
    else
        await(my->rc, within(all->luck.patience(), coil_queue_put(&all->queue, &my->mine)));
    all->luck.mischief();
    return 0;
}

async(int, get_one, (market *) all)
{
    vars(item mine; int rc;);

    if (all->luck.one_in(4))
        my->rc = coil_queue_try_get(&all->queue, &my->mine);
    else
        await(my->rc, within(all->luck.patience(), coil_queue_get(&all->queue, &my->mine)));
    if (my->rc < 0)
        return my->rc;
    all->got(my->mine.number);
    defer(all->done());
    await(coil_sleep(all->luck.nap()));
    return 0;
}

async(int, join_once, (market *) all)
{
    vars(int rc;);

    all->joining_count++;
    defer(all->joining_count--);
    await(my->rc, within(all->luck.patience(), coil_queue_join(&all->queue)));
    all->was_joined += my->rc == 0;
    return my->rc;
}

async(int, trade, (market *) all)
{
    vars(unsigned left;);

    all->luck.alive.push_back(coil_self);
    defer(all->luck.alive.remove(coil_self));
    for (my->left = 1 + all->luck.below(4); my->left > 0; my->left--) {
        if (all->luck.one_in(8))
            ignore(join_once(all));
        else if (all->luck.one_in(2))
            ignore(put_one(all));
        else
            ignore(get_one(all));
    }
    return 0;
}

async(int, fetch, (request *) batch)
{
    vars(archive *all; size_t i; int rc;);

    my->all = coil_container_of(batch->loader, archive, values.loader);
    my->all->fetching_count++;
    my->rc = -ECANCELED;
    defer(my->all->fetching_count--; my->all->was_abandoned += my->rc == -ECANCELED);
    EXPECT_GE(5u, batch->count);
    EXPECT_EQ(batch->count, (std::set<int>(batch->keys, batch->keys + batch->count).size()));
    for (my->i = 0; my->i < batch->count; my->i++) {
        const int key = batch->keys[my->i];
        batch->values[my->i] = {key, my->all->versions[static_cast<size_t>(key)]};
        batch->statuses[my->i] = my->all->luck->one_in(10) ? -EACCES : 0;
    }
    my->all->luck->mischief();
    await(coil_sleep(my->all->luck->nap()));
    my->all->luck->mischief();
    my->rc = my->all->luck->one_in(10) ? -EIO : 0;
    return my->rc;
}

async(int, keep_open, (archive *) all)
{
    vars();

    coil_open_loader(&all->values, fetch, all->options);
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

static void write_new_version(archive *all, int key)
{
    all->versions[static_cast<size_t>(key)]++;
    if (all->luck->one_in(20))
        coil_loader_clear_all(&all->values);
    else
        coil_loader_clear(&all->values, &key);
    const value latest = {key, all->versions[static_cast<size_t>(key)]};
    if (all->options->cache_count_max > 0 && all->luck->one_in(3)) {
        const int rc = coil_loader_prime(&all->values, &key, &latest);
        EXPECT_TRUE(rc == 0 || rc == -EEXIST) << rc; /* It may be collected already. */
    }
}

async(int, load_one, (archive *) all)
{
    vars(int key; int version; int rc; value got;);

    my->key = static_cast<int>(all->luck->below(key_count));
    my->version = all->versions[static_cast<size_t>(my->key)];
    my->got = {-1, -1};
    all->waiting_count++;
    defer(all->waiting_count--);
    await(my->rc,
            within(all->luck->patience(), coil_loader_load(&all->values, &my->key, &my->got)));
    if (my->rc < 0) {
        EXPECT_EQ(-1, my->got.key) << "an error and a value";
        EXPECT_TRUE(my->rc == -ETIME || my->rc == -EACCES || my->rc == -EIO || my->rc == -ENOBUFS ||
                    (my->rc == -EPIPE && all->values.loader.closed))
                << my->rc;
        all->had_failed++;
        return my->rc;
    }
    EXPECT_EQ(my->key, my->got.key);
    EXPECT_LE(my->version, my->got.version) << "older than the call";
    all->was_loaded++;
    return 0;
}

async(int, study, (archive *) all)
{
    vars(unsigned left;);

    all->luck->alive.push_back(coil_self);
    defer(all->luck->alive.remove(coil_self));
    for (my->left = 1 + all->luck->below(6); my->left > 0; my->left--) {
        ignore(load_one(all));
        all->luck->mischief();
        if (all->luck->one_in(6) && !all->values.loader.closed)
            write_new_version(all, static_cast<int>(all->luck->below(key_count)));
        if (all->luck->one_in(3))
            await(coil_sleep(all->luck->nap()));
    }
    return 0;
}

namespace
{

class Conservation : public World
{
protected:
    /* A turn, in pieces, so that things happen between a hand-over and its effect. */
    bool turn(chance &luck)
    {
        luck.mischief();
        return coil_sched_run(&sched, 1 + luck.below(8));
    }

    void go_on()
    {
        if (coil_sched_next(&sched) != COIL_NEVER)
            coil_sched_advance(&sched, coil_sched_next(&sched));
    }

    enum order { FIFO, LIFO, PRIORITY };

    /* As a priority queue the type serves all three: the order is the business of the init. */
    static void begin_queue(market &all, order how, coil_priority_slot_of(item_queue) * slots)
    {
        if (how == PRIORITY) {
            coil_priority_queue_init(&all.queue, slots, slot_count, more_urgent);
            return;
        }
        all.queue.items = nullptr;
        all.queue.slots = nullptr;
        void *storage = slots;
        if (how == FIFO)
            coil_queue_init_untyped(&all.queue.queue, storage, sizeof(item), slot_count);
        else
            coil_lifo_queue_init_untyped(&all.queue.queue, storage, sizeof(item), slot_count);
    }

    /* Everything that is left is dropped, in order; every join ends. */
    void end_queue(market &all, order how)
    {
        all.luck.calm = true;
        settle();
        std::vector<item> dropped;
        coil_queue_abort(&all.queue, [&](item *left) {
            all.took(left->number, WAS_DROPPED);
            dropped.push_back(*left);
        });
        run_out();
        all.check();
        EXPECT_EQ(0u, sched.live_count) << "somebody waits for ever";
        EXPECT_EQ(0u, all.in_state(PUTTING));
        EXPECT_EQ(0u, all.in_state(WAS_PUT)) << "lost";
        EXPECT_EQ(dropped.size(), all.in_state(WAS_DROPPED));
        EXPECT_EQ(0u, all.queue.queue.out_count);
        EXPECT_TRUE(how != PRIORITY ||
                    std::is_sorted(dropped.begin(), dropped.end(),
                            [](const item &a, const item &b) { return more_urgent(&a, &b); }));
        coil_queue_fini(&all.queue);
    }

    void run_queue(unsigned seed, order how, bool grows)
    {
        SCOPED_TRACE(testing::Message() << "COIL_SEED=" << seed);
        coil_priority_slot_of(item_queue) slots[slot_count];
        market all = {};
        all.luck.random.seed(seed);
        begin_queue(all, how, grows ? nullptr : slots);
        for (int i = 0; i < 600 && !HasFailure(); i++) {
            if (all.luck.one_in(2))
                spawn(&sched.root, trade(&all));
            if (turn(all.luck))
                continue;
            all.check();
            go_on();
        }
        end_queue(all, how);
        got_count += all.was_got;
        joined_count += all.was_joined;
        cancel_count += all.luck.cancel_count;
    }

    void run_loader(unsigned seed, const coil_loader_options &options)
    {
        SCOPED_TRACE(testing::Message() << "COIL_SEED=" << seed);
        chance luck = {};
        luck.random.seed(seed);
        archive all = {};
        all.luck = &luck;
        all.options = &options;
        coil_task *owner = spawn(&sched.root, keep_open(&all));
        settle();
        for (int i = 0; i < 600 && !HasFailure(); i++) {
            if (luck.one_in(3))
                spawn(&sched.root, study(&all));
            if (turn(luck))
                continue;
            EXPECT_GE(all.waiting_count + (all.waiting_count == 0 ? 0 : key_count),
                    all.fetching_count)
                    << "a fetch that nobody waits for";
            go_on();
        }
        if (luck.one_in(2)) {
            luck.calm = true;
            run_out();
            EXPECT_EQ(0u, all.waiting_count);
        }
        coil_task_cancel(owner);
        luck.calm = true;
        run_out();
        EXPECT_EQ(0u, sched.live_count);
        EXPECT_EQ(0u, all.waiting_count);
        EXPECT_EQ(0u, all.fetching_count);
        EXPECT_EQ(0u, all.values.loader.key_count);
        loaded_count += all.was_loaded;
        failed_count += all.had_failed;
        abandoned_count += all.was_abandoned;
        cancel_count += luck.cancel_count;
    }

    static constexpr size_t slot_count = 5;

    /* How often each thing happened in all runs. */
    size_t got_count = 0, joined_count = 0, loaded_count = 0, failed_count = 0;
    size_t abandoned_count = 0, cancel_count = 0;
};

TEST_F(Conservation, OfItemsInAQueue)
{
    for (const unsigned seed : seeds(30))
        run_queue(seed, FIFO, seed % 2 == 0);
}

TEST_F(Conservation, OfItemsInALifoQueue)
{
    for (const unsigned seed : seeds(30))
        run_queue(seed, LIFO, seed % 2 == 0);
}

TEST_F(Conservation, OfItemsInAPriorityQueue)
{
    for (const unsigned seed : seeds(30))
        run_queue(seed, PRIORITY, seed % 2 == 0);
}

TEST_F(Conservation, OfLoads)
{
    for (const unsigned seed : seeds(30))
        run_loader(seed, {5, 9, 0, 0, 0});
}

TEST_F(Conservation, OfLoadsWithACache)
{
    for (const unsigned seed : seeds(30))
        run_loader(seed, {5, 0, 4, 0, 0});
}

TEST_F(Conservation, OfLoadsThatMustNotAllBeFetchedAtOnce)
{
    for (const unsigned seed : seeds(30))
        run_loader(seed, {3, 0, seed % 3, seed % 2, 2});
}

TEST_F(Conservation, OfLoadsThatWaitForAWindow)
{
    for (const unsigned seed : seeds(30))
        run_loader(seed, {5, 0, 0, 2, 0});
}

/* The tests above would find nothing in an empty market. */
TEST_F(Conservation, IsPutToTheTest)
{
    for (unsigned seed = 1; seed <= 10; seed++) {
        run_queue(seed, FIFO, false);
        run_loader(seed, {5, 9, 0, 0, 0});
    }
    EXPECT_LT(1000u, got_count);
    EXPECT_LT(100u, joined_count);
    EXPECT_LT(1000u, loaded_count);
    EXPECT_LT(100u, failed_count);
    EXPECT_LT(20u, abandoned_count);
    EXPECT_LT(1000u, cancel_count);
}

} // namespace
