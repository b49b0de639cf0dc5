/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_writer.h - values into frames of Thrift, in any protocol.
 *
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
#ifndef COIL_THRIFT_WRITER_H
#define COIL_THRIFT_WRITER_H

#include <coil/thrift_wire.h>

#include <endian.h>
#include <string.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_writer coil_thrift_writer;

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

COIL_END_DECLS

#endif
