/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <coil/write_buffer.h>

#include <sys/socket.h>

#include <coil/sugar.h>

namespace
{

/* A wire with a buffer in front of it. */
async(int, read_so_much, (Wire *) wire, (size_t) size)
{
    vars(coil_slice in);
    while (wire->got.size() < size) {
        attempt(my->in, coil_read_some(wire->other));
        if (my->in.size_bytes == 0)
            return 0;
        wire->got += text_of(my->in);
        coil_slice_release(&my->in);
    }
    return 0;
}

int put(coil_write_buffer *buffer, const std::string &text)
{
    return coil_write_buffer_put(buffer, text.data(), text.size());
}

void init_with_marks(coil_write_buffer *buffer, coil_stream *stream, size_t high, size_t low)
{
    const coil_write_buffer_options options = {high, low};
    coil_write_buffer_init(buffer, stream, &options);
}

async(int, write_and_flush, (Wire *) wire)
{
    vars(coil_write_buffer out; coil_group group);

    coil_write_buffer_init(&my->out, wire->one, NULL);
    defer(coil_write_buffer_fini(&my->out));
    open_group(&my->group);
    spawn(&my->group, coil_write_buffer_run(&my->out));
    EXPECT_EQ(0, put(&my->out, "hello "));
    EXPECT_EQ(0, put(&my->out, ""));
    EXPECT_EQ(0, put(&my->out, "world"));
    EXPECT_EQ(11u, my->out.queued_bytes);
    attempt(coil_write_buffer_flush(&my->out));
    EXPECT_EQ(0u, my->out.queued_bytes);
    EXPECT_EQ(11u, my->out.written_bytes);
    attempt(read_so_much(wire, 11));
    EXPECT_EQ("hello world", wire->got);
    EXPECT_EQ(0, put(&my->out, "last"));
    coil_write_buffer_finish(&my->out);
    EXPECT_EQ(-EPIPE, put(&my->out, "more"));
    attempt(coil_write_buffer_flush(&my->out));
    EXPECT_EQ(15u, my->out.written_bytes);
    attempt(coil_group_join(&my->group));
    attempt(coil_write_buffer_flush(&my->out)); /* Nothing has been lost. */
    attempt(coil_write_buffer_drain(&my->out));
    EXPECT_EQ(-EPIPE, put(&my->out, "more"));
    attempt(read_so_much(wire, 15));
    EXPECT_EQ("hello worldlast", wire->got);
    return 0;
}

TEST(WriteBuffer, WritesWhatIsPutAndEndsWhenThatIsOut)
{
    EXPECT_EQ(0, RUN_ON_WIRE(write_and_flush));
}

async(int, fill_up, (Wire *) wire)
{
    vars(coil_write_buffer out; coil_group group; coil_group readers; size_t put_bytes; int rc);

    wire->shrink();
    init_with_marks(&my->out, wire->one, 10000, 2000);
    defer(coil_write_buffer_fini(&my->out));
    open_group(&my->group);
    spawn(&my->group, coil_write_buffer_run(&my->out));
    do {
        do {
            my->rc = put(&my->out, std::string(900, 'x'));
            my->put_bytes += my->rc == 0 ? 900 : 0;
            EXPECT_LT(my->out.queued_bytes, 10000u + 900u);
        } while (my->rc == 0);
        EXPECT_EQ(-EAGAIN, my->rc);
        await(coil_sleep(coil_ms(1)));
    } while (my->out.queued_bytes < 10000);

    await(my->rc, within(coil_s(1), coil_write_buffer_drain(&my->out)));
    EXPECT_EQ(-ETIME, my->rc) << "nobody reads";
    open_group(&my->readers);
    spawn(&my->readers, read_so_much(wire, my->put_bytes - 1500));
    attempt(coil_write_buffer_drain(&my->out));
    EXPECT_LE(my->out.queued_bytes, 2000u);
    EXPECT_EQ(0, put(&my->out, "y"));
    attempt(coil_group_join(&my->readers));
    spawn(&my->group, read_so_much(wire, my->put_bytes + 1));
    attempt(coil_write_buffer_flush(&my->out));
    EXPECT_EQ(my->put_bytes + 1, my->out.written_bytes);
    coil_write_buffer_finish(&my->out);
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST(WriteBuffer, RefusesMoreAboveTheHighMarkAndDrainsToTheLowOne)
{
    EXPECT_EQ(0, RUN_ON_WIRE(fill_up));
}

async(int, drain_it, (coil_write_buffer *) out, (bool *) is_drained)
{
    vars();
    attempt(coil_write_buffer_drain(out));
    *is_drained = true;
    return 0;
}

/* Of what the kernel has: a stream would take all of it at once. */
void take_raw(Wire *wire, size_t size)
{
    std::string bytes(size, '\0');
    const ssize_t count = recv(coil_stream_fd(wire->other), bytes.data(), size, MSG_DONTWAIT);
    if (count > 0)
        wire->got += bytes.substr(0, static_cast<size_t>(count));
}

/* The reader takes a little at a time, and all that follows from that happens before the next. */
async(int, drain_slowly, (Wire *) wire)
{
    vars(coil_write_buffer out; coil_group group; size_t put_bytes; bool is_drained; int steps);

    wire->shrink();
    init_with_marks(&my->out, wire->one, 50000, 10000);
    defer(coil_write_buffer_fini(&my->out));
    open_group(&my->group);
    while (put(&my->out, std::string(1000, 'x')) == 0)
        my->put_bytes += 1000;
    EXPECT_EQ(50000u, my->out.queued_bytes);
    spawn(&my->group, drain_it(&my->out, &my->is_drained));
    spawn(&my->group, coil_write_buffer_run(&my->out));
    while (wire->got.size() < my->put_bytes) {
        await(coil_sleep(coil_ms(1)));
        EXPECT_EQ(my->out.queued_bytes <= 10000, my->is_drained) << my->out.queued_bytes;
        my->steps += my->out.queued_bytes > 10000;
        take_raw(wire, 1000);
    }
    EXPECT_LT(3, my->steps) << "there was something to see between the marks";
    coil_write_buffer_finish(&my->out);
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST(WriteBuffer, TellsWhoDrainsAtTheLowMarkAndNotSooner)
{
    EXPECT_EQ(0, RUN_ON_WIRE(drain_slowly));
}

/* What fills it to a mark exactly, to a byte less, and to one more. */
async(int, meet_the_mark, (Wire *) wire)
{
    vars(coil_write_buffer out; coil_group group; int i; size_t size; size_t put_bytes);

    init_with_marks(&my->out, wire->one, 1000, 500);
    defer(coil_write_buffer_fini(&my->out));
    open_group(&my->group);
    spawn(&my->group, coil_write_buffer_run(&my->out));
    for (my->i = -1; my->i <= 1; my->i++) {
        my->size = static_cast<size_t>(1000 + my->i);
        EXPECT_EQ(0, put(&my->out, std::string(my->size, static_cast<char>('b' + my->i))));
        my->put_bytes += my->size;
        EXPECT_EQ(my->i < 0 ? 0 : -EAGAIN, put(&my->out, "z"));
        my->put_bytes += my->i < 0;
        attempt(coil_write_buffer_flush(&my->out));
        EXPECT_EQ(my->put_bytes, my->out.written_bytes);
    }
    attempt(read_so_much(wire, my->put_bytes));
    EXPECT_TRUE(wire->got ==
                std::string(999, 'a') + "z" + std::string(1000, 'b') + std::string(1001, 'c'));
    coil_write_buffer_finish(&my->out);
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST(WriteBuffer, LosesNothingAtItsMarks)
{
    EXPECT_EQ(0, RUN_ON_WIRE(meet_the_mark));
}

async(int, lose_the_peer, (Wire *) wire)
{
    vars(coil_write_buffer out; coil_group group; int rc; int64_t ran);

    coil_write_buffer_init(&my->out, wire->one, NULL);
    defer(coil_write_buffer_fini(&my->out));
    open_group(&my->group);
    my->group.keep_going = true;
    coil_spawn_result(&my->group, &my->ran, coil_write_buffer_run(&my->out));
    coil_stream_close(wire->other);
    wire->other = NULL;
    await(coil_sleep(coil_ms(1)));
    EXPECT_EQ(0, put(&my->out, "into the void"));
    await(my->rc, coil_write_buffer_flush(&my->out));
    EXPECT_EQ(-EPIPE, my->rc);
    EXPECT_EQ(-EPIPE, put(&my->out, "again"));
    await(my->rc, coil_write_buffer_drain(&my->out));
    EXPECT_EQ(-EPIPE, my->rc);
    ignore(coil_group_join(&my->group));
    EXPECT_EQ(-EPIPE, my->ran);
    return 0;
}

TEST(WriteBuffer, TellsEverybodyOfAnError)
{
    EXPECT_EQ(0, RUN_ON_WIRE(lose_the_peer));
}

async(int, flush_it, (coil_write_buffer *) out)
{
    vars(int rc);
    await(my->rc, coil_write_buffer_flush(out));
    EXPECT_EQ(-ECANCELED, my->rc);
    return 0;
}

async(int, cancel_the_runner, (Wire *) wire)
{
    vars(coil_write_buffer out; coil_group group; coil_group others; coil_task *runner);

    wire->shrink();
    coil_write_buffer_init(&my->out, wire->one, NULL);
    defer(coil_write_buffer_fini(&my->out));
    open_group(&my->group);
    my->runner = spawn(&my->group, coil_write_buffer_run(&my->out));
    EXPECT_EQ(0, put(&my->out, std::string(60000, 'z')));
    open_group(&my->others);
    spawn(&my->others, flush_it(&my->out));
    await(coil_sleep(coil_ms(10)));
    coil_task_cancel(my->runner);
    attempt(coil_group_join(&my->others));
    ignore(coil_group_join(&my->group));
    EXPECT_EQ(-ECANCELED, put(&my->out, "x"));
    EXPECT_EQ(60000u, my->out.queued_bytes + my->out.written_bytes);
    EXPECT_EQ(coil_stream_bytes_written(wire->one), my->out.written_bytes);
    /* It was cut between two parts, not within: others may still write. */
    spawn(&my->group, read_so_much(wire, my->out.written_bytes + 3));
    attempt(coil_write_all(wire->one, coil_text("end")));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ(std::string(my->out.written_bytes, 'z') + "end", wire->got);
    return 0;
}

TEST(WriteBuffer, CountsWhatIsOutWhenItIsCancelled)
{
    EXPECT_EQ(0, RUN_ON_WIRE(cancel_the_runner));
}

/* Some put, drain and give up at any time; others read. What was put comes, in order. */
struct Ledger {
    coil_write_buffer out;
    std::string put;
    Wire *wire;
};

/* (Objects with destructors do not live across an await.) */
int put_some(Ledger *ledger)
{
    std::mt19937 *random = &ledger->wire->random;
    const std::string text((*random)() % 3000, static_cast<char>('a' + (*random)() % 26));
    const int rc = put(&ledger->out, text);
    EXPECT_TRUE(rc == 0 || rc == -EAGAIN) << rc;
    if (rc == 0)
        ledger->put += text;
    return rc;
}

async(int, put_at_random, (Ledger *) ledger)
{
    vars(int i; int rc);

    for (my->i = 0; my->i < 200; my->i++) {
        my->rc = put_some(ledger);
        if (my->rc == -EAGAIN)
            ignore(within(
                    coil_us(ledger->wire->random() % 1000), coil_write_buffer_drain(&ledger->out)));
        if (ledger->wire->random() % 20 == 0)
            ignore(within(
                    coil_us(ledger->wire->random() % 1000), coil_write_buffer_flush(&ledger->out)));
    }
    return 0;
}

async(int, read_at_random, (Wire *) wire)
{
    vars(coil_slice in);
    for (;;) {
        attempt(my->in, coil_read_some(wire->other));
        if (my->in.size_bytes == 0)
            return 0;
        wire->got += text_of(my->in);
        coil_slice_release(&my->in);
        if (wire->random() % 2 == 0)
            await(coil_sleep(coil_us(wire->random() % 400)));
    }
}

async(int, use_at_random, (Wire *) wire)
{
    vars(Ledger *ledger; coil_group group; coil_group putters; int i);

    wire->shrink();
    my->ledger = new Ledger();
    my->ledger->wire = wire;
    init_with_marks(&my->ledger->out, wire->one, 8000, 1000);
    defer({
        coil_write_buffer_fini(&my->ledger->out);
        delete my->ledger;
    });
    open_group(&my->group);
    spawn(&my->group, coil_write_buffer_run(&my->ledger->out));
    spawn(&my->group, read_at_random(wire));
    open_group(&my->putters);
    for (my->i = 0; my->i < 3; my->i++)
        spawn(&my->putters, put_at_random(my->ledger));
    attempt(coil_group_join(&my->putters));
    attempt(coil_write_buffer_flush(&my->ledger->out));
    coil_write_buffer_finish(&my->ledger->out);
    attempt(coil_stream_shutdown(wire->one));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ(my->ledger->put.size(), my->ledger->out.written_bytes);
    EXPECT_TRUE(my->ledger->put == wire->got);
    return 0;
}

TEST(WriteBuffer, LosesNothingAtRandom)
{
    for (unsigned seed = 1; seed <= wire_seeds(5); seed++) {
        SCOPED_TRACE(seed);
        Wire wire(seed);
        EXPECT_EQ(0, RUN_ON(SOCKETS, &wire, use_at_random));
    }
}

} // namespace
