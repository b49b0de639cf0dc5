/* SPDX-License-Identifier: MIT */
#include <coil/acceptor.h>

#include "loop_private.h"

#include <coil/io.h>

#include <errno.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

struct coil_acceptor {
    coil_op op;
    int fd; /* -1: closed already. */
    bool direct;
    bool ended;
    bool sweeping; /* Ended: it takes what has come meanwhile, and does not wait. */
    bool closing;
    int error; /* Of the last attempt; told once. */
    coil_task *waiter;
    int *queue; /* A ring of `capacity`, a power of two. */
    uint32_t capacity;
    uint32_t first;
    uint32_t count;
};

static bool grow(coil_acceptor *acceptor)
{
    int *larger = malloc(2 * sizeof(*larger) * acceptor->capacity);
    if (larger == NULL)
        return false;
    for (uint32_t i = 0; i < acceptor->count; i++)
        larger[i] = acceptor->queue[(acceptor->first + i) & (acceptor->capacity - 1)];
    free(acceptor->queue);
    acceptor->queue = larger;
    acceptor->capacity *= 2;
    acceptor->first = 0;
    return true;
}

static void enqueue(coil_acceptor *acceptor, int fd)
{
    if (acceptor->count == acceptor->capacity && !grow(acceptor)) {
        coil_close_later(acceptor->op.loop, fd);
        acceptor->error = -ENOMEM;
        return;
    }
    acceptor->queue[(acceptor->first + acceptor->count++) & (acceptor->capacity - 1)] = fd;
}

static int dequeue(coil_acceptor *acceptor)
{
    int fd = acceptor->queue[acceptor->first];
    acceptor->first = (acceptor->first + 1) & (acceptor->capacity - 1);
    acceptor->count--;
    return fd;
}

static void close_socket(coil_acceptor *acceptor)
{
    if (acceptor->fd >= 0)
        coil_close_later(acceptor->op.loop, acceptor->fd);
    acceptor->fd = -1;
}

static void destroy(coil_acceptor *acceptor)
{
    close_socket(acceptor);
    free(acceptor->queue);
    free(acceptor);
}

/* After each completion: tell the waiter, go on, pause, or leave. */
static void settle(coil_acceptor *acceptor)
{
    if (acceptor->closing) {
        while (acceptor->count > 0)
            coil_close_later(acceptor->op.loop, dequeue(acceptor));
        if (!op_pending(&acceptor->op))
            destroy(acceptor);
        return;
    }
    bool is_over = acceptor->ended && !op_pending(&acceptor->op);
    if (is_over)
        close_socket(acceptor);
    if (acceptor->waiter != NULL) {
        if (is_over || acceptor->count > 0 || acceptor->error != 0) {
            coil_task_wake(acceptor->waiter);
        } else if (!op_pending(&acceptor->op)) {
            op_start(&acceptor->op);
        }
    } else if (acceptor->count > COIL_ACCEPTOR_LIMIT_COUNT) {
        op_cancel(&acceptor->op);
    }
}

/* One accept that does not wait (Linux 6.10). */
static void prepare_sweep(const coil_acceptor *acceptor, struct io_uring_sqe *sqe)
{
    if (acceptor->direct) {
        io_uring_prep_accept_direct(sqe, 0, NULL, NULL, 0, IORING_FILE_INDEX_ALLOC);
    } else {
        io_uring_prep_accept(sqe, 0, NULL, NULL, SOCK_CLOEXEC);
    }
    sqe->ioprio |= IORING_ACCEPT_DONTWAIT;
}

/*
 * Of those who wait at one socket, the kernel wakes one for each connection. If that was us, and
 * our cancellation came before we could take it, then nobody else knows of it. So after a
 * cancellation we look once more; but do not go on with that for ever, if it is a busy socket.
 */
static bool goes_on_sweeping(coil_acceptor *acceptor, int32_t result)
{
    if (!acceptor->ended || acceptor->closing || op_pending(&acceptor->op))
        return false;
    if (acceptor->sweeping && (result < 0 || acceptor->count > COIL_ACCEPTOR_LIMIT_COUNT))
        return false;
    acceptor->sweeping = true;
    return true;
}

static void accept_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_acceptor *acceptor = coil_container_of(op, coil_acceptor, op);
    if (acceptor->sweeping) {
        prepare_sweep(acceptor, sqe);
    } else if (acceptor->direct) {
        io_uring_prep_multishot_accept_direct(sqe, 0, NULL, NULL, 0);
    } else {
        io_uring_prep_multishot_accept(sqe, 0, NULL, NULL, SOCK_CLOEXEC);
    }
    op_set_fd(sqe, acceptor->fd);
}

static void accept_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    coil_acceptor *acceptor = coil_container_of(op, coil_acceptor, op);
    if (result >= 0) {
        enqueue(acceptor, acceptor->direct ? result | COIL_DIRECT : result);
    } else if (result != -ECANCELED && result != -EINTR && !acceptor->sweeping) {
        acceptor->error = result;
    }
    if (goes_on_sweeping(acceptor, result))
        op_start(&acceptor->op);
    settle(acceptor);
}

static const op_kind accept_kind = {
        .name = "accept", .prepare = accept_prepare, .complete = accept_complete};

int coil_acceptor_create(coil_loop *loop, int fd, coil_accept_as as, coil_acceptor **out_acceptor)
{
    coil_acceptor *acceptor = calloc(1, sizeof(*acceptor));
    if (acceptor != NULL)
        acceptor->queue = malloc(FIRST_CAPACITY * sizeof(*acceptor->queue));
    if (acceptor == NULL || acceptor->queue == NULL) {
        free(acceptor);
        coil_close_later(loop, fd);
        return -ENOMEM;
    }
    op_init(&acceptor->op, &accept_kind, loop);
    acceptor->fd = fd;
    acceptor->direct = as == COIL_ACCEPT_DIRECT && loop->ring.has_direct_descriptors;
    acceptor->capacity = FIRST_CAPACITY;
    *out_acceptor = acceptor;
    return 0;
}

void coil_acceptor_close(coil_acceptor *acceptor)
{
    if (acceptor == NULL)
        return;
    COIL_CHECK(acceptor->waiter == NULL);
    acceptor->closing = true;
    if (op_pending(&acceptor->op)) {
        op_cancel(&acceptor->op);
    } else {
        settle(acceptor);
    }
}

void coil_acceptor_end(coil_acceptor *acceptor)
{
    if (acceptor->ended)
        return;
    acceptor->ended = true;
    if (op_pending(&acceptor->op)) {
        op_cancel(&acceptor->op);
    } else {
        settle(acceptor);
    }
}

int coil_acceptor_take(coil_acceptor *acceptor)
{
    return acceptor->count > 0 ? dequeue(acceptor) : -EAGAIN;
}

static coil_turn next_step(coil_task *task, coil_frame *leaf)
{
    coil_acceptor *acceptor = coil_arguments(coil_acceptor_next, leaf)->acceptor;

    if (leaf->at == NULL && coil_task_refuses(task))
        return coil_leave(task, leaf);
    COIL_CHECK(acceptor->waiter == NULL || acceptor->waiter == task); /* One at a time. */
    acceptor->waiter = NULL;
    if (acceptor->count > 0) {
        coil_result(coil_acceptor_next, leaf) = dequeue(acceptor);
        return coil_leave(task, leaf);
    }
    if (acceptor->error != 0) {
        coil_result(coil_acceptor_next, leaf) = acceptor->error;
        acceptor->error = 0;
        return coil_leave(task, leaf);
    }
    if (acceptor->ended && !op_pending(&acceptor->op)) {
        coil_result(coil_acceptor_next, leaf) = -ESHUTDOWN;
        return coil_leave(task, leaf);
    }
    if (leaf->at != NULL && coil_task_unwind_here(task))
        return coil_leave(task, leaf);

    acceptor->waiter = task;
    if (!op_pending(&acceptor->op))
        op_start(&acceptor->op);
    return coil_leaf_suspend(leaf);
}

coil_define_leaf(coil_acceptor_next, next_step, coil_leaf_wake);
