/* SPDX-License-Identifier: MIT */
/*
 * coil/write_buffer.h - writes that do not wait: a buffer with watermarks, and who empties it.
 *
 *     coil_vars (coil_write_buffer out; coil_group group);
 *
 *     coil_write_buffer_init(&my->out, stream, NULL);
 *     coil_defer(coil_write_buffer_fini(&my->out));
 *     coil_open_group(&my->group);
 *     coil_spawn(&my->group, coil_write_buffer_run(&my->out));
 *
 *     rc = coil_write_buffer_put(&my->out, bytes, size_bytes);     copied; -EAGAIN: too much waits
 *     coil_attempt(coil_write_buffer_drain(&my->out));             wait until there is room again
 *     coil_attempt(coil_write_buffer_flush(&my->out));             wait until all of it is out
 *
 * For messages to those who must not hold us up, as in a chat: whoever does not read gets -EAGAIN
 * instead of our time. Where the writer may wait, coil_write_all() does without a copy.
 *
 *     0 ------ low ------------- high ------------- high + one put
 *              drain returns     puts are -EAGAIN from here
 *
 * A put is taken whole, or not at all: below `high` any size is, so that memory is bounded by that
 * mark and the largest put, twice that while it grows.
 *
 * The end. When the stream fails, or coil_write_buffer_run() is cancelled, what waits is dropped,
 * and that error (-ECANCELED) is the result of everything from then on; written_bytes says how much
 * the kernel has taken. An error is never lost: who puts next gets it, and so does the group, as
 * the result of coil_write_buffer_run().
 *
 * (asyncio: StreamWriter.write(), drain(), set_write_buffer_limits(); its drain() does not flush.)
 *
 * On the loop's thread only. Any number of tasks may put, drain and flush.
 */
#ifndef COIL_WRITE_BUFFER_H
#define COIL_WRITE_BUFFER_H

#include <coil/list.h>
#include <coil/stream.h>

COIL_BEGIN_DECLS

typedef struct coil_write_buffer coil_write_buffer;

typedef struct coil_write_buffer_options {
    size_t high_bytes; /* 0: 64 KiB. */
    size_t low_bytes;  /* 0: a quarter of that. */
} coil_write_buffer_options;

/* Bytes of the buffer's own. */
typedef struct coil_write_buffer_bytes {
    char *bytes;
    size_t size_bytes;
    size_t room_bytes;
} coil_write_buffer_bytes;

/* The owner's memory. */
struct coil_write_buffer {
    size_t queued_bytes;    /* That the kernel has not taken. Read only. */
    uint64_t written_bytes; /* That it has. Read only. */

    /* Private. */
    coil_stream *stream;
    size_t high_bytes;
    size_t low_bytes;
    coil_write_buffer_bytes filling;
    coil_write_buffer_bytes leaving;
    int error;
    bool is_finished; /* Nothing more is to come. */
    coil_list runners;
    coil_list drainers;
    coil_list flushers;
};

/* NULL: the defaults. Allocates nothing. The stream must outlive it. */
COIL_API void coil_write_buffer_init(
        coil_write_buffer *buffer, coil_stream *stream, const coil_write_buffer_options *options);

/* Nobody may be waiting. What has not been written is dropped. Takes a zeroed one. */
COIL_API void coil_write_buffer_fini(coil_write_buffer *buffer);

/*
 * Write what is put, in order, until coil_write_buffer_finish(): then 0. Else the stream's error.
 * One task does this. Others may write to the stream as well: between two puts, or after many.
 */
coil_declare(int, coil_write_buffer_run, (coil_write_buffer *) buffer);

/*
 * Never waits. 0: it is copied; -EAGAIN: `high_bytes` wait already, nothing is taken; -EPIPE it is
 * finished; -ENOMEM; or the error that has ended it.
 */
COIL_API int coil_write_buffer_put(coil_write_buffer *buffer, const void *bytes, size_t size_bytes);

/* Wait, if `high_bytes` wait, until no more than `low_bytes` do. 0, or what has ended it. */
coil_declare(int, coil_write_buffer_drain, (coil_write_buffer *) buffer);

/*
 * Wait until everything is the kernel's. 0, also after coil_write_buffer_finish(); or what has
 * ended it, and some of it never will be.
 */
coil_declare(int, coil_write_buffer_flush, (coil_write_buffer *) buffer);

/* Nothing is put any more; coil_write_buffer_run() ends when all of it is out. */
COIL_API void coil_write_buffer_finish(coil_write_buffer *buffer);

COIL_END_DECLS

#endif
