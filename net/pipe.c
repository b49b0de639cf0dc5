/* SPDX-License-Identifier: MIT */
#include <coil/pipe.h>

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>

enum { FIRST_FD = 3, RETRY_MS = 20 };

int coil_pipe_create(coil_stream **out_reader, coil_stream **out_writer)
{
    int fds[2];
    coil_stream *reader = NULL;
    int rc = coil_kernel_pipe(fds);
    if (rc < 0)
        return rc;
    rc = coil_stream_create(fds[0], COIL_TRANSPORT_FILE, &reader);
    if (rc < 0) {
        coil_close_later(coil_loop_current(), fds[1]);
        return rc;
    }
    rc = coil_stream_create(fds[1], COIL_TRANSPORT_FILE, out_writer);
    if (rc < 0) {
        coil_stream_close(reader);
        return rc;
    }
    *out_reader = reader;
    return 0;
}

int coil_stream_standard(int fd, coil_stream **out_stream)
{
    const int own = coil_kernel_dup_above(fd, FIRST_FD);
    return own < 0 ? own : coil_stream_create(own, COIL_TRANSPORT_FILE, out_stream);
}

/* ----------------------------------------------------------------------------------- FIFOs -- */

/* The ring may open a FIFO as if with O_NONBLOCK. No reader yet: that is tried again. */
coil_async(int, open_end, (const char *) path, (int) flags)
{
    coil_vars(int fd);

    for (;;) {
        coil_await(my->fd, coil_openat(AT_FDCWD, path, flags, 0));
        if (my->fd != -ENXIO)
            return my->fd;
        coil_await(coil_sleep(coil_ms(RETRY_MS)));
    }
}

coil_async(int, open_fifo, (const char *) path, (coil_fifo_end) end, (struct statx *) status)
{
    coil_vars(int fd; bool is_done; int rc);

    coil_attempt(coil_statx(AT_FDCWD, path, 0, STATX_TYPE, status));
    if (!S_ISFIFO(status->stx_mode))
        return -EOPNOTSUPP;
    coil_attempt(my->fd, open_end(path, end == COIL_FIFO_READ ? O_RDONLY : O_WRONLY));
    coil_defer(if (!my->is_done) coil_close_later(coil_loop_current(), my->fd));
    /* Nor need there be a writer: without this, its absence would be taken for the end. */
    if (end == COIL_FIFO_READ)
        coil_attempt(coil_poll(my->fd, POLLIN));
    my->is_done = true;
    return my->fd;
}

coil_define(coil_stream *, coil_fifo_open, (const char *) path, (coil_fifo_end) end)
{
    coil_vars(struct statx status; int fd; int rc; coil_stream *stream);

    coil_await(my->fd, open_fifo(path, end, &my->status));
    if (my->fd < 0)
        return coil_error_pointer(my->fd);
    my->rc = coil_stream_create(my->fd, COIL_TRANSPORT_FILE, &my->stream);
    return my->rc < 0 ? coil_error_pointer(my->rc) : my->stream;
}
