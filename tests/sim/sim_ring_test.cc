/* SPDX-License-Identifier: MIT */
/* The simulated io_uring by itself, without a loop: what the real one was seen to do. */
#include "sim_stage.h"

#include <cstring>
#include <map>
#include <set>

#include <liburing.h>
#include <poll.h>
#include <sys/un.h>

extern "C" {
#include "kernel_ring.h"
}

namespace
{

/* In a program: it fails, and says where. */
#define NEED(condition)                                                       \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "line %d: not true: %s\n", __LINE__, #condition); \
            return 1;                                                         \
        }                                                                     \
    } while (0)

const unsigned FLAGS = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                       IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_NO_SQARRAY;

/* A ring as liburing has it; entries are taken at once. */
struct Ring {
    io_uring uring = {};

    int open(unsigned entries, unsigned completions)
    {
        io_uring_params parameters = {};
        parameters.flags = FLAGS;
        parameters.cq_entries = completions;
        return coil_kernel_ring_setup(&uring, entries, &parameters);
    }

    /* Of direct descriptors. */
    int make_table(unsigned count)
    {
        io_uring_rsrc_register table = {};
        table.nr = count;
        table.flags = IORING_RSRC_REGISTER_SPARSE;
        return coil_kernel_ring_register(&uring, IORING_REGISTER_FILES2, &table, sizeof(table));
    }

    io_uring_sqe *next(uint64_t name)
    {
        io_uring_sqe *sqe = &uring.sq.sqes[uring.sq.sqe_tail++ & uring.sq.ring_mask];
        memset(sqe, 0, sizeof(*sqe));
        sqe->user_data = name;
        return sqe;
    }

    int enter(unsigned min_complete, unsigned flags = IORING_ENTER_GETEVENTS)
    {
        const unsigned count = uring.sq.sqe_tail - *uring.sq.khead;
        *uring.sq.ktail = uring.sq.sqe_tail;
        return coil_kernel_ring_enter(&uring, count, min_complete, flags, nullptr, 0);
    }

    unsigned ready() const
    {
        return *uring.cq.ktail - *uring.cq.khead;
    }

    io_uring_cqe take()
    {
        const io_uring_cqe *cqe = &uring.cq.cqes[(*uring.cq.khead)++ & uring.cq.ring_mask];
        io_uring_cqe copy = {};
        copy.user_data = cqe->user_data;
        copy.res = cqe->res;
        copy.flags = cqe->flags;
        return copy;
    }

    /* Wait for the next one. */
    io_uring_cqe wait()
    {
        while (ready() == 0)
            (void)enter(1);
        return take();
    }

    void close()
    {
        coil_kernel_ring_close(&uring);
    }
};

/* The program runs to its end, in worlds of so many seeds. */
void expect_success(int (*program)(int, char **), uint64_t seed_count = 1)
{
    for (uint64_t seed = 0; seed < seed_count; seed++) {
        World world(seed);
        ASSERT_EQ(0, world.run(program)) << "seed " << seed;
    }
}

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

/* ---------------------------------------------------------------------- descriptors, buffers -- */

int installs(int, char **)
{
    Ring ring;
    NEED(ring.open(8, 16) == 0);
    NEED(ring.make_table(16) == 0);
    const int fd = coil_kernel_eventfd();
    io_uring_rsrc_update update = {};
    update.offset = 3;
    update.data = (uint64_t)(uintptr_t)&fd;
    NEED(coil_kernel_ring_register(&ring.uring, IORING_REGISTER_FILES_UPDATE, &update, 1) == 1);
    NEED(coil_kernel_close(fd) == 0);
    io_uring_prep_fixed_fd_install(ring.next(0), 3, 0);
    const int installed = ring.wait().res;
    NEED(installed == fd); /* The lowest that is free. */
    io_uring_prep_close_direct(ring.next(0), 3);
    NEED(ring.wait().res == 0);
    io_uring_prep_close_direct(ring.next(0), 3);
    NEED(ring.wait().res == -EBADF);
    NEED(coil_kernel_eventfd_add(installed, 2) == 8);
    ring.close();
    return 0;
}

/* Somebody waits to be accepted at a listener; both have the numbers given. */
int queue_connection(int listener, int client)
{
    sockaddr_un name = {};
    name.sun_family = AF_UNIX;
    memcpy(name.sun_path + 1, "here", 4);
    const auto *address = reinterpret_cast<const sockaddr *>(&name);
    const socklen_t size_bytes = sizeof(sa_family_t) + 5;
    const int rc = coil_kernel_bind(listener, address, size_bytes);
    NEED(rc == 0 || rc == -EINVAL); /* It has been done. */
    NEED(coil_kernel_listen(listener, 5) == 0);
    return coil_kernel_connect_now(client, address, size_bytes);
}

int accepts_without_room(int, char **)
{
    Ring ring;
    NEED(ring.open(8, 16) == 0);
    const int listener = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    const int client = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    NEED(queue_connection(listener, client) == 0);
    int last = client;
    for (int fd = client; fd >= 0; fd = coil_kernel_dup_above(client, last))
        last = fd;
    io_uring_prep_accept(ring.next(0), listener, nullptr, nullptr, 0);
    NEED(ring.wait().res == -EMFILE);
    NEED(coil_kernel_close(last) == 0);
    io_uring_prep_accept(ring.next(0), listener, nullptr, nullptr, 0);
    NEED(ring.wait().res == last); /* Nothing has been lost. */
    io_uring_prep_accept(ring.next(0), listener, nullptr, nullptr, 0);
    NEED(ring.wait().res == -EMFILE); /* Also with nobody to accept. */
    ring.close();
    return 0;
}

TEST(SimRing, AnAcceptWithoutADescriptorLeavesTheConnection)
{
    expect_success(accepts_without_room);
}

int accepts_directly_without_room(int, char **)
{
    Ring ring;
    char byte;
    NEED(ring.open(8, 16) == 0);
    NEED(ring.make_table(1) == 0);
    const int listener = coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0);
    const int clients[] = {coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0),
            coil_kernel_socket(AF_UNIX, SOCK_STREAM, 0)};
    for (int i = 0; i < 2; i++) {
        NEED(queue_connection(listener, clients[i]) == 0);
        io_uring_prep_accept_direct(
                ring.next(0), listener, nullptr, nullptr, 0, IORING_FILE_INDEX_ALLOC);
        NEED(ring.wait().res == (i == 0 ? 0 : -ENFILE));
    }
    NEED(coil_kernel_recv_now(clients[0], &byte, 1) == -EAGAIN);
    NEED(coil_kernel_recv_now(clients[1], &byte, 1) == 0); /* It has been closed. */
    ring.close();
    return 0;
}

TEST(SimRing, ADirectAcceptWithoutASlotLosesTheConnection)
{
    expect_success(accepts_directly_without_room);
}

TEST(SimRing, DirectDescriptorsComeAndGo)
{
    expect_success(installs);
}

alignas(4096) char buffer_ring[4096];
char incremental[64];

/* An incremental buffer is filled piece by piece; without one there is -ENOBUFS (pitfall 10). */
int provides(int, char **)
{
    Ring ring;
    auto *buffers = reinterpret_cast<io_uring_buf_ring *>(buffer_ring);
    memset(buffer_ring, 0, sizeof(buffer_ring));
    io_uring_buf_reg registration = {};
    registration.ring_addr = (uint64_t)(uintptr_t)buffer_ring;
    registration.ring_entries = 4;
    registration.bgid = 2;
    registration.flags = IOU_PBUF_RING_INC;
    NEED(ring.open(8, 16) == 0);
    NEED(coil_kernel_ring_register(&ring.uring, IORING_REGISTER_PBUF_RING, &registration, 1) == 0);
    /* To compilers, io_uring_buf_ring_add() writes beyond the end of an array of none. */
    auto *buffer = reinterpret_cast<io_uring_buf *>(buffer_ring);
    buffer->addr = (uint64_t)(uintptr_t)incremental;
    buffer->len = 24;
    buffer->bid = 5;
    io_uring_buf_ring_advance(buffers, 1);
    const int fd = coil_kernel_eventfd();
    io_uring_sqe *sqe = ring.next(0);
    io_uring_prep_read_multishot(sqe, fd, 0, (uint64_t)-1, 2);
    for (uint64_t i = 1; i <= 3; i++) {
        NEED(coil_kernel_eventfd_add(fd, i) == 8);
        const io_uring_cqe cqe = ring.wait();
        uint64_t count;
        memcpy(&count, incremental + 8 * (i - 1), sizeof(count));
        NEED(cqe.res == 8 && count == i);
        NEED(cqe.flags >> IORING_CQE_BUFFER_SHIFT == 5);
        NEED((cqe.flags & IORING_CQE_F_MORE) != 0);
        NEED(((cqe.flags & IORING_CQE_F_BUF_MORE) != 0) == (i < 3));
    }
    (void)ring.enter(0);
    NEED(ring.ready() == 0); /* It looks for a buffer when there is something to be read. */
    NEED(coil_kernel_eventfd_add(fd, 1) == 8);
    NEED(ring.wait().res == -ENOBUFS);
    NEED(coil_kernel_ring_register(&ring.uring, IORING_UNREGISTER_PBUF_RING, &registration, 1) ==
            0);
    ring.close();
    return 0;
}

TEST(SimRing, IncrementalBuffersAreUsedUpFromTheirStart)
{
    expect_success(provides, 50);
}

/* ---------------------------------------------------------------------------- honest memory -- */

int changes_in_flight(int, char **)
{
    Ring ring;
    uint64_t count = 1;
    NEED(ring.open(8, 8) == 0);
    const int fd = coil_kernel_eventfd();
    io_uring_prep_write(ring.next(0), fd, &count, sizeof(count), (uint64_t)-1);
    (void)ring.enter(0, 0);
    count = 2;
    (void)ring.wait();
    return 0;
}

TEST(SimRingDeathTest, WhoeverChangesWhatIsBeingWrittenIsFound)
{
    EXPECT_DEATH(
            {
                World world;
                world.run(changes_in_flight);
            },
            "the bytes of write 1 have changed in flight");
}

int reads_too_early(int, char **)
{
    Ring ring;
    uint64_t count = 0;
    NEED(ring.open(8, 8) == 0);
    const int fd = coil_kernel_eventfd();
    NEED(coil_kernel_eventfd_add(fd, 3) == 8);
    io_uring_prep_read(ring.next(0), fd, &count, sizeof(count), (uint64_t)-1);
    (void)ring.enter(0, 0);
    NEED(count != 0 && count != 3); /* Junk. */
    (void)ring.wait();
    NEED(count == 3);
    ring.close();
    return 0;
}

TEST(SimRing, WhatIsReadIsWrittenLate)
{
    expect_success(reads_too_early);
}

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
