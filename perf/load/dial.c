/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <errno.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static struct sockaddr_in loopback(int source, int port)
{
    return (struct sockaddr_in){
            .sin_family = AF_INET,
            .sin_port = htons((in_port_t)port),
            .sin_addr.s_addr = htonl((in_addr_t)INADDR_LOOPBACK + (in_addr_t)source),
    };
}

/* The port is chosen when connecting, so that it has to be free for this pair of addresses only. */
static void bind_source(int fd, int source)
{
    const struct sockaddr_in address = loopback(source, 0);
    const void *name = &address;
    int one = 1;

    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, name, sizeof(address)) < 0)
        load_die("bind", errno);
}

int load_dial(const load_options *options, int source, int flags)
{
    const struct sockaddr_in address = loopback(0, options->port);
    const void *name = &address;
    int one = 1;

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        load_die("socket", errno);
    if (source > 0)
        bind_source(fd, source);
    if (connect(fd, name, sizeof(address)) < 0 && errno != EINPROGRESS)
        load_die("connect", errno);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}
