/* SPDX-License-Identifier: MIT */
/*
 * What reading a PROXY header from a stream (proxy_protocol_read.c) asks of the format
 * (proxy_protocol.c) before all of the header is there.
 */
#ifndef PROXY_PROTOCOL_PRIVATE_H
#define PROXY_PROTOCOL_PRIVATE_H

#include <coil/proxy_protocol.h>

enum {
    PROXY_SIGNATURE_BYTES = 12, /* How version 2 begins; a line of version 1 is longer. */
    PROXY_V2_BYTES = 16,        /* Signature, command, family, length. */
};

/* What begins with these PROXY_SIGNATURE_BYTES: a line (1), a binary header (2), or -EBADMSG. */
int proxy_version_of(const char *start);

/* How long the binary header is that begins with these PROXY_V2_BYTES. -EBADMSG */
ssize_t proxy_v2_size(const uint8_t *bytes);

#endif
