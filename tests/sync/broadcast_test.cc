/* SPDX-License-Identifier: MIT */
#include <coil/broadcast.h>

#include "parcel.h"
#include "world.h"

#include <array>
#include <deque>
#include <random>

#include <coil/sugar.h>

namespace
{

using parcel_broadcast = coil_broadcast_of(parcel);

struct listener {
    parcel_broadcast *news;
    coil_subscriber me;
    coil_duration limit;
    parcel item;
    numbers heard;
    int missed;
    int rc; /* 1000: the call has not come back. */
    bool went_on;
};

} // namespace

/* Everything until the end. */
async(int, listen_on, (listener *) who)
{
    vars();

    for (;;) {
        await(who->rc, within(who->limit, coil_broadcast_receive(who->news, &who->me, &who->item)));
        if (who->rc < 0)
            return who->rc;
        expect_whole(who->item);
        who->missed += who->rc;
        who->heard.push_back(who->item.number);
    }
}

async(int, listen_once, (listener *) who)
{
    vars();

    await(who->rc, within(who->limit, coil_broadcast_receive(who->news, &who->me, &who->item)));
    if (who->rc >= 0)
        who->heard.push_back(who->item.number);
    await(coil_yield());
    who->went_on = true;
    return 0;
}

async(int, say, (parcel_broadcast *) news, (int) number, (coil_duration) limit, (int *) out_rc)
{
    vars(parcel item;);

    my->item = parcel_of(number);
    await(*out_rc, within(limit, coil_broadcast_send(news, &my->item)));
    await(coil_yield());
    if (*out_rc >= 0)
        *out_rc += 100; /* Went on. */
    return 0;
}

async(int, say_numbers, (parcel_broadcast *) news, (int) count)
{
    vars(parcel item; int i;);

    for (my->i = 0; my->i < count; my->i++) {
        my->item = parcel_of(my->i);
        attempt(coil_broadcast_send(news, &my->item));
    }
    coil_broadcast_close(news);
    return 0;
}

/* Now and then it pauses. */
async(int, listen_slowly, (listener *) who, (unsigned) seed)
{
    vars();

    for (;;) {
        attempt(who->rc, coil_broadcast_receive(who->news, &who->me, &who->item));
        who->missed += who->rc;
        who->heard.push_back(who->item.number);
        if ((static_cast<unsigned>(who->item.number) * 2654435761u + seed) % 5 == 0)
            await(coil_sleep(1));
    }
}

namespace
{

class Broadcast : public World
{
protected:
    explicit Broadcast(coil_broadcast_policy policy = COIL_BROADCAST_LAG)
    {
        coil_broadcast_init(&news, slots.data(), slots.size(), policy);
    }

    ~Broadcast() override
    {
        coil_broadcast_close(&news);
        run_out();
        for (listener &who : all)
            coil_broadcast_unsubscribe(&who.me);
        coil_broadcast_fini(&news);
    }

    listener &subscriber(coil_duration limit = COIL_FOREVER)
    {
        all.push_back({&news, {}, limit, parcel_of(-1), {}, 0, 1000, false});
        coil_broadcast_subscribe(&news, &all.back().me);
        return all.back();
    }

    int try_send(int number)
    {
        const parcel item = parcel_of(number);
        return coil_broadcast_try_send(&news, &item);
    }

    void send(int first, int end)
    {
        for (int i = first; i < end; i++)
            ASSERT_EQ(static_cast<int>(news.broadcast.subscriber_count), try_send(i));
    }

    /* What is there for it; before an item after a gap, how many are missing, negated. */
    numbers drain(listener &who)
    {
        numbers found;
        for (int rc; (rc = coil_broadcast_try_receive(&news, &who.me, &who.item)) >= 0;) {
            if (rc > 0)
                found.push_back(-rc);
            found.push_back(who.item.number);
        }
        return found;
    }

    parcel_broadcast news;
    std::array<parcel, 4> slots;
    std::deque<listener> all;
};

class PatientBroadcast : public Broadcast
{
protected:
    PatientBroadcast() : Broadcast(COIL_BROADCAST_WAIT) {}
};

TEST_F(Broadcast, GivesEveryItemToEverySubscriber)
{
    for (int i = 0; i < 10; i++)
        spawn(&sched.root, listen_on(&subscriber()));
    settle();
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(10, try_send(i));
        settle();
    }
    for (const listener &who : all) {
        ASSERT_EQ(100u, who.heard.size());
        EXPECT_EQ(0, who.missed);
        for (int i = 0; i < 100; i++)
            EXPECT_EQ(i, who.heard[static_cast<size_t>(i)]);
    }
}

TEST_F(Broadcast, IsHeardByNobodyIfNobodyHasSubscribed)
{
    EXPECT_EQ(0, try_send(1));
    EXPECT_EQ((numbers{}), drain(subscriber()));
}

TEST_F(Broadcast, BeginsWithTheFirstItemAfterSubscribing)
{
    listener &early = subscriber();
    send(0, 2);
    listener &late = subscriber();
    send(2, 4);
    EXPECT_EQ((numbers{0, 1, 2, 3}), drain(early));
    EXPECT_EQ((numbers{2, 3}), drain(late));
}

TEST_F(Broadcast, TellsHowManyItemsASlowSubscriberHasMissed)
{
    listener &slow = subscriber();
    listener &quick = subscriber();
    send(0, 4);
    EXPECT_EQ((numbers{0, 1, 2, 3}), drain(quick));
    send(4, 7);
    EXPECT_EQ((numbers{-3, 3, 4, 5, 6}), drain(slow));
    EXPECT_EQ((numbers{4, 5, 6}), drain(quick));
    send(7, 1007);
    EXPECT_EQ((numbers{-996, 1003, 1004, 1005, 1006}), drain(slow));
}

TEST_F(Broadcast, NeverMakesTheSenderWait)
{
    (void)subscriber();
    spawn(&sched.root, say_numbers(&news, 1000));
    EXPECT_FALSE(coil_sched_run(&sched, 1));
    EXPECT_TRUE(news.broadcast.closed);
}

TEST_F(Broadcast, SharesTheItemsOfOneSubscriberAmongItsTasks)
{
    listener &who = subscriber();
    for (int i = 0; i < 3; i++)
        spawn(&sched.root, listen_once(&who));
    settle();
    EXPECT_EQ(3u, length(who.me.waiters));
    send(0, 2);
    EXPECT_EQ(1u, length(who.me.waiters));
    send(2, 4);
    EXPECT_EQ((numbers{3}), drain(who));
}

TEST_F(Broadcast, CanBeHeardToTheEndAfterItWasClosed)
{
    listener &who = subscriber();
    listener &waiting = subscriber();
    send(0, 2);
    spawn(&sched.root, listen_on(&waiting));
    settle();
    coil_broadcast_close(&news);
    coil_broadcast_close(&news);
    EXPECT_EQ(-EPIPE, try_send(2));
    settle();
    EXPECT_EQ(-EPIPE, waiting.rc);
    EXPECT_EQ((numbers{0, 1}), drain(who));
    EXPECT_EQ(-EPIPE, coil_broadcast_try_receive(&news, &who.me, &who.item));
    listener &late = subscriber();
    EXPECT_EQ(-EPIPE, coil_broadcast_try_receive(&news, &late.me, &late.item));
}

TEST_F(Broadcast, DeliversWhatWasSentBeforeTheCancellation)
{
    listener &who = subscriber();
    int64_t result = 1;
    coil_task *task = coil_spawn_result(&sched.root, &result, listen_once(&who));
    settle();
    EXPECT_EQ(1, try_send(7));
    coil_task_cancel(task);
    settle();
    EXPECT_EQ((numbers{7}), who.heard);
    EXPECT_FALSE(who.went_on);
    EXPECT_EQ(-ECANCELED, result);
    EXPECT_EQ((numbers{}), drain(who));
}

TEST_F(Broadcast, KeepsWhatWasSentAfterTheCancellation)
{
    listener &who = subscriber();
    coil_task *task = spawn(&sched.root, listen_once(&who));
    settle();
    coil_task_cancel(task);
    EXPECT_EQ(1, try_send(7));
    settle();
    EXPECT_EQ(-1, who.item.number);
    EXPECT_EQ((numbers{7}), drain(who));
}

TEST_F(Broadcast, IsWaitedForUntilTheDeadlineAndNotLonger)
{
    listener &who = subscriber(coil_ms(5));
    spawn(&sched.root, listen_once(&who));
    pass(coil_ms(5) - 1);
    EXPECT_EQ(1000, who.rc);
    pass(1);
    EXPECT_EQ(-ETIME, who.rc);
    send(0, 1);
    EXPECT_EQ((numbers{0}), drain(who));
}

TEST_F(Broadcast, MayBeUnsubscribedFromTwice)
{
    listener &who = subscriber();
    coil_broadcast_unsubscribe(&who.me);
    coil_broadcast_unsubscribe(&who.me);
    EXPECT_EQ(0, try_send(1));
}

TEST_F(Broadcast, IsReceivedBySubscribersOnly)
{
    listener &who = subscriber();
    coil_broadcast_unsubscribe(&who.me);
    EXPECT_DEATH(drain(who), "who->broadcast == broadcast");
}

TEST_F(Broadcast, MayNotEndWithSubscribersNorThoseWhileTheyWait)
{
    listener &who = subscriber();
    spawn(&sched.root, listen_once(&who));
    settle();
    EXPECT_DEATH(coil_broadcast_fini(&news), "subscribers");
    EXPECT_DEATH(coil_broadcast_unsubscribe(&who.me), "waiters");
}

TEST_F(PatientBroadcast, MakesTheSenderWaitForTheSlowestSubscriber)
{
    listener &slow = subscriber();
    listener &quick = subscriber();
    send(0, 4);
    EXPECT_EQ((numbers{0, 1, 2, 3}), drain(quick));
    EXPECT_EQ(-EAGAIN, try_send(4));
    int rc[2] = {1, 1};
    spawn(&sched.root, say(&news, 4, COIL_FOREVER, &rc[0]));
    spawn(&sched.root, say(&news, 5, COIL_FOREVER, &rc[1]));
    settle();
    EXPECT_EQ(1, rc[0]);
    EXPECT_EQ(0, coil_broadcast_try_receive(&news, &slow.me, &slow.item));
    EXPECT_EQ(-EAGAIN, try_send(6)); /* The room was his who had waited longest. */
    settle();
    EXPECT_EQ(102, rc[0]);
    EXPECT_EQ(1, rc[1]);
    EXPECT_EQ((numbers{1, 2, 3, 4, 5}), drain(slow));
    EXPECT_EQ((numbers{4, 5}), drain(quick));
    settle();
    EXPECT_EQ(102, rc[1]);
}

TEST_F(PatientBroadcast, ReachesWaitingSubscribersWhenASenderIsLetIn)
{
    listener &slow = subscriber();
    listener &quick = subscriber();
    spawn(&sched.root, listen_on(&quick));
    settle();
    send(0, 4);
    settle();
    int rc = 1;
    spawn(&sched.root, say(&news, 4, COIL_FOREVER, &rc));
    settle();
    EXPECT_EQ((numbers{0, 1, 2, 3}), quick.heard);
    EXPECT_EQ(0, coil_broadcast_try_receive(&news, &slow.me, &slow.item));
    settle();
    EXPECT_EQ((numbers{0, 1, 2, 3, 4}), quick.heard);
}

TEST_F(PatientBroadcast, GoesOnIfTheSlowestUnsubscribes)
{
    listener &slow = subscriber();
    listener &quick = subscriber();
    send(0, 4);
    (void)drain(quick);
    int rc[6] = {1, 1, 1, 1, 1, 1};
    for (int i = 0; i < 6; i++)
        spawn(&sched.root, say(&news, 4 + i, COIL_FOREVER, &rc[i]));
    settle();
    coil_broadcast_unsubscribe(&slow.me);
    settle();
    EXPECT_EQ(101, rc[3]);
    EXPECT_EQ(1, rc[4]);
    coil_broadcast_unsubscribe(&quick.me);
    settle();
    EXPECT_EQ(100, rc[5]); /* Nobody hears it. */
}

TEST_F(PatientBroadcast, TellsWaitingSendersThatItIsClosed)
{
    listener &slow = subscriber();
    send(0, 4);
    int rc = 1;
    spawn(&sched.root, say(&news, 4, COIL_FOREVER, &rc));
    settle();
    coil_broadcast_close(&news);
    settle();
    EXPECT_EQ(-EPIPE, rc);
    EXPECT_EQ((numbers{0, 1, 2, 3}), drain(slow));
}

TEST_F(PatientBroadcast, LosesASenderThatIsCancelledOrLate)
{
    listener &slow = subscriber();
    send(0, 4);
    int rc[3] = {1, 1, 1};
    coil_task *task = spawn(&sched.root, say(&news, 4, COIL_FOREVER, &rc[0]));
    spawn(&sched.root, say(&news, 5, coil_ms(5), &rc[1]));
    spawn(&sched.root, say(&news, 6, COIL_FOREVER, &rc[2]));
    settle();
    coil_task_cancel(task);
    pass(coil_ms(5));
    EXPECT_EQ(1, rc[0]);
    EXPECT_EQ(-ETIME, rc[1]);
    EXPECT_EQ((numbers{0, 1, 2, 3, 6}), drain(slow));
    settle();
    EXPECT_EQ(101, rc[2]);
}

TEST_F(PatientBroadcast, LetsNobodyMissAnything)
{
    for (unsigned i = 0; i < 20; i++)
        spawn(&sched.root, listen_slowly(&subscriber(), i * 977));
    spawn(&sched.root, say_numbers(&news, 1000));
    run_out();
    for (const listener &who : all) {
        EXPECT_EQ(0, who.missed);
        ASSERT_EQ(1000u, who.heard.size());
        for (int i = 0; i < 1000; i++)
            EXPECT_EQ(i, who.heard[static_cast<size_t>(i)]);
    }
}

TEST_F(Broadcast, AccountsForEveryItemThatASlowSubscriberMisses)
{
    std::mt19937 random(1);
    for (unsigned i = 0; i < 20; i++)
        spawn(&sched.root, listen_slowly(&subscriber(), i * 977));
    settle();
    for (int i = 0; i < 5000; i++) {
        EXPECT_EQ(20, try_send(i));
        if (random() % 3 == 0)
            pass(1);
    }
    coil_broadcast_close(&news);
    run_out();
    for (const listener &who : all) {
        EXPECT_EQ(5000, who.missed + static_cast<int>(who.heard.size()));
        EXPECT_LT(0, who.missed);
        for (size_t i = 1; i < who.heard.size(); i++)
            ASSERT_LT(who.heard[i - 1], who.heard[i]);
    }
}

} // namespace
