/* SPDX-License-Identifier: MIT */
#include "socket.h"

#include "fiber.h"
#include "tcp.h"

#include <coil/kernel.h>

#include <errno.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

enum {
    UNIX_BUFFER_BYTES = 212992, /* net.core.wmem_default, rmem_default */
    TCP_SEND_BYTES = 262144,    /* tcp_wmem grows up to 4 MiB; ours stays. */
    TCP_RECEIVE_BYTES = 131072, /* tcp_rmem */
    SEND_LEAST_BYTES = 4608,    /* SOCK_MIN_SNDBUF: observed. */
    RECEIVE_LEAST_BYTES = 2304, /* SOCK_MIN_RCVBUF: observed. */
    BUFFER_MOST_BYTES = 425984, /* net.core.wmem_max and rmem_max, doubled as socket(7) has it. */
};

/* ---------------------------------------------------------------------------------- making -- */

static int new_inet(sim_host *host, int family, int type, int protocol, sim_socket **out_socket)
{
    if (type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) {
        *out_socket = &tcp_socket_new(host, family)->socket;
    } else if (type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP)) {
        *out_socket = sim_udp_new(host, family);
    } else {
        return type == SOCK_STREAM || type == SOCK_DGRAM ? -EPROTONOSUPPORT : -ESOCKTNOSUPPORT;
    }
    return 0;
}

static int new_unix(sim_host *host, int type, int protocol, sim_socket **out_socket)
{
    if (protocol != 0 && protocol != AF_UNIX)
        return -EPROTONOSUPPORT;
    if (type == SOCK_STREAM) {
        *out_socket = sim_unix_stream_new(host);
    } else if (type == SOCK_DGRAM || type == SOCK_SEQPACKET) {
        *out_socket = sim_unix_datagram_new(host, type);
    } else {
        return -ESOCKTNOSUPPORT;
    }
    return 0;
}

int sim_socket_open(sim_process *process, int family, int type, int protocol, sim_file **out_file)
{
    const int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    int kind = type & ~flags;
    sim_socket *socket = NULL;
    int rc;

    if (kind < 0 || kind > SOCK_PACKET)
        return -EINVAL;
    if (family == AF_UNIX) {
        rc = new_unix(process->host, kind, protocol, &socket);
    } else if (family == AF_INET || family == AF_INET6) {
        rc = new_inet(process->host, family, kind, protocol, &socket);
    } else {
        rc = -EAFNOSUPPORT;
    }
    if (rc < 0)
        return rc;
    socket->owner_id = process->id;
    socket->file.is_nonblocking = (type & SOCK_NONBLOCK) != 0;
    *out_file = &socket->file;
    return 0;
}

int sim_socket_pair(
        sim_process *process, int family, int type, int protocol, sim_file *out_files[2])
{
    sim_file *files[2] = {NULL, NULL};

    for (int i = 0; i < 2; i++) {
        int rc = sim_socket_open(process, family, type, protocol, &files[i]);
        if (rc == 0 && family != AF_UNIX) {
            sim_file_drop(files[i]);
            rc = -EOPNOTSUPP;
        }
        if (rc < 0)
            return rc; /* It fails for the first, if for any. */
    }
    if (sim_socket_of(files[0])->type == SOCK_STREAM) {
        sim_unix_stream_pair(sim_socket_of(files[0]), sim_socket_of(files[1]));
    } else {
        sim_unix_datagram_pair(sim_socket_of(files[0]), sim_socket_of(files[1]));
    }
    out_files[0] = files[0];
    out_files[1] = files[1];
    return 0;
}

int coil_kernel_socket(int family, int type, int protocol)
{
    sim_process *process = sim_process_current();
    sim_file *file;

    sim_fiber_pass();
    int rc = sim_socket_open(process, family, type, protocol, &file);
    return rc < 0 ? rc : sim_descriptor_install(process, file, 0);
}

int coil_kernel_socketpair(int family, int type, int out_fds[2])
{
    sim_process *process = sim_process_current();
    sim_file *files[2];

    sim_fiber_pass();
    int rc = sim_socket_pair(process, family, type, 0, files);
    if (rc < 0)
        return rc;
    int first = sim_descriptor_install(process, files[0], 0);
    int second = first < 0 ? first : sim_descriptor_install(process, files[1], 0);
    if (second < 0) {
        if (first >= 0)
            (void)sim_descriptor_close(process, first);
        if (first < 0)
            sim_file_drop(files[1]);
        return second;
    }
    out_fds[0] = first;
    out_fds[1] = second;
    return 0;
}

bool sim_file_is_socket(const sim_file *file)
{
    return file->type->setsockopt == sim_socket_setsockopt;
}

bool sim_socket_refuses(sim_file *file)
{
    if (!sim_file_is_socket(file) || sim_socket_of(file)->protocol != IPPROTO_TCP)
        return false;
    return sim_fault(file->world, SIM_FAULT_CONNECT_REFUSED);
}

void sim_socket_init(
        sim_socket *socket, const sim_file_type *type, sim_host *host, int family, int kind)
{
    sim_file_init(&socket->file, type, host->world);
    socket->host = host;
    socket->family = family;
    socket->type = kind;
    if (family != AF_UNIX)
        socket->protocol = kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
    bool is_tcp = socket->protocol == IPPROTO_TCP;
    socket->send_limit_bytes = is_tcp ? TCP_SEND_BYTES : UNIX_BUFFER_BYTES;
    socket->receive_limit_bytes = is_tcp ? TCP_RECEIVE_BYTES : UNIX_BUFFER_BYTES;
    socket->local.is_v6 = family == AF_INET6;
    socket->options[SIM_OPTION_RCVLOWAT] = 1;
    socket->options[SIM_OPTION_KEEPIDLE_S] = 7200; /* tcp(7) */
    socket->options[SIM_OPTION_KEEPINTVL_S] = 75;
    socket->options[SIM_OPTION_KEEPCNT] = 9;
    socket->options[SIM_OPTION_SYNCNT] = 6;
    coil_list_init(&socket->port_link);
}

void sim_socket_inherit(sim_socket *socket, const sim_socket *listener)
{
    memcpy(socket->options, listener->options, sizeof(socket->options));
    socket->linger = listener->linger;
    socket->send_limit_bytes = listener->send_limit_bytes;
    socket->receive_limit_bytes = listener->receive_limit_bytes;
}

void sim_socket_fini(sim_socket *socket)
{
    coil_list_remove(&socket->port_link);
}

int sim_socket_take_error(sim_socket *socket)
{
    int error = socket->error;
    socket->error = 0;
    return -error;
}

void sim_socket_set_error(sim_socket *socket, int error)
{
    socket->error = error;
    sim_file_changed(&socket->file);
}

void sim_store_name(const void *name, socklen_t name_bytes, void *address, socklen_t *size_bytes)
{
    if (size_bytes == NULL)
        return;
    if (address != NULL)
        memcpy(address, name, name_bytes < *size_bytes ? name_bytes : *size_bytes);
    *size_bytes = name_bytes;
}

int sim_socket_getpeername(sim_file *file, struct sockaddr *address, socklen_t *size_bytes)
{
    if (!sim_file_is_socket(file))
        return -ENOTSOCK;
    sim_socket *socket = sim_socket_of(file);
    if (socket->family == AF_UNIX)
        return sim_unix_stream_peer_name(socket, address, size_bytes);
    if (!socket->has_remote)
        return -ENOTCONN;
    sim_address_store(socket, &socket->remote, address, size_bytes);
    return 0;
}

/* --------------------------------------------------------------------------------- options -- */

typedef enum audience { ALL_SOCKETS, TCP_SOCKETS, V6_SOCKETS } audience;

typedef struct option_entry {
    int level;
    int option;
    sim_option kept;
    audience audience;
} option_entry;

/* socket(7), tcp(7), ipv6(7) */
static const option_entry options[] = {
        {SOL_SOCKET, SO_REUSEADDR, SIM_OPTION_REUSEADDR, ALL_SOCKETS},
        {SOL_SOCKET, SO_REUSEPORT, SIM_OPTION_REUSEPORT, ALL_SOCKETS},
        {SOL_SOCKET, SO_KEEPALIVE, SIM_OPTION_KEEPALIVE, ALL_SOCKETS},
        {SOL_SOCKET, SO_BROADCAST, SIM_OPTION_BROADCAST, ALL_SOCKETS},
        {SOL_SOCKET, SO_OOBINLINE, SIM_OPTION_OOBINLINE, ALL_SOCKETS},
        {SOL_SOCKET, SO_RCVLOWAT, SIM_OPTION_RCVLOWAT, ALL_SOCKETS},
        {SOL_SOCKET, SO_PASSCRED, SIM_OPTION_PASSCRED, ALL_SOCKETS},
        {SOL_SOCKET, SO_PRIORITY, SIM_OPTION_PRIORITY, ALL_SOCKETS},
        {IPPROTO_IPV6, IPV6_V6ONLY, SIM_OPTION_V6ONLY, V6_SOCKETS},
        {IPPROTO_TCP, TCP_NODELAY, SIM_OPTION_NODELAY, TCP_SOCKETS},
        {IPPROTO_TCP, TCP_CORK, SIM_OPTION_CORK, TCP_SOCKETS},
        {IPPROTO_TCP, TCP_KEEPIDLE, SIM_OPTION_KEEPIDLE_S, TCP_SOCKETS},
        {IPPROTO_TCP, TCP_KEEPINTVL, SIM_OPTION_KEEPINTVL_S, TCP_SOCKETS},
        {IPPROTO_TCP, TCP_KEEPCNT, SIM_OPTION_KEEPCNT, TCP_SOCKETS},
        {IPPROTO_TCP, TCP_SYNCNT, SIM_OPTION_SYNCNT, TCP_SOCKETS},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, SIM_OPTION_USER_TIMEOUT_MS, TCP_SOCKETS},
        {IPPROTO_TCP, TCP_QUICKACK, SIM_OPTION_QUICKACK, TCP_SOCKETS},
        {IPPROTO_TCP, TCP_DEFER_ACCEPT, SIM_OPTION_DEFER_ACCEPT, TCP_SOCKETS},
        {IPPROTO_TCP, TCP_FASTOPEN, SIM_OPTION_FASTOPEN, TCP_SOCKETS},
};

/* NULL: none that is kept. */
static const option_entry *option_named(const sim_socket *socket, int level, int option)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        const option_entry *entry = &options[i];
        if (entry->level != level || entry->option != option)
            continue;
        bool is_fit = entry->audience == ALL_SOCKETS ||
                      (entry->audience == TCP_SOCKETS && socket->protocol == IPPROTO_TCP) ||
                      (entry->audience == V6_SOCKETS && socket->family == AF_INET6);
        return is_fit ? entry : NULL;
    }
    return NULL;
}

/* Observed: unix sockets have SOL_SOCKET alone. */
static int unknown_option(const sim_socket *socket, int level)
{
    return socket->family == AF_UNIX && level != SOL_SOCKET ? -EOPNOTSUPP : -ENOPROTOOPT;
}

/* socket(7): the value is doubled. Both limits were observed. */
static size_t buffer_limit(int value, size_t least_bytes)
{
    size_t doubled =
            value < 0 || value > BUFFER_MOST_BYTES / 2 ? BUFFER_MOST_BYTES : 2 * (size_t)value;
    return doubled < least_bytes ? least_bytes : doubled;
}

static int set_special(sim_socket *socket, int option, const void *value, socklen_t size_bytes)
{
    int number;
    memcpy(&number, value, sizeof(number));
    switch (option) {
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
        socket->send_limit_bytes = buffer_limit(number, SEND_LEAST_BYTES);
        sim_file_changed(&socket->file);
        return 0;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
        socket->receive_limit_bytes = buffer_limit(number, RECEIVE_LEAST_BYTES);
        return 0;
    case SO_LINGER:
        if (size_bytes < sizeof(socket->linger))
            return -EINVAL;
        memcpy(&socket->linger, value, sizeof(socket->linger));
        return 0;
    case SO_RCVTIMEO: /* Of blocking calls, of which there are none here. */
    case SO_SNDTIMEO:
    case SO_MARK:
    case SO_BUSY_POLL:
    case SO_INCOMING_CPU:
    case SO_TIMESTAMP:
    case SO_ZEROCOPY:
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int sim_socket_setsockopt(
        sim_file *file, int level, int option, const void *value, socklen_t size_bytes)
{
    sim_socket *socket = sim_socket_of(file);
    const option_entry *entry = option_named(socket, level, option);

    if (entry == NULL && level != SOL_SOCKET)
        return unknown_option(socket, level);
    if (size_bytes < sizeof(int))
        return -EINVAL;
    if (entry == NULL)
        return set_special(socket, option, value, size_bytes);
    memcpy(&socket->options[entry->kept], value, sizeof(int));
    /* TCP_KEEPIDLE moves a timer that runs already (tcp_sock_set_keepidle_locked() in Linux). */
    bool is_timer = entry->kept == SIM_OPTION_KEEPALIVE || entry->kept == SIM_OPTION_KEEPIDLE_S;
    if (is_timer && socket->protocol == IPPROTO_TCP)
        tcp_keep_alive_changed(socket);
    return 0;
}

/* unix(7): who has made the peer, which is the same user here. Observed: of TCP, nobody. */
static struct ucred peer_credentials(sim_socket *socket)
{
    struct ucred credentials = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
    const sim_socket *peer = socket->family == AF_UNIX ? sim_unix_peer(socket) : NULL;
    if (peer != NULL)
        credentials = (struct ucred){.pid = peer->owner_id, .uid = 0, .gid = 0};
    return credentials;
}

int sim_socket_getsockopt(sim_file *file, int level, int option, void *value, socklen_t *size_bytes)
{
    sim_socket *socket = sim_socket_of(file);
    const option_entry *entry = option_named(socket, level, option);
    int number;

    if (entry != NULL) {
        number = socket->options[entry->kept];
    } else if (level != SOL_SOCKET) {
        return unknown_option(socket, level);
    } else if (option == SO_LINGER) {
        sim_store_name(&socket->linger, sizeof(socket->linger), value, size_bytes);
        return 0;
    } else if (option == SO_PEERCRED) {
        struct ucred credentials = peer_credentials(socket);
        sim_store_name(&credentials, sizeof(credentials), value, size_bytes);
        return 0;
    } else if (option == SO_ERROR) {
        number = -sim_socket_take_error(socket);
    } else if (option == SO_TYPE) {
        number = socket->type;
    } else if (option == SO_DOMAIN) {
        number = socket->family;
    } else if (option == SO_PROTOCOL) {
        number = socket->protocol;
    } else if (option == SO_ACCEPTCONN) {
        number = socket->is_listening;
    } else if (option == SO_SNDBUF) {
        number = (int)socket->send_limit_bytes;
    } else if (option == SO_RCVBUF) {
        number = (int)socket->receive_limit_bytes;
    } else {
        return -ENOPROTOOPT;
    }
    sim_store_name(&number, sizeof(number), value, size_bytes);
    return 0;
}
