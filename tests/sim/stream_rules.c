/* SPDX-License-Identifier: MIT */
#include "socket_rules.h"

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

void stream_rules(void)
{
    transfers(tcp_pair);
    transfers(unix_pair);
    ends(tcp_pair);
    ends(unix_pair);
    back_pressure(tcp_pair);
    back_pressure(unix_pair);
    unix_buffers();
    urgent();
}
