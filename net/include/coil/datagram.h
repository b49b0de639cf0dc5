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
 * whose number bounds the memory of what has arrived and nobody has received. Nothing of that is
 * dropped here, also when a receive is cancelled: when all buffers are in use, the kernel's queue
 * of the socket fills (`receive_buffer_bytes`), and then the kernel drops what comes, and counts
 * it.
 *
 * Who holds all of the buffers and receives still more gets each datagram in memory of its own, of
 * `max_bytes`, which is freed when it is released: that has no bound but what is held.
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
    const char *remote; /* Connect to it: what others send is not received. NULL: to nobody. Not a
                           name: coil_resolve() makes addresses of those. */

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

/* One of several to be sent. */
typedef struct coil_datagram_outgoing {
    const coil_address *to;   /* NULL: to whom the socket is connected. */
    const coil_address *from; /* NULL: as the routes say; else see coil_datagram_send_from(). */
    coil_slice bytes;
} coil_datagram_outgoing;

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
 * The same for a socket that is there already, such as one that was passed to us
 * (coil_activation_fd()), which is ours from here on, also if this fails; its path is not. What the
 * options say of addresses is settled: `reuse_port`, `reuse_address` and `ipv6_only` mean nothing.
 * `options` NULL: the defaults. -EINVAL it is no socket of UDP or of datagrams by unix(7), or the
 * options have an address; -ENOTSOCK, -EBADF, -ENOMEM. A negative `fd` is an error from elsewhere,
 * and the result.
 */
COIL_API COIL_MUST_USE int coil_datagram_open_fd(
        int fd, const coil_datagram_options *options, coil_datagram_socket **out_socket);

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
 * above, or nobody has the path; -ENOENT no such path; -ENOBUFS, -ENOMEM the kernel or the device
 * has no room that one could wait for: it has not been sent, so send it later, or do without it.
 */
coil_declare(int, coil_datagram_send, (coil_datagram_socket *) socket, (const coil_address *) to,
        (coil_slice) bytes);

/*
 * The same from one of our addresses, whose port means nothing, and through an interface, 0: as the
 * routes say (ip(7) IP_PKTINFO, ipv6(7)). For sockets that are bound to all addresses, where the
 * answer has to come from the one that was asked. Errors also: -EADDRNOTAVAIL, -EINVAL it is not
 * ours; -ENODEV no such interface; -EOPNOTSUPP a unix socket; -EAFNOSUPPORT not of the same family.
 */
coil_declare(int, coil_datagram_send_from, (coil_datagram_socket *) socket,
        (const coil_address *) from, (unsigned) interface_index, (const coil_address *) to,
        (coil_slice) bytes);

/*
 * Answer `question` from the address that it was sent to, as far as that is known (`tells_local`);
 * a link-local one, through the interface where it came in. What was sent to a group or to all is
 * answered as the routes say.
 */
coil_declare(int, coil_datagram_answer, (coil_datagram_socket *) socket,
        (const coil_datagram *) question, (coil_slice) bytes);

/*
 * Send several, in this order, with few system calls (sendmmsg(2)). `items` and what they name must
 * stay until this returns. Result: 0, or the error of the first that could not be sent; then, and
 * if this is cancelled, those before it have been (coil_datagram_counts).
 */
coil_declare(int, coil_datagram_send_several, (coil_datagram_socket *) socket,
        (const coil_datagram_outgoing *) items, (unsigned) count);

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

/*
 * The same for what one sender sends to a group (source-specific multicast, RFC 4607), as often as
 * there are senders. Errors also: -EINVAL everything for the group is received already, `source`
 * is not of its family, or no sender of the group was joined; -EADDRNOTAVAIL this sender joined
 * already, or it was not; -ENOBUFS too many senders.
 */
COIL_API int coil_datagram_join_source(coil_datagram_socket *socket, const coil_address *group,
        const coil_address *source, unsigned interface_index);
COIL_API int coil_datagram_leave_source(coil_datagram_socket *socket, const coil_address *group,
        const coil_address *source, unsigned interface_index);

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
