/* SPDX-License-Identifier: MIT */
/*
 * receiver_private.h - what the files of a receiver share.
 *
 *     receiver.c          its life, what is asked of it, and the await
 *     receiver_way.c      the ways that bytes can take, and when to change
 *     receiver_ring.c     the kernel receives
 *     receiver_poll.c     we receive, when a poll has told
 *     receiver_queue.c    what has come and has not been taken
 *
 * What is done for each receive is inline here, or in the same file as who does it.
 */
#ifndef RECEIVER_PRIVATE_H
#define RECEIVER_PRIVATE_H

#include "extras.h"
#include "idle.h"
#include "loop_private.h"
#include "pool.h"

#include <coil/receiver.h>

#include <errno.h>

/* How its bytes get here. */
typedef enum receiver_way {
    BY_RING, /* A multishot receive fills buffers of the pool. */
    BY_US,   /* A poll tells, and we receive when the reader runs. */
    PARKED,  /* Nothing has come for long, or the kernel wants it so: a poll, once. */
    SINGLE,  /* A receive with a buffer of its own, again and again. */
} receiver_way;

/* What is unusual about a receiver, in one word with its way, so that one look tells. */
enum {
    WAY = 3,
    ENDED = 1 << 2,
    CLOSING = 1 << 3,
    READABLE = 1 << 4,                /* It may have bytes that we can receive by ourselves. */
    QUEUED = 1 << 5,                  /* There is something behind the front. */
    HAS_MORE = 1 << 6,                /* Behind the bytes: the end, or urgent data: reads stop. */
    CAN_INLINE = 1 << 7,              /* It is a socket with an ordinary descriptor. */
    LACKS_MULTISHOT = 1 << 8,         /* Multishot does not work on this descriptor. */
    KNOWS_SHORT_READS = 1 << 9,       /* We have asked about the next. */
    DRAINED_BY_SHORT_READS = 1 << 10, /* A read that could have given more has emptied it. */
    LAYERED = 1 << 11,                /* No descriptor of its own: coil/layer.h. */
    PAUSING = 1 << 12,                /* Somebody waits for nothing to be under way. */
    WATCHED = 1 << 13,                /* Debug mode: the front is a copy that somebody watches. */
    LARGE_ONE = 1 << 14,              /* Counts large receives of the ring, one after the other. */
    LARGE_ALL = 3 * LARGE_ONE,
};

enum {
    NOT_WAITING =
            WAY | ENDED | CLOSING | READABLE | QUEUED | LAYERED, /* for the ring, nothing here. */
    NOT_SIMPLE = NOT_WAITING | LARGE_ALL | PAUSING | WATCHED,
};

enum { LARGE_BYTES = 16 * 1024 /* A large receive has so many. */ };

/* Every connection has one, so it is kept small. */
struct coil_receiver {
    coil_receiver_head head;
    coil_op op;       /* op.task: who waits. */
    coil_slice front; /* The first bytes that nobody has taken. Empty: none. */
    idle_watch idle;
    uint16_t state; /* A way, and what is unusual. */
    int16_t error;  /* Of the end: 0 is that of the stream. */
};

static_assert(offsetof(coil_receiver, head) == 0, "coil_receiver_head_of()");
static_assert(sizeof(coil_receiver) <= 112, "every connection has one");

static inline bool receiver_is(const coil_receiver *receiver, unsigned states)
{
    return (receiver->state & states) != 0;
}

static inline void receiver_set(coil_receiver *receiver, unsigned states)
{
    receiver->state = (uint16_t)(receiver->state | states);
}

static inline void receiver_unset(coil_receiver *receiver, unsigned states)
{
    receiver->state = (uint16_t)(receiver->state & ~states);
}

static inline int receiver_fd_of(const coil_receiver *receiver)
{
    return receiver->head.sender.fd;
}

static inline bool receiver_is_socket(const coil_receiver *receiver)
{
    return receiver->head.sender.is_socket;
}

static inline coil_sched *receiver_sched(const coil_receiver *receiver)
{
    return &receiver->op.loop->sched;
}

static inline coil_receiver *receiver_of(coil_op *op)
{
    return coil_container_of(op, coil_receiver, op);
}

/* Those that it has or needs now. NULL: there is no memory. */
static inline coil_extras *receiver_extras(coil_receiver *receiver)
{
    return extras_of(&receiver->head.sender, receiver_sched(receiver));
}

static inline void receiver_review_extras(coil_receiver *receiver)
{
    extras_review(&receiver->head.sender, receiver_sched(receiver));
}

/* ----------------------------------------------------------------------------------- ways -- */

static inline receiver_way receiver_way_of(const coil_receiver *receiver)
{
    return (receiver_way)(receiver->state & WAY);
}

/* False: there is no memory, and everything as it was. */
bool receiver_change_way(coil_receiver *receiver, receiver_way to);

/* For the bytes that come next. */
receiver_way receiver_choose_way(coil_receiver *receiver);

/* We receive: is it worth a try to leave it to the kernel again? Asked once for each wait. */
bool receiver_may_return_to_ring(coil_receiver *receiver, const buffer_pool *pool);

/* The kernel has received LARGE_BYTES or more at once. */
void receiver_got_large(coil_receiver *receiver);

/* Bytes have come, or are about to. */
static inline void receiver_touch(coil_receiver *receiver)
{
    idle_touch(&receiver->op.loop->idle, &receiver->idle);
    if (coil_unlikely(receiver_way_of(receiver) == PARKED))
        (void)receiver_change_way(receiver, BY_RING);
}

/* ------------------------------------------------------------------------------ operations -- */

extern const op_kind receiver_ring_kind;   /* The kernel receives, many times. */
extern const op_kind receiver_single_kind; /* It does so once. */
extern const op_kind receiver_poll_kind;   /* It tells when we can. */

static inline void receiver_start(coil_receiver *receiver, const op_kind *kind)
{
    receiver->op.kind = kind;
    op_start(&receiver->op);
}

/* The same for a single receive, which needs memory: without, the stream ends. */
void receiver_start_single(coil_receiver *receiver);

/* After each completion: tell the waiter, go on, pause, or leave. */
void receiver_settle(coil_receiver *receiver);

/* Has nothing happened to the descriptor, but only to the operation? */
static inline bool receiver_is_interruption(int32_t result)
{
    return result == -ECANCELED || result == -EINTR;
}

/* May there be bytes that we can receive, and is nobody else about to? */
static inline bool receiver_may_receive(const coil_receiver *receiver)
{
    return receiver_is(receiver, READABLE) && !receiver_is(receiver, ENDED) &&
           (!op_pending(&receiver->op) || receiver->op.kind == &receiver_poll_kind);
}

/* Do so, unless it has had its turn. True: there are more bytes than before. */
bool receiver_receive_now(coil_receiver *receiver);

/* The leaves that coil_receiver_step() does look like this, whatever their names. */
typedef struct receiver_leaf {
    coil_frame frame;
    union {
        coil_slice result;
        coil_receiver *receiver;
    };
} __attribute__((may_alias)) receiver_leaf;

/* What waits is such a leaf, of this receiver and not of a layer above, and has only to leave. */
static inline bool receiver_feeds(const coil_receiver *receiver, const coil_task *waiter)
{
    const receiver_leaf *leaf = (const receiver_leaf *)(const void *)waiter->top;
    return leaf->frame.fn->step == coil_receiver_step && leaf->receiver == receiver &&
           leaf->frame.defers == NULL && leaf->frame.up != NULL &&
           waiter->queued == COIL_NOT_QUEUED;
}

/* Have the leaf that waits leave with `slice`: so its task goes on where that was awaited. */
static inline void receiver_feed(
        coil_receiver *receiver, coil_loop *loop, coil_task *waiter, coil_slice slice)
{
    receiver_leaf *leaf = (receiver_leaf *)(void *)waiter->top;
    receiver->op.task = NULL;
    receiver->head.taken_bytes += (uint64_t)slice.size_bytes;
    leaf->result = slice;
    (void)coil_leave(waiter, &leaf->frame);
    coil_sched_queue(&loop->sched, waiter);
}

/*
 * The usual completion of a receive by the ring, `cqe` at `head`: some bytes, somebody waits for
 * them, and there will be more. If the one behind it, before `tail`, brings some, they are joined:
 * a task that had been given these would send two replies. False: it is another one, and nothing
 * has been done.
 */
static inline __attribute__((always_inline)) bool receiver_complete_usual(
        coil_loop *loop, coil_op *op, const struct io_uring_cqe *cqe, unsigned head, unsigned tail)
{
    const struct io_uring_cq *cq = &loop->ring.uring.cq;
    const int32_t result = cqe->res;
    const uint32_t flags = cqe->flags;
    const uint32_t usual_flags = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE;
    coil_receiver *receiver = receiver_of(op);
    coil_task *waiter = op->task;

    if (coil_unlikely((flags & usual_flags) != usual_flags ||
                      (uint32_t)result - 1 >= LARGE_BYTES - 1 || waiter == NULL ||
                      receiver->front.buffer != NULL || receiver_is(receiver, NOT_SIMPLE)))
        return false;
    idle_touch(&loop->idle, &receiver->idle);
    coil_slice slice = buffer_pool_take(loop->buffers, result, flags);
    const bool is_alone =
            head + 1 == tail || cq->cqes[(head + 1) & cq->ring_mask].user_data != cqe->user_data;
    if (coil_likely(is_alone && receiver_feeds(receiver, waiter))) {
        receiver_feed(receiver, loop, waiter, slice);
    } else {
        receiver->front = slice;
        coil_task_wake(waiter);
    }
    return true;
}

/* ---------------------------------------------------------------------------------- queue -- */

static inline slice_queue *receiver_queue(const coil_receiver *receiver)
{
    return receiver_is(receiver, QUEUED) ? receiver->head.sender.extras->queue : NULL;
}

/* The stream ends behind what has come. The first reason counts. */
void receiver_end(coil_receiver *receiver, int32_t result);

/* Put `slice` behind what has come. */
void receiver_enqueue(coil_receiver *receiver, coil_slice slice);

/* The front is empty: have the next one there. Somebody watches, or there is a next one. */
void receiver_bring_forward(coil_receiver *receiver);

/* The front is empty: have the next one there, if there is one. */
static inline void receiver_advance(coil_receiver *receiver)
{
    coil_slice_release(&receiver->front); /* It may have been consumed in place. */
    if (coil_unlikely(receiver_is(receiver, QUEUED | WATCHED)))
        receiver_bring_forward(receiver);
}

void receiver_drop_all(coil_receiver *receiver);

#endif
