/* SPDX-License-Identifier: MIT */
/*
 * thrift_private.h - what the protocols of Thrift have in common.
 *
 * The binary protocol is in thrift_reader.c, thrift_writer.c and, inline, in their public headers.
 * The others are tables of functions, to which these turn. Readers tell who explains their errors
 * (thrift_reader_what.c) in facts.
 */
#ifndef COIL_THRIFT_PRIVATE_H
#define COIL_THRIFT_PRIVATE_H

#include "thrift_load.h"

#include <coil/thrift.h>

/* What can be wrong with a frame; coil_thrift_reader_what() says what the value of each is. */
enum thrift_fault {
    THRIFT_FAULT_NONE,
    THRIFT_FAULT_CUT,
    THRIFT_FAULT_NEGATIVE,
    THRIFT_FAULT_OVER_LIMIT,
    THRIFT_FAULT_UNKNOWN_TYPE,
    THRIFT_FAULT_VERSION,
    THRIFT_FAULT_MESSAGE_TYPE,
    THRIFT_FAULT_DEPTH,
    THRIFT_FAULT_LEFT_OVER,
    THRIFT_FAULT_MISSING,
    THRIFT_FAULT_UNION,
    THRIFT_FAULT_ARENA_LIMIT,
    THRIFT_FAULT_NO_MEMORY,
    THRIFT_FAULT_NO_ARENA,
    THRIFT_FAULT_OVERLONG,
    THRIFT_FAULT_RANGE,
    THRIFT_FAULT_SYNTAX,
    THRIFT_FAULT_NUMBER,
    THRIFT_FAULT_TYPE_NAME,
    THRIFT_FAULT_ESCAPE,
    THRIFT_FAULT_BASE64,
    THRIFT_FAULT_ENDS,
};

/* A protocol that is not binary, for reading. Errors are kept by the reader. */
typedef struct thrift_reading {
    uint8_t bytes_min[COIL_THRIFT_UUID + 1]; /* The fewest that a value takes; 0: no type. */
    /* The header of a message, up to its struct. */
    void (*message)(coil_thrift_reader *reader, coil_thrift_message *out_message);
    /* A struct begins; reader->depth counts it already. */
    void (*structure)(coil_thrift_reader *reader);
    /* The type of the next field; STOP at the struct's end, which is taken, and after an error. */
    uint8_t (*field)(coil_thrift_reader *reader, int16_t *out_id);
    /* A scalar, in the bytes of the binary protocol. NULL after an error. */
    const uint8_t *(*scalar)(coil_thrift_reader *reader, uint8_t type);
    coil_thrift_text (*string)(coil_thrift_reader *reader);
    coil_thrift_text (*binary)(coil_thrift_reader *reader);
    void (*skip_string)(coil_thrift_reader *reader);
    void (*uuid)(coil_thrift_reader *reader, uint8_t out_bytes[16]);
    /* The count, which is 0 after an error. Types are STOP then. */
    uint32_t (*list)(coil_thrift_reader *reader, uint8_t container, uint8_t *out_element);
    uint32_t (*map)(coil_thrift_reader *reader, uint8_t *out_key, uint8_t *out_value);
} thrift_reading;

extern const thrift_reading thrift_compact_reading;
extern const thrift_reading thrift_json_reading;

/* The same for writing. */
typedef struct thrift_writing {
    void (*message)(coil_thrift_writer *writer, const coil_thrift_message *message);
    void (*field)(coil_thrift_writer *writer, uint8_t type, int16_t id);
    void (*stop)(coil_thrift_writer *writer);
    void (*scalar)(coil_thrift_writer *writer, uint8_t type, uint64_t bits);
    void (*string)(coil_thrift_writer *writer, coil_thrift_text value);
    void (*binary)(coil_thrift_writer *writer, coil_thrift_text value);
    void (*uuid)(coil_thrift_writer *writer, const uint8_t bytes[16]);
    void (*list)(coil_thrift_writer *writer, uint8_t container, uint8_t element, uint32_t count);
    void (*map)(coil_thrift_writer *writer, uint8_t key, uint8_t value, uint32_t count);
} thrift_writing;

extern const thrift_writing thrift_compact_writing;
extern const thrift_writing thrift_json_writing;

/* The table for a protocol that is not binary. */
static inline const thrift_reading *thrift_reading_of(const coil_thrift_reader *reader)
{
    return reader->protocol == COIL_THRIFT_PROTOCOL_COMPACT ? &thrift_compact_reading
                                                            : &thrift_json_reading;
}

static inline const thrift_writing *thrift_writing_of(const coil_thrift_writer *writer)
{
    return writer->protocol == COIL_THRIFT_PROTOCOL_COMPACT ? &thrift_compact_writing
                                                            : &thrift_json_writing;
}

static inline bool thrift_is_binary(uint8_t protocol)
{
    return coil_likely(protocol == COIL_THRIFT_PROTOCOL_BINARY);
}

static inline uint32_t thrift_bytes_left(const coil_thrift_reader *reader)
{
    return reader->size - reader->position;
}

static inline bool thrift_is_scalar(uint8_t type)
{
    return type < COIL_THRIFT_STRING;
}

static const coil_thrift_text thrift_no_text = {.bytes = "", .size = 0};

/*
 * Keep the first fault, in facts rather than words, and take all that is left: from now on there
 * is nothing to take, so that no other call has to ask for the error.
 */
void thrift_reader_fail(coil_thrift_reader *reader, enum thrift_fault fault, uint8_t type,
        uint32_t value, uint32_t offset) __attribute__((cold));

/* Say what is wrong with the size of a string or the count of a container. */
void thrift_reader_refuse_size(coil_thrift_reader *reader, uint8_t type, uint32_t start,
        uint32_t size, uint32_t limit) __attribute__((cold));

/* Check the count of a container that began at `start`, and whose items take so many bytes. */
static inline uint32_t thrift_reader_check_count(coil_thrift_reader *reader, uint8_t container,
        uint32_t start, uint32_t count, uint32_t item_bytes)
{
    const uint32_t limit = reader->limits->container_max;

    if (coil_unlikely(count > limit || count > INT32_MAX ||
                      (uint64_t)count * item_bytes > thrift_bytes_left(reader))) {
        thrift_reader_refuse_size(reader, container, start, count, limit);
    }
    return coil_likely(reader->error == 0) ? count : 0;
}

/* Check the size of a string that began at `start`: false after an error. */
static inline bool thrift_reader_check_size(
        coil_thrift_reader *reader, uint32_t start, uint32_t size_bytes)
{
    const uint32_t limit = reader->limits->string_max;

    if (coil_unlikely(size_bytes > limit || size_bytes > INT32_MAX ||
                      size_bytes > thrift_bytes_left(reader))) {
        thrift_reader_refuse_size(reader, COIL_THRIFT_STRING, start, size_bytes, limit);
    }
    return coil_likely(reader->error == 0);
}

/* Skip `count` elements, which alternate between two types, the last one of `even`. */
void thrift_skip_elements(coil_thrift_reader *reader, uint8_t even, uint8_t odd, uint32_t count);

/* The fewest bytes that a value takes in the binary protocol; 0 for what is no type. */
uint32_t thrift_bytes_min(uint8_t type);

/* Keep the writer's first error, and leave no room, so that nothing more is written. */
void thrift_writer_fail(coil_thrift_writer *writer, int error) __attribute__((cold));

/* Make room for `size` more bytes, and take it. NULL after an error. */
uint8_t *thrift_writer_extend(coil_thrift_writer *writer, uint32_t size) __attribute__((cold));

/* The place for `size` more bytes, in any protocol; NULL after an error. */
static inline uint8_t *thrift_writer_take(coil_thrift_writer *writer, uint32_t size)
{
    if (coil_unlikely(writer->room_end - writer->size < size))
        return thrift_writer_extend(writer, size);

    uint8_t *bytes = writer->bytes + writer->size;
    writer->size += size;
    if (!thrift_is_binary(writer->protocol))
        writer->end = writer->size;
    return bytes;
}

static inline bool thrift_texts_equal(const coil_thrift_text *one, const coil_thrift_text *other)
{
    return one->size == other->size &&
           (one->size == 0 || memcmp(one->bytes, other->bytes, one->size) == 0);
}

/* The struct that has just ended lacks this required field. */
void coil_thrift_reader_miss(coil_thrift_reader *reader, int16_t id);

/* The union that has just ended has not one known field, but so many. */
void coil_thrift_reader_refuse_union(coil_thrift_reader *reader, uint32_t field_count);

/*
 * The arena, which may be NULL, has no room for so many bytes of a value: by its limit, or for want
 * of memory.
 */
void thrift_reader_run_out(coil_thrift_reader *reader, const coil_arena *arena, uint8_t type,
        uint64_t size_bytes) __attribute__((cold));

/* Room for so many bytes of a value; NULL after an error. */
static inline void *thrift_reader_room(coil_thrift_reader *reader, coil_arena *arena, uint8_t type,
        uint64_t size_bytes, size_t alignment)
{
    void *room = arena == NULL ? NULL : coil_arena_take(arena, size_bytes, alignment);

    if (coil_unlikely(room == NULL))
        thrift_reader_run_out(reader, arena, type, size_bytes);
    return room;
}

#endif
