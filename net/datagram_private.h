/* SPDX-License-Identifier: MIT */
/*
 * What the files of datagrams share: datagram.c opens and sets options, datagram_receive.c and
 * datagram_send.c do what they say, datagram_address.c tells IPv4 from IPv4 in IPv6.
 */
#ifndef DATAGRAM_PRIVATE_H
#define DATAGRAM_PRIVATE_H

#include "listener_private.h"

#include <coil/datagram.h>
#include <coil/datagram_receiver.h>

struct coil_datagram_socket {
    coil_datagram_receiver *receiver; /* Has the descriptor, too. */
    int fd;
    sa_family_t family;
    bool can_segment; /* UDP_SEGMENT */
    bool takes_ipv4;  /* Of IPv6: both. */
    coil_address local;
    listener_path path; /* Which is removed in the end. */
    coil_datagram_counts counts;
    unsigned sent_at_once; /* Since the last yield. */

    /* What the kernel had joined, and is still to be given. */
    coil_datagram rest;
    unsigned rest_segment_bytes; /* 0: there is none. */
};

/* What a socket of that family takes for it: IPv4 by IPv6 is mapped (RFC 4291, 2.5.5.2). */
coil_address datagram_mapped(sa_family_t family, const coil_address *address);

/* The address that `name` is: IPv4 that came by IPv6 is IPv4. */
void datagram_unmap(const void *name, socklen_t size_bytes, coil_address *out_address);

#endif
