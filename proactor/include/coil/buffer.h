/* SPDX-License-Identifier: MIT */
/*
 * coil/buffer.h - received bytes, borrowed from the loop's pool of buffers.
 *
 *     coil_attempt(my->in, coil_receiver_next(receiver));      borrow
 *     use my->in.bytes[0 .. my->in.size_bytes - 1]
 *     coil_slice_release(&my->in);                             give back
 *
 * The kernel writes into buffers of a pool that all connections of the loop share, so an idle one
 * holds none. A slice is a piece of such a buffer: no copy has been made, and the buffer stays out
 * of circulation until its last slice has been released. Hold slices briefly; when the pool is
 * empty, receives still work, with a buffer of their own each, but cost more.
 *
 * On the loop's thread only.
 */
#ifndef COIL_BUFFER_H
#define COIL_BUFFER_H

#include <coil/base.h>

#include <stdbool.h>
#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_slice coil_slice;
typedef struct coil_buffer coil_buffer;

/* A zeroed slice is empty and owns nothing. As a result of a coroutine, it may carry an error. */
struct coil_slice {
    int64_t size_bytes; /* Negative: an errno, and no bytes. */
    const char *bytes;
    coil_buffer *buffer; /* Private: whose piece it is. */
};

/* End of stream: nothing came, and nothing will. */
static inline bool coil_slice_empty(const coil_slice *slice)
{
    return slice->size_bytes == 0;
}

/* Private: a slice of `buffer` less. */
COIL_API void coil_buffer_release(coil_buffer *buffer);

/* Give the bytes back and make the slice empty. Takes an empty slice or an error. */
static inline void coil_slice_release(coil_slice *slice)
{
    if (slice->buffer != NULL)
        coil_buffer_release(slice->buffer);
    slice->size_bytes = 0;
    slice->bytes = NULL;
    slice->buffer = NULL;
}

/* The slice as it is; an empty one takes its place. */
static inline COIL_MUST_USE coil_slice coil_slice_take(coil_slice *slice)
{
    coil_slice taken = *slice;
    slice->size_bytes = 0;
    slice->bytes = NULL;
    slice->buffer = NULL;
    return taken;
}

/* Drop the first `size_bytes` of the slice, at most all of them. */
static inline void coil_slice_consume(coil_slice *slice, int64_t size_bytes)
{
    if (size_bytes > slice->size_bytes)
        size_bytes = slice->size_bytes;
    slice->bytes += size_bytes;
    slice->size_bytes -= size_bytes;
}

/* The first `size_bytes`, as a slice of its own; `slice` keeps the rest. No copy. */
COIL_API COIL_MUST_USE coil_slice coil_slice_split(coil_slice *slice, int64_t size_bytes);

/*
 * Another slice of the same bytes: both are to be released. No copy. Not for bytes of one's own
 * that are no buffer's (coil_bytes()): they are named again, and not kept.
 */
COIL_API COIL_MUST_USE coil_slice coil_slice_share(const coil_slice *slice);

/*
 * Memory of `size_bytes`, at least 1, as a slice that owns it: to be filled at `out_bytes` by who
 * made it, and then like any other. -ENOMEM.
 */
COIL_API int coil_slice_create(size_t size_bytes, char **out_bytes, coil_slice *out_slice);

/* Does `more` lie directly behind `slice`, in the same buffer? */
static inline bool coil_slice_continues(const coil_slice *slice, const coil_slice *more)
{
    return slice->buffer != NULL && slice->buffer == more->buffer &&
           slice->bytes + slice->size_bytes == more->bytes;
}

/*
 * Put the bytes of `more` behind those of `slice`, in one piece, and release it. Copies unless one
 * of them is empty; memory grows in proportion to the bytes. -ENOMEM: `slice` is as before, and
 * `more` released.
 */
COIL_API int coil_slice_append(coil_slice *slice, coil_slice *more);

COIL_END_DECLS

#endif
