/* SPDX-License-Identifier: MIT */
/*
 * coil/datagram.h - UDP, and unix sockets that send datagrams.
 *
 *     coil_datagram_options options = {.local = "*:5353"};
 *     rc = coil_datagram_open(&options, &my->socket);
 *     coil_defer(coil_datagram_close(my->socket));
 *     coil_attempt(coil_datagram_receive(my->socket, &my->in));        one, with its sender
 *     coil_defer(coil_datagram_release(&my->in));
 *     coil_attempt(coil_datagram_send(my->socket, &my->in.from, my->in.bytes));
 *
 * A datagram arrives whole or not at all, maybe twice, in any order (udp(7)); by a unix socket,
 * once and in order (unix(7)).
 *
 * Receiving borrows: the bytes are a slice (coil/buffer.h) of one of the socket's own buffers,
 * whose number bounds its memory. Nothing that has arrived is dropped here, also when a receive is
 * cancelled. When all buffers are queued or held, the kernel's queue of the socket fills
 * (`receive_buffer_bytes`), and then the kernel drops what comes, and counts it.
 *
 * Sending sends at once; when the kernel has no room, it waits for that. A unix socket's peer holds
 * its senders up like this, UDP only the own network device.
 *
 * Errors of an earlier datagram, such as -ECONNREFUSED (nobody is there), come to connected sockets
 * only, once, from whatever is done next: what a send that returns one was to send has not been
 * sent. They are no reason to give up; the next call goes on.
 *
 * One task at a time may receive, any number may send. On the loop's thread only.
 */
#ifndef COIL_DATAGRAM_H
#define COIL_DATAGRAM_H

#include <coil/address.h>
#include <coil/buffer.h>
#include <coil/coro.h>

COIL_BEGIN_DECLS

typedef struct coil_datagram_socket coil_datagram_socket;

enum {
    COIL_DATAGRAM_MOST_BYTES = 65535, /* Of a datagram: what IP can carry. */
    COIL_DATAGRAM_BUFFER_COUNT = 64,  /* What 0 means in the options. */
    COIL_DATAGRAM_SEGMENTS_MAX = 64,  /* Datagrams that the kernel takes as one. */
    COIL_DATAGRAM_BUFFER_COUNT_MAX = 4096
};

/* Zeroed: the defaults; but one of the two addresses there must be. */
typedef struct coil_datagram_options {
    const char *local;  /* Bind to it (coil/address.h). NULL: a free port. Unix: no name at all. */
    const char *remote; /* Connect to it: what others send is not received. NULL: to nobody. */

    /*
     * The longest datagram that is expected, in bytes; what is longer may be cut. 0: no limit. A
     * socket takes buffer_count (rounded up to a power of two) times this of address space, of
     * which memory is used as long datagrams arrive.
     */
    unsigned max_bytes;
    unsigned buffer_count;

    int receive_buffer_bytes; /* SO_RCVBUF and SO_SNDBUF, see socket(7). 0: the system's. */
    int send_buffer_bytes;

    bool reuse_port;     /* SO_REUSEPORT: several sockets share the port, and the senders. */
    bool reuse_address;  /* SO_REUSEADDR: several sockets receive the same multicast. */
    bool broadcast;      /* SO_BROADCAST: may send to broadcast addresses. */
    bool ipv6_only;      /* "*" and "[::]" take IPv6 alone. */
    bool tells_local;    /* Fill in coil_datagram.to and .interface_index. */
    bool joins_segments; /* Have the kernel join what came from one sender (UDP_GRO), see below. */
} coil_datagram_options;

/* One datagram. Zeroed, it owns nothing. */
typedef struct coil_datagram {
    coil_slice bytes;  /* Maybe empty: an empty datagram is one, too. */
    coil_address from; /* To be answered. Of a unix socket without a name: size_bytes is 0. */
    coil_address to;   /* If asked for: our address that it was sent to, without a port. */
    unsigned interface_index; /* If asked for: where it came in. 0: not known. */
    uint32_t whole_bytes;     /* As it was sent: more than what is in `bytes` if it was cut. */
} coil_datagram;

/* What has happened so far. */
typedef struct coil_datagram_counts {
    uint64_t received; /* Datagrams given to receivers, */
    uint64_t cut;      /* of which the end is missing, */
    uint64_t sent;     /* and taken by the kernel. */
    uint64_t dropped;  /* By the kernel, for want of room, as of the last datagram received. */
} coil_datagram_counts;

/*
 * A socket on the loop of this thread. The path of a unix socket, if nobody is there any more, is
 * taken over, and removed in the end. -EINVAL no address, or two of different families; the errors
 * of coil_address_parse(), socket(2), bind(2), connect(2); -ENOMEM.
 */
COIL_API COIL_MUST_USE int coil_datagram_open(
        const coil_datagram_options *options, coil_datagram_socket **out_socket);

/*
 * Close it; what has not been received is lost. Does not wait, the loop does the work. What has
 * been received stays valid. Nobody may be using the socket. Takes NULL.
 */
COIL_API void coil_datagram_close(coil_datagram_socket *socket);

/*
 * The next datagram, to be released. Result: 0, or an error of recvmsg(2), such as -ECONNREFUSED;
 * -ENOMEM.
 */
coil_declare(
        int, coil_datagram_receive, (coil_datagram_socket *) socket, (coil_datagram *) out_datagram);

/*
 * As many as there are, at most `count` (at least 1), waiting for the first alone. Result: how
 * many, or an error as above; those that came before it are given first.
 */
coil_declare(int, coil_datagram_receive_some, (coil_datagram_socket *) socket,
        (coil_datagram *) out_datagrams, (unsigned) count);

/* Give its bytes back. Takes a zeroed one. */
static inline void coil_datagram_release(coil_datagram *datagram)
{
    coil_slice_release(&datagram->bytes);
}

/*
 * Send one datagram `to` an address; NULL: to whom the socket is connected. Both must stay until
 * this returns. Result: 0, or an error of sendmsg(2): -EDESTADDRREQ, -ENOTCONN nobody to send it
 * to; -EMSGSIZE too long; -EACCES a broadcast address, and no option `broadcast`; -ECONNREFUSED see
 * above, or nobody has the path; -ENOENT no such path.
 */
coil_declare(int, coil_datagram_send, (coil_datagram_socket *) socket, (const coil_address *) to,
        (coil_slice) bytes);

/*
 * Send `bytes` as datagrams of `segment_bytes` (1 to COIL_DATAGRAM_MOST_BYTES) each, the last of
 * what is left. Where the kernel can cut them itself (UDP_SEGMENT, Linux 4.18), that is one system
 * call for up to COIL_DATAGRAM_SEGMENTS_MAX of them. Result: 0, or an error as above; then, and if
 * this is cancelled, those before it have been sent (coil_datagram_counts).
 */
coil_declare(int, coil_datagram_send_segments, (coil_datagram_socket *) socket,
        (const coil_address *) to, (coil_slice) bytes, (size_t) segment_bytes);

/* ------------------------------------------------------------------------------ multicast -- */

/* What is sent to groups. Zeroed it does not leave this machine. */
typedef struct coil_multicast {
    unsigned interface_index; /* Where it goes out, see if_nametoindex(3). 0: by the routes. */
    unsigned hops;            /* How far, 0 to 255: 1 is the own network. */
    bool loops;               /* Receivers on this machine get it, too. */
} coil_multicast;

/*
 * Receive what is sent to a group, on an interface, 0: that of the route to it; and no more.
 * Whoever joins binds to "*:port", or to the group. Errors of setsockopt(2): -EINVAL `group` is
 * none; -EADDRINUSE joined already; -EADDRNOTAVAIL not joined; -ENODEV no such interface; -ENOBUFS
 * too many. -EOPNOTSUPP a unix socket.
 */
COIL_API int coil_datagram_join(
        coil_datagram_socket *socket, const coil_address *group, unsigned interface_index);
COIL_API int coil_datagram_leave(
        coil_datagram_socket *socket, const coil_address *group, unsigned interface_index);

/* How to send to groups. Unless this is called: 1 hop, and loops. -EINVAL, -ENODEV, -EOPNOTSUPP */
COIL_API int coil_datagram_set_multicast(
        coil_datagram_socket *socket, const coil_multicast *multicast);

/* ------------------------------------------------------------------------------- questions -- */

/* Where it is bound. */
COIL_API const coil_address *coil_datagram_local(const coil_datagram_socket *socket);

/* Datagrams that have arrived and that the next receives give without waiting, at least. */
COIL_API unsigned coil_datagram_unread(const coil_datagram_socket *socket);

COIL_API coil_datagram_counts coil_datagram_count(const coil_datagram_socket *socket);

/* The descriptor, for options that are not here. Still the socket's. */
COIL_API int coil_datagram_fd(const coil_datagram_socket *socket);

COIL_END_DECLS

#endif
