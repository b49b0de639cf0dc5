/* SPDX-License-Identifier: MIT */
/* What addresses and names have in common. */
#ifndef ADDRESS_PRIVATE_H
#define ADDRESS_PRIVATE_H

#include <coil/address.h>

#include <stdbool.h>

/* A port in decimal digits, and nothing else. -EINVAL, -ERANGE: above 65535. */
int address_parse_port(const char *text, uint16_t *out_port);

/* An address of IPv4 or IPv6: `host` is an in_addr, or, where `family` is AF_INET6, an in6_addr. */
void address_set(coil_address *address, sa_family_t family, const void *host, uint16_t port);

/* IPv4 that comes by an IPv6 socket (::ffff:a.b.c.d, RFC 4291, 2.5.5.2) becomes IPv4 again. */
void address_unmap(coil_address *address);

bool address_equal(const coil_address *one, const coil_address *other);

#endif
