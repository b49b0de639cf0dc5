/* SPDX-License-Identifier: MIT */
#include <coil/write_buffer.h>

#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    HIGH_BYTES = 64 * 1024, /* asyncio's limits, both. */
    LOW_PART = 4,
    FIRST_BYTES = 1024,
    KEEP_BYTES = 16 * 1024, /* More than that is not kept by a buffer that is empty. */
};

/* ------------------------------------------------------------------------------- lifecycle -- */

void coil_write_buffer_init(
        coil_write_buffer *buffer, coil_stream *stream, const coil_write_buffer_options *options)
{
    *buffer = (coil_write_buffer){.stream = stream, .high_bytes = HIGH_BYTES};
    if (options != NULL && options->high_bytes > 0)
        buffer->high_bytes = options->high_bytes;
    buffer->low_bytes = buffer->high_bytes / LOW_PART;
    if (options != NULL && options->low_bytes > 0)
        buffer->low_bytes = options->low_bytes;
    if (buffer->low_bytes >= buffer->high_bytes)
        buffer->low_bytes = buffer->high_bytes - 1;
    coil_list_init(&buffer->runners);
    coil_list_init(&buffer->drainers);
    coil_list_init(&buffer->flushers);
}

static void drop(coil_write_buffer_bytes *bytes)
{
    free(bytes->bytes);
    *bytes = (coil_write_buffer_bytes){NULL, 0, 0};
}

void coil_write_buffer_fini(coil_write_buffer *buffer)
{
    COIL_CHECK(buffer->stream == NULL ||
               (coil_list_empty(&buffer->runners) && coil_list_empty(&buffer->drainers) &&
                       coil_list_empty(&buffer->flushers)));
    drop(&buffer->filling);
    drop(&buffer->leaving);
}

/* ---------------------------------------------------------------------------------- putting -- */

static bool has_room(coil_write_buffer_bytes *bytes, size_t more_bytes)
{
    size_t room_bytes = bytes->room_bytes > 0 ? bytes->room_bytes : FIRST_BYTES;
    if (more_bytes > SIZE_MAX / 4 - bytes->size_bytes)
        return false;
    while (room_bytes < bytes->size_bytes + more_bytes)
        room_bytes *= 2;
    if (room_bytes == bytes->room_bytes)
        return true;
    char *larger = realloc(bytes->bytes, room_bytes);
    if (larger == NULL)
        return false;
    bytes->bytes = larger;
    bytes->room_bytes = room_bytes;
    return true;
}

int coil_write_buffer_put(coil_write_buffer *buffer, const void *bytes, size_t size_bytes)
{
    coil_write_buffer_bytes *filling = &buffer->filling;

    if (buffer->error < 0)
        return buffer->error;
    if (buffer->is_finished)
        return -EPIPE;
    if (buffer->queued_bytes >= buffer->high_bytes)
        return -EAGAIN;
    if (size_bytes == 0)
        return 0;
    if (!has_room(filling, size_bytes))
        return -ENOMEM;
    memcpy(filling->bytes + filling->size_bytes, bytes, size_bytes);
    filling->size_bytes += size_bytes;
    buffer->queued_bytes += size_bytes;
    coil_waiter_grant_all(&buffer->runners, 0);
    return 0;
}

void coil_write_buffer_finish(coil_write_buffer *buffer)
{
    buffer->is_finished = true;
    coil_waiter_grant_all(&buffer->runners, 0);
}

coil_define(int, coil_write_buffer_drain, (coil_write_buffer *) buffer)
{
    coil_vars(int rc);

    if (buffer->error < 0 || buffer->queued_bytes < buffer->high_bytes)
        return buffer->error;
    coil_await(my->rc, coil_waiter_wait(&buffer->drainers));
    return my->rc;
}

coil_define(int, coil_write_buffer_flush, (coil_write_buffer *) buffer)
{
    coil_vars(int rc);

    if (buffer->error < 0 || buffer->queued_bytes == 0)
        return buffer->error;
    coil_await(my->rc, coil_waiter_wait(&buffer->flushers));
    return my->rc;
}

/* ---------------------------------------------------------------------------------- writing -- */

/* What has been filled leaves, and the other one is filled. */
static void swap(coil_write_buffer *buffer)
{
    const coil_write_buffer_bytes filled = buffer->filling;
    buffer->filling = buffer->leaving;
    buffer->filling.size_bytes = 0;
    buffer->leaving = filled;
}

static void tell_written(coil_write_buffer *buffer)
{
    if (buffer->queued_bytes <= buffer->low_bytes)
        coil_waiter_grant_all(&buffer->drainers, 0);
    if (buffer->queued_bytes > 0)
        return;
    coil_waiter_grant_all(&buffer->flushers, 0);
    if (buffer->filling.room_bytes > KEEP_BYTES)
        drop(&buffer->filling);
    if (buffer->leaving.room_bytes > KEEP_BYTES)
        drop(&buffer->leaving);
}

/* Nobody writes any more. If that is what was asked for, and all is out, nothing has failed. */
static void stop(coil_write_buffer *buffer)
{
    if (buffer->error == 0 && (!buffer->is_finished || buffer->queued_bytes > 0))
        buffer->error = -ECANCELED;
    coil_waiter_grant_all(&buffer->drainers, buffer->error);
    coil_waiter_grant_all(&buffer->flushers, buffer->error);
}

/* A part at a time, so that what the kernel has taken is counted, whatever happens then. */
coil_async(int, write_leaving, (coil_write_buffer *) buffer)
{
    coil_vars(coil_slice rest; ssize_t count);

    my->rest = coil_bytes(buffer->leaving.bytes, buffer->leaving.size_bytes);
    while (my->rest.size_bytes > 0) {
        coil_attempt(my->count, coil_write_some(buffer->stream, my->rest));
        coil_slice_consume(&my->rest, my->count);
        buffer->queued_bytes -= (size_t)my->count;
        buffer->written_bytes += (uint64_t)my->count;
        tell_written(buffer);
    }
    return 0;
}

coil_define(int, coil_write_buffer_run, (coil_write_buffer *) buffer)
{
    coil_vars(int rc);

    coil_defer(stop(buffer));
    for (;;) {
        while (buffer->filling.size_bytes == 0 && !buffer->is_finished)
            coil_attempt(coil_waiter_wait(&buffer->runners));
        if (buffer->filling.size_bytes == 0)
            return 0;
        swap(buffer);
        coil_await(my->rc, write_leaving(buffer));
        if (my->rc < 0)
            return buffer->error = my->rc;
    }
}
