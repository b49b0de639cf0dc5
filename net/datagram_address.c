/* SPDX-License-Identifier: MIT */
#include "address_private.h"
#include "datagram_private.h"

#include <string.h>

#include <netinet/in.h>

static const uint8_t mapped_prefix[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

coil_address datagram_mapped(sa_family_t family, const coil_address *address)
{
    struct sockaddr_in from;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6};
    coil_address mapped;

    if (family != AF_INET6 || address->storage.ss_family != AF_INET)
        return *address;
    memcpy(&from, &address->storage, sizeof(from));
    memcpy(to.sin6_addr.s6_addr, mapped_prefix, sizeof(mapped_prefix));
    memcpy(to.sin6_addr.s6_addr + sizeof(mapped_prefix), &from.sin_addr, sizeof(from.sin_addr));
    to.sin6_port = from.sin_port;
    memset(&mapped, 0, sizeof(mapped));
    memcpy(&mapped.storage, &to, sizeof(to));
    mapped.size_bytes = sizeof(to);
    return mapped;
}

void datagram_unmap(const void *name, socklen_t size_bytes, coil_address *out_address)
{
    if (size_bytes > sizeof(out_address->storage))
        size_bytes = sizeof(out_address->storage);
    if (size_bytes < sizeof(sa_family_t))
        out_address->storage.ss_family = AF_UNSPEC;
    memcpy(&out_address->storage, name, size_bytes);
    out_address->size_bytes = size_bytes;
    address_unmap(out_address);
}
