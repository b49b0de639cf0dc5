/* SPDX-License-Identifier: MIT */
#include <coil/thrift_headers.h>

#include "thrift_header.h"

#include <errno.h>

enum { INFO_PAIRS = 1 }; /* The only "info" of THeader that everybody knows. */

bool thrift_varint_read(const uint8_t **at, const uint8_t *end, uint32_t *out_value)
{
    uint32_t value = 0;

    for (unsigned shift = 0; shift < 35 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        if (shift == 28 && byte > 0x0f)
            return false;
        value |= (uint32_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static bool read_text(const uint8_t **at, const uint8_t *end, coil_thrift_text *out_text)
{
    uint32_t size;

    if (!thrift_varint_read(at, end, &size) || size > (size_t)(end - *at))
        return false;
    *out_text = (coil_thrift_text){(const char *)*at, size};
    *at += size;
    return true;
}

/* The next pair: 1; 0 at the end; -EBADMSG, something is cut. */
static int take_pair(coil_thrift_headers *headers, coil_thrift_header *out_header)
{
    const uint8_t *at = headers->bytes;
    const uint8_t *end = at + headers->size;

    while (headers->left == 0) {
        uint32_t id;
        if (at == end)
            return 0;
        if (!thrift_varint_read(&at, end, &id))
            return -EBADMSG;
        if (id != INFO_PAIRS) /* Padding, or what only newer peers know: nothing else follows. */
            return 0;
        if (!thrift_varint_read(&at, end, &headers->left))
            return -EBADMSG;
    }
    if (!read_text(&at, end, &out_header->name) || !read_text(&at, end, &out_header->value))
        return -EBADMSG;
    headers->left--;
    headers->size = (uint32_t)(end - at);
    headers->bytes = at;
    return 1;
}

int thrift_headers_count(coil_thrift_headers headers)
{
    coil_thrift_header header;
    int count = 0;

    for (;;) {
        int rc = take_pair(&headers, &header);
        if (rc <= 0)
            return rc < 0 ? rc : count;
        if (++count > COIL_THRIFT_HEADERS_MAX)
            return -EMSGSIZE;
    }
}

bool coil_thrift_headers_next(coil_thrift_headers *headers, coil_thrift_header *out_header)
{
    if (headers->bytes == NULL || take_pair(headers, out_header) <= 0) {
        *headers = (coil_thrift_headers){NULL, 0, 0};
        return false;
    }
    return true;
}

bool coil_thrift_headers_find(
        coil_thrift_headers headers, const char *name, coil_thrift_text *out_value)
{
    coil_thrift_header header;

    while (coil_thrift_headers_next(&headers, &header)) {
        if (coil_thrift_text_is(header.name, name)) {
            *out_value = header.value;
            return true;
        }
    }
    return false;
}
