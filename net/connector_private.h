/* SPDX-License-Identifier: MIT */
/* What the ways to connect have in common. */
#ifndef CONNECTOR_PRIVATE_H
#define CONNECTOR_PRIVATE_H

#include <coil/address.h>

/*
 * `fd` has connected: to somebody else? If nobody listens at a port of ours, the kernel may choose
 * that very port for our end, and TCP connects it to itself (RFC 9293, 3.5, simultaneous open): who
 * tries often enough to reach a local server that is down meets it, and then holds its port. That
 * is -ECONNREFUSED, as it would have been with any other port.
 */
int connector_check(int fd, const coil_address *to);

#endif
