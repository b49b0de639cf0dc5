/* SPDX-License-Identifier: MIT */
/*
 * socket.h - what all sockets have in common, and how they are made.
 *
 *     socket.c       making them, options        tcp.c            the calls of a TCP socket
 *     socket_name.c  struct sockaddr             tcp_connect.c    handshakes, listeners
 *     socket_port.c  which address is whose      tcp_connection.c how a connection begins and ends
 *     unix_name.c    names of unix sockets       tcp_flow.c       segments, acknowledgements
 *     unix_rights.c  descriptors in messages     tcp_keep_alive.c, tcp_remains.c (TIME_WAIT)
 *     unix_stream.c, unix_datagram.c             udp.c
 *
 * What is written as "observed" was seen on Linux 6.18.
 */
#ifndef SIM_SOCKET_H
#define SIM_SOCKET_H

#include "file.h"
#include "network.h"
#include "process.h"

/*
 * socket(2), without a descriptor; the flags SOCK_CLOEXEC and SOCK_NONBLOCK in `type` are seen to.
 * -EAFNOSUPPORT, -EINVAL (type), -EPROTONOSUPPORT, -ESOCKTNOSUPPORT: as observed.
 */
int sim_socket_open(sim_process *process, int family, int type, int protocol, sim_file **out_file);

/* socketpair(2). -EOPNOTSUPP for anything but AF_UNIX. */
int sim_socket_pair(
        sim_process *process, int family, int type, int protocol, sim_file *out_files[2]);

bool sim_file_is_socket(const sim_file *file);

/* getpeername(2). -ENOTCONN, -ENOTSOCK */
int sim_socket_getpeername(sim_file *file, struct sockaddr *address, socklen_t *size_bytes);

/*
 * Does this connect(2) fail by chance? Only that to another address of the network: unix sockets
 * refuse nobody who is listened to, and a listener that finds its path in use relies on that.
 */
bool sim_socket_refuses(sim_file *file);

/* ---------------------------------------------------------------------- for the transports -- */

/* An address of the simulated internet. The unspecified host is 0, loopback 127.0.0.1 or ::1. */
typedef struct sim_address {
    uint32_t host;
    uint16_t port;
    bool is_v6; /* On the wire. An IPv4 address mapped into IPv6 is none. */
} sim_address;

enum { SIM_SHUT_RECV = 1, SIM_SHUT_SEND = 2, SIM_SHUT_BOTH = 3 };

/* The options that are kept as numbers. Others are taken and forgotten, or refused. */
typedef enum sim_option {
    SIM_OPTION_REUSEADDR,
    SIM_OPTION_REUSEPORT,
    SIM_OPTION_KEEPALIVE,
    SIM_OPTION_BROADCAST,
    SIM_OPTION_OOBINLINE,
    SIM_OPTION_RCVLOWAT,
    SIM_OPTION_PASSCRED,
    SIM_OPTION_PRIORITY,
    SIM_OPTION_V6ONLY,
    SIM_OPTION_NODELAY,
    SIM_OPTION_CORK,
    SIM_OPTION_KEEPIDLE_S,
    SIM_OPTION_KEEPINTVL_S,
    SIM_OPTION_KEEPCNT,
    SIM_OPTION_SYNCNT,
    SIM_OPTION_USER_TIMEOUT_MS,
    SIM_OPTION_QUICKACK,
    SIM_OPTION_DEFER_ACCEPT,
    SIM_OPTION_FASTOPEN,
    SIM_OPTION_COUNT,
} sim_option;

typedef struct sim_socket {
    sim_file file;
    sim_host *host;
    pid_t owner_id; /* Of the process that made it: SO_PEERCRED. */
    int family;
    int type;
    int protocol;
    int error; /* SO_ERROR: an errno, positive. Whoever reports it takes it. */
    unsigned shut;
    size_t send_limit_bytes;
    size_t receive_limit_bytes;
    int options[SIM_OPTION_COUNT];
    struct linger linger;

    /* AF_INET and AF_INET6 */
    coil_list port_link; /* In sim_network_ports(). */
    sim_address local;
    sim_address remote;
    bool is_listening;
    bool has_remote;
} sim_socket;

void sim_socket_init(
        sim_socket *socket, const sim_file_type *type, sim_host *host, int family, int kind);
/* Options and buffer sizes of another: an accepted socket has those of its listener (tcp(7)). */
void sim_socket_inherit(sim_socket *socket, const sim_socket *listener);
void sim_socket_fini(sim_socket *socket);

static inline sim_socket *sim_socket_of(sim_file *file)
{
    return coil_container_of(file, sim_socket, file);
}

/* The pending error as a result, which is taken by that; 0: there is none. */
int sim_socket_take_error(sim_socket *socket);

/* An error comes up: SO_ERROR, poll. */
void sim_socket_set_error(sim_socket *socket, int error);

int sim_socket_setsockopt(
        sim_file *file, int level, int option, const void *value, socklen_t size_bytes);
int sim_socket_getsockopt(
        sim_file *file, int level, int option, void *value, socklen_t *size_bytes);

/* Store what a call returns beside its result, cut to what there is room for. Takes NULL. */
void sim_store_name(const void *name, socklen_t name_bytes, void *address, socklen_t *size_bytes);

/* ---------------------------------------------------------------------------------- names -- */

/* -EINVAL: too short. -EAFNOSUPPORT: of another family. */
int sim_address_read(const sim_socket *socket, const struct sockaddr *address, socklen_t size_bytes,
        sim_address *out_address);

/* As the family of the socket has it. */
void sim_address_store(const sim_socket *socket, const sim_address *from, struct sockaddr *address,
        socklen_t *size_bytes);

/* The host that has it, as seen from `host`; NULL: none. */
sim_host *sim_address_host(sim_host *host, const sim_address *address);

/* The address by which `host` is known to the one at `to`. */
sim_address sim_address_own(const sim_host *host, const sim_address *to);

/* sim_address_store() for recvmsg(2). */
void sim_message_name(const sim_socket *socket, const sim_address *from, struct msghdr *message);

/* ---------------------------------------------------------------------------------- ports -- */

int sim_port_bind(sim_socket *socket, const sim_address *wanted);
int sim_port_choose(sim_socket *socket); /* An ephemeral one. -EADDRNOTAVAIL */
int sim_port_may_listen(const sim_socket *socket);
/* An accepted socket has the port of its listener. */
void sim_port_share(sim_socket *socket, const sim_address *local);
/* Who listens, or gets datagrams, at that address of the host. NULL: nobody. */
sim_socket *sim_port_listener(sim_host *host, const sim_address *to);
sim_socket *sim_port_receiver(sim_host *host, const sim_address *to, const sim_address *from);

/* ---------------------------------------------------------------------------- constructors -- */

sim_socket *sim_udp_new(sim_host *host, int family);
sim_socket *sim_unix_stream_new(sim_host *host);
sim_socket *sim_unix_datagram_new(sim_host *host, int type);
void sim_unix_stream_pair(sim_socket *a, sim_socket *b);
void sim_unix_datagram_pair(sim_socket *a, sim_socket *b);
sim_socket *sim_unix_peer(sim_socket *socket); /* NULL: none. */
int sim_unix_stream_peer_name(sim_socket *socket, struct sockaddr *address, socklen_t *size_bytes);

/* Whatever is on its way is gone: the world ends. */
void sim_udp_forget(sim_world *world);
void sim_tcp_forget(sim_world *world);
void sim_unix_forget(sim_world *world);

/* The host has lost its power: its ends of connections fall silent. */
void sim_tcp_vanish(sim_host *host);

/* coil_kernel_bytes_acknowledged(), without those of a connection that was given up. */
int64_t sim_tcp_acknowledged(sim_file *file);

/* coil_kernel_loss(). 0 also of what is not TCP. */
int sim_tcp_loss(sim_file *file);

#endif
