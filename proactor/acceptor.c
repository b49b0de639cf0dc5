/* SPDX-License-Identifier: MIT */
#include <coil/acceptor.h>

#include "loop_private.h"

#include <coil/io.h>

#include <errno.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

/*
 * The end of a socket that others have, too. Of those who wait there for connections the kernel
 * wakes one for each (EPOLLEXCLUSIVE). One that was woken, and then cancelled before it has looked,
 * leaves the connection to nobody, until the next one wakes somebody else. So when the multishot
 * has ended we look again, until there is none: without waiting (Linux 6.10), as only who does not
 * wait is not woken; before that, by an accept that is cancelled as soon as it is submitted.
 *
 *     GOING --end()--> (multishot cancelled) --> SWEEPING -- -EAGAIN --> OVER
 *                                                   |  ^                  ^
 *                                           -EINVAL v  | a connection     |
 *                                                 TAPPING -- -ECANCELED --'
 */
typedef enum stage { GOING, SWEEPING, TAPPING, OVER } stage;

struct coil_acceptor {
    coil_op op;
    int fd; /* -1: closed already. */
    bool direct;
    bool ended;
    bool closing;
    stage stage;
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

static bool is_over(const coil_acceptor *acceptor)
{
    return acceptor->stage == OVER;
}

/* The next look. Not with more waiting than we take otherwise, nor before an error was told. */
static void sweep(coil_acceptor *acceptor)
{
    if (op_pending(&acceptor->op) || is_over(acceptor) || acceptor->error != 0)
        return;
    if (acceptor->stage == GOING)
        acceptor->stage = SWEEPING;
    if (acceptor->count > COIL_ACCEPTOR_LIMIT_COUNT) {
        acceptor->stage = OVER;
        return;
    }
    op_start(&acceptor->op);
    if (acceptor->stage == TAPPING)
        op_cancel(&acceptor->op);
}

/* What a look has brought that is no connection. Of one connection, or of a shortage: go on. */
static void sweep_failed(coil_acceptor *acceptor, int error)
{
    switch (-error) {
    case EINVAL:
        acceptor->stage = acceptor->stage == SWEEPING ? TAPPING : OVER;
        break;
    case EAGAIN:
    case ECANCELED:
    case EINTR:
    case ENOTSOCK:
        acceptor->stage = OVER;
        break;
    default:
        acceptor->error = error;
    }
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
    if (acceptor->ended)
        sweep(acceptor);
    if (is_over(acceptor))
        close_socket(acceptor);
    if (acceptor->waiter != NULL) {
        if (is_over(acceptor) || acceptor->count > 0 || acceptor->error != 0) {
            coil_task_wake(acceptor->waiter);
        } else if (!op_pending(&acceptor->op) && !acceptor->ended) {
            op_start(&acceptor->op);
        }
    } else if (acceptor->count > COIL_ACCEPTOR_LIMIT_COUNT && !acceptor->ended) {
        op_cancel(&acceptor->op);
    }
}

static void accept_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    const coil_acceptor *acceptor = coil_container_of(op, coil_acceptor, op);
    const bool once = acceptor->stage != GOING;
    if (acceptor->direct && once) {
        io_uring_prep_accept_direct(sqe, 0, NULL, NULL, 0, IORING_FILE_INDEX_ALLOC);
    } else if (once) {
        io_uring_prep_accept(sqe, 0, NULL, NULL, SOCK_CLOEXEC);
    } else if (acceptor->direct) {
        io_uring_prep_multishot_accept_direct(sqe, 0, NULL, NULL, 0);
    } else {
        io_uring_prep_multishot_accept(sqe, 0, NULL, NULL, SOCK_CLOEXEC);
    }
    if (acceptor->stage == SWEEPING)
        sqe->ioprio |= IORING_ACCEPT_DONTWAIT;
    op_set_fd(sqe, acceptor->fd);
}

static void accept_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    coil_acceptor *acceptor = coil_container_of(op, coil_acceptor, op);
    if (result >= 0) {
        enqueue(acceptor, acceptor->direct ? result | COIL_DIRECT : result);
    } else if (acceptor->stage != GOING) {
        sweep_failed(acceptor, result);
    } else if (result != -ECANCELED && result != -EINTR) {
        acceptor->error = result;
    }
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
    if (acceptor->ended)
        sweep(acceptor);
    if (is_over(acceptor)) {
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
