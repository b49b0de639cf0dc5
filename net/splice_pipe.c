/* SPDX-License-Identifier: MIT */
#include "splice_pipe.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <poll.h>

int splice_pipe_open(splice_pipe *pipe)
{
    pipe->filled_bytes = 0;
    return coil_kernel_pipe(pipe->fds);
}

void splice_pipe_close(splice_pipe *pipe)
{
    coil_close_later(coil_loop_current(), pipe->fds[0]);
    coil_close_later(coil_loop_current(), pipe->fds[1]);
}

coil_define(ssize_t, splice_pipe_fill, (splice_pipe *) pipe, (int) from, (off_t) offset,
        (size_t) size_bytes)
{
    coil_vars(ssize_t count);

    coil_attempt(my->count, coil_splice(from, offset, pipe->fds[1], -1, size_bytes, 0));
    pipe->filled_bytes += (size_t)my->count;
    return my->count;
}

coil_define(ssize_t, splice_pipe_empty, (splice_pipe *) pipe, (coil_stream *) to)
{
    coil_vars(ssize_t count);

    coil_attempt(coil_poll(coil_stream_fd(to), POLLOUT));
    coil_await(my->count,
            coil_splice(pipe->fds[0], -1, coil_stream_fd(to), -1, pipe->filled_bytes, 0));
    if (my->count == 0)
        return -EIO; /* There is something in it. */
    if (my->count < 0) {
        coil_sender_failed(coil_receiver_sender(to), (int)my->count);
        return my->count;
    }
    coil_receiver_sender(to)->sent_bytes += (uint64_t)my->count;
    pipe->filled_bytes -= (size_t)my->count;
    if (pipe->filled_bytes > 0) /* One that ends early may have taken the error. */
        coil_sender_failed(coil_receiver_sender(to), -EPIPE);
    return my->count;
}
