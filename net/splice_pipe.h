/* SPDX-License-Identifier: MIT */
/* splice_pipe.h - the pipe by which splice(2) moves bytes between two descriptors. */
#ifndef SPLICE_PIPE_H
#define SPLICE_PIPE_H

#include <coil/stream.h>

#include <stddef.h>
#include <sys/types.h>

enum { SPLICE_BYTES = 64 * 1024 /* What a pipe holds: pipe(7). */ };

typedef struct splice_pipe {
    int fds[2];
    size_t filled_bytes; /* That are in it. */
} splice_pipe;

/* -EMFILE, -ENFILE */
int splice_pipe_open(splice_pipe *pipe);
void splice_pipe_close(splice_pipe *pipe);

/* At most so many bytes into the pipe, which is empty; `offset` -1: at the position. 0: the end. */
coil_declare_private(ssize_t, splice_pipe_fill, (splice_pipe *)pipe, (int)from, (off_t)offset,
        (size_t)size_bytes);

/*
 * What is in the pipe to `to`, or a part of it, by whoever holds its sender. A thread of the kernel
 * does it, and would wait there for a slow peer: so it is asked for when there is room.
 */
coil_declare_private(ssize_t, splice_pipe_empty, (splice_pipe *)pipe, (coil_stream *)to);

#endif
