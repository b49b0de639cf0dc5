/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_reader.h - values out of a frame of Thrift, in any protocol.
 *
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
 *
 * What holds for it whatever the bytes are, and which protocols there are, is in coil/thrift.h.
 */
#ifndef COIL_THRIFT_READER_H
#define COIL_THRIFT_READER_H

#include <coil/arena.h>
#include <coil/check.h>
#include <coil/thrift_wire.h>

#include <endian.h>
#include <string.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_reader coil_thrift_reader;

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

COIL_END_DECLS

#endif
