/* SPDX-License-Identifier: MIT */
/* The calls of coil/kernel.h that transfer bytes without a ring, for the current process. */
#include <coil/kernel.h>

#include "fiber.h"
#include "kernel_calls.h"
#include "process.h"
#include "socket.h"

#include <errno.h>
#include <poll.h>

static sim_io io_of(const struct iovec *part, int64_t offset, int flags)
{
    return (sim_io){.parts = part,
            .part_count = 1,
            .size_bytes = part->iov_len,
            .offset = offset,
            .flags = flags,
            .process = sim_process_current()};
}

/*
 * Fewer bytes, if chance says so. Not of what lies on a disk, where the end of the file, or of the
 * disk, is the only reason for that; unless only what is cached is wanted.
 */
static void shorten(sim_file *file, sim_io *io, sim_fault_kind fault)
{
    const bool is_whole = file->type->has_offset && (io->flags & RWF_NOWAIT) == 0;
    if (io->size_bytes > 1 && !file->type->has_messages && !is_whole &&
            sim_fault(file->world, fault))
        io->size_bytes = 1 + (size_t)sim_random_below(file->world, io->size_bytes - 1);
}

/*
 * All of it, if the file is one that waits: pipe(7), and sockets do the same. A signal whose
 * handler has run ends it if some bytes have gone, else it goes on, as with SA_RESTART.
 */
static ssize_t write_all(sim_file *file, sim_io *io)
{
    const bool waits = !file->is_nonblocking;
    const bool is_stream = waits && !file->type->has_messages && !file->type->has_offset;
    bool is_done = false;
    ssize_t count = 0;

    (void)sim_file_hold(file);
    while (!is_done) {
        count = sim_file_write(file, io);
        if (count == -EAGAIN && waits) {
            (void)sim_file_wait(file, POLLOUT, COIL_NEVER);
            is_done = sim_fiber_was_interrupted() && io->done_bytes > 0;
        } else {
            is_done = count <= 0 || !is_stream || sim_io_left(io) == 0;
        }
    }
    sim_file_drop(file);
    return io->done_bytes > 0 ? (ssize_t)io->done_bytes : count;
}

ssize_t coil_kernel_write(int fd, const void *bytes, size_t size_bytes)
{
    const struct iovec part = sim_part_of(bytes, size_bytes);
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    sim_io io = io_of(&part, -1, 0);
    shorten(file, &io, SIM_FAULT_SHORT_WRITE);
    return write_all(file, &io);
}

ssize_t coil_kernel_pwrite(int fd, const void *bytes, size_t size_bytes, off_t offset)
{
    const struct iovec part = sim_part_of(bytes, size_bytes);
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    if (offset < 0)
        return -EINVAL;
    sim_io io = io_of(&part, offset, 0);
    return write_all(file, &io);
}

int coil_kernel_eventfd_add(int fd, uint64_t count)
{
    const int before = errno;
    const ssize_t written = coil_kernel_write(fd, &count, sizeof(count));
    errno = before;
    return written < 0 ? (int)written : (int)sizeof(count);
}

static ssize_t read_at(int fd, const struct iovec *part, off_t offset, int flags)
{
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    if (offset < 0)
        return -EINVAL;
    sim_io io = io_of(part, offset, flags);
    shorten(file, &io, SIM_FAULT_SHORT_READ);
    return sim_file_read(file, &io);
}

ssize_t coil_kernel_pread(int fd, void *bytes, size_t size_bytes, off_t offset)
{
    const struct iovec part = {bytes, size_bytes};
    return read_at(fd, &part, offset, 0);
}

ssize_t coil_kernel_pread_now(int fd, void *bytes, size_t size_bytes, off_t offset)
{
    const struct iovec part = {bytes, size_bytes};
    if (sim_fault(sim_here(), SIM_FAULT_NOT_CACHED))
        return -EAGAIN;
    return read_at(fd, &part, offset, RWF_NOWAIT);
}

ssize_t coil_kernel_read_now(int fd, void *bytes, size_t size_bytes)
{
    const struct iovec part = {bytes, size_bytes};
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    sim_io io = io_of(&part, -1, RWF_NOWAIT);
    shorten(file, &io, SIM_FAULT_SHORT_READ);
    return sim_file_read(file, &io);
}

ssize_t coil_kernel_send_now(int fd, const void *bytes, size_t size_bytes)
{
    const struct iovec part = sim_part_of(bytes, size_bytes);
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    sim_io io = io_of(&part, -1, MSG_DONTWAIT | MSG_NOSIGNAL);
    shorten(file, &io, SIM_FAULT_SHORT_WRITE);
    return sim_file_send(file, &io);
}

ssize_t coil_kernel_sendmsg_now(int fd, const struct msghdr *message)
{
    struct msghdr copy = *message;
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    sim_io io = {.parts = message->msg_iov,
            .part_count = (unsigned)message->msg_iovlen,
            .flags = MSG_DONTWAIT | MSG_NOSIGNAL,
            .offset = -1,
            .message = &copy,
            .process = sim_process_current()};
    for (size_t i = 0; i < message->msg_iovlen; i++)
        io.size_bytes += message->msg_iov[i].iov_len;
    shorten(file, &io, SIM_FAULT_SHORT_WRITE);
    return sim_file_send(file, &io);
}

int coil_kernel_sendmmsg_now(int fd, struct mmsghdr *messages, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const ssize_t sent = coil_kernel_sendmsg_now(fd, &messages[i].msg_hdr);
        if (sent < 0)
            return i > 0 ? (int)i : (int)sent;
        messages[i].msg_len = (unsigned)sent;
    }
    return (int)count;
}

/* What TCP gives without waiting is all that it has, or all that was asked for: epoll(7), Q9. */
static bool gives_all(sim_file *file)
{
    const sim_socket *socket = sim_file_is_socket(file) ? sim_socket_of(file) : NULL;
    return socket != NULL && socket->family != AF_UNIX && socket->type == SOCK_STREAM;
}

ssize_t coil_kernel_recv_now(int fd, void *bytes, size_t size_bytes)
{
    const struct iovec part = {bytes, size_bytes};
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    sim_io io = io_of(&part, -1, MSG_DONTWAIT);
    if (!gives_all(file))
        shorten(file, &io, SIM_FAULT_SHORT_READ);
    return sim_file_recv(file, &io);
}

int coil_kernel_recv_peek(int fd)
{
    char byte;
    const struct iovec part = {&byte, 1};
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    sim_io io = io_of(&part, -1, MSG_PEEK | MSG_DONTWAIT);
    return (int)sim_file_recv(file, &io);
}
