/* SPDX-License-Identifier: MIT */
#include <coil/select.h>

#include "select_words.h"
#include "world.h"

#include <array>
#include <deque>
#include <memory>

#include <coil/sugar.h>

namespace
{

/* Waits to receive from `in` or to send to `out`, whichever comes first. */
struct trader {
    int_channel *in;
    int_channel *out;
    coil_event *stop;
    coil_duration limit;
    int received;
    int to_send;
    int which; /* -1: the call has not come back. */
    bool went_on;
};

} // namespace

async(int, trade, (trader *) who)
{
    vars();

    await(who->which, within(who->limit, coil_select(coil_receive_from(who->in, &who->received),
                                                 coil_send_to(who->out, &who->to_send),
                                                 coil_wait_until_set(who->stop))));
    await(coil_yield());
    who->went_on = true;
    return 0;
}

async(int, send_number, (int_channel *) channel, (int) number, (int *) out_rc)
{
    vars(int number;);

    my->number = number;
    await(*out_rc, coil_channel_send(channel, &my->number));
    return 0;
}

async(int, receive_number, (int_channel *) channel, (int *) out_number, (int *) out_rc)
{
    vars();

    await(*out_rc, coil_channel_receive(channel, out_number));
    return 0;
}

async(int, send_up_to, (int_channel *) channel, (int) first, (int) end, (int) step)
{
    vars(int number;);

    for (my->number = first; my->number < end; my->number += step)
        attempt(coil_channel_send(channel, &my->number));
    coil_channel_close(channel);
    return 0;
}

/* Which of three channels that are always ready, or not, is taken. */
async(int, count_choices, (int_channel *) channels, (int) rounds, (int *) counts, (bool) in_order)
{
    vars(int number; int which; int i;);

    for (my->i = 0; my->i < rounds; my->i++) {
        if (in_order)
            attempt(my->which, coil_select_in_order(coil_receive_from(&channels[0], &my->number),
                                       coil_receive_from(&channels[1], &my->number),
                                       coil_receive_from(&channels[2], &my->number)));
        else
            attempt(my->which, coil_select(coil_receive_from(&channels[0], &my->number),
                                       coil_receive_from(&channels[1], &my->number),
                                       coil_receive_from(&channels[2], &my->number)));
        counts[my->which]++;
        if (coil_channel_try_send(&channels[my->which], &my->number) != 0)
            return -EINVAL;
    }
    return 0;
}

async(int, receive_from_many, (int_channel *) channels, (numbers *) out_order)
{
    vars(coil_select_case cases[20]; int number; int which; size_t i;);

    for (my->i = 0; my->i < 20; my->i++)
        my->cases[my->i] = coil_receive_from(&channels[my->i], &my->number);
    for (;;) {
        attempt(my->which, coil_select_among(my->cases, 20, COIL_SELECT_ANY));
        EXPECT_EQ(my->number, my->which);
        out_order->push_back(my->which);
    }
}

/* Meets its like on one channel, a hundred times, as sender or receiver. */
async(int, meet, (int_channel *) channel, (int) times, (int *) sent, (int *) received)
{
    vars(int mine; int other; int which; int i;);

    for (my->i = 0; my->i < times; my->i++) {
        attempt(my->which, coil_select(coil_send_to(channel, &my->mine),
                                   coil_receive_from(channel, &my->other)));
        ++*(my->which == 0 ? sent : received);
    }
    return 0;
}

async(int, select_nothing, (int *) out_rc)
{
    vars();

    await(*out_rc, coil_select_among(nullptr, 0, COIL_SELECT_ANY));
    return 0;
}

async(int, select_a_local, (int_channel *) channel)
{
    vars();
    int local;

    attempt(coil_select(coil_receive_from(channel, &local)));
    return 0;
}

async(int, swap_twice, (int_channel *) channel, (int *) out_a, (int *) out_b)
{
    vars();

    attempt(coil_select(coil_receive_from(channel, out_a), coil_receive_from(channel, out_b)));
    return 0;
}

namespace
{

class Select : public World
{
protected:
    Select()
    {
        for (int_channel *channel : {&a, &b, &c})
            coil_channel_init(channel, nullptr, 0);
        coil_event_init(&stop);
    }

    ~Select() override
    {
        coil_event_set(&stop);
        for (int_channel *channel : {&a, &b, &c})
            coil_channel_close(channel);
        run_out();
        for (int_channel *channel : {&a, &b, &c})
            coil_channel_fini(channel);
        coil_event_fini(&stop);
    }

    trader &trader_of(
            int_channel *in, int_channel *out, int number, coil_duration limit = COIL_FOREVER)
    {
        traders.push_back({in, out, &stop, limit, -1, number, -1, false});
        return traders.back();
    }

    static int try_send(int_channel *channel, int number)
    {
        return coil_channel_try_send(channel, &number);
    }

    static int try_receive(int_channel *channel)
    {
        int number = -1;
        const int rc = coil_channel_try_receive(channel, &number);
        return rc < 0 ? rc : number;
    }

    void expect_nobody_waits()
    {
        for (int_channel *channel : {&a, &b, &c}) {
            EXPECT_TRUE(coil_list_empty(&channel->channel.senders));
            EXPECT_TRUE(coil_list_empty(&channel->channel.receivers));
        }
        EXPECT_TRUE(coil_list_empty(&stop.waiters));
    }

    int_channel a, b, c;
    coil_event stop;
    std::deque<trader> traders;
};

TEST_F(Select, WaitsInLineForEachOfItsCases)
{
    spawn(&sched.root, trade(&trader_of(&a, &b, 7)));
    settle();
    EXPECT_EQ(1u, length(a.channel.receivers));
    EXPECT_EQ(1u, length(b.channel.senders));
    EXPECT_EQ(1u, length(stop.waiters));
}

TEST_F(Select, ReceivesAndDoesNotSend)
{
    trader &who = trader_of(&a, &b, 7);
    spawn(&sched.root, trade(&who));
    settle();
    EXPECT_EQ(0, try_send(&a, 5));
    expect_nobody_waits(); /* At once: it has not run yet. */
    EXPECT_EQ(-EAGAIN, try_receive(&b));
    EXPECT_EQ(-EAGAIN, try_send(&a, 6));
    settle();
    EXPECT_EQ(0, who.which);
    EXPECT_EQ(5, who.received);
}

TEST_F(Select, SendsAndDoesNotReceive)
{
    trader &who = trader_of(&a, &b, 7);
    spawn(&sched.root, trade(&who));
    settle();
    EXPECT_EQ(7, try_receive(&b));
    expect_nobody_waits();
    EXPECT_EQ(-EAGAIN, try_send(&a, 5));
    settle();
    EXPECT_EQ(1, who.which);
    EXPECT_EQ(-1, who.received);
}

TEST_F(Select, IsReleasedByAnEvent)
{
    trader &who = trader_of(&a, &b, 7);
    spawn(&sched.root, trade(&who));
    settle();
    coil_event_set(&stop);
    coil_event_clear(&stop);
    expect_nobody_waits();
    EXPECT_EQ(-EAGAIN, try_send(&a, 5));
    settle();
    EXPECT_EQ(2, who.which);
}

TEST_F(Select, TakesWhatIsReadyWithoutAPause)
{
    int rc = 1;
    spawn(&sched.root, send_number(&a, 5, &rc));
    settle();
    trader &who = trader_of(&a, &b, 7);
    spawn(&sched.root, trade(&who));
    EXPECT_TRUE(coil_sched_run(&sched, 1));
    EXPECT_EQ(0, who.which);
    EXPECT_EQ(5, who.received);
    settle();
    EXPECT_EQ(0, rc);
}

TEST_F(Select, MeetsAnotherSelectOnTheOtherSide)
{
    trader &first = trader_of(&a, &b, 1);
    trader &second = trader_of(&b, &c, 2);
    spawn(&sched.root, trade(&first));
    settle();
    spawn(&sched.root, trade(&second));
    settle();
    EXPECT_EQ(1, first.which);
    EXPECT_EQ(0, second.which);
    EXPECT_EQ(1, second.received);
    expect_nobody_waits();
}

TEST_F(Select, MeetsAnotherWithWhichItCouldTradeBothWaysOnlyOnce)
{
    trader &first = trader_of(&a, &b, 1);
    trader &second = trader_of(&b, &a, 2);
    spawn(&sched.root, trade(&first));
    spawn(&sched.root, trade(&second));
    settle();
    EXPECT_NE(first.which, second.which);
    if (first.which == 0) {
        EXPECT_EQ(2, first.received);
        EXPECT_EQ(-1, second.received);
    } else {
        EXPECT_EQ(-1, first.received);
        EXPECT_EQ(1, second.received);
    }
    expect_nobody_waits();
}

TEST_F(Select, DoesNotServeItself)
{
    trader &who = trader_of(&a, &a, 1);
    trader &other = trader_of(&a, &a, 2);
    spawn(&sched.root, trade(&who));
    settle();
    EXPECT_EQ(-1, who.which);
    EXPECT_EQ(1u, length(a.channel.senders));
    EXPECT_EQ(1u, length(a.channel.receivers));
    spawn(&sched.root, trade(&other));
    settle();
    EXPECT_EQ(1, who.which + other.which); /* One sends, one receives. */
    EXPECT_EQ(who.which == 0 ? 2 : 1, who.which == 0 ? who.received : other.received);
    expect_nobody_waits();
}

TEST_F(Select, MeetsItsLikeAgainAndAgain)
{
    int sent = 0, received = 0;
    for (int i = 0; i < 10; i++)
        spawn(&sched.root, meet(&a, 100, &sent, &received));
    run_out();
    EXPECT_EQ(500, sent);
    EXPECT_EQ(500, received);
}

TEST_F(Select, StandsInLineWithTasksThatDoNotSelect)
{
    int number[2] = {-1, -1}, rc[2] = {1, 1};
    spawn(&sched.root, receive_number(&a, &number[0], &rc[0]));
    trader &who = trader_of(&a, &b, 7);
    spawn(&sched.root, trade(&who));
    spawn(&sched.root, receive_number(&a, &number[1], &rc[1]));
    settle();
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(0, try_send(&a, i));
    settle();
    EXPECT_EQ(0, number[0]);
    EXPECT_EQ(1, who.received);
    EXPECT_EQ(2, number[1]);
}

TEST_F(Select, ServesSelectsInTheOrderOfWaiting)
{
    for (int i = 0; i < 100; i++)
        spawn(&sched.root, trade(&trader_of(&a, &b, i)));
    settle();
    for (int i = 0; i < 100; i += 2) {
        EXPECT_EQ(i, try_receive(&b));
        EXPECT_EQ(0, try_send(&a, 1000 + i));
    }
    settle();
    for (size_t i = 0; i < 100; i += 2) {
        EXPECT_EQ(1, traders[i].which);
        EXPECT_EQ(static_cast<int>(1000 + i), traders[i + 1].received);
    }
}

TEST_F(Select, MayNameOneChannelTwice)
{
    int first = -1, second = -1;
    spawn(&sched.root, swap_twice(&a, &first, &second));
    settle();
    EXPECT_EQ(2u, length(a.channel.receivers));
    EXPECT_EQ(0, try_send(&a, 1));
    EXPECT_EQ(-EAGAIN, try_send(&a, 2));
    settle();
    EXPECT_EQ(1, first);
    EXPECT_EQ(-1, second);
}

TEST_F(Select, DeliversWhatWasHandedOverBeforeTheCancellation)
{
    trader &who = trader_of(&a, &b, 7);
    int64_t result = 1;
    coil_task *task = coil_spawn_result(&sched.root, &result, trade(&who));
    settle();
    EXPECT_EQ(0, try_send(&a, 5));
    coil_task_cancel(task);
    coil_task_cancel(task);
    settle();
    EXPECT_EQ(0, who.which);
    EXPECT_EQ(5, who.received);
    EXPECT_FALSE(who.went_on);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Select, DoesNothingIfTheCancellationCameFirst)
{
    trader &who = trader_of(&a, &b, 7);
    int64_t result = 1;
    coil_task *task = coil_spawn_result(&sched.root, &result, trade(&who));
    settle();
    coil_task_cancel(task);
    coil_task_cancel(task);
    expect_nobody_waits();
    EXPECT_EQ(-EAGAIN, try_send(&a, 5));
    EXPECT_EQ(-EAGAIN, try_receive(&b));
    settle();
    EXPECT_EQ(-1, who.which);
    EXPECT_EQ(-ECANCELED, result);
}

TEST_F(Select, DoesNotBeginInATaskThatIsBeingCancelled)
{
    coil_event_set(&stop);
    trader &who = trader_of(&a, &b, 7);
    coil_task_cancel(spawn(&sched.root, trade(&who)));
    settle();
    EXPECT_EQ(-1, who.which);
}

TEST_F(Select, EndsAtItsDeadlineAndNoCaseTakesPlace)
{
    trader &who = trader_of(&a, &b, 7, coil_ms(5));
    spawn(&sched.root, trade(&who));
    pass(coil_ms(5) - 1);
    EXPECT_EQ(-1, who.which);
    pass(1);
    EXPECT_EQ(-ETIME, who.which);
    EXPECT_TRUE(who.went_on);
    expect_nobody_waits();
}

TEST_F(Select, IsDoneIfTheDeadlineComesAfterTheHandOverInOneTurn)
{
    trader &who = trader_of(&a, &b, 7, coil_ms(5));
    spawn(&sched.root, trade(&who));
    settle();
    EXPECT_EQ(7, try_receive(&b));
    coil_sched_advance(&sched, coil_ms(5));
    settle();
    EXPECT_EQ(1, who.which);
    EXPECT_TRUE(who.went_on);
}

TEST_F(Select, KeepsWaitingIfItIsWokenForAnotherReason)
{
    trader &who = trader_of(&a, &b, 7);
    coil_task *task = spawn(&sched.root, trade(&who));
    settle();
    coil_task_wake(task);
    settle();
    EXPECT_EQ(-1, who.which);
    EXPECT_EQ(0, try_send(&a, 5));
    settle();
    EXPECT_EQ(0, who.which);
}

TEST_F(Select, ReportsThatItsChannelIsClosed)
{
    trader &first = trader_of(&a, &b, 7);
    spawn(&sched.root, trade(&first));
    settle();
    coil_channel_close(&a);
    expect_nobody_waits();
    settle();
    EXPECT_EQ(-EPIPE, first.which);
    trader &second = trader_of(&c, &a, 7);
    spawn(&sched.root, trade(&second));
    settle();
    EXPECT_EQ(-EPIPE, second.which);
    EXPECT_EQ(-1, second.received);
}

TEST_F(Select, OutlivesTheChannelsItWasDecidedBy)
{
    auto brief = std::make_unique<int_channel>();
    auto other = std::make_unique<int_channel>();
    coil_channel_init(brief.get(), nullptr, 0);
    coil_channel_init(other.get(), nullptr, 0);
    trader &who = trader_of(brief.get(), other.get(), 7);
    spawn(&sched.root, trade(&who));
    settle();
    EXPECT_EQ(0, try_send(brief.get(), 5));
    coil_channel_fini(brief.get());
    coil_channel_fini(other.get());
    brief.reset();
    other.reset();
    settle();
    EXPECT_EQ(0, who.which);
    EXPECT_EQ(5, who.received);
}

TEST_F(Select, ReportsAtOnceThatItHasNoCases)
{
    int rc = 1;
    spawn(&sched.root, select_nothing(&rc));
    settle();
    EXPECT_EQ(-EPIPE, rc);
}

TEST_F(Select, TakesManyCasesFromAnArray)
{
    std::array<int_channel, 20> many;
    numbers order, expected;
    for (int_channel &channel : many)
        coil_channel_init(&channel, nullptr, 0);
    coil_task *task = spawn(&sched.root, receive_from_many(many.data(), &order));
    settle();
    for (int i = 0; i < 200; i++) {
        const int which = i * 7 % 20;
        EXPECT_EQ(0, try_send(&many[static_cast<size_t>(which)], which));
        expected.push_back(which);
        settle();
    }
    EXPECT_EQ(expected, order);
    coil_task_cancel(task);
    settle();
    for (int_channel &channel : many)
        coil_channel_fini(&channel);
}

TEST_F(Select, CanBeTriedWithoutWaiting)
{
    int number = -1;
    EXPECT_EQ(-EAGAIN, coil_select_try(coil_receive_from(&a, &number), coil_send_to(&b, &number)));
    int rc = 1;
    spawn(&sched.root, send_number(&a, 5, &rc));
    settle();
    EXPECT_EQ(0, coil_select_try(coil_receive_from(&a, &number), coil_send_to(&b, &number)));
    EXPECT_EQ(5, number);
    settle();
    EXPECT_EQ(0, rc);
    EXPECT_EQ(-EPIPE, coil_select_try(coil_select_if(false, coil_send_to(&b, &number))));
    coil_channel_close(&a);
    EXPECT_EQ(-EPIPE, coil_select_try(coil_receive_from(&a, &number)));
    EXPECT_EQ(1, coil_select_try(coil_select_if(false, coil_send_to(&b, &number)),
                         coil_receive_from(&a, &number, &rc)));
    EXPECT_EQ(-EPIPE, rc);
    EXPECT_EQ(5, number);
}

TEST_F(Select, RefusesLocalsWhereItMayWait)
{
#if defined COIL_STRICT_ && !defined COIL_ASAN_
    EXPECT_DEATH(
            {
                spawn(&sched.root, select_a_local(&a));
                settle();
            },
            "points at a local variable");
#else
    GTEST_SKIP() << "only strict builds look";
#endif
}

class SelectAmongReady : public World
{
protected:
    SelectAmongReady()
    {
        coil_select_seed(1);
        for (size_t i = 0; i < 3; i++)
            coil_channel_init(&channels[i], &slots[i], 1);
    }

    void make_ready(size_t i)
    {
        const int number = 0;
        ASSERT_EQ(0, coil_channel_try_send(&channels[i], &number));
    }

    std::array<int, 3> count(int rounds, bool in_order)
    {
        std::array<int, 3> counts = {};
        int64_t result = 1;
        coil_spawn_result(&sched.root, &result,
                count_choices(channels.data(), rounds, counts.data(), in_order));
        settle();
        EXPECT_EQ(0, result);
        return counts;
    }

    std::array<int_channel, 3> channels;
    std::array<int, 3> slots;
};

TEST_F(SelectAmongReady, TakesEachEquallyOften)
{
    for (size_t i = 0; i < 3; i++)
        make_ready(i);
    for (const int share : count(30000, false))
        EXPECT_NEAR(10000, share, 400); /* Five standard deviations. */
}

TEST_F(SelectAmongReady, DoesNotFavourTheOneBehindACaseThatIsNotReady)
{
    make_ready(0);
    make_ready(2);
    const std::array<int, 3> counts = count(30000, false);
    EXPECT_NEAR(15000, counts[0], 450);
    EXPECT_EQ(0, counts[1]);
    EXPECT_NEAR(15000, counts[2], 450);
}

TEST_F(SelectAmongReady, TakesTheFirstIfItGoesInOrder)
{
    make_ready(1);
    make_ready(2);
    EXPECT_EQ((std::array<int, 3>{0, 100, 0}), count(100, true));
}

TEST_F(SelectAmongReady, RepeatsItsChoicesFromASeed)
{
    for (size_t i = 0; i < 3; i++)
        make_ready(i);
    coil_select_seed(42);
    const std::array<int, 3> once = count(1000, false);
    EXPECT_NE(once, count(1000, false));
    coil_select_seed(42);
    EXPECT_EQ(once, count(1000, false));
}

/* All kinds of cases, written in C. */
class Switchboard : public World
{
protected:
    Switchboard()
    {
        coil_channel_init(&board.jobs, NULL, 0);
        coil_channel_init(&board.results, NULL, 0);
        coil_queue_init(&board.queue, board.queue_slots, 2);
        coil_broadcast_init(&board.news, board.news_slots, 2, COIL_BROADCAST_LAG);
        const int level = 1;
        coil_watch_init(&board.level, &level);
        coil_event_init(&board.stop);
    }

    ~Switchboard() override
    {
        coil_event_set(&board.stop);
        coil_channel_close(&board.jobs);
        run_out();
        coil_event_fini(&board.stop);
        coil_watch_fini(&board.level);
        coil_broadcast_fini(&board.news);
        coil_queue_fini(&board.queue);
        coil_channel_fini(&board.results);
        coil_channel_fini(&board.jobs);
    }

    void start()
    {
        spawn(&sched.root, wait_for_anything(&board, coil_ms(5), &found));
        settle();
        EXPECT_EQ(-1, found.which);
    }

    void expect(int which, int rc, int number)
    {
        EXPECT_EQ(0u, length(board.jobs.channel.receivers));
        EXPECT_EQ(0u, length(board.results.channel.senders));
        EXPECT_EQ(0u, length(board.queue.queue.getters));
        EXPECT_EQ(0u, length(board.queue.queue.putters));
        EXPECT_EQ(0u, length(board.level.watch.waiters));
        EXPECT_EQ(0u, length(board.stop.waiters));
        settle();
        EXPECT_EQ(0u, length(board.level.watch.released));
        EXPECT_EQ(which, found.which);
        EXPECT_EQ(rc, found.rc);
        EXPECT_EQ(number, found.number);
    }

    switchboard board;
    outcome found = {-1, -1, -1};
};

TEST_F(Switchboard, HearsOfAJob)
{
    start();
    const job next = {5, "five"};
    EXPECT_EQ(0, coil_channel_try_send(&board.jobs, &next));
    expect(0, 0, 5);
}

TEST_F(Switchboard, HandsOutAResult)
{
    start();
    int number = -1;
    EXPECT_EQ(0, coil_channel_try_receive(&board.results, &number));
    EXPECT_EQ(77, number);
    expect(1, 0, 77);
}

TEST_F(Switchboard, HearsOfWhatIsQueued)
{
    start();
    const int number = 6;
    EXPECT_EQ(0, coil_queue_try_put(&board.queue, &number));
    EXPECT_EQ(0u, coil_queue_count(&board.queue));
    expect(2, 0, 6);
}

TEST_F(Switchboard, HearsOfTheNews)
{
    start();
    const int number = 7;
    EXPECT_EQ(1, coil_broadcast_try_send(&board.news, &number));
    expect(3, 0, 7);
}

TEST_F(Switchboard, HearsOfAChange)
{
    start();
    for (int level = 2; level < 5; level++)
        EXPECT_EQ(0, coil_watch_set(&board.level, &level));
    expect(4, 0, 4);
}

TEST_F(Switchboard, HearsOfTheEnd)
{
    start();
    coil_event_set(&board.stop);
    expect(5, 1, 77);
}

TEST_F(Switchboard, LosesPatience)
{
    start();
    pass(coil_ms(5));
    expect(-ETIME, 1, 77);
}

TEST_F(Switchboard, SaysWhichCaseWasClosed)
{
    start();
    coil_queue_close(&board.queue);
    expect(2, -EPIPE, 77);
}

TEST_F(Switchboard, LooksWithoutWaiting)
{
    int number = -1;
    EXPECT_EQ(-EAGAIN, anything_now(&board, &number));
    coil_event_set(&board.stop);
    EXPECT_EQ(2, anything_now(&board, &number));
    coil_event_clear(&board.stop);
    const int put = 8;
    ASSERT_EQ(0, coil_queue_try_put(&board.queue, &put));
    EXPECT_EQ(1, anything_now(&board, &number));
    EXPECT_EQ(8, number);
}

TEST_F(Switchboard, TakesCompoundLiteralsWhereNobodyWaits)
{
    coil_subscriber me;
    coil_broadcast_subscribe(&board.news, &me);
    start();
    EXPECT_EQ(2, offer_literals(&board)); /* The other subscriber leaves when it runs. */
    settle();
    EXPECT_EQ(4, found.number);
    int number = 0;
    EXPECT_EQ(0, coil_queue_try_get(&board.queue, &number));
    EXPECT_EQ(5, number);
    EXPECT_EQ(6, *coil_watch_borrow(&board.level));
    EXPECT_EQ(0, coil_broadcast_try_receive(&board.news, &me, &number));
    EXPECT_EQ(7, number);
    coil_broadcast_unsubscribe(&me);
}

TEST_F(Switchboard, WorksUntilItIsToldToStop)
{
    int64_t count = -1;
    coil_spawn_result(&sched.root, &count, square_until_stopped(&board));
    settle();
    for (int i = 0; i < 100; i++) {
        const job next = {i, ""};
        ASSERT_EQ(0, coil_channel_try_send(&board.jobs, &next));
        settle();
        int square = -1;
        ASSERT_EQ(0, coil_channel_try_receive(&board.results, &square));
        EXPECT_EQ(i * i, square);
        settle();
    }
    coil_event_set(&board.stop);
    settle();
    EXPECT_EQ(100, count);
}

TEST_F(Switchboard, MergesTwoChannelsUntilBothAreClosed)
{
    int_channel odd, even;
    int sum = 0;
    int64_t result = 1;
    coil_channel_init(&odd, nullptr, 0);
    coil_channel_init(&even, nullptr, 0);
    coil_spawn_result(&sched.root, &result, sum_both(&odd, &even, &sum));
    spawn(&sched.root, send_up_to(&odd, 1, 100, 2));
    spawn(&sched.root, send_up_to(&even, 2, 51, 2));
    settle();
    EXPECT_EQ(-EPIPE, result);
    EXPECT_EQ(50 * 50 + 25 * 26, sum);
    coil_channel_fini(&odd);
    coil_channel_fini(&even);
}

} // namespace
