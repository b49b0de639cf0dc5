/* SPDX-License-Identifier: MIT */
/*
 * rpc.thrift by hand, on epoll: the floor. One thread; one recv and one send per wake-up; a frame
 * is looked at where it lies, and its reply written behind the others. What is not a whole frame
 * waits in the connection's own few bytes. Only for this measurement: of the protocol it knows the
 * bytes that the load generator sends.
 */
#include "../echo/serve.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

enum {
    BUFFER_BYTES = 256 * 1024,
    CARRY_BYTES = 4096, /* The longest frame. */
    EVENTS_MAX = 256,
    VERSION_1_REPLY = 0x80010002,
    HEAD_BYTES = 12, /* The length of the frame, the version, the length of the name. */
};

struct connection {
    int fd;
    size_t carried; /* Bytes of a frame that is not whole yet. */
    unsigned char carry[CARRY_BYTES];
};

static unsigned char input[CARRY_BYTES + BUFFER_BYTES];
static unsigned char output[2 * BUFFER_BYTES];
static struct connection listener; /* These two mark descriptors that are no connections. */
static struct connection stopper;

static uint32_t get_u32(const unsigned char *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return ntohl(value);
}

static void put_u32(unsigned char *out, uint32_t value)
{
    value = htonl(value);
    memcpy(out, &value, sizeof(value));
}

/*
 * The reply repeats name and number. A text that was sent as field 1 goes back as field 0; without
 * one, a result without fields. The size of the reply.
 */
static size_t answer(const unsigned char *frame, size_t size, unsigned char *out)
{
    const size_t head_bytes = HEAD_BYTES + get_u32(frame + 8) + 4;

    memcpy(out, frame, size);
    put_u32(out + 4, VERSION_1_REPLY);
    if (out[head_bytes] != 0)
        out[head_bytes + 2] = 0;
    return size;
}

/* False when the connection is finished or broken. */
static bool serve(struct connection *connection)
{
    memcpy(input, connection->carry, connection->carried);
    const ssize_t got = recv(connection->fd, input + connection->carried, BUFFER_BYTES, 0);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;

    const unsigned char *at = input;
    const unsigned char *end = input + connection->carried + got;
    size_t written = 0;
    while (end - at >= 4) {
        const size_t size = 4 + (size_t)get_u32(at);
        if (size > CARRY_BYTES)
            return false;
        if ((size_t)(end - at) < size)
            break;
        written += answer(at, size, output + written);
        at += size;
    }
    connection->carried = (size_t)(end - at);
    memcpy(connection->carry, at, connection->carried);
    /* The load takes all replies before it sends more: a full socket is a mistake of ours. */
    return written == 0 || send(connection->fd, output, written, MSG_NOSIGNAL) == (ssize_t)written;
}

static void accept_all(int epoll_fd, int listen_fd)
{
    for (;;) {
        const int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct connection *connection = calloc(1, sizeof(*connection));
        if (!connection)
            serve_die("calloc", ENOMEM);
        serve_nodelay(fd);
        connection->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            serve_die("epoll_ctl", errno);
    }
}

static void watch(int epoll_fd, int fd, struct connection *mark)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        serve_die("epoll_ctl", errno);
}

int main(int argc, char **argv)
{
    static const struct serve_option none[] = {{NULL, NULL, NULL}};
    struct epoll_event events[EVENTS_MAX];
    const int listen_fd = serve_listen(serve_options(argc, argv, none), SOCK_NONBLOCK);
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    watch(epoll_fd, listen_fd, &listener);
    watch(epoll_fd, serve_stop_fd(SFD_NONBLOCK), &stopper);
    for (;;) {
        const int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == &stopper)
                return 0;
            if (connection == &listener) {
                accept_all(epoll_fd, listen_fd);
            } else if (!serve(connection)) {
                close(connection->fd);
                free(connection);
            }
        }
    }
}
