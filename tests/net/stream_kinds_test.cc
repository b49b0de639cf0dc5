/* SPDX-License-Identifier: MIT */
/* Every call of coil/stream.h, and the relays, over every kind of stream: the same outcome. */
#include "tls_cast.h"

#include <coil/relay.h>

#include <sys/mman.h>

#include <coil/sugar.h>

namespace
{

enum Kind { PLAIN, TLS_1_3, TLS_1_2 };

/* Two ends of one connection. */
struct Ends {
    Kind kind;
    coil_tls_context *client;
    coil_tls_context *server;
    coil_stream *one = nullptr;
    coil_stream *other = nullptr;
};

async(int, shake_hands, (Ends *) ends, (bool) as_client)
{
    vars();
    if (as_client) {
        attempt(coil_tls_connect(&ends->one, ends->client, "localhost", nullptr));
    } else {
        attempt(coil_tls_accept(&ends->other, ends->server, nullptr));
    }
    return 0;
}

async(int, open_ends, (Ends *) ends)
{
    vars(coil_group group);
    EXPECT_EQ(0, coil_stream_pair(&ends->one, &ends->other));
    if (ends->kind == PLAIN)
        return 0;
    open_group(&my->group);
    spawn(&my->group, shake_hands(ends, true));
    spawn(&my->group, shake_hands(ends, false));
    attempt(coil_group_join(&my->group));
    return 0;
}

void close_ends(Ends *ends)
{
    coil_stream_close(ends->one);
    coil_stream_close(ends->other);
}

/* The body, with ends that are open meanwhile. */
async(int, on_ends, (coil_handler) body, (Ends *) ends)
{
    vars(int rc);
    defer(close_ends(ends));
    attempt(open_ends(ends));
    EXPECT_EQ(ends->kind != PLAIN, coil_stream_is_layered(ends->one));
    await(my->rc, within(coil_s(100), coil_handler_call(body, ends)));
    return my->rc;
}

class EveryStream : public testing::TestWithParam<Kind>
{
protected:
    EveryStream()
    {
        static const Authority authority("of every stream");
        coil_tls_options options = {};
        if (GetParam() == TLS_1_2)
            options.newest = COIL_TLS_1_2;
        ends.kind = GetParam();
        ends.server = Context::server(authority.issue(), options);
        ends.client = Context::client(authority, options);
    }

    ~EveryStream() override
    {
        coil_tls_context_destroy(ends.client);
        coil_tls_context_destroy(ends.server);
    }

    void play(coil_handler body)
    {
        EXPECT_EQ(0, coil_run(on_ends(body, &ends)));
    }

    Ends ends = {};
};

std::string taken(coil_slice *slice)
{
    std::string text = slice->size_bytes > 0
                               ? std::string(slice->bytes, static_cast<size_t>(slice->size_bytes))
                               : std::to_string(slice->size_bytes);
    coil_slice_release(slice);
    return text;
}

/* ---------------------------------------------------------------------------------- reading -- */

async(int, read_in_all_ways, (Ends *) ends)
{
    vars(coil_slice in; char bytes[4]; ssize_t count);

    attempt(coil_write_all(ends->one, coil_text("0123456789line\nhead: x\r\n\r\npeeked")));
    attempt(my->in, coil_read_block(ends->other, 3));
    EXPECT_EQ("012", taken(&my->in));
    attempt(my->count, coil_read_exact(ends->other, my->bytes, 4));
    EXPECT_EQ("3456", std::string(my->bytes, 4));
    attempt(my->in, coil_read_block(ends->other, 3));
    EXPECT_EQ(0, coil_stream_unread_again(ends->other, &my->in));
    attempt(my->in, coil_read_until(ends->other, '\n', 100));
    EXPECT_EQ("789line\n", taken(&my->in));
    await(my->in, coil_read_until_bytes(ends->other, coil_text("\r\n\r\n"), 5));
    EXPECT_EQ(std::to_string(-EMSGSIZE), taken(&my->in));
    attempt(my->in, coil_read_until_bytes(ends->other, coil_text("\r\n\r\n"), 100));
    EXPECT_EQ("head: x\r\n\r\n", taken(&my->in));
    attempt(my->in, coil_peek(ends->other, 6));
    EXPECT_EQ("peeked", taken(&my->in));
    EXPECT_EQ(6u, coil_stream_unread(ends->other));
    attempt(my->in, coil_read_some(ends->other));
    EXPECT_EQ("peeked", taken(&my->in));
    await(my->in, within(coil_ms(5), coil_read_some(ends->other)));
    EXPECT_EQ(std::to_string(-ETIME), taken(&my->in));
    EXPECT_EQ(32u, coil_stream_bytes_read(ends->other));
    EXPECT_EQ(32u, coil_stream_bytes_written(ends->one));
    return 0;
}

TEST_P(EveryStream, IsReadInAllWays)
{
    play(coil_handler(read_in_all_ways, Ends *));
}

async(int, write_slowly, (coil_stream *) to, (const char *) text)
{
    vars(size_t i);
    for (my->i = 0; my->i < strlen(text); my->i++) {
        attempt(coil_write_all(to, coil_bytes(text + my->i, 1)));
        await(coil_sleep(coil_ms(1)));
    }
    attempt(coil_stream_shutdown(to));
    return 0;
}

async(int, read_byte_by_byte, (Ends *) ends)
{
    vars(coil_slice in; coil_group group);

    open_group(&my->group);
    spawn(&my->group, write_slowly(ends->one, "ab\nc\r\n\r\r\n\r\nend"));
    attempt(my->in, coil_read_until(ends->other, '\n', 10));
    EXPECT_EQ("ab\n", taken(&my->in));
    attempt(my->in, coil_read_until_bytes(ends->other, coil_text("\r\n\r\n"), 10));
    EXPECT_EQ("c\r\n\r\r\n\r\n", taken(&my->in));
    await(my->in, coil_peek(ends->other, 4));
    EXPECT_EQ(std::to_string(-ENODATA), taken(&my->in));
    await(my->in, coil_read_block(ends->other, 4));
    EXPECT_EQ(std::to_string(-ENODATA), taken(&my->in));
    attempt(my->in, coil_read_until_bytes(ends->other, coil_text("\r\n\r\n"), 10));
    EXPECT_EQ("end", taken(&my->in));
    attempt(my->in, coil_read_some(ends->other));
    EXPECT_EQ("0", taken(&my->in)) << "the end of the stream";
    return 0;
}

TEST_P(EveryStream, IsReadByteByByte)
{
    play(coil_handler(read_byte_by_byte, Ends *));
}

/* ---------------------------------------------------------------------------------- writing -- */

async(int, write_in_all_ways, (Ends *) ends)
{
    vars(coil_slice parts[3]; coil_slice in; ssize_t count; int rc);

    my->parts[0] = coil_text("gat");
    my->parts[1] = coil_text("");
    my->parts[2] = coil_text("hered ");
    attempt(coil_write_parts(ends->one, my->parts, 3));
    attempt(my->count, coil_write_some(ends->one, coil_text("some ")));
    EXPECT_EQ(5, my->count);
    attempt(coil_write_all(ends->one, coil_text("all")));
    await(my->rc, coil_stream_flush(ends->one));
    EXPECT_EQ(0, my->rc);
    attempt(my->in, coil_read_block(ends->other, 17));
    EXPECT_EQ("gathered some all", taken(&my->in));

    attempt(coil_stream_shutdown(ends->one)); /* A half of it. */
    attempt(my->in, coil_read_some(ends->other));
    EXPECT_EQ("0", taken(&my->in));
    attempt(coil_write_all(ends->other, coil_text("still")));
    attempt(my->in, coil_read_some(ends->one));
    EXPECT_EQ("still", taken(&my->in));
    await(my->rc, coil_write_all(ends->one, coil_text("too late")));
    EXPECT_EQ(-EPIPE, my->rc);
    return 0;
}

TEST_P(EveryStream, IsWrittenInAllWaysAndHalfClosed)
{
    play(coil_handler(write_in_all_ways, Ends *));
}

enum { MUCH_BYTES = 700000 };

std::string much()
{
    std::string text(MUCH_BYTES, 'x');
    for (size_t i = 0; i < text.size(); i++)
        text[i] = static_cast<char>('a' + i * i % 26);
    return text;
}

async(int, write_much, (coil_stream *) to, (const std::string *) text)
{
    vars();
    attempt(coil_write_all(to, coil_bytes(text->data(), text->size())));
    attempt(coil_stream_shutdown(to));
    return 0;
}

async(int, read_much, (coil_stream *) from, (const std::string *) text)
{
    vars(coil_slice in);
    attempt(my->in, coil_read_block(from, MUCH_BYTES));
    EXPECT_TRUE(taken(&my->in) == *text);
    attempt(my->in, coil_read_some(from));
    EXPECT_EQ("0", taken(&my->in));
    return 0;
}

const std::string &the_text()
{
    static const std::string text = much();
    return text;
}

async(int, carry_much, (Ends *) ends)
{
    vars(coil_group group);
    open_group(&my->group);
    spawn(&my->group, write_much(ends->one, &the_text()));
    spawn(&my->group, write_much(ends->other, &the_text()));
    spawn(&my->group, read_much(ends->one, &the_text()));
    spawn(&my->group, read_much(ends->other, &the_text()));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_P(EveryStream, CarriesMuchBothWaysAtOnce)
{
    play(coil_handler(carry_much, Ends *));
}

async(int, write_and_note, (Ends *) ends, (std::string *) log, (const char *) what)
{
    vars();
    attempt(coil_write_all(ends->one, coil_bytes(the_text().data(), MUCH_BYTES)));
    *log += what;
    return 0;
}

async(int, flush_and_note, (Ends *) ends, (std::string *) log)
{
    vars();
    attempt(coil_stream_flush(ends->one));
    *log += "flushed ";
    return 0;
}

async(int, read_so_much, (Ends *) ends, (int) count)
{
    vars(coil_slice in; int i);
    for (my->i = 0; my->i < count; my->i++) {
        attempt(my->in, coil_read_block(ends->other, MUCH_BYTES));
        EXPECT_TRUE(taken(&my->in) == the_text());
    }
    return 0;
}

async(int, flush_behind_writers, (Ends *) ends)
{
    vars(std::string * log; coil_group group; int rc);

    my->log = new std::string();
    defer(delete my->log);
    open_group(&my->group);
    spawn(&my->group, write_and_note(ends, my->log, "first "));
    await(coil_yield());
    await(my->rc, within(coil_ms(10), coil_stream_flush(ends->one)));
    EXPECT_EQ(-ETIME, my->rc) << "nobody reads; and it leaves no trace";
    spawn(&my->group, flush_and_note(ends, my->log));
    await(coil_yield());
    spawn(&my->group, write_and_note(ends, my->log, "second "));
    await(coil_sleep(coil_ms(10)));
    EXPECT_EQ("", *my->log);
    attempt(read_so_much(ends, 2));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ("first flushed second ", *my->log);
    attempt(coil_stream_flush(ends->one));
    return 0;
}

TEST_P(EveryStream, IsFlushedWhenTheWritesOfBeforeAreOut)
{
    play(coil_handler(flush_behind_writers, Ends *));
}

async(int, end_behind_writers, (Ends *) ends)
{
    vars(std::string * log; coil_group group; coil_slice in);

    my->log = new std::string();
    defer(delete my->log);
    open_group(&my->group);
    spawn(&my->group, write_and_note(ends, my->log, "first "));
    spawn(&my->group, write_and_note(ends, my->log, "second "));
    await(coil_yield());
    spawn(&my->group, coil_stream_shutdown(ends->one));
    await(coil_yield());
    attempt(read_so_much(ends, 2));
    attempt(my->in, coil_read_some(ends->other));
    EXPECT_EQ("0", taken(&my->in));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ("first second ", *my->log);
    attempt(coil_stream_flush(ends->one)); /* All is out, also when no more can follow. */
    return 0;
}

TEST_P(EveryStream, IsShutDownBehindTheWritesOfBefore)
{
    play(coil_handler(end_behind_writers, Ends *));
}

/* --------------------------------------------------------------------------------- relaying -- */

async(int, relay_much, (Ends *) ends, (bool) splices)
{
    vars(Ends behind; coil_group group; coil_relay_options options; coil_relay_counts counts);

    my->behind.kind = PLAIN;
    attempt(open_ends(&my->behind));
    defer(close_ends(&my->behind));
    my->options.splices = splices;
    open_group(&my->group);
    spawn(&my->group, coil_relay(ends->other, my->behind.one, &my->options, &my->counts));
    spawn(&my->group, write_much(ends->one, &the_text()));
    spawn(&my->group, write_much(my->behind.other, &the_text()));
    spawn(&my->group, read_much(ends->one, &the_text()));
    spawn(&my->group, read_much(my->behind.other, &the_text()));
    attempt(coil_group_join(&my->group));
    EXPECT_EQ(static_cast<uint64_t>(MUCH_BYTES), my->counts.forth_bytes);
    EXPECT_EQ(static_cast<uint64_t>(MUCH_BYTES), my->counts.back_bytes);
    return 0;
}

async(int, relay_both, (Ends *) ends)
{
    vars();
    attempt(relay_much(ends, false));
    return 0;
}

async(int, splice_both, (Ends *) ends)
{
    vars();
    attempt(relay_much(ends, true));
    return 0;
}

TEST_P(EveryStream, IsRelayedToAPlainOne)
{
    play(coil_handler(relay_both, Ends *));
    play(coil_handler(splice_both, Ends *));
}

async(int, send_from_file, (Ends *) ends, (int) fd)
{
    vars();
    attempt(coil_send_file(ends->one, fd, 0, MUCH_BYTES));
    attempt(coil_stream_shutdown(ends->one));
    return 0;
}

async(int, carry_file, (Ends *) ends)
{
    vars(int fd; coil_group group);

    my->fd = memfd_create("file", MFD_CLOEXEC);
    defer(close(my->fd));
    EXPECT_EQ(MUCH_BYTES, write(my->fd, the_text().data(), MUCH_BYTES));
    open_group(&my->group);
    spawn(&my->group, send_from_file(ends, my->fd));
    spawn(&my->group, read_much(ends->other, &the_text()));
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_P(EveryStream, CarriesAFile)
{
    play(coil_handler(carry_file, Ends *));
}

async(int, be_idle, (Ends *) ends)
{
    vars(int rc);
    await(my->rc, coil_stream_watch_idle(ends->one, coil_ms(100)));
    EXPECT_EQ(-ETIME, my->rc);
    coil_stream_abort(ends->one);
    ends->one = nullptr;
    return 0;
}

TEST_P(EveryStream, IsSeenToBeIdleAndAborted)
{
    play(coil_handler(be_idle, Ends *));
}

INSTANTIATE_TEST_SUITE_P(
        Kinds, EveryStream, testing::Values(PLAIN, TLS_1_3, TLS_1_2), [](const auto &one) {
            return one.param == PLAIN ? "plain" : one.param == TLS_1_3 ? "tls13" : "tls12";
        });

} // namespace
