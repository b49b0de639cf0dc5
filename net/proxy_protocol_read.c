/* SPDX-License-Identifier: MIT */
/* The PROXY header of a stream: peeked at until its size is known, so no byte more is taken. */
#include "proxy_protocol_private.h"

#include <errno.h>

static coil_slice failure(int error)
{
    return (coil_slice){error, NULL, NULL};
}

/* Which version the stream begins with; 0: it has ended. */
coil_async(int, peek_version, (coil_stream *) stream)
{
    coil_vars(coil_slice start);

    coil_await(my->start, coil_read_block(stream, PROXY_SIGNATURE_BYTES));
    if (my->start.size_bytes <= 0)
        return (int)my->start.size_bytes;
    int version = proxy_version_of(my->start.bytes);
    int rc = coil_stream_unread_again(stream, &my->start);
    return rc < 0 ? rc : version;
}

/* How long the binary header is that the stream begins with. */
coil_async(ssize_t, peek_size, (coil_stream *) stream, (size_t) limit_bytes)
{
    coil_vars(coil_slice start);

    coil_await(my->start, coil_read_block(stream, PROXY_V2_BYTES));
    if (my->start.size_bytes <= 0)
        return my->start.size_bytes < 0 ? (ssize_t)my->start.size_bytes : -ENODATA;
    ssize_t size_bytes = proxy_v2_size((const uint8_t *)my->start.bytes);
    int rc = coil_stream_unread_again(stream, &my->start);
    if (rc < 0)
        return rc;
    return size_bytes > (ssize_t)limit_bytes ? -EMSGSIZE : size_bytes;
}

coil_async(coil_slice, read_line, (coil_stream *) stream, (size_t) limit_bytes)
{
    coil_vars(coil_slice line);

    coil_await(my->line,
            coil_read_until(stream, '\n',
                    limit_bytes < COIL_PROXY_V1_BYTES ? limit_bytes : COIL_PROXY_V1_BYTES));
    bool is_endless = my->line.size_bytes == -EMSGSIZE && limit_bytes >= COIL_PROXY_V1_BYTES;
    return is_endless ? failure(-EBADMSG) : my->line;
}

/* All of it has been read: what it says. */
static coil_slice take_header(coil_slice *raw, coil_proxy_header *out_header)
{
    ssize_t size_bytes = coil_proxy_parse(raw->bytes, (size_t)raw->size_bytes, out_header);
    if (size_bytes == raw->size_bytes)
        return *raw;
    coil_slice_release(raw);
    return failure(size_bytes == -EAGAIN ? -ENODATA : -EBADMSG);
}

coil_define(coil_slice, coil_read_proxy_header, (coil_stream *) stream, (size_t) limit_bytes,
        (coil_proxy_header *) out_header)
{
    coil_vars(coil_slice raw; ssize_t size_bytes; int version);

    coil_await(my->version, peek_version(stream));
    if (my->version <= 0)
        return failure(my->version);
    if (my->version == 1) {
        coil_attempt(my->raw, read_line(stream, limit_bytes));
    } else {
        coil_await(my->size_bytes, peek_size(stream, limit_bytes));
        if (my->size_bytes < 0)
            return failure((int)my->size_bytes);
        coil_attempt(my->raw, coil_read_block(stream, (size_t)my->size_bytes));
    }
    return take_header(&my->raw, out_header);
}
