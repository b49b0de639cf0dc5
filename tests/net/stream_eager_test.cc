/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes that have their result before there is a frame, and reads that are fed by the
 * completion: against cancellations, full sockets, and tasks that never have to wait.
 */
#include <coil/stream.h>

#include <coil/loop.h>

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <random>

#include <coil/sugar.h>

namespace
{

char byte_at(uint64_t position)
{
    return static_cast<char>(position * 131 + (position >> 8));
}

/* ------------------------------------------------------------------- fed, and then cancelled -- */

/* Of the task that is fed. */
struct Reader {
    coil_stream *stream = nullptr;
    coil_task *task = nullptr;
    int64_t got = -1;
    int64_t more = -1;
    bool left = false;
};

async(int, reads_twice, (Reader *) reader)
{
    vars(coil_slice slice; coil_slice more);
    defer(reader->left = true; coil_slice_release(&my->slice));
    await(my->slice, coil_read_some(reader->stream));
    reader->got = my->slice.size_bytes;
    await(my->more, coil_read_some(reader->stream));
    reader->more = my->more.size_bytes;
    coil_slice_release(&my->more);
    return 0;
}

/* It waits for bytes, too, and is the first to have them. */
async(int, cancels_when_told, (coil_stream *) stream, (Reader *) reader)
{
    vars(coil_slice slice);
    await(my->slice, coil_read_some(stream));
    coil_slice_release(&my->slice);
    coil_task_cancel(reader->task);
    return 0;
}

async(int, feeds_who_is_cancelled, (Reader *) reader)
{
    vars(coil_stream *told[2]; coil_stream *fed[2]; coil_slice rest; coil_group group; int rc);
    EXPECT_EQ(0, coil_stream_pair(&my->told[0], &my->told[1]));
    defer(coil_stream_close(my->told[0]); coil_stream_close(my->told[1]));
    EXPECT_EQ(0, coil_stream_pair(&my->fed[0], &my->fed[1]));
    defer(coil_stream_close(my->fed[0]); coil_stream_close(my->fed[1]));
    open_group(&my->group);
    my->group.keep_going = true;
    reader->stream = my->fed[0];
    spawn(&my->group, cancels_when_told(my->told[0], reader));
    reader->task = spawn(&my->group, reads_twice(reader));
    await(coil_sleep(coil_ms(1))); /* Both wait. */
    attempt(coil_write_all(my->told[1], coil_text("now")));
    attempt(coil_write_all(my->fed[1], coil_text("hello")));
    await(my->rc, coil_group_join(&my->group));
    attempt(coil_write_all(my->fed[1], coil_text("world!")));
    attempt(my->rest, coil_read_some(my->fed[0]));
    my->rc = static_cast<int>(my->rest.size_bytes);
    coil_slice_release(&my->rest);
    return my->rc;
}

TEST(StreamEager, WhoIsCancelledWhenItHasBeenFedHasItsBytesAndLeaves)
{
    Reader reader;
    EXPECT_EQ(6, coil_run(feeds_who_is_cancelled(&reader))) << "nothing is lost behind";
    EXPECT_EQ(5, reader.got);
    EXPECT_EQ(-1, reader.more);
    EXPECT_TRUE(reader.left);
}

async(int, yields_once, (int *) out_count)
{
    vars();
    await(coil_yield());
    ++*out_count;
    return 0;
}

/* So many are ready before the reader that its bytes come while it is queued, to be cancelled. */
async(int, feeds_who_is_queued, (Reader *) reader, (int *) out_count)
{
    enum : int { READY_TASKS = 3000 };
    vars(coil_stream *fed[2]; coil_group group; int i; int rc);
    EXPECT_EQ(0, coil_stream_pair(&my->fed[0], &my->fed[1]));
    defer(coil_stream_close(my->fed[0]); coil_stream_close(my->fed[1]));
    open_group(&my->group);
    my->group.keep_going = true;
    reader->stream = my->fed[0];
    reader->task = spawn(&my->group, reads_twice(reader));
    await(coil_sleep(coil_ms(1)));
    for (my->i = 0; my->i < READY_TASKS; my->i++)
        spawn(&my->group, yields_once(out_count));
    coil_task_cancel(reader->task);
    attempt(coil_write_all(my->fed[1], coil_text("hello")));
    await(my->rc, coil_group_join(&my->group));
    return *out_count == READY_TASKS ? 0 : -EBADMSG;
}

TEST(StreamEager, WhoIsQueuedIsNotFed)
{
    Reader reader;
    int count = 0;
    EXPECT_EQ(0, coil_run(feeds_who_is_queued(&reader, &count)));
    EXPECT_EQ(5, reader.got) << "what came before it left is its own";
    EXPECT_EQ(-1, reader.more);
    EXPECT_TRUE(reader.left);
}

async(int, read_as_one, (Reader *) first, (Reader *) second)
{
    vars(coil_stream *ends[2]; coil_group group; int rc);
    EXPECT_EQ(0, coil_stream_pair(&my->ends[0], &my->ends[1]));
    first->stream = second->stream = my->ends[0];
    open_group(&my->group);
    spawn(&my->group, reads_twice(first));
    spawn(&my->group, reads_twice(second));
    await(my->rc, coil_group_join(&my->group));
    return my->rc;
}

TEST(StreamEager, OneReaderAtATime)
{
    Reader first;
    Reader second;
    EXPECT_DEATH((void)coil_run(read_as_one(&first, &second)),
            "check failed: waiter == NULL.*\n.*in task reads_twice\n");
}

/* --------------------------------------------------------------------------- random traffic -- */

/* One direction of a pair: bytes that tell their place. */
struct Way {
    coil_stream *from = nullptr;
    coil_stream *to = nullptr;
    coil_task *reader = nullptr;
    std::mt19937 chance;
    std::string bytes; /* Of the write under way. */
    uint64_t total = 0;
    uint64_t written = 0;
    uint64_t read = 0;
    bool ended = false;
};

unsigned pick(Way *way, unsigned below)
{
    return static_cast<unsigned>(way->chance() % below);
}

coil_slice next_bytes(Way *way)
{
    const uint64_t left = way->total - way->written;
    const uint64_t size = pick(way, 3) == 0 ? pick(way, 60000) : pick(way, 50); /* Or nothing. */
    way->bytes.resize(size < left ? size : left);
    for (size_t i = 0; i < way->bytes.size(); i++)
        way->bytes[i] = byte_at(way->written + i);
    way->written += way->bytes.size();
    return coil_bytes(way->bytes.data(), way->bytes.size());
}

async(int, writes_at_random, (Way *) way)
{
    vars(int rc);
    while (way->written < way->total) {
        await(my->rc, coil_write_all(way->from, next_bytes(way)));
        EXPECT_EQ(0, my->rc);
        if (pick(way, 8) == 0)
            await(coil_yield());
    }
    attempt(coil_stream_shutdown(way->from));
    return 0;
}

void check(Way *way, const coil_slice *slice)
{
    if (slice->size_bytes <= 0)
        return;
    for (int64_t i = 0; i < slice->size_bytes; i++) {
        if (slice->bytes[i] == byte_at(way->read + static_cast<uint64_t>(i)))
            continue;
        ADD_FAILURE() << "at " << way->read << " + " << i << " of " << slice->size_bytes;
        break;
    }
    way->read += static_cast<uint64_t>(slice->size_bytes);
}

async(int, reads_at_random, (Way *) way)
{
    vars(coil_slice slice; char padding[40]);
    memset(my->padding, 0x3C, sizeof(my->padding));
    defer(coil_slice_release(&my->slice); EXPECT_EQ(0x3C, my->padding[39]));
    for (;;) {
        if (pick(way, 10) == 0) {
            await(my->slice, within(coil_us(pick(way, 200)), coil_read_some(way->to)));
        } else {
            await(my->slice, coil_read_some(way->to));
        }
        check(way, &my->slice);
        if (my->slice.size_bytes == 0)
            break;
        EXPECT_TRUE(my->slice.size_bytes > 0 || my->slice.size_bytes == -ETIME);
        coil_slice_release(&my->slice);
        if (pick(way, 6) == 0)
            await(coil_yield());
        if (pick(way, 40) == 0)
            await(coil_sleep(coil_us(pick(way, 100))));
    }
    way->ended = true;
    return 0;
}

/* Readers come and go, whatever they are doing; none takes a byte with it. */
async(int, cancels_at_random, (Way *) way)
{
    vars(coil_group group; int64_t result);
    open_group(&my->group);
    my->group.keep_going = true;
    while (!way->ended) {
        way->reader = spawn(&my->group, reads_at_random(way));
        do {
            await(coil_sleep(coil_us(pick(way, 400))));
        } while (!way->ended && my->group.live_count > 0 && pick(way, 3) != 0);
        if (my->group.live_count > 0)
            coil_task_cancel(way->reader);
        await(my->result, coil_group_join(&my->group));
    }
    return 0;
}

void take_little(const coil_stream *stream, int bytes)
{
    EXPECT_EQ(0, setsockopt(coil_stream_fd(stream), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)));
}

async(int, talks_at_random, (Way *) ways, (int) small_bytes)
{
    vars(coil_stream *one; coil_stream *other; coil_group group; int rc; int i);
    EXPECT_EQ(0, coil_stream_pair(&my->one, &my->other));
    defer(coil_stream_close(my->one); coil_stream_close(my->other));
    take_little(my->one, small_bytes);
    ways[0].from = ways[1].to = my->one;
    ways[1].from = ways[0].to = my->other;
    open_group(&my->group);
    for (my->i = 0; my->i < 2; my->i++) {
        spawn(&my->group, writes_at_random(&ways[my->i]));
        spawn(&my->group, cancels_at_random(&ways[my->i]));
    }
    await(my->rc, coil_group_join(&my->group));
    return my->rc;
}

class StreamEagerRandom : public testing::TestWithParam<int>
{
};

TEST_P(StreamEagerRandom, LosesNothingAndMixesNothing)
{
    enum : uint64_t { TOTAL_BYTES = 2 << 20 };
    for (unsigned seed = 0; seed < 5; seed++) {
        Way ways[2];
        for (Way &way : ways) {
            way.chance.seed(2 * seed + static_cast<unsigned>(&way - ways));
            way.total = TOTAL_BYTES;
        }
        EXPECT_EQ(0, coil_run(talks_at_random(ways, GetParam())));
        for (const Way &way : ways)
            EXPECT_EQ(TOTAL_BYTES, way.read) << "seed " << seed;
    }
}

INSTANTIATE_TEST_SUITE_P(Buffers, StreamEagerRandom, testing::Values(1, 10000, 200000));

/* ----------------------------------------------------------------------------- taking turns -- */

async(int, writes_for_ever, (coil_stream *) stream)
{
    vars();
    for (;;)
        attempt(coil_write_all(stream, coil_text("so much to say")));
}

async(int, reads_for_ever, (coil_stream *) stream, (uint64_t *) out_count)
{
    vars(coil_slice slice);
    for (;;) {
        attempt(my->slice, coil_read_some(stream));
        coil_slice_release(&my->slice);
        ++*out_count;
    }
}

/* With itself: what it writes is what it reads. */
async(int, talks_for_ever, (coil_stream *) one, (coil_stream *) other)
{
    vars(coil_slice slice);
    for (;;) {
        attempt(coil_write_all(one, coil_text("hello")));
        attempt(my->slice, coil_read_some(other));
        coil_slice_release(&my->slice);
    }
}

async(int, is_not_starved, (int *) out_ticks)
{
    vars(coil_stream *one; coil_stream *other; coil_stream *near; coil_stream *far;
            coil_group group; uint64_t read_count);
    EXPECT_EQ(0, coil_stream_pair(&my->one, &my->other));
    defer(coil_stream_close(my->one); coil_stream_close(my->other));
    EXPECT_EQ(0, coil_stream_pair(&my->near, &my->far));
    defer(coil_stream_close(my->near); coil_stream_close(my->far));
    open_group(&my->group);
    my->group.keep_going = true;
    spawn(&my->group, writes_for_ever(my->one));
    spawn(&my->group, reads_for_ever(my->other, &my->read_count));
    spawn(&my->group, talks_for_ever(my->near, my->far));
    for (; *out_ticks < 20; ++*out_ticks)
        await(coil_sleep(coil_ms(1)));
    EXPECT_GT(my->read_count, 0u);
    return 0;
}

TEST(StreamEager, WhoNeverHasToWaitStarvesNobody)
{
    int ticks = 0;
    EXPECT_EQ(0, coil_run(is_not_starved(&ticks)));
    EXPECT_EQ(20, ticks);
}

} // namespace
