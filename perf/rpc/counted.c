/* SPDX-License-Identifier: MIT */
/*
 * What rpc_coil asks of the kernel: it is linked with --wrap of each of these, and says how often
 * its loop has turned, and what that took, when the loop ends.
 */
#include <coil/loop.h>

#include <inttypes.h>
#include <stdio.h>

#include <sys/socket.h>

static uint64_t send_count;
static uint64_t receive_count;

ssize_t __real_send(int fd, const void *bytes, size_t size_bytes, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t size_bytes, int flags);
ssize_t __real_recv(int fd, void *bytes, size_t size_bytes, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size_bytes, int flags);
void __real_coil_loop_destroy(coil_loop *loop);
void __wrap_coil_loop_destroy(coil_loop *loop);

ssize_t __wrap_send(int fd, const void *bytes, size_t size_bytes, int flags)
{
    send_count++;
    return __real_send(fd, bytes, size_bytes, flags);
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size_bytes, int flags)
{
    receive_count++;
    return __real_recv(fd, bytes, size_bytes, flags);
}

void __wrap_coil_loop_destroy(coil_loop *loop)
{
    const coil_loop_stats stats = coil_loop_statistics(loop);

    printf("{\"turns\": %" PRIu64 ", \"enters\": %" PRIu64 ", \"sends\": %" PRIu64
           ", \"receives\": %" PRIu64 "}\n",
            stats.turns, stats.enters, send_count, receive_count);
    __real_coil_loop_destroy(loop);
}
