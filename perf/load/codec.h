/* SPDX-License-Identifier: MIT */

/*
 * What the load generator says and what it expects to hear: a codec turns (sequence number, offset)
 * into bytes to send and checks received bytes against (sequence number, offset). It keeps no copy
 * of anything in flight, so a thousand connections with a deep window cost no memory, and a message
 * may be cut anywhere.
 */
#ifndef COIL_PERF_CODEC_H
#define COIL_PERF_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CODEC_HEAD_MAX = 160 };

/* A place in the stream of messages of one connection. */
struct cursor {
    uint64_t sequence;  /* of the message that is being sent or received */
    size_t offset;      /* within that message */
    size_t reply_bytes; /* of the reply that is being received, once its length is known (Thrift) */
    unsigned char head[CODEC_HEAD_MAX]; /* the first bytes of that reply (Thrift) */
};

struct codec {
    /* The length of a request; all requests of a run have the same. */
    size_t request_bytes;

    /* Writes request `sequence`, whole, to `out`, which has room for request_bytes. */
    void (*encode)(const struct codec *self, uint64_t sequence, unsigned char *out);

    /*
     * Checks `count` received bytes, which may end or begin in the middle of a reply, and advances
     * the cursor, until one reply is complete or the bytes are used up. Returns the bytes used, at
     * least 1, or -1 for a wrong byte. `out_complete` says whether a reply was completed; the
     * cursor then stands at the next.
     */
    long (*check)(const struct codec *self, struct cursor *cursor, const unsigned char *bytes,
            size_t count, bool *out_complete);

    void (*destroy)(struct codec *self);
};

/*
 * Echo: 8 bytes of sequence number (as many as fit), then a pattern that is shifted by the sequence
 * number, so that a reply from another message, another place or a stale buffer cannot pass.
 */
struct codec *codec_echo(size_t message_bytes);

/*
 * Thrift: a call of `method` without arguments in the strict binary protocol, framed. A reply must
 * have the version, the type REPLY, the method's name, the sequence number of the oldest call
 * outstanding, and end in a stop byte. "echo:32" is one with a text of 32 bytes as its argument 1,
 * which has to come back as its result. NULL if the method is too long.
 */
struct codec *codec_thrift(const char *method);

#endif
