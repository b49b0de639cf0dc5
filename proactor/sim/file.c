/* SPDX-License-Identifier: MIT */
#include "file.h"

#include "fiber.h"
#include "signals.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* ------------------------------------------------------------------------------- transfers -- */

/*
 * Where the transfer has got to: a piece of memory of at most `size_bytes`, in one part. NULL: none
 * is left.
 */
static char *next_piece(const sim_io *io, size_t size_bytes, size_t *out_size_bytes)
{
    size_t skip_bytes = io->done_bytes;

    if (size_bytes > sim_io_left(io))
        size_bytes = sim_io_left(io);
    for (unsigned i = 0; i < io->part_count && size_bytes > 0; i++) {
        const struct iovec *part = &io->parts[i];
        if (skip_bytes >= part->iov_len) {
            skip_bytes -= part->iov_len;
            continue;
        }
        const size_t rest_bytes = part->iov_len - skip_bytes;
        *out_size_bytes = size_bytes < rest_bytes ? size_bytes : rest_bytes;
        return (char *)part->iov_base + skip_bytes;
    }
    return NULL;
}

size_t sim_io_put(sim_io *io, const void *bytes, size_t size_bytes)
{
    const size_t before_bytes = io->done_bytes;
    const char *from = bytes;
    size_t count;
    char *piece;

    while ((piece = next_piece(io, size_bytes, &count)) != NULL) {
        memcpy(piece, from, count);
        from += count;
        size_bytes -= count;
        io->done_bytes += count;
    }
    return io->done_bytes - before_bytes;
}

size_t sim_io_take(sim_io *io, void *bytes, size_t size_bytes)
{
    const size_t before_bytes = io->done_bytes;
    char *to = bytes;
    size_t count;
    const char *piece;

    while ((piece = next_piece(io, size_bytes, &count)) != NULL) {
        memcpy(to, piece, count);
        to += count;
        size_bytes -= count;
        io->done_bytes += count;
    }
    return io->done_bytes - before_bytes;
}

/* ------------------------------------------------------------------------------- lifecycle -- */

void sim_file_init(sim_file *file, const sim_file_type *type, sim_world *world)
{
    file->type = type;
    file->world = world;
    file->reference_count = 1;
    world->file_count++;
    file->is_nonblocking = false;
    file->announced = 0;
    file->id = ++world->sequence;
    sim_waiters_init(&file->waiters);
}

sim_file *sim_file_hold(sim_file *file)
{
    file->reference_count++;
    return file;
}

void sim_file_drop(sim_file *file)
{
    if (file == NULL)
        return;
    SIM_CHECK(file->world, file->reference_count > 0, "a %s is freed twice", file->type->name);
    if (--file->reference_count > 0)
        return;
    file->world->file_count--;
    file->type->release(file);
}

void sim_file_changed(sim_file *file)
{
    sim_waiters_notify(&file->waiters);
}

void sim_file_connected(sim_file *file)
{
    sim_waiters_notify_one(&file->waiters);
}

void sim_file_announce(sim_file *file, short events)
{
    file->announced = events;
    sim_waiters_notify(&file->waiters);
    file->announced = 0;
}

short sim_file_poll(sim_file *file)
{
    if (file->type->poll == NULL)
        return POLLIN | POLLOUT;
    return file->type->poll(file);
}

int sim_file_wait(sim_file *file, short events, coil_time deadline)
{
    const short wanted = (short)(events | POLLERR | POLLHUP);
    int rc = 0;

    (void)sim_file_hold(file);
    while (rc == 0 && (sim_file_poll(file) & wanted) == 0) {
        if (!sim_fiber_wait(&file->waiters, deadline, file->type->name))
            rc = -ETIME;
    }
    sim_file_drop(file);
    return rc;
}

/* -------------------------------------------------------------------------- what it can do -- */

ssize_t sim_file_recv(sim_file *file, sim_io *io)
{
    return file->type->recv == NULL ? -ENOTSOCK : file->type->recv(file, io);
}

ssize_t sim_file_send(sim_file *file, sim_io *io)
{
    if (file->type->send == NULL)
        return -ENOTSOCK;
    const ssize_t count = file->type->send(file, io);
    if (count == -EPIPE && (io->flags & MSG_NOSIGNAL) == 0)
        sim_signal_pipe();
    return count;
}

ssize_t sim_file_read(sim_file *file, sim_io *io)
{
    if (io->offset != -1 && !file->type->has_offset)
        return -ESPIPE;
    if (file->type->read != NULL)
        return file->type->read(file, io);
    return file->type->recv == NULL ? -EINVAL : file->type->recv(file, io);
}

ssize_t sim_file_write(sim_file *file, sim_io *io)
{
    if (io->offset != -1 && !file->type->has_offset)
        return -ESPIPE;
    if (file->type->write == NULL)
        return file->type->send == NULL ? -EINVAL : sim_file_send(file, io);
    const ssize_t count = file->type->write(file, io);
    if (count == -EPIPE)
        sim_signal_pipe();
    return count;
}
