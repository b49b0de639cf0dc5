/* SPDX-License-Identifier: MIT */
/*
 * unix_socket.h - sockets of AF_UNIX (unix(7)). What is sent is received by the peer at once; there
 * is no network between them. A buffer belongs to the sender: what it has sent counts until the
 * receiver has taken it.
 */
#ifndef SIM_UNIX_SOCKET_H
#define SIM_UNIX_SOCKET_H

#include "bytes.h"
#include "ledger.h"
#include "socket.h"

#include <sys/un.h>

typedef struct unix_socket unix_socket;
typedef struct sim_inode sim_inode;

/* As in struct sockaddr_un, without the family; an abstract one begins with a zero. */
typedef struct unix_name {
    socklen_t size_bytes; /* 0: none. */
    char bytes[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
} unix_name;

enum { UNIX_PATH_BYTES = sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1 };

/* An abstract name in use on a host. A path is a node on its disk, which knows the socket. */
typedef struct unix_entry {
    coil_list link; /* In sim_network_unix_names(). */
    sim_host *host;
    unix_name name;
    unix_socket *socket;
} unix_entry;

/* What a sender has in the queues of others. It outlives the sender. */
typedef struct unix_account {
    unix_socket *owner; /* NULL: gone. */
    size_t cost;
    unsigned chunk_count;
} unix_account;

/* What one send has put into a queue, or a part of it. */
typedef struct unix_chunk {
    coil_list link;
    unix_account *account;
    size_t cost;
    sim_bytes bytes;
    sim_file **files; /* SCM_RIGHTS; NULL: none, or they were taken. */
    unsigned file_count;
    unix_name from;
    pid_t sender_id;
} unix_chunk;

struct unix_socket {
    sim_socket socket; /* First. */
    unix_name name;
    unix_name remote;
    unix_entry *entry; /* NULL: not bound to an abstract name. */
    sim_inode *node;   /* Held. NULL: not bound to a path. */
    unix_socket *peer; /* NULL: none, or gone. */
    bool was_connected;
    bool lost_peer; /* A datagram socket will say so once. */
    unix_account *account;
    coil_list received;
    sim_ledger ledger;   /* Of what it receives, if it is a stream. */
    coil_list followers; /* Datagram sockets of which we are the peer. */
    coil_list follower_link;

    /* Listeners and those who wait for them. */
    coil_list backlog;
    size_t backlog_count;
    size_t backlog_limit;
    coil_list backlog_link;
    unix_socket *listener; /* Of one that was not accepted yet. */
    coil_list callers;     /* Clients that found no room. */
    coil_list caller_link;
};

static inline unix_socket *unix_socket_of(sim_file *file)
{
    return coil_container_of(sim_socket_of(file), unix_socket, socket);
}

unix_socket *unix_socket_new(sim_host *host, const sim_file_type *type, int kind);
void unix_socket_fini(unix_socket *socket);

/* ------------------------------------------------------------------------------ unix_name.c -- */

/* -EINVAL: no such address. */
int unix_name_read(const struct sockaddr *address, socklen_t size_bytes, unix_name *out_name);
void unix_name_store(const unix_name *name, void *address, socklen_t *size_bytes);

int unix_bind(sim_file *file, const struct sockaddr *address, socklen_t size_bytes);
int unix_getsockname(sim_file *file, struct sockaddr *address, socklen_t *size_bytes);

/*
 * Whose name it is, for the current process. -ENOENT and the like: no such path. -ECONNREFUSED:
 * nobody's any more. -EPROTOTYPE: another type's.
 */
int unix_find(sim_host *host, const unix_name *name, int kind, unix_socket **out_socket);

/* ---------------------------------------------------------------------------- unix_rights.c -- */

/* A chunk of bytes from the caller, with the descriptors in its message. */
int unix_chunk_make(unix_socket *sender, sim_io *io, size_t size_bytes, unix_chunk **out_chunk);
void unix_chunk_free(unix_chunk *chunk);

/* What recvmsg(2) gets beside the bytes. Plain receives lose the descriptors: observed. */
void unix_chunk_give_rights(unix_chunk *chunk, sim_io *io);

/* Is there room for more of ours in the queues of others? */
bool unix_has_room(const unix_socket *sender);
bool unix_is_writable(const unix_socket *sender);

#endif
