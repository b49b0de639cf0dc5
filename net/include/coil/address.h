/* SPDX-License-Identifier: MIT */
/*
 * coil/address.h - where a socket listens or connects to, as text and as a sockaddr.
 *
 *     127.0.0.1:9090    [::1]:9090    *:9090    unix:/run/service.sock    unix:@abstract-name
 *     [fe80::1%eth0]:9090
 *
 * "*" is every address of the machine, IPv6 and IPv4. Port 0 lets the kernel choose one. Behind "%"
 * stands the interface that a link-local address belongs to, by name or number (RFC 4007, 11). Host
 * names are not looked up here, but in coil/resolver.h.
 *
 * Pure functions, but that the kernel is asked for the number of an interface; any thread.
 */
#ifndef COIL_ADDRESS_H
#define COIL_ADDRESS_H

#include <coil/base.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

COIL_BEGIN_DECLS

enum { COIL_ADDRESS_TEXT_BYTES = 128 };

typedef struct coil_address {
    union {
        struct sockaddr socket; /* For system calls. */
        struct sockaddr_storage storage;
    };
    socklen_t size_bytes;
} coil_address;

/*
 * Read an address. -EINVAL not one of the forms above, -ERANGE a port above 65535, -ENAMETOOLONG a
 * path that does not fit into a sockaddr_un, -ENODEV an interface that there is not.
 */
COIL_API COIL_MUST_USE int coil_address_parse(const char *text, coil_address *out_address);

/*
 * Write it in the form that coil_address_parse() reads; an interface by its number,
 * "[fe80::1%2]:80". Returns `text`.
 */
COIL_API const char *coil_address_format(
        const coil_address *address, char text[COIL_ADDRESS_TEXT_BYTES]);

/* The port of an IP address; 0 for any other. */
COIL_API uint16_t coil_address_port(const coil_address *address);

/* The path of a unix socket that has one; NULL for any other address. */
COIL_API const char *coil_address_path(const coil_address *address);

COIL_END_DECLS

#endif
