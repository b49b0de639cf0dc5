/* SPDX-License-Identifier: MIT */
/* What a program plays with: memory, descriptors, connections, buffers; and usual requests. */
#include "stage_private.h"

#include <coil/check.h>

#include <fcntl.h>
#include <poll.h>
#include <string.h>

enum { PAGE_BYTES = 4096 };

void *stage_memory(struct stage *stage, size_t size_bytes)
{
    size_t taken_bytes = (size_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    char *memory = stage->memory + stage->memory_bytes;
    stage->memory_bytes += taken_bytes;
    COIL_CHECK(stage->memory_bytes <= MEMORY_BYTES);
    return memory;
}

stage_ends stage_unix(struct stage *stage)
{
    int fds[2];
    (void)stage;
    int rc = coil_kernel_socketpair(AF_UNIX, SOCK_STREAM, fds);
    COIL_CHECK(rc == 0);
    return (stage_ends){fds[0], fds[1]};
}

stage_ends stage_pipe(struct stage *stage)
{
    int fds[2];
    (void)stage;
    int rc = coil_kernel_pipe(fds);
    COIL_CHECK(rc == 0);
    return (stage_ends){fds[0], fds[1]};
}

static void disown_descriptor(struct stage *stage, int fd)
{
    for (unsigned i = 0; i < stage->descriptor_count; i++) {
        if (stage->descriptors[i] == fd) {
            stage->descriptors[i] = stage->descriptors[--stage->descriptor_count];
            return;
        }
    }
}

void stage_close(struct stage *stage, int fd)
{
    disown_descriptor(stage, fd);
    int rc = coil_kernel_close(fd);
    COIL_CHECK(rc == 0);
}

void stage_set_option(int fd, int level, int option, int value)
{
    int rc = coil_kernel_setsockopt(fd, level, option, &value, sizeof(value));
    COIL_CHECK(rc == 0);
}

void stage_close_by_reset(struct stage *stage, int fd)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    int rc = coil_kernel_setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    COIL_CHECK(rc == 0);
    stage_close(stage, fd);
}

void stage_close_ends(struct stage *stage, stage_ends ends)
{
    stage_close(stage, ends.in);
    stage_close(stage, ends.out);
}

int stage_listen(struct stage *stage, int backlog, struct sockaddr_in *out_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size_bytes = sizeof(address);
    int fd = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    (void)stage;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    COIL_CHECK(fd >= 0);
    int rc = coil_kernel_bind(fd, (const void *)&address, size_bytes);
    if (rc == 0)
        rc = coil_kernel_listen(fd, backlog);
    if (rc == 0)
        rc = coil_kernel_getsockname(fd, (void *)&address, &size_bytes);
    COIL_CHECK(rc == 0);
    *out_address = address;
    return fd;
}

int stage_connect(struct stage *stage, const struct sockaddr_in *address)
{
    int fd = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    COIL_CHECK(fd >= 0);
    io_uring_prep_connect(
            stage_ask(stage, "a connect"), fd, (const struct sockaddr *)address, sizeof(*address));
    int rc = stage_await(stage, "a connect");
    COIL_CHECK(rc == 0);
    return fd;
}

int stage_accept(struct stage *stage, int listener)
{
    io_uring_prep_accept(stage_ask(stage, "an accept"), listener, NULL, NULL, SOCK_CLOEXEC);
    int fd = stage_await(stage, "an accept");
    COIL_CHECK(fd >= 0);
    return fd;
}

stage_ends stage_tcp(struct stage *stage)
{
    struct sockaddr_in address;
    int listener = stage_listen(stage, 1, &address);
    int in = stage_connect(stage, &address);
    int out = stage_accept(stage, listener);
    stage_close(stage, listener);
    return (stage_ends){out, in};
}

int stage_open_file(struct stage *stage, const char *path, int flags)
{
    io_uring_prep_openat(stage_ask(stage, "an open"), AT_FDCWD, path, flags | O_CLOEXEC, 0600);
    int fd = stage_await(stage, "an open");
    COIL_CHECK(fd >= 0);
    return fd;
}

void stage_put(struct stage *stage, int fd, const char *text)
{
    (void)stage;
    ssize_t count = coil_kernel_write(fd, text, strlen(text));
    COIL_CHECK(count == (ssize_t)strlen(text));
}

stage_buffers stage_provide(
        struct stage *stage, unsigned count, unsigned size_bytes, unsigned flags)
{
    if (stage->region == NULL)
        stage_open(stage, 32, 64);
    stage_buffers buffers = {
            .ring = stage_memory(stage, count * sizeof(struct io_uring_buf)),
            .memory = stage_memory(stage, (size_t)count * size_bytes),
            .count = count,
            .size_bytes = size_bytes,
    };
    struct io_uring_buf_reg registration = {
            .ring_addr = (uint64_t)(uintptr_t)buffers.ring,
            .ring_entries = count,
            .flags = (uint16_t)flags,
    };
    int rc = stage_register(stage, IORING_REGISTER_PBUF_RING, &registration, 1);
    COIL_CHECK(rc == 0);
    for (unsigned i = 0; i < count; i++)
        stage_give_back(&buffers, i);
    return buffers;
}

void stage_give_back(stage_buffers *buffers, unsigned id)
{
    io_uring_buf_ring_add(buffers->ring, buffers->memory + (size_t)id * buffers->size_bytes,
            buffers->size_bytes, (uint16_t)id, io_uring_buf_ring_mask(buffers->count), 0);
    io_uring_buf_ring_advance(buffers->ring, 1);
}

/* --------------------------------------------------------------- what many programs ask for -- */

void stage_ask_recv(struct stage *stage, const char *name, int fd)
{
    io_uring_prep_recv(stage_ask(stage, name), fd, stage_memory(stage, 64), 64, 0);
}

void stage_ask_send(
        struct stage *stage, const char *name, int fd, const char *text, unsigned size_bytes)
{
    io_uring_prep_send(stage_ask(stage, name), fd, text, size_bytes, MSG_NOSIGNAL);
}

void stage_ask_poll(struct stage *stage, const char *name, int fd)
{
    io_uring_prep_poll_add(stage_ask(stage, name), fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP);
}

void stage_recv(struct stage *stage, const char *name, int fd)
{
    stage_ask_recv(stage, name, fd);
    stage_expect(stage, 1);
}

void stage_send(
        struct stage *stage, const char *name, int fd, const char *text, unsigned size_bytes)
{
    stage_ask_send(stage, name, fd, text, size_bytes);
    stage_expect(stage, 1);
}

void stage_poll(struct stage *stage, const char *name, int fd)
{
    stage_ask_poll(stage, name, fd);
    stage_expect(stage, 1);
}
