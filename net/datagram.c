/* SPDX-License-Identifier: MIT */
#include "datagram_private.h"

#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/loop.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/un.h>

/* Since Linux 4.18 and 5.0; older headers lack them. */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* --------------------------------------------------------------------------------- options -- */

static int set_option(int fd, int level, int option, int value)
{
    return coil_kernel_setsockopt(fd, level, option, &value, sizeof(value));
}

static void set_ip_options(int fd, sa_family_t family, const coil_datagram_options *options)
{
    if (options->tells_local && family == AF_INET6)
        (void)set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    if (options->tells_local && family == AF_INET)
        (void)set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    if (options->joins_segments)
        (void)set_option(fd, SOL_UDP, UDP_GRO, 1); /* Where it is not, nothing is joined. */
    if (options->broadcast)
        (void)set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
}

/* What has to be said before a socket has its address. */
static void set_options_of_address(int fd, sa_family_t family, const coil_datagram_options *options)
{
    if (family == AF_INET6)
        (void)set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6_only);
    if (options->reuse_port)
        (void)set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (options->reuse_address)
        (void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

static void set_options(int fd, sa_family_t family, const coil_datagram_options *options)
{
    if (options->receive_buffer_bytes > 0)
        (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, options->receive_buffer_bytes);
    if (options->send_buffer_bytes > 0)
        (void)set_option(fd, SOL_SOCKET, SO_SNDBUF, options->send_buffer_bytes);
    (void)set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    if (family != AF_UNIX)
        set_ip_options(fd, family, options);
}

/* ---------------------------------------------------------------------------------- opening -- */

/* What the options say, as addresses; size_bytes 0: there is none. */
typedef struct ends {
    sa_family_t family;
    coil_address local;
    coil_address remote;
} ends;

static int parse_ends(const coil_datagram_options *options, ends *out_ends)
{
    *out_ends = (ends){0};
    if (options->local == NULL && options->remote == NULL)
        return -EINVAL;
    int rc = 0;
    if (options->local != NULL)
        rc = coil_address_parse(options->local, &out_ends->local);
    if (rc == 0 && options->remote != NULL)
        rc = coil_address_parse(options->remote, &out_ends->remote);
    if (rc < 0)
        return rc;
    sa_family_t local = out_ends->local.storage.ss_family;
    sa_family_t remote = out_ends->remote.storage.ss_family;
    out_ends->family = options->local != NULL ? local : remote;
    if (options->local == NULL || options->remote == NULL)
        return 0;
    out_ends->remote = datagram_mapped(local, &out_ends->remote);
    return out_ends->remote.storage.ss_family == local ? 0 : -EINVAL;
}

/* A path is a file from here on: ours. */
static int attach(int fd, ends *of, listener_path *path)
{
    int rc = 0;
    if (of->local.size_bytes > 0) {
        rc = listener_bind(fd, SOCK_DGRAM, &of->local);
        if (rc == 0)
            listener_path_claim(path, &of->local);
    }
    if (rc == 0 && of->remote.size_bytes > 0)
        rc = coil_kernel_connect_now(fd, &of->remote.socket, of->remote.size_bytes);
    if (rc == 0 && of->family != AF_UNIX) {
        of->local.size_bytes = sizeof(of->local.storage);
        rc = coil_kernel_getsockname(fd, &of->local.socket, &of->local.size_bytes);
    }
    return rc;
}

static unsigned power_of_two(unsigned least)
{
    unsigned power = 1;
    while (power < least && power < COIL_DATAGRAM_BUFFER_COUNT_MAX)
        power *= 2;
    return power;
}

static coil_datagram_shape shape_of(const coil_datagram_options *options, sa_family_t family)
{
    static const socklen_t name_bytes[] = {[AF_UNIX] = sizeof(struct sockaddr_un),
            [AF_INET] = sizeof(struct sockaddr_in),
            [AF_INET6] = sizeof(struct sockaddr_in6)};
    size_t control_bytes = CMSG_SPACE(sizeof(uint32_t)); /* What the kernel has dropped. */
    unsigned most_bytes = options->max_bytes;

    if (options->tells_local) {
        control_bytes +=
                CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(struct in6_pktinfo));
    }
    if (options->joins_segments)
        control_bytes += CMSG_SPACE(sizeof(int));
    if (most_bytes == 0 || most_bytes > COIL_DATAGRAM_MOST_BYTES || options->joins_segments)
        most_bytes = COIL_DATAGRAM_MOST_BYTES;
    return (coil_datagram_shape){
            .name_bytes = name_bytes[family],
            .control_bytes = (uint32_t)control_bytes,
            .payload_bytes = most_bytes,
            .buffer_count = power_of_two(
                    options->buffer_count > 0 ? options->buffer_count : COIL_DATAGRAM_BUFFER_COUNT),
    };
}

static bool takes_ipv4(int fd, sa_family_t family)
{
    int is_only = 0;
    socklen_t size_bytes = sizeof(is_only);
    if (family != AF_INET6)
        return family == AF_INET;
    return coil_kernel_getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_only, &size_bytes) == 0 &&
           !is_only;
}

/* Owns `fd`. */
static int create(int fd, const ends *of, const coil_datagram_options *options,
        coil_datagram_socket **out_socket)
{
    coil_datagram_shape shape = shape_of(options, of->family);
    coil_datagram_socket *socket = calloc(1, sizeof(*socket));
    if (socket == NULL) {
        (void)coil_kernel_close(fd);
        return -ENOMEM;
    }
    int rc = coil_datagram_receiver_create(coil_loop_current(), fd, &shape, &socket->receiver);
    if (rc < 0) {
        free(socket);
        return rc;
    }
    socket->fd = fd;
    socket->family = of->family;
    socket->takes_ipv4 = takes_ipv4(fd, of->family);
    socket->can_segment = of->family != AF_UNIX && set_option(fd, SOL_UDP, UDP_SEGMENT, 0) == 0;
    socket->local = of->local;
    *out_socket = socket;
    return 0;
}

int coil_datagram_open(const coil_datagram_options *options, coil_datagram_socket **out_socket)
{
    ends of;
    listener_path path = {.is_ours = false};

    COIL_CHECK(coil_loop_current() != NULL);
    int rc = parse_ends(options, &of);
    if (rc < 0)
        return rc;
    int fd = coil_kernel_socket(of.family, SOCK_DGRAM, 0);
    if (fd < 0)
        return fd;
    set_options_of_address(fd, of.family, options);
    set_options(fd, of.family, options);
    rc = attach(fd, &of, &path);
    if (rc < 0) {
        (void)coil_kernel_close(fd);
    } else {
        rc = create(fd, &of, options, out_socket);
    }
    if (rc < 0) {
        listener_path_remove(&path, &of.local);
    } else {
        (*out_socket)->path = path;
    }
    return rc;
}

/* (ping(8) has datagrams too: those are messages of ICMP.) */
static int check_is_udp(int fd)
{
    int protocol = 0;
    socklen_t size_bytes = sizeof(protocol);
    int rc = coil_kernel_getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size_bytes);
    if (rc < 0)
        return rc;
    return protocol == IPPROTO_UDP ? 0 : -EINVAL;
}

/* Is it one for datagrams, of which family, and where is it bound? */
static int examine(int fd, ends *out_ends)
{
    int type = 0;
    socklen_t size_bytes = sizeof(type);
    coil_address *local = &out_ends->local;

    *out_ends = (ends){.local.size_bytes = sizeof(local->storage)};
    int rc = coil_kernel_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size_bytes);
    if (rc == 0)
        rc = coil_kernel_getsockname(fd, &local->socket, &local->size_bytes);
    if (rc < 0)
        return rc;
    out_ends->family = local->storage.ss_family;
    if (local->size_bytes <= sizeof(sa_family_t))
        local->size_bytes = 0; /* A unix socket without a name. */
    if (type != SOCK_DGRAM)
        return -EINVAL;
    switch (out_ends->family) {
    case AF_INET:
    case AF_INET6:
        return check_is_udp(fd);
    case AF_UNIX:
        return 0;
    }
    return -EINVAL;
}

int coil_datagram_open_fd(
        int fd, const coil_datagram_options *options, coil_datagram_socket **out_socket)
{
    static const coil_datagram_options defaults;
    ends of;

    COIL_CHECK(coil_loop_current() != NULL);
    if (fd < 0)
        return fd;
    if (options == NULL)
        options = &defaults;
    int rc = options->local != NULL || options->remote != NULL ? -EINVAL : examine(fd, &of);
    if (rc < 0) {
        if (rc != -EBADF)
            (void)coil_kernel_close(fd);
        return rc;
    }
    set_options(fd, of.family, options);
    return create(fd, &of, options, out_socket);
}

void coil_datagram_close(coil_datagram_socket *socket)
{
    if (socket == NULL)
        return;
    listener_path_remove(&socket->path, &socket->local);
    if (socket->rest_segment_bytes > 0)
        coil_slice_release(&socket->rest.bytes);
    coil_datagram_receiver_close(socket->receiver);
    free(socket);
}

/* -------------------------------------------------------------------------------- multicast -- */

static int change_group(coil_datagram_socket *socket, const coil_address *group,
        unsigned interface_index, bool joins)
{
    sa_family_t family = group->storage.ss_family;
    struct group_req request;

    if (socket->family == AF_UNIX)
        return -EOPNOTSUPP;
    if (family != AF_INET && family != AF_INET6)
        return -EINVAL;
    memset(&request, 0, sizeof(request));
    request.gr_interface = interface_index;
    request.gr_group = group->storage;
    return coil_kernel_setsockopt(socket->fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
            joins ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, &request, sizeof(request));
}

int coil_datagram_join(
        coil_datagram_socket *socket, const coil_address *group, unsigned interface_index)
{
    return change_group(socket, group, interface_index, true);
}

int coil_datagram_leave(
        coil_datagram_socket *socket, const coil_address *group, unsigned interface_index)
{
    return change_group(socket, group, interface_index, false);
}

static int change_source(coil_datagram_socket *socket, const coil_address *group,
        const coil_address *source, unsigned interface_index, bool joins)
{
    sa_family_t family = group->storage.ss_family;
    struct group_source_req request;

    if (socket->family == AF_UNIX)
        return -EOPNOTSUPP;
    if ((family != AF_INET && family != AF_INET6) || source->storage.ss_family != family)
        return -EINVAL;
    memset(&request, 0, sizeof(request));
    request.gsr_interface = interface_index;
    request.gsr_group = group->storage;
    request.gsr_source = source->storage;
    return coil_kernel_setsockopt(socket->fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
            joins ? MCAST_JOIN_SOURCE_GROUP : MCAST_LEAVE_SOURCE_GROUP, &request, sizeof(request));
}

int coil_datagram_join_source(coil_datagram_socket *socket, const coil_address *group,
        const coil_address *source, unsigned interface_index)
{
    return change_source(socket, group, source, interface_index, true);
}

int coil_datagram_leave_source(coil_datagram_socket *socket, const coil_address *group,
        const coil_address *source, unsigned interface_index)
{
    return change_source(socket, group, source, interface_index, false);
}

static int set_multicast_of_ipv4(int fd, const coil_multicast *multicast)
{
    struct ip_mreqn interface = {.imr_ifindex = (int)multicast->interface_index};
    int rc = set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, (int)multicast->hops);
    if (rc == 0)
        rc = set_option(fd, IPPROTO_IP, IP_MULTICAST_LOOP, multicast->loops);
    if (rc == 0)
        rc = coil_kernel_setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof(interface));
    return rc == -EADDRNOTAVAIL ? -ENODEV : rc; /* Of IPv6 it is the other one. */
}

static int set_multicast_of_ipv6(int fd, const coil_multicast *multicast)
{
    int rc = set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, (int)multicast->hops);
    if (rc == 0)
        rc = set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, multicast->loops);
    if (rc == 0)
        rc = set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)multicast->interface_index);
    return rc;
}

int coil_datagram_set_multicast(coil_datagram_socket *socket, const coil_multicast *multicast)
{
    enum { HOPS_MAX = 255 };
    if (socket->family == AF_UNIX)
        return -EOPNOTSUPP;
    if (multicast->hops > HOPS_MAX || multicast->interface_index > INT32_MAX)
        return -EINVAL;
    int rc = 0;
    if (socket->family == AF_INET6)
        rc = set_multicast_of_ipv6(socket->fd, multicast);
    if (rc == 0 && socket->takes_ipv4)
        rc = set_multicast_of_ipv4(socket->fd, multicast);
    return rc;
}

/* -------------------------------------------------------------------------------- questions -- */

const coil_address *coil_datagram_local(const coil_datagram_socket *socket)
{
    return &socket->local;
}

coil_datagram_counts coil_datagram_count(const coil_datagram_socket *socket)
{
    return socket->counts;
}

int coil_datagram_fd(const coil_datagram_socket *socket)
{
    return socket->fd;
}
