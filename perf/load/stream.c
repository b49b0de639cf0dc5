/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/epoll.h>
#include <sys/socket.h>

enum { BUFFER_BYTES = 256 * 1024 };

void engine_fail(struct engine *self, const struct stream *stream, const char *what, int error)
{
    errno = error;
    fprintf(stderr, "load: connection %td: %s: %m\n", stream ? stream - self->streams : 0, what);
    self->errors++;
}

static void watch(struct engine *self, struct stream *stream, int op, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = stream};

    if (epoll_ctl(self->epoll_fd, op, stream->fd, &event) < 0)
        load_die("epoll_ctl", errno);
}

/* ---- Sending ---- */

static void wait_for_room(struct engine *self, struct stream *stream, bool wait)
{
    if (stream->waits_for_room == wait)
        return;
    stream->waits_for_room = wait;
    watch(self, stream, EPOLL_CTL_MOD, wait ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* All stamps have a new place when there are more of them. */
static void grow_stamps(struct stream *stream)
{
    uint64_t stamps = stream->stamps * 2;
    uint64_t *grown = malloc(stamps * sizeof(*grown));

    if (!grown)
        load_die("malloc", ENOMEM);
    for (uint64_t at = stream->in.sequence; at < stream->limit; at++)
        grown[at & (stamps - 1)] = stream->stamp_ns[at & (stream->stamps - 1)];
    free(stream->stamp_ns);
    stream->stamp_ns = grown;
    stream->stamps = stamps;
}

void stream_allow(struct engine *self, struct stream *stream, uint64_t stamp_ns)
{
    if (stream->limit - stream->in.sequence == stream->stamps)
        grow_stamps(stream);
    stream->stamp_ns[stream->limit & (stream->stamps - 1)] = stamp_ns;
    stream->limit++;
    self->outstanding++;
}

static void advance(const struct engine *self, struct cursor *cursor, size_t sent)
{
    size_t total = cursor->offset + sent;

    cursor->sequence += total / self->codec->request_bytes;
    cursor->offset = total % self->codec->request_bytes;
}

/* Fills the out buffer with what may be sent. Returns the bytes. */
static size_t fill(const struct engine *self, const struct stream *stream)
{
    const struct codec *codec = self->codec;
    size_t filled = 0;

    for (uint64_t sequence = stream->out.sequence; sequence < stream->limit; sequence++) {
        if (filled + codec->request_bytes > self->out_bytes)
            break;
        codec->encode(codec, sequence, self->out + filled);
        filled += codec->request_bytes;
    }
    return filled;
}

/* Sends one buffer. True when there may be more to send, and room for it. */
static bool send_some(struct engine *self, struct stream *stream)
{
    size_t filled = fill(self, stream);
    size_t left = filled - stream->out.offset;
    const unsigned char *from = self->out + stream->out.offset;

    ssize_t sent = send(stream->fd, from, left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) {
        engine_fail(self, stream, "send", errno);
        return false;
    }
    if (sent > 0)
        advance(self, &stream->out, (size_t)sent);
    wait_for_room(self, stream, sent < (ssize_t)left);
    return sent == (ssize_t)left;
}

void stream_pump(struct engine *self, struct stream *stream)
{
    while (stream->out.sequence < stream->limit) {
        if (!send_some(self, stream))
            return;
    }
}

/* ---- Receiving ---- */

static void take_reply(
        struct engine *self, struct stream *stream, uint64_t sequence, uint64_t now_ns)
{
    self->outstanding--;
    self->replied(self, stream, stream->stamp_ns[sequence & (stream->stamps - 1)], now_ns);
}

static void check_received(struct engine *self, struct stream *stream, size_t got, uint64_t now_ns)
{
    for (size_t used = 0; used < got;) {
        bool complete;
        uint64_t sequence = stream->in.sequence;
        long run = self->codec->check(
                self->codec, &stream->in, self->in + used, got - used, &complete);
        if (run < 0 || stream->in.sequence > stream->out.sequence) {
            engine_fail(self, stream, "wrong bytes in a reply", EBADMSG);
            return;
        }
        used += (size_t)run;
        if (complete)
            take_reply(self, stream, sequence, now_ns);
    }
}

static void receive(struct engine *self, struct stream *stream)
{
    ssize_t got = recv(stream->fd, self->in, BUFFER_BYTES, MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        engine_fail(
                self, stream, "the server closed the connection", got < 0 ? errno : ECONNABORTED);
        return;
    }
    check_received(self, stream, (size_t)got, load_now_ns());
}

int engine_turn(struct engine *self, int64_t timeout_ns)
{
    struct epoll_event events[LOAD_EVENTS_MAX];
    const struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int count = epoll_pwait2(
            self->epoll_fd, events, LOAD_EVENTS_MAX, timeout_ns < 0 ? NULL : &timeout, NULL);

    if (count < 0 && errno != EINTR)
        load_die("epoll_pwait2", errno);
    for (int i = 0; i < count && self->errors == 0; i++) {
        struct stream *stream = events[i].data.ptr;
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            receive(self, stream);
        if (self->errors == 0)
            stream_pump(self, stream);
    }
    return count;
}

int engine_served(const struct engine *self)
{
    int served = 0;

    for (int i = 0; i < self->options->connections; i++)
        served += self->streams[i].served;
    return served;
}

/* ---- Connecting ---- */

static void stream_connect(struct engine *self, struct stream *stream, int index, uint64_t stamps)
{
    stream->fd = load_dial(self->options, index / LOAD_PORTS_PER_SOURCE, 0);
    stream->stamps = stamps;
    stream->stamp_ns = malloc(stamps * sizeof(*stream->stamp_ns));
    if (!stream->stamp_ns)
        load_die("malloc", ENOMEM);
    /* No two connections, and no two runs of the pattern, begin alike. */
    stream->in.sequence = ((uint64_t)(index + 1) << 32) + (uint64_t)index * 7919U;
    stream->out.sequence = stream->in.sequence;
    stream->limit = stream->in.sequence;
    watch(self, stream, EPOLL_CTL_ADD, EPOLLIN);
}

void engine_init(
        struct engine *self, const load_options *options, const struct codec *codec, int stamps)
{
    uint64_t rounded = 1;

    while (rounded < (uint64_t)stamps)
        rounded *= 2;
    self->options = options;
    self->codec = codec;
    self->out_bytes = codec->request_bytes > BUFFER_BYTES ? codec->request_bytes : BUFFER_BYTES;
    self->out = malloc(self->out_bytes);
    self->in = malloc(BUFFER_BYTES);
    self->streams = calloc((size_t)options->connections, sizeof(*self->streams));
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load_histogram_init(&self->latencies);
    if (!self->streams || !self->out || !self->in)
        load_die("malloc", ENOMEM);
    if (self->epoll_fd < 0)
        load_die("epoll_create1", errno);
    for (int i = 0; i < options->connections; i++)
        stream_connect(self, &self->streams[i], i, rounded);
}
