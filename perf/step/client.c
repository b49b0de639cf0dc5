/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { IN_BYTES = 256 * 1024, CONNECT_TRIES = 500, CONNECT_PAUSE_US = 10000 };

struct connection {
    int fd;
    int outstanding_count;
    uint64_t sent_count;
    struct cursor in;
};

void step_die(const char *what, int error)
{
    fprintf(stderr, "step: %s: %s\n", what, strerror(error));
    exit(1);
}

static bool try_connect(int fd, int port)
{
    const struct sockaddr_in address = {
            .sin_family = AF_INET,
            .sin_port = htons((in_port_t)port),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const void *name = &address;

    return connect(fd, name, sizeof(address)) == 0;
}

static void connection_open(struct connection *self, int port)
{
    int one = 1;

    for (int i = 0; i < CONNECT_TRIES; i++) {
        self->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (self->fd < 0)
            step_die("socket", errno);
        if (try_connect(self->fd, port)) {
            (void)setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
            return;
        }
        close(self->fd);
        usleep(CONNECT_PAUSE_US);
    }
    step_die("nobody listens", ECONNREFUSED);
}

void client_connect(client *self)
{
    self->connections = calloc((size_t)self->connection_count, sizeof(*self->connections));
    self->out = malloc(self->codec->request_bytes * (size_t)self->depth);
    if (!self->connections || !self->out)
        step_die("malloc", ENOMEM);
    for (int i = 0; i < self->connection_count && !self->churn; i++)
        connection_open(&self->connections[i], self->port);
}

static void connection_ask(client *self, struct connection *connection)
{
    size_t request_bytes = self->codec->request_bytes;
    size_t all_bytes = request_bytes * (size_t)self->depth;

    if (self->churn)
        connection_open(connection, self->port);
    for (int i = 0; i < self->depth; i++)
        self->codec->encode(
                self->codec, connection->sent_count++, self->out + (size_t)i * request_bytes);
    /* The server is standing still: what does not fit would never fit. */
    ssize_t sent = send(connection->fd, self->out, all_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != (ssize_t)all_bytes)
        step_die("a round does not fit into the socket", sent < 0 ? errno : EMSGSIZE);
    connection->outstanding_count = self->depth;
}

void client_ask(client *self)
{
    for (int i = 0; i < self->connection_count; i++)
        connection_ask(self, &self->connections[i]);
    self->outstanding_count = (size_t)self->connection_count * (size_t)self->depth;
}

static int check_all(
        client *self, struct connection *connection, const unsigned char *bytes, size_t count)
{
    int complete_count = 0;

    while (count > 0) {
        bool complete;
        long used = self->codec->check(self->codec, &connection->in, bytes, count, &complete);
        if (used < 0)
            step_die("a wrong byte in a reply", EBADMSG);
        bytes += used;
        count -= (size_t)used;
        complete_count += complete;
    }
    return complete_count;
}

static void connection_take(client *self, struct connection *connection)
{
    static unsigned char in[IN_BYTES];

    while (connection->outstanding_count > 0) {
        ssize_t got = recv(connection->fd, in, sizeof(in), MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0)
            step_die("the server has hung up", got < 0 ? errno : EPIPE);
        int complete_count = check_all(self, connection, in, (size_t)got);
        connection->outstanding_count -= complete_count;
        self->outstanding_count -= (size_t)complete_count;
    }
    if (self->churn)
        (void)close(connection->fd);
}

bool client_take(client *self)
{
    for (int i = 0; i < self->connection_count && self->outstanding_count > 0; i++) {
        if (self->connections[i].outstanding_count > 0)
            connection_take(self, &self->connections[i]);
    }
    return self->outstanding_count == 0;
}
