/* SPDX-License-Identifier: MIT */
/* coil/sender.h: no memory, no room in the queue, an error in the middle of a write. */
#include "sender_stage.h"

#include <algorithm>

extern "C" {
#include "sender_private.h"
}

#include <coil/sugar.h>

namespace
{

async(int, cancels, (Write *) write)
{
    vars();
    if (write->task != nullptr)
        coil_task_cancel(write->task);
    return 0;
}

void *allocate_nothing(coil_allocator *allocator, size_t size_bytes)
{
    (void)allocator, (void)size_bytes;
    return nullptr;
}

/* The kernel takes nothing unless somebody waits, as it does with too many completions waiting. */
int enter_busy(struct io_uring *ring, unsigned to_submit, unsigned min_complete, unsigned flags,
        void *argument, size_t argument_bytes)
{
    if (min_complete == 0 && !(flags & IORING_ENTER_GETEVENTS))
        return -EBUSY;
    return coil_kernel_ring_enter(ring, to_submit, min_complete, flags, argument, argument_bytes);
}

int failing_sends;

/* So many sends fail before the kernel has looked at their bytes. */
int enter_failing(struct io_uring *ring, unsigned to_submit, unsigned min_complete, unsigned flags,
        void *argument, size_t argument_bytes)
{
    for (unsigned i = *ring->sq.khead; i != ring->sq.sqe_tail; i++) {
        struct io_uring_sqe *sqe = &ring->sq.sqes[i & ring->sq.ring_mask];
        bool is_send = sqe->opcode == IORING_OP_SEND || sqe->opcode == IORING_OP_SENDMSG ||
                       sqe->opcode == IORING_OP_WRITEV;
        if (is_send && failing_sends > 0) {
            failing_sends--;
            sqe->fd = -1;
        }
    }
    return coil_kernel_ring_enter(ring, to_submit, min_complete, flags, argument, argument_bytes);
}

/* Before 6.4, of a pipe or terminal that does not block: the kernel takes it at its word. */
int enter_without_blocking(struct io_uring *ring, unsigned to_submit, unsigned min_complete,
        unsigned flags, void *argument, size_t argument_bytes)
{
    for (unsigned i = *ring->sq.khead; i != ring->sq.sqe_tail; i++) {
        struct io_uring_sqe *sqe = &ring->sq.sqes[i & ring->sq.ring_mask];
        if (sqe->opcode == IORING_OP_WRITEV)
            sqe->rw_flags |= RWF_NOWAIT;
    }
    return coil_kernel_ring_enter(ring, to_submit, min_complete, flags, argument, argument_bytes);
}

class SenderInTrouble : public SenderStage
{
protected:
    /* All memory that tasks have used is full of what is no zero. */
    void soil_memory()
    {
        for (size_t size_bytes = COIL_SLAB_STEP_BYTES; size_bytes <= 1024;
                size_bytes += COIL_SLAB_STEP_BYTES) {
            void *memory = coil_sched_allocate(&loop->sched, size_bytes);
            memset(memory, 0x7f, size_bytes);
            coil_sched_release(&loop->sched, memory, size_bytes);
        }
    }

    /* From here on there is no memory, until the allocator is what it was. */
    void use_up_memory()
    {
        std::fill(std::begin(loop->sched.free_blocks), std::end(loop->sched.free_blocks), nullptr);
        loop->sched.allocator = &nothing;
    }

    void fill_queue()
    {
        loop->ring.enter = enter_busy;
        while (struct io_uring_sqe *sqe = ring_next(&loop->ring)) {
            io_uring_prep_nop(sqe);
            sqe->user_data = OP_TAG_CANCEL; /* Nobody looks at what comes of it. */
        }
    }

    /* All that arrives, while the loop runs. */
    std::string arrived()
    {
        std::string got;
        char bytes[64 * 1024];
        ssize_t count;
        do {
            coil_test_settle(loop);
            count = read(out, bytes, sizeof(bytes));
            got.append(bytes, static_cast<size_t>(count > 0 ? count : 0));
        } while (count > 0 || coil_sender_busy(&sender));
        return got;
    }

    coil_allocator nothing = {allocate_nothing, nullptr};
};

enum { MUCH_BYTES = 8 * 1024 * 1024 };

TEST_F(SenderInTrouble, AWriteIsCancelledBeforeThereWasRoomForItInTheQueue)
{
    use(make_pipe(), COIL_TRANSPORT_FILE);
    soil_memory();
    Write *first = start("first");
    coil_spawn(coil_loop_root(loop), cancels(first));
    Write *second = start("second");
    fill_queue();
    coil_test_settle(loop);
    loop->ring.enter = coil_kernel_ring_enter;
    EXPECT_EQ(-ECANCELED, first->rc);
    EXPECT_EQ("second", arrived());
    EXPECT_EQ(0, second->rc);
    EXPECT_EQ(1u, coil_loop_pending(loop)) << "that of the loop";
}

async(int, writes_alone, (Write *) write)
{
    vars();
    defer(write->task = nullptr);
    write->rc = -ECANCELED;
    await(write->rc, coil_sender_hold(write->sender));
    if (write->rc < 0)
        return 0;
    defer(coil_sender_release(write->sender, false));
    write->rc = -ECANCELED;
    await(write->rc, coil_sender_write_held(write->sender, all_of(write->lent)));
    return 0;
}

TEST_F(SenderInTrouble, WhoHoldsItIsCancelledBeforeThereWasRoomInTheQueue)
{
    use(make_pipe(), COIL_TRANSPORT_FILE);
    soil_memory();
    all.push_back({&sender, "alone"});
    Write *holder = &all.back();
    holder->task = coil_spawn(coil_loop_root(loop), writes_alone(holder));
    Write *other = start("other");
    coil_spawn(coil_loop_root(loop), cancels(holder));
    fill_queue();
    coil_test_settle(loop);
    loop->ring.enter = coil_kernel_ring_enter;
    EXPECT_EQ(-ECANCELED, holder->rc);
    EXPECT_EQ("other", arrived());
    EXPECT_EQ(0, other->rc);
    EXPECT_EQ(1u, coil_loop_pending(loop)) << "that of the loop";
}

TEST_F(SenderInTrouble, WhoWantsToHoldItGetsItWhenTheWriteBeforeIsCancelled)
{
    use(make_pipe(), COIL_TRANSPORT_FILE);
    soil_memory();
    Write *first = start("first");
    all.push_back({&sender, "alone"});
    Write *holder = &all.back();
    holder->task = coil_spawn(coil_loop_root(loop), writes_alone(holder));
    coil_spawn(coil_loop_root(loop), cancels(first));
    fill_queue();
    coil_test_settle(loop);
    loop->ring.enter = coil_kernel_ring_enter;
    EXPECT_EQ(-ECANCELED, first->rc);
    EXPECT_EQ("alone", arrived());
    EXPECT_EQ(0, holder->rc);
}

TEST_F(SenderInTrouble, NothingFollowsAWriteWhoseRestHasNoMemoryToWaitIn)
{
    use(make_unix());
    Write *first = start(std::string(MUCH_BYTES, 'f'));
    coil_allocator *heap = loop->sched.allocator;
    use_up_memory();
    coil_test_settle(loop);
    loop->sched.allocator = heap;
    EXPECT_EQ(-ENOMEM, first->rc);
    Write *second = start("second");
    std::string got = arrived();
    EXPECT_LT(0u, got.size());
    EXPECT_EQ(std::string::npos, got.find_first_not_of('f'));
    EXPECT_EQ(got.size(), sender.sent_bytes);
    EXPECT_EQ(-EPIPE, second->rc);
}

TEST_F(SenderInTrouble, NothingFollowsWhatALayerHadNoMemoryToWaitWith)
{
    use(make_unix());
    std::string much(MUCH_BYTES, 'f');
    coil_slice bytes = all_of(much);
    sender_flush flush = {};
    coil_allocator *heap = loop->sched.allocator;
    use_up_memory();
    sender.sent_turn = UINT16_MAX; /* Not in this one. */
    EXPECT_EQ(-ENOMEM, sender_flush_start(&sender, loop, &flush, &bytes));
    loop->sched.allocator = heap;
    Write *second = start("second");
    std::string got = arrived();
    EXPECT_LT(0u, got.size());
    EXPECT_EQ(std::string::npos, got.find_first_not_of('f'));
    EXPECT_EQ(-EPIPE, second->rc);
}

TEST_F(SenderInTrouble, NothingFollowsAWriteThatFailsInItsMiddle)
{
    use(make_unix());
    Write *first = start(std::string(MUCH_BYTES, 'f'));
    for (int i = 0; i < 40; i++) /* More than the next operation would take along. */
        start("more");
    failing_sends = 1;
    loop->ring.enter = enter_failing;
    coil_test_settle(loop);
    loop->ring.enter = coil_kernel_ring_enter;
    EXPECT_EQ(0, failing_sends);
    EXPECT_EQ(-EBADF, first->rc);
    Write *late = start("late");
    std::string got = arrived();
    EXPECT_LT(0u, got.size());
    EXPECT_EQ(std::string::npos, got.find_first_not_of('f'));
    for (auto write = std::next(all.begin()); write != all.end(); ++write)
        EXPECT_EQ(-EPIPE, write->rc);
    EXPECT_EQ(-EPIPE, late->rc);
}

/* None of their bytes is out: the peer misses nothing that it knows of. */
TEST_F(SenderInTrouble, WritesThatFailBeforeTheyHaveBegunDoNotHinderOthers)
{
    use(make_unix());
    start("at once,");
    Write *first = start("first");
    Write *second = start("second");
    failing_sends = 1;
    loop->ring.enter = enter_failing;
    coil_test_settle(loop);
    loop->ring.enter = coil_kernel_ring_enter;
    EXPECT_EQ(-EBADF, first->rc);
    EXPECT_EQ(0, second->rc);
    EXPECT_EQ("at once,second", arrived());
}

TEST_F(SenderInTrouble, WhatDoesNotBlockIsWaitedForAndMayBeCancelledMeanwhile)
{
    use(make_pipe(), COIL_TRANSPORT_FILE);
    loop->ring.enter = enter_without_blocking;
    std::string much(256 * 1024, 'f');
    Write *first = start(much);
    Write *second = start("second");
    start("third");
    coil_test_settle(loop);
    EXPECT_NE(nullptr, first->task);
    coil_task_cancel(second->task);
    EXPECT_EQ(much + "third", arrived());
    EXPECT_EQ(0, first->rc);
    EXPECT_EQ(-ECANCELED, second->rc);
    EXPECT_EQ(0, all.back().rc);

    Write *last = start(much);
    coil_test_settle(loop);
    coil_task_cancel(last->task);
    EXPECT_GT(much.size(), arrived().size());
    EXPECT_EQ(-ECANCELED, last->rc);
    EXPECT_EQ(1u, coil_loop_pending(loop)) << "that of the loop";

    Write *late = start("late");
    EXPECT_EQ("", arrived()) << "a part of the last one is out";
    EXPECT_EQ(-EPIPE, late->rc);
    loop->ring.enter = coil_kernel_ring_enter;
}

async(int, writes_some, (Write *) write)
{
    vars(ssize_t count);
    await(my->count, coil_sender_write_some(write->sender, all_of(write->bytes)));
    write->rc = static_cast<int>(my->count);
    return 0;
}

TEST_F(SenderInTrouble, WhoIsContentWithAPartDoesNotWaitForTheRestBehindOthers)
{
    use(make_unix());
    std::string much(MUCH_BYTES, 'f');
    Write *first = start(much);
    Write *second = start("second");
    all.push_back({&sender, much});
    Write *some = &all.back();
    coil_spawn(coil_loop_root(loop), writes_some(some));
    coil_test_settle(loop);
    std::string got;
    char bytes[64 * 1024];
    while (second->task != nullptr && got.size() < MUCH_BYTES + 6) {
        ssize_t count = read(out, bytes, std::min(sizeof(bytes), MUCH_BYTES + 6 - got.size()));
        got.append(bytes, static_cast<size_t>(count > 0 ? count : 0));
        coil_test_settle(loop);
    }
    coil_test_settle(loop);
    EXPECT_EQ(0, first->rc);
    EXPECT_EQ(0, second->rc);
    got += arrived();
    EXPECT_LT(0, some->rc);
    EXPECT_GT(MUCH_BYTES, some->rc);
    EXPECT_EQ(MUCH_BYTES + 6 + static_cast<size_t>(some->rc), got.size());
}

/* What arrives is whole writes in their order, and at most one that has ended in its middle. */
void check_arrivals(const std::string &got, const std::list<Write> &all)
{
    size_t at = 0;
    bool is_cut = false;
    for (const Write &write : all) {
        size_t end = std::min(got.find_first_not_of(write.bytes[0], at), got.size());
        size_t arrived_bytes = end - at;
        if (write.rc == 0) {
            EXPECT_EQ(write.bytes.size(), arrived_bytes);
        } else if (arrived_bytes > 0) {
            EXPECT_GT(write.bytes.size(), arrived_bytes);
            EXPECT_FALSE(is_cut);
            is_cut = true;
        }
        at = end;
        ASSERT_EQ(nullptr, write.task);
        ASSERT_TRUE(!is_cut || at == got.size()) << "something follows";
    }
    EXPECT_EQ(got.size(), at);
}

class RandomTrouble : public SenderInTrouble, public testing::WithParamInterface<int>
{
protected:
    void start_some()
    {
        for (uint64_t count = 1 + random.below(20); count > 0; count--) {
            size_t most_bytes = random.below(4) == 0 ? 400 * 1024 : 100;
            start(std::string(1 + random.below(most_bytes), static_cast<char>(letter++ % 128)));
            if (random.below(8) == 0)
                coil_spawn(coil_loop_root(loop), cancels(&all.back()));
        }
    }

    void cancel_one()
    {
        for (Write &write : all) {
            if (write.task != nullptr && random.below(6) == 0) {
                coil_task_cancel(write.task);
                return;
            }
        }
    }

    void settle_in_trouble()
    {
        ring_enter_call *enters[] = {
                coil_kernel_ring_enter, enter_busy, enter_failing, enter_without_blocking};
        coil_allocator *heap = loop->sched.allocator;
        if (random.below(6) == 0)
            use_up_memory();
        failing_sends = static_cast<int>(random.below(8)) / 7;
        loop->ring.enter = enters[random.below(4)];
        if (loop->ring.enter == enter_busy)
            fill_queue();
        coil_test_settle(loop);
        loop->ring.enter = coil_kernel_ring_enter;
        loop->sched.allocator = heap;
    }

    Random random = {static_cast<uint64_t>(GetParam()) * 0x9e3779b97f4a7c15 + 1};
    int letter = 0;
};

TEST_P(RandomTrouble, TearsNothingAndMixesNothing)
{
    use(GetParam() % 2 == 0 ? make_unix() : make_pipe(),
            GetParam() % 2 == 0 ? COIL_TRANSPORT_SOCKET : COIL_TRANSPORT_FILE);
    soil_memory();
    std::string got;
    char bytes[64 * 1024];
    for (int step = 0; step < 12; step++) {
        start_some();
        settle_in_trouble();
        cancel_one();
        ssize_t count = read(out, bytes, 1 + random.below(sizeof(bytes)));
        got.append(bytes, static_cast<size_t>(count > 0 ? count : 0));
    }
    got += arrived();
    EXPECT_EQ(got.size(), sender.sent_bytes);
    EXPECT_EQ(nullptr, sender.extras);
    check_arrivals(got, all);
}

int seed_count()
{
    const char *given = getenv("COIL_TEST_SEEDS");
    return given != nullptr ? atoi(given) : 40;
}

INSTANTIATE_TEST_SUITE_P(Sender, RandomTrouble, testing::Range(0, seed_count()));

} // namespace
