/* SPDX-License-Identifier: MIT */
#include "at_once.h"
#include "peer.h"

#include <coil/kernel.h>
#include <coil/stream.h>

#include <fcntl.h>
#include <sys/resource.h>

#include <random>

#include <coil/sugar.h>

/* The program is linked with --wrap=malloc. */
static thread_local bool no_memory;
extern "C" void *__real_malloc(size_t size);
extern "C" void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return no_memory ? nullptr : __real_malloc(size);
}

namespace
{

/* ------------------------------------------------------------------------------- the cast -- */

enum Verb { SOME, BLOCK, EXACT, UNTIL, UNTIL_BYTES, UNREAD_AGAIN, REWRITE, COUNT_UNREAD };

/* One read, and what came of it. */
struct Read {
    Verb verb;
    size_t size = 0;
    std::string got = "";
    int64_t rc = 0;
    const char *delimiter = "\r\n\r\n"; /* Of UNTIL_BYTES. */
};

struct Stage {
    int fd = -1;
    coil_transport transport = COIL_TRANSPORT_SOCKET;
    std::vector<Read> reads = {};
    uint64_t bytes_read = 0;
    uint64_t bytes_written = 0;
};

void keep(Read *read, coil_slice *slice)
{
    read->rc = slice->size_bytes;
    if (slice->size_bytes > 0)
        read->got.assign(slice->bytes, static_cast<size_t>(slice->size_bytes));
    coil_slice_release(slice);
}

async(int, perform, (coil_stream *) stream, (Read *) read)
{
    vars(coil_slice slice; char bytes[100]; coil_slice again);

    switch (read->verb) {
    case SOME:
        await(my->slice, coil_read_some(stream));
        keep(read, &my->slice);
        break;
    case BLOCK:
        await(my->slice, coil_read_block(stream, read->size));
        keep(read, &my->slice);
        break;
    case EXACT:
        await(read->rc, coil_read_exact(stream, my->bytes, read->size));
        read->got.assign(my->bytes, read->rc > 0 ? static_cast<size_t>(read->rc) : 0);
        break;
    case UNTIL:
        await(my->slice, coil_read_until(stream, '\n', read->size));
        keep(read, &my->slice);
        break;
    case UNTIL_BYTES:
        await(my->slice, coil_read_until_bytes(stream, coil_text(read->delimiter), read->size));
        keep(read, &my->slice);
        break;
    case UNREAD_AGAIN:
        await(my->again, coil_read_block(stream, read->size));
        read->rc = coil_stream_unread_again(stream, &my->again);
        EXPECT_EQ(0, my->again.size_bytes);
        break;
    case REWRITE: /* Put back as bytes of one's own, which then change. */
        await(read->rc, coil_read_exact(stream, my->bytes, read->size));
        my->again = coil_bytes(my->bytes, read->size);
        read->rc = coil_stream_unread_again(stream, &my->again);
        EXPECT_EQ(0, my->again.size_bytes);
        memset(my->bytes, '?', sizeof(my->bytes));
        EXPECT_EQ(0, coil_stream_unread_again(stream, &my->again)) << "nothing is put back";
        break;
    case COUNT_UNREAD:
        read->rc = static_cast<int64_t>(coil_stream_unread(stream));
        break;
    }
    return 0;
}

async(int, perform_all, (Stage *) stage)
{
    vars(coil_stream *stream; size_t i);

    EXPECT_EQ(0, coil_stream_create(stage->fd, stage->transport, &my->stream));
    defer(coil_stream_close(my->stream));
    for (my->i = 0; my->i < stage->reads.size(); my->i++)
        attempt(within(coil_s(5), perform(my->stream, &stage->reads[my->i])));
    stage->bytes_read = coil_stream_bytes_read(my->stream);
    return 0;
}

/* A stream, and a peer that says something to it and leaves. */
class Stream : public testing::Test
{
protected:
    Stream() : Stream(pair()) {}

    static std::pair<int, int> pair()
    {
        int fds[2];
        EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
        return {fds[0], fds[1]};
    }

    /* The reads of one stream, of which all bytes are there, or come in pieces. */
    std::vector<Read> read(const std::string &bytes, std::vector<Read> reads, size_t piece = 0)
    {
        stage.reads = std::move(reads);
        if (piece == 0)
            say(bytes);
        const Thread sender([&] {
            for (size_t at = 0; piece > 0 && at < bytes.size(); at += piece) {
                peer.send(bytes.substr(at, piece));
                std::this_thread::sleep_for(std::chrono::microseconds(300));
            }
            peer.close();
        });
        EXPECT_EQ(0, coil_run(perform_all(&stage)));
        return stage.reads;
    }

    void say(const std::string &bytes)
    {
        EXPECT_TRUE(peer.send(bytes));
    }

    Peer peer;
    Stage stage;

private:
    explicit Stream(std::pair<int, int> fds) : peer(fds.second)
    {
        stage.fd = fds.first;
    }
};

#define EXPECT_READ(read, expected)                                    \
    do {                                                               \
        EXPECT_EQ(expected, (read).got);                               \
        EXPECT_EQ(static_cast<int64_t>((read).got.size()), (read).rc); \
    } while (0)

/* --------------------------------------------------------------------------------- reading -- */

TEST_F(Stream, ReadsSomeOfWhatIsThere)
{
    const std::vector<Read> reads = read("hello", {{SOME}, {SOME}, {SOME}});
    EXPECT_READ(reads[0], "hello");
    EXPECT_READ(reads[1], "");
    EXPECT_READ(reads[2], "");
    EXPECT_EQ(5u, stage.bytes_read);
}

class StreamInPieces : public Stream, public testing::WithParamInterface<size_t>
{
};

TEST_P(StreamInPieces, ReadsBlocks)
{
    const std::vector<Read> reads = read("0123456789",
            {{BLOCK, 3}, {BLOCK, 1}, {EXACT, 4}, {BLOCK, 2}, {SOME}, {BLOCK, 1}}, GetParam());
    EXPECT_READ(reads[0], "012");
    EXPECT_READ(reads[1], "3");
    EXPECT_READ(reads[2], "4567");
    EXPECT_READ(reads[3], "89");
    EXPECT_READ(reads[4], "");
    EXPECT_READ(reads[5], "");
}

TEST_P(StreamInPieces, ReadsLines)
{
    const std::vector<Read> reads = read("one\n\nthree\nend",
            {{UNTIL, 100}, {UNTIL, 1}, {UNTIL, 6}, {UNTIL, 100}, {UNTIL, 100}}, GetParam());
    EXPECT_READ(reads[0], "one\n");
    EXPECT_READ(reads[1], "\n");
    EXPECT_READ(reads[2], "three\n");
    EXPECT_READ(reads[3], "end");
    EXPECT_READ(reads[4], "");
}

TEST_P(StreamInPieces, ReadsUpToADelimiterOfSeveralBytes)
{
    const std::vector<Read> reads = read("a: b\r\n\r\r\n\r\n\r\n\r\nbody\r\n\r",
            {{UNTIL_BYTES, 100}, {UNTIL_BYTES, 4}, {UNTIL_BYTES, 100}, {UNTIL_BYTES, 100}},
            GetParam());
    EXPECT_READ(reads[0], "a: b\r\n\r\r\n\r\n");
    EXPECT_READ(reads[1], "\r\n\r\n");
    EXPECT_READ(reads[2], "body\r\n\r"); /* At the end, what is left. */
    EXPECT_READ(reads[3], "");
}

TEST_P(StreamInPieces, KeepsWhatIsTooLongForADelimiterOfSeveralBytes)
{
    const std::vector<Read> reads = read("0123\r\n\r\nend",
            {{UNTIL_BYTES, 7}, {UNTIL_BYTES, 0}, {UNTIL_BYTES, 8}, {UNTIL_BYTES, 100, "", 0, ""},
                    {SOME}},
            GetParam());
    EXPECT_EQ(-EMSGSIZE, reads[0].rc);
    EXPECT_EQ(-EMSGSIZE, reads[1].rc);
    EXPECT_READ(reads[2], "0123\r\n\r\n");
    EXPECT_EQ(-EINVAL, reads[3].rc);
    EXPECT_EQ('e', reads[4].got[0]);
}

TEST_P(StreamInPieces, KeepsALineThatIsTooLong)
{
    const std::vector<Read> reads = read("12345\nrest",
            {{UNTIL, 5}, {UNTIL, 3}, {UNTIL, 0}, {UNTIL, 6}, {UNTIL, 4}, {BLOCK, 4}}, GetParam());
    EXPECT_EQ(-EMSGSIZE, reads[0].rc);
    EXPECT_EQ(-EMSGSIZE, reads[1].rc);
    EXPECT_EQ(-EMSGSIZE, reads[2].rc);
    EXPECT_READ(reads[3], "12345\n");
    EXPECT_EQ(-EMSGSIZE, reads[4].rc);
    EXPECT_READ(reads[5], "rest");
}

TEST_P(StreamInPieces, PutsBackWhatWasRead)
{
    const std::vector<Read> reads = read("0123456789",
            {{UNREAD_AGAIN, 4}, {COUNT_UNREAD}, {BLOCK, 2}, {UNREAD_AGAIN, 8}, {BLOCK, 8}, {SOME}},
            GetParam());
    EXPECT_EQ(0, reads[0].rc);
    EXPECT_LE(4, reads[1].rc);
    EXPECT_READ(reads[2], "01");
    EXPECT_READ(reads[4], "23456789");
    EXPECT_READ(reads[5], "");
    EXPECT_EQ(10u, stage.bytes_read);
}

TEST_P(StreamInPieces, PutsBackBytesOfTheReadersOwn)
{
    const std::vector<Read> reads =
            read("0123456789", {{REWRITE, 4}, {BLOCK, 10}, {SOME}}, GetParam());
    EXPECT_EQ(0, reads[0].rc);
    EXPECT_READ(reads[1], "0123456789");
    EXPECT_READ(reads[2], "");
    EXPECT_EQ(10u, stage.bytes_read);
}

TEST_P(StreamInPieces, TellsAnEndInTheMiddleFromAnEndBefore)
{
    const std::vector<Read> reads =
            read("012345", {{BLOCK, 4}, {BLOCK, 4}, {EXACT, 3}, {SOME}, {BLOCK, 4}}, GetParam());
    EXPECT_READ(reads[0], "0123");
    EXPECT_EQ(-ENODATA, reads[1].rc);
    EXPECT_EQ(-ENODATA, reads[2].rc);
    EXPECT_READ(reads[3], "45");
    EXPECT_READ(reads[4], "");
}

INSTANTIATE_TEST_SUITE_P(Pieces, StreamInPieces, testing::Values(0, 1, 2, 3, 5));

TEST_F(Stream, ReadsNothingOnRequest)
{
    const std::vector<Read> reads = read("xy", {{BLOCK, 1}, {BLOCK, 0}, {EXACT, 0}, {SOME}});
    EXPECT_READ(reads[1], "");
    EXPECT_READ(reads[2], "");
    EXPECT_READ(reads[3], "y");
}

TEST_F(Stream, ReadsAPipe)
{
    int fds[2];
    ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
    Stage pipe = {fds[0], COIL_TRANSPORT_FILE, {{UNTIL, 100}, {BLOCK, 3}, {SOME}}};
    ASSERT_EQ(9, write(fds[1], "line\nrest", 9));
    close(fds[1]);
    EXPECT_EQ(0, coil_run(perform_all(&pipe)));
    EXPECT_READ(pipe.reads[0], "line\n");
    EXPECT_READ(pipe.reads[1], "res");
    EXPECT_READ(pipe.reads[2], "t");
    close(stage.fd);
}

TEST_F(Stream, ReportsAReset)
{
    stage.reads = {{SOME}};
    PeerListener listener;
    Peer one = Peer::connected(static_cast<uint16_t>(
            std::stoi(listener.address.substr(listener.address.find(':') + 1))));
    Peer other = listener.accepted();
    const linger now = {1, 0};
    setsockopt(other.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    other.close();
    close(stage.fd);
    stage.fd = std::exchange(one.fd, -1);
    EXPECT_EQ(0, coil_run(perform_all(&stage)));
    EXPECT_EQ(-ECONNRESET, stage.reads[0].rc);
}

/* ------------------------------------------------------------------------ cancelled reads -- */

struct Restless {
    int fd;
    unsigned seed;
    std::string got = "";
    int cancelled = 0;
};

coil_duration short_time(unsigned *seed)
{
    return coil_us(rand_r(seed) % 400);
}

/* Read by all means, each with a deadline that may be too short for it. */
async(int, read_restlessly, (Restless *) restless)
{
    vars(coil_stream *stream; coil_slice in; unsigned turn);

    EXPECT_EQ(0, coil_stream_create(restless->fd, COIL_TRANSPORT_SOCKET, &my->stream));
    defer(coil_stream_close(my->stream));
    for (my->turn = 0;; my->turn++) {
        switch (my->turn % 3) {
        case 0:
            await(my->in, within(short_time(&restless->seed), coil_read_some(my->stream)));
            break;
        case 1:
            await(my->in, within(short_time(&restless->seed),
                                  coil_read_block(my->stream, 1 + my->turn % 9000)));
            break;
        case 2:
            await(my->in, within(short_time(&restless->seed),
                                  coil_read_until(my->stream, 'x', 1 + my->turn % 9000)));
            break;
        }
        if (my->in.size_bytes == -ETIME)
            restless->cancelled++;
        if (my->in.size_bytes == 0)
            return 0;
        if (my->in.size_bytes > 0)
            restless->got.append(my->in.bytes, static_cast<size_t>(my->in.size_bytes));
        coil_slice_release(&my->in);
    }
}

TEST_F(Stream, LosesNothingWhenReadsAreCancelled)
{
    Restless restless = {stage.fd, 4711};
    std::mt19937 random(4711);
    std::string all;
    for (int i = 0; i < 1000000; i++)
        all.push_back(static_cast<char>("abcdefghijklmnopqrstuvwxyz"[random() % 26]));
    const Thread sender([&] {
        for (size_t at = 0, size; at < all.size(); at += size) {
            size = 1 + random() % (random() % 3 == 0 ? 20000 : 2000);
            peer.send(all.substr(at, size));
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 500));
        }
        peer.close();
    });
    EXPECT_EQ(0, coil_run(read_restlessly(&restless)));
    EXPECT_TRUE(all == restless.got) << restless.got.size() << " bytes of " << all.size();
    EXPECT_GT(restless.cancelled, 50);
}

/* --------------------------------------------------------------------------------- writing -- */

async(int, write_and_close, (int) fd, (coil_transport) transport, (const std::string *) bytes)
{
    vars(coil_stream *stream);
    EXPECT_EQ(0, coil_stream_create(fd, transport, &my->stream));
    defer(coil_stream_close(my->stream));
    attempt(coil_write_all(my->stream, coil_bytes(bytes->data(), bytes->size())));
    EXPECT_EQ(bytes->size(), coil_stream_bytes_written(my->stream));
    return 0;
}

std::string counted_bytes(size_t size)
{
    std::string bytes;
    for (uint32_t i = 0; bytes.size() < size; i++)
        bytes.append(reinterpret_cast<const char *>(&i), sizeof(i));
    return bytes;
}

TEST_F(Stream, WritesMegabytesToASlowReader)
{
    const std::string bytes = counted_bytes(8 << 20);
    std::string got;
    const Thread reader([&] {
        for (std::string part = peer.receive(100000); !part.empty(); part = peer.receive(100000)) {
            got += part;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    EXPECT_EQ(0, coil_run(write_and_close(stage.fd, COIL_TRANSPORT_SOCKET, &bytes)));
    EXPECT_TRUE(soon([&] { return got.size() == bytes.size(); }));
    EXPECT_TRUE(got == bytes);
}

TEST_F(Stream, WritesMegabytesIntoAPipe)
{
    int fds[2];
    ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
    const std::string bytes = counted_bytes(1 << 20);
    std::string got;
    {
        const Thread reader([&] {
            char part[5000];
            for (ssize_t size = 1; (size = ::read(fds[0], part, sizeof(part))) > 0;)
                got.append(part, static_cast<size_t>(size));
        });
        EXPECT_EQ(0, coil_run(write_and_close(fds[1], COIL_TRANSPORT_FILE, &bytes)));
    }
    EXPECT_TRUE(got == bytes);
    close(fds[0]);
    close(stage.fd);
}

TEST_F(Stream, ReportsAPeerThatDoesNotReadAnyMore)
{
    peer.close();
    const std::string bytes = "x";
    EXPECT_EQ(-EPIPE, coil_run(write_and_close(stage.fd, COIL_TRANSPORT_SOCKET, &bytes)));
}

struct Writers {
    int fd;
    coil_stream *stream = nullptr;
    std::string ended = "";
};

/* 200 kB of one letter, which is more than the socket takes at once. */
async(int, write_letter, (Writers *) writers, (char) letter)
{
    vars(char *bytes; int rc);
    my->bytes = static_cast<char *>(malloc(200000));
    memset(my->bytes, letter, 200000);
    defer(free(my->bytes));
    await(my->rc, coil_write_all(writers->stream, coil_bytes(my->bytes, 200000)));
    if (my->rc == 0)
        writers->ended.push_back(letter);
    return my->rc;
}

async(int, write_letters, (Writers *) writers)
{
    vars(coil_group group; char letter; coil_task *given_up);

    EXPECT_EQ(0, coil_stream_create(writers->fd, COIL_TRANSPORT_SOCKET, &writers->stream));
    defer(coil_stream_close(writers->stream));
    open_group(&my->group);
    for (my->letter = 'a'; my->letter <= 'f'; my->letter++)
        spawn(&my->group, write_letter(writers, my->letter));
    my->given_up = spawn(&my->group, write_letter(writers, 'X'));
    spawn(&my->group, write_letter(writers, 'g'));
    await(coil_sleep(coil_ms(10)));
    coil_task_cancel(my->given_up);
    attempt(coil_group_join(&my->group));
    return 0;
}

TEST_F(Stream, LetsWritersTakeTurnsFirstComeFirstServed)
{
    Writers writers = {stage.fd};
    std::string got;
    {
        const Thread reader([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            got = peer.receive(7 * 200000 + 1);
        });
        EXPECT_EQ(0, coil_run(write_letters(&writers)));
    }
    EXPECT_EQ("abcdefg", writers.ended);
    std::string expected;
    for (const char letter : std::string("abcdefg"))
        expected += std::string(200000, letter);
    EXPECT_TRUE(expected == got) << "X gave up its turn before it came, and nobody was interrupted";
}

async(int, cut_a_write, (Writers *) writers)
{
    vars(int rc);

    EXPECT_EQ(0, coil_stream_create(writers->fd, COIL_TRANSPORT_SOCKET, &writers->stream));
    defer(coil_stream_close(writers->stream));
    await(my->rc, within(coil_ms(10), write_letter(writers, 'x')));
    EXPECT_EQ(-ETIME, my->rc);
    await(my->rc, within(coil_ms(10), write_letter(writers, 'y')));
    EXPECT_EQ(-EPIPE, my->rc) << "behind a part of x";
    return 0;
}

TEST_F(Stream, LetsNothingFollowAWriteThatIsCancelledInItsMiddle)
{
    Writers writers = {stage.fd};
    const int small = 10000;
    setsockopt(stage.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    EXPECT_EQ(0, RUN_AT_ONCE(cut_a_write(&writers)));
    EXPECT_EQ("", writers.ended);
}

/* ------------------------------------------------------------------------------- a pair -- */

async(int, use_a_pair)
{
    vars(coil_stream *one; coil_stream *other; coil_slice in);

    EXPECT_EQ(0, coil_stream_pair(&my->one, &my->other));
    defer(coil_stream_close(my->one); coil_stream_close(my->other));
    attempt(coil_write_all(my->one, coil_text("there\n")));
    attempt(coil_write_all(my->other, coil_text("and back\n")));
    attempt(my->in, coil_read_until(my->other, '\n', 100));
    EXPECT_EQ("there\n", std::string(my->in.bytes, static_cast<size_t>(my->in.size_bytes)));
    coil_slice_release(&my->in);
    attempt(my->in, coil_read_until(my->one, '\n', 100));
    EXPECT_EQ("and back\n", std::string(my->in.bytes, static_cast<size_t>(my->in.size_bytes)));
    coil_slice_release(&my->in);
    await(my->in, within(coil_s(3600), coil_read_some(my->one)));
    EXPECT_EQ(-ETIME, my->in.size_bytes);
    attempt(coil_stream_shutdown(my->other));
    attempt(my->in, coil_read_some(my->one));
    EXPECT_EQ(0, my->in.size_bytes) << "the end of the stream";
    return 0;
}

TEST(StreamPair, IsConnectedBothWays)
{
    EXPECT_EQ(0, RUN_AT_ONCE(use_a_pair()));
}

async(int, exhaust_descriptors, (rlim_t) limit)
{
    vars(coil_stream *one; coil_stream *other);
    struct rlimit before;
    EXPECT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
    const struct rlimit few = {limit, before.rlim_max};
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
    int rc = coil_stream_pair(&my->one, &my->other);
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &before));
    EXPECT_EQ(nullptr, my->one);
    return rc;
}

TEST(StreamPair, WithoutDescriptorsIsAnError)
{
    EXPECT_EQ(-EMFILE, RUN_AT_ONCE(exhaust_descriptors(3)));
}

/* ----------------------------------------------------------------------------- no memory -- */

async(int, miss_the_middle, (Stage *) stage, (Peer *) peer)
{
    vars(coil_stream *stream; coil_slice in);

    EXPECT_EQ(0, coil_stream_create(stage->fd, COIL_TRANSPORT_SOCKET, &my->stream));
    defer(coil_stream_close(my->stream));
    peer->send("one");
    await(my->in, within(coil_ms(10), coil_read_block(my->stream, 100000)));
    EXPECT_EQ(-ETIME, my->in.size_bytes);
    peer->send(std::string(80000, '2')); /* More than fits behind it in its buffer. */
    no_memory = true;
    await(my->in, coil_read_block(my->stream, 50000));
    no_memory = false;
    EXPECT_EQ(-ENOMEM, my->in.size_bytes);
    peer->send("three!");
    await(my->in, coil_read_block(my->stream, 100000));
    EXPECT_EQ(-ENOMEM, my->in.size_bytes) << "rather than one, some of two, three!";
    attempt(my->in, coil_read_some(my->stream));
    EXPECT_EQ("one", std::string(my->in.bytes, static_cast<size_t>(my->in.size_bytes)));
    coil_slice_release(&my->in);
    await(my->in, coil_read_some(my->stream));
    EXPECT_EQ(-ENOMEM, my->in.size_bytes);
    return 0;
}

TEST_F(Stream, GivesNothingFromBehindAGap)
{
    EXPECT_EQ(0, RUN_AT_ONCE(coil_within(coil_s(10), miss_the_middle(&stage, &peer))));
}

/* ------------------------------------------------------------------------------- shutdown -- */

async(int, end_our_side, (Stage *) stage)
{
    vars(coil_stream *stream; coil_slice in);
    EXPECT_EQ(0, coil_stream_create(stage->fd, COIL_TRANSPORT_SOCKET, &my->stream));
    defer(coil_stream_close(my->stream));
    attempt(coil_write_all(my->stream, coil_text("question")));
    attempt(coil_stream_shutdown(my->stream));
    attempt(my->in, coil_read_block(my->stream, 6));
    coil_slice_release(&my->in);
    return 0;
}

TEST_F(Stream, CanBeReadAfterOurSideHasEnded)
{
    const Thread answering([&] {
        EXPECT_EQ("question", peer.receive(100));
        peer.send("answer");
    });
    EXPECT_EQ(0, coil_run(end_our_side(&stage)));
}

} // namespace
