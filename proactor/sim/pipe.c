/* SPDX-License-Identifier: MIT */
#include "pipe.h"

#include "disk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

sim_pipe_end *sim_pipe_end_of(sim_file *file)
{
    return file->type == &sim_pipe_type ? coil_container_of(file, sim_pipe_end, file) : NULL;
}

/* Of a file that is known to be one. */
static sim_pipe_end *own(sim_file *file)
{
    return coil_container_of(file, sim_pipe_end, file);
}

static sim_pipe_slot *slot_at(sim_pipe *pipe, unsigned number)
{
    return &pipe->slots[(pipe->first + number) % SIM_PIPE_SLOT_COUNT];
}

/* Those who read, or those who write, may go on: an end has come or gone. */
static void tell(sim_pipe *pipe, bool readers, bool writers)
{
    for (coil_list *at = pipe->ends.next; at != &pipe->ends; at = at->next) {
        sim_pipe_end *end = coil_container_of(at, sim_pipe_end, link);
        if ((end->reads && readers) || (end->writes && writers))
            sim_file_changed(&end->file);
    }
}

/* There are bytes for those who read (POLLIN), or room for those who write (POLLOUT). */
static void announce(sim_pipe *pipe, short events)
{
    for (coil_list *at = pipe->ends.next; at != &pipe->ends; at = at->next) {
        sim_pipe_end *end = coil_container_of(at, sim_pipe_end, link);
        if ((events & POLLIN) != 0 ? end->reads : end->writes)
            sim_file_announce(&end->file, events);
    }
}

size_t sim_pipe_filled_bytes(const sim_pipe *pipe)
{
    size_t size_bytes = 0;
    for (unsigned i = 0; i < pipe->count; i++)
        size_bytes += pipe->slots[(pipe->first + i) % SIM_PIPE_SLOT_COUNT].size;
    return size_bytes;
}

size_t sim_pipe_room_bytes(const sim_pipe *pipe)
{
    return (size_t)(SIM_PIPE_SLOT_COUNT - pipe->count) * SIM_PIPE_SLOT_BYTES;
}

size_t sim_pipe_peek(const sim_pipe *pipe, sim_io *io)
{
    size_t copied_bytes = 0;
    for (unsigned i = 0; i < pipe->count; i++) {
        const sim_pipe_slot *slot = &pipe->slots[(pipe->first + i) % SIM_PIPE_SLOT_COUNT];
        copied_bytes += sim_io_put(io, slot->bytes + slot->start, slot->size);
    }
    return copied_bytes;
}

/* ------------------------------------------------------------------------- reading, writing -- */

/* 0 if nobody can write any more. */
static ssize_t pipe_read(sim_file *file, sim_io *io)
{
    sim_pipe_end *end = own(file);
    sim_pipe *pipe = end->pipe;
    size_t done_bytes = 0;

    if (!end->reads)
        return -EBADF;
    if (sim_io_left(io) == 0)
        return 0;
    const bool was_full = pipe->count == SIM_PIPE_SLOT_COUNT;
    while (pipe->count > 0 && sim_io_left(io) > 0) {
        sim_pipe_slot *slot = slot_at(pipe, 0);
        const size_t count = sim_io_put(io, slot->bytes + slot->start, slot->size);
        sim_ledger_received(&pipe->ledger, slot->bytes + slot->start, count);
        slot->start += (unsigned)count;
        slot->size -= (unsigned)count;
        done_bytes += count;
        if (slot->size > 0)
            break;
        pipe->first = (pipe->first + 1) % SIM_PIPE_SLOT_COUNT;
        pipe->count--;
    }
    if (was_full && pipe->count < SIM_PIPE_SLOT_COUNT)
        announce(pipe, POLLOUT | POLLWRNORM);
    sim_ledger_check(&pipe->ledger);
    if (done_bytes == 0 && pipe->writer_count > 0)
        return -EAGAIN;
    if (done_bytes == 0)
        sim_ledger_check_end(&pipe->ledger);
    return (ssize_t)done_bytes;
}

static size_t take(sim_pipe *pipe, sim_io *io, char *place, size_t size_bytes)
{
    const size_t count = sim_io_take(io, place, size_bytes);
    sim_ledger_sent(&pipe->ledger, place, count);
    return count;
}

/* What is over whole pages may fit behind what is there. */
static size_t append_to_last(sim_pipe *pipe, sim_io *io)
{
    const size_t odd_bytes = sim_io_left(io) % SIM_PIPE_SLOT_BYTES;
    if (odd_bytes == 0 || pipe->count == 0)
        return 0;
    sim_pipe_slot *last = slot_at(pipe, pipe->count - 1);
    const size_t end = last->start + last->size;
    if (end + odd_bytes > SIM_PIPE_SLOT_BYTES)
        return 0;
    last->size += (unsigned)odd_bytes;
    return take(pipe, io, last->bytes + end, odd_bytes);
}

static size_t append(sim_pipe *pipe, sim_io *io)
{
    size_t done_bytes = append_to_last(pipe, io);
    while (sim_io_left(io) > 0 && pipe->count < SIM_PIPE_SLOT_COUNT) {
        sim_pipe_slot *slot = slot_at(pipe, pipe->count++);
        size_t size_bytes = sim_io_left(io);
        if (size_bytes > SIM_PIPE_SLOT_BYTES)
            size_bytes = SIM_PIPE_SLOT_BYTES;
        slot->start = 0;
        slot->size = (unsigned)size_bytes;
        done_bytes += take(pipe, io, slot->bytes, size_bytes);
    }
    return done_bytes;
}

static size_t whole_bytes(const sim_io *io)
{
    size_t size_bytes = 0;
    for (unsigned i = 0; i < io->part_count; i++)
        size_bytes += io->parts[i].iov_len;
    return size_bytes;
}

/*
 * pipe(7): a write of at most PIPE_BUF bytes is atomic, so the caller's wish for a short transfer
 * is not granted then. A write of nothing succeeds, even if nobody reads (observed).
 */
static ssize_t pipe_write(sim_file *file, sim_io *io)
{
    sim_pipe_end *end = own(file);

    if (!end->writes)
        return -EBADF;
    if (sim_io_left(io) == 0)
        return 0;
    if (end->pipe->reader_count == 0)
        return -EPIPE; /* The caller raises SIGPIPE. */
    if (io->done_bytes == 0 && whole_bytes(io) <= PIPE_BUF)
        io->size_bytes = whole_bytes(io);
    const size_t count = append(end->pipe, io);
    if (count == 0)
        return -EAGAIN;
    sim_ledger_check(&end->pipe->ledger);
    announce(end->pipe, POLLIN | POLLRDNORM);
    return (ssize_t)count;
}

/* Observed: POLLHUP once all who could write have gone; POLLERR beside POLLOUT if nobody reads. */
static short pipe_poll(sim_file *file)
{
    const sim_pipe_end *end = own(file);
    const sim_pipe *pipe = end->pipe;
    int events = 0;

    if (end->reads && pipe->count > 0)
        events |= POLLIN | POLLRDNORM;
    if (end->reads && pipe->writer_count == 0)
        events |= POLLHUP;
    if (end->writes && pipe->count < SIM_PIPE_SLOT_COUNT)
        events |= POLLOUT | POLLWRNORM;
    if (end->writes && pipe->reader_count == 0)
        events |= POLLERR;
    return (short)events;
}

/* ------------------------------------------------------------------------ opening, closing -- */

static void pipe_release(sim_file *file)
{
    sim_pipe_end *end = own(file);
    sim_pipe *pipe = end->pipe;

    coil_list_remove(&end->link);
    pipe->reader_count -= end->reads;
    pipe->writer_count -= end->writes;
    tell(pipe, pipe->writer_count == 0, pipe->reader_count == 0);
    if (coil_list_empty(&pipe->ends)) {
        sim_ledger_discarded(&pipe->ledger, sim_pipe_filled_bytes(pipe));
        pipe->count = 0;
        sim_ledger_close(&pipe->ledger);
        sim_delete(pipe);
    }
    sim_delete(end);
}

static int pipe_stat(sim_file *file, struct stat *out_status)
{
    (void)file;
    *out_status = (struct stat){.st_mode = S_IFIFO | 0600,
            .st_nlink = 1,
            .st_uid = SIM_USER,
            .st_gid = SIM_USER,
            .st_blksize = SIM_PIPE_SLOT_BYTES};
    return 0;
}

const sim_file_type sim_pipe_type = {
        .name = "pipe",
        .poll = pipe_poll,
        .read = pipe_read,
        .write = pipe_write,
        .stat = pipe_stat,
        .release = pipe_release,
};

static sim_file *new_end(sim_pipe *pipe, sim_world *world, bool reads)
{
    sim_pipe_end *end = sim_new(sizeof(*end));

    sim_file_init(&end->file, &sim_pipe_type, world);
    end->pipe = pipe;
    end->reads = reads;
    end->writes = !reads;
    coil_list_init(&end->link);
    coil_list_append(&pipe->ends, &end->link);
    pipe->reader_count += end->reads;
    pipe->writer_count += end->writes;
    return &end->file;
}

static size_t on_the_way(sim_ledger *ledger)
{
    return sim_pipe_filled_bytes(coil_container_of(ledger, sim_pipe, ledger));
}

void sim_pipe_create(sim_world *world, bool is_nonblocking, sim_file *out_files[2])
{
    sim_pipe *pipe = sim_new(sizeof(*pipe));

    sim_ledger_open(&pipe->ledger, world, "pipe", on_the_way);
    coil_list_init(&pipe->ends);
    for (int i = 0; i < 2; i++) {
        out_files[i] = new_end(pipe, world, i == 0);
        out_files[i]->is_nonblocking = is_nonblocking;
    }
}
