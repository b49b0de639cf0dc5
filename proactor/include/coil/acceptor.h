/* SPDX-License-Identifier: MIT */
/*
 * coil/acceptor.h - the connections that arrive at one listening socket.
 *
 *     coil_acceptor_create(loop, listening_fd, COIL_ACCEPT_DIRECT, &acceptor)
 *     coil_await(my->fd, coil_acceptor_next(acceptor))        a connected socket, or an error
 *     coil_acceptor_end(acceptor)                             no more of them
 *     coil_acceptor_close(acceptor)                           closes the listening socket as well
 *
 * One multishot accept runs for as long as somebody takes connections; it pauses when many are
 * waiting to be taken, so that the listen(2) backlog limits the rest. A connection that has been
 * accepted is delivered exactly once, or closed when the acceptor is.
 *
 * One task at a time may wait. On the loop's thread only.
 */
#ifndef COIL_ACCEPTOR_H
#define COIL_ACCEPTOR_H

#include <coil/coro.h>
#include <coil/loop.h>

COIL_BEGIN_DECLS

typedef struct coil_acceptor coil_acceptor;

typedef enum coil_accept_as {
    COIL_ACCEPT_ORDINARY, /* File descriptors of the process. */
    COIL_ACCEPT_DIRECT,   /* Direct ones, where the kernel has them (see coil/io.h). */
} coil_accept_as;

enum { COIL_ACCEPTOR_LIMIT_COUNT = 256 };

/* Owns `fd` from here on, also if it fails. -ENOMEM. */
COIL_API int coil_acceptor_create(
        coil_loop *loop, int fd, coil_accept_as as, coil_acceptor **out_acceptor);

/*
 * The next connection. Errors of accept(2), none of which ends the acceptor: after -EMFILE,
 * -ENFILE, -ENOBUFS or -ENOMEM wait a little before asking again.
 */
coil_declare(int, coil_acceptor_next, (coil_acceptor *) acceptor);

/*
 * The same without waiting: -EAGAIN if none has come, and nothing is said of errors. Whoever takes
 * one this way finds it cheaper than to await each of a burst.
 */
COIL_API int coil_acceptor_take(coil_acceptor *acceptor);

/*
 * Accept no more, and close the listening socket. Who has connected by then is still given (with
 * more than COIL_ACCEPTOR_LIMIT_COUNT waiting to be taken, who has been accepted); after that,
 * coil_acceptor_next() is -ESHUTDOWN. Does not wait. Where another process, or another descriptor,
 * has the same socket, nothing that arrives is lost between us and that: the kernel may have woken
 * us for a connection, and then wakes nobody else for it, so it is ours.
 */
COIL_API void coil_acceptor_end(coil_acceptor *acceptor);

/*
 * Stop accepting, close the listening socket and what nobody has taken. Does not wait: the loop
 * finishes the work. Nobody may be waiting. Takes NULL.
 */
COIL_API void coil_acceptor_close(coil_acceptor *acceptor);

COIL_END_DECLS

#endif
