/* SPDX-License-Identifier: MIT */
#include <coil/stream.h>

#include <coil/connector.h>
#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/layer.h>
#include <coil/sched.h>
#include <coil/sender.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

/* A stream is a receiver, which begins with a sender and a count. */
static coil_sender *sender_of(coil_stream *stream)
{
    return &coil_receiver_head_of(stream)->sender;
}

static uint64_t *bytes_read_of(coil_stream *stream)
{
    return &coil_receiver_head_of(stream)->taken_bytes;
}

/* ------------------------------------------------------------------------------- lifecycle -- */

int coil_stream_create(int fd, coil_transport transport, coil_stream **out_stream)
{
    coil_loop *loop = coil_loop_current();
    COIL_CHECK(loop != NULL);
    return coil_receiver_create(loop, fd, transport, out_stream);
}

int coil_stream_pair(coil_stream **out_one, coil_stream **out_other)
{
    int fds[2];
    coil_stream *one = NULL;
    coil_stream *other = NULL;
    int rc = coil_kernel_socketpair(AF_UNIX, SOCK_STREAM, fds);
    if (rc < 0)
        return rc;
    rc = coil_stream_create(fds[0], COIL_TRANSPORT_SOCKET, &one);
    if (rc < 0) {
        coil_close_later(coil_loop_current(), fds[1]);
        return rc;
    }
    rc = coil_stream_create(fds[1], COIL_TRANSPORT_SOCKET, &other);
    if (rc < 0) {
        coil_stream_close(one);
        return rc;
    }
    *out_one = one;
    *out_other = other;
    return 0;
}

void coil_stream_close(coil_stream *stream)
{
    if (stream == NULL)
        return;
    COIL_CHECK(!coil_sender_busy(sender_of(stream)));
    coil_receiver_close(stream);
}

void coil_stream_abort(coil_stream *stream)
{
    const struct linger reset = {.l_onoff = 1};

    if (stream == NULL)
        return;
    if (sender_of(stream)->is_socket && !coil_fd_is_direct(coil_stream_fd(stream))) {
        (void)coil_kernel_setsockopt(
                coil_stream_fd(stream), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    coil_stream_close(stream);
}

int coil_stream_fd(const coil_stream *stream)
{
    return coil_receiver_fd(stream);
}

size_t coil_stream_unread(const coil_stream *stream)
{
    return (size_t)coil_receiver_in_front(stream);
}

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

uint64_t coil_stream_bytes_read(const coil_stream *stream)
{
    return ((const coil_receiver_head *)(const void *)stream)->taken_bytes;
}

uint64_t coil_stream_bytes_written(const coil_stream *stream)
{
    return ((const coil_receiver_head *)(const void *)stream)->sender.sent_bytes;
}

coil_define(coil_stream *, coil_connect, (const char *) address)
{
    coil_vars(coil_address to; int fd; int rc; coil_stream *stream);

    my->rc = coil_address_parse(address, &my->to);
    if (my->rc == -EINVAL) {
        coil_await(my->stream, coil_connect_to(NULL, address, NULL));
        return my->stream;
    }
    if (my->rc < 0)
        return coil_error_pointer(my->rc);
    my->fd = coil_kernel_socket(my->to.storage.ss_family, SOCK_STREAM, 0);
    if (my->fd < 0)
        return coil_error_pointer(my->fd);
    coil_defer(if (my->fd >= 0) coil_close_later(coil_loop_current(), my->fd));

    int one = 1;
    if (my->to.storage.ss_family != AF_UNIX)
        (void)coil_kernel_setsockopt(my->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    coil_await(my->rc, coil_connect_fd(my->fd, &my->to.socket, my->to.size_bytes));
    if (my->rc == 0) {
        my->rc = coil_stream_create(my->fd, COIL_TRANSPORT_SOCKET, &my->stream);
        my->fd = -1;
    }
    return my->rc < 0 ? coil_error_pointer(my->rc) : my->stream;
}

/* --------------------------------------------------------------------------------- reading -- */
/*
 * Every read is a leaf: what is wanted is there, or the task waits and looks again. Whatever has
 * come stays with the receiver until it is taken, so a reader that is cancelled loses nothing.
 */

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

/* --------------------------------------------------------------------------------- writing -- */

/* It begins with a sender: coil_sender_write() by another name. */
static_assert(offsetof(struct coil_write_all__frame, co__ret) ==
                              offsetof(struct coil_sender_write__frame, co__ret) &&
                      offsetof(struct coil_write_all__frame, co__a.stream) ==
                              offsetof(struct coil_sender_write__frame, co__a.sender) &&
                      offsetof(struct coil_write_all__frame, co__a.bytes) ==
                              offsetof(struct coil_sender_write__frame, co__a.bytes),
        "coil_sender_step() finds what it looks for");

coil_define_leaf(coil_write_all, coil_sender_step, coil_sender_cancel);

bool coil_stream_is_layered(const coil_stream *stream)
{
    return ((const coil_receiver_head *)(const void *)stream)->sender.is_layered;
}

/* A layer copies what is written anyhow, and takes one slice. */
coil_async(int, write_in_one, (coil_stream *) stream, (const coil_slice *) parts, (unsigned) count)
{
    coil_vars(coil_slice whole; char *bytes);
    int64_t size_bytes = 0;

    for (unsigned i = 0; i < count; i++)
        size_bytes += parts[i].size_bytes > 0 ? parts[i].size_bytes : 0;
    if (size_bytes == 0)
        return 0;
    const int rc = coil_slice_create((size_t)size_bytes, &my->bytes, &my->whole);
    if (rc < 0)
        return rc;
    coil_defer(coil_slice_release(&my->whole));
    for (unsigned i = 0; i < count; i++) {
        if (parts[i].size_bytes > 0)
            my->bytes = mempcpy(my->bytes, parts[i].bytes, (size_t)parts[i].size_bytes);
    }
    coil_attempt(coil_write_all(stream, my->whole));
    return 0;
}

coil_define(
        int, coil_write_parts, (coil_stream *) stream, (const coil_slice *) parts, (unsigned) count)
{
    coil_vars(int rc);

    if (coil_stream_is_layered(stream)) {
        coil_await(my->rc, write_in_one(stream, parts, count));
    } else {
        coil_await(my->rc, coil_sender_write_parts(sender_of(stream), parts, count));
    }
    return my->rc;
}

enum { LAYERED_BYTES = 16 * 1024 /* A record of TLS: RFC 8446, 5.1. */ };

coil_define(ssize_t, coil_write_some, (coil_stream *) stream, (coil_slice) bytes)
{
    coil_vars(ssize_t count; coil_slice piece);

    if (coil_stream_is_layered(stream)) {
        my->piece = bytes;
        if (my->piece.size_bytes > LAYERED_BYTES)
            my->piece.size_bytes = LAYERED_BYTES;
        coil_attempt(coil_write_all(stream, my->piece));
        return my->piece.size_bytes;
    }
    coil_await(my->count, coil_sender_write_some(sender_of(stream), bytes));
    return my->count;
}

coil_define(int, coil_stream_flush, (coil_stream *) stream)
{
    coil_vars();

    if (coil_stream_is_layered(stream)) {
        coil_attempt(coil_layer_drain(coil_layer_of(stream)));
    } else {
        coil_attempt(coil_sender_hold(sender_of(stream)));
        coil_sender_release(sender_of(stream), false);
    }
    return 0;
}

coil_async(int, shut_down_socket, (int) fd)
{
    coil_vars(int rc);

    if (!coil_fd_is_direct(fd))
        return coil_kernel_shutdown(fd, SHUT_WR); /* The operation takes a thread to do this. */
    coil_await(my->rc, coil_shutdown(fd, SHUT_WR));
    return my->rc;
}

/* Others are writing: it is our turn when they are through, whatever has become of them. */
coil_async(int, shut_down_in_turn, (coil_stream *) stream)
{
    coil_vars(int rc; bool holds);

    coil_defer(if (my->holds) coil_sender_release(sender_of(stream), false));
    coil_await(my->rc, coil_sender_hold(sender_of(stream)));
    my->holds = my->rc == 0;
    if (my->rc == 0 || my->rc == -EPIPE)
        coil_await(my->rc, shut_down_socket(coil_stream_fd(stream)));
    return my->rc;
}

coil_define(int, coil_stream_shutdown, (coil_stream *) stream)
{
    coil_vars(int rc; coil_layer *layer);

    my->layer = coil_layer_of(stream);
    if (my->layer != NULL) {
        coil_await(my->rc, coil_layer_finish(my->layer));
        if (my->rc == 0)
            coil_await(my->rc, coil_stream_shutdown(my->layer->below));
    } else if (coil_sender_busy(sender_of(stream))) {
        coil_await(my->rc, shut_down_in_turn(stream));
    } else {
        coil_await(my->rc, shut_down_socket(coil_stream_fd(stream)));
    }
    return my->rc;
}

/* ------------------------------------------------------------------------------------- idle -- */

static uint64_t activity_of(const coil_stream *stream)
{
    return coil_stream_bytes_read(stream) + coil_stream_bytes_written(stream) +
           (uint64_t)coil_receiver_queued(stream);
}

coil_define(int, coil_stream_watch_idle, (coil_stream *) stream, (coil_duration) limit)
{
    coil_vars(uint64_t activity; coil_time since);

    my->activity = activity_of(stream);
    my->since = coil_task_now(coil_self);
    while (coil_task_now(coil_self) < coil_time_after(my->since, limit)) {
        coil_await(coil_sleep(limit / 4 + 1));
        if (my->activity != activity_of(stream)) {
            my->activity = activity_of(stream);
            my->since = coil_task_now(coil_self);
        }
    }
    return -ETIME;
}
