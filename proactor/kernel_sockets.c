/* SPDX-License-Identifier: MIT */
/* The seam to the real kernel: sockets, and the names of hosts. */
#include "kernel_private.h"

#include <netdb.h>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

int coil_kernel_getaddrinfo(
        const char *name, const struct addrinfo *hints, struct addrinfo **out_list)
{
    switch (getaddrinfo(name, NULL, hints, out_list)) {
    case 0:
        return 0;
    case EAI_NONAME:
        return -ENOENT;
    case EAI_NODATA:
        return -ENODATA;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    default:
        return -EIO;
    }
}

void coil_kernel_freeaddrinfo(struct addrinfo *list)
{
    freeaddrinfo(list);
}

int coil_kernel_socket(int family, int type, int protocol)
{
    return checked(socket(family, type | SOCK_CLOEXEC, protocol));
}

int coil_kernel_bind(int fd, const struct sockaddr *address, socklen_t size_bytes)
{
    return checked(bind(fd, address, size_bytes));
}

int coil_kernel_listen(int fd, int backlog)
{
    return checked(listen(fd, backlog));
}

int coil_kernel_connect_now(int fd, const struct sockaddr *address, socklen_t size_bytes)
{
    return checked(connect(fd, address, size_bytes));
}

int coil_kernel_setsockopt(int fd, int level, int option, const void *value, socklen_t size_bytes)
{
    return checked(setsockopt(fd, level, option, value, size_bytes));
}

int coil_kernel_getsockopt(int fd, int level, int option, void *value, socklen_t *size_bytes)
{
    return checked(getsockopt(fd, level, option, value, size_bytes));
}

int coil_kernel_getsockname(int fd, struct sockaddr *address, socklen_t *size_bytes)
{
    return checked(getsockname(fd, address, size_bytes));
}

int coil_kernel_getpeername(int fd, struct sockaddr *address, socklen_t *size_bytes)
{
    return checked(getpeername(fd, address, size_bytes));
}

int coil_kernel_interface(const char *name)
{
    const unsigned index = if_nametoindex(name);
    return index == 0 ? -errno : (int)index;
}

int coil_kernel_shutdown(int fd, int how)
{
    return checked(shutdown(fd, how));
}

int coil_kernel_socketpair(int family, int type, int out_fds[2])
{
    return checked(socketpair(family, type | SOCK_CLOEXEC, 0, out_fds));
}

COIL_HOT ssize_t coil_kernel_send_now(int fd, const void *bytes, size_t size_bytes)
{
    ssize_t count = send(fd, bytes, size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    return count < 0 ? -errno : count;
}

ssize_t coil_kernel_sendmsg_now(int fd, const struct msghdr *message)
{
    ssize_t count = sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return count < 0 ? -errno : count;
}

int coil_kernel_sendmmsg_now(int fd, struct mmsghdr *messages, unsigned count)
{
    return checked(sendmmsg(fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL));
}

COIL_HOT ssize_t coil_kernel_recv_now(int fd, void *bytes, size_t size_bytes)
{
    ssize_t count = recv(fd, bytes, size_bytes, MSG_DONTWAIT);
    return count < 0 ? -errno : count;
}

int coil_kernel_recv_peek(int fd)
{
    char byte;
    return checked((int)recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT));
}

int coil_kernel_is_tcp(int fd)
{
    int protocol = 0;
    socklen_t size_bytes = sizeof(protocol);
    int rc = checked(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size_bytes));
    return rc < 0 ? rc : protocol == IPPROTO_TCP;
}
