/* SPDX-License-Identifier: MIT */
#include <coil/stream_options.h>

#include "address_private.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <limits.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

static int set(int fd, int level, int option, int value)
{
    return coil_kernel_setsockopt(fd, level, option, &value, sizeof(value));
}

/* In whole units, rounded up: a limit is not made stricter than it was asked for. */
static int64_t in_units(coil_duration duration, coil_duration unit)
{
    return duration / unit + (duration % unit > 0);
}

static bool fits(coil_duration duration, coil_duration unit)
{
    return duration >= 0 && in_units(duration, unit) <= INT_MAX;
}

/* A number that is 0 stays as it is. */
static int set_if(int fd, int level, int option, int64_t value)
{
    return value == 0 ? 0 : set(fd, level, option, (int)value);
}

static int set_keep_alive(int fd, const coil_stream_options *options)
{
    if (options->keep_alive_idle == 0)
        return 0;
    int rc = set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (rc == 0)
        rc = set_if(fd, IPPROTO_TCP, TCP_KEEPIDLE, in_units(options->keep_alive_idle, coil_s(1)));
    if (rc == 0) {
        rc = set_if(
                fd, IPPROTO_TCP, TCP_KEEPINTVL, in_units(options->keep_alive_interval, coil_s(1)));
    }
    return rc < 0 ? rc : set_if(fd, IPPROTO_TCP, TCP_KEEPCNT, options->keep_alive_probes);
}

static int set_type_of_service(int fd, int value)
{
    int family = 0;
    socklen_t size_bytes = sizeof(family);

    if (value == 0)
        return 0;
    int rc = coil_kernel_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size_bytes);
    if (rc == 0 && family == AF_INET6)
        rc = set(fd, IPPROTO_IPV6, IPV6_TCLASS, value);
    return rc < 0 ? rc : set(fd, IPPROTO_IP, IP_TOS, value); /* IPv4 by IPv6 sockets, too. */
}

static int set_tcp(int fd, const coil_stream_options *options)
{
    int rc = set(fd, IPPROTO_TCP, TCP_NODELAY, !options->delays_small_writes);
    if (rc == 0)
        rc = set_keep_alive(fd, options);
    if (rc == 0)
        rc = set_type_of_service(fd, (int)options->type_of_service);
    if (rc == 0)
        rc = set_if(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, in_units(options->user_timeout, coil_ms(1)));
    return rc;
}

static bool is_valid(const coil_stream_options *options)
{
    return fits(options->keep_alive_idle, coil_s(1)) &&
           fits(options->keep_alive_interval, coil_s(1)) && options->keep_alive_probes <= INT_MAX &&
           fits(options->user_timeout, coil_ms(1)) && options->send_buffer_bytes <= INT_MAX &&
           options->receive_buffer_bytes <= INT_MAX && options->type_of_service <= UINT8_MAX;
}

int coil_stream_options_apply(int fd, const coil_stream_options *options)
{
    if (!is_valid(options))
        return -EINVAL;
    if (coil_fd_is_direct(fd))
        return -EOPNOTSUPP;
    const int is_tcp = coil_kernel_is_tcp(fd);
    int rc = is_tcp < 0 ? is_tcp : set_if(fd, SOL_SOCKET, SO_SNDBUF, options->send_buffer_bytes);
    if (rc == 0)
        rc = set_if(fd, SOL_SOCKET, SO_RCVBUF, options->receive_buffer_bytes);
    if (rc == 0 && is_tcp == 1)
        rc = set_tcp(fd, options);
    return rc == -ENOTSOCK ? -EOPNOTSUPP : rc;
}

int coil_stream_configure(coil_stream *stream, const coil_stream_options *options)
{
    return coil_stream_options_apply(coil_stream_fd(stream), options);
}

typedef int name_call(int fd, struct sockaddr *address, socklen_t *size_bytes);

static int get_name(const coil_stream *stream, name_call *call, coil_address *out_address)
{
    const int fd = coil_stream_fd(stream);
    coil_address address = {.size_bytes = sizeof(address.storage)};

    if (coil_fd_is_direct(fd))
        return -EOPNOTSUPP;
    const int rc = call(fd, &address.socket, &address.size_bytes);
    if (rc < 0)
        return rc == -ENOTSOCK ? -EOPNOTSUPP : rc;
    address_unmap(&address);
    *out_address = address;
    return 0;
}

int coil_stream_address(const coil_stream *stream, coil_address *out_address)
{
    return get_name(stream, coil_kernel_getsockname, out_address);
}

int coil_stream_peer_address(const coil_stream *stream, coil_address *out_address)
{
    return get_name(stream, coil_kernel_getpeername, out_address);
}
