/* SPDX-License-Identifier: MIT */
/*
 * What the files of shared listeners share: shared_listener.c hands connections from loop to loop,
 * shared_sockets.c has their sockets. And what hand-overs (handover_sockets.c) need of them.
 */
#ifndef SHARED_PRIVATE_H
#define SHARED_PRIVATE_H

#include "listener_private.h"

#include <coil/shared_listener.h>

enum { ACCEPTING_INDEX = 0 /* The worker that accepts for the others. */ };

/* What there is for each loop. */
typedef struct member {
    listener_inbox inbox; /* Of its loop. */
    coil_shared_listener *shared;
    coil_runtime *runtime; /* Once it is opened. */
    int fd;                /* Its listening socket, until it is opened. -1: none. */
    coil_post leaving;     /* To the loop that accepts: we want no more. */
    coil_post ending;      /* From there: nothing comes any more. Behind all parcels. */
    bool is_told;          /* That. Of the loop that accepts. */
    int end_error;
    uint64_t given; /* Connections. Written by the loop that accepts, or its own. */
} member;

struct coil_shared_listener {
    coil_share_options options;
    coil_address address;
    listener_path path;

    /* Of the loop that accepts. */
    coil_acceptor *acceptor;
    coil_task *distributor; /* While it runs. */
    bool has_ended;
    unsigned next;

    unsigned count;
    member members[];
};

void shared_member_init(member *self, coil_shared_listener *shared);

/* Nobody is to have this connection. */
void shared_drop(listener_parcel *parcel);

/* ---------------------------------------------------------------------------- for hand-overs -- */

/* How many sockets one with these options has. */
unsigned shared_socket_count(const coil_share_options *options);

/*
 * One that listens at `fds`: as many sockets as that, -1: open a new one at the address of the
 * first, of which there is one. Owns them from here on, also if it fails. As
 * coil_shared_listener_create_fd().
 */
int shared_listener_adopt(const int *fds, unsigned count, const coil_share_options *options,
        coil_shared_listener **out_shared);

/* Of its sockets; before its first share is opened. */
int shared_listener_fd(const coil_shared_listener *shared, unsigned index);

/* The path of its unix socket. Of the loop that accepts, once that has opened its share. */
listener_path *shared_listener_path(coil_shared_listener *shared);

#endif
