/* SPDX-License-Identifier: MIT */
#include "socket_rules.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/un.h>

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
    sim_file *d = opened(AF_INET, SOCK_DGRAM);
    sim_process *process = sim_process_current();
    int one = 1;

    RULE(IPPROTO_TCP, option_of(c, SOL_SOCKET, SO_PROTOCOL));
    RULE(SOCK_STREAM, option_of(c, SOL_SOCKET, SO_TYPE));
    RULE(AF_INET, option_of(c, SOL_SOCKET, SO_DOMAIN));
    RULE(0, option_of(u, SOL_SOCKET, SO_PROTOCOL));
    RULE(IPPROTO_UDP, option_of(d, SOL_SOCKET, SO_PROTOCOL));
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
    sim_file_drop(d);
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

void listener_rules(void)
{
    two_families();
    options();
    listeners();
    unix_names();
}
