/* SPDX-License-Identifier: MIT */
/*
 * coil/pipe.h - streams on pipes, and on what the program was started with.
 *
 *     coil_pipe_create(&reader, &writer)                         pipe(2)
 *     coil_attempt(my->in, coil_fifo_open("/run/x", COIL_FIFO_READ));      fifo(7)
 *     coil_stream_standard(STDIN_FILENO, &in)                    stdin, whatever it is
 *
 * Nobody's O_NONBLOCK is changed: that flag belongs to the open file, which the shell and other
 * processes have, too. (asyncio's connect_read_pipe() does, and leaves terminals behind that give
 * others -EAGAIN.) If somebody else has set it, streams work all the same.
 *
 * Sources: pipe(7), fifo(7), dup(2). On the loop's thread only.
 */
#ifndef COIL_PIPE_H
#define COIL_PIPE_H

#include <coil/stream.h>

COIL_BEGIN_DECLS

/* The ends of a new pipe. -EMFILE, -ENFILE, -ENOMEM. */
COIL_API int coil_pipe_create(coil_stream **out_reader, coil_stream **out_writer);

typedef enum coil_fifo_end {
    COIL_FIFO_READ,
    COIL_FIFO_WRITE,
} coil_fifo_end;

/*
 * One end of the FIFO at `path`, when the other end is open, too; give the await a limit. An error
 * pointer: the errors of open(2), -ENOMEM, -EOPNOTSUPP it is no FIFO.
 */
coil_declare(coil_stream *, coil_fifo_open, (const char *) path, (coil_fifo_end) end);

/*
 * A stream on descriptor 0, 1 or 2 of the program, or any other, of which it has a duplicate: the
 * descriptor itself stays open, and is nobody's. A stream reads ahead, up to 128 KiB: what it has
 * read is gone for others who have the same open file, such as children. -EBADF, -EMFILE, -ENOMEM.
 */
COIL_API int coil_stream_standard(int fd, coil_stream **out_stream);

COIL_END_DECLS

#endif
