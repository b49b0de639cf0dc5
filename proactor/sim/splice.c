/* SPDX-License-Identifier: MIT */
#include "splice.h"

#include "disk.h"
#include "pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

/* No file gives more than what a pipe holds. */
enum { SPLICE_MAX_BYTES = SIM_PIPE_SLOT_COUNT * SIM_PIPE_SLOT_BYTES };

static bool is_append_only(sim_file *file)
{
    const sim_open_file *open_file = sim_open_file_of(file);
    return open_file != NULL && (open_file->flags & O_APPEND) != 0;
}

/* In the order in which Linux looks (observed). */
static int check(const sim_splicing *splicing)
{
    const unsigned known =
            SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT | 1U << 31;
    const sim_pipe_end *from = sim_pipe_end_of(splicing->from);
    const sim_pipe_end *to = sim_pipe_end_of(splicing->to);

    if ((splicing->flags & ~known) != 0)
        return -EINVAL;
    if ((from != NULL && !from->reads) || (to != NULL && !to->writes))
        return -EBADF;
    if ((from != NULL && splicing->from_offset != -1) || (to != NULL && splicing->to_offset != -1))
        return -ESPIPE;
    if (from == NULL && to == NULL)
        return -EINVAL;
    if (from != NULL && to != NULL && from->pipe == to->pipe)
        return -EINVAL;
    if (splicing->to->type == &sim_eventfd_type)
        return -EINVAL;
    if (is_append_only(splicing->to) || splicing->from->type == &sim_directory_type)
        return -EINVAL;
    return 0;
}

bool sim_splice_waits(const sim_splicing *splicing)
{
    const sim_pipe_end *from = sim_pipe_end_of(splicing->from);
    const sim_pipe_end *to = sim_pipe_end_of(splicing->to);
    if ((splicing->flags & SPLICE_F_NONBLOCK) != 0)
        return false;
    return !(from != NULL && splicing->from->is_nonblocking) &&
           !(to != NULL && splicing->to->is_nonblocking);
}

/* How much there is to move, or to have room for. */
static size_t limit_of(const sim_splicing *splicing)
{
    const sim_pipe_end *from = sim_pipe_end_of(splicing->from);
    const sim_pipe_end *to = sim_pipe_end_of(splicing->to);
    size_t limit_bytes = splicing->size_bytes;

    if (limit_bytes > SPLICE_MAX_BYTES)
        limit_bytes = SPLICE_MAX_BYTES;
    if (from != NULL && limit_bytes > sim_pipe_filled_bytes(from->pipe))
        limit_bytes = sim_pipe_filled_bytes(from->pipe);
    if (to != NULL && limit_bytes > sim_pipe_room_bytes(to->pipe))
        limit_bytes = sim_pipe_room_bytes(to->pipe);
    return limit_bytes;
}

static sim_io io_of(const sim_splicing *splicing, const struct iovec *part, int64_t offset)
{
    return (sim_io){.parts = part,
            .part_count = 1,
            .size_bytes = part->iov_len,
            .offset = offset,
            .process = splicing->process};
}

/* Without a change to a pipe: who knows how much of it will be written. */
static ssize_t get(const sim_splicing *splicing, const struct iovec *part)
{
    sim_io io = io_of(splicing, part, splicing->from_offset);
    const sim_pipe_end *from = sim_pipe_end_of(splicing->from);
    if (from != NULL)
        return (ssize_t)sim_pipe_peek(from->pipe, &io);
    return sim_file_read(splicing->from, &io);
}

static void consume(const sim_splicing *splicing, const struct iovec *part)
{
    sim_io io = io_of(splicing, part, splicing->from_offset);
    if (sim_pipe_end_of(splicing->from) != NULL)
        (void)sim_file_read(splicing->from, &io);
}

/* By way of the memory `part`. */
static ssize_t move(const sim_splicing *splicing, struct iovec part, sim_file **out_file)
{
    *out_file = splicing->from;
    ssize_t count = get(splicing, &part);
    if (count <= 0)
        return count;
    part.iov_len = (size_t)count;
    sim_io io = io_of(splicing, &part, splicing->to_offset);
    *out_file = splicing->to;
    count = sim_file_write(splicing->to, &io);
    if (count > 0) {
        part.iov_len = (size_t)count;
        consume(splicing, &part);
    }
    return count;
}

ssize_t sim_splice(const sim_splicing *splicing, sim_file **out_file)
{
    const sim_pipe_end *from = sim_pipe_end_of(splicing->from);
    const sim_pipe_end *to = sim_pipe_end_of(splicing->to);

    if (splicing->size_bytes == 0)
        return 0;
    int rc = check(splicing);
    if (rc < 0)
        return rc;
    /* No SIGPIPE: it hits the thread of the kernel that does this, and is lost (observed). */
    if (to != NULL && to->pipe->reader_count == 0)
        return -EPIPE;
    const size_t size_bytes = limit_of(splicing);
    if (size_bytes == 0 && from != NULL && from->pipe->count == 0 && from->pipe->writer_count == 0)
        return 0;
    *out_file = from != NULL && from->pipe->count == 0 ? splicing->from : splicing->to;
    if (size_bytes == 0)
        return -EAGAIN;
    if (from != NULL && (sim_file_poll(splicing->to) & POLLOUT) == 0)
        return -EAGAIN;
    const struct iovec part = {sim_new(size_bytes), size_bytes};
    const ssize_t count = move(splicing, part, out_file);
    sim_delete(part.iov_base);
    return count;
}
