/* SPDX-License-Identifier: MIT */
/*
 * Memory between submission and final completion: whoever writes, reads or frees there what is the
 * kernel's, is found.
 */
#include "sim_ring_stage.h"

#include <cstdlib>

#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/wait.h>

namespace
{

/* The world says this about the program. */
void expect_found(int (*program)(int, char **), const char *what)
{
    EXPECT_DEATH(
            {
                World world;
                world.run(program);
            },
            what);
}

/* ------------------------------------------------------------------------------------- bytes -- */

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

TEST(SimLendingDeathTest, WhoeverChangesWhatIsBeingWrittenIsFound)
{
    expect_found(changes_in_flight, "write 1: its bytes have changed in flight");
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

TEST(SimLending, WhatIsReadIsWrittenLate)
{
    expect_success(reads_too_early);
}

int writes_where_it_reads(int, char **)
{
    Ring ring;
    uint64_t count = 0;
    NEED(ring.open(8, 8) == 0);
    const int fd = coil_kernel_eventfd();
    io_uring_prep_read(ring.next(0), fd, &count, sizeof(count), (uint64_t)-1);
    (void)ring.enter(0, 0);
    count = 0;
    NEED(coil_kernel_eventfd_add(fd, 3) == 8);
    (void)ring.wait();
    return 0;
}

TEST(SimLendingDeathTest, WhoeverWritesWhereSomethingIsToBeReadIsFound)
{
    expect_found(
            writes_where_it_reads, "read 1: the program has written where it is to be written");
}

int frees_what_it_reads(int, char **)
{
    Ring ring;
    void *bytes = malloc(100);
    NEED(ring.open(8, 8) == 0);
    io_uring_prep_read(
            ring.next(0), coil_kernel_eventfd(), static_cast<char *>(bytes) + 50, 8, (uint64_t)-1);
    (void)ring.enter(0, 0);
    free(bytes);
    return 0;
}

TEST(SimLendingDeathTest, WhoeverFreesWhatIsBeingReadIsFound)
{
    expect_found(frees_what_it_reads, "read 1: the memory of its bytes is freed in flight");
}

int grows_what_it_writes(int, char **)
{
    Ring ring;
    auto *count = static_cast<uint64_t *>(calloc(1, 8));
    NEED(ring.open(8, 8) == 0);
    io_uring_prep_write(ring.next(0), coil_kernel_eventfd(), count, 8, (uint64_t)-1);
    (void)ring.enter(0, 0);
    free(realloc(count, 16));
    return 0;
}

TEST(SimLendingDeathTest, WhoeverMovesWhatIsBeingWrittenIsFound)
{
    expect_found(grows_what_it_writes, "write 1: the memory of its bytes is freed in flight");
}

int frees_what_it_has_read(int, char **)
{
    Ring ring;
    void *bytes = malloc(8);
    const int fd = coil_kernel_eventfd();
    NEED(ring.open(8, 8) == 0);
    NEED(coil_kernel_eventfd_add(fd, 3) == 8);
    io_uring_prep_read(ring.next(0), fd, bytes, 8, (uint64_t)-1);
    NEED(ring.wait().res == 8);
    free(bytes);
    ring.close();
    return 0;
}

TEST(SimLending, WhatHasBeenReadMayBeFreed)
{
    expect_success(frees_what_it_has_read);
}

int connected_datagrams()
{
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(9);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = coil_kernel_socket(AF_INET, SOCK_DGRAM, 0);
    return coil_kernel_connect_now(fd, (const sockaddr *)&address, sizeof(address)) < 0 ? -1 : fd;
}

int changes_before_the_notice(int, char **)
{
    Ring ring;
    char text[] = "hello";
    NEED(ring.open(8, 8) == 0);
    io_uring_prep_send_zc(ring.next(0), connected_datagrams(), text, 5, 0, 0);
    const io_uring_cqe first = ring.wait();
    NEED(first.res == 5 && first.flags == IORING_CQE_F_MORE);
    text[0] = 'J';
    (void)ring.wait();
    return 0;
}

TEST(SimLendingDeathTest, WhoeverChangesWhatIsSentWithoutACopyIsFound)
{
    expect_found(changes_before_the_notice, "send_zc 1: its bytes have changed in flight");
}

int changes_after_the_notice(int, char **)
{
    Ring ring;
    char text[] = "hello";
    NEED(ring.open(8, 8) == 0);
    io_uring_prep_send_zc(ring.next(0), connected_datagrams(), text, 5, 0, 0);
    NEED(ring.wait().res == 5);
    const io_uring_cqe notice = ring.wait();
    NEED(notice.res == 0 && notice.flags == IORING_CQE_F_NOTIF);
    text[0] = 'J';
    ring.close();
    return 0;
}

TEST(SimLending, WhatIsSentWithoutACopyIsOursAfterTheNotice)
{
    expect_success(changes_after_the_notice, 20);
}

/* ----------------------------------------------------------------------------------- answers -- */

int waits_for_nobody(int, char **)
{
    Ring ring;
    siginfo_t *status = static_cast<siginfo_t *>(calloc(1, sizeof(*status)));
    NEED(ring.open(8, 8) == 0);
    io_uring_prep_waitid(ring.next(0), P_ALL, 0, status, WEXITED, 0);
    (void)ring.enter(0, 0);
    free(status);
    return 0;
}

TEST(SimLendingDeathTest, WhoeverFreesWhereAStatusIsToComeIsFound)
{
    expect_found(waits_for_nobody, "waitid 1: the memory in which it is to be answered is freed");
}

int looks_too_early(int, char **)
{
    Ring ring;
    struct statx status = {};
    NEED(ring.open(8, 8) == 0);
    io_uring_prep_statx(ring.next(0), AT_FDCWD, "/tmp", 0, STATX_BASIC_STATS, &status);
    (void)ring.enter(0, 0);
    NEED(status.stx_size == UINT64_C(0xa5a5a5a5a5a5a5a5)); /* Junk. */
    NEED(ring.wait().res == 0);
    NEED(S_ISDIR(status.stx_mode));
    io_uring_prep_statx(ring.next(0), AT_FDCWD, "/none", 0, STATX_BASIC_STATS, &status);
    NEED(ring.wait().res == -ENOENT);
    NEED(S_ISDIR(status.stx_mode)); /* As it was. */
    ring.close();
    return 0;
}

TEST(SimLending, AnAnswerIsWrittenLate)
{
    expect_success(looks_too_early);
}

int writes_where_it_is_answered(int, char **)
{
    Ring ring;
    struct statx status = {};
    NEED(ring.open(8, 8) == 0);
    io_uring_prep_statx(ring.next(0), AT_FDCWD, "/tmp", 0, STATX_BASIC_STATS, &status);
    (void)ring.enter(0, 0);
    status.stx_size = 1;
    (void)ring.wait();
    return 0;
}

TEST(SimLendingDeathTest, WhoeverWritesWhereAnAnswerIsToComeIsFound)
{
    expect_found(writes_where_it_is_answered,
            "statx 1: the program has written where it is to be answered");
}

int receives_a_message(int, char **)
{
    Ring ring;
    int ends[2];
    char bytes[8] = "";
    struct iovec part = {bytes, sizeof(bytes)};
    struct msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    NEED(ring.open(8, 8) == 0);
    NEED(coil_kernel_socketpair(AF_UNIX, SOCK_STREAM, ends) == 0);
    io_uring_prep_recvmsg(ring.next(0), ends[0], &message, 0);
    (void)ring.enter(0, 0);
    NEED(message.msg_iov != &part); /* Junk. */
    NEED(coil_kernel_send_now(ends[1], "bytes", 5) == 5);
    NEED(ring.wait().res == 5);
    NEED(message.msg_iov == &part && message.msg_controllen == 0 && memcmp(bytes, "bytes", 5) == 0);
    ring.close();
    return 0;
}

TEST(SimLending, TheHeaderOfAMessageIsTheKernelsUntilItIsThere)
{
    expect_success(receives_a_message, 10);
}

/* ----------------------------------------------------------------------------------- buffers -- */

constexpr size_t PAGE_BYTES = 4096;

/* Provides one buffer, and frees `freed` of the two: the ring, the buffer. */
int frees_provided(bool frees_ring)
{
    Ring ring;
    void *pages[] = {coil_kernel_pages(PAGE_BYTES), coil_kernel_pages(PAGE_BYTES)};
    auto *buffers = static_cast<io_uring_buf_ring *>(pages[0]);
    io_uring_buf_reg registration = {};
    registration.ring_addr = (uint64_t)(uintptr_t)buffers;
    registration.ring_entries = 4;
    registration.bgid = 2;
    NEED(ring.open(8, 16) == 0);
    NEED(coil_kernel_ring_register(&ring.uring, IORING_REGISTER_PBUF_RING, &registration, 1) == 0);
    auto *buffer = static_cast<io_uring_buf *>(pages[0]);
    buffer->addr = (uint64_t)(uintptr_t)pages[1];
    buffer->len = PAGE_BYTES;
    buffer->bid = 5;
    io_uring_buf_ring_advance(buffers, 1);
    coil_kernel_pages_release(pages[frees_ring ? 0 : 1], PAGE_BYTES);
    return 0;
}

TEST(SimLendingDeathTest, WhoeverFreesARingOfBuffersIsFound)
{
    expect_found([](int, char **) { return frees_provided(true); },
            "the ring of buffers 2 is freed, and still registered");
}

TEST(SimLendingDeathTest, WhoeverFreesABufferThatTheKernelMayTakeIsFound)
{
    expect_found([](int, char **) { return frees_provided(false); },
            "buffer 5 of ring 2 is freed, and still provided");
}

} // namespace
