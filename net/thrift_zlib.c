/* SPDX-License-Identifier: MIT */
#include "thrift_zlib.h"

#include <errno.h>
#include <stdlib.h>

#define ZLIB_CONST /* What is compressed is only read. */
#include <zlib.h>

enum {
    STEP_BYTES_MIN = 1024,
    STEP_BYTES_MAX = 64 * 1024,
    PART_BYTES = 1 << 30, /* zlib counts in unsigned ints. */
};

struct thrift_inflater {
    z_stream stream;
    bool ended;
};

struct thrift_deflater {
    z_stream stream;
};

/* So that zlib takes its memory where Coil does. */
static void *take(void *nothing, unsigned count, unsigned size)
{
    (void)nothing;
    return calloc(count, size);
}

static void give_back(void *nothing, void *memory)
{
    (void)nothing;
    free(memory);
}

static thrift_inflater *open_inflater(thrift_inflater **inflater)
{
    if (*inflater != NULL)
        return *inflater;
    thrift_inflater *new_one = calloc(1, sizeof(*new_one));
    if (new_one == NULL)
        return NULL;
    new_one->stream.zalloc = take;
    new_one->stream.zfree = give_back;
    if (inflateInit(&new_one->stream) != Z_OK) {
        free(new_one);
        return NULL;
    }
    *inflater = new_one;
    return new_one;
}

void thrift_inflater_destroy(thrift_inflater *inflater)
{
    if (inflater == NULL)
        return;
    (void)inflateEnd(&inflater->stream);
    free(inflater);
}

static size_t step_bytes(size_t input, size_t room)
{
    size_t step = input * 4;

    if (step < STEP_BYTES_MIN)
        step = STEP_BYTES_MIN;
    if (step > STEP_BYTES_MAX)
        step = STEP_BYTES_MAX;
    return step < room ? step : room;
}

/* One step, of as many bytes as there is room for. 1: there may be more. */
static int inflate_step(thrift_inflater *inflater, byte_store *out, size_t size_max)
{
    z_stream *stream = &inflater->stream;
    size_t room = step_bytes(stream->avail_in, size_max - out->size);
    stream->next_out = byte_store_room(out, room);
    if (stream->next_out == NULL)
        return -ENOMEM;
    stream->avail_out = (unsigned)room;

    int rc = inflate(stream, Z_SYNC_FLUSH);
    out->size += room - stream->avail_out;
    switch (rc) {
    case Z_STREAM_END:
        inflater->ended = true;
        return stream->avail_in == 0 ? 0 : -EBADMSG;
    case Z_OK:
        return stream->avail_out == 0;
    case Z_BUF_ERROR:
        return 0;
    case Z_MEM_ERROR:
        return -ENOMEM;
    default:
        return -EBADMSG;
    }
}

int thrift_inflate(thrift_inflater **inflater, const uint8_t *bytes, size_t size, byte_store *out,
        size_t size_max, size_t *out_taken)
{
    int rc = 1;

    if (open_inflater(inflater) == NULL)
        return -ENOMEM;
    z_stream *stream = &(*inflater)->stream;
    stream->next_in = bytes;
    stream->avail_in = size < PART_BYTES ? (unsigned)size : PART_BYTES;
    if ((*inflater)->ended && size > 0)
        return -EBADMSG;
    while (rc > 0 && out->size < size_max)
        rc = inflate_step(*inflater, out, size_max);
    if (rc < 0)
        return rc;
    *out_taken = (size_t)(stream->next_in - bytes);
    return 0;
}

int thrift_inflate_alone(thrift_inflater **inflater, const uint8_t *bytes, size_t size,
        byte_store *out, size_t size_max)
{
    size_t taken;

    if (open_inflater(inflater) == NULL)
        return -ENOMEM;
    (void)inflateReset(&(*inflater)->stream);
    (*inflater)->ended = false;
    int rc = thrift_inflate(inflater, bytes, size, out, size_max + 1, &taken);
    if (rc < 0)
        return rc;
    if (out->size > size_max)
        return -EMSGSIZE;
    return (*inflater)->ended ? 0 : -ENODATA;
}

static thrift_deflater *open_deflater(thrift_deflater **deflater, bool thrifty)
{
    enum { WINDOW_BITS = 15, MEMORY = 8, THRIFTY_WINDOW_BITS = 10, THRIFTY_MEMORY = 4 };

    if (*deflater != NULL)
        return *deflater;
    thrift_deflater *new_one = calloc(1, sizeof(*new_one));
    if (new_one == NULL)
        return NULL;
    new_one->stream.zalloc = take;
    new_one->stream.zfree = give_back;
    int rc = deflateInit2(&new_one->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
            thrifty ? THRIFTY_WINDOW_BITS : WINDOW_BITS, thrifty ? THRIFTY_MEMORY : MEMORY,
            Z_DEFAULT_STRATEGY);
    if (rc != Z_OK) {
        free(new_one);
        return NULL;
    }
    *deflater = new_one;
    return new_one;
}

void thrift_deflater_destroy(thrift_deflater *deflater)
{
    if (deflater == NULL)
        return;
    (void)deflateEnd(&deflater->stream);
    free(deflater);
}

int thrift_deflate(thrift_deflater **deflater, const uint8_t *bytes, size_t size, byte_store *out,
        bool alone, bool thrifty)
{
    COIL_CHECK(size < PART_BYTES); /* A writer holds less. */
    if (open_deflater(deflater, thrifty) == NULL)
        return -ENOMEM;
    z_stream *stream = &(*deflater)->stream;
    if (alone)
        (void)deflateReset(stream);
    stream->next_in = bytes;
    stream->avail_in = (unsigned)size;
    do {
        size_t room = step_bytes(stream->avail_in / 4, STEP_BYTES_MAX);
        stream->next_out = byte_store_room(out, room);
        if (stream->next_out == NULL)
            return -ENOMEM;
        stream->avail_out = (unsigned)room;
        (void)deflate(stream, alone ? Z_FINISH : Z_SYNC_FLUSH);
        out->size += room - stream->avail_out;
    } while (stream->avail_out == 0);
    return 0;
}
