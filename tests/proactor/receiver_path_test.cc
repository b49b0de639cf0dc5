/* SPDX-License-Identifier: MIT */
/* coil/receiver.h: how bytes get here changes under way, and nobody can tell from the bytes. */
#include "stage.h"

#include <coil/sender.h>

#include <list>
#include <random>
#include <vector>

extern "C" {
#include "pool.h"
}

#include <coil/sugar.h>

namespace
{

enum { POOL_BYTES = 1024 * 1024 };

std::string text(const coil_slice &slice)
{
    if (slice.size_bytes < 0)
        return std::to_string(slice.size_bytes);
    return std::string(slice.bytes, static_cast<size_t>(slice.size_bytes));
}

bool is_ours(const coil_slice &slice)
{
    return slice.buffer != nullptr && slice.buffer->is_ours;
}

async(int, takes, (coil_receiver *) receiver, (coil_slice *) slice)
{
    vars();
    await(*slice, coil_receiver_next(receiver));
    return static_cast<int>(slice->size_bytes);
}

async(int, takes_in_time, (coil_receiver *) receiver, (std::string *) got)
{
    vars(coil_slice slice);
    await(my->slice, within(coil_ms(200), coil_receiver_next(receiver)));
    *got += text(my->slice);
    coil_slice_release(&my->slice);
    return 0;
}

async(int, holds, (coil_receiver *) receiver, (std::vector<coil_slice> *) slices, (int64_t) size_bytes)
{
    vars(coil_slice slice; int64_t have_bytes);
    while (my->have_bytes < size_bytes) {
        await(my->slice, coil_receiver_next(receiver));
        if (my->slice.size_bytes <= 0)
            return static_cast<int>(my->slice.size_bytes);
        my->have_bytes += my->slice.size_bytes;
        slices->push_back(my->slice);
    }
    return 0;
}

coil_slice all_of(const std::string &bytes)
{
    return {static_cast<int64_t>(bytes.size()), bytes.data(), nullptr};
}

async(int, fills, (coil_sender *) sender, (const std::string *) bytes)
{
    vars();
    attempt(coil_sender_write(sender, all_of(*bytes)));
    return 0;
}

/* Somebody who holds all that the pool has, for as long as it exists. */
class Holder
{
public:
    explicit Holder(coil_loop *host) : loop(host)
    {
        Ends ends = make_unix();
        in = std::move(ends.in);
        /* What is not received by recv(2) takes all of its buffers from the ring. */
        EXPECT_EQ(
                0, coil_receiver_create(loop, ends.out.release(), COIL_TRANSPORT_FILE, &receiver));
        coil_sender_init(&sender, in, COIL_TRANSPORT_SOCKET);
        coil_spawn(coil_loop_root(loop), fills(&sender, &much));
        coil_spawn_result(coil_loop_root(loop), &held, holds(receiver, &slices, POOL_BYTES));
    }

    Holder(const Holder &) = delete;
    Holder &operator=(const Holder &) = delete;

    ~Holder()
    {
        for (coil_slice &slice : slices)
            coil_slice_release(&slice);
        coil_receiver_close(receiver);
    }

    bool is_done() const
    {
        return held == 0;
    }

private:
    coil_loop *loop;
    int64_t held = INT64_MIN;
    std::string much = std::string(POOL_BYTES, 'h');
    Fd in;
    coil_receiver *receiver = nullptr;
    coil_sender sender = {};
    std::vector<coil_slice> slices;
};

/* As if it had been idle for long. */
void park_idle(coil_loop *loop)
{
    for (int i = 0; i < 3; i++) {
        coil_timer_disarm(&loop->sched.wheel, &loop->idle.timer);
        loop->idle.timer.fire(&loop->idle.timer);
    }
}

class Paths : public Proactor
{
protected:
    explicit Paths(Create how = coil_test_loop_create) : Proactor(how) {}

    coil_receiver *create(int fd, coil_transport transport = COIL_TRANSPORT_SOCKET)
    {
        coil_receiver *receiver = nullptr;
        EXPECT_EQ(0, coil_receiver_create(loop, fd, transport, &receiver));
        return receiver;
    }

    /* What comes next once `send` has acted; while the receiver waits, at least. */
    coil_slice take_after(coil_receiver *receiver, const std::function<void()> &send)
    {
        coil_slice slice = {};
        int64_t result = 0;
        START(result, takes(receiver, &slice));
        later(coil_ms(1), send);
        run();
        EXPECT_EQ(slice.size_bytes, result);
        return slice;
    }

    std::string next_in_time(coil_receiver *receiver)
    {
        std::string got;
        EXPECT_EQ(0, RUN(takes_in_time(receiver, &got)));
        return got;
    }
};

/* ---------------------------------------------------------------------- odd descriptors -- */

void make_nonblocking(int fd)
{
    EXPECT_EQ(0, fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK));
}

TEST_F(Paths, ADescriptorThatDoesNotBlockIsWaitedFor)
{
    const std::pair<Ends (*)(), coil_transport> kinds[] = {{make_unix, COIL_TRANSPORT_SOCKET},
            {make_tcp, COIL_TRANSPORT_SOCKET}, {make_unix, COIL_TRANSPORT_FILE},
            {make_pipe, COIL_TRANSPORT_FILE}};
    for (auto [make, transport] : kinds) {
        for (bool direct : {false, true}) {
            Ends ends = make();
            make_nonblocking(ends.out);
            int fd = direct ? make_direct(std::move(ends.out)) : ends.out.release();
            coil_receiver *receiver = create(fd, transport);
            uint64_t turns = 0;
            for (int i = 0; i < 5; i++) {
                turns = coil_loop_statistics(loop).turns;
                coil_slice slice = take_after(receiver, [&] { put(ends.in, "late"); });
                EXPECT_EQ("late", text(slice));
                coil_slice_release(&slice);
            }
            EXPECT_GT(20u, coil_loop_statistics(loop).turns - turns);
            ends.in.reset();
            EXPECT_EQ("", next_in_time(receiver));
            coil_receiver_close(receiver);
            coil_test_settle(loop);
        }
    }
}

/* A kernel that takes O_NONBLOCK at its word, also where a receive has a buffer of its own. */
int enter_without_blocking(struct io_uring *ring, unsigned to_submit, unsigned min_complete,
        unsigned flags, void *argument, size_t argument_bytes)
{
    for (unsigned i = *ring->sq.khead; i != ring->sq.sqe_tail; i++) {
        struct io_uring_sqe *sqe = &ring->sq.sqes[i & ring->sq.ring_mask];
        if (sqe->opcode == IORING_OP_RECV)
            sqe->msg_flags |= MSG_DONTWAIT;
    }
    return coil_kernel_ring_enter(ring, to_submit, min_complete, flags, argument, argument_bytes);
}

TEST_F(Paths, OneThatDoesNotBlockIsWaitedForWhereThereIsNoMemoryForThePool)
{
    loop->buffers_retry_at = COIL_NEVER;
    loop->ring.enter = enter_without_blocking;
    for (auto make : {make_unix, make_tcp}) {
        Ends ends = make();
        make_nonblocking(ends.out);
        coil_receiver *receiver = create(ends.out.release());
        for (int i = 0; i < 3; i++) {
            coil_slice slice = take_after(receiver, [&] { put(ends.in, "late"); });
            EXPECT_EQ("late", text(slice));
            coil_slice_release(&slice);
        }
        ends.in.reset();
        EXPECT_EQ("", next_in_time(receiver));
        coil_receiver_close(receiver);
        coil_test_settle(loop);
    }
    EXPECT_EQ(nullptr, loop->buffers);
    loop->ring.enter = coil_kernel_ring_enter;
}

/* A receive stops at urgent data, and the kernel says nothing of what lies behind. */
TEST_F(Paths, WhatComesBehindUrgentDataIsNotMissed)
{
    Holder holder(loop);
    run();
    ASSERT_TRUE(holder.is_done());
    Ends ends = make_tcp();
    coil_receiver *receiver = create(ends.out.release());
    coil_slice slice = take_after(receiver, [&] { put(ends.in, "."); });
    EXPECT_TRUE(is_ours(slice));
    coil_slice_release(&slice);
    put(ends.in, "abc");
    ASSERT_EQ(1, send(ends.in, "!", 1, MSG_OOB));
    put(ends.in, "def");
    std::string got;
    for (int i = 0; i < 3 && got != "abcdef"; i++)
        (void)RUN(takes_in_time(receiver, &got));
    EXPECT_EQ("abcdef", got);
    coil_receiver_close(receiver);
}

/* As a leaf does that wants more than there is. */
async(int, waits_for_more, (coil_receiver *) receiver)
{
    vars();
    EXPECT_EQ(-EAGAIN, coil_receiver_look(receiver, coil_self));
    coil_receiver_wait(receiver, coil_self);
    await(coil_sleep(coil_ms(5)));
    EXPECT_EQ(1, coil_receiver_look(receiver, coil_self));
    EXPECT_NE(nullptr, coil_receiver_front(receiver)->buffer->pool);
    coil_receiver_wait(receiver, coil_self);
    return coil_receiver_look(receiver, coil_self);
}

TEST_F(Paths, AShortRestThatHasToWaitKeepsNoBufferFromOthers)
{
    Ends ends = make_unix();
    coil_receiver *receiver = create(ends.out.release());
    put(ends.in, "rest");
    EXPECT_EQ(1, RUN(waits_for_more(receiver)));
    EXPECT_EQ("rest", text(*coil_receiver_front(receiver)));
    EXPECT_EQ(nullptr, coil_receiver_front(receiver)->buffer->pool);
    coil_receiver_close(receiver);
}

TEST_F(Paths, LargeReceivesAreDoneByUsAfterAFewAndSmallOnesByTheKernelAgain)
{
    Ends ends = make_unix();
    coil_receiver *receiver = create(ends.out.release());
    /* Send so many bytes and take them: who has received the last of them? */
    auto pass_on = [&](size_t size_bytes) {
        coil_slice slice =
                take_after(receiver, [&] { put(ends.in, std::string(size_bytes, 'x')); });
        bool ours = is_ours(slice);
        for (size_t have_bytes = static_cast<size_t>(slice.size_bytes); have_bytes < size_bytes;) {
            coil_slice_release(&slice);
            EXPECT_LT(0, RUN(takes(receiver, &slice)));
            ours = is_ours(slice);
            have_bytes += static_cast<size_t>(slice.size_bytes);
        }
        coil_slice_release(&slice);
        return ours;
    };
    EXPECT_FALSE(pass_on(60000)) << "large receives in a row are what counts";
    int count = 0;
    while (!pass_on(60000) && count < 20)
        count++;
    EXPECT_GT(20, count);
    for (count = 0; pass_on(100) && count < 50;)
        count++;
    EXPECT_GT(50, count);
    EXPECT_LT(1, count) << "one small receive says little";
    coil_receiver_close(receiver);
}

TEST_F(Paths, ATerminalThatDoesNotBlockIsWaitedFor)
{
    Ends ends = make_terminal();
    make_nonblocking(ends.out);
    coil_receiver *receiver = create(ends.out.release(), COIL_TRANSPORT_FILE);
    coil_slice slice = take_after(receiver, [&] { put(ends.in, "typed"); });
    EXPECT_EQ("typed", text(slice));
    coil_slice_release(&slice);
    coil_receiver_close(receiver);
}

/* ----------------------------------------------------------------------- random changes -- */

struct World;

/* One connection: what is sent follows the pattern, and so must what is received. */
struct Line {
    World *world;
    Fd in;
    coil_receiver *receiver;
    coil_sender sender;
    uint64_t total_bytes;
    uint64_t most_bytes; /* In one piece. */
    uint64_t sent_bytes = 0;
    uint64_t received_bytes = 0;
    uint64_t wrong_count = 0;
    bool hangs_on = false; /* The reader keeps some slices for a while. */
    std::string piece = "";
    std::list<std::pair<coil_slice, uint64_t>> held = {};

    uint64_t wrong_in(const coil_slice &slice, uint64_t offset)
    {
        uint64_t count = 0;
        for (int64_t i = 0; i < slice.size_bytes; i++)
            count += slice.bytes[i] != pattern(offset + static_cast<uint64_t>(i)) ? 1 : 0;
        return count;
    }

    void release_one()
    {
        wrong_count += wrong_in(held.front().first, held.front().second);
        coil_slice_release(&held.front().first);
        held.pop_front();
    }
};

struct World {
    coil_loop *loop;
    Random random;
    std::list<Line> lines = {};
    size_t open_count = 0;
    uint64_t ours_count = 0;
    uint64_t ring_count = 0;

    void take(Line *line, coil_slice *slice)
    {
        (is_ours(*slice) ? ours_count : ring_count)++;
        line->wrong_count += line->wrong_in(*slice, line->received_bytes);
        uint64_t offset = line->received_bytes;
        line->received_bytes += static_cast<uint64_t>(slice->size_bytes);
        if (line->hangs_on && random.below(4) == 0) {
            line->held.emplace_back(*slice, offset);
            *slice = coil_slice{};
        }
        while (line->held.size() > 8)
            line->release_one();
        coil_slice_release(slice);
    }
};

async(int, sends_line, (Line *) line)
{
    vars(uint64_t size_bytes);
    defer(line->in.reset());
    while (line->sent_bytes < line->total_bytes) {
        my->size_bytes = 1 + line->world->random.below(line->most_bytes);
        line->piece.resize(my->size_bytes);
        for (size_t i = 0; i < my->size_bytes; i++)
            line->piece[i] = pattern(line->sent_bytes + i);
        attempt(coil_sender_write(&line->sender, all_of(line->piece)));
        line->sent_bytes += my->size_bytes;
        if (line->world->random.below(3) == 0) {
            await(coil_sleep(static_cast<coil_duration>(line->world->random.below(20000))));
        }
    }
    return 0;
}

async(int, reads_line, (Line *) line)
{
    vars(coil_slice slice);
    defer(line->world->open_count--);
    for (;;) {
        if (line->world->random.below(6) == 0) {
            await(coil_sleep(static_cast<coil_duration>(line->world->random.below(50000))));
        }
        if (line->world->random.below(3) == 0) {
            await(my->slice, within(static_cast<coil_duration>(line->world->random.below(20000)),
                                     coil_receiver_next(line->receiver)));
        } else {
            await(my->slice, coil_receiver_next(line->receiver));
        }
        if (my->slice.size_bytes == -ETIME)
            continue;
        if (my->slice.size_bytes <= 0)
            break;
        line->world->take(line, &my->slice);
    }
    return static_cast<int>(my->slice.size_bytes);
}

/* Now and then, somebody holds the whole pool for a while; and who is silent is parked. */
async(int, disturbs, (World *) world)
{
    vars(Holder *holder);
    while (world->open_count > 0 || my->holder != nullptr) {
        await(coil_sleep(static_cast<coil_duration>(world->random.below(400000))));
        if (my->holder == nullptr && world->open_count > 0) {
            my->holder = new Holder(world->loop);
        } else if (my->holder != nullptr && my->holder->is_done()) {
            delete std::exchange(my->holder, nullptr);
        }
        if (world->random.below(2) == 0)
            park_idle(world->loop);
    }
    return 0;
}

class RandomPaths : public Paths, public testing::WithParamInterface<unsigned>
{
};

TEST_P(RandomPaths, LoseAndRepeatAndMixNothing)
{
    World world = {loop, {GetParam() * 7919 + 1}};
    loop->idle.sched = &loop->sched; /* On a test loop, too, things are to be parked. */
    Ends (*const makes[])() = {make_unix, make_tcp, make_unix, make_tcp, make_pipe};
    const uint64_t sizes[] = {20, 700, 5000, 30000, 150000};
    const size_t count = 1 + world.random.below(24);
    std::vector<int64_t> results(count);
    for (size_t i = 0; i < count; i++) {
        size_t kind = world.random.below(5);
        Ends ends = makes[kind]();
        coil_transport transport = kind == 4 ? COIL_TRANSPORT_FILE : COIL_TRANSPORT_SOCKET;
        uint64_t most_bytes = sizes[world.random.below(5)];
        int out = ends.out.release();
        if (world.random.below(6) == 0)
            out = make_direct(Fd(out));
        world.lines.push_back(Line{&world, std::move(ends.in), create(out, transport), {},
                30 * most_bytes, most_bytes});
        Line &line = world.lines.back();
        line.hangs_on = world.random.below(3) == 0;
        coil_sender_init(&line.sender, line.in, transport);
        world.open_count++;
        coil_spawn(coil_loop_root(loop), sends_line(&line));
        START(results[i], reads_line(&line));
    }
    coil_spawn(coil_loop_root(loop), disturbs(&world));
    run();
    size_t i = 0;
    for (Line &line : world.lines) {
        EXPECT_EQ(0, results[i++]);
        EXPECT_EQ(line.sent_bytes, line.received_bytes);
        while (!line.held.empty())
            line.release_one();
        EXPECT_EQ(0u, line.wrong_count);
        coil_receiver_close(line.receiver);
    }
    RecordProperty("ours", std::to_string(world.ours_count));
    RecordProperty("ring", std::to_string(world.ring_count));
    printf("seed %u: %zu lines, %llu slices of ours, %llu of the ring's\n", GetParam(), count,
            static_cast<unsigned long long>(world.ours_count),
            static_cast<unsigned long long>(world.ring_count));
}

unsigned seed_count()
{
    const char *given = getenv("COIL_TEST_SEEDS");
    return given != nullptr ? static_cast<unsigned>(strtoul(given, nullptr, 10)) : 20;
}

INSTANTIATE_TEST_SUITE_P(Receiver, RandomPaths, testing::Range(0u, seed_count()));

} // namespace
