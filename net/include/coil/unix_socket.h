/* SPDX-License-Identifier: MIT */
/*
 * coil/unix_socket.h - what unix sockets can do and others cannot: hand over descriptors, and say
 * who the peer is.
 *
 *     coil_attempt(coil_write_fds(stream, coil_text("log"), &my->fd, 1));      ours stays open
 *
 *     rc = coil_stream_carry_fds(stream);                    the receiver, before its first read
 *     coil_attempt(my->name, coil_read_block(stream, 3));
 *     fd = coil_stream_take_fd(stream);                      close-on-exec, ours now
 *
 * Descriptors travel with the first byte of the write that sends them. They come in the order in
 * which they were sent, and are there to be taken no later than that byte is read. A stream that
 * was not told to carry them never has any: the kernel closes those that come.
 *
 * How many a peer can make us hold is bounded: COIL_RECEIVER_FDS_MAX (coil/receiver.h). Cancelling
 * a read loses none, and those that nobody has taken are closed with the stream.
 *
 * Sources: unix(7), cmsg(3), socket(7). On the loop's thread only.
 */
#ifndef COIL_UNIX_SOCKET_H
#define COIL_UNIX_SOCKET_H

#include <coil/stream.h>

#include <sys/types.h>

COIL_BEGIN_DECLS

enum { COIL_FDS_MAX = 253 /* In one write: SCM_MAX_FD. */ };

/*
 * Send `bytes`, at least one, and with them the `count` descriptors; in turn with other writes. The
 * array must stay until this returns; descriptors can be closed then. Result: 0; -EINVAL no bytes,
 * no descriptors or more than COIL_FDS_MAX; -EBADF, -ETOOMANYREFS too many are on their way,
 * -EOPNOTSUPP no socket, and errors of coil_write_all(). Direct descriptors cannot be handed over:
 * -EBADF.
 */
coil_declare(int, coil_write_fds, (coil_stream *) stream, (coil_slice) bytes, (const int *) fds,
        (unsigned) count);

/*
 * From here on descriptors are received, before the first read. 0; -EBUSY there has been one;
 * -EOPNOTSUPP no socket; -ENOMEM. Receives are of 4 KiB then, one at a time.
 */
COIL_API int coil_stream_carry_fds(coil_stream *stream);

/* The first descriptor that has come, close-on-exec, the caller's now. -EAGAIN: there is none. */
COIL_API int coil_stream_take_fd(coil_stream *stream);

/* Who has connected, or listened, or made the pair: as it was then. */
typedef struct coil_credentials {
    pid_t pid; /* 0: not in our pid namespace. It may have ended, and the number be another's. */
    uid_t uid;
    gid_t gid;
} coil_credentials;

/* SO_PEERCRED. 0; -EOPNOTSUPP: no unix socket, or a direct one. */
COIL_API int coil_stream_peer_credentials(
        const coil_stream *stream, coil_credentials *out_credentials);

/*
 * SO_PEERPIDFD: a pidfd of the peer, close-on-exec, the caller's: it means that process and no
 * other, however numbers are reused. -EOPNOTSUPP: as above, or before Linux 6.5. -ESRCH, -ENODATA:
 * it has ended.
 */
COIL_API int coil_stream_peer_pidfd(const coil_stream *stream);

COIL_END_DECLS

#endif
