/* SPDX-License-Identifier: MIT */

/*
 * The best hand-written echo server on epoll: the floor that Coil is measured against.
 *
 * One thread, one hot receive buffer for all connections, one recv and one send per wake-up. A
 * connection that has more to read than a buffer waits for its next turn, so that no other starves.
 * Several reads per wake-up, other buffers and the level trigger gained nothing (perf/NOTES.md).
 * What one send does not take is copied aside, and the connection is not read again before it has
 * gone out: a slow reader costs one buffer of memory, never more.
 */
#include "serve.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

enum { BUFFER_MAX_BYTES = 1024 * 1024, EVENTS_MAX = 256 };

struct connection {
    int fd;
    char *rest; /* what a full socket did not take, or NULL */
    size_t rest_bytes;
    size_t rest_sent;
    bool hung_up; /* the peer has closed its side: no more edges, so read to the end */
    bool again;   /* on the list of those that are read again without an edge */
    bool over;    /* closed; the list still has it */
    struct connection *next_again;
};

static struct server {
    int epoll_fd;
    int listen_fd;
    int edge;
    int spin_us;
    int buffer_kib;
    struct connection *again;
} server = {.edge = 1, .buffer_kib = 256};

/* Only what is used of it costs memory. */
static _Alignas(4096) char buffer[BUFFER_MAX_BYTES];

/* Marks the two descriptors that are not connections: their addresses stand in for a connection's
 * in the event. */
static struct connection listener;
static struct connection stopper;

static void epoll_set(int op, int fd, uint32_t events, struct connection *connection)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};

    if (epoll_ctl(server.epoll_fd, op, fd, &event) < 0)
        serve_die("epoll_ctl", errno);
}

/* Edge-triggered, one registration at the start serves for ever; level-triggered, EPOLLOUT has to
 * come and go. */
static void want(struct connection *connection, uint32_t events)
{
    if (!server.edge)
        epoll_set(EPOLL_CTL_MOD, connection->fd, events, connection);
}

static void connection_close(struct connection *connection)
{
    close(connection->fd);
    free(connection->rest);
    connection->rest = NULL;
    connection->over = true;
    if (!connection->again)
        free(connection);
}

static void accept_all(void)
{
    const uint32_t events = server.edge ? EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET : EPOLLIN;

    for (;;) {
        int fd = accept4(server.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct connection *connection = calloc(1, sizeof(*connection));
        if (!connection)
            serve_die("calloc", ENOMEM);
        connection->fd = fd;
        epoll_set(EPOLL_CTL_ADD, fd, events, connection);
    }
}

/* Keeps what the socket did not take and waits for room. */
static void set_aside(struct connection *connection, const char *bytes, size_t count)
{
    connection->rest = malloc(count);
    if (!connection->rest)
        serve_die("malloc", ENOMEM);
    memcpy(connection->rest, bytes, count);
    connection->rest_bytes = count;
    connection->rest_sent = 0;
    want(connection, EPOLLOUT);
}

/* Returns false when the connection is broken. */
static bool echo(struct connection *connection, const char *bytes, size_t count)
{
    ssize_t sent = send(connection->fd, bytes, count, MSG_NOSIGNAL);

    if (sent == (ssize_t)count)
        return true;
    if (sent < 0 && errno != EAGAIN)
        return false;
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    set_aside(connection, bytes + taken, count - taken);
    return true;
}

/* Returns false when the connection is broken. */
static bool flush(struct connection *connection)
{
    while (connection->rest_sent < connection->rest_bytes) {
        ssize_t sent = send(connection->fd, connection->rest + connection->rest_sent,
                connection->rest_bytes - connection->rest_sent, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN;
        connection->rest_sent += (size_t)sent;
    }
    free(connection->rest);
    connection->rest = NULL;
    want(connection, EPOLLIN);
    return true;
}

static void read_again_later(struct connection *connection)
{
    if (connection->again)
        return;
    connection->again = true;
    connection->next_again = server.again;
    server.again = connection;
}

/* Returns false when the connection is finished or broken. */
static bool read_and_echo(struct connection *connection)
{
    const ssize_t wanted = (ssize_t)server.buffer_kib * 1024;

    ssize_t got = recv(connection->fd, buffer, (size_t)wanted, 0);
    if (got < 0)
        return errno == EAGAIN;
    if (got == 0 || !echo(connection, buffer, (size_t)got))
        return false;
    /* A short read emptied the socket: the next byte makes a new edge, so no second recv has to
     * ask. What was set aside is flushed first, which reads on. */
    if (server.edge && !connection->rest && (got == wanted || connection->hung_up))
        read_again_later(connection);
    return true;
}

static void connection_ready(struct connection *connection, uint32_t events)
{
    bool flushed = false;
    bool alive = true;

    connection->hung_up |= (events & EPOLLRDHUP) != 0;
    if (connection->rest) {
        alive = flush(connection);
        flushed = alive && !connection->rest;
    }
    /* After a flush the socket may hold bytes whose edge has passed: ask once, whatever the event
     * says. */
    if (alive && !connection->rest && (flushed || events & ~(uint32_t)EPOLLOUT))
        alive = read_and_echo(connection);
    if (!alive)
        connection_close(connection);
}

/* Once for each that had more than a buffer. */
static void read_again(void)
{
    struct connection *list = server.again;

    server.again = NULL;
    while (list) {
        struct connection *connection = list;
        list = connection->next_again;
        connection->again = false;
        if (connection->over)
            free(connection);
        else if (!connection->rest && !read_and_echo(connection))
            connection_close(connection);
    }
}

/* --spin-us: asks for so long before it sleeps. */
static int wait_for_events(struct epoll_event *events)
{
    int count = 0;

    if (server.again)
        return epoll_wait(server.epoll_fd, events, EVENTS_MAX, 0);
    if (server.spin_us > 0) {
        int64_t end_ns = serve_now_ns() + server.spin_us * INT64_C(1000);
        do {
            count = epoll_wait(server.epoll_fd, events, EVENTS_MAX, 0);
        } while (count == 0 && serve_now_ns() < end_ns);
    }
    return count ? count : epoll_wait(server.epoll_fd, events, EVENTS_MAX, -1);
}

/* Returns false when the server was asked to stop. */
static bool turn(void)
{
    struct epoll_event events[EVENTS_MAX];
    int count = wait_for_events(events);
    bool go_on = true;

    if (count < 0 && errno != EINTR)
        serve_die("epoll_wait", errno);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (connection == &listener)
            accept_all();
        else if (connection == &stopper)
            go_on = false;
        else
            connection_ready(connection, events[i].events);
    }
    read_again();
    return go_on;
}

int main(int argc, char **argv)
{
    static const char *const triggers[] = {"level", "edge", NULL};
    const struct serve_option options[] = {
            {"trigger", triggers, &server.edge},
            {"spin-us", NULL, &server.spin_us},
            {"buffer-kib", NULL, &server.buffer_kib},
            {0},
    };
    int port = serve_options(argc, argv, options);

    if (server.buffer_kib < 1 || server.buffer_kib * 1024 > BUFFER_MAX_BYTES)
        serve_die("--buffer-kib", ERANGE);
    int stop_fd = serve_stop_fd(SFD_NONBLOCK);
    server.listen_fd = serve_listen(port, SOCK_NONBLOCK);
    server.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll_fd < 0)
        serve_die("epoll_create1", errno);
    epoll_set(EPOLL_CTL_ADD, server.listen_fd, EPOLLIN, &listener);
    epoll_set(EPOLL_CTL_ADD, stop_fd, EPOLLIN, &stopper);
    while (turn()) {
    }
    close(server.listen_fd);
    return 0;
}
