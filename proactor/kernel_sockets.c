/* SPDX-License-Identifier: MIT */
/* The seam to the real kernel: sockets, and the names of hosts. */
#include "kernel_private.h"

#include <assert.h>
#include <netdb.h>
#include <stddef.h>
#include <string.h>

#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { TCP_STATE_CLOSE = 7 /* include/net/tcp_states.h in Linux, as TCP_CLOSE in libc's tcp.h. */ };

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

int64_t coil_kernel_bytes_acknowledged(int fd)
{
    struct tcp_info facts = {.tcpi_bytes_acked = 0};
    socklen_t size_bytes = sizeof(facts);
    const int rc = checked(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &facts, &size_bytes));
    return rc < 0 ? rc : (int64_t)facts.tcpi_bytes_acked;
}

/* `tcpi_state` is the first byte, and all that is asked for. */
static bool is_closed_tcp(int fd)
{
    unsigned char state = 0;
    socklen_t size_bytes = sizeof(state);
    static_assert(offsetof(struct tcp_info, tcpi_state) == 0, "else it is not what comes first");
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &size_bytes) == 0 &&
           state == TCP_STATE_CLOSE;
}

/*
 * What can be read, and the end of the stream as one byte more, whether that has been read or not:
 * tcp_inq_hint() in Linux. A negative errno.
 */
static int count_with_end(int fd)
{
    const int yes = 1;
    char byte;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {.iov_base = &byte, .iov_len = sizeof(byte)};
    struct msghdr message = {.msg_iov = &part,
            .msg_iovlen = 1,
            .msg_control = control,
            .msg_controllen = sizeof(control)};

    int rc = checked(setsockopt(fd, IPPROTO_TCP, TCP_INQ, &yes, sizeof(yes)));
    if (rc == 0)
        rc = checked(recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT));
    if (rc < 0)
        return rc;
    const struct cmsghdr *inq = CMSG_FIRSTHDR(&message);
    if (inq == NULL || inq->cmsg_level != IPPROTO_TCP || inq->cmsg_type != TCP_CM_INQ)
        return -EAGAIN;
    memcpy(&rc, CMSG_DATA(inq), sizeof(rc));
    return rc;
}

int coil_kernel_loss(int fd)
{
    int unread_bytes = 0;

    if (!is_closed_tcp(fd) || ioctl(fd, FIONREAD, &unread_bytes) < 0)
        return 0;
    const int count = count_with_end(fd);
    if (count < 0) /* The error of the socket, unless it never was connected. */
        return count == -EAGAIN || count == -EINTR || count == -ENOTCONN ? 0 : count;
    return count == unread_bytes ? -ECONNRESET : 0;
}
