/* SPDX-License-Identifier: MIT */
/*
 * coil/fb303.h - the codec of fb303: what a service says about itself.
 *
 * Two interfaces go by that name, and Coil has both at once: FacebookService, with 13 methods, and
 * fb303_core's BaseService, with 16. Ten are in both and the same on the wire, so there are 19,
 * which differ only in a row of a table: what they take and what they give. So there is one call,
 * one result, and a function to read and to write each. No I/O; not thread safe, as coil/thrift.h.
 *
 *     server:  coil_thrift_read_message -> coil_fb303_read_call -> handle
 *              -> coil_fb303_write_result
 *     client:  coil_fb303_write_call -> ... -> coil_thrift_read_message
 *              -> coil_fb303_read_result
 *
 * IDL: docs/examples/fb303.thrift and docs/examples/fb303_core.thrift, for clients to be generated.
 * They agree with Apache Thrift, contrib/fb303/if/fb303.thrift, and with facebook/fb303,
 * fb303/thrift/fb303_core.thrift.
 */
#ifndef COIL_FB303_H
#define COIL_FB303_H

#include <coil/base.h>
#include <coil/thrift.h>

#include <stdbool.h>
#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_fb303_call coil_fb303_call;
typedef struct coil_fb303_pair coil_fb303_pair;
typedef struct coil_fb303_result coil_fb303_result;

enum coil_fb303_status {
    COIL_FB303_DEAD = 0,
    COIL_FB303_STARTING = 1,
    COIL_FB303_ALIVE = 2,
    COIL_FB303_STOPPING = 3,
    COIL_FB303_STOPPED = 4,
    COIL_FB303_WARNING = 5,
};

/* "ALIVE" for COIL_FB303_ALIVE, "UNKNOWN" for a number that is no status. */
COIL_API const char *coil_fb303_status_name(int64_t status);

/* Beside each: the fields of the call -> the fields of the result. FacebookService, in order: */
enum coil_fb303_method {
    COIL_FB303_GET_NAME,           /* -> text */
    COIL_FB303_GET_VERSION,        /* -> text */
    COIL_FB303_GET_STATUS,         /* -> number: enum coil_fb303_status */
    COIL_FB303_GET_STATUS_DETAILS, /* -> text */
    COIL_FB303_GET_COUNTERS,       /* -> pairs of name and number */
    COIL_FB303_GET_COUNTER,        /* key -> number */
    COIL_FB303_SET_OPTION,         /* key, value -> nothing */
    COIL_FB303_GET_OPTION,         /* key -> text */
    COIL_FB303_GET_OPTIONS,        /* -> pairs of name and text */
    COIL_FB303_GET_CPU_PROFILE,    /* duration_s -> text */
    COIL_FB303_ALIVE_SINCE,        /* -> number: seconds since 1970 */
    COIL_FB303_REINITIALIZE,       /* oneway: no result */
    COIL_FB303_SHUTDOWN,           /* oneway: no result */

    /* What BaseService has besides. It has not getCpuProfile, reinitialize and shutdown. */

    COIL_FB303_GET_REGEX_COUNTERS,           /* key: a pattern -> pairs of name and number */
    COIL_FB303_GET_SELECTED_COUNTERS,        /* keys -> pairs of name and number */
    COIL_FB303_GET_EXPORTED_VALUES,          /* -> pairs of name and text */
    COIL_FB303_GET_SELECTED_EXPORTED_VALUES, /* keys -> pairs of name and text */
    COIL_FB303_GET_REGEX_EXPORTED_VALUES,    /* key: a pattern -> pairs of name and text */
    COIL_FB303_GET_EXPORTED_VALUE,           /* key -> text */
};

#define COIL_FB303_METHOD_COUNT 19

/* The name on the wire: "getName". */
COIL_API const char *coil_fb303_method_name(enum coil_fb303_method method);

/* Whether nobody waits for an answer. */
COIL_API bool coil_fb303_method_is_oneway(enum coil_fb303_method method);

/* Find a method by its name on the wire. -ENOENT if it is none of fb303's. */
COIL_API COIL_MUST_USE int coil_fb303_method_find(
        coil_thrift_text name, enum coil_fb303_method *out_method);

/*
 * A method and its arguments. What the method does not take is empty and not written.
 *
 * To write keys, point `keys` at them. Read ones are not unpacked, since nobody knows how many
 * there will be: take them with coil_fb303_next_key().
 */
struct coil_fb303_call {
    enum coil_fb303_method method;
    coil_thrift_text key;
    coil_thrift_text value;
    int32_t duration_s;
    uint32_t key_count;
    const coil_thrift_text *keys;

    /* Private: where the keys are that were read. */
    coil_thrift_reader packed;
};

/* A counter (name, number), or an option or exported value (name, text). */
struct coil_fb303_pair {
    coil_thrift_text name;
    coil_thrift_text text;
    int64_t number;
};

/*
 * What a method gives. What the method does not give is empty and not written.
 *
 * To write counters or options, point `pairs` at them. Read ones are not unpacked, since nobody
 * knows how many there will be: take them with coil_fb303_next_pair().
 */
struct coil_fb303_result {
    coil_thrift_text text;
    int64_t number;
    uint32_t pair_count;
    const coil_fb303_pair *pairs;

    /* Private: where the pairs are that were read, and what they are. */
    coil_thrift_reader packed;
    uint8_t pair_type;
};

/*
 * Read the arguments of `message`, of which coil_thrift_read_message() has taken the header, to the
 * end of the frame. The texts are slices of the frame. Errors: -ENOENT if fb303 has no such method
 * (the reader has then not moved: it may be another service's), or as
 * coil_thrift_reader_finish().
 */
COIL_API COIL_MUST_USE int coil_fb303_read_call(
        coil_thrift_reader *reader, const coil_thrift_message *message, coil_fb303_call *out_call);

/*
 * Take the next of `key_count` keys from a call that was read. False when there are no more. Needs
 * the frame.
 */
COIL_API COIL_MUST_USE bool coil_fb303_next_key(coil_fb303_call *call, coil_thrift_text *out_key);

/*
 * Write a whole frame: a call, or a oneway message if the method is oneway. Returns as
 * coil_thrift_writer_finish().
 */
COIL_API COIL_MUST_USE int coil_fb303_write_call(
        coil_thrift_writer *writer, int32_t seqid, const coil_fb303_call *call);

/* Put the arguments of a call into a message that was begun. No stop. */
COIL_API void coil_fb303_put_call(coil_thrift_writer *writer, const coil_fb303_call *call);

/*
 * Write a whole frame: the reply to `message`, a call of `method`. Returns as
 * coil_thrift_writer_finish(). A method that is oneway has no reply, even if the peer sent a CALL:
 * writes nothing and returns 0.
 */
COIL_API COIL_MUST_USE int coil_fb303_write_result(coil_thrift_writer *writer,
        const coil_thrift_message *message, enum coil_fb303_method method,
        const coil_fb303_result *result);

/* Put the result of `method` into a reply that was begun. No stop. Nothing for a oneway method. */
COIL_API void coil_fb303_put_result(
        coil_thrift_writer *writer, enum coil_fb303_method method, const coil_fb303_result *result);

/*
 * Read the result of `method` from a REPLY, of which coil_thrift_read_message() has taken the
 * header, to the end of the frame. The texts are slices of the frame. Errors: -ENOMSG if the reply
 * is well formed and does not have the result, or as coil_thrift_reader_finish().
 */
COIL_API COIL_MUST_USE int coil_fb303_read_result(
        coil_thrift_reader *reader, enum coil_fb303_method method, coil_fb303_result *out_result);

/*
 * Take the next of `pair_count` counters or options from a result that was read. False when there
 * are no more. Needs the frame.
 */
COIL_API COIL_MUST_USE bool coil_fb303_next_pair(
        coil_fb303_result *result, coil_fb303_pair *out_pair);

COIL_END_DECLS

#endif
