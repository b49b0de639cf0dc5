/* SPDX-License-Identifier: MIT */
#include <coil/channel.h>

#include "parcel.h"
#include "world.h"

#include <algorithm>
#include <array>
#include <deque>
#include <memory>

#include <coil/sugar.h>

namespace
{

using parcel_channel = coil_channel_of(parcel);

struct courier {
    parcel_channel *channel;
    numbers *order; /* What was received, or whose send succeeded. */
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

async(int, send_one, (courier *) who)
{
    vars();

    await(who->rc, within(who->limit, coil_channel_send(who->channel, &who->item)));
    if (who->rc < 0)
        return who->rc;
    note(who);
    await(coil_yield());
    who->went_on = true;
    return 0;
}

async(int, receive_one, (courier *) who)
{
    vars();

    await(who->rc, within(who->limit, coil_channel_receive(who->channel, &who->item)));
    if (who->rc < 0)
        return who->rc;
    note(who);
    await(coil_yield());
    who->went_on = true;
    return 0;
}

async(int, send_numbers, (parcel_channel *) channel, (int) first, (int) count)
{
    vars(int i; parcel item;);

    for (my->i = first; my->i < first + count; my->i++) {
        my->item = parcel_of(my->i);
        attempt(coil_channel_send(channel, &my->item));
    }
    return 0;
}

/* Until the channel ends. */
async(int, receive_numbers, (parcel_channel *) channel, (numbers *) out_numbers)
{
    vars(int rc; parcel item;);

    for (;;) {
        await(my->rc, coil_channel_receive(channel, &my->item));
        if (my->rc < 0)
            return my->rc == -EPIPE ? 0 : my->rc;
        out_numbers->push_back(my->item.number);
    }
}

async(int, crowd, (std::deque<courier> *) all)
{
    vars(coil_group group; size_t i;);

    open_group(&my->group);
    for (my->i = 0; my->i < all->size(); my->i++)
        spawn(&my->group, receive_one(&(*all)[my->i]));
    attempt(coil_group_join(&my->group));
    return 0;
}

async(int, send_in_clean_up, (courier *) who)
{
    vars();

    defer(ignore(send_one(who)));
    await(coil_sleep(COIL_FOREVER));
    return 0;
}

namespace
{

/* Every property that does not depend on the buffer is tested with and without one. */
class Channel : public World, public testing::WithParamInterface<size_t>
{
protected:
    Channel()
    {
        coil_channel_init(&channel, GetParam() == 0 ? nullptr : slots.data(), GetParam());
    }

    ~Channel() override
    {
        coil_channel_close(&channel);
        run_out();
        coil_channel_fini(&channel);
    }

    int capacity() const
    {
        return static_cast<int>(GetParam());
    }

    courier &sender_of(int number, coil_duration limit = COIL_FOREVER)
    {
        couriers.push_back({&channel, &was_sent, limit, parcel_of(number), 1, false});
        return couriers.back();
    }

    courier &receiver(coil_duration limit = COIL_FOREVER)
    {
        couriers.push_back({&channel, &received, limit, parcel_of(-1), 1, false});
        return couriers.back();
    }

    int try_send(int number)
    {
        const parcel item = parcel_of(number);
        return coil_channel_try_send(&channel, &item);
    }

    int try_receive()
    {
        parcel item = parcel_of(-1);
        const int rc = coil_channel_try_receive(&channel, &item);
        return rc < 0 ? rc : item.number;
    }

    /* Fill the buffer with 0, 1, 2 ... */
    void fill()
    {
        for (int i = 0; i < capacity(); i++)
            ASSERT_EQ(0, try_send(i));
    }

    numbers drain()
    {
        numbers left;
        for (int number; (number = try_receive()) >= 0;)
            left.push_back(number);
        return left;
    }

    static numbers up_to(int end)
    {
        numbers all;
        for (int i = 0; i < end; i++)
            all.push_back(i);
        return all;
    }

    parcel_channel channel;
    std::array<parcel, 4> slots;
    std::deque<courier> couriers;
    numbers was_sent, received;
};

TEST_P(Channel, IsEmptyAtFirst)
{
    EXPECT_EQ(0u, coil_channel_count(&channel));
    EXPECT_FALSE(coil_channel_is_closed(&channel));
    EXPECT_EQ(-EAGAIN, try_receive());
}

TEST_P(Channel, IsFullAtItsCapacity)
{
    fill();
    EXPECT_EQ(GetParam(), coil_channel_count(&channel));
    EXPECT_EQ(-EAGAIN, try_send(100));
    EXPECT_EQ(up_to(capacity()), drain());
}

TEST_P(Channel, PassesEverythingFromOneTaskToAnother)
{
    spawn(&sched.root, receive_numbers(&channel, &received));
    spawn(&sched.root, send_numbers(&channel, 0, 1000));
    settle();
    EXPECT_EQ(up_to(1000), received);
}

TEST_P(Channel, PassesEverythingIfTheSenderComesFirst)
{
    spawn(&sched.root, send_numbers(&channel, 0, 1000));
    settle();
    spawn(&sched.root, receive_numbers(&channel, &received));
    settle();
    EXPECT_EQ(up_to(1000), received);
}

TEST_P(Channel, ServesSendersInTheOrderOfWaiting)
{
    fill();
    for (int i = 0; i < 100; i++)
        spawn(&sched.root, send_one(&sender_of(capacity() + i)));
    settle();
    EXPECT_EQ(100u, length(channel.channel.senders));
    spawn(&sched.root, receive_numbers(&channel, &received));
    settle();
    EXPECT_EQ(up_to(100 + capacity()), received);
    EXPECT_EQ(100u, was_sent.size());
    EXPECT_TRUE(std::is_sorted(was_sent.begin(), was_sent.end()));
}

TEST_P(Channel, ServesReceiversInTheOrderOfWaiting)
{
    for (int i = 0; i < 100; i++)
        spawn(&sched.root, receive_one(&receiver()));
    settle();
    spawn(&sched.root, send_numbers(&channel, 0, 100));
    settle();
    for (size_t i = 0; i < 100; i++)
        EXPECT_EQ(static_cast<int>(i), couriers[i].item.number);
}

TEST_P(Channel, LetsNobodyOvertakeASenderThatWaits)
{
    fill();
    spawn(&sched.root, send_one(&sender_of(capacity())));
    spawn(&sched.root, send_one(&sender_of(capacity() + 1)));
    settle();
    EXPECT_EQ(0, try_receive());
    EXPECT_EQ(-EAGAIN, try_send(100));
    EXPECT_EQ(1, try_receive());
    settle();
    EXPECT_EQ((numbers{capacity(), capacity() + 1}), was_sent);
}

TEST_P(Channel, LetsNobodyOvertakeAReceiverThatWaits)
{
    spawn(&sched.root, receive_one(&receiver()));
    settle();
    ASSERT_EQ(0, try_send(0));
    EXPECT_EQ(-EAGAIN, try_receive()); /* The item was the receiver's at once. */
    settle();
    EXPECT_EQ((numbers{0}), received);
}

TEST_P(Channel, GivesWaitingSendersTheirItemsBackWhenItIsClosed)
{
    fill();
    courier &first = sender_of(100);
    courier &second = sender_of(101);
    spawn(&sched.root, send_one(&first));
    spawn(&sched.root, send_one(&second));
    settle();
    coil_channel_close(&channel);
    coil_channel_close(&channel);
    settle();
    EXPECT_TRUE(coil_channel_is_closed(&channel));
    EXPECT_EQ(-EPIPE, first.rc);
    EXPECT_EQ(-EPIPE, second.rc);
    EXPECT_EQ(-EPIPE, try_send(102));
    EXPECT_EQ(up_to(capacity()), drain());
    EXPECT_EQ(-EPIPE, try_receive());
}

TEST_P(Channel, IsDrainedAfterItWasClosed)
{
    fill();
    coil_channel_close(&channel);
    int64_t result = 1;
    coil_spawn_result(&sched.root, &result, receive_numbers(&channel, &received));
    settle();
    EXPECT_EQ(0, result);
    EXPECT_EQ(up_to(capacity()), received);
}

TEST_P(Channel, RefusesToSendAfterItWasClosed)
{
    coil_channel_close(&channel);
    courier &late = sender_of(7);
    spawn(&sched.root, send_one(&late));
    settle();
    EXPECT_EQ(-EPIPE, late.rc);
}

TEST_P(Channel, TellsAllWaitingReceiversThatItIsClosed)
{
    for (int i = 0; i < 3; i++)
        spawn(&sched.root, receive_one(&receiver()));
    settle();
    coil_channel_close(&channel);
    settle();
    for (const courier &who : couriers)
        EXPECT_EQ(-EPIPE, who.rc);
}

TEST_P(Channel, MayBeGoneBeforeThoseItHasServedRun)
{
    auto brief = std::make_unique<parcel_channel>();
    auto slot = std::make_unique<parcel[]>(4);
    coil_channel_init(brief.get(), slot.get(), GetParam());
    courier &first = receiver();
    courier &second = receiver();
    courier &third = receiver();
    first.channel = second.channel = third.channel = brief.get();
    spawn(&sched.root, receive_one(&first));
    coil_task *victim = spawn(&sched.root, receive_one(&second));
    spawn(&sched.root, receive_one(&third));
    settle();
    const parcel item = parcel_of(3);
    ASSERT_EQ(0, coil_channel_try_send(brief.get(), &item));
    coil_task_cancel(victim);
    coil_channel_close(brief.get());
    coil_channel_fini(brief.get());
    brief.reset();
    slot.reset();
    settle();
    EXPECT_EQ(0, first.rc);
    EXPECT_EQ(1, second.rc);
    EXPECT_EQ(-EPIPE, third.rc);
}

TEST_P(Channel, DeliversAnItemThatWasHandedOverBeforeTheCancellation)
{
    courier &who = receiver();
    int64_t result = 1;
    coil_task *victim = coil_spawn_result(&sched.root, &result, receive_one(&who));
    settle();
    ASSERT_EQ(0, try_send(0));
    coil_task_cancel(victim);
    coil_task_cancel(victim);
    settle();
    EXPECT_EQ((numbers{0}), received);
    EXPECT_FALSE(who.went_on); /* The cancellation came at the next await. */
    EXPECT_EQ(-ECANCELED, result);
}

TEST_P(Channel, KeepsAnItemFromAReceiverThatWasCancelledBefore)
{
    courier &who = receiver();
    courier &next = receiver();
    coil_task *victim = spawn(&sched.root, receive_one(&who));
    spawn(&sched.root, receive_one(&next));
    settle();
    coil_task_cancel(victim);
    ASSERT_EQ(0, try_send(5));
    settle();
    EXPECT_EQ(1, who.rc);
    EXPECT_EQ(-1, who.item.number); /* Untouched. */
    EXPECT_EQ(5, next.item.number);
}

TEST_P(Channel, ReportsASendThatHappenedBeforeTheCancellation)
{
    fill();
    courier &who = sender_of(capacity());
    int64_t result = 1;
    coil_task *victim = coil_spawn_result(&sched.root, &result, send_one(&who));
    settle();
    EXPECT_EQ(0, try_receive());
    coil_task_cancel(victim);
    settle();
    EXPECT_EQ((numbers{capacity()}), was_sent);
    EXPECT_FALSE(who.went_on);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_P(Channel, DoesNotSendWhatWasCancelledBefore)
{
    fill();
    courier &who = sender_of(100);
    coil_task *victim = spawn(&sched.root, send_one(&who));
    spawn(&sched.root, send_one(&sender_of(101)));
    settle();
    coil_task_cancel(victim);
    numbers expected = up_to(capacity());
    expected.push_back(101);
    EXPECT_EQ(expected, drain());
    settle();
    EXPECT_EQ(1, who.rc);
}

TEST_P(Channel, KeepsTheOrderIfSendersInTheMiddleAreCancelled)
{
    fill();
    std::vector<coil_task *> tasks;
    for (int i = 0; i < 10; i++)
        tasks.push_back(spawn(&sched.root, send_one(&sender_of(capacity() + i))));
    settle();
    for (size_t i = 0; i < 10; i += 2)
        coil_task_cancel(tasks[i]);
    numbers expected = up_to(capacity());
    for (int i = 1; i < 10; i += 2)
        expected.push_back(capacity() + i);
    EXPECT_EQ(expected, drain());
}

TEST_P(Channel, IsRefusedToATaskThatIsBeingCancelled)
{
    courier &who = sender_of(7);
    coil_task_cancel(spawn(&sched.root, send_one(&who)));
    settle();
    EXPECT_EQ(1, who.rc);
    EXPECT_EQ(-EAGAIN, try_receive());
}

TEST_P(Channel, IsWaitedForUntilTheDeadlineAndNotLonger)
{
    fill();
    courier &who = sender_of(100, coil_ms(5));
    spawn(&sched.root, send_one(&who));
    pass(coil_ms(5) - 1);
    EXPECT_EQ(1, who.rc);
    pass(1);
    EXPECT_EQ(-ETIME, who.rc);
    EXPECT_EQ(up_to(capacity()), drain());

    courier &other = receiver(coil_ms(5));
    spawn(&sched.root, receive_one(&other));
    pass(coil_ms(5));
    EXPECT_EQ(-ETIME, other.rc);
    EXPECT_TRUE(coil_list_empty(&channel.channel.receivers));
}

TEST_P(Channel, DeliversIfTheDeadlineComesAfterTheHandOverInOneTurn)
{
    courier &who = receiver(coil_ms(5));
    spawn(&sched.root, receive_one(&who));
    settle();
    ASSERT_EQ(0, try_send(1));
    coil_sched_advance(&sched, coil_ms(5));
    settle();
    EXPECT_EQ(0, who.rc);
    EXPECT_TRUE(who.went_on); /* The deadline was one for the receive alone. */
}

TEST_P(Channel, DoesNotDeliverIfTheDeadlineComesBeforeTheSendInOneTurn)
{
    courier &who = receiver(coil_ms(5));
    spawn(&sched.root, receive_one(&who));
    settle();
    coil_sched_advance(&sched, coil_ms(5));
    EXPECT_EQ(GetParam() == 0 ? -EAGAIN : 0, try_send(1));
    settle();
    EXPECT_EQ(-ETIME, who.rc);
    EXPECT_EQ(-1, who.item.number);
}

TEST_P(Channel, CanBeUsedByATaskThatCleansUp)
{
    fill();
    courier &who = sender_of(capacity());
    coil_task *task = spawn(&sched.root, send_in_clean_up(&who));
    settle();
    coil_task_cancel(task);
    settle();
    coil_task_cancel(task); /* Masked. */
    EXPECT_EQ(up_to(capacity() + 1), drain());
    settle();
    EXPECT_TRUE(who.went_on);
}

TEST_P(Channel, KeepsTasksWaitingThatAreWokenForAnotherReason)
{
    courier &who = receiver();
    coil_task *task = spawn(&sched.root, receive_one(&who));
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_EQ(1, who.rc);
    ASSERT_EQ(0, try_send(1));
    settle();
    EXPECT_TRUE(who.went_on);
}

TEST_P(Channel, OutlivesTheCancellationOfAHundredReceivers)
{
    for (int i = 0; i < 100; i++)
        (void)receiver();
    coil_task *task = spawn(&sched.root, crowd(&couriers));
    settle();
    EXPECT_EQ(100u, length(channel.channel.receivers));
    courier stranger = {&channel, &received, COIL_FOREVER, parcel_of(-1), 1, false};
    spawn(&sched.root, receive_one(&stranger));
    settle();
    coil_task_cancel(task);
    EXPECT_EQ(0, try_send(1));
    settle();
    EXPECT_EQ((numbers{1}), received);
    EXPECT_TRUE(stranger.went_on);
}

TEST_P(Channel, MayNotEndWhileSomebodyWaits)
{
    spawn(&sched.root, receive_one(&receiver()));
    settle();
    EXPECT_DEATH(coil_channel_fini(&channel), "receivers");
    ASSERT_EQ(0, try_send(0));
    settle();
    fill();
    spawn(&sched.root, send_one(&sender_of(100)));
    settle();
    EXPECT_DEATH(coil_channel_fini(&channel), "senders");
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutBuffer, Channel, testing::Values(0, 1, 4));

class RendezvousChannel : public Channel
{
};

TEST_P(RendezvousChannel, IsNotDoneSendingBeforeSomebodyReceives)
{
    courier &who = sender_of(7);
    spawn(&sched.root, send_one(&who));
    pass(coil_s(1));
    EXPECT_EQ(1, who.rc);
    EXPECT_EQ(7, try_receive());
    settle();
    EXPECT_EQ(0, who.rc);
}

TEST_P(RendezvousChannel, RefusesToTryWithoutAPartner)
{
    EXPECT_EQ(-EAGAIN, try_send(1));
    EXPECT_EQ(-EAGAIN, try_receive());
    EXPECT_EQ(0u, coil_channel_count(&channel));
}

INSTANTIATE_TEST_SUITE_P(WithoutBuffer, RendezvousChannel, testing::Values(0));

TEST(ChannelMisuse, NeedsMemoryForItsBuffer)
{
    parcel_channel channel;
    EXPECT_DEATH(coil_channel_init(&channel, nullptr, 1), "storage != NULL");
}

} // namespace
