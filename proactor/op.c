/* SPDX-License-Identifier: MIT */
#include "op.h"

#include "loop_private.h"

#include <coil/io.h>
#include <coil/probe.h>

#include <errno.h>

enum {
    RESTART_FIRST = -512, /* -ERESTARTSYS */
    RESTART_LAST = -516,  /* -ERESTART_RESTARTBLOCK */
};

static uint64_t name_of(const coil_op *op, unsigned tag)
{
    return (uint64_t)(uintptr_t)op << (OP_GENERATION_BITS + OP_TAG_BITS) | op->generation | tag;
}

void op_init(coil_op *op, const op_kind *kind, coil_loop *loop)
{
    op->kind = kind;
    op->loop = loop;
    op->task = NULL;
    op->state = OP_IDLE;
    op->cancelled = false;
    coil_list_init(&op->link);
}

void op_set_fd(struct io_uring_sqe *sqe, int fd)
{
    sqe->fd = fd & ~COIL_DIRECT;
    if (coil_fd_is_direct(fd))
        sqe->flags |= IOSQE_FIXED_FILE;
}

static void submit(coil_op *op, struct io_uring_sqe *sqe)
{
    const op_kind *kind = op->kind;
    COIL_PROBE(submit, kind->name, op, op->task);
    kind->prepare(op, sqe);
    sqe->user_data = name_of(op, OP_TAG_OP);
    op->state = OP_IN_FLIGHT;
}

void op_start(coil_op *op)
{
    coil_loop *loop = op->loop;
    COIL_CHECK(!op_pending(op));

    op->generation = loop->generation = (uint16_t)(loop->generation + (1U << OP_TAG_BITS));
    op->cancelled = false;
    loop->pending_count++;
    if (op->kind->by_worker)
        loop->worker_count++;

    struct io_uring_sqe *sqe = NULL;
    if (coil_likely(coil_list_empty(&loop->backlog)))
        sqe = ring_next(&loop->ring);
    if (coil_likely(sqe != NULL)) {
        submit(op, sqe);
        return;
    }
    op->state = OP_BACKLOG;
    coil_list_append(&loop->backlog, &op->link);
    loop->chores |= LOOP_HAS_QUEUED;
    loop->stats.backlogged++;
}

static void finish(coil_op *op, const op_kind *kind, int32_t result, uint32_t flags)
{
    op->state = OP_DONE;
    op->result = result;
    op->loop->pending_count--;
    if (kind->by_worker)
        op->loop->worker_count--;
    kind->complete(op, result, flags);
}

/*
 * The request to cancel has no memory of its own, and nobody waits for its outcome: if it comes too
 * late, the op completes with its real result, which nobody can tell from never having asked.
 */
static void submit_cancel(coil_op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_cancel64(sqe, name_of(op, OP_TAG_OP), 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = OP_TAG_CANCEL;
}

void op_cancel(coil_op *op)
{
    coil_loop *loop = op->loop;

    if (op->state == OP_BACKLOG) {
        coil_list_remove(&op->link);
        finish(op, op->kind, -ECANCELED, 0);
        return;
    }
    if (op->state != OP_IN_FLIGHT || op->cancelled)
        return;
    op->cancelled = true;

    struct io_uring_sqe *sqe = ring_next(&loop->ring);
    if (coil_likely(sqe != NULL)) {
        submit_cancel(op, sqe);
    } else {
        coil_list_append(&loop->cancels, &op->link);
        loop->chores |= LOOP_HAS_QUEUED;
    }
}

/* Submit the ops of `list`, each by `submit_one`, until the queue is full. True if none is left. */
static bool drain(
        coil_loop *loop, coil_list *list, void (*submit_one)(coil_op *op, struct io_uring_sqe *sqe))
{
    while (!coil_list_empty(list)) {
        struct io_uring_sqe *sqe = ring_next(&loop->ring);
        if (sqe == NULL)
            return false;
        coil_list *first = list->next; /* coil_list_take_first() could be NULL, to gcc's eyes. */
        coil_list_remove(first);
        submit_one(coil_container_of(first, coil_op, link), sqe);
    }
    return true;
}

void op_drain(coil_loop *loop)
{
    if (drain(loop, &loop->cancels, submit_cancel) && drain(loop, &loop->backlog, submit))
        loop->chores &= (uint8_t)~LOOP_HAS_QUEUED;
}

void op_complete_last(coil_op *op, int32_t result, uint32_t flags)
{
    if (op->cancelled)
        coil_list_remove(&op->link); /* Its cancellation may still be waiting for room. */
    finish(op, op->kind, result, flags);
}

/* --------------------------------------------------------------------------------- leaves -- */

void op_leaf_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)result, (void)flags;
    coil_task_wake(op->task);
}

/*
 * A worker thread that is interrupted by a cancellation reports -EINTR, or, from open and splice, a
 * code that the kernel otherwise keeps to itself (ERESTARTSYS and its like).
 */
static bool is_interruption(int32_t result)
{
    return result == -EINTR || (result <= RESTART_FIRST && result >= RESTART_LAST);
}

/* An interruption that we did not ask for is nobody's business: the operation starts again. */
static bool started_again(coil_op *op)
{
    if (coil_likely(!is_interruption(op->result)))
        return false;
    if (op->kind->unstoppable) {
        op->result = 0; /* close(2): the descriptor is gone all the same. */
        return false;
    }
    if (op->cancelled || coil_task_cancelling(op->task)) {
        op->result = -ECANCELED;
        return false;
    }
    op_start(op);
    return true;
}

coil_turn op_leaf_step(coil_task *task, coil_frame *leaf, const op_kind *kind)
{
    if (leaf->at == NULL) {
        if (!kind->unstoppable && coil_task_refuses(task))
            return coil_leave(task, leaf);
        coil_op *op = coil_push(task, sizeof(*op));
        op_init(op, kind, coil_loop_of(task));
        op->task = task;
        leaf->vars = op;
        op_start(op);
        return coil_leaf_suspend(leaf);
    }

    coil_op *op = leaf->vars;
    COIL_CHECK(op->state == OP_DONE);
    if (coil_unlikely(started_again(op)))
        return COIL_WAIT;
    if (op->result != -ECANCELED || !coil_task_unwind_here(task))
        coil_frame_set_result(leaf, op->result);
    return coil_leave(task, leaf);
}

void op_leaf_cancel(coil_task *task, coil_frame *leaf)
{
    (void)task;
    op_cancel(leaf->vars);
}
