/* SPDX-License-Identifier: MIT */
/*
 * Random tasks that send and receive on channels, queues and events, alone and by select, with
 * random deadlines, cancellations and closes, before and after hand-overs and in the same turn.
 * Every item that was sent is received exactly once, and none that was not. Virtual time and a lot
 * of our own, so one seed is one schedule: COIL_SEED=<n> repeats a run.
 */
#include <coil/channel.h>
#include <coil/event.h>
#include <coil/queue.h>
#include <coil/select.h>

#include "seeds.h"
#include "world.h"

#include <array>
#include <list>
#include <random>

#include <coil/sugar.h>

namespace
{

using item_channel = coil_channel_of(size_t);

constexpr size_t channel_count = 5;
constexpr std::array<size_t, channel_count> capacities = {0, 0, 0, 1, 3};

enum item_state { SENDING, REFUSED, WAS_SENT };

struct item_record {
    item_state state;
    int received_count;
};

struct market {
    std::array<item_channel, channel_count> channels;
    std::array<std::array<size_t, 3>, channel_count> slots;
    coil_queue_of(size_t) queue;
    std::array<size_t, 2> queue_slots;
    coil_event bell;

    std::mt19937 random;
    std::list<coil_task *> alive;
    std::vector<item_record> items;
    std::array<size_t, 8> was_done; /* So that the test tests something. */
    size_t cancel_count;
    bool calm; /* No more cancellations. */

    bool one_in(unsigned count)
    {
        return random() % count == 0;
    }

    coil_duration patience()
    {
        return one_in(2) ? COIL_FOREVER : static_cast<coil_duration>(random() % 4);
    }

    item_channel *any_channel()
    {
        return &channels[random() % channel_count];
    }

    void cancel_someone()
    {
        if (calm || alive.empty())
            return;
        auto at = alive.begin();
        std::advance(at, static_cast<long>(random() % alive.size()));
        cancel_count++;
        coil_task_cancel(*at);
    }

    size_t new_item()
    {
        items.push_back({SENDING, 0});
        return items.size() - 1;
    }

    void send_ended(size_t item, bool sent)
    {
        EXPECT_EQ(SENDING, items.at(item).state);
        items.at(item).state = sent ? WAS_SENT : REFUSED;
    }

    void receive_ended(size_t item)
    {
        items.at(item).received_count++;
    }
};

/* A send that has begun: if it is unwound, it has not sent. */
struct sending {
    size_t item;
    bool ended;
};

constexpr size_t nothing = SIZE_MAX;

} // namespace

async(int, send_one, (market *) all)
{
    vars(sending mine; int rc;);

    my->mine.item = all->new_item();
    my->rc = -ECANCELED;
    defer(all->send_ended(my->mine.item, my->rc == 0));
    await(my->rc, within(all->patience(), coil_channel_send(all->any_channel(), &my->mine.item)));
    EXPECT_TRUE(my->rc == 0 || my->rc == -ETIME || my->rc == -EPIPE) << my->rc;
    all->was_done[0] += my->rc == 0;
    if (all->one_in(8))
        all->cancel_someone();
    return my->rc;
}

async(int, receive_one, (market *) all)
{
    vars(size_t item; int rc;);

    my->item = nothing;
    await(my->rc, within(all->patience(), coil_channel_receive(all->any_channel(), &my->item)));
    EXPECT_EQ(my->rc == 0, my->item != nothing);
    if (my->rc == 0)
        all->receive_ended(my->item);
    all->was_done[1] += my->rc == 0;
    if (all->one_in(8))
        all->cancel_someone();
    return my->rc;
}

/*
 * Two sends, three receives, an event: in random order, on channels that may well be the same. What
 * has not been touched has not happened.
 */
async(int, select_one, (market *) all)
{
    vars(size_t give[2]; size_t take[3]; coil_select_case cases[6]; int which; int rc; int kind;
            int role[6]; size_t i;);

    my->give[0] = all->new_item();
    my->give[1] = all->new_item();
    for (size_t &slot : my->take)
        slot = nothing;
    my->cases[0] = coil_send_to(all->any_channel(), &my->give[0], &my->rc);
    my->cases[1] = all->one_in(2) ? coil_send_to(all->any_channel(), &my->give[1], &my->rc)
                                  : coil_put_to(&all->queue, &my->give[1], &my->rc);
    my->cases[2] = coil_receive_from(all->any_channel(), &my->take[0], &my->rc);
    my->cases[3] = coil_receive_from(all->any_channel(), &my->take[1], &my->rc);
    my->cases[4] = coil_get_from(&all->queue, &my->take[2], &my->rc);
    my->cases[5] = coil_wait_until_set(&all->bell);
    for (my->i = 0; my->i < 6; my->i++) {
        my->role[my->i] = static_cast<int>(my->i);
        my->cases[my->i] = coil_select_if(!all->one_in(3), my->cases[my->i]);
    }
    for (my->i = 5; my->i > 0; my->i--) {
        const size_t other = all->random() % (my->i + 1);
        std::swap(my->cases[my->i], my->cases[other]);
        std::swap(my->role[my->i], my->role[other]);
    }
    my->rc = 1;
    my->kind = -1;
    defer({
        for (int k = 0; k < 2; k++)
            all->send_ended(my->give[k], my->kind == k && my->rc == 0);
        for (int k = 0; k < 3; k++) {
            EXPECT_EQ(my->kind == k + 2 && my->rc == 0, my->take[k] != nothing);
            if (my->take[k] != nothing)
                all->receive_ended(my->take[k]);
        }
    });
    if (all->one_in(4))
        my->which = coil_select_try_among(my->cases, 6, COIL_SELECT_ANY);
    else if (all->one_in(3))
        await(my->which,
                within(all->patience(), coil_select(my->cases[0], my->cases[1], my->cases[2],
                                                my->cases[3], my->cases[4], my->cases[5])));
    else
        await(my->which, within(all->patience(), coil_select_among(my->cases, 6, COIL_SELECT_ANY)));
    if (my->which < 0) {
        EXPECT_TRUE(my->which == -ETIME || my->which == -EPIPE || my->which == -EAGAIN);
        return my->which;
    }
    my->kind = my->role[my->which];
    all->was_done[2 + static_cast<size_t>(my->kind)] += my->kind == 5 || my->rc == 0;
    if (all->one_in(8))
        all->cancel_someone();
    return 0;
}

/* Without a pause, and also while cleaning up. */
async(int, meddle, (market *) all)
{
    vars(size_t item; int rc;);

    my->item = nothing;
    if (coil_channel_try_receive(all->any_channel(), &my->item) == 0)
        all->receive_ended(my->item);
    my->item = all->new_item();
    my->rc = coil_channel_try_send(all->any_channel(), &my->item);
    all->send_ended(my->item, my->rc == 0);
    coil_event_set(&all->bell);
    all->cancel_someone();
    coil_event_clear(&all->bell);
    return 0;
}

async(int, work, (market *) all)
{
    vars(int left; unsigned choice;);

    all->alive.push_back(coil_self);
    defer(all->alive.remove(coil_self));
    defer(ignore(within(coil_ms(1), select_one(all))));
    for (my->left = 1 + static_cast<int>(all->random() % 8); my->left > 0; my->left--) {
        my->choice = static_cast<unsigned>(all->random()) % 8;
        if (my->choice == 0)
            ignore(within(all->patience(), send_one(all)));
        else if (my->choice == 1)
            ignore(within(all->patience(), receive_one(all)));
        else if (my->choice == 2)
            ignore(meddle(all));
        else
            ignore(within(all->patience(), select_one(all)));
    }
    return 0;
}

/* A group that lives for a while and is then cancelled, or left. */
async(int, parent, (market *) all)
{
    vars(coil_group children; unsigned left;);

    open_group(&my->children);
    my->children.keep_going = true;
    for (my->left = 1 + static_cast<unsigned>(all->random()) % 6; my->left > 0; my->left--)
        spawn(&my->children, work(all));
    await(coil_sleep(static_cast<coil_duration>(all->random() % 6)));
    return 0;
}

namespace
{

class SelectStress : public World
{
protected:
    void begin(unsigned seed)
    {
        coil_sched_fini(&sched);
        coil_sched_init(&sched, 0, nullptr);
        sched.root.keep_going = true;
        coil_select_seed(seed);
        all.random.seed(seed);
        all.items.clear();
        all.calm = false;
        for (size_t i = 0; i < channel_count; i++)
            open_channel(i);
        coil_queue_init(&all.queue, all.queue_slots.data(), all.queue_slots.size());
        coil_event_init(&all.bell);
    }

    void open_channel(size_t i)
    {
        coil_channel_init(&all.channels[i], all.slots[i].data(), capacities[i]);
    }

    void empty(item_channel *channel)
    {
        size_t item = 0;
        while (coil_channel_try_receive(channel, &item) == 0)
            all.receive_ended(item);
    }

    /* Close a channel, take what is in it, and open it again before those who waited have run. */
    void replace_channel()
    {
        const size_t i = all.random() % channel_count;
        coil_channel_close(&all.channels[i]);
        empty(&all.channels[i]);
        coil_channel_fini(&all.channels[i]);
        memset(static_cast<void *>(&all.channels[i]), 0xa5, sizeof(all.channels[i]));
        open_channel(i);
    }

    void poke()
    {
        if (all.one_in(2))
            spawn(&sched.root, work(&all));
        if (all.one_in(8))
            spawn(&sched.root, parent(&all));
        if (all.one_in(4))
            all.cancel_someone();
        if (all.one_in(30))
            replace_channel();
    }

    /* Nobody waits in vain, and the lists hold together. */
    void check()
    {
        for (size_t i = 0; i < channel_count; i++) {
            const coil_channel &channel = all.channels[i].channel;
            const size_t senders = length(channel.senders), receivers = length(channel.receivers);
            EXPECT_TRUE(senders == 0 || channel.count == capacities[i]);
            EXPECT_TRUE(receivers == 0 || channel.count == 0);
        }
        EXPECT_TRUE(length(all.queue.queue.getters) == 0 || coil_queue_count(&all.queue) == 0);
        EXPECT_TRUE(length(all.queue.queue.putters) == 0 || coil_queue_count(&all.queue) == 2);
    }

    /* Run some tasks only, so that pokes come between a hand-over and its effect. */
    void turn()
    {
        if (all.one_in(2))
            poke();
        if (coil_sched_run(&sched, 1 + all.random() % 8))
            return;
        check();
        poke();
        if (coil_sched_next(&sched) != COIL_NEVER)
            coil_sched_advance(&sched, coil_sched_next(&sched));
    }

    void end()
    {
        all.calm = true;
        check();
        run_out();
        for (item_channel &channel : all.channels)
            coil_channel_close(&channel);
        coil_queue_close(&all.queue);
        coil_event_set(&all.bell);
        run_out();
        ASSERT_EQ(0u, sched.live_count);
        for (item_channel &channel : all.channels) {
            empty(&channel);
            coil_channel_fini(&channel);
        }
        size_t item = 0;
        while (coil_queue_try_get(&all.queue, &item) == 0)
            all.receive_ended(item);
        coil_queue_fini(&all.queue);
        coil_event_fini(&all.bell);
        for (const item_record &record : all.items)
            ASSERT_EQ(record.state == WAS_SENT ? 1 : 0, record.received_count);
    }

    void run(unsigned seed, int turns)
    {
        SCOPED_TRACE(testing::Message() << "COIL_SEED=" << seed);
        begin(seed);
        for (int i = 0; i < turns && !HasFailure(); i++)
            turn();
        end();
    }

    market all = {};
};

TEST_F(SelectStress, EveryItemArrivesExactlyOnce)
{
    for (const unsigned seed : seeds(50)) {
        run(seed, 1000);
        if (HasFatalFailure())
            return;
    }
}

TEST_F(SelectStress, DoesAllThatItShould)
{
    run(1, 10000);
    for (const size_t count : all.was_done)
        EXPECT_LT(200u, count);
    EXPECT_LT(500u, all.cancel_count);
}

} // namespace
