/* SPDX-License-Identifier: MIT */
#include "codec.h"

#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

/* ---- Echo ---- */

enum { SHIFTS = 64, SEQUENCE_BYTES = 8 };

struct echo_codec {
    struct codec base;
    unsigned char *pattern; /* request_bytes + SHIFTS of it */
};

static const unsigned char *echo_pattern(const struct codec *self, uint64_t sequence)
{
    return ((const struct echo_codec *)self)->pattern + sequence % SHIFTS;
}

static size_t echo_head(const struct codec *self)
{
    return self->request_bytes < SEQUENCE_BYTES ? self->request_bytes : SEQUENCE_BYTES;
}

static void echo_encode(const struct codec *self, uint64_t sequence, unsigned char *out)
{
    size_t head = echo_head(self);

    memcpy(out, &sequence, head);
    memcpy(out + head, echo_pattern(self, sequence), self->request_bytes - head);
}

static long echo_check(const struct codec *self, struct cursor *cursor, const unsigned char *bytes,
        size_t count, bool *out_complete)
{
    size_t head = echo_head(self);
    const unsigned char *expected = (const unsigned char *)&cursor->sequence + cursor->offset;
    size_t run = head - cursor->offset;

    if (cursor->offset >= head) {
        expected = echo_pattern(self, cursor->sequence) + (cursor->offset - head);
        run = self->request_bytes - cursor->offset;
    }
    if (run > count)
        run = count;
    if (memcmp(bytes, expected, run) != 0)
        return -1;
    cursor->offset += run;
    *out_complete = cursor->offset == self->request_bytes;
    if (*out_complete) {
        cursor->offset = 0;
        cursor->sequence++;
    }
    return (long)run;
}

static void echo_destroy(struct codec *codec)
{
    struct echo_codec *self = (struct echo_codec *)codec;

    free(self->pattern);
    free(self);
}

struct codec *codec_echo(size_t message_bytes)
{
    struct echo_codec *self = calloc(1, sizeof(*self));
    uint32_t random = 2463534242U;

    if (!self || !(self->pattern = malloc(message_bytes + SHIFTS)))
        return NULL;
    for (size_t i = 0; i < message_bytes + SHIFTS; i++) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        self->pattern[i] = (unsigned char)random;
    }
    self->base = (struct codec){message_bytes, echo_encode, echo_check, echo_destroy};
    return &self->base;
}

/* ---- Thrift ---- */

enum {
    VERSION_1_CALL = 0x80010001,
    VERSION_1_REPLY = 0x80010002,
    TYPE_STRING = 11,
    FRAME_BYTES = 4,   /* the length in front */
    PREFIX_BYTES = 12, /* frame length, version, length of the name */
    REPLY_BYTES_MAX = 64 << 20,
};

struct thrift_codec {
    struct codec base;
    size_t name_bytes;
    size_t text_bytes; /* of the argument; then the reply has the same as its result */
    unsigned char request[CODEC_HEAD_MAX];
};

static void put_u32(unsigned char *out, uint32_t value)
{
    value = htonl(value);
    memcpy(out, &value, sizeof(value));
}

static uint32_t get_u32(const unsigned char *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return ntohl(value);
}

static void thrift_encode(const struct codec *codec, uint64_t sequence, unsigned char *out)
{
    const struct thrift_codec *self = (const struct thrift_codec *)codec;

    memcpy(out, self->request, self->base.request_bytes);
    put_u32(out + PREFIX_BYTES + self->name_bytes, (uint32_t)sequence);
}

/* Field 1 of a request, and field 0 of its reply: type, number, length; the text; the stop. */
static size_t thrift_struct_bytes(size_t text_bytes)
{
    return text_bytes > 0 ? 3 + 4 + text_bytes + 1 : 1;
}

/* Everything before the result struct has been received into cursor->head. */
static bool thrift_head_is_right(const struct thrift_codec *self, struct cursor *cursor)
{
    const unsigned char *head = cursor->head;
    uint32_t length = get_u32(head);

    cursor->reply_bytes = FRAME_BYTES + (size_t)length;
    const bool is_long_enough = self->text_bytes > 0
                                        ? cursor->reply_bytes == self->base.request_bytes
                                        : cursor->reply_bytes > PREFIX_BYTES + self->name_bytes + 4;
    return is_long_enough && length <= REPLY_BYTES_MAX && get_u32(head + 4) == VERSION_1_REPLY &&
           get_u32(head + 8) == self->name_bytes &&
           memcmp(head + PREFIX_BYTES, self->request + PREFIX_BYTES, self->name_bytes) == 0 &&
           get_u32(head + PREFIX_BYTES + self->name_bytes) == (uint32_t)cursor->sequence;
}

static long thrift_check_head(const struct thrift_codec *self, struct cursor *cursor,
        const unsigned char *bytes, size_t count)
{
    size_t head_bytes = PREFIX_BYTES + self->name_bytes + 4;
    size_t run = head_bytes - cursor->offset;

    if (run > count)
        run = count;
    memcpy(cursor->head + cursor->offset, bytes, run);
    cursor->offset += run;
    if (cursor->offset == head_bytes && !thrift_head_is_right(self, cursor))
        return -1;
    return (long)run;
}

/* The reply's struct is that of the request, but for the number of its field. */
static bool thrift_text_is_right(
        const struct thrift_codec *self, size_t offset, const unsigned char *bytes, size_t count)
{
    const size_t number_at = PREFIX_BYTES + self->name_bytes + 4 + 2;

    for (size_t i = 0; i < count; i++) {
        const size_t at = offset + i;
        if (bytes[i] != (at == number_at ? 0 : self->request[at]))
            return false;
    }
    return true;
}

static long thrift_check(const struct codec *codec, struct cursor *cursor,
        const unsigned char *bytes, size_t count, bool *out_complete)
{
    const struct thrift_codec *self = (const struct thrift_codec *)codec;

    *out_complete = false;
    if (cursor->offset < PREFIX_BYTES + self->name_bytes + 4)
        return thrift_check_head(self, cursor, bytes, count);
    size_t run = cursor->reply_bytes - cursor->offset;
    if (run > count)
        run = count;
    if (self->text_bytes > 0 && !thrift_text_is_right(self, cursor->offset, bytes, run))
        return -1;
    cursor->offset += run;
    if (cursor->offset < cursor->reply_bytes)
        return (long)run;
    if (bytes[run - 1] != 0)
        return -1;
    cursor->offset = 0;
    cursor->sequence++;
    *out_complete = true;
    return (long)run;
}

static void thrift_destroy(struct codec *codec)
{
    free(codec);
}

struct codec *codec_thrift(const char *method)
{
    struct thrift_codec *self = calloc(1, sizeof(*self));
    const char *colon = strchr(method, ':');
    const size_t name_bytes = colon ? (size_t)(colon - method) : strlen(method);
    const size_t text_bytes = colon ? strtoul(colon + 1, NULL, 10) : 0;
    const size_t head_bytes = PREFIX_BYTES + name_bytes + 4;

    if (!self || text_bytes > CODEC_HEAD_MAX ||
            head_bytes + thrift_struct_bytes(text_bytes) > CODEC_HEAD_MAX) {
        free(self);
        return NULL;
    }
    self->name_bytes = name_bytes;
    self->text_bytes = text_bytes;
    self->base = (struct codec){head_bytes + thrift_struct_bytes(text_bytes), thrift_encode,
            thrift_check, thrift_destroy};
    put_u32(self->request, (uint32_t)(self->base.request_bytes - FRAME_BYTES));
    put_u32(self->request + 4, VERSION_1_CALL);
    put_u32(self->request + 8, (uint32_t)name_bytes);
    memcpy(self->request + PREFIX_BYTES, method, name_bytes);
    if (text_bytes > 0) {
        unsigned char *field = self->request + head_bytes;
        field[0] = TYPE_STRING;
        field[2] = 1;
        put_u32(field + 3, (uint32_t)text_bytes);
        memset(field + 7, 'x', text_bytes);
    }
    return &self->base;
}
