/* SPDX-License-Identifier: MIT */

/*
 * Connections that stay, and the requests on them: what the closed and the open loop have in
 * common. A request may be sent once the stream's `limit` is above its sequence number; when that
 * is so is what tells the two loops apart. Each has a stamp, from which its latency counts.
 *
 *     in.sequence  <=  out.sequence  <=  limit
 *     the next reply   the next request   the first that may not be sent yet
 */
#ifndef COIL_PERF_STREAM_H
#define COIL_PERF_STREAM_H

#include "load.h"

struct stream {
    int fd;
    bool waits_for_room;
    bool served; /* got a reply that counts */
    struct cursor out;
    struct cursor in;
    uint64_t limit;
    uint64_t stamps; /* a power of two */
    uint64_t *stamp_ns;
};

struct engine {
    const load_options *options;
    const struct codec *codec;
    int epoll_fd;
    struct stream *streams;
    uint64_t outstanding; /* requests that may be sent and have no reply */
    uint64_t errors;
    coil_histogram latencies;

    /* The loop's own part: what to do about a reply to the request that was stamped `stamp_ns`. */
    void (*replied)(struct engine *self, struct stream *stream, uint64_t stamp_ns, uint64_t now_ns);

    unsigned char *in;
    unsigned char *out;
    size_t out_bytes;
};

/* Connects all streams. `stamps` is how many requests each may have outstanding. */
void engine_init(
        struct engine *self, const load_options *options, const struct codec *codec, int stamps);

/* Waits for events, at most `timeout_ns` (-1: until there are some), and receives and sends.
 * Returns how many there were. */
int engine_turn(struct engine *self, int64_t timeout_ns);

/* Counts an error, and says what it was. */
void engine_fail(struct engine *self, const struct stream *stream, const char *what, int error);

/* How many streams have got a reply that counts. */
int engine_served(const struct engine *self);

/* One more request may be sent: room for its stamp is made where needed. */
void stream_allow(struct engine *self, struct stream *stream, uint64_t stamp_ns);

/* Sends what may be sent and what the socket takes. */
void stream_pump(struct engine *self, struct stream *stream);

#endif
