/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift.h - Thrift's protocols between bytes and values. No I/O and no clock.
 *
 * A reader takes values out of one complete frame, a writer appends frames to a buffer, in the
 * binary, the compact or the JSON protocol: the calls are the same. Both keep
 * their first error and go on harmlessly: after it a reader gives zeros and no further fields, a
 * writer drops what it is given. So code that decodes or encodes has no error paths; it asks once,
 * at the end. Decoding the arguments of `i64 add(1: i32 left, 2: i32 right)` and replying:
 *
 *     coil_thrift_field field;
 *     int32_t left = 0;
 *     int32_t right = 0;
 *
 *     while (coil_thrift_read_field(reader, &field)) {
 *         switch (field.id) {
 *         case 1:
 *             coil_thrift_get_i32(reader, &left);
 *             break;
 *         case 2:
 *             coil_thrift_get_i32(reader, &right);
 *             break;
 *         }
 *     }
 *     rc = coil_thrift_reader_finish(reader);
 *     ...
 *     coil_thrift_writer_begin(writer, &reply);
 *     coil_thrift_put_i64(writer, 0, (int64_t)left + right);
 *     coil_thrift_write_stop(writer);
 *     rc = coil_thrift_writer_finish(writer);
 *
 * A field that the code does not know, or that has another type than the code expects, is skipped
 * by the next coil_thrift_read_field(): it needs no `default`, and nothing can be forgotten.
 *
 * Invariants, whatever the bytes are:
 *   - A reader neither allocates nor recurses. It touches nothing outside the frame. (What of JSON
 *     cannot be a slice of the frame lies in an arena, and is smaller than there.)
 *   - A count that a reader returns is at most the number of bytes left: every element costs at
 *     least one byte. The same holds for the size of a string, which is a slice of the frame.
 *   - Structs are nested at most `depth_max` deep, read and skipped ones together. In JSON
 *     containers count as well, as they do everywhere when they are skipped.
 *   - The work of a reader is linear in the size of the frame.
 *
 * Wire formats: Apache Thrift, doc/specs/thrift-binary-protocol.md, thrift-compact-protocol.md and
 * thrift-rpc.md; of JSON, lib/cpp/src/thrift/protocol/TJSONProtocol.h.
 * Nothing here is thread safe; two readers of the same frame do not disturb each other.
 */
#ifndef COIL_THRIFT_H
#define COIL_THRIFT_H

#include <coil/arena.h>
#include <coil/base.h>
#include <coil/check.h>

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_text coil_thrift_text;
typedef struct coil_thrift_limits coil_thrift_limits;
typedef struct coil_thrift_message coil_thrift_message;
typedef struct coil_thrift_field coil_thrift_field;
typedef struct coil_thrift_reader coil_thrift_reader;
typedef struct coil_thrift_writer coil_thrift_writer;
typedef struct coil_thrift_exception coil_thrift_exception;
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

/*
 * Reader
 * ------
 *     init -> read_message -> read_field, get_<type> ... -> finish
 *
 * Two families take values. coil_thrift_get_<type>() takes the value of the field that
 * coil_thrift_read_field() has just announced, if it has that type. coil_thrift_read_<type>()
 * takes the next value, of which the caller knows the type: an element of a container, or a field
 * for which coil_thrift_field_is() has said yes.
 *
 * The error is one of
 *     -ENODATA   a value begins in the frame and does not end in it. A reader over the first bytes
 *                of a correct message always ends with this error.
 *     -EBADMSG   the bytes are no Thrift message, or there are bytes after the message
 *     -EMSGSIZE  a string or a container is above its limit
 *     -ELOOP     values are nested more than depth_max deep
 *     -ENOBUFS   JSON: a string that is not in the frame as it is finds no room in the arena,
 *                by its limit or because there is none
 *     -ENOMEM    JSON: the same, for want of memory
 */
struct coil_thrift_reader {
    const uint8_t *bytes;
    uint32_t size;
    uint32_t position; /* Bytes taken. After an error: size, so that nothing is left. */
    int error;         /* 0, or the first error. Stays. */

    /* Private. */
    uint32_t end;     /* As size; as position where bytes are not values: not binary. */
    uint16_t depth;   /* Structs open. */
    uint8_t unread;   /* The type of a field whose value nobody has taken, or STOP. */
    uint8_t protocol; /* enum coil_thrift_protocol. */
    uint8_t fault;    /* What was wrong, and then with which value of which type. */
    uint8_t fault_type;
    uint32_t fault_offset; /* Where that value begins. */
    uint32_t fault_value;  /* Its size, count or bits. */
    const coil_thrift_limits *limits;

    /* Private, of other protocols than binary. */
    coil_arena *arena;
    bool has_bool;        /* Compact: the next bool was in the header of its field. */
    uint16_t level_count; /* JSON: of levels. */
    uint8_t value[8];     /* A value as binary has it. */
    coil_thrift_level levels[COIL_THRIFT_DEPTH_MAX + 1];
};

/*
 * Read the `size` bytes at `bytes`: one frame without its length. Borrows `bytes` and `limits`
 * (NULL for the defaults) for as long as the reader, and the texts it gave, are in use. A reader
 * holds nothing that would have to be released.
 */
COIL_API void coil_thrift_reader_init(coil_thrift_reader *reader, const void *bytes, uint32_t size,
        const coil_thrift_limits *limits);

/*
 * The same for a frame in any protocol. Strings of JSON with escapes, and binaries, are not in the
 * frame as they are: they are put into `arena`, also borrowed. NULL: there will be no such strings,
 * or they are -ENOBUFS. The other protocols need none.
 */
COIL_API void coil_thrift_reader_init_as(coil_thrift_reader *reader,
        enum coil_thrift_protocol protocol, const void *bytes, uint32_t size,
        const coil_thrift_limits *limits, coil_arena *arena);

/*
 * End reading. Returns 0 if everything up to here was well formed and nothing is left over, else
 * the error, which is -EBADMSG for bytes left over. May be called again.
 */
COIL_API COIL_MUST_USE int coil_thrift_reader_finish(coil_thrift_reader *reader);

/*
 * Say in words what the error is about: "string of 2147483647 bytes at offset 14 in a frame of 47".
 * "no error" if there is none. Cuts the words to `text_size` bytes (128 hold them all) and returns
 * `text`.
 */
COIL_API const char *coil_thrift_reader_what(
        const coil_thrift_reader *reader, char *text, size_t text_size);

/*
 * Take the header of a message, with a version ("strict") or without, and begin its only struct:
 * the arguments or the result. Go on with coil_thrift_read_field(). False after an error.
 */
COIL_API COIL_MUST_USE bool coil_thrift_read_message(
        coil_thrift_reader *reader, coil_thrift_message *out_message);

/*
 * Begin a struct that is an element, the value of a field, or all there is. It ends when
 * coil_thrift_read_field() returns false. False after an error.
 */
COIL_API COIL_MUST_USE bool coil_thrift_read_struct(coil_thrift_reader *reader);

/*
 * Skip the value of the previous field unless it was taken, then announce the next field of the
 * innermost struct. False at the end of the struct, which it takes, and after an error. A program
 * that has begun no struct fails a check here.
 */
COIL_API COIL_MUST_USE bool coil_thrift_read_field(
        coil_thrift_reader *reader, coil_thrift_field *out_field);

/* Take and ignore the fields that are left in the innermost struct, and its end. */
COIL_API void coil_thrift_skip_fields(coil_thrift_reader *reader);

/* Take and ignore one value of `type`. */
COIL_API void coil_thrift_skip(coil_thrift_reader *reader, uint8_t type);

/*
 * Whether the field has `type`; if so, its value is the caller's to read. If not, the value stays
 * where it is, to be asked for as another type or skipped.
 */
static inline COIL_MUST_USE bool coil_thrift_field_is(coil_thrift_reader *reader, uint8_t type)
{
    if (reader->unread != type)
        return false;
    reader->unread = COIL_THRIFT_STOP;
    return true;
}

/* Private: fail, because a value of `type` and `size` bytes is not all there; or not binary. */
COIL_API const uint8_t *coil_thrift_reader_take_otherwise(
        coil_thrift_reader *reader, uint32_t size, uint8_t type);

/*
 * Private: the next `size` bytes, or NULL after an error. Checks that no field waits unread. Other
 * protocols never have bytes left here, and give the value as binary would have it.
 */
static inline const uint8_t *coil_thrift_reader_take(
        coil_thrift_reader *reader, uint32_t size, uint8_t type)
{
    COIL_CHECK_SLOW(reader->unread == COIL_THRIFT_STOP);
    if (coil_unlikely(reader->end - reader->position < size))
        return coil_thrift_reader_take_otherwise(reader, size, type);

    const uint8_t *bytes = reader->bytes + reader->position;
    reader->position += size;
    return bytes;
}

/* Values by type; 0 after an error. A bool is true unless its byte is 0. */
static inline bool coil_thrift_read_bool(coil_thrift_reader *reader)
{
    const uint8_t *byte = coil_thrift_reader_take(reader, 1, COIL_THRIFT_BOOL);
    return byte != NULL && *byte != 0;
}

static inline int8_t coil_thrift_read_i8(coil_thrift_reader *reader)
{
    int8_t value = 0;
    const uint8_t *byte = coil_thrift_reader_take(reader, sizeof(value), COIL_THRIFT_I8);
    if (byte != NULL)
        memcpy(&value, byte, sizeof(value));
    return value;
}

static inline int16_t coil_thrift_read_i16(coil_thrift_reader *reader)
{
    uint16_t bits = 0;
    const uint8_t *bytes = coil_thrift_reader_take(reader, sizeof(bits), COIL_THRIFT_I16);
    if (bytes != NULL)
        memcpy(&bits, bytes, sizeof(bits));
    return (int16_t)be16toh(bits);
}

static inline int32_t coil_thrift_read_i32(coil_thrift_reader *reader)
{
    uint32_t bits = 0;
    const uint8_t *bytes = coil_thrift_reader_take(reader, sizeof(bits), COIL_THRIFT_I32);
    if (bytes != NULL)
        memcpy(&bits, bytes, sizeof(bits));
    return (int32_t)be32toh(bits);
}

static inline int64_t coil_thrift_read_i64(coil_thrift_reader *reader)
{
    uint64_t bits = 0;
    const uint8_t *bytes = coil_thrift_reader_take(reader, sizeof(bits), COIL_THRIFT_I64);
    if (bytes != NULL)
        memcpy(&bits, bytes, sizeof(bits));
    return (int64_t)be64toh(bits);
}

static inline double coil_thrift_read_double(coil_thrift_reader *reader)
{
    uint64_t bits = 0;
    double value;
    const uint8_t *bytes = coil_thrift_reader_take(reader, sizeof(bits), COIL_THRIFT_DOUBLE);
    if (bytes != NULL)
        memcpy(&bits, bytes, sizeof(bits));
    bits = be64toh(bits);
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* The text, in place. Not checked to be UTF-8. */
COIL_API coil_thrift_text coil_thrift_read_string(coil_thrift_reader *reader);

/* The bytes of a binary, in place. Differs from a text only in JSON, where it is in base64. */
COIL_API coil_thrift_text coil_thrift_read_binary(coil_thrift_reader *reader);

/* The 16 bytes of a uuid, in the order in which it is written; zeros after an error. */
COIL_API void coil_thrift_read_uuid(coil_thrift_reader *reader, uint8_t out_bytes[16]);

/*
 * Begin a container, of whatever the peer says, and return its number of elements or pairs, which
 * follow; 0 after an error. The types are STOP then, and may be anything in an empty container.
 *
 * A decoder that follows the types it finds must bound its own recursion: the reader counts the
 * structs that are open, but cannot see where a container ends.
 */
COIL_API COIL_MUST_USE uint32_t coil_thrift_read_list(
        coil_thrift_reader *reader, uint8_t *out_element);
COIL_API COIL_MUST_USE uint32_t coil_thrift_read_set(
        coil_thrift_reader *reader, uint8_t *out_element);
COIL_API COIL_MUST_USE uint32_t coil_thrift_read_map(
        coil_thrift_reader *reader, uint8_t *out_key, uint8_t *out_value);

/*
 * Begin a container of known types. False after an error and if the elements have other types, in
 * which case they are skipped. An empty container always has the right types.
 */
COIL_API COIL_MUST_USE bool coil_thrift_read_list_of(
        coil_thrift_reader *reader, uint8_t element, uint32_t *out_count);
COIL_API COIL_MUST_USE bool coil_thrift_read_set_of(
        coil_thrift_reader *reader, uint8_t element, uint32_t *out_count);
COIL_API COIL_MUST_USE bool coil_thrift_read_map_of(
        coil_thrift_reader *reader, uint8_t key, uint8_t value, uint32_t *out_count);

/*
 * Count down the elements of a container: `while (coil_thrift_read_element(reader, &left))`. False
 * when none is left, and after an error.
 */
static inline COIL_MUST_USE bool coil_thrift_read_element(
        const coil_thrift_reader *reader, uint32_t *left)
{
    if (*left == 0 || coil_unlikely(reader->error != 0))
        return false;
    --*left;
    return true;
}

/*
 * Take the value of the announced field if it has the type in the name. Returns whether it had;
 * if not, `out_value` keeps what it is, usually the default, and the field is skipped later.
 */
static inline bool coil_thrift_get_bool(coil_thrift_reader *reader, bool *out_value)
{
    if (!coil_thrift_field_is(reader, COIL_THRIFT_BOOL))
        return false;
    *out_value = coil_thrift_read_bool(reader);
    return true;
}

static inline bool coil_thrift_get_i8(coil_thrift_reader *reader, int8_t *out_value)
{
    if (!coil_thrift_field_is(reader, COIL_THRIFT_I8))
        return false;
    *out_value = coil_thrift_read_i8(reader);
    return true;
}

static inline bool coil_thrift_get_i16(coil_thrift_reader *reader, int16_t *out_value)
{
    if (!coil_thrift_field_is(reader, COIL_THRIFT_I16))
        return false;
    *out_value = coil_thrift_read_i16(reader);
    return true;
}

static inline bool coil_thrift_get_i32(coil_thrift_reader *reader, int32_t *out_value)
{
    if (!coil_thrift_field_is(reader, COIL_THRIFT_I32))
        return false;
    *out_value = coil_thrift_read_i32(reader);
    return true;
}

static inline bool coil_thrift_get_i64(coil_thrift_reader *reader, int64_t *out_value)
{
    if (!coil_thrift_field_is(reader, COIL_THRIFT_I64))
        return false;
    *out_value = coil_thrift_read_i64(reader);
    return true;
}

static inline bool coil_thrift_get_double(coil_thrift_reader *reader, double *out_value)
{
    if (!coil_thrift_field_is(reader, COIL_THRIFT_DOUBLE))
        return false;
    *out_value = coil_thrift_read_double(reader);
    return true;
}

static inline bool coil_thrift_get_string(coil_thrift_reader *reader, coil_thrift_text *out_value)
{
    if (!coil_thrift_field_is(reader, COIL_THRIFT_STRING))
        return false;
    *out_value = coil_thrift_read_string(reader);
    return true;
}

static inline bool coil_thrift_get_binary(coil_thrift_reader *reader, coil_thrift_text *out_value)
{
    if (!coil_thrift_field_is(reader, COIL_THRIFT_STRING))
        return false;
    *out_value = coil_thrift_read_binary(reader);
    return true;
}

static inline bool coil_thrift_get_uuid(coil_thrift_reader *reader, uint8_t out_bytes[16])
{
    if (!coil_thrift_field_is(reader, COIL_THRIFT_UUID))
        return false;
    coil_thrift_read_uuid(reader, out_bytes);
    return true;
}

/* Begin the struct or container that is the announced field. False if it is something else. */
static inline COIL_MUST_USE bool coil_thrift_get_struct(coil_thrift_reader *reader)
{
    return coil_thrift_field_is(reader, COIL_THRIFT_STRUCT) && coil_thrift_read_struct(reader);
}

static inline COIL_MUST_USE bool coil_thrift_get_list(
        coil_thrift_reader *reader, uint8_t element, uint32_t *out_count)
{
    return coil_thrift_field_is(reader, COIL_THRIFT_LIST) &&
           coil_thrift_read_list_of(reader, element, out_count);
}

static inline COIL_MUST_USE bool coil_thrift_get_set(
        coil_thrift_reader *reader, uint8_t element, uint32_t *out_count)
{
    return coil_thrift_field_is(reader, COIL_THRIFT_SET) &&
           coil_thrift_read_set_of(reader, element, out_count);
}

static inline COIL_MUST_USE bool coil_thrift_get_map(
        coil_thrift_reader *reader, uint8_t key, uint8_t value, uint32_t *out_count)
{
    return coil_thrift_field_is(reader, COIL_THRIFT_MAP) &&
           coil_thrift_read_map_of(reader, key, value, out_count);
}

/*
 * Writer
 * ------
 *     init -> [ begin -> put_<type>, write_stop ... -> finish ]* -> send -> reset -> ... -> fini
 *
 * A writer holds any number of finished frames, one after the other and ready to be sent, in
 * `bytes` and `size`. It keeps its memory across coil_thrift_writer_reset(), so that in the steady
 * state it allocates nothing.
 *
 * coil_thrift_put_<type>() writes a field, header and value. coil_thrift_write_<type>() writes a
 * value alone: an element of a container. A struct has no header; it ends with
 * coil_thrift_write_stop(). Ended structs and counted elements are the caller's promise.
 *
 * The error is one of
 *     -EMSGSIZE  the frame would be above frame_max
 *     -ELOOP     values are nested more than 64 deep: not in the binary protocol
 *     -ENOBUFS   it might be small enough, but not on top of the frames that wait to be sent
 *     -ENOMEM    no memory
 */
struct coil_thrift_writer {
    uint8_t *bytes;
    uint32_t size; /* Bytes written: finished frames, then the one that was begun. */
    int error;     /* 0, or the first error since coil_thrift_writer_begin(). */

    /* Private. */
    bool begun;           /* Between begin and finish. */
    uint8_t protocol;     /* enum coil_thrift_protocol. */
    uint32_t frame_start; /* Where the frame begins that is being written. */
    uint32_t end;         /* How far may be written without a further thought: binary. */
    uint32_t room_end;    /* The same, in any protocol. */
    uint32_t capacity;
    uint32_t envelope_bytes; /* Left free before a message. */
    const coil_thrift_limits *limits;

    /* Private, of other protocols than binary. */
    bool has_bool;        /* Compact: the last field is a bool and has not been written, */
    int16_t bool_id;      /* and this is its number. */
    uint16_t level_count; /* Of levels. */
    coil_thrift_level levels[COIL_THRIFT_DEPTH_MAX + 1];
};

/*
 * Make an empty writer of framed binary messages, without memory yet. Borrows `limits`; NULL stands
 * for the defaults.
 */
COIL_API void coil_thrift_writer_init(coil_thrift_writer *writer, const coil_thrift_limits *limits);

/* What the next messages are written in. Not between begin and finish. */
COIL_API void coil_thrift_writer_set_protocol(
        coil_thrift_writer *writer, enum coil_thrift_protocol protocol);

/*
 * How many bytes coil_thrift_writer_begin() leaves before each message: 4, as at first, is the
 * length of a frame, which coil_thrift_writer_finish() fills in. Any other number is for the caller
 * to fill in when the message is finished; 0 is none. Not between begin and finish.
 */
COIL_API void coil_thrift_writer_set_envelope_room(coil_thrift_writer *writer, uint32_t bytes);

/* Release the memory; protocol and room stay. Fine on NULL, on zeros, and twice. */
COIL_API void coil_thrift_writer_fini(coil_thrift_writer *writer);

/* Forget all frames, the begun one and the error included; keep the memory. */
COIL_API void coil_thrift_writer_reset(coil_thrift_writer *writer);

/*
 * Begin a frame: room for its length, and the header of `message`. The fields of the
 * arguments or the result come next. A frame that was begun must be finished or abandoned first.
 */
COIL_API void coil_thrift_writer_begin(
        coil_thrift_writer *writer, const coil_thrift_message *message);

/*
 * End the frame that was begun. Returns its size in bytes with the room, which makes it the last
 * so many bytes of the writer. After an error: returns it, removes the frame and clears the error,
 * so that finished frames are intact and another frame can be begun, such as an exception.
 */
COIL_API COIL_MUST_USE int coil_thrift_writer_finish(coil_thrift_writer *writer);

/* Remove the frame that was begun, if any, and clear the error. */
COIL_API void coil_thrift_writer_abandon(coil_thrift_writer *writer);

/*
 * Private: write what finds no room, or is not binary. Scalars come as bits; a type of STOP is the
 * end of a struct.
 */
COIL_API void coil_thrift_write_otherwise(coil_thrift_writer *writer, uint8_t type, uint64_t bits);
COIL_API void coil_thrift_put_otherwise(
        coil_thrift_writer *writer, uint8_t type, int16_t id, uint64_t bits);
COIL_API void coil_thrift_field_otherwise(coil_thrift_writer *writer, uint8_t type, int16_t id);

/* Private: the place for `size` more bytes, or NULL if that needs a thought. */
static inline uint8_t *coil_thrift_writer_room(coil_thrift_writer *writer, uint32_t size)
{
    if (coil_unlikely(writer->end - writer->size < size))
        return NULL;

    uint8_t *bytes = writer->bytes + writer->size;
    writer->size += size;
    return bytes;
}

/* Private: put a field's header where it goes, and return where its value goes. */
static inline uint8_t *coil_thrift_store_field(uint8_t *bytes, uint8_t type, int16_t id)
{
    uint16_t id_bits = htobe16((uint16_t)id);
    bytes[0] = type;
    memcpy(bytes + 1, &id_bits, sizeof(id_bits));
    return bytes + 3;
}

/* Private: put big endian bits where a value goes. */
static inline void coil_thrift_store_16(uint8_t *bytes, uint16_t bits)
{
    bits = htobe16(bits);
    memcpy(bytes, &bits, sizeof(bits));
}

static inline void coil_thrift_store_32(uint8_t *bytes, uint32_t bits)
{
    bits = htobe32(bits);
    memcpy(bytes, &bits, sizeof(bits));
}

static inline void coil_thrift_store_64(uint8_t *bytes, uint64_t bits)
{
    bits = htobe64(bits);
    memcpy(bytes, &bits, sizeof(bits));
}

/* Private: a double as bits. */
static inline uint64_t coil_thrift_bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* The header of a field; its value has to follow. */
static inline void coil_thrift_write_field(coil_thrift_writer *writer, uint8_t type, int16_t id)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 3);
    if (coil_unlikely(bytes == NULL)) {
        coil_thrift_field_otherwise(writer, type, id);
    } else {
        (void)coil_thrift_store_field(bytes, type, id);
    }
}

/* Values by type. */
static inline void coil_thrift_write_i8(coil_thrift_writer *writer, int8_t value)
{
    uint8_t *byte = coil_thrift_writer_room(writer, 1);
    if (coil_unlikely(byte == NULL)) {
        coil_thrift_write_otherwise(writer, COIL_THRIFT_I8, (uint64_t)value);
    } else {
        *byte = (uint8_t)value;
    }
}

static inline void coil_thrift_write_bool(coil_thrift_writer *writer, bool value)
{
    uint8_t *byte = coil_thrift_writer_room(writer, 1);
    if (coil_unlikely(byte == NULL)) {
        coil_thrift_write_otherwise(writer, COIL_THRIFT_BOOL, value);
    } else {
        *byte = (uint8_t)value;
    }
}

static inline void coil_thrift_write_i16(coil_thrift_writer *writer, int16_t value)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 2);
    if (coil_unlikely(bytes == NULL)) {
        coil_thrift_write_otherwise(writer, COIL_THRIFT_I16, (uint64_t)value);
    } else {
        coil_thrift_store_16(bytes, (uint16_t)value);
    }
}

static inline void coil_thrift_write_i32(coil_thrift_writer *writer, int32_t value)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 4);
    if (coil_unlikely(bytes == NULL)) {
        coil_thrift_write_otherwise(writer, COIL_THRIFT_I32, (uint64_t)value);
    } else {
        coil_thrift_store_32(bytes, (uint32_t)value);
    }
}

static inline void coil_thrift_write_i64(coil_thrift_writer *writer, int64_t value)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 8);
    if (coil_unlikely(bytes == NULL)) {
        coil_thrift_write_otherwise(writer, COIL_THRIFT_I64, (uint64_t)value);
    } else {
        coil_thrift_store_64(bytes, (uint64_t)value);
    }
}

static inline void coil_thrift_write_double(coil_thrift_writer *writer, double value)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 8);
    if (coil_unlikely(bytes == NULL)) {
        coil_thrift_write_otherwise(writer, COIL_THRIFT_DOUBLE, coil_thrift_bits_of(value));
    } else {
        coil_thrift_store_64(bytes, coil_thrift_bits_of(value));
    }
}

/* Copies the text. */
COIL_API void coil_thrift_write_string(coil_thrift_writer *writer, coil_thrift_text value);

/* Copies the bytes. Differs from a text only in JSON. */
COIL_API void coil_thrift_write_binary(coil_thrift_writer *writer, coil_thrift_text value);

COIL_API void coil_thrift_write_uuid(coil_thrift_writer *writer, const uint8_t bytes[16]);

/* The end of a struct. */
static inline void coil_thrift_write_stop(coil_thrift_writer *writer)
{
    uint8_t *byte = coil_thrift_writer_room(writer, 1);
    if (coil_unlikely(byte == NULL)) {
        coil_thrift_write_otherwise(writer, COIL_THRIFT_STOP, 0);
    } else {
        *byte = COIL_THRIFT_STOP;
    }
}

/* The header of a container; `count` elements or pairs have to follow. */
COIL_API void coil_thrift_write_list(coil_thrift_writer *writer, uint8_t element, uint32_t count);
COIL_API void coil_thrift_write_set(coil_thrift_writer *writer, uint8_t element, uint32_t count);
COIL_API void coil_thrift_write_map(
        coil_thrift_writer *writer, uint8_t key, uint8_t value, uint32_t count);

/* A field with its value. */
static inline void coil_thrift_put_bool(coil_thrift_writer *writer, int16_t id, bool value)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 3 + 1);
    if (coil_unlikely(bytes == NULL)) {
        coil_thrift_put_otherwise(writer, COIL_THRIFT_BOOL, id, value);
    } else {
        *coil_thrift_store_field(bytes, COIL_THRIFT_BOOL, id) = (uint8_t)value;
    }
}

static inline void coil_thrift_put_i8(coil_thrift_writer *writer, int16_t id, int8_t value)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 3 + 1);
    if (coil_unlikely(bytes == NULL)) {
        coil_thrift_put_otherwise(writer, COIL_THRIFT_I8, id, (uint64_t)value);
    } else {
        *coil_thrift_store_field(bytes, COIL_THRIFT_I8, id) = (uint8_t)value;
    }
}

static inline void coil_thrift_put_i16(coil_thrift_writer *writer, int16_t id, int16_t value)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 3 + 2);
    if (coil_unlikely(bytes == NULL)) {
        coil_thrift_put_otherwise(writer, COIL_THRIFT_I16, id, (uint64_t)value);
    } else {
        coil_thrift_store_16(coil_thrift_store_field(bytes, COIL_THRIFT_I16, id), (uint16_t)value);
    }
}

static inline void coil_thrift_put_i32(coil_thrift_writer *writer, int16_t id, int32_t value)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 3 + 4);
    if (coil_unlikely(bytes == NULL)) {
        coil_thrift_put_otherwise(writer, COIL_THRIFT_I32, id, (uint64_t)value);
    } else {
        coil_thrift_store_32(coil_thrift_store_field(bytes, COIL_THRIFT_I32, id), (uint32_t)value);
    }
}

static inline void coil_thrift_put_i64(coil_thrift_writer *writer, int16_t id, int64_t value)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 3 + 8);
    if (coil_unlikely(bytes == NULL)) {
        coil_thrift_put_otherwise(writer, COIL_THRIFT_I64, id, (uint64_t)value);
    } else {
        coil_thrift_store_64(coil_thrift_store_field(bytes, COIL_THRIFT_I64, id), (uint64_t)value);
    }
}

static inline void coil_thrift_put_double(coil_thrift_writer *writer, int16_t id, double value)
{
    uint8_t *bytes = coil_thrift_writer_room(writer, 3 + 8);
    if (coil_unlikely(bytes == NULL)) {
        coil_thrift_put_otherwise(writer, COIL_THRIFT_DOUBLE, id, coil_thrift_bits_of(value));
    } else {
        coil_thrift_store_64(
                coil_thrift_store_field(bytes, COIL_THRIFT_DOUBLE, id), coil_thrift_bits_of(value));
    }
}

static inline void coil_thrift_put_string(
        coil_thrift_writer *writer, int16_t id, coil_thrift_text value)
{
    coil_thrift_write_field(writer, COIL_THRIFT_STRING, id);
    coil_thrift_write_string(writer, value);
}

static inline void coil_thrift_put_binary(
        coil_thrift_writer *writer, int16_t id, coil_thrift_text value)
{
    coil_thrift_write_field(writer, COIL_THRIFT_STRING, id);
    coil_thrift_write_binary(writer, value);
}

static inline void coil_thrift_put_uuid(
        coil_thrift_writer *writer, int16_t id, const uint8_t bytes[16])
{
    coil_thrift_write_field(writer, COIL_THRIFT_UUID, id);
    coil_thrift_write_uuid(writer, bytes);
}

/* A field that is a struct; its fields and coil_thrift_write_stop() have to follow. */
static inline void coil_thrift_put_struct(coil_thrift_writer *writer, int16_t id)
{
    coil_thrift_write_field(writer, COIL_THRIFT_STRUCT, id);
}

/* A field that is a container; `count` elements or pairs have to follow. */
static inline void coil_thrift_put_list(
        coil_thrift_writer *writer, int16_t id, uint8_t element, uint32_t count)
{
    coil_thrift_write_field(writer, COIL_THRIFT_LIST, id);
    coil_thrift_write_list(writer, element, count);
}

static inline void coil_thrift_put_set(
        coil_thrift_writer *writer, int16_t id, uint8_t element, uint32_t count)
{
    coil_thrift_write_field(writer, COIL_THRIFT_SET, id);
    coil_thrift_write_set(writer, element, count);
}

static inline void coil_thrift_put_map(
        coil_thrift_writer *writer, int16_t id, uint8_t key, uint8_t value, uint32_t count)
{
    coil_thrift_write_field(writer, COIL_THRIFT_MAP, id);
    coil_thrift_write_map(writer, key, value, count);
}

/*
 * Exceptions that every service has
 * ---------------------------------
 * The body of a message of type EXCEPTION; "TApplicationException" elsewhere. The numbers are
 * those of Apache Thrift.
 */
enum coil_thrift_exception_type {
    COIL_THRIFT_UNKNOWN = 0,
    COIL_THRIFT_UNKNOWN_METHOD = 1,
    COIL_THRIFT_INVALID_MESSAGE_TYPE = 2,
    COIL_THRIFT_WRONG_METHOD_NAME = 3,
    COIL_THRIFT_BAD_SEQUENCE_ID = 4,
    COIL_THRIFT_MISSING_RESULT = 5,
    COIL_THRIFT_INTERNAL_ERROR = 6,
    COIL_THRIFT_PROTOCOL_ERROR = 7,
    COIL_THRIFT_INVALID_TRANSFORM = 8,
    COIL_THRIFT_INVALID_PROTOCOL = 9,
    COIL_THRIFT_UNSUPPORTED_CLIENT_TYPE = 10,
    COIL_THRIFT_LOADSHEDDING =
            11,               /* These two, of fbthrift: not started, and may be tried again; */
    COIL_THRIFT_TIMEOUT = 12, /* its time was over. */
};

struct coil_thrift_exception {
    int32_t type; /* enum coil_thrift_exception_type, or what a peer may send. */
    coil_thrift_text message;
};

/* "unknown method" for COIL_THRIFT_UNKNOWN_METHOD, "unknown exception" for what has no name. */
COIL_API const char *coil_thrift_exception_name(int32_t type);

/* Take the rest of an EXCEPTION message. What it does not say is 0 and empty. */
COIL_API void coil_thrift_read_exception(
        coil_thrift_reader *reader, coil_thrift_exception *out_exception);

/* Write the body of an EXCEPTION message that was begun. */
COIL_API void coil_thrift_write_exception(
        coil_thrift_writer *writer, const coil_thrift_exception *exception);

/*
 * Write a whole frame that answers `call` with an exception. Returns as
 * coil_thrift_writer_finish().
 */
COIL_API COIL_MUST_USE int coil_thrift_reply_exception(coil_thrift_writer *writer,
        const coil_thrift_message *call, enum coil_thrift_exception_type type,
        coil_thrift_text text);

COIL_END_DECLS

#endif
