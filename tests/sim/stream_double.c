/* SPDX-License-Identifier: MIT */
#include "stream_double.h"

#include "fiber.h"
#include "file.h"
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum { ROOM_BYTES = 10 };

typedef struct stream {
    sim_file file;
    char bytes[ROOM_BYTES];
    size_t size_bytes;
    bool is_shut;
} stream;

static short poll_stream(sim_file *file)
{
    const stream *self = coil_container_of(file, stream, file);
    return (short)((self->size_bytes > 0 || self->is_shut ? POLLIN : 0) |
                   (self->size_bytes < ROOM_BYTES || self->is_shut ? POLLOUT : 0));
}

static ssize_t recv_stream(sim_file *file, sim_io *io)
{
    stream *self = coil_container_of(file, stream, file);
    if (self->size_bytes == 0)
        return self->is_shut ? 0 : -EAGAIN;
    const size_t count = sim_io_put(io, self->bytes, self->size_bytes);
    self->size_bytes -= count;
    memmove(self->bytes, self->bytes + count, self->size_bytes);
    sim_file_changed(file);
    return (ssize_t)count;
}

static ssize_t send_stream(sim_file *file, sim_io *io)
{
    stream *self = coil_container_of(file, stream, file);
    if (self->is_shut)
        return -EPIPE;
    if (self->size_bytes == ROOM_BYTES)
        return -EAGAIN;
    const size_t count =
            sim_io_take(io, self->bytes + self->size_bytes, ROOM_BYTES - self->size_bytes);
    self->size_bytes += count;
    sim_file_changed(file);
    return (ssize_t)count;
}

static int shut_stream(sim_file *file, int how)
{
    stream *self = coil_container_of(file, stream, file);
    (void)how;
    self->is_shut = true;
    sim_file_changed(file);
    return 0;
}

static void release_stream(sim_file *file)
{
    sim_delete(coil_container_of(file, stream, file));
}

static const sim_file_type type = {
        .name = "stream",
        .poll = poll_stream,
        .recv = recv_stream,
        .send = send_stream,
        .shutdown = shut_stream,
        .release = release_stream,
};

int stream_double(void)
{
    stream *self = sim_new(sizeof(*self));
    sim_file_init(&self->file, &type, sim_here());
    return sim_descriptor_install(sim_process_current(), &self->file, 0);
}
