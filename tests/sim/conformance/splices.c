/* SPDX-License-Identifier: MIT */
/* Bytes that are moved without being read: between pipes, sockets, files (splice(2)). */
#include "programs.h"

#include <fcntl.h>
#include <poll.h>

static void splice_one(struct stage *stage, const char *name, int from, int to, unsigned count)
{
    io_uring_prep_splice(stage_ask(stage, name), from, -1, to, -1, count, 0);
    stage_expect(stage, 1);
}

static void take_one(struct stage *stage, const char *name, int fd)
{
    char *bytes = stage_memory(stage, 32);
    io_uring_prep_read(stage_ask(stage, name), fd, bytes, 31, (__u64)-1);
    stage_expect(stage, 1);
    if (stage_result(stage, name) > 0)
        stage_say(stage, "bytes: %s", bytes);
}

/* Into a pipe and out of it again; the end of a stream is an end, that of a pipe, too. */
static void proxies(struct stage *stage, stage_ends from, stage_ends to)
{
    stage_ends pipe = stage_pipe(stage);
    stage_put(stage, from.in, "0123456789");
    splice_one(stage, "socket to pipe", from.out, pipe.in, 4);
    splice_one(stage, "socket to pipe", from.out, pipe.in, 100);
    splice_one(stage, "pipe to socket", pipe.out, to.in, 7);
    splice_one(stage, "pipe to socket", pipe.out, to.in, 100);
    take_one(stage, "read", to.out);
    io_uring_prep_splice(stage_ask(stage, "waits"), from.out, -1, pipe.in, -1, 8, 0);
    stage_expect_nothing(stage);
    stage_put(stage, from.in, "late");
    stage_expect(stage, 1);
    splice_one(stage, "no bytes", pipe.out, to.in, 0);
    splice_one(stage, "pipe to socket", pipe.out, to.in, 100);
    take_one(stage, "read", to.out);
    io_uring_prep_shutdown(stage_ask(stage, "shutdown"), from.in, SHUT_WR);
    stage_expect(stage, 1);
    splice_one(stage, "at the end of the stream", from.out, pipe.in, 100);
    stage_close(stage, pipe.in);
    splice_one(stage, "at the end of the pipe", pipe.out, to.in, 100);
    stage_close(stage, pipe.out);
    stage_close_ends(stage, from);
    stage_close_ends(stage, to);
}

void play_splice_of_sockets(struct stage *stage)
{
    proxies(stage, stage_unix(stage), stage_unix(stage));
}

void play_splice_of_sockets_tcp(struct stage *stage)
{
    proxies(stage, stage_tcp(stage), stage_tcp(stage));
}

/* To one that does not read any more; the bytes stay in the pipe, or are gone. */
void play_splice_to_the_gone(struct stage *stage)
{
    stage_ends pipe = stage_pipe(stage);
    stage_ends other = stage_pipe(stage);
    stage_ends ends = stage_unix(stage);
    stage_put(stage, pipe.in, "abc");
    stage_close(stage, ends.out);
    splice_one(stage, "pipe to socket", pipe.out, ends.in, 100);
    stage_put(stage, pipe.in, "def");
    stage_close(stage, other.out);
    splice_one(stage, "pipe to pipe", pipe.out, other.in, 100);
    take_one(stage, "read", pipe.out);
    stage_close(stage, ends.in);
    stage_close(stage, other.in);
    stage_close_ends(stage, pipe);
}

void play_splice_of_pipes(struct stage *stage)
{
    stage_ends one = stage_pipe(stage);
    stage_ends other = stage_pipe(stage);
    stage_put(stage, one.in, "0123456789");
    stage_put(stage, other.in, "<");
    splice_one(stage, "a part", one.out, other.in, 4);
    splice_one(stage, "the rest", one.out, other.in, 100);
    take_one(stage, "read", other.out);
    io_uring_prep_splice(
            stage_ask(stage, "SPLICE_F_NONBLOCK"), one.out, -1, other.in, -1, 8, SPLICE_F_NONBLOCK);
    stage_expect(stage, 1);
    splice_one(stage, "to itself", one.out, one.in, 4);
    io_uring_prep_splice(stage_ask(stage, "offset of a pipe"), one.out, 3, other.in, -1, 4, 0);
    stage_expect(stage, 1);
    splice_one(stage, "from the wrong end", one.in, other.in, 4);
    splice_one(stage, "to the wrong end", one.out, other.out, 4);
    int event = coil_kernel_eventfd();
    splice_one(stage, "to an eventfd", one.out, event, 4);
    stage_close(stage, event);
    stage_ends ends = stage_unix(stage);
    splice_one(stage, "between sockets", ends.out, ends.in, 4);
    stage_close_ends(stage, ends);
    stage_close_ends(stage, one);
    stage_close_ends(stage, other);
}
