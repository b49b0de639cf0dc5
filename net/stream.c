/* SPDX-License-Identifier: MIT */
#include <coil/stream.h>

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

struct coil_stream {
    coil_loop *loop;
    coil_receiver *receiver;
    int fd;
    coil_receive how;
    int error; /* Bytes were lost for want of memory: nothing comes behind them. */
    bool writing;
    coil_list writers; /* Waiting for their turn. */
    coil_slice unread; /* The first bytes that nobody has taken. Released when empty. */
    uint64_t bytes_read;
    uint64_t bytes_written;
    uint64_t sent_turn; /* Of the loop, when we last sent without the ring. */
};

/* ------------------------------------------------------------------------------- lifecycle -- */

int coil_stream_create(int fd, coil_receive how, coil_stream **out_stream)
{
    coil_loop *loop = coil_loop_current();
    COIL_CHECK(loop != NULL);
    coil_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        coil_close_later(loop, fd);
        return -ENOMEM;
    }
    int rc = coil_receiver_create(loop, fd, how, &stream->receiver);
    if (rc < 0) {
        free(stream);
        return rc;
    }
    stream->loop = loop;
    stream->fd = fd;
    stream->how = how;
    coil_list_init(&stream->writers);
    *out_stream = stream;
    return 0;
}

int coil_stream_pair(coil_stream **out_one, coil_stream **out_other)
{
    int fds[2];
    coil_stream *one = NULL;
    coil_stream *other = NULL;
    int rc = coil_kernel_socketpair(AF_UNIX, SOCK_STREAM, fds);
    if (rc < 0)
        return rc;
    rc = coil_stream_create(fds[0], COIL_RECEIVE_SOCKET, &one);
    if (rc < 0) {
        coil_close_later(coil_loop_current(), fds[1]);
        return rc;
    }
    rc = coil_stream_create(fds[1], COIL_RECEIVE_SOCKET, &other);
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
    COIL_CHECK(!stream->writing);
    coil_slice_release(&stream->unread);
    coil_receiver_close(stream->receiver);
    free(stream);
}

int coil_stream_fd(const coil_stream *stream)
{
    return stream->fd;
}

size_t coil_stream_unread(const coil_stream *stream)
{
    return (size_t)stream->unread.size_bytes;
}

int coil_stream_unread_again(coil_stream *stream, coil_slice *slice)
{
    stream->bytes_read -= (uint64_t)slice->size_bytes;
    coil_slice unread = stream->unread;
    if (coil_slice_continues(slice, &unread)) {
        stream->unread = *slice;
        stream->unread.size_bytes += unread.size_bytes;
        *slice = (coil_slice){0, NULL, NULL};
        coil_slice_release(&unread);
        return 0;
    }
    int rc = coil_slice_append(slice, &unread);
    stream->unread = (coil_slice){0, NULL, NULL};
    if (rc < 0) {
        coil_slice_release(slice);
        stream->error = rc;
        return rc;
    }
    stream->unread = *slice;
    *slice = (coil_slice){0, NULL, NULL};
    return 0;
}

uint64_t coil_stream_bytes_read(const coil_stream *stream)
{
    return stream->bytes_read;
}

uint64_t coil_stream_bytes_written(const coil_stream *stream)
{
    return stream->bytes_written;
}

coil_define(coil_stream *, coil_connect, (const char *) address)
{
    coil_vars(coil_address to; int fd; int rc; coil_stream *stream);

    my->rc = coil_address_parse(address, &my->to);
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
        my->rc = coil_stream_create(my->fd, COIL_RECEIVE_SOCKET, &my->stream);
        my->fd = -1;
    }
    return my->rc < 0 ? coil_error_pointer(my->rc) : my->stream;
}

/* --------------------------------------------------------------------------------- reading -- */

/* Take the first `size_bytes` of what is unread, without a copy. An empty slice owns nothing. */
static coil_slice take(coil_stream *stream, size_t size_bytes)
{
    if (size_bytes == 0)
        return (coil_slice){0, NULL, NULL};
    stream->bytes_read += size_bytes;
    return coil_slice_split(&stream->unread, (int64_t)size_bytes);
}

/*
 * Have more unread bytes than now, in one piece. Result: 1, 0 at the end of the stream, or an
 * error. Whatever has come stays with the stream, so a reader that is cancelled loses nothing.
 */
coil_async(int, gather, (coil_stream *) stream)
{
    coil_vars(coil_slice more);

    if (stream->error < 0)
        return stream->error;
    coil_await(my->more, coil_receiver_next(stream->receiver));
    if (my->more.size_bytes <= 0)
        return (int)my->more.size_bytes;
    stream->error = coil_slice_append(&stream->unread, &my->more);
    return stream->error < 0 ? stream->error : 1;
}

static coil_slice slice_error(int error)
{
    return (coil_slice){error, NULL, NULL};
}

coil_define(coil_slice, coil_read_some, (coil_stream *) stream)
{
    coil_vars(int rc);

    if (stream->unread.size_bytes == 0) {
        coil_await(my->rc, gather(stream));
        if (my->rc <= 0)
            return slice_error(my->rc);
    }
    return take(stream, (size_t)stream->unread.size_bytes);
}

coil_define(coil_slice, coil_read_block, (coil_stream *) stream, (size_t) size_bytes)
{
    coil_vars(int rc);

    while ((size_t)stream->unread.size_bytes < size_bytes) {
        coil_await(my->rc, gather(stream));
        if (my->rc == 0 && stream->unread.size_bytes > 0)
            my->rc = -ENODATA;
        if (my->rc <= 0)
            return slice_error(my->rc);
    }
    return take(stream, size_bytes);
}

coil_define(ssize_t, coil_read_exact, (coil_stream *) stream, (void *) bytes, (size_t) size_bytes)
{
    coil_vars(coil_slice block);

    coil_await(my->block, coil_read_block(stream, size_bytes));
    if (my->block.size_bytes > 0) {
        memcpy(bytes, my->block.bytes, size_bytes);
        coil_slice_release(&my->block);
        return (ssize_t)size_bytes;
    }
    return (ssize_t)my->block.size_bytes;
}

coil_define(
        coil_slice, coil_read_until, (coil_stream *) stream, (char) delimiter, (size_t) limit_bytes)
{
    coil_vars(size_t scanned_bytes; int rc);

    for (;;) {
        const coil_slice *unread = &stream->unread;
        size_t have_bytes = (size_t)unread->size_bytes;
        size_t look_bytes = have_bytes < limit_bytes ? have_bytes : limit_bytes;
        if (look_bytes > my->scanned_bytes) {
            const char *found = memchr(
                    unread->bytes + my->scanned_bytes, delimiter, look_bytes - my->scanned_bytes);
            if (found != NULL)
                return take(stream, (size_t)(found - unread->bytes) + 1);
        }
        if (look_bytes == limit_bytes)
            return slice_error(-EMSGSIZE);
        my->scanned_bytes = look_bytes;

        coil_await(my->rc, gather(stream));
        if (my->rc == 0)
            return take(stream, (size_t)stream->unread.size_bytes);
        if (my->rc < 0)
            return slice_error(my->rc);
    }
}

/* --------------------------------------------------------------------------------- writing -- */

/* A writer that waits for its turn. Lives on the frame stack of its task. */
typedef struct writer {
    coil_list link;
    coil_task *task;
    bool has_turn;
} writer;

coil_leaf(void, take_turn, (coil_stream *) stream);

static coil_turn take_turn_step(coil_task *task, coil_frame *leaf)
{
    coil_stream *stream = coil_arguments(take_turn, leaf)->stream;
    writer *waiting = leaf->vars;

    if (leaf->at != NULL) {
        if (!waiting->has_turn) {
            coil_list_remove(&waiting->link);
            (void)coil_task_unwind_here(task);
        }
        return coil_leave(task, leaf);
    }
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    if (!stream->writing) {
        stream->writing = true;
        return coil_leave(task, leaf);
    }
    waiting = coil_push(task, sizeof(*waiting));
    waiting->task = task;
    waiting->has_turn = false;
    coil_list_append(&stream->writers, &waiting->link);
    leaf->vars = waiting;
    return coil_leaf_suspend(leaf);
}

coil_leaf_fn(take_turn, take_turn_step, coil_leaf_wake);

/* Hand the turn to the next writer, if there is one. */
static void end_turn(coil_stream *stream)
{
    coil_list *link = coil_list_take_first(&stream->writers);
    if (link == NULL) {
        stream->writing = false;
        return;
    }
    writer *next = coil_container_of(link, writer, link);
    next->has_turn = true;
    coil_task_wake(next->task);
}

/*
 * When no other task is ready, there is nothing to share a submission with: a plain send(2) then
 * costs one system call where the ring would take two turns, one for its completion. Once per turn
 * and stream, so that a writer whose peer is quick cannot keep the loop for itself.
 */
static bool may_send_now(coil_stream *stream, const coil_task *task)
{
    if (stream->how != COIL_RECEIVE_SOCKET || coil_fd_is_direct(stream->fd) || stream->writing)
        return false;
    if (coil_task_cancelling(task) || !coil_sched_idle(task->sched))
        return false;
    uint64_t turn = coil_loop_statistics(stream->loop).turns;
    if (stream->sent_turn == turn)
        return false;
    stream->sent_turn = turn;
    return true;
}

/* Send what the socket takes at once. 0 also if that is nothing. */
static ssize_t send_now(coil_stream *stream, coil_slice bytes)
{
    ssize_t count = coil_kernel_send_now(stream->fd, bytes.bytes, (size_t)bytes.size_bytes);
    if (count < 0)
        return count == -EAGAIN || count == -EINTR ? 0 : count;
    stream->bytes_written += (uint64_t)count;
    return count;
}

coil_define(int, coil_write_all, (coil_stream *) stream, (coil_slice) bytes)
{
    coil_vars(int64_t written_bytes; ssize_t count);

    if (bytes.size_bytes > 0 && may_send_now(stream, coil_self)) {
        my->written_bytes = send_now(stream, bytes);
        if (my->written_bytes < 0)
            return (int)my->written_bytes;
        if (my->written_bytes == bytes.size_bytes)
            return 0;
    }
    coil_await(take_turn(stream));
    coil_defer(end_turn(stream));
    while (my->written_bytes < bytes.size_bytes) {
        const char *rest = bytes.bytes + my->written_bytes;
        size_t rest_bytes = (size_t)(bytes.size_bytes - my->written_bytes);
        if (stream->how == COIL_RECEIVE_SOCKET) {
            coil_attempt(my->count, coil_send(stream->fd, rest, rest_bytes, MSG_WAITALL));
        } else {
            coil_attempt(my->count, coil_write(stream->fd, rest, rest_bytes));
        }
        my->written_bytes += my->count;
        stream->bytes_written += (uint64_t)my->count;
    }
    return 0;
}

coil_define(int, coil_stream_shutdown, (coil_stream *) stream)
{
    coil_vars(int rc);
    coil_await(my->rc, coil_shutdown(stream->fd, SHUT_WR));
    return my->rc;
}
