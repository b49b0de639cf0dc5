/* SPDX-License-Identifier: MIT */
/*
 * Of coil/stream.h: reading. Every read is a leaf: what is wanted is there, or the task waits and
 * looks again. Whatever has come stays with the receiver until it is taken, so a reader that is
 * cancelled loses nothing.
 */
#include <coil/stream.h>

#include <coil/sched.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

static uint64_t *bytes_read_of(coil_stream *stream)
{
    return &coil_receiver_head_of(stream)->taken_bytes;
}

/* Nothing that would do has come: wait for more, unless the task is to unwind. */
static coil_turn wait_for_more(coil_task *task, coil_frame *leaf, coil_stream *stream)
{
    if (leaf->at != NULL && coil_task_unwind_here(task))
        return coil_leave(task, leaf);
    coil_receiver_wait(stream, task);
    return coil_leaf_suspend(leaf);
}

/* Is the leaf not even to begin? */
static bool refuses(coil_task *task, const coil_frame *leaf)
{
    return leaf->at == NULL && coil_task_refuses(task);
}

/* Take the first `size_bytes` of what is unread, without a copy. An empty slice owns nothing. */
static coil_slice take(coil_stream *stream, int64_t size_bytes)
{
    if (size_bytes == 0)
        return (coil_slice){0, NULL, NULL};
    *bytes_read_of(stream) += (uint64_t)size_bytes;
    return coil_slice_split(coil_receiver_front(stream), size_bytes);
}

static coil_slice slice_error(int error)
{
    return (coil_slice){error, NULL, NULL};
}

/* A stream is a receiver: it is coil_receiver_next() by another name. */
static_assert(offsetof(struct coil_read_some__frame, co__ret) ==
                              offsetof(struct coil_receiver_next__frame, co__ret) &&
                      offsetof(struct coil_read_some__frame, co__a.stream) ==
                              offsetof(struct coil_receiver_next__frame, co__a.receiver),
        "coil_receiver_step() finds what it looks for");

coil_define_leaf(coil_read_some, coil_receiver_step, coil_leaf_wake);

/*
 * Have `size_bytes` in front, in one piece: 1, or -EAGAIN, the error, 0 at an end before the first
 * of them and -ENODATA at one among them.
 */
static int look_for_block(coil_stream *stream, coil_task *task, size_t size_bytes)
{
    const coil_slice *front = coil_receiver_front(stream);

    if (size_bytes == 0)
        return 1;
    int rc = coil_receiver_look(stream, task);
    while (rc > 0 && (size_t)front->size_bytes < size_bytes)
        rc = coil_receiver_extend(stream, task);
    return rc == 0 && front->size_bytes > 0 ? -ENODATA : rc;
}

static coil_turn read_block_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_read_block__args *arguments = coil_arguments(coil_read_block, leaf);
    coil_stream *stream = arguments->stream;

    if (refuses(task, leaf))
        return coil_leave(task, leaf);
    int rc = look_for_block(stream, task, arguments->size_bytes);
    if (rc == -EAGAIN)
        return wait_for_more(task, leaf, stream);
    coil_result(coil_read_block, leaf) =
            rc > 0 ? take(stream, (int64_t)arguments->size_bytes) : slice_error(rc);
    return coil_leave(task, leaf);
}

coil_define_leaf(coil_read_block, read_block_step, coil_leaf_wake);

static coil_turn read_exact_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_read_exact__args *arguments = coil_arguments(coil_read_exact, leaf);
    coil_stream *stream = arguments->stream;

    if (refuses(task, leaf))
        return coil_leave(task, leaf);
    int rc = look_for_block(stream, task, arguments->size_bytes);
    if (rc == -EAGAIN)
        return wait_for_more(task, leaf, stream);
    if (rc > 0) {
        coil_slice block = take(stream, (int64_t)arguments->size_bytes);
        if (block.size_bytes > 0)
            memcpy(arguments->bytes, block.bytes, (size_t)block.size_bytes);
        coil_slice_release(&block);
    }
    coil_result(coil_read_exact, leaf) = rc > 0 ? (ssize_t)arguments->size_bytes : rc;
    return coil_leave(task, leaf);
}

coil_define_leaf(coil_read_exact, read_exact_step, coil_leaf_wake);

static coil_turn peek_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_peek__args *arguments = coil_arguments(coil_peek, leaf);
    coil_stream *stream = arguments->stream;

    if (refuses(task, leaf))
        return coil_leave(task, leaf);
    int rc = look_for_block(stream, task, arguments->least_bytes);
    if (rc == -EAGAIN)
        return wait_for_more(task, leaf, stream);
    coil_result(coil_peek, leaf) =
            rc > 0 ? coil_slice_share(coil_receiver_front(stream)) : slice_error(rc);
    return coil_leave(task, leaf);
}

coil_define_leaf(coil_peek, peek_step, coil_leaf_wake);

/* (memmem(3) takes 30 instructions to see that it can leave one byte to memchr(3).) */
static const char *find(const char *bytes, size_t size_bytes, const coil_slice *wanted)
{
    if (wanted->size_bytes == 1)
        return memchr(bytes, wanted->bytes[0], size_bytes);
    return memmem(bytes, size_bytes, wanted->bytes, (size_t)wanted->size_bytes);
}

/*
 * How much of what is unread ends with the delimiter: -EAGAIN if that has not come yet, and what
 * has come is at the end of the stream. `*scanned_bytes` of it have been looked at already: their
 * end may be the beginning of a delimiter, so it was left out.
 */
static int64_t look_for(coil_stream *stream, coil_task *task, const coil_slice *delimiter,
        size_t limit_bytes, size_t *scanned_bytes)
{
    const coil_slice *unread = coil_receiver_front(stream);
    const size_t size_bytes = (size_t)delimiter->size_bytes;
    int rc = coil_receiver_look(stream, task);

    for (;;) {
        const size_t have_bytes = (size_t)unread->size_bytes;
        const size_t look_bytes = have_bytes < limit_bytes ? have_bytes : limit_bytes;
        if (look_bytes >= *scanned_bytes + size_bytes) {
            const char *found =
                    find(unread->bytes + *scanned_bytes, look_bytes - *scanned_bytes, delimiter);
            if (found != NULL)
                return found - unread->bytes + delimiter->size_bytes;
            *scanned_bytes = look_bytes - (size_bytes - 1);
        }
        if (look_bytes == limit_bytes)
            return -EMSGSIZE;
        if (rc > 0)
            rc = coil_receiver_extend(stream, task);
        if (rc <= 0)
            return rc == 0 ? unread->size_bytes : rc;
    }
}

static coil_turn read_until_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_read_until__args *arguments = coil_arguments(coil_read_until, leaf);
    const coil_slice delimiter = coil_bytes(&arguments->delimiter, 1);

    if (refuses(task, leaf))
        return coil_leave(task, leaf);
    if (leaf->at == NULL)
        leaf->vars = memset(coil_push(task, sizeof(size_t)), 0, sizeof(size_t));
    int64_t line_bytes =
            look_for(arguments->stream, task, &delimiter, arguments->limit_bytes, leaf->vars);
    if (line_bytes == -EAGAIN)
        return wait_for_more(task, leaf, arguments->stream);
    coil_result(coil_read_until, leaf) =
            line_bytes >= 0 ? take(arguments->stream, line_bytes) : slice_error((int)line_bytes);
    return coil_leave(task, leaf);
}

coil_define_leaf(coil_read_until, read_until_step, coil_leaf_wake);

static coil_turn read_until_bytes_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_read_until_bytes__args *arguments =
            coil_arguments(coil_read_until_bytes, leaf);

    if (refuses(task, leaf))
        return coil_leave(task, leaf);
    if (leaf->at == NULL)
        leaf->vars = memset(coil_push(task, sizeof(size_t)), 0, sizeof(size_t));
    int64_t found_bytes = -EINVAL;
    if (arguments->delimiter.size_bytes > 0) {
        found_bytes = look_for(
                arguments->stream, task, &arguments->delimiter, arguments->limit_bytes, leaf->vars);
    }
    if (found_bytes == -EAGAIN)
        return wait_for_more(task, leaf, arguments->stream);
    coil_result(coil_read_until_bytes, leaf) =
            found_bytes >= 0 ? take(arguments->stream, found_bytes) : slice_error((int)found_bytes);
    return coil_leave(task, leaf);
}

coil_define_leaf(coil_read_until_bytes, read_until_bytes_step, coil_leaf_wake);

/* ----------------------------------------------------------------------------- giving back -- */

/* A slice of the caller's own bytes (coil_bytes()) becomes one that owns them. */
static int make_own(coil_slice *slice)
{
    char *bytes;
    coil_slice own;
    if (slice->buffer != NULL)
        return 0;
    int rc = coil_slice_create((size_t)slice->size_bytes, &bytes, &own);
    if (rc < 0)
        return rc;
    memcpy(bytes, slice->bytes, (size_t)slice->size_bytes);
    *slice = own;
    return 0;
}

int coil_stream_unread_again(coil_stream *stream, coil_slice *slice)
{
    coil_slice *front = coil_receiver_front(stream);
    if (slice->size_bytes <= 0) {
        coil_slice_release(slice);
        return 0;
    }
    *bytes_read_of(stream) -= (uint64_t)slice->size_bytes;
    if (coil_slice_continues(slice, front)) {
        int64_t size_bytes = front->size_bytes;
        coil_slice_release(front);
        *front = coil_slice_take(slice);
        front->size_bytes += size_bytes;
        return 0;
    }
    int rc = make_own(slice);
    if (rc == 0)
        rc = coil_slice_append(slice, front);
    if (rc < 0) {
        coil_slice_release(slice);
        coil_receiver_fail(stream, rc);
        return rc;
    }
    *front = coil_slice_take(slice);
    return 0;
}
