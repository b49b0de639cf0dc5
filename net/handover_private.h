/* SPDX-License-Identifier: MIT */
/*
 * What the files of hand-overs share: handover.c speaks with the other process,
 * handover_sockets.c has the sockets that are handed over.
 */
#ifndef HANDOVER_PRIVATE_H
#define HANDOVER_PRIVATE_H

#include "shared_private.h"

#include <coil/handover.h>

/* One socket of an offer. */
typedef struct offered {
    char name[COIL_HANDOVER_NAME_BYTES];
    listener_path path;
} offered;

typedef struct offer {
    char magic[8];
    uint32_t count;
    uint32_t reserved;
    offered sockets[COIL_HANDOVER_SOCKETS];
} offer;

/* A socket that we have, or are to have. */
typedef struct entry {
    offered as;
    int fd;                  /* Nobody has asked for it; or a shared one's, for us. -1: none. */
    coil_listener *listener; /* NULL: not asked for, or closed. */
    coil_shared_listener *shared; /* Whose loops have the socket as well, and we. */
} entry;

struct coil_handover {
    coil_address address;
    int predecessor_fd; /* -1: none, or it has let go. */
    bool owns_paths;    /* We serve: they are ours to remove. */
    unsigned count;
    entry entries[COIL_HANDOVER_SOCKETS]; /* The first: where successors ask. */

    /* Of one exchange at a time. */
    offer offer;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(COIL_HANDOVER_SOCKETS * sizeof(int))];
    struct msghdr message;
    struct iovec part;
    char word;
};

/* No shared one is ours any more. Their loops still have them. */
void handover_withdraw_shared(coil_handover *handover);

#endif
