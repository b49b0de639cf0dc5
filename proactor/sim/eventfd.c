/* SPDX-License-Identifier: MIT */
/* eventfd(2): a counter. */
#include "file.h"

#include <errno.h>
#include <poll.h>

#define COUNT_MAX (UINT64_MAX - 1)

typedef struct eventfd {
    sim_file file;
    uint64_t count;
} eventfd;

static short poll_eventfd(sim_file *file)
{
    const eventfd *event = coil_container_of(file, eventfd, file);
    return (short)((event->count > 0 ? POLLIN : 0) | (event->count < COUNT_MAX ? POLLOUT : 0));
}

static ssize_t read_eventfd(sim_file *file, sim_io *io)
{
    eventfd *event = coil_container_of(file, eventfd, file);
    if (sim_io_left(io) < sizeof(event->count))
        return -EINVAL;
    if (event->count == 0)
        return -EAGAIN;
    (void)sim_io_put(io, &event->count, sizeof(event->count));
    event->count = 0;
    sim_file_announce(file, POLLOUT);
    return sizeof(event->count);
}

static ssize_t write_eventfd(sim_file *file, sim_io *io)
{
    eventfd *event = coil_container_of(file, eventfd, file);
    uint64_t more;
    if (sim_io_left(io) < sizeof(more))
        return -EINVAL;
    (void)sim_io_take(io, &more, sizeof(more));
    if (more > COUNT_MAX - event->count) {
        io->done_bytes -= sizeof(more); /* It has not been written. */
        return more == UINT64_MAX ? -EINVAL : -EAGAIN;
    }
    event->count += more;
    sim_file_announce(file, POLLIN);
    return sizeof(more);
}

static void release_eventfd(sim_file *file)
{
    sim_delete(coil_container_of(file, eventfd, file));
}

const sim_file_type sim_eventfd_type = {
        .name = "eventfd",
        .poll = poll_eventfd,
        .read = read_eventfd,
        .write = write_eventfd,
        .has_messages = true,
        .release = release_eventfd,
};

sim_file *sim_eventfd_create(sim_world *world)
{
    eventfd *event = sim_new(sizeof(*event));
    sim_file_init(&event->file, &sim_eventfd_type, world);
    return &event->file;
}
