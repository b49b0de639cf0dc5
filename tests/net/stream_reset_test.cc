/* SPDX-License-Identifier: MIT */
/*
 * What a reader is told of a connection that was lost, when a write was told before: the kernel
 * says it once.
 */
#include "peer.h"
#include "wire.h"

#include <coil/loop.h>
#include <coil/relay.h>
#include <coil/sender.h>

#include <sys/mman.h>

#include <algorithm>
#include <memory>

#include <coil/sugar.h>

namespace
{

enum {
    FILE_BYTES = 100000,    /* So many are spliced. */
    LARGE_BYTES = 32 << 20, /* More than the kernel keeps for two. */
    TAKEN_BYTES = 8 << 20,
    PIECE_BYTES = 128 << 10,
};

enum Way { ALL, QUEUED, SHARED, PARTS, SOME, HELD, WHOLE_FILE };

/* A connection of TCP: the one end is a stream, the other is a peer in plain sight. */
struct Line {
    explicit Line(Way which = ALL) : way(which)
    {
        const PeerListener listener;
        const size_t colon = listener.address.find(':');
        const int port = std::stoi(listener.address.substr(colon + 1));
        Peer one = Peer::connected(static_cast<uint16_t>(port));
        peer = std::make_unique<Peer>(listener.accepted());
        fd = std::exchange(one.fd, -1);
    }

    /* Blocks, so that nothing of it is seen by the ring before the loop goes on. */
    void await_events(short events) const
    {
        pollfd one = {fd, events, 0};
        EXPECT_EQ(1, poll(&one, 1, PATIENCE_MS));
    }

    void reset() const
    {
        const linger now = {1, 0};
        setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        peer->close();
        await_events(0);
    }

    /* So many bytes that were there for the peer. */
    int take() const
    {
        static char bytes[PIECE_BYTES];
        return std::max(0, static_cast<int>(recv(peer->fd, bytes, PIECE_BYTES, MSG_DONTWAIT)));
    }

    void end() const
    {
        peer->end();
        await_events(POLLRDHUP);
    }

    Way way;
    std::unique_ptr<Peer> peer;
    int fd;
    coil_stream *stream = nullptr;
    int64_t read_rc = 1;  /* Of a reader that waits. */
    bool has_end = false; /* The peer ends its side before it resets. */
    bool is_cancelled = false;
};

void make_file(off_t size_bytes, int *out_fd)
{
    *out_fd = memfd_create("file", MFD_CLOEXEC);
    EXPECT_EQ(0, ftruncate(*out_fd, size_bytes));
}

async(int, write_held, (coil_stream *) stream)
{
    vars(int rc);

    attempt(coil_sender_hold(&coil_receiver_head_of(stream)->sender));
    await(my->rc,
            coil_sender_write_held(&coil_receiver_head_of(stream)->sender, coil_text("word")));
    coil_sender_release(&coil_receiver_head_of(stream)->sender, false);
    return my->rc;
}

async(int, write_file, (coil_stream *) stream, (int64_t) size_bytes)
{
    vars(int fd; int64_t rc);

    make_file(size_bytes, &my->fd);
    defer(close(my->fd));
    await(my->rc, coil_send_file(stream, my->fd, 0, size_bytes));
    return static_cast<int>(my->rc);
}

/* Another stream writes first, in the same turn. */
async(int, write_second, (coil_stream *) stream)
{
    vars(coil_stream *one; coil_stream *other; int rc);

    EXPECT_EQ(0, coil_stream_pair(&my->one, &my->other));
    coil_stream_share_turns(my->one);
    coil_stream_share_turns(stream);
    await(coil_sleep(coil_ms(1)));
    attempt(coil_write_all(my->one, coil_text("first")));
    await(my->rc, coil_write_all(stream, coil_text("word")));
    coil_stream_close(my->one);
    coil_stream_close(my->other);
    return my->rc;
}

async(int, write_by, (Line *) line)
{
    vars(int64_t rc; coil_slice parts[2]);

    switch (line->way) {
    case ALL:
    case QUEUED:
        await(my->rc, coil_write_all(line->stream, coil_text("word")));
        break;
    case SHARED:
        await(my->rc, write_second(line->stream));
        break;
    case PARTS:
        my->parts[0] = my->parts[1] = coil_text("word");
        await(my->rc, coil_write_parts(line->stream, my->parts, 2));
        break;
    case SOME:
        await(my->rc, coil_write_some(line->stream, coil_text("word")));
        break;
    case HELD:
        await(my->rc, write_held(line->stream));
        break;
    case WHOLE_FILE:
        await(my->rc, write_file(line->stream, FILE_BYTES));
        break;
    }
    return static_cast<int>(my->rc);
}

async(int, on_stream, (Line *) line, (coil_handler) handler)
{
    vars();
    EXPECT_EQ(0, coil_stream_create(line->fd, COIL_TRANSPORT_SOCKET, &line->stream));
    defer(coil_stream_close(line->stream));
    attempt(coil_handler_call(handler, line));
    return 0;
}

#define RUN_ON_LINE(line, body) EXPECT_EQ(0, coil_run(on_stream(line, coil_handler(body, Line *))))

/* ----------------------------------------------------------------------------------- resets -- */

class StreamReset : public testing::TestWithParam<Way>
{
};

async(int, read_behind_write, (Line *) line)
{
    vars(coil_slice in; int64_t rc; char bytes[10]);

    EXPECT_TRUE(line->peer->send("hello"));
    if (line->way == QUEUED) /* It has had its turn to send at once. */
        attempt(coil_write_all(line->stream, coil_text("before")));
    line->reset();
    await(my->rc, write_by(line));
    EXPECT_EQ(-ECONNRESET, my->rc);
    await(my->rc, coil_read_exact(line->stream, my->bytes, sizeof(my->bytes)));
    EXPECT_EQ(-ECONNRESET, my->rc) << "it has not ended among them";
    await(my->in, coil_read_some(line->stream));
    EXPECT_EQ("hello", text_of(my->in));
    coil_slice_release(&my->in);
    await(my->in, coil_read_some(line->stream));
    EXPECT_EQ(-ECONNRESET, my->in.size_bytes);
    await(my->rc, coil_write_all(line->stream, coil_text("more")));
    EXPECT_EQ(-EPIPE, my->rc);
    await(my->in, coil_read_some(line->stream));
    EXPECT_EQ(-ECONNRESET, my->in.size_bytes) << "it stays so";
    return 0;
}

TEST_P(StreamReset, IsToldToTheReaderBehindTheWriter)
{
    Line line(GetParam());
    RUN_ON_LINE(&line, read_behind_write);
}

async(int, read_meanwhile, (Line *) line)
{
    vars(coil_slice in);
    await(my->in, coil_read_some(line->stream));
    line->read_rc = my->in.size_bytes;
    coil_slice_release(&my->in);
    return 0;
}

async(int, read_beside_write, (Line *) line)
{
    vars(coil_group group; int rc);

    open_group(&my->group);
    spawn(&my->group, read_meanwhile(line));
    await(coil_sleep(coil_ms(1)));
    if (line->way == QUEUED)
        attempt(coil_write_all(line->stream, coil_text("before")));
    line->reset();
    await(my->rc, write_by(line));
    attempt(coil_group_join(&my->group));
    EXPECT_TRUE(my->rc == -ECONNRESET || my->rc == -EPIPE) << my->rc;
    EXPECT_EQ(-ECONNRESET, line->read_rc);
    return 0;
}

/* (Whom the kernel tells depends on the way.) */
TEST_P(StreamReset, IsToldToTheReaderBesideTheWriter)
{
    Line line(GetParam());
    RUN_ON_LINE(&line, read_beside_write);
}

INSTANTIATE_TEST_SUITE_P(
        Ways, StreamReset, testing::Values(ALL, QUEUED, SHARED, PARTS, SOME, HELD, WHOLE_FILE));

async(int, relay_one_way, (Line *) line, (bool) splices, (int *) rc)
{
    vars(coil_stream *one; coil_stream *other; coil_relay_options options; uint64_t bytes;
            coil_slice in);

    EXPECT_EQ(0, coil_stream_pair(&my->one, &my->other));
    defer({
        coil_stream_close(my->one);
        coil_stream_close(my->other);
    });
    my->options.splices = splices;
    await(*rc, coil_relay_one_way(line->stream, my->one, &my->options, &my->bytes));
    EXPECT_EQ(5u, my->bytes);
    await(my->in, coil_read_some(my->other));
    EXPECT_EQ("hello", text_of(my->in));
    coil_slice_release(&my->in);
    await(my->in, within(coil_ms(10), coil_read_some(my->other)));
    EXPECT_EQ(-ETIME, my->in.size_bytes) << "nobody is told that this is the end";
    return 0;
}

async(int, relay_one_way_of, (Line *) line, (bool) splices)
{
    vars(int rc);
    attempt(relay_one_way(line, splices, &my->rc));
    return my->rc;
}

async(int, relay_behind_write, (Line *) line, (bool) splices)
{
    vars(int rc);

    EXPECT_TRUE(line->peer->send("hello"));
    line->reset();
    await(my->rc, write_by(line));
    EXPECT_EQ(-ECONNRESET, my->rc);
    attempt(relay_one_way(line, splices, &my->rc));
    EXPECT_EQ(-ECONNRESET, my->rc);
    return 0;
}

async(int, copy_behind_write, (Line *) line)
{
    vars();
    attempt(relay_behind_write(line, false));
    return 0;
}

async(int, splice_behind_write, (Line *) line)
{
    vars();
    attempt(relay_behind_write(line, true));
    return 0;
}

/* It was the relay that was told. */
async(int, read_behind_relay, (Line *) line, (bool) splices)
{
    vars(coil_slice in; int64_t rc; coil_group group);

    EXPECT_TRUE(line->peer->send("hello"));
    open_group(&my->group);
    coil_spawn_result(&my->group, &my->rc, relay_one_way_of(line, splices));
    await(coil_sleep(coil_ms(5)));
    line->reset();
    coil_ignore(coil_group_join(&my->group));
    EXPECT_EQ(-ECONNRESET, my->rc);
    await(my->in, coil_read_some(line->stream));
    EXPECT_EQ(-ECONNRESET, my->in.size_bytes);
    return 0;
}

async(int, copy_to_reset, (Line *) line)
{
    vars();
    attempt(read_behind_relay(line, false));
    return 0;
}

async(int, splice_to_reset, (Line *) line)
{
    vars();
    attempt(read_behind_relay(line, true));
    return 0;
}

TEST(StreamResets, AreKnownBehindARelay)
{
    Line copied;
    RUN_ON_LINE(&copied, copy_to_reset);
    Line spliced;
    RUN_ON_LINE(&spliced, splice_to_reset);
}

TEST(StreamResets, AreNotRelayedAsAnEnd)
{
    Line copied;
    RUN_ON_LINE(&copied, copy_behind_write);
    Line spliced;
    RUN_ON_LINE(&spliced, splice_behind_write);
}

/* ------------------------------------------------------------- in the middle of large ones -- */

coil_slice much()
{
    static const std::string bytes(LARGE_BYTES, 'x');
    return coil_bytes(bytes.data(), bytes.size());
}

async(int, write_much, (Line *) line)
{
    vars(int64_t rc; coil_slice parts[2]);

    if (line->way == ALL) {
        await(my->rc, coil_write_all(line->stream, much()));
    } else if (line->way == PARTS) {
        my->parts[0] = my->parts[1] = much();
        await(my->rc, coil_write_parts(line->stream, my->parts, 2));
    } else {
        await(my->rc, write_file(line->stream, LARGE_BYTES));
    }
    EXPECT_TRUE(my->rc == -ECONNRESET || my->rc == -EPIPE) << my->rc;
    return 0;
}

async(int, read_all, (Line *) line, (std::string *) got)
{
    vars(coil_slice in);

    do {
        await(my->in, coil_read_some(line->stream));
        line->read_rc = my->in.size_bytes;
        *got += text_of(my->in);
        coil_slice_release(&my->in);
    } while (line->read_rc > 0);
    return 0;
}

/* Some of it has got out, and the rest waits for room, when the peer goes. */
async(int, lose_peer, (Line *) line, (coil_group *) writers)
{
    vars(int taken_bytes);

    EXPECT_TRUE(line->peer->send("hello"));
    if (line->has_end)
        line->end();
    spawn(writers, write_much(line));
    while (my->taken_bytes < TAKEN_BYTES) {
        await(coil_sleep(coil_us(200)));
        my->taken_bytes += line->take();
    }
    await(coil_sleep(coil_ms(2)));
    line->reset();
    if (line->is_cancelled)
        coil_group_cancel(writers);
    return 0;
}

async(int, read_behind_much, (Line *) line)
{
    vars(coil_group writers; std::string * got; int rc);

    my->got = new std::string;
    defer(delete my->got);
    open_group(&my->writers);
    attempt(lose_peer(line, &my->writers));
    await(my->rc, coil_group_join(&my->writers));
    await(my->rc, read_all(line, my->got));
    EXPECT_EQ("hello", *my->got);
    return 0;
}

async(int, read_beside_much, (Line *) line)
{
    vars(coil_group writers; coil_group readers; std::string * got; int rc);

    my->got = new std::string;
    defer(delete my->got);
    open_group(&my->writers);
    open_group(&my->readers);
    spawn(&my->readers, read_all(line, my->got));
    attempt(lose_peer(line, &my->writers));
    await(my->rc, coil_group_join(&my->writers));
    attempt(coil_group_join(&my->readers));
    EXPECT_EQ("hello", *my->got);
    return 0;
}

/* Of a write of which a part is out, the kernel tells that, and then only EPIPE. */
class StreamResetInTheMiddle : public testing::TestWithParam<Way>
{
};

TEST_P(StreamResetInTheMiddle, IsToldToTheReaderBehindTheWriter)
{
    Line line(GetParam());
    RUN_ON_LINE(&line, read_behind_much);
    EXPECT_EQ(-ECONNRESET, line.read_rc);
}

TEST_P(StreamResetInTheMiddle, IsToldToTheReaderBesideTheWriter)
{
    Line line(GetParam());
    RUN_ON_LINE(&line, read_beside_much);
    EXPECT_EQ(-ECONNRESET, line.read_rc);
}

TEST_P(StreamResetInTheMiddle, IsToldThoughTheWriteIsCancelledBeforeItKnows)
{
    Line line(GetParam());
    line.is_cancelled = true;
    RUN_ON_LINE(&line, read_behind_much);
    EXPECT_EQ(-ECONNRESET, line.read_rc);
}

TEST_P(StreamResetInTheMiddle, IsNoneBehindAnEnd)
{
    Line behind(GetParam());
    behind.has_end = true;
    RUN_ON_LINE(&behind, read_behind_much);
    EXPECT_EQ(0, behind.read_rc);
    Line beside(GetParam());
    beside.has_end = true;
    RUN_ON_LINE(&beside, read_beside_much);
    EXPECT_EQ(0, beside.read_rc);
    Line cancelled(GetParam());
    cancelled.has_end = cancelled.is_cancelled = true;
    RUN_ON_LINE(&cancelled, read_behind_much);
    EXPECT_EQ(0, cancelled.read_rc);
}

INSTANTIATE_TEST_SUITE_P(Ways, StreamResetInTheMiddle, testing::Values(ALL, PARTS, WHOLE_FILE));

/* ------------------------------------------------------------------------------------- ends -- */

async(int, read_an_end, (Line *) line, (const char *) expected)
{
    vars(coil_slice in);

    await(my->in, coil_read_some(line->stream));
    EXPECT_EQ(expected, text_of(my->in));
    coil_slice_release(&my->in);
    await(my->in, coil_read_some(line->stream));
    EXPECT_EQ(0, my->in.size_bytes);
    return 0;
}

/* The peer says good-bye, and does not want what we have to say. */
async(int, write_behind_end, (Line *) line)
{
    vars(int rc);

    EXPECT_TRUE(line->peer->send("bye"));
    line->end();
    attempt(coil_write_all(line->stream, coil_text("unwanted")));
    line->peer->close();
    line->await_events(0);
    await(my->rc, coil_write_all(line->stream, coil_text("word")));
    EXPECT_EQ(-EPIPE, my->rc);
    await(my->rc, coil_write_all(line->stream, coil_text("word")));
    EXPECT_EQ(-EPIPE, my->rc);
    attempt(read_an_end(line, "bye"));
    return 0;
}

TEST(StreamEnd, StaysOneThoughALaterResetIsToldToAWriter)
{
    Line line;
    RUN_ON_LINE(&line, write_behind_end);
}

async(int, write_behind_end_that_was_read, (Line *) line)
{
    vars(coil_slice in; int rc);

    EXPECT_TRUE(line->peer->send("bye"));
    line->end();
    attempt(read_an_end(line, "bye"));
    attempt(coil_write_all(line->stream, coil_text("unwanted")));
    line->peer->close();
    line->await_events(0);
    await(my->rc, coil_write_all(line->stream, coil_text("word")));
    EXPECT_EQ(-EPIPE, my->rc);
    coil_sender_failed(&coil_receiver_head_of(line->stream)->sender, -ECONNRESET);
    await(my->in, coil_read_some(line->stream));
    EXPECT_EQ(0, my->in.size_bytes) << "it has been told already";
    return 0;
}

TEST(StreamEnd, StaysOneOnceItHasCome)
{
    Line line;
    RUN_ON_LINE(&line, write_behind_end_that_was_read);
}

struct Failure {
    int error;
    int64_t told;
};

async(int, read_behind_failure, (Failure *) failure)
{
    vars(coil_stream *one; coil_stream *other; coil_slice in);

    EXPECT_EQ(0, coil_stream_pair(&my->one, &my->other));
    defer(coil_stream_close(my->one));
    coil_sender_failed(&coil_receiver_head_of(my->one)->sender, failure->error);
    coil_stream_close(my->other);
    await(my->in, coil_read_some(my->one));
    failure->told = my->in.size_bytes;
    return 0;
}

TEST(StreamEnd, IsNamedByWhatAWriterWasToldOfTheConnectionAndByNothingElse)
{
    for (int error : {-ECONNRESET, -ETIMEDOUT, -EHOSTUNREACH, -ENETUNREACH}) {
        Failure failure = {error, 1};
        EXPECT_EQ(0, coil_run(read_behind_failure(&failure)));
        EXPECT_EQ(error, failure.told);
    }
    for (int error : {-EPIPE, -ENOMEM, -EAGAIN, -EINTR, -EINVAL, -ECANCELED}) {
        Failure failure = {error, 1};
        EXPECT_EQ(0, coil_run(read_behind_failure(&failure)));
        EXPECT_EQ(0, failure.told) << error;
    }
}

} // namespace
