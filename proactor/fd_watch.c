/* SPDX-License-Identifier: MIT */
#include <coil/fd_watch.h>

#include "loop_private.h"

#include <errno.h>
#include <stdlib.h>

struct coil_fd_watch {
    coil_op op; /* Polls once; begins anew before each call of the hook. */
    coil_call call;
    coil_fd_watch_hook *hook;
    int fd;
    unsigned events;
    bool closing;
};

static coil_fd_watch *owner_of(coil_op *op)
{
    return coil_container_of(op, coil_fd_watch, op);
}

static void watch_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_poll_add(sqe, 0, op_poll_events(owner_of(op)->events));
    op_set_fd(sqe, owner_of(op)->fd);
}

static void watch_complete(coil_op *op, int32_t result, uint32_t flags)
{
    coil_fd_watch *watch = owner_of(op);
    (void)flags;
    if (watch->closing) {
        free(watch);
    } else if (result == -EINTR && !op->cancelled) {
        op_start(op); /* Nothing has happened to the descriptor. */
    } else if (result != -ECANCELED && result != -EINTR) { /* Else the loop ends. */
        coil_call_soon(op->loop, &watch->call);
    }
}

static const op_kind watch_kind = {
        .name = "watch", .prepare = watch_prepare, .complete = watch_complete};

/* The new poll is submitted at the end of the turn: it sees what the hook has left. */
static void tell(coil_call *call)
{
    coil_fd_watch *watch = coil_container_of(call, coil_fd_watch, call);
    int32_t result = op_polled(watch->op.result, watch->events);
    if (result >= 0)
        op_start(&watch->op);
    if (result != 0)
        watch->hook->ready(watch->hook, result);
}

int coil_fd_watch_create(coil_loop *loop, int fd, unsigned events, coil_fd_watch_hook *hook,
        coil_fd_watch **out_watch)
{
    coil_fd_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return -ENOMEM;
    watch->fd = fd;
    watch->events = events;
    watch->hook = hook;
    coil_call_init(&watch->call, tell);
    op_init(&watch->op, &watch_kind, loop);
    op_start(&watch->op);
    *out_watch = watch;
    return 0;
}

void coil_fd_watch_close(coil_fd_watch *watch)
{
    if (watch == NULL)
        return;
    coil_call_cancel(&watch->call);
    watch->closing = true;
    if (op_pending(&watch->op)) {
        op_cancel(&watch->op);
    } else {
        free(watch);
    }
}
