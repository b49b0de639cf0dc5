/* SPDX-License-Identifier: MIT */
/* What a hand-over (handover.c) has to know of shared listeners. */
#ifndef SHARED_PRIVATE_H
#define SHARED_PRIVATE_H

#include "listener_private.h"

#include <coil/shared_listener.h>

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
