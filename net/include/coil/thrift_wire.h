/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_wire.h - what reading and writing Thrift have in common: types, limits, frames, and
 * the headers of messages and fields.
 *
 * Included by coil/thrift.h, which says what it is for.
 */
#ifndef COIL_THRIFT_WIRE_H
#define COIL_THRIFT_WIRE_H

#include <coil/base.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_text coil_thrift_text;
typedef struct coil_thrift_limits coil_thrift_limits;
typedef struct coil_thrift_message coil_thrift_message;
typedef struct coil_thrift_field coil_thrift_field;
typedef struct coil_thrift_level coil_thrift_level;

/* The type of a value on the wire. Enums travel as I32, unions and exceptions as STRUCT. */
enum coil_thrift_type {
    COIL_THRIFT_STOP = 0, /* Not a type: the end of a struct. */
    COIL_THRIFT_BOOL = 2,
    COIL_THRIFT_I8 = 3,
    COIL_THRIFT_DOUBLE = 4,
    COIL_THRIFT_I16 = 6,
    COIL_THRIFT_I32 = 8,
    COIL_THRIFT_I64 = 10,
    COIL_THRIFT_STRING = 11, /* Text and binary alike. */
    COIL_THRIFT_STRUCT = 12,
    COIL_THRIFT_MAP = 13,
    COIL_THRIFT_SET = 14,
    COIL_THRIFT_LIST = 15,
    COIL_THRIFT_UUID = 16,
};

/* How values become bytes. A server tells them apart by a message's first bytes. */
enum coil_thrift_protocol {
    COIL_THRIFT_PROTOCOL_BINARY,
    COIL_THRIFT_PROTOCOL_COMPACT,
    COIL_THRIFT_PROTOCOL_JSON,
};

/*
 * The protocol of a message that begins with these `size` bytes; the first one tells. Old messages
 * of the binary protocol, which have no version, begin with the size of a name below 2^24.
 * -EAGAIN if there are no bytes yet, -EBADMSG for all else.
 */
COIL_API COIL_MUST_USE int coil_thrift_detect_protocol(const uint8_t *bytes, size_t size);

/* "binary", "compact", "JSON". */
COIL_API const char *coil_thrift_protocol_name(enum coil_thrift_protocol protocol);

/* How messages are told from each other on a stream. */
enum coil_thrift_transport {
    COIL_THRIFT_TRANSPORT_FRAMED,   /* Each behind its length. */
    COIL_THRIFT_TRANSPORT_UNFRAMED, /* One after the other; "buffered" elsewhere. */
    COIL_THRIFT_TRANSPORT_HEADER,   /* THeader: frames with headers and transforms. */
    COIL_THRIFT_TRANSPORT_HTTP,     /* The body of a POST and of its answer. */
};

enum coil_thrift_message_type {
    COIL_THRIFT_CALL = 1,
    COIL_THRIFT_REPLY = 2,
    COIL_THRIFT_EXCEPTION = 3,
    COIL_THRIFT_ONEWAY = 4,
};

/* The name of a type: "i32", "string". "field" for COIL_THRIFT_STOP, "unknown" for what is none. */
COIL_API const char *coil_thrift_type_name(uint8_t type);

/*
 * Text
 * ----
 * Bytes that somebody else owns, not terminated. What a reader gives points into its frame and is
 * good for as long as the frame. An empty text may have any `bytes`, also NULL.
 */
struct coil_thrift_text {
    const char *bytes;
    uint32_t size;
};

/* The characters of `string`, which has to stay, without its end. */
COIL_API coil_thrift_text coil_thrift_text_of(const char *string);

/* Whether `text` has the very characters of `string`. */
COIL_API bool coil_thrift_text_is(coil_thrift_text text, const char *string);

/*
 * Limits
 * ------
 * Start from the defaults, which agree with what other implementations accept:
 *
 *     coil_thrift_limits limits = coil_thrift_limits_default;
 *     limits.frame_max = 65536;
 */
#define COIL_THRIFT_DEPTH_MAX 64

struct coil_thrift_limits {
    uint32_t frame_max;     /* Bytes in a frame, without its length. 16 384 000; < 2^31 - 4. */
    uint32_t string_max;    /* Bytes in a string read. As frame_max. */
    uint32_t container_max; /* Elements in a list or set, pairs in a map read. As frame_max. */
    uint32_t depth_max;     /* Values inside values read. 64, and never above. */
    uint32_t buffer_max;    /* Bytes in a writer: all its frames that wait to be sent. 64 MiB. */
};

COIL_API extern const coil_thrift_limits coil_thrift_limits_default;

/*
 * Frames
 * ------
 * A framed connection carries each message behind its length, 4 bytes, big endian.
 */
enum { COIL_THRIFT_LENGTH_BYTES = 4 };

/*
 * The size of the frame that `first` announces, without these four bytes. `limits` may be NULL
 * for the defaults. -EBADMSG if the size is 0, which is no message; -EMSGSIZE if it is negative or
 * above frame_max. Coil closes such a connection: what follows cannot be told apart.
 */
COIL_API COIL_MUST_USE int coil_thrift_frame_size(
        const uint8_t first[4], const coil_thrift_limits *limits);

/*
 * Say in words what is wrong with a frame that coil_thrift_frame_size() refused, and what the peer
 * seems to speak instead (HTTP, TLS, unframed Thrift, ...):
 * "frame of 1195725856 bytes, the limit is 16384000: this looks like HTTP". Cuts the words to
 * `text_size` bytes (128 hold them all) and returns `text`.
 */
COIL_API const char *coil_thrift_frame_what(
        const uint8_t first[4], const coil_thrift_limits *limits, char *text, size_t text_size);

/* The header of a message. */
struct coil_thrift_message {
    coil_thrift_text name;              /* The method; "Service:method" if multiplexed. */
    enum coil_thrift_message_type type; /* What it is. */
    int32_t seqid;                      /* Chosen by the caller; a reply repeats it. */
    bool old;                           /* Binary without a version (before Thrift 0.2). */
};

/* The header of a field. */
struct coil_thrift_field {
    int16_t id;
    uint8_t type; /* enum coil_thrift_type, and a known one. */
};

/* Private: a value that has begun and not ended. */
struct coil_thrift_level {
    uint32_t left; /* Of a container: what is still to come. */
    int16_t id;    /* Of a struct: the last field. */
    uint8_t kind;
};

COIL_END_DECLS

#endif
