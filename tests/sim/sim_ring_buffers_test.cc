/* SPDX-License-Identifier: MIT */
/* Descriptors and provided buffers of a ring: what is used up, and what is not lost. */
#include "sim_ring_stage.h"

namespace
{

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

} // namespace
