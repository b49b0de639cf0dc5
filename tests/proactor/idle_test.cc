/* SPDX-License-Identifier: MIT */
/* idle.h: of many descriptors, those on which nothing happens are parked, and come back. */
#include "stage.h"

#include <vector>

extern "C" {
#include "idle.h"
}

#include <coil/sugar.h>

namespace
{

struct Connection {
    Fd in;
    coil_receiver *receiver;
    std::string got;
    int64_t end = INT64_MIN;
};

/* Read to the end of the stream; whoever has to wait too long tries again. */
async(int, listens, (Connection *) connection, (coil_duration) patience)
{
    vars(coil_slice slice);
    for (;;) {
        await(my->slice, within(patience, coil_receiver_next(connection->receiver)));
        if (my->slice.size_bytes == -ETIME)
            continue;
        connection->end = my->slice.size_bytes;
        if (my->slice.size_bytes <= 0)
            return 0;
        connection->got.append(my->slice.bytes, static_cast<size_t>(my->slice.size_bytes));
        coil_slice_release(&my->slice);
    }
}

class Idle : public Proactor
{
protected:
    /* So many who have received a byte, and wait for more; on streams, pipes, all there is. */
    void connect(size_t count, Ends (*make)() = make_unix,
            coil_transport transport = COIL_TRANSPORT_SOCKET, coil_duration patience = COIL_FOREVER)
    {
        size_t before = connections.size();
        for (size_t i = 0; i < count; i++) {
            Ends ends = make();
            connections.push_back({std::move(ends.in), nullptr, "", INT64_MIN});
            EXPECT_EQ(0, coil_receiver_create(loop, ends.out.release(), transport,
                                 &connections.back().receiver));
        }
        for (size_t i = before; i < connections.size(); i++) {
            coil_spawn(coil_loop_root(loop), listens(&connections[i], patience));
            put(connections[i].in, "a");
        }
        pass();
    }

    /* The loop runs for a moment, and its tasks go on in the next. */
    void pass(coil_duration duration = coil_ms(3))
    {
        EXPECT_EQ(0, coil_loop_run_until(loop, coil_sleep(duration)));
    }

    /* As if two seconds had passed since the last time. */
    void look_now()
    {
        coil_timer_disarm(&loop->sched.wheel, &loop->idle.timer);
        loop->idle.timer.fire(&loop->idle.timer);
    }

    void look(int count)
    {
        for (int i = 0; i < count; i++) {
            look_now();
            pass();
        }
    }

    uint64_t parkings() const
    {
        return coil_loop_statistics(loop).parkings;
    }

    bool watches() const
    {
        return coil_timer_armed(&loop->idle.timer);
    }

    void say_all(const std::string &words)
    {
        for (Connection &connection : connections)
            put(connection.in, words);
        pass(coil_ms(20));
    }

    void expect_all(const std::string &got)
    {
        for (Connection &connection : connections)
            ASSERT_EQ(got, connection.got);
    }

    /* All readers get to the end, and then each has got exactly this. */
    void hang_up(const std::string &got)
    {
        for (Connection &connection : connections)
            connection.in.reset();
        run();
        expect_all(got);
        for (Connection &connection : connections)
            coil_receiver_close(connection.receiver);
        connections.clear();
    }

    std::deque<Connection> connections;
};

TEST_F(Idle, FewAreNotEvenLookedAt)
{
    connect(63);
    EXPECT_FALSE(watches());
    connect(1);
    EXPECT_TRUE(watches());
    hang_up("a");
}

TEST_F(Idle, ManyAreParkedWhenTheyAreSilentAndThenNobodyLooksAnyMore)
{
    connect(80);
    look(2);
    EXPECT_EQ(0u, parkings()) << "not for two whole ticks";
    look(1);
    EXPECT_EQ(80u, parkings());
    EXPECT_FALSE(watches());
    uint64_t turns = coil_loop_statistics(loop).turns;
    pass(coil_ms(50));
    EXPECT_GT(turns + 5, coil_loop_statistics(loop).turns);
    hang_up("a");
}

TEST_F(Idle, TheTimerParksThem)
{
    connect(64);
    /* As if it was later. */
    for (int i = 0; i < 3; i++) {
        ASSERT_TRUE(watches());
        coil_timer_arm(&loop->sched.wheel, &loop->idle.timer, 0);
        pass();
    }
    EXPECT_EQ(64u, parkings());
    EXPECT_FALSE(watches());
    hang_up("a");
}

TEST_F(Idle, WhatIsParkedWakesAndMayBeParkedAgain)
{
    connect(40, make_unix);
    connect(40, make_tcp);
    connect(40, make_pipe, COIL_TRANSPORT_FILE);
    std::string all = "a";
    for (uint64_t round = 1; round <= 3; round++) {
        look(3);
        EXPECT_EQ(120u * round, parkings());
        say_all("bc");
        all += "bc";
        expect_all(all);
        EXPECT_TRUE(watches());
    }
    hang_up(all);
}

TEST_F(Idle, TheBusyOneIsNotParkedHoweverManyRoundsTheOthersTake)
{
    connect(1500);
    Connection &busy = connections[700];
    for (int tick = 0; tick < 9; tick++) { /* (On a slow machine there may be more ticks.) */
        put(busy.in, "x");
        pass();
        look(1);
    }
    EXPECT_EQ(1499u, parkings());
    EXPECT_GT(1500u / 4, loop->idle.capacity) << "the list gives its memory back, too";
    EXPECT_EQ("axxxxxxxxx", busy.got);
    busy.got = "a";
    hang_up("a");
}

TEST_F(Idle, ANewWaitOnAParkedOneCostsNothing)
{
    connect(64);
    look(3);
    EXPECT_EQ(64u, parkings());
    coil_group_cancel(coil_loop_root(loop));
    (void)coil_loop_run(loop); /* Nobody waits any more, and they stay parked. */
    coil_receiver *receiver = connections[0].receiver;
    coil_task *task = coil_spawn(coil_loop_root(loop), coil_sleep(coil_s(10)));
    uint64_t completions = coil_loop_statistics(loop).completions;
    for (int i = 0; i < 5; i++) { /* As leaves do, which have a deadline. */
        coil_receiver_wait(receiver, task);
        pass();
        EXPECT_EQ(-EAGAIN, coil_receiver_look(receiver, task));
    }
    EXPECT_EQ(completions, coil_loop_statistics(loop).completions);
    coil_task_cancel(task);
    hang_up("a");
}

TEST_F(Idle, DataThatComesWhileItIsBeingParkedIsDelivered)
{
    connect(64, make_unix);
    connect(64, make_tcp);
    connect(64, make_pipe, COIL_TRANSPORT_FILE);
    look(2);
    for (Connection &connection : connections)
        put(connection.in, "b"); /* Before the cancellation is submitted, */
    look_now();
    EXPECT_EQ(192u, parkings());
    for (Connection &connection : connections)
        put(connection.in, "c"); /* and behind it. */
    pass(coil_ms(20));
    expect_all("abc");
    say_all("d");
    hang_up("abcd");
}

TEST_F(Idle, TheEndWakesWhatIsParkedAndIsBehindTheBytes)
{
    connect(64, make_tcp);
    look(3);
    EXPECT_EQ(64u, parkings());
    for (Connection &connection : connections)
        put(connection.in, "last");
    hang_up("alast");
}

TEST_F(Idle, AResetWakesWhatIsParked)
{
    connect(64, make_tcp);
    look(3);
    for (Connection &connection : connections) {
        const struct linger at_once = {1, 0};
        setsockopt(connection.in, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        connection.in.reset();
    }
    run();
    for (Connection &connection : connections) {
        EXPECT_EQ(-ECONNRESET, connection.end);
        coil_receiver_close(connection.receiver);
    }
}

TEST_F(Idle, WhatIsParkedOrBeingParkedCanBeClosed)
{
    for (int turns : {0, 1, 2}) {
        connect(64);
        look(2);
        look_now();
        for (int i = 0; i < turns; i++)
            pass();
        coil_group_cancel(coil_loop_root(loop));
        (void)coil_loop_run(loop);
        for (Connection &connection : connections)
            coil_receiver_close(connection.receiver);
        connections.clear();
        pass();
        EXPECT_EQ(1u, coil_loop_pending(loop));
        EXPECT_EQ(0u, loop->idle.count);
    }
}

} // namespace
