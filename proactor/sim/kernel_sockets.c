/* SPDX-License-Identifier: MIT */
/* The calls of coil/kernel.h that are about sockets, for the current process. */
#include <coil/kernel.h>

#include "kernel_calls.h"
#include "process.h"
#include "socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include <netinet/in.h>

int coil_kernel_bind(int fd, const struct sockaddr *address, socklen_t size_bytes)
{
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    return file->type->bind == NULL ? -ENOTSOCK : file->type->bind(file, address, size_bytes);
}

int coil_kernel_listen(int fd, int backlog)
{
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    return file->type->listen == NULL ? -ENOTSOCK : file->type->listen(file, backlog);
}

int coil_kernel_connect_now(int fd, const struct sockaddr *address, socklen_t size_bytes)
{
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    if (file->type->connect == NULL)
        return -ENOTSOCK;
    int rc;
    bool waits;
    if (sim_socket_refuses(file))
        return -ECONNREFUSED;
    (void)sim_file_hold(file);
    do {
        rc = file->type->connect(file, address, size_bytes);
        waits = (rc == -EINPROGRESS || rc == -EAGAIN) && !file->is_nonblocking;
        if (waits)
            (void)sim_file_wait(file, POLLOUT, COIL_NEVER);
    } while (waits);
    sim_file_drop(file);
    return rc;
}

int coil_kernel_setsockopt(int fd, int level, int option, const void *value, socklen_t size_bytes)
{
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    return file->type->setsockopt == NULL
                   ? -ENOTSOCK
                   : file->type->setsockopt(file, level, option, value, size_bytes);
}

int coil_kernel_getsockname(int fd, struct sockaddr *address, socklen_t *size_bytes)
{
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    return file->type->getsockname == NULL ? -ENOTSOCK
                                           : file->type->getsockname(file, address, size_bytes);
}

int coil_kernel_getpeername(int fd, struct sockaddr *address, socklen_t *size_bytes)
{
    sim_file *file = sim_call_file(fd);
    return file == NULL ? -EBADF : sim_socket_getpeername(file, address, size_bytes);
}

/* All hosts are on one network, and say nothing of how. */
int coil_kernel_interface(const char *name)
{
    return strcmp(name, "lo") == 0 ? 1 : -ENODEV;
}

int coil_kernel_getsockopt(int fd, int level, int option, void *value, socklen_t *size_bytes)
{
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    return file->type->getsockopt == NULL
                   ? -ENOTSOCK
                   : file->type->getsockopt(file, level, option, value, size_bytes);
}

int coil_kernel_is_tcp(int fd)
{
    int protocol = 0;
    socklen_t size_bytes = sizeof(protocol);
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    if (file->type->getsockopt == NULL)
        return -ENOTSOCK;
    const int rc = file->type->getsockopt(file, SOL_SOCKET, SO_PROTOCOL, &protocol, &size_bytes);
    return rc < 0 ? rc : protocol == IPPROTO_TCP;
}

int64_t coil_kernel_bytes_acknowledged(int fd)
{
    sim_file *file = sim_call_file(fd);
    return file == NULL ? -EBADF : sim_tcp_acknowledged(file);
}

int coil_kernel_loss(int fd)
{
    sim_file *file = sim_call_file(fd);
    return file == NULL ? 0 : sim_tcp_loss(file);
}

int coil_kernel_shutdown(int fd, int how)
{
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    return file->type->shutdown == NULL ? -ENOTSOCK : file->type->shutdown(file, how);
}
