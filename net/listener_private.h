/* SPDX-License-Identifier: MIT */
/* What listeners of one loop, shared ones and sockets of datagrams have in common. */
#ifndef LISTENER_PRIVATE_H
#define LISTENER_PRIVATE_H

#include <coil/acceptor.h>
#include <coil/listener.h>

/* How long to leave a kernel alone that is short of something. */
enum { LISTENER_PAUSE_MS = 50 };

typedef struct listener_inbox listener_inbox;
typedef struct listener_parcel listener_parcel;

/* A connection on its way from the loop that has accepted it. */
struct listener_parcel {
    coil_post post;
    listener_parcel *next;
    listener_inbox *inbox;
    bool is_returning; /* Nobody takes it there any more: on its way back. */
    int fd;
};

/*
 * Where they arrive. Of the thread of its loop, but for those that say otherwise.
 *
 *     open --end()--> ending: what is on the way still comes --> an error: nothing does
 *                        '--leave(): the listener is closed, what comes goes to others
 */
struct listener_inbox {
    listener_parcel *first;
    listener_parcel **last;
    int error;                            /* Nothing comes any more: what coil_accept() says. */
    coil_list waiters;                    /* For the first parcel, or the error. */
    bool is_ending;                       /* It wants no more. Any thread may look. */
    bool has_left;                        /* The listener is closed. Any thread may look. */
    uint64_t taken;                       /* Parcels. Any thread may look. */
    void (*end)(listener_inbox *inbox);   /* The listener wants no more, */
    void (*leave)(listener_inbox *inbox); /* and closes. */
};

/* The name of a unix socket in the file system, as far as it is ours. */
typedef struct listener_path {
    bool is_ours; /* Else it is not to be removed. */
    uint64_t device;
    uint64_t inode;
} listener_path;

struct coil_listener {
    coil_acceptor *acceptor; /* NULL: there is an inbox, or it has stopped. */
    listener_inbox *inbox;
    uint64_t *accepted; /* Where connections are counted, or NULL. Any thread may look. */
    int fd;             /* Of the acceptor, while it listens. -1: another's, or closed. */
    coil_address address;
    listener_path path;
    unsigned max_connections;
    coil_list link;          /* In a server (coil/server.h). */
    coil_listener **offered; /* Where coil/handover.h knows us, or NULL. */
};

/* A listening socket, or an error. The address becomes the one that the kernel has chosen. */
int listener_socket(coil_address *address, const coil_listen_options *options);

/* Whether it is what accept(2) takes, and where it listens: as of coil_listen_fd(). */
int listener_examine(int fd, coil_address *out_address);

/* A listener on the loop of this thread for a listening socket, which it owns, also if it fails. */
int listener_create(int fd, const coil_address *address, const coil_listen_options *options,
        coil_listener **out_listener);

/* Stop listening. What has been accepted is still given; then accepting is -ESHUTDOWN. */
void listener_end(coil_listener *listener);

/* bind(2) of a socket of this type. A path at which nobody is any more is taken over. */
int listener_bind(int fd, int type, const coil_address *address);

/* The path that we have just bound is ours; remove it if it still is what we have bound. */
void listener_path_claim(listener_path *path, const coil_address *address);
void listener_path_remove(const listener_path *path, const coil_address *address);

/* Of a burst, all but the first are there already. Or NULL: wait for it, with patience. */
coil_stream *listener_accept_now(coil_listener *listener);

/* Errors of accept(2) that pass: of one connection, or of a system that is short of something. */
bool listener_error_passes(int error);

#endif
