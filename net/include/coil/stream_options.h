/* SPDX-License-Identifier: MIT */
/*
 * coil/stream_options.h - what a connection is like: how it finds out that its peer has gone, how
 * much the kernel keeps for it, who is at its ends.
 *
 *     const coil_stream_options options = {
 *             .keep_alive_idle = coil_s(60), .keep_alive_interval = coil_s(10),
 *             .keep_alive_probes = 3, .user_timeout = coil_s(90)};
 *     coil_stream_configure(peer, &options)
 *
 * Two clocks notice a peer that is gone without a word. Keep-alive asks a silent peer; the user
 * timeout bounds how long sent bytes may stay unacknowledged. Both end in -ETIMEDOUT, from whatever
 * waits then. (That a peer is there and says nothing is another matter: coil_within(), or
 * coil_stream_watch_idle().)
 *
 * Streams on direct descriptors have none of these: -EOPNOTSUPP (coil/io.h, coil_install()).
 * On the loop's thread only.
 */
#ifndef COIL_STREAM_OPTIONS_H
#define COIL_STREAM_OPTIONS_H

#include <coil/address.h>
#include <coil/stream.h>
#include <coil/time.h>

COIL_BEGIN_DECLS

/* Zeroed: as the kernel has it, and TCP_NODELAY. Sources: socket(7), tcp(7). */
typedef struct coil_stream_options {
    coil_duration keep_alive_idle;     /* After so much silence, ask. 0: never. At least 1 s. */
    coil_duration keep_alive_interval; /* Ask again. 0: 75 s. */
    unsigned keep_alive_probes;        /* So often, then it is gone. 0: 9. */
    coil_duration user_timeout;        /* TCP_USER_TIMEOUT. 0: the kernel's, some 15 minutes. */
    unsigned send_buffer_bytes;        /* SO_SNDBUF. 0: the kernel adapts it. */
    unsigned receive_buffer_bytes;     /* SO_RCVBUF. 0: the kernel adapts it. */
    unsigned type_of_service; /* IP_TOS or IPV6_TCLASS, 1 to 255: ip(7), RFC 2474. 0: as it is. */
    bool delays_small_writes; /* Nagle's algorithm: no TCP_NODELAY. */
} coil_stream_options;

/*
 * Set them; what is 0 stays as it is. Sockets that are not TCP have buffers only. 0; -EINVAL a
 * duration is negative or too long, or a type of service above 255; -EOPNOTSUPP no socket, or a
 * direct one; those of setsockopt(2).
 */
COIL_API int coil_stream_configure(coil_stream *stream, const coil_stream_options *options);

/*
 * The same for a socket that is no stream yet. A receive buffer that shall count for the window of
 * TCP has to be set before the connection is made: coil_listen_options and coil_connect_options
 * have a member `stream` for that. What is set on a listening socket is what it accepts.
 */
COIL_API int coil_stream_options_apply(int fd, const coil_stream_options *options);

/*
 * Our end, and the peer's. -EOPNOTSUPP, as above; -ENOTCONN, the connection has been reset. Unix
 * sockets without a name have an address of sizeof(sa_family_t) bytes.
 */
COIL_API int coil_stream_address(const coil_stream *stream, coil_address *out_address);
COIL_API int coil_stream_peer_address(const coil_stream *stream, coil_address *out_address);

COIL_END_DECLS

#endif
