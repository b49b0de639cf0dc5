/* SPDX-License-Identifier: MIT */
/* thrift_transport_private.h - what the files of thrift_transport.h share. */
#ifndef COIL_THRIFT_TRANSPORT_PRIVATE_H
#define COIL_THRIFT_TRANSPORT_PRIVATE_H

#include "thrift_load.h"
#include "thrift_transport.h"
#include "thrift_transport_fault.h"

enum thrift_transport_state {
    STATE_UNKNOWN, /* Nothing has arrived that would tell. */
    STATE_LENGTHS, /* Frames, and THeader. */
    STATE_UNFRAMED,
    STATE_HTTP,
    STATE_FAILED,
};

/* Fail, for good. Returns the error of the fault, or the one that is given. */
int thrift_transport_fail(thrift_transport *transport, enum transport_fault fault);
int thrift_transport_fail_as(thrift_transport *transport, enum transport_fault fault, int error);

/* The same for an error of thrift_zlib.h. */
int thrift_transport_fail_inflating(thrift_transport *transport, int error);

/* Something is wrong with these bytes, the first of which are worth to be told. */
int thrift_transport_fail_at(
        thrift_transport *transport, enum transport_fault fault, const uint8_t *bytes, size_t size);

/* A frame of that length. */
int thrift_transport_fail_length(thrift_transport *transport, const uint8_t *bytes, size_t size);

static inline int thrift_transport_want(thrift_transport *transport, size_t bytes)
{
    transport->wanted = bytes;
    return 0;
}

static inline bool thrift_transport_length_fits(
        const thrift_transport *transport, uint32_t frame_size)
{
    return frame_size - 1 < transport->limits->frame_max;
}

/* What a server's peer speaks. 1: it is known; 0: it wants more; or an error. */
COIL_MUST_USE int thrift_transport_detect(
        thrift_transport *transport, const uint8_t *bytes, size_t size);

/* The next envelope, each in its state; results as of thrift_transport_next(). */
COIL_MUST_USE int thrift_transport_next_frame(thrift_transport *transport, const uint8_t *bytes,
        size_t size, thrift_envelope *out_envelope);
COIL_MUST_USE int thrift_transport_next_unframed(thrift_transport *transport, const uint8_t *bytes,
        size_t size, thrift_envelope *out_envelope);
COIL_MUST_USE int thrift_transport_next_http(thrift_transport *transport, const uint8_t *bytes,
        size_t size, thrift_envelope *out_envelope);

/* The end of the connection is that of a body, or of nothing. */
COIL_MUST_USE int thrift_transport_end_http(
        thrift_transport *transport, thrift_envelope *out_envelope);

#endif
