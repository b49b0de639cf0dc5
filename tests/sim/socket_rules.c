/* SPDX-License-Identifier: MIT */
/*
 * What was observed of sockets on Linux 6.18, asked of the simulated ones, as files. It
 * runs as a program of a simulation; its status is the number of rules that are broken.
 */
#include "disk.h"
#include "network_control.h"
#include "process.h"
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/un.h>

static int broken;

#define RULE(wanted, ...)                                                                         \
    do {                                                                                          \
        long rule_result = (long)(__VA_ARGS__);                                                   \
        if (rule_result != (long)(wanted)) {                                                      \
            broken++;                                                                             \
            fprintf(stderr, "%d: %s is %ld, not %s (%ld)\n", __LINE__, #__VA_ARGS__, rule_result, \
                    #wanted, (long)(wanted));                                                     \
        }                                                                                         \
    } while (0)

static char room[2 << 20];

static sim_file *opened(int family, int type)
{
    sim_file *file = NULL;
    RULE(0, sim_socket_open(sim_process_current(), family, type, 0, &file));
    return file;
}

static sim_io io_of(struct iovec *part, size_t size_bytes, int flags)
{
    *part = (struct iovec){room, size_bytes};
    return (sim_io){.parts = part,
            .part_count = 1,
            .size_bytes = size_bytes,
            .offset = -1,
            .flags = flags | MSG_DONTWAIT,
            .process = sim_process_current()};
}

static ssize_t in(sim_file *file, size_t size_bytes, int flags)
{
    struct iovec part;
    sim_io io = io_of(&part, size_bytes, flags);
    return sim_file_recv(file, &io);
}

static ssize_t out(sim_file *file, size_t size_bytes)
{
    struct iovec part;
    sim_io io = io_of(&part, size_bytes, 0);
    return sim_file_send(file, &io);
}

static ssize_t received(sim_file *file)
{
    return in(file, sizeof(room), 0);
}

static int polled(sim_file *file)
{
    return sim_file_poll(file) & (POLLIN | POLLOUT | POLLHUP | POLLRDHUP | POLLERR | POLLPRI);
}

static int error_of(sim_file *file)
{
    int error = -1;
    socklen_t size_bytes = sizeof(error);
    RULE(0, file->type->getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &size_bytes));
    return error;
}

static struct sockaddr_in at_port(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
            .sin_port = htons(port),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int bound(sim_file *file, uint16_t port)
{
    struct sockaddr_in name = at_port(port);
    return file->type->bind(file, (void *)&name, sizeof(name));
}

static int connected(sim_file *file, uint16_t port)
{
    struct sockaddr_in name = at_port(port);
    return file->type->connect(file, (void *)&name, sizeof(name));
}

static sim_file *listener_at(uint16_t port, int backlog)
{
    sim_file *file = opened(AF_INET, SOCK_STREAM);
    int one = 1;
    RULE(0, file->type->setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
    RULE(0, bound(file, port));
    RULE(0, file->type->listen(file, backlog));
    return file;
}

typedef void make_pair(sim_file **c, sim_file **s);

static void tcp_pair(sim_file **c, sim_file **s)
{
    sim_file *listener = listener_at(7000, 5);
    *c = opened(AF_INET, SOCK_STREAM);
    RULE(0, connected(*c, 7000));
    RULE(POLLIN, polled(listener));
    RULE(0, listener->type->accept(listener, NULL, NULL, s));
    sim_file_drop(listener);
}

static void unix_pair(sim_file **c, sim_file **s)
{
    sim_file *files[2];
    RULE(0, sim_socket_pair(sim_process_current(), AF_UNIX, SOCK_STREAM, 0, files));
    *c = files[0];
    *s = files[1];
}

static void linger_0(sim_file *file)
{
    const struct linger now = {1, 0};
    RULE(0, file->type->setsockopt(file, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
}

enum { ENDED = POLLIN | POLLOUT | POLLRDHUP | POLLHUP, HALF_ENDED = POLLIN | POLLOUT | POLLRDHUP };

static void transfers(make_pair *make)
{
    sim_file *c, *s;
    make(&c, &s);
    RULE(POLLOUT, polled(c));
    RULE(10, out(s, 10));
    RULE(POLLIN | POLLOUT, polled(c));
    RULE(4, in(c, 4, MSG_PEEK));
    RULE(4, in(c, 4, 0));
    RULE(0, in(c, 0, 0));
    RULE(6, received(c));
    RULE(-EAGAIN, received(c));
    RULE(0, out(s, 0));
    RULE(3, out(s, 3));
    RULE(0, s->type->shutdown(s, SHUT_WR));
    RULE(HALF_ENDED, polled(c));
    RULE(POLLOUT, polled(s));
    RULE(3, received(c));
    RULE(0, received(c));
    RULE(-EPIPE, out(s, 1));
    RULE(5, out(c, 5));
    RULE(5, received(s));
    RULE(0, c->type->shutdown(c, SHUT_WR));
    RULE(ENDED, polled(c));
    RULE(ENDED, polled(s));
    RULE(-EPIPE, out(c, 1));
    RULE(make == tcp_pair ? -ENOTCONN : 0, c->type->shutdown(c, SHUT_RDWR));
    sim_file_drop(c);
    sim_file_drop(s);
}

static void ends(make_pair *make)
{
    const bool is_tcp = make == tcp_pair;
    sim_file *c, *s;

    make(&c, &s); /* Closed, with nothing unread. */
    sim_file_drop(s);
    RULE(is_tcp ? HALF_ENDED : ENDED, polled(c));
    RULE(0, received(c));
    RULE(is_tcp ? 1 : -EPIPE, out(c, 1));
    RULE(is_tcp ? ENDED | POLLERR : ENDED, polled(c));
    RULE(-EPIPE, out(c, 1));
    RULE(ENDED, polled(c));
    RULE(0, received(c));
    RULE(0, error_of(c));
    sim_file_drop(c);

    make(&c, &s); /* Closed, with unread bytes; ours come first. */
    RULE(100, out(c, 100));
    RULE(50, out(s, 50));
    sim_file_drop(s);
    RULE(ENDED | POLLERR, polled(c));
    RULE(50, received(c));
    RULE(-ECONNRESET, received(c));
    RULE(0, received(c));
    RULE(-EPIPE, out(c, 1));
    sim_file_drop(c);

    make(&c, &s); /* The same, and we send first. */
    RULE(100, out(c, 100));
    sim_file_drop(s);
    RULE(is_tcp ? -ECONNRESET : -EPIPE, out(c, 1));
    RULE(-EPIPE, out(c, 1));
    RULE(is_tcp ? 0 : -ECONNRESET, received(c));
    sim_file_drop(c);

    make(&c, &s); /* SO_ERROR takes it. */
    RULE(100, out(c, 100));
    sim_file_drop(s);
    RULE(ECONNRESET, error_of(c));
    RULE(0, error_of(c));
    RULE(0, received(c));
    sim_file_drop(c);

    make(&c, &s); /* A linger of 0. */
    linger_0(s);
    RULE(10, out(s, 10));
    sim_file_drop(s);
    RULE(is_tcp ? ENDED | POLLERR : ENDED, polled(c));
    RULE(10, received(c));
    RULE(is_tcp ? -ECONNRESET : 0, received(c));
    RULE(0, received(c));
    sim_file_drop(c);

    make(&c, &s); /* We shut both directions. */
    RULE(0, c->type->shutdown(c, SHUT_RDWR));
    RULE(ENDED, polled(c));
    RULE(is_tcp ? HALF_ENDED : ENDED, polled(s));
    RULE(0, received(s));
    RULE(is_tcp ? 1 : -EPIPE, out(s, 1));
    RULE(-EPIPE, out(s, 1));
    sim_file_drop(s);
    sim_file_drop(c);

    make(&c, &s); /* We shut receiving. */
    RULE(0, c->type->shutdown(c, SHUT_RD));
    RULE(0, received(c));
    RULE(is_tcp ? 5 : -EPIPE, out(s, 5));
    RULE(is_tcp ? 5 : 0, received(c));
    RULE(HALF_ENDED, polled(c));
    sim_file_drop(c);
    sim_file_drop(s);
}

static void back_pressure(make_pair *make)
{
    sim_file *c, *s;
    ssize_t count;
    size_t sent = 0, got = 0;

    make(&c, &s);
    while ((count = out(c, 65536)) > 0)
        sent += (size_t)count;
    RULE(-EAGAIN, count);
    RULE(0, polled(c));
    while ((polled(c) & POLLOUT) == 0 && (count = in(s, 1024, 0)) > 0)
        got += (size_t)count;
    RULE(POLLOUT, polled(c));
    while ((count = received(s)) > 0)
        got += (size_t)count;
    RULE(sent, got);
    sim_file_drop(c);
    sim_file_drop(s);
}

static size_t filled_by(size_t size_bytes)
{
    sim_file *c, *s;
    ssize_t count;
    size_t sum = 0;

    unix_pair(&c, &s);
    while ((count = out(c, size_bytes)) > 0)
        sum += (size_t)count;
    sim_file_drop(c);
    sim_file_drop(s);
    return sum;
}

static void unix_buffers(void)
{
    RULE(278, filled_by(1));
    RULE(44 * 4096, filled_by(4096));
    RULE(219264, filled_by(1 << 20));
}

/* tcp(7), MSG_OOB: a receive stops before the urgent byte, which is not a part of the stream. */
static void urgent(void)
{
    sim_file *c, *s;
    struct iovec part;

    tcp_pair(&c, &s);
    sim_io io = io_of(&part, 3, MSG_OOB);
    memcpy(room, "abX", 3);
    RULE(3, sim_file_send(s, &io));
    memcpy(room, "cd", 2);
    RULE(2, out(s, 2));
    RULE(POLLIN | POLLOUT | POLLPRI, polled(c));
    RULE(2, received(c));
    RULE('a', room[0]);
    RULE(1, in(c, 1, MSG_OOB));
    RULE('X', room[0]);
    RULE(-EINVAL, in(c, 1, MSG_OOB));
    RULE(2, received(c));
    RULE('c', room[0]);
    RULE(POLLOUT, polled(c));
    sim_file_drop(c);
    sim_file_drop(s);
}

/* ipv6(7): a wildcard of IPv6 takes IPv4 as well, unless it is for IPv6 only. Observed. */
static void two_families(void)
{
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(7100)};
    socklen_t size_bytes = sizeof(name);
    char text[INET6_ADDRSTRLEN];
    int one = 1;
    sim_file *l = opened(AF_INET6, SOCK_STREAM), *c = opened(AF_INET, SOCK_STREAM),
             *d = opened(AF_INET, SOCK_STREAM), *s = NULL;

    RULE(0, l->type->bind(l, (void *)&name, sizeof(name)));
    RULE(0, l->type->listen(l, 1));
    RULE(-EADDRINUSE, bound(d, 7100));
    RULE(0, connected(c, 7100));
    RULE(0, l->type->accept(l, (void *)&name, &size_bytes, &s));
    RULE(0, strcmp("::ffff:127.0.0.1", inet_ntop(AF_INET6, &name.sin6_addr, text, sizeof(text))));
    sim_file_drop(s);
    sim_file_drop(c);
    sim_file_drop(l);
    l = opened(AF_INET6, SOCK_STREAM);
    name = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(7100)};
    RULE(0, l->type->setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
    RULE(0, l->type->bind(l, (void *)&name, sizeof(name)));
    RULE(0, l->type->listen(l, 1));
    RULE(-ECONNREFUSED, connected(d, 7100));
    sim_file_drop(d);
    sim_file_drop(l);
}

static int option_of(sim_file *file, int level, int option)
{
    int value = -1;
    socklen_t size_bytes = sizeof(value);
    int rc = file->type->getsockopt(file, level, option, &value, &size_bytes);
    return rc < 0 ? rc : value;
}

static void options(void)
{
    sim_file *c = opened(AF_INET, SOCK_STREAM), *u = opened(AF_UNIX, SOCK_STREAM), *none = NULL;
    sim_process *process = sim_process_current();
    int one = 1;

    RULE(IPPROTO_TCP, option_of(c, SOL_SOCKET, SO_PROTOCOL));
    RULE(SOCK_STREAM, option_of(c, SOL_SOCKET, SO_TYPE));
    RULE(AF_INET, option_of(c, SOL_SOCKET, SO_DOMAIN));
    RULE(0, option_of(u, SOL_SOCKET, SO_PROTOCOL));
    RULE(0, c->type->setsockopt(c, SOL_SOCKET, SO_SNDBUF, &one, sizeof(one)));
    RULE(4608, option_of(c, SOL_SOCKET, SO_SNDBUF));
    RULE(0, c->type->setsockopt(c, SOL_SOCKET, SO_RCVBUF, &one, sizeof(one)));
    RULE(2304, option_of(c, SOL_SOCKET, SO_RCVBUF));
    RULE(0, c->type->setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
    RULE(1, option_of(c, IPPROTO_TCP, TCP_NODELAY));
    RULE(-EINVAL, c->type->setsockopt(c, SOL_SOCKET, SO_REUSEADDR, &one, 1));
    RULE(-ENOPROTOOPT, c->type->setsockopt(c, 9999, 1, &one, sizeof(one)));
    RULE(-ENOPROTOOPT, c->type->setsockopt(c, SOL_SOCKET, 9999, &one, sizeof(one)));
    RULE(-EOPNOTSUPP, u->type->setsockopt(u, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
    RULE(-EAFNOSUPPORT, sim_socket_open(process, 99, SOCK_STREAM, 0, &none));
    RULE(-EINVAL, sim_socket_open(process, AF_INET, 99, 0, &none));
    RULE(-EPROTONOSUPPORT, sim_socket_open(process, AF_INET, SOCK_STREAM, IPPROTO_UDP, &none));
    RULE(-EPROTONOSUPPORT, sim_socket_open(process, AF_UNIX, SOCK_STREAM, IPPROTO_TCP, &none));
    sim_file *both[2];
    RULE(-EOPNOTSUPP, sim_socket_pair(process, AF_INET, SOCK_STREAM, 0, both));
    sim_file_drop(c);
    sim_file_drop(u);
}

static void listeners(void)
{
    sim_file *l = listener_at(7000, 1);
    sim_file *c = opened(AF_INET, SOCK_STREAM), *d = opened(AF_INET, SOCK_STREAM),
             *e = opened(AF_INET, SOCK_STREAM), *s = NULL;
    int one = 1;

    RULE(0, polled(l));
    RULE(-ENOTCONN, received(l));
    RULE(-EPIPE, out(l, 1));
    RULE(-EADDRINUSE, bound(e, 7000));
    RULE(0, e->type->setsockopt(e, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
    RULE(-EADDRINUSE, bound(e, 7000));
    RULE(0, connected(c, 7000));
    RULE(0, connected(d, 7000));
    RULE(-EINPROGRESS, connected(e, 7000)); /* One more than the backlog, and no more. */
    RULE(0, polled(e));
    linger_0(d);
    RULE(3, out(d, 3));
    sim_file_drop(d);
    RULE(0, l->type->accept(l, NULL, NULL, &s));
    sim_file_drop(s);
    RULE(0, l->type->accept(l, NULL, NULL, &s)); /* Reset before it was accepted. */
    RULE(ENDED | POLLERR, polled(s));
    RULE(3, received(s));
    RULE(-ECONNRESET, received(s));
    sim_file_drop(s);
    RULE(-EAGAIN, l->type->accept(l, NULL, NULL, &s));
    sim_file_drop(e);
    sim_file_drop(c);

    c = opened(AF_INET, SOCK_STREAM);
    RULE(0, connected(c, 7000));
    RULE(0, l->type->shutdown(l, SHUT_WR));
    RULE(POLLIN, polled(l));
    RULE(0, l->type->shutdown(l, SHUT_RD));
    RULE(POLLOUT | POLLHUP, polled(l));
    RULE(-EINVAL, l->type->accept(l, NULL, NULL, &s));
    RULE(-ECONNRESET, received(c));
    sim_file_drop(c);
    sim_file_drop(l);

    c = opened(AF_INET, SOCK_STREAM);
    RULE(POLLOUT | POLLHUP, polled(c));
    RULE(-EPIPE, out(c, 1));
    RULE(-ENOTCONN, received(c));
    RULE(-ENOTCONN, c->type->shutdown(c, SHUT_RDWR));
    RULE(-ECONNREFUSED, connected(c, 7000));
    RULE(0, error_of(c));
    l = listener_at(7000, 5);
    RULE(0, connected(c, 7000)); /* A refused one may try again. */
    RULE(-EISCONN, connected(c, 7000));
    sim_file_drop(c);
    sim_file_drop(l);
}

static void unix_names(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/run/it"};
    const struct sockaddr *address = (void *)&name;
    const socklen_t size_bytes = sizeof(name);
    sim_file *l = opened(AF_UNIX, SOCK_STREAM), *c = opened(AF_UNIX, SOCK_STREAM),
             *d = opened(AF_UNIX, SOCK_STREAM), *e = opened(AF_UNIX, SOCK_STREAM), *s = NULL;

    RULE(-ENOENT, c->type->connect(c, address, size_bytes));
    RULE(-EINVAL, l->type->listen(l, 1));
    RULE(0, l->type->bind(l, address, size_bytes));
    RULE(-EADDRINUSE, d->type->bind(d, address, size_bytes));
    RULE(-ECONNREFUSED, c->type->connect(c, address, size_bytes));
    RULE(0, l->type->listen(l, 1));
    RULE(0, polled(l));
    RULE(0, c->type->connect(c, address, size_bytes));
    RULE(5, out(c, 5));
    RULE(0, d->type->connect(d, address, size_bytes));
    RULE(-EAGAIN, e->type->connect(e, address, size_bytes));
    RULE(0, l->type->accept(l, NULL, NULL, &s));
    RULE(0, e->type->connect(e, address, size_bytes));
    RULE(5, received(s));
    sim_file_drop(s);
    sim_file_drop(l);
    RULE(-ECONNRESET, received(d));
    RULE(0, received(d));
    RULE(-EPIPE, out(d, 1));
    sim_file_drop(c);
    c = opened(AF_UNIX, SOCK_STREAM);
    RULE(-ECONNREFUSED, c->type->connect(c, address, size_bytes));
    RULE(-EADDRINUSE, c->type->bind(c, address, size_bytes));
    RULE(0, sim_unlink(sim_process_current(), AT_FDCWD, "/run/it", 0));
    RULE(0, c->type->bind(c, address, size_bytes));
    sim_file_drop(c);
    sim_file_drop(d);
    sim_file_drop(e);
    c = opened(AF_UNIX, SOCK_STREAM);
    RULE(POLLOUT | POLLHUP, polled(c));
    RULE(-EINVAL, received(c));
    RULE(-ENOTCONN, out(c, 1));
    sim_file_drop(c);
}

static void datagrams(void)
{
    sim_file *x = opened(AF_INET, SOCK_DGRAM), *y = opened(AF_INET, SOCK_DGRAM);
    int count = 0;

    RULE(0, bound(x, 9000));
    RULE(-EDESTADDRREQ, out(y, 1));
    RULE(-EAGAIN, received(y));
    RULE(0, connected(y, 9000));
    RULE(0, out(y, 0));
    RULE(0, received(x));
    RULE(10, out(y, 10));
    RULE(4, in(x, 4, 0));
    RULE(10, out(y, 10));
    RULE(10, in(x, 4, MSG_TRUNC));
    RULE(-EMSGSIZE, out(y, 65508));
    for (int i = 0; i < 3000; i++)
        RULE(100, out(y, 100));
    while (received(x) > 0)
        count++;
    RULE(256, count);
    sim_file_drop(x);
    RULE(1, out(y, 1));
    RULE(POLLOUT | POLLERR, polled(y));
    RULE(-ECONNREFUSED, out(y, 1));
    RULE(1, out(y, 1));
    RULE(-ECONNREFUSED, received(y));
    RULE(-EAGAIN, received(y));
    sim_file_drop(y);
}

static void unix_datagrams(void)
{
    sim_file *files[2];
    ssize_t rc;
    int count = 0;

    RULE(0, sim_socket_pair(sim_process_current(), AF_UNIX, SOCK_DGRAM, 0, files));
    while ((rc = out(files[0], 1)) > 0)
        count++;
    RULE(-EAGAIN, rc);
    RULE(278, count);
    while (received(files[1]) > 0)
        count--;
    RULE(0, count);
    RULE(-EMSGSIZE, out(files[0], 1 << 20));
    sim_file_drop(files[1]);
    RULE(POLLOUT, polled(files[0]));
    RULE(-ECONNREFUSED, out(files[0], 1));
    RULE(-ENOTCONN, out(files[0], 1));
    sim_file_drop(files[0]);

    RULE(0, sim_socket_pair(sim_process_current(), AF_UNIX, SOCK_SEQPACKET, 0, files));
    RULE(10, out(files[0], 10));
    RULE(4, in(files[1], 4, 0));
    sim_file_drop(files[0]);
    RULE(0, received(files[1]));
    sim_file_drop(files[1]);
}

static void rights(void)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    sim_process *process = sim_process_current();
    sim_file *c, *s;
    struct iovec part;

    unix_pair(&c, &s);
    int fd = sim_descriptor_install(process, opened(AF_INET, SOCK_DGRAM), 0);
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    sim_io io = io_of(&part, 2, 0);
    io.message = &message;
    RULE(3, out(c, 3));
    RULE(2, sim_file_send(c, &io));
    RULE(3, out(c, 3));
    memset(control, 0, sizeof(control));
    message.msg_controllen = sizeof(control);
    io = io_of(&part, 100, 0);
    io.message = &message;
    RULE(5, sim_file_recv(s, &io)); /* It ends behind the bytes that had descriptors with them. */
    RULE(sizeof(control), message.msg_controllen);
    int given;
    memcpy(&given, CMSG_DATA(header), sizeof(given));
    RULE(1, given != fd && sim_descriptor_file(process, given) == sim_descriptor_file(process, fd));
    io = io_of(&part, 100, 0);
    message.msg_controllen = sizeof(control);
    io.message = &message;
    RULE(3, sim_file_recv(s, &io));
    RULE(0, message.msg_controllen);
    RULE(0, sim_descriptor_close(process, fd));
    RULE(0, sim_descriptor_close(process, given));
    sim_file_drop(c);
    sim_file_drop(s);
}

int socket_rules_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    broken = 0;
    transfers(tcp_pair);
    transfers(unix_pair);
    ends(tcp_pair);
    ends(unix_pair);
    back_pressure(tcp_pair);
    back_pressure(unix_pair);
    unix_buffers();
    urgent();
    two_families();
    options();
    listeners();
    unix_names();
    datagrams();
    unix_datagrams();
    rights();
    return broken;
}
