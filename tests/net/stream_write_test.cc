/* SPDX-License-Identifier: MIT */
/* Several slices as one write, parts of a write, turns, and peeking: by tasks on both ends. */
#include "wire.h"

#include <coil/sender.h>

#include <coil/sugar.h>

namespace
{

/* --------------------------------------------------------------------------------- peeking -- */

async(int, peek_and_read, (Wire *) wire)
{
    vars(coil_slice seen; coil_slice in);

    attempt(coil_write_all(wire->other, coil_text("length:body")));
    attempt(my->seen, coil_peek(wire->one, 7));
    EXPECT_EQ("length:", text_of(my->seen).substr(0, 7));
    EXPECT_EQ(0u, coil_stream_bytes_read(wire->one));
    attempt(my->in, coil_read_block(wire->one, 11));
    EXPECT_EQ("length:body", text_of(my->in));
    coil_slice_release(&my->in);
    EXPECT_EQ("length:", text_of(my->seen).substr(0, 7)) << "it is a slice of its own";
    coil_slice_release(&my->seen);

    await(my->seen, within(coil_s(1), coil_peek(wire->one, 1)));
    EXPECT_EQ(-ETIME, my->seen.size_bytes);
    attempt(coil_write_all(wire->other, coil_text("ab")));
    attempt(coil_stream_shutdown(wire->other));
    await(my->seen, coil_peek(wire->one, 3));
    EXPECT_EQ(-ENODATA, my->seen.size_bytes);
    attempt(my->in, coil_read_block(wire->one, 2));
    EXPECT_EQ("ab", text_of(my->in)) << "they are still there";
    coil_slice_release(&my->in);
    attempt(my->seen, coil_peek(wire->one, 1));
    EXPECT_EQ(0, my->seen.size_bytes);
    return 0;
}

TEST(StreamPeek, TakesNothing)
{
    EXPECT_EQ(0, RUN_ON_WIRE(peek_and_read));
}

async(int, peek_over_pieces, (Wire *) wire)
{
    vars(coil_slice seen; int i; char byte);

    for (my->i = 0; my->i < 300; my->i++) {
        my->byte = static_cast<char>('a' + my->i % 26);
        attempt(coil_write_all(wire->other, coil_bytes(&my->byte, 1)));
        attempt(my->seen, coil_peek(wire->one, static_cast<size_t>(my->i + 1)));
        EXPECT_EQ(my->byte, my->seen.bytes[my->i]);
        EXPECT_EQ('a', my->seen.bytes[0]);
        coil_slice_release(&my->seen);
    }
    return 0;
}

TEST(StreamPeek, LooksAtWhatHasComeInPieces)
{
    EXPECT_EQ(0, RUN_ON_WIRE(peek_over_pieces));
}

/* ---------------------------------------------------------------------------------- parts -- */

enum { WRITERS = 5, MESSAGES = 40 };

/* A message: its writer, its number, its size, and bytes that say so; in parts of any size. */
struct Message {
    std::string bytes;
    std::vector<coil_slice> parts;
};

Message *new_message(std::mt19937 *random, char writer, int number)
{
    auto *message = new Message;
    const size_t size = (*random)() % ((*random)() % 4 == 0 ? 30000 : 300);
    message->bytes = writer + std::to_string(number) + ":" + std::to_string(size) + ":";
    message->bytes.append(size, writer);
    for (size_t at = 0; at < message->bytes.size();) {
        size_t part = std::min<size_t>((*random)() % 3000, message->bytes.size() - at);
        message->parts.push_back(coil_bytes(&message->bytes[at], part)); /* Empty ones, too. */
        at += part;
    }
    return message;
}

async(int, write_messages, (Wire *) wire, (int) writer)
{
    vars(Message *message; int i; int rc);

    for (my->i = 0; my->i < MESSAGES; my->i++) {
        my->message = new_message(&wire->random, static_cast<char>('a' + writer), my->i);
        await(my->rc, coil_write_parts(wire->one, my->message->parts.data(),
                              static_cast<unsigned>(my->message->parts.size())));
        delete my->message;
        if (my->rc < 0)
            return my->rc;
        if (wire->random() % 3 == 0)
            await(coil_yield());
    }
    return 0;
}

/* (Objects with destructors do not live across an await.) */
void expect_number(const coil_slice &text, int number)
{
    EXPECT_EQ(std::to_string(number) + ":", text_of(text).substr(1));
}

async(int, read_messages, (Wire *) wire, (int) count)
{
    vars(coil_slice in; int i; size_t size; char writer; int next[26]);

    for (my->i = 0; my->i < count; my->i++) {
        attempt(my->in, coil_read_until(wire->other, ':', 100));
        my->writer = my->in.bytes[0];
        expect_number(my->in, my->next[my->writer - 'a']++);
        coil_slice_release(&my->in);
        attempt(my->in, coil_read_until(wire->other, ':', 100));
        my->size = std::stoul(text_of(my->in));
        coil_slice_release(&my->in);
        attempt(my->in, coil_read_block(wire->other, my->size));
        EXPECT_EQ(std::string(my->size, my->writer), text_of(my->in));
        coil_slice_release(&my->in);
        if (wire->random() % 10 == 0)
            await(coil_sleep(coil_us(100)));
    }
    return 0;
}

async(int, exchange_messages, (Wire *) wire)
{
    vars(coil_group group; int i);

    open_group(&my->group);
    for (my->i = 0; my->i < WRITERS; my->i++)
        spawn(&my->group, write_messages(wire, my->i));
    spawn(&my->group, read_messages(wire, WRITERS * MESSAGES));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ(coil_stream_bytes_written(wire->one), coil_stream_bytes_read(wire->other));
    return 0;
}

TEST(StreamParts, AreOneWriteEachWhateverTheirSizes)
{
    EXPECT_EQ(0, RUN_ON_WIRE(exchange_messages));
}

TEST(StreamParts, AreOneWriteEachInAPipe)
{
    Wire wire;
    EXPECT_EQ(0, RUN_ON(PIPE, &wire, exchange_messages));
}

async(int, write_no_parts, (Wire *) wire)
{
    vars(coil_slice nothing[2]; coil_slice in);
    attempt(coil_write_parts(wire->one, NULL, 0));
    attempt(coil_write_parts(wire->one, my->nothing, 2));
    EXPECT_EQ(0u, coil_stream_bytes_written(wire->one));
    return 0;
}

TEST(StreamParts, MayBeNone)
{
    EXPECT_EQ(0, RUN_ON_WIRE(write_no_parts));
}

/* ---------------------------------------------------------------------- a part of a write -- */

/* A stream of numbers; each piece with a deadline that may be too short. */
async(int, write_numbers, (Wire *) wire)
{
    vars(coil_slice rest; ssize_t count; int given_up; char bytes[100000]);

    for (size_t i = 0; i < sizeof(my->bytes); i++)
        my->bytes[i] = static_cast<char>(i * 31 >> 3);
    my->rest = coil_bytes(my->bytes, sizeof(my->bytes));
    while (my->rest.size_bytes > 0) {
        await(my->count,
                within(coil_us(wire->random() % 300), coil_write_some(wire->one, my->rest)));
        if (my->count == -ETIME) {
            my->given_up++;
            continue;
        }
        if (my->count < 0)
            return static_cast<int>(my->count);
        EXPECT_GT(my->count, 0);
        coil_slice_consume(&my->rest, my->count);
    }
    EXPECT_GT(my->given_up, 3);
    EXPECT_EQ(sizeof(my->bytes), coil_stream_bytes_written(wire->one));
    attempt(coil_stream_shutdown(wire->one));
    return 0;
}

async(int, read_numbers_slowly, (Wire *) wire)
{
    vars(coil_slice in; size_t at);

    for (;;) {
        attempt(my->in, coil_read_some(wire->other));
        if (my->in.size_bytes == 0)
            break;
        for (int64_t i = 0; i < my->in.size_bytes; i++, my->at++)
            EXPECT_EQ(static_cast<char>(my->at * 31 >> 3), my->in.bytes[i]) << my->at;
        coil_slice_release(&my->in);
        await(coil_sleep(coil_ms(1)));
    }
    EXPECT_EQ(100000u, my->at);
    return 0;
}

async(int, exchange_numbers, (Wire *) wire)
{
    vars(coil_group group);

    wire->shrink();
    open_group(&my->group);
    spawn(&my->group, write_numbers(wire));
    spawn(&my->group, read_numbers_slowly(wire));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST(StreamWriteSome, IsExactHoweverOftenItIsCancelled)
{
    EXPECT_EQ(0, RUN_ON_WIRE(exchange_numbers));
}

/* ----------------------------------------------------------------------------------- turns -- */

async(int, write_big, (Wire *) wire, (char) letter, (size_t) size)
{
    vars(char *bytes; int rc);
    my->bytes = static_cast<char *>(malloc(size));
    defer(free(my->bytes));
    memset(my->bytes, letter, size);
    await(my->rc, coil_write_all(wire->one, coil_bytes(my->bytes, size)));
    wire->log.push_back(letter);
    return my->rc;
}

async(int, flush, (Wire *) wire)
{
    vars();
    attempt(coil_stream_flush(wire->one));
    wire->log.push_back('|');
    return 0;
}

async(int, hold, (Wire *) wire)
{
    vars();
    attempt(coil_sender_hold(&coil_receiver_head_of(wire->one)->sender));
    defer(coil_sender_release(&coil_receiver_head_of(wire->one)->sender, false));
    wire->log.push_back('[');
    attempt(coil_sender_write_held(&coil_receiver_head_of(wire->one)->sender, coil_text("held")));
    await(coil_sleep(coil_ms(20)));
    attempt(coil_sender_write_held(&coil_receiver_head_of(wire->one)->sender, coil_text("HELD")));
    wire->log.push_back(']');
    return 0;
}

async(int, read_all, (Wire *) wire, (size_t) size)
{
    vars(coil_slice in);
    while (wire->got.size() < size) {
        attempt(my->in, coil_read_some(wire->other));
        if (my->in.size_bytes == 0)
            return -ENODATA;
        wire->got += text_of(my->in);
        coil_slice_release(&my->in);
    }
    return 0;
}

async(int, take_turns, (Wire *) wire)
{
    vars(coil_group group; coil_task *given_up);
    open_group(&my->group);
    spawn(&my->group, write_big(wire, 'a', 500000));
    spawn(&my->group, flush(wire));
    spawn(&my->group, write_big(wire, 'b', 500000));
    my->given_up = spawn(&my->group, hold(wire));
    spawn(&my->group, hold(wire));
    spawn(&my->group, write_big(wire, 'c', 500000));
    await(coil_sleep(coil_ms(5)));
    coil_task_cancel(my->given_up);
    spawn(&my->group, read_all(wire, 1500008));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ(1500008u, coil_stream_bytes_written(wire->one));
    return 0;
}

TEST(StreamTurns, AreGivenInOrderAndKeptForAsLongAsTheirOwnerLikes)
{
    Wire wire;
    EXPECT_EQ(0, RUN_ON(SOCKETS, &wire, take_turns));
    EXPECT_EQ("a|b[]c", wire.log);
    EXPECT_TRUE(std::string(500000, 'a') + std::string(500000, 'b') + "heldHELD" +
                        std::string(500000, 'c') ==
                wire.got);
}

TEST(StreamTurns, AreGivenOnAPipe)
{
    Wire wire;
    EXPECT_EQ(0, RUN_ON(PIPE, &wire, take_turns));
    EXPECT_EQ("a|b[]c", wire.log);
    EXPECT_EQ(1500008u, wire.got.size());
}

async(int, cut_by_holder, (Wire *) wire)
{
    vars(int rc);
    attempt(coil_sender_hold(&coil_receiver_head_of(wire->one)->sender));
    await(my->rc, within(coil_ms(1), coil_write_all(wire->one, coil_text("later"))));
    EXPECT_EQ(-ETIME, my->rc);
    coil_sender_release(&coil_receiver_head_of(wire->one)->sender, true);
    await(my->rc, coil_write_all(wire->one, coil_text("never")));
    EXPECT_EQ(-EPIPE, my->rc);
    await(my->rc, coil_stream_flush(wire->one));
    EXPECT_EQ(-EPIPE, my->rc);
    return 0;
}

TEST(StreamTurns, ThatLeaveSomethingUnfinishedAreTheLast)
{
    EXPECT_EQ(0, RUN_ON_WIRE(cut_by_holder));
}

/* Many tasks that write, hold, flush and give up, at any time: whole messages in any order. */
async(int, use_at_random, (Wire *) wire, (char) letter)
{
    vars(int i; int rc; std::string * text);

    for (my->i = 0; my->i < 60; my->i++) {
        switch (wire->random() % 3) {
        case 0:
            await(my->rc, within(coil_us(wire->random() % 500), flush(wire)));
            break;
        case 1:
            attempt(coil_sender_hold(&coil_receiver_head_of(wire->one)->sender));
            ignore(within(coil_us(wire->random() % 500), coil_sleep(coil_ms(1))));
            coil_sender_release(&coil_receiver_head_of(wire->one)->sender, false);
            break;
        default:
            my->text = new std::string(wire->random() % 20000, letter);
            *my->text += '\n';
            await(my->rc,
                    coil_write_all(wire->one, coil_bytes(my->text->data(), my->text->size())));
            delete my->text;
            if (my->rc < 0)
                return my->rc;
            break;
        }
    }
    return 0;
}

void expect_one_letter(const coil_slice &text)
{
    const std::string line = text_of(text);
    EXPECT_EQ(line.size() - 1, line.find_first_not_of(line[0])) << "mixed with another";
}

async(int, read_lines_of_one_letter, (Wire *) wire)
{
    vars(coil_slice in);
    for (;;) {
        attempt(my->in, coil_read_until(wire->other, '\n', 30000));
        if (my->in.size_bytes == 0)
            return 0;
        expect_one_letter(my->in);
        coil_slice_release(&my->in);
    }
}

async(int, use_wire_at_random, (Wire *) wire)
{
    vars(coil_group readers; coil_group writers; char letter);

    open_group(&my->readers);
    spawn(&my->readers, read_lines_of_one_letter(wire));
    open_group(&my->writers);
    for (my->letter = 'a'; my->letter <= 'f'; my->letter++)
        spawn(&my->writers, use_at_random(wire, my->letter));
    attempt(coil_group_join(&my->writers));
    attempt(coil_stream_shutdown(wire->one));
    attempt(coil_group_join(&my->readers));
    return 0;
}

TEST(StreamTurns, SurviveEverythingAtRandom)
{
    for (unsigned seed = 1; seed <= wire_seeds(5); seed++) {
        SCOPED_TRACE(seed);
        Wire wire(seed);
        EXPECT_EQ(0, RUN_ON(SOCKETS, &wire, use_wire_at_random));
    }
}

/* ------------------------------------------------------------------------------ O_NONBLOCK -- */

async(int, fill_nonblocking_pipe, (Wire *) wire)
{
    vars(coil_group group);
    open_group(&my->group);
    spawn(&my->group, write_big(wire, 'n', 300000));
    await(coil_sleep(coil_ms(1)));
    spawn(&my->group, read_all(wire, 300000));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST(StreamOfANonblockingPipe, WaitsAllTheSame)
{
    Wire wire;
    EXPECT_EQ(0, RUN_ON(NONBLOCKING_PIPE, &wire, fill_nonblocking_pipe));
    EXPECT_EQ(std::string(300000, 'n'), wire.got);
}

/* -------------------------------------------------------------------------------- shutdown -- */

async(int, write_so_many, (Wire *) wire, (char) letter, (size_t) size)
{
    vars(std::string * bytes; int rc);
    my->bytes = new std::string(size, letter);
    defer(delete my->bytes);
    await(my->rc, coil_write_all(wire->one, coil_bytes(my->bytes->data(), size)));
    EXPECT_EQ(0, my->rc) << letter;
    return 0;
}

async(int, shut_down, (Wire *) wire)
{
    vars();
    attempt(coil_stream_shutdown(wire->one));
    wire->log += "shut down";
    return 0;
}

async(int, read_to_end, (Wire *) wire)
{
    vars(coil_slice in);
    for (;;) {
        attempt(my->in, coil_read_some(wire->other));
        if (my->in.size_bytes == 0)
            return 0;
        wire->got += text_of(my->in);
        coil_slice_release(&my->in);
    }
}

/* One is on its way, and one waits. */
async(int, end_behind_writers, (Wire *) wire)
{
    vars(coil_group group; int rc);

    wire->shrink();
    open_group(&my->group);
    spawn(&my->group, write_so_many(wire, 'a', 1000000));
    await(coil_sleep(coil_ms(1)));
    spawn(&my->group, write_so_many(wire, 'b', 1000));
    await(coil_yield());
    await(my->rc, within(coil_s(1), coil_stream_shutdown(wire->one)));
    EXPECT_EQ(-ETIME, my->rc) << "nobody reads; and it leaves no trace";
    spawn(&my->group, write_so_many(wire, 'c', 1000));
    await(coil_yield());
    spawn(&my->group, shut_down(wire));
    await(coil_sleep(coil_ms(1)));
    EXPECT_EQ("", wire->log);
    attempt(read_to_end(wire));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ("shut down", wire->log);
    EXPECT_TRUE(std::string(1000000, 'a') + std::string(1000, 'b') + std::string(1000, 'c') ==
                wire->got)
            << wire->got.size();
    return 0;
}

TEST(StreamShutdown, ComesBehindTheWritesThatBeganBefore)
{
    EXPECT_EQ(0, RUN_ON_WIRE(end_behind_writers));
}

/* The writer in front is cancelled in its middle: this is the end all the same. */
async(int, end_behind_the_cut, (Wire *) wire)
{
    vars(coil_group group; coil_task *writer);

    wire->shrink();
    open_group(&my->group);
    my->group.keep_going = true;
    my->writer = spawn(&my->group, write_so_many(wire, 'a', 1000000));
    await(coil_sleep(coil_ms(1)));
    spawn(&my->group, shut_down(wire));
    await(coil_yield());
    coil_task_cancel(my->writer);
    attempt(read_to_end(wire));
    ignore(coil_group_join(&my->group));
    EXPECT_EQ("shut down", wire->log);
    EXPECT_LT(wire->got.size(), 1000000u);
    return 0;
}

TEST(StreamShutdown, ComesEvenBehindAWriteThatWasCut)
{
    EXPECT_EQ(0, RUN_ON_WIRE(end_behind_the_cut));
}

} // namespace
