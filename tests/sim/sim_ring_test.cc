/* SPDX-License-Identifier: MIT */
/* The simulated io_uring by itself, without a loop: what the real one was seen to do. */
#include "sim_ring_stage.h"

namespace
{

/* -------------------------------------------------------------------------------- the queues -- */

int refuses_nonsense(int, char **)
{
    io_uring uring = {};
    io_uring_params parameters = {};
    NEED(coil_kernel_ring_setup(&uring, 0, &parameters) == -EINVAL);
    NEED(coil_kernel_ring_setup(&uring, 40000, &parameters) == -EINVAL);
    parameters.flags = IORING_SETUP_DEFER_TASKRUN;
    NEED(coil_kernel_ring_setup(&uring, 8, &parameters) == -EINVAL);
    parameters.flags = IORING_SETUP_CQSIZE;
    parameters.cq_entries = 4;
    NEED(coil_kernel_ring_setup(&uring, 8, &parameters) == -EINVAL);
    parameters.flags = IORING_SETUP_CLAMP;
    NEED(coil_kernel_ring_setup(&uring, 40000, &parameters) == 0);
    NEED(parameters.sq_entries == 32768 && parameters.cq_entries == 65536);
    coil_kernel_ring_close(&uring);
    return 0;
}

TEST(SimRing, RefusesWhatTheKernelRefuses)
{
    expect_success(refuses_nonsense);
}

int injects_results(int, char **)
{
    Ring ring;
    NEED(ring.open(8, 8) == 0);
    for (int error = 1; error < 134; error++) {
        io_uring_sqe *sqe = ring.next((uint64_t)error);
        io_uring_prep_nop(sqe);
        sqe->nop_flags = IORING_NOP_INJECT_RESULT;
        sqe->len = (uint32_t)-error;
        const io_uring_cqe cqe = ring.wait();
        NEED(cqe.user_data == (uint64_t)error && cqe.res == -error);
    }
    io_uring_sqe *sqe = ring.next(7);
    sqe->opcode = 200;
    NEED(ring.wait().res == -EINVAL);
    io_uring_prep_read(ring.next(8), 77, nullptr, 0, 0);
    NEED(ring.wait().res == -EBADF);
    ring.close();
    return 0;
}

TEST(SimRing, ANopResultsInWhatItIsTold)
{
    expect_success(injects_results);
}

/* More completions than there is room for: none is lost, and their order is kept (pitfall 9). */
int overflows(int, char **)
{
    Ring ring;
    std::set<uint64_t> seen;
    NEED(ring.open(8, 8) == 0);
    for (uint64_t name = 1; name <= 80; name++) {
        io_uring_sqe *sqe = ring.next(name);
        io_uring_prep_nop(sqe);
        NEED(ring.enter(0, 0) == 1);
    }
    (void)coil_kernel_now();
    while (seen.size() < 80) {
        (void)ring.enter(1);
        NEED(ring.ready() <= 8);
        if (seen.size() == 16)
            NEED((*ring.uring.sq.kflags & IORING_SQ_CQ_OVERFLOW) != 0 || ring.ready() < 8);
        while (ring.ready() > 0)
            NEED(seen.insert(ring.take().user_data).second);
    }
    NEED((*ring.uring.sq.kflags & IORING_SQ_CQ_OVERFLOW) == 0);
    ring.close();
    return 0;
}

TEST(SimRing, CompletionsWithoutRoomComeLater)
{
    expect_success(overflows, 20);
}

int waits_so_long(int, char **)
{
    Ring ring;
    __kernel_timespec limit = {.tv_sec = 5, .tv_nsec = 0};
    io_uring_getevents_arg argument = {};
    argument.ts = (uint64_t)(uintptr_t)&limit;
    NEED(ring.open(8, 8) == 0);
    const coil_time before = coil_kernel_now();
    NEED(coil_kernel_ring_enter(&ring.uring, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                 &argument, sizeof(argument)) == -ETIME);
    NEED(coil_kernel_now() - before >= coil_s(5));
    NEED(coil_kernel_now() - before < coil_s(5) + coil_ms(1));
    ring.close();
    return 0;
}

TEST(SimRing, AWaitEndsWithItsTime)
{
    expect_success(waits_so_long);
}

/* ------------------------------------------------------------------------------- cancelling -- */

/* Bits: the cancel's completion came first, it came last, -ENOENT, -EALREADY, cancelled. */
int cancels(int, char **)
{
    Ring ring;
    uint64_t count = 0;
    int seen = 0;
    NEED(ring.open(8, 8) == 0);
    const int fd = coil_kernel_eventfd();
    io_uring_sqe *sqe = ring.next(1);
    io_uring_prep_read(sqe, fd, &count, sizeof(count), (uint64_t)-1);
    if (coil_kernel_now() % 2 == 0)
        (void)ring.enter(0);
    if (coil_kernel_now() % 3 == 0)
        NEED(coil_kernel_eventfd_add(fd, 5) == 8);
    if (coil_kernel_now() % 2 == 0)
        (void)ring.enter(0);
    sqe = ring.next(2);
    io_uring_prep_cancel64(sqe, 1, 0);
    const io_uring_cqe first = ring.wait();
    (void)coil_kernel_eventfd_add(fd, 1); /* For one that was too late. */
    const io_uring_cqe second = ring.wait();
    NEED(first.user_data + second.user_data == 3);
    const io_uring_cqe &cancel = first.user_data == 2 ? first : second;
    const io_uring_cqe &target = first.user_data == 1 ? first : second;
    NEED(cancel.res == 0 || cancel.res == -ENOENT || cancel.res == -EALREADY);
    NEED(target.res == -ECANCELED || (target.res == 8 && count >= 1 && count <= 6));
    NEED(cancel.res != 0 || target.res == -ECANCELED);
    NEED(cancel.res != -ENOENT || target.res == 8); /* (-EALREADY: either.) */
    seen |= first.user_data == 2 ? 1 : 2;
    seen |= cancel.res == -ENOENT ? 4 : 0;
    seen |= cancel.res == -EALREADY ? 8 : 0;
    seen |= target.res == -ECANCELED ? 16 : 0;
    ring.close();
    NEED(coil_kernel_close(fd) == 0);
    return 128 | seen;
}

TEST(SimRing, ACancelRacesWithItsTargetInBothOrders)
{
    int seen = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        World world(seed, COIL_SIM_FLAKY);
        const int result = world.run(cancels);
        ASSERT_NE(0, result & 128) << seed;
        seen |= result;
    }
    EXPECT_EQ(128 | 31, seen);
}

int cancels_all(int, char **)
{
    Ring ring;
    uint64_t counts[3];
    NEED(ring.open(8, 16) == 0);
    const int fd = coil_kernel_eventfd();
    for (uint64_t name = 1; name <= 3; name++) {
        io_uring_sqe *sqe = ring.next(name);
        io_uring_prep_read(sqe, fd, &counts[name - 1], sizeof(counts[0]), (uint64_t)-1);
    }
    (void)ring.enter(0);
    io_uring_sqe *sqe = ring.next(9);
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    for (int i = 0; i < 4; i++) {
        const io_uring_cqe cqe = ring.wait();
        NEED(cqe.res == (cqe.user_data == 9 ? 3 : -ECANCELED));
    }
    sqe = ring.next(0);
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    (void)ring.enter(0);
    NEED(ring.ready() == 0);
    ring.close();
    return 0;
}

TEST(SimRing, EverythingCanBeCancelledAtOnce)
{
    expect_success(cancels_all);
}

/* ------------------------------------------------------------------------------------- poll -- */

int polls(int, char **)
{
    Ring ring;
    NEED(ring.open(8, 16) == 0);
    const int fd = coil_kernel_eventfd();
    io_uring_sqe *sqe = ring.next(1);
    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    (void)ring.enter(0);
    for (int i = 0; i < 5; i++) { /* Nobody reads it: each write is one completion all the same. */
        NEED(coil_kernel_eventfd_add(fd, 1) == 8);
        const io_uring_cqe cqe = ring.wait();
        NEED(cqe.res == POLLIN && (cqe.flags & IORING_CQE_F_MORE) != 0);
        (void)ring.enter(0);
        NEED(ring.ready() == 0);
    }
    sqe = ring.next(0);
    io_uring_prep_cancel64(sqe, 1, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    const io_uring_cqe last = ring.wait();
    NEED(last.res == -ECANCELED && (last.flags & IORING_CQE_F_MORE) == 0);
    ring.close();
    return 0;
}

TEST(SimRing, AMultishotPollTellsOfEachChange)
{
    expect_success(polls, 50);
}

/* ---------------------------------------------------------------------------------- closing -- */

int closes_too_early(int, char **)
{
    Ring ring;
    uint64_t count = 0;
    NEED(ring.open(8, 8) == 0);
    io_uring_prep_read(ring.next(0), coil_kernel_eventfd(), &count, sizeof(count), (uint64_t)-1);
    (void)ring.enter(0, 0);
    ring.close();
    return 0;
}

TEST(SimRingDeathTest, ARingThatIsClosedWithRequestsInFlightIsFound)
{
    EXPECT_DEATH(
            {
                World world;
                world.run(closes_too_early);
            },
            "a ring is closed, and 1 requests are in flight");
}

} // namespace
