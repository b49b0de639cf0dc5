/* SPDX-License-Identifier: MIT */
/*
 * coil/proxy_protocol.h - who the client is, when a proxy stands in between.
 *
 * A proxy says so in front of all other bytes of a connection: the PROXY protocol of HAProxy,
 * version 1 (a line of text) and 2 (binary), as in its doc/proxy-protocol.txt.
 *
 *     coil_attempt(my->raw, coil_within(coil_s(5),
 *             coil_read_proxy_header(peer, COIL_PROXY_LIMIT_BYTES, &my->header)));
 *     coil_defer(coil_slice_release(&my->raw));
 *     coil_address_format(&my->header.source, text)
 *
 *     coil_proxy_write(&header, bytes, sizeof(bytes))         for those who are the proxy
 *
 * A header is believed: whoever can connect can claim any address. So ask for it only where nobody
 * but the proxies can connect, and never accept connections with and without one at one address
 * (the specification forbids to guess). coil_server.takes_proxy_headers does all of this.
 *
 * But for coil_read_proxy_header(), pure functions; any thread.
 */
#ifndef COIL_PROXY_PROTOCOL_H
#define COIL_PROXY_PROTOCOL_H

#include <coil/stream.h>

COIL_BEGIN_DECLS

enum {
    COIL_PROXY_V1_BYTES = 107,     /* The longest line, its end included. */
    COIL_PROXY_LIMIT_BYTES = 4096, /* Enough for all that proxies send today. */
};

/* Types of additional values; there are more. */
typedef enum coil_proxy_type {
    COIL_PROXY_ALPN = 0x01,      /* The protocol that TLS has negotiated. */
    COIL_PROXY_AUTHORITY = 0x02, /* The host name that the client wants (SNI). */
    COIL_PROXY_CRC32C = 0x03,    /* Has been verified. One at most. */
    COIL_PROXY_NOOP = 0x04,
    COIL_PROXY_UNIQUE_ID = 0x05,
    COIL_PROXY_SSL = 0x20,
    COIL_PROXY_NETNS = 0x30,
} coil_proxy_type;

typedef struct coil_proxy_header {
    unsigned version; /* 1 or 2. */
    /*
     * The proxy speaks for itself, as health checks do: take the connection for what it is. The
     * addresses are then empty, as they are if the proxy does not know them (`size_bytes` 0).
     */
    bool is_local;
    bool is_datagram;         /* Of version 2: what was proxied. */
    coil_address source;      /* The client. */
    coil_address destination; /* What it has connected to. */
    const uint8_t *values;    /* Additional values, of version 2: coil_proxy_next(). */
    size_t values_bytes;
} coil_proxy_header;

/* One of the additional values (TLV). */
typedef struct coil_proxy_value {
    uint8_t type;
    uint16_t size_bytes;
    const uint8_t *bytes; /* NULL: before the first. */
} coil_proxy_value;

/*
 * Read a header at the beginning of `bytes`. Its size; *out_header then points into `bytes`.
 * -EAGAIN: so far it is one, but more has to come. -EBADMSG: it is none, or a wrong one, its
 * checksum included. What follows the header is not looked at.
 */
COIL_API ssize_t coil_proxy_parse(
        const void *bytes, size_t size_bytes, coil_proxy_header *out_header);

/*
 * Go to the next additional value; `value` is zeroed before the first. False: there is none.
 *
 *     coil_proxy_value value = {0};
 *     while (coil_proxy_next(&header, &value))
 */
COIL_API bool coil_proxy_next(const coil_proxy_header *header, coil_proxy_value *value);

/*
 * Write a header of version `header->version`; all that it has is meant as above, with `values` as
 * they are to be sent. One of version 1 has no values. Its size. -EINVAL: there is no such header:
 * another version, two families of addresses, values that are none, or of version 1; -EMSGSIZE: it
 * is longer than `size_bytes`, or than 65535 bytes behind its beginning.
 */
COIL_API ssize_t coil_proxy_write(const coil_proxy_header *header, void *bytes, size_t size_bytes);

/*
 * Read the header from a stream, and not a byte more. Result: its bytes, to be released when
 * `out_header->values` are not needed any more; empty: the stream has ended before the first of
 * them, as with those who only see whether somebody listens. -EBADMSG as above; -EMSGSIZE: it is
 * longer than `limit_bytes`; -ENODATA: the stream has ended inside of it. A peer that sends nothing
 * is waited for: give it a limit.
 */
coil_declare(coil_slice, coil_read_proxy_header, (coil_stream *) stream, (size_t) limit_bytes,
        (coil_proxy_header *) out_header);

COIL_END_DECLS

#endif
