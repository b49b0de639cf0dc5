/* SPDX-License-Identifier: MIT */
/*
 * op.h - one request to the kernel, from submission to its final completion.
 *
 *     IDLE --op_start()--> BACKLOG (the queue was full) --> IN_FLIGHT --final completion--> DONE
 *
 * From op_start() to DONE the memory of the op, and every buffer that it names, belongs to the
 * kernel, also after op_cancel(): cancelling asks for an early completion, it gives nothing back.
 * Each started op has exactly one final completion, and a multishot op any number of earlier ones.
 *
 * user_data is pointer | generation | tag. The generation tells a completion of an earlier life of
 * the same memory from one of this life.
 */
#ifndef OP_H
#define OP_H

#include <coil/list.h>
#include <coil/task.h>

#include <liburing.h>
#include <poll.h>

typedef struct coil_op coil_op;
typedef struct coil_loop coil_loop;

/* What is special about an operation. One constant each. */
typedef struct op_kind {
    const char *name;
    void (*prepare)(coil_op *op, struct io_uring_sqe *sqe); /* Fill in the request. */
    void (*complete)(coil_op *op, int32_t result, uint32_t flags);
    bool unstoppable; /* A leaf that runs to its end in a cancelled task, too. */
    bool by_worker;   /* A thread of the kernel does it, and is done soon. */
} op_kind;

typedef enum op_state { OP_IDLE, OP_BACKLOG, OP_IN_FLIGHT, OP_DONE } op_state;

struct coil_op {
    const op_kind *kind;
    coil_loop *loop;
    coil_task *task;     /* Whom to wake, or NULL. The leaf is the innermost frame of its task. */
    coil_list link;      /* In loop->backlog or loop->cancels. */
    int32_t result;      /* DONE. IN_FLIGHT it is the recorder's, if there is one. */
    uint16_t generation; /* As user_data has it: the tag below it is 0. */
    uint8_t state;
    bool cancelled; /* We have asked for it. */
};

static_assert(sizeof(coil_op) <= 48, "every connection has one");

enum {
    OP_TAG_OP = 0,
    OP_TAG_CANCEL = 1,  /* The outcome of a cancellation. */
    OP_TAG_WAKE_UP = 2, /* Another thread has woken the loop. */
    OP_TAG_BITS = 2,
    OP_GENERATION_BITS = 14,
};

#define OP_TAG_MASK ((1U << OP_TAG_BITS) - 1)

/* The op that user_data names, if its tag is OP_TAG_OP. It may have begun another life. */
static inline coil_op *op_named(uint64_t name)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel carries it for us as an integer. */
    return (coil_op *)(uintptr_t)(name >> (OP_GENERATION_BITS + OP_TAG_BITS));
}

void op_init(coil_op *op, const op_kind *kind, coil_loop *loop);

/* From IDLE or DONE. */
void op_start(coil_op *op);

/* Ask for an early end. Idempotent; ignored unless started. In the backlog it ends at once. */
void op_cancel(coil_op *op);

/* Is it the kernel's, or on the way there? */
static inline bool op_pending(const coil_op *op)
{
    return op->state == OP_BACKLOG || op->state == OP_IN_FLIGHT;
}

/* Its final completion has arrived. */
void op_complete_last(coil_op *op, int32_t result, uint32_t flags);

/* Submit what waits for room in the queue, cancellations first. */
void op_drain(coil_loop *loop);

/* ---------------------------------------------------------------------- operations as leaves -- */

coil_turn op_leaf_step(coil_task *task, coil_frame *leaf, const op_kind *kind);
void op_leaf_cancel(coil_task *task, coil_frame *leaf);
void op_leaf_complete(coil_op *op, int32_t result, uint32_t flags);

/* Define the awaitable `name` as one operation that `prepare_` fills in. */
#define OP_LEAF(name, prepare_) OP_LEAF_AS(name, prepare_, false, false, op_leaf_cancel)

/* The same, for what waits for no event, but may have to be done by a thread of the kernel. */
#define OP_WORKER_LEAF(name, prepare_) OP_LEAF_AS(name, prepare_, false, true, op_leaf_cancel)

/* That; and it takes place even if the task is being cancelled. */
#define OP_UNSTOPPABLE_LEAF(name, prepare_) OP_LEAF_AS(name, prepare_, true, true, NULL)

#define OP_LEAF_AS(name, prepare_, unstoppable_, by_worker_, cancel_)     \
    static const op_kind name##_kind = {                                  \
            #name, prepare_, op_leaf_complete, unstoppable_, by_worker_}; \
    static coil_turn name##_step(coil_task *task, coil_frame *leaf)       \
    {                                                                     \
        return op_leaf_step(task, leaf, &name##_kind);                    \
    }                                                                     \
    coil_define_leaf(name, name##_step, cancel_)

/* The arguments of the leaf that an op belongs to. */
#define OP_ARGUMENTS(name, op) coil_arguments(name, (op)->task->top)

/*
 * What a poll asks for in order to be told of `events`. POLLPRI wakes nobody in io_uring (it is one
 * of IO_ASYNC_POLL_COMMON); sockets announce POLLRDBAND with it, and that does.
 */
static inline unsigned op_poll_events(unsigned events)
{
    return events & POLLPRI ? events | POLLRDBAND : events;
}

/* What of the result of such a poll was asked for. */
static inline int32_t op_polled(int32_t result, unsigned events)
{
    return result < 0 ? result : result & (int32_t)(events | POLLERR | POLLHUP | POLLNVAL);
}

/* Aim a prepared request at `fd`, which may be a direct descriptor (coil/io.h). */
void op_set_fd(struct io_uring_sqe *sqe, int fd);

#endif
