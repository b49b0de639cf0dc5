/* SPDX-License-Identifier: MIT */
/*
 * coil/admission.h - how many connections there may be at once: in all, and of each peer.
 *
 *     coil_admission_create(&(coil_admission_options){.max_per_peer = 20}, &admission)
 *     coil_admission_enter(admission, &peer)         0: it may stay, until
 *     coil_admission_leave(admission, &peer)
 *     coil_admission_destroy(admission)
 *
 * A server (coil/server.h) closes at once whoever may not stay. Several may share one admission, on
 * as many loops as there are. A peer is an IP address, or a network: by default IPv4 addresses are
 * told apart by all their bits, IPv6 ones by the first 64, of which one machine has the rest to
 * itself. IPv4 that arrives at an IPv6 socket is IPv4 here. Peers at unix sockets count in all.
 *
 * Memory is used for the peers that are there, not for those that ever were.
 *
 * Any thread; takes a lock for as long as it takes to find a peer.
 */
#ifndef COIL_ADMISSION_H
#define COIL_ADMISSION_H

#include <coil/address.h>

COIL_BEGIN_DECLS

typedef struct coil_admission coil_admission;

/* Zero means the default. */
typedef struct coil_admission_options {
    unsigned max_total;        /* No limit. */
    unsigned max_per_peer;     /* No limit. */
    unsigned ipv4_prefix_bits; /* 32 */
    unsigned ipv6_prefix_bits; /* 64 */
} coil_admission_options;

/* -EINVAL: a prefix that is longer than its addresses. -ENOMEM. */
COIL_API int coil_admission_create(
        const coil_admission_options *options, coil_admission **out_admission);

/*
 * One more connection of a peer. 0: it counts until coil_admission_leave() for the same peer.
 * -EUSERS: there are as many as there may be. -EDQUOT: this peer has as many as it may have.
 * -ENOMEM: it cannot be counted.
 */
COIL_API COIL_MUST_USE int coil_admission_enter(
        coil_admission *admission, const coil_address *peer);

/* One that was let in is gone. */
COIL_API void coil_admission_leave(coil_admission *admission, const coil_address *peer);

/* How many there are: in all, and of one peer. */
COIL_API unsigned coil_admission_total(coil_admission *admission);
COIL_API unsigned coil_admission_of_peer(coil_admission *admission, const coil_address *peer);

/* COIL_CHECK: all have left. Takes NULL. */
COIL_API void coil_admission_destroy(coil_admission *admission);

COIL_END_DECLS

#endif
