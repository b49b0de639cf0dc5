/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_headers.h - names and values that travel beside a message, where the transport has
 * room for them: THeader and HTTP.
 *
 *     coil_thrift_header header;
 *     coil_thrift_headers rest = call->headers;
 *
 *     while (coil_thrift_headers_next(&rest, &header))
 *         ...
 *
 * What was received lies packed in memory that somebody else owns: whoever gave it says for how
 * long. It was checked on arrival: at most COIL_THRIFT_HEADERS_MAX pairs, and none that is cut.
 * Names of HTTP are in lower case, as HTTP/2 has them; those of THeader are what the peer wrote.
 */
#ifndef COIL_THRIFT_HEADERS_H
#define COIL_THRIFT_HEADERS_H

#include <coil/thrift.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_header coil_thrift_header;
typedef struct coil_thrift_headers coil_thrift_headers;

/* How many a peer may send with one message. */
enum { COIL_THRIFT_HEADERS_MAX = 128 };

struct coil_thrift_header {
    coil_thrift_text name;
    coil_thrift_text value;
};

/* A value: a copy is another place in the same headers. All zeros: there are none. */
struct coil_thrift_headers {
    const uint8_t *bytes; /* What has not been taken, as THeader packs its "info". */
    uint32_t size;
    uint32_t left; /* Pairs left of those that were announced together. */
};

/* Take the next pair. False at the end. */
COIL_API COIL_MUST_USE bool coil_thrift_headers_next(
        coil_thrift_headers *headers, coil_thrift_header *out_header);

/* The value of the first header that is called `name`. False if there is none. */
COIL_API COIL_MUST_USE bool coil_thrift_headers_find(
        coil_thrift_headers headers, const char *name, coil_thrift_text *out_value);

COIL_END_DECLS

#endif
