/* SPDX-License-Identifier: MIT */
#include <coil/io.h>

#include "loop_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <limits.h>

enum {
    CACHED_MAX_BYTES = 64 * 1024, /* Copied without a wait. */
    CACHED_TURN_COUNT = 64,       /* So often in a turn of the loop. */
    CACHED_SKIP_COUNT = 16,       /* After a try that has failed, so many reads are not tried. */
};

/* The kernel transfers at most this much at a time; the result says how much it was. */
static unsigned clamp(size_t size_bytes)
{
    return size_bytes > INT_MAX ? INT_MAX : (unsigned)size_bytes;
}

/* ------------------------------------------------------------------------ any descriptor -- */

static void prepare_read(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_read__args *a = OP_ARGUMENTS(coil_read, op);
    io_uring_prep_read(sqe, 0, a->bytes, clamp(a->size_bytes), (uint64_t)-1);
    op_set_fd(sqe, a->fd);
}
OP_LEAF(coil_read, prepare_read);

static void prepare_write(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_write__args *a = OP_ARGUMENTS(coil_write, op);
    io_uring_prep_write(sqe, 0, a->bytes, clamp(a->size_bytes), (uint64_t)-1);
    op_set_fd(sqe, a->fd);
}
OP_LEAF(coil_write, prepare_write);

static void prepare_pread(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_pread__args *a = OP_ARGUMENTS(coil_pread, op);
    io_uring_prep_read(sqe, 0, a->bytes, clamp(a->size_bytes), (uint64_t)a->offset);
    op_set_fd(sqe, a->fd);
}

static const op_kind pread_kind = {
        .name = "coil_pread", .prepare = prepare_pread, .complete = op_leaf_complete};

/*
 * What the page cache has is there at once, for less than half of what a turn of the ring costs.
 * Nobody knows what it has, so a try that fails is not repeated for a while; and a task that only
 * reads files must not keep the loop for itself.
 */
static bool may_read_now(coil_loop *loop, int fd, size_t size_bytes)
{
    if (coil_fd_is_direct(fd) || size_bytes > CACHED_MAX_BYTES)
        return false;
    if (loop->cached_reads.skip_count > 0) {
        loop->cached_reads.skip_count--;
        return false;
    }
    uint32_t turn = (uint32_t)loop->stats.turns;
    if (loop->cached_reads.turn != turn) {
        loop->cached_reads.turn = turn;
        loop->cached_reads.turn_count = 0;
    }
    return loop->cached_reads.turn_count++ < CACHED_TURN_COUNT;
}

/* All of it, or the end of the file; a part may be all that the cache has. */
static bool read_now(coil_loop *loop, coil_frame *leaf)
{
    const struct coil_pread__args *a = coil_arguments(coil_pread, leaf);
    ssize_t count = coil_kernel_pread_now(a->fd, a->bytes, a->size_bytes, a->offset);
    if (count != 0 && count != (ssize_t)a->size_bytes) {
        loop->cached_reads.skip_count = CACHED_SKIP_COUNT;
        return false;
    }
    coil_result(coil_pread, leaf) = count;
    return true;
}

/*
 * A negative offset never reaches the kernel, here and in coil_pwrite(): to pread(2) it is an
 * error, but to the ring -1 is the file position.
 */
static coil_turn pread_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_pread__args *a = coil_arguments(coil_pread, leaf);
    coil_loop *loop = coil_loop_of(task);

    if (leaf->at == NULL && a->offset < 0) {
        if (!coil_task_refuses(task))
            coil_result(coil_pread, leaf) = -EINVAL;
        return coil_leave(task, leaf);
    }
    if (leaf->at == NULL && !coil_task_cancelling(task) &&
            may_read_now(loop, a->fd, a->size_bytes) && read_now(loop, leaf))
        return coil_leave(task, leaf);
    return op_leaf_step(task, leaf, &pread_kind);
}

coil_define_leaf(coil_pread, pread_step, op_leaf_cancel);

static void prepare_pwrite(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_pwrite__args *a = OP_ARGUMENTS(coil_pwrite, op);
    io_uring_prep_write(sqe, 0, a->bytes, clamp(a->size_bytes), (uint64_t)a->offset);
    op_set_fd(sqe, a->fd);
}

static const op_kind pwrite_kind = {
        .name = "coil_pwrite", .prepare = prepare_pwrite, .complete = op_leaf_complete};

static coil_turn pwrite_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at == NULL && coil_arguments(coil_pwrite, leaf)->offset < 0) {
        if (!coil_task_refuses(task))
            coil_result(coil_pwrite, leaf) = -EINVAL;
        return coil_leave(task, leaf);
    }
    return op_leaf_step(task, leaf, &pwrite_kind);
}

coil_define_leaf(coil_pwrite, pwrite_step, op_leaf_cancel);

static void prepare_readv(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_readv__args *a = OP_ARGUMENTS(coil_readv, op);
    io_uring_prep_readv(sqe, 0, a->parts, a->count, (uint64_t)a->offset);
    op_set_fd(sqe, a->fd);
}
OP_LEAF(coil_readv, prepare_readv);

static void prepare_writev(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_writev__args *a = OP_ARGUMENTS(coil_writev, op);
    io_uring_prep_writev(sqe, 0, a->parts, a->count, (uint64_t)a->offset);
    op_set_fd(sqe, a->fd);
}
OP_LEAF(coil_writev, prepare_writev);

static void prepare_poll(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_poll__args *a = OP_ARGUMENTS(coil_poll, op);
    io_uring_prep_poll_add(sqe, 0, op_poll_events((unsigned short)a->events));
    op_set_fd(sqe, a->fd);
}

static void poll_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    op->result = op_polled(result, (unsigned short)OP_ARGUMENTS(coil_poll, op)->events);
    if (op->result == 0 && op->cancelled)
        op->result = -ECANCELED; /* It came first; to start again would forget that. */
    if (op->result != 0) {
        coil_task_wake(op->task);
    } else {
        op_start(op); /* Nothing that was asked for: only what op_poll_events() has added. */
    }
}

static const op_kind coil_poll_kind = {
        .name = "coil_poll", .prepare = prepare_poll, .complete = poll_complete};

static coil_turn poll_step(coil_task *task, coil_frame *leaf)
{
    return op_leaf_step(task, leaf, &coil_poll_kind);
}

coil_define_leaf(coil_poll, poll_step, op_leaf_cancel);

static void prepare_splice(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_splice__args *a = OP_ARGUMENTS(coil_splice, op);
    unsigned flags = a->flags;
    if (coil_fd_is_direct(a->from))
        flags |= SPLICE_F_FD_IN_FIXED;
    io_uring_prep_splice(sqe, a->from & ~COIL_DIRECT, a->from_offset, 0, a->to_offset,
            clamp(a->size_bytes), flags);
    op_set_fd(sqe, a->to);
}
OP_LEAF(coil_splice, prepare_splice);

static void prepare_close_of(struct io_uring_sqe *sqe, int fd)
{
    if (coil_fd_is_direct(fd)) {
        io_uring_prep_close_direct(sqe, (unsigned)(fd & ~COIL_DIRECT));
    } else {
        io_uring_prep_close(sqe, fd);
    }
}

static void prepare_close(coil_op *op, struct io_uring_sqe *sqe)
{
    prepare_close_of(sqe, OP_ARGUMENTS(coil_close, op)->fd);
}
OP_UNSTOPPABLE_LEAF(coil_close, prepare_close);

/* A close that nobody waits for. */
typedef struct closer {
    coil_op op;
    int fd;
} closer;

static void closer_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    prepare_close_of(sqe, coil_container_of(op, closer, op)->fd);
}

/* Without an entry in the queue. */
static void close_now(coil_loop *loop, int fd)
{
    if (!coil_fd_is_direct(fd)) {
        (void)coil_kernel_close(fd);
        return;
    }
    int none = -1;
    struct io_uring_files_update update = {
            .offset = (unsigned)(fd & ~COIL_DIRECT), .fds = (uint64_t)(uintptr_t)&none};
    (void)coil_kernel_ring_register(&loop->ring.uring, IORING_REGISTER_FILES_UPDATE, &update, 1);
}

static void closer_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    closer *done = coil_container_of(op, closer, op);
    if (result == -ECANCELED) /* The loop ends, and a worker thread had not got round to it. */
        close_now(op->loop, done->fd);
    coil_sched_release(&op->loop->sched, done, sizeof(*done));
}

static const op_kind closer_kind = {
        .name = "close", .prepare = closer_prepare, .complete = closer_complete, .by_worker = true};

void coil_close_later(coil_loop *loop, int fd)
{
    closer *closing = coil_sched_allocate(&loop->sched, sizeof(*closing));
    if (closing != NULL) {
        op_init(&closing->op, &closer_kind, loop);
        closing->fd = fd;
        op_start(&closing->op);
    } else {
        close_now(loop, fd);
    }
}

static void prepare_install(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_install__args *a = OP_ARGUMENTS(coil_install, op);
    io_uring_prep_fixed_fd_install(sqe, a->direct & ~COIL_DIRECT, 0);
}
OP_LEAF(coil_install, prepare_install);

/* ------------------------------------------------------------------------------- sockets -- */

static void prepare_recv(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_recv__args *a = OP_ARGUMENTS(coil_recv, op);
    io_uring_prep_recv(sqe, 0, a->bytes, clamp(a->size_bytes), a->flags);
    op_set_fd(sqe, a->fd);
}
OP_LEAF(coil_recv, prepare_recv);

static void prepare_send(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_send__args *a = OP_ARGUMENTS(coil_send, op);
    io_uring_prep_send(sqe, 0, a->bytes, clamp(a->size_bytes), a->flags | MSG_NOSIGNAL);
    op_set_fd(sqe, a->fd);
}
OP_LEAF(coil_send, prepare_send);

static void prepare_recvmsg(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_recvmsg__args *a = OP_ARGUMENTS(coil_recvmsg, op);
    io_uring_prep_recvmsg(sqe, 0, a->message, (unsigned)a->flags);
    op_set_fd(sqe, a->fd);
}
OP_LEAF(coil_recvmsg, prepare_recvmsg);

static void prepare_sendmsg(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_sendmsg__args *a = OP_ARGUMENTS(coil_sendmsg, op);
    io_uring_prep_sendmsg(sqe, 0, a->message, (unsigned)a->flags | MSG_NOSIGNAL);
    op_set_fd(sqe, a->fd);
}
OP_LEAF(coil_sendmsg, prepare_sendmsg);

static void prepare_accept(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_accept_fd__args *a = OP_ARGUMENTS(coil_accept_fd, op);
    io_uring_prep_accept(sqe, 0, a->address, a->address_bytes, SOCK_CLOEXEC);
    op_set_fd(sqe, a->fd);
}
OP_LEAF(coil_accept_fd, prepare_accept);

static void prepare_connect(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_connect_fd__args *a = OP_ARGUMENTS(coil_connect_fd, op);
    io_uring_prep_connect(sqe, 0, a->address, a->address_bytes);
    op_set_fd(sqe, a->fd);
}
OP_LEAF(coil_connect_fd, prepare_connect);

static void prepare_shutdown(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_shutdown__args *a = OP_ARGUMENTS(coil_shutdown, op);
    io_uring_prep_shutdown(sqe, 0, a->how);
    op_set_fd(sqe, a->fd);
}
OP_WORKER_LEAF(coil_shutdown, prepare_shutdown);

/* ----------------------------------------------------------------------------- processes -- */

static void prepare_waitid(coil_op *op, struct io_uring_sqe *sqe)
{
    struct coil_waitid__args *a = OP_ARGUMENTS(coil_waitid, op);
    io_uring_prep_waitid(sqe, a->type, a->id, a->out_status, a->options, 0);
}
OP_LEAF(coil_waitid, prepare_waitid);
