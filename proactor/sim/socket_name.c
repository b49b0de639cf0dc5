/* SPDX-License-Identifier: MIT */
/*
 * Addresses. A host has one of IPv4, and one of IPv6 made of it: fd00::a00:1 is 10.0.0.1. IPv6
 * sockets also know IPv4 addresses as ::ffff:10.0.0.1 (ipv6(7), RFC 4291 section 2.5.5.2).
 */
#include "socket.h"

#include <errno.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const uint8_t local_prefix[12] = {0xfd};

static uint32_t last_word(const struct in6_addr *address)
{
    uint32_t word;
    memcpy(&word, address->s6_addr + 12, sizeof(word));
    return ntohl(word);
}

static int read_v6(const struct sockaddr_in6 *name, sim_address *out_address)
{
    const struct in6_addr *host = &name->sin6_addr;
    *out_address = (sim_address){.port = ntohs(name->sin6_port), .is_v6 = true};
    if (memcmp(host->s6_addr, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        out_address->host = last_word(host);
        out_address->is_v6 = false;
    } else if (IN6_IS_ADDR_LOOPBACK(host)) {
        out_address->host = INADDR_LOOPBACK;
    } else if (memcmp(host->s6_addr, local_prefix, sizeof(local_prefix)) == 0) {
        out_address->host = last_word(host);
    } else if (!IN6_IS_ADDR_UNSPECIFIED(host)) {
        out_address->host = INADDR_BROADCAST; /* Nobody's. */
    }
    return 0;
}

int sim_address_read(const sim_socket *socket, const struct sockaddr *address, socklen_t size_bytes,
        sim_address *out_address)
{
    if (size_bytes < sizeof(struct sockaddr_in))
        return -EINVAL;
    if (address->sa_family == AF_INET && socket->family == AF_INET) {
        struct sockaddr_in name;
        memcpy(&name, address, sizeof(name));
        *out_address =
                (sim_address){.host = ntohl(name.sin_addr.s_addr), .port = ntohs(name.sin_port)};
        return 0;
    }
    if (address->sa_family != AF_INET6 || socket->family != AF_INET6)
        return -EAFNOSUPPORT;
    struct sockaddr_in6 name;
    if (size_bytes < sizeof(name) - sizeof(name.sin6_scope_id))
        return -EINVAL;
    memset(&name, 0, sizeof(name));
    memcpy(&name, address, size_bytes < sizeof(name) ? size_bytes : sizeof(name));
    return read_v6(&name, out_address);
}

static void fill_v6(const sim_address *from, struct in6_addr *host)
{
    uint32_t word = htonl(from->host);
    if (!from->is_v6) {
        memcpy(host->s6_addr, mapped_prefix, sizeof(mapped_prefix));
    } else if (from->host == INADDR_LOOPBACK) {
        *host = in6addr_loopback;
        return;
    } else if (from->host != 0) {
        memcpy(host->s6_addr, local_prefix, sizeof(local_prefix));
    }
    memcpy(host->s6_addr + 12, &word, sizeof(word));
}

void sim_address_store(const sim_socket *socket, const sim_address *from, struct sockaddr *address,
        socklen_t *size_bytes)
{
    if (socket->family == AF_INET) {
        struct sockaddr_in name = {.sin_family = AF_INET,
                .sin_port = htons(from->port),
                .sin_addr.s_addr = htonl(from->host)};
        sim_store_name(&name, sizeof(name), address, size_bytes);
    } else {
        struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(from->port)};
        fill_v6(from, &name.sin6_addr);
        sim_store_name(&name, sizeof(name), address, size_bytes);
    }
}

void sim_message_name(const sim_socket *socket, const sim_address *from, struct msghdr *message)
{
    if (message == NULL)
        return;
    if (message->msg_name == NULL || from == NULL) {
        message->msg_namelen = 0;
    } else {
        sim_address_store(socket, from, message->msg_name, &message->msg_namelen);
    }
}

static bool is_loopback(uint32_t host)
{
    return host >> 24 == 127;
}

/* To connect to the unspecified address is to connect to loopback: observed. */
sim_host *sim_address_host(sim_host *host, const sim_address *address)
{
    if (address->host == 0 || is_loopback(address->host))
        return host;
    return sim_host_at(host->world, address->host);
}

sim_address sim_address_own(const sim_host *host, const sim_address *to)
{
    bool is_local = to->host == 0 || is_loopback(to->host);
    return (sim_address){.host = is_local ? INADDR_LOOPBACK : host->address, .is_v6 = to->is_v6};
}
