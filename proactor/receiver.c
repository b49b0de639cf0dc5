/* SPDX-License-Identifier: MIT */
#include <coil/receiver.h>

#include "extras.h"
#include "idle.h"
#include "layer_private.h"
#include "pool.h"
#include "rights.h"
#include "slice_watch.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>

enum {
    SINGLE_BYTES = 4096,     /* Of a receive without the pool. */
    LIMIT_COUNT = 64,        /* Slices in the queue, whatever their size. */
    TURN_RECEIVES = 2,       /* By ourselves; the second finds the end of what has come. */
    LARGE_BYTES = 16 * 1024, /* A receive of the ring; so many together, and we do it. */
    LARGE_COUNT = 3,
    SMALL_BYTES = 1024,     /* Typical receives of this size are left to the kernel again; */
    INLINE_ARMS_MAX = 1024, /* others after so many waits, to see whether they fit by now. */
};

/* How its bytes get here. */
typedef enum way {
    BY_RING, /* A multishot receive fills buffers of the pool. */
    BY_US,   /* A poll tells, and we receive when the reader runs. */
    PARKED,  /* Nothing has come for long, or the kernel wants it so: a poll, once. */
    SINGLE,  /* A receive with a buffer of its own, again and again. */
} way;

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

static bool is(const coil_receiver *receiver, unsigned states)
{
    return (receiver->state & states) != 0;
}

static void set(coil_receiver *receiver, unsigned states)
{
    receiver->state = (uint16_t)(receiver->state | states);
}

static void unset(coil_receiver *receiver, unsigned states)
{
    receiver->state = (uint16_t)(receiver->state & ~states);
}

static int fd_of(const coil_receiver *receiver)
{
    return receiver->head.sender.fd;
}

static bool is_socket(const coil_receiver *receiver)
{
    return receiver->head.sender.is_socket;
}

static coil_sched *sched_of(const coil_receiver *receiver)
{
    return &receiver->op.loop->sched;
}

/* Those that it has or needs now. NULL: there is no memory. */
static coil_extras *extras_for(coil_receiver *receiver)
{
    return extras_of(&receiver->head.sender, sched_of(receiver));
}

static void review_extras(coil_receiver *receiver)
{
    extras_review(&receiver->head.sender, sched_of(receiver));
}

/* ----------------------------------------------------------------------------------- ways -- */

static way way_of(const coil_receiver *receiver)
{
    return (way)(receiver->state & WAY);
}

/* False: there is no memory, and everything as it was. */
static bool change_way(coil_receiver *receiver, way to)
{
    if (to == way_of(receiver))
        return true;
    if (to == BY_US) {
        coil_extras *extras = extras_for(receiver);
        if (extras == NULL)
            return false;
        extras->is_kept = true;
        extras->arms = 0;
        extras->typical_bytes = LARGE_BYTES;
    }
    unset(receiver, WAY | LARGE_ALL);
    set(receiver, to);
    return true;
}

/* Bytes have come, or are about to. */
static void touch(coil_receiver *receiver)
{
    idle_touch(&receiver->op.loop->idle, &receiver->idle);
    if (coil_unlikely(way_of(receiver) == PARKED))
        (void)change_way(receiver, BY_RING);
}

/* Is it worth a try to leave it to the kernel again? */
static bool may_return_to_ring(coil_receiver *receiver, const buffer_pool *pool)
{
    coil_extras *extras = receiver->head.sender.extras;
    return (extras->typical_bytes < SMALL_BYTES || ++extras->arms == INLINE_ARMS_MAX) &&
           buffer_pool_relaxed(pool);
}

static bool has_buffers(coil_receiver *receiver, buffer_pool *pool)
{
    if (coil_likely(buffer_pool_ready(pool)))
        return true;
    receiver->op.loop->stats.buffer_waits++;
    return buffer_pool_grow(pool);
}

/* For the bytes that come next. */
static way choose_way(coil_receiver *receiver)
{
    buffer_pool *pool = loop_buffers(receiver->op.loop);
    way now = way_of(receiver);

    if (now == PARKED || (now == BY_US && !may_return_to_ring(receiver, pool)))
        return now;
    if (pool == NULL || is(receiver, LACKS_MULTISHOT))
        return SINGLE;
    if (coil_likely(has_buffers(receiver, pool)))
        return BY_RING;
    return is(receiver, CAN_INLINE) ? BY_US : SINGLE;
}

/* ---------------------------------------------------------------------------------- queue -- */

static slice_queue *queue_of(const coil_receiver *receiver)
{
    return is(receiver, QUEUED) ? receiver->head.sender.extras->queue : NULL;
}

/* The first reason counts. */
static void end_stream(coil_receiver *receiver, int32_t result)
{
    if (is(receiver, ENDED))
        return;
    set(receiver, ENDED);
    receiver->error = (int16_t)result;
}

/* Bytes that continue the last slice, in the same buffer, are made part of it. */
static bool joined(coil_receiver *receiver, const coil_slice *slice)
{
    if (is(receiver, QUEUED)) {
        if (!slice_queue_join(queue_of(receiver), slice))
            return false;
    } else if (coil_slice_continues(&receiver->front, slice)) {
        receiver->front.size_bytes += slice->size_bytes;
    } else {
        return false;
    }
    slice->buffer->slice_count--;
    return true;
}

static bool enqueued(coil_receiver *receiver, const coil_slice *slice)
{
    coil_extras *extras = extras_for(receiver);
    if (extras == NULL)
        return false;
    if (!slice_queue_append(&extras->queue, sched_of(receiver), slice)) {
        review_extras(receiver);
        return false;
    }
    set(receiver, QUEUED);
    return true;
}

/* A task receives by itself, in debug mode: what has come is its own, and it looks at once. */
static bool is_for_watching_task(const coil_receiver *receiver)
{
    return is(receiver, WATCHED) && !is(receiver, QUEUED) && receiver->front.buffer == NULL &&
           sched_of(receiver)->running != NULL;
}

static void enqueue_behind(coil_receiver *receiver, coil_slice slice)
{
    if (is(receiver, ENDED)) {
        coil_slice_release(&slice); /* It lies behind a gap. */
        return;
    }
    if (is_for_watching_task(receiver)) {
        receiver->front = slice;
        slice_watch_begin(receiver->op.loop, &receiver->front);
        return;
    }
    if (joined(receiver, &slice) || enqueued(receiver, &slice))
        return;
    /* Bytes are lost, so the stream ends here. */
    end_stream(receiver, -ENOMEM);
    op_cancel(&receiver->op);
    coil_slice_release(&slice);
}

static void enqueue(coil_receiver *receiver, coil_slice slice)
{
    touch(receiver);
    if (receiver->front.buffer == NULL && !is(receiver, QUEUED | ENDED | WATCHED)) {
        receiver->front = slice;
    } else {
        enqueue_behind(receiver, slice);
    }
}

/* The front is empty: have the next one there, if there is one. */
static void advance(coil_receiver *receiver)
{
    coil_slice_release(&receiver->front); /* It may have been consumed in place. */
    if (coil_likely(!is(receiver, QUEUED | WATCHED)))
        return;
    if (is(receiver, WATCHED))
        slice_watch_forget(receiver->op.loop, &receiver->front);
    if (!is(receiver, QUEUED))
        return;
    coil_extras *extras = receiver->head.sender.extras;
    receiver->front = slice_queue_take(&extras->queue, sched_of(receiver));
    if (extras->queue == NULL) {
        unset(receiver, QUEUED);
        review_extras(receiver);
    }
    if (is(receiver, WATCHED) && !is(receiver, CLOSING))
        slice_watch_begin(receiver->op.loop, &receiver->front);
}

static void drop_all(coil_receiver *receiver)
{
    do {
        advance(receiver);
    } while (receiver->front.size_bytes > 0);
}

/* ------------------------------------------------------------------------------ operations -- */

static coil_receiver *owner_of(coil_op *op)
{
    return coil_container_of(op, coil_receiver, op);
}

static void multishot_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_receiver *receiver = owner_of(op);
    if (is_socket(receiver)) {
        io_uring_prep_recv_multishot(sqe, 0, NULL, 0, 0);
    } else {
        io_uring_prep_read_multishot(sqe, 0, 0, (uint64_t)-1, POOL_GROUP);
    }
    op_set_fd(sqe, fd_of(receiver));
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = POOL_GROUP;
}

static void single_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_receiver *receiver = owner_of(op);
    const coil_extras *extras = receiver->head.sender.extras;
    coil_buffer *own = extras->own;
    if (extras->rights != NULL) {
        rights_prepare(extras->rights, own->bytes, SINGLE_BYTES, sqe);
    } else if (is_socket(receiver)) {
        io_uring_prep_recv(sqe, 0, own->bytes, SINGLE_BYTES, 0);
    } else {
        io_uring_prep_read(sqe, 0, own->bytes, SINGLE_BYTES, (uint64_t)-1);
    }
    op_set_fd(sqe, fd_of(receiver));
}

static void poll_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_receiver *receiver = owner_of(op);
    if (way_of(receiver) == PARKED) {
        io_uring_prep_poll_add(sqe, 0, POLLIN | POLLPRI | POLLRDHUP);
    } else {
        io_uring_prep_poll_multishot(sqe, 0, POLLIN | POLLPRI | POLLRDHUP);
    }
    op_set_fd(sqe, fd_of(receiver));
}

/*
 * A socket has nothing to write back: the ring, too, would close it on this very thread, with an
 * entry, a completion and task work on top. Other files may take a while, or a worker thread.
 */
static void close_fd(coil_receiver *receiver)
{
    if (is(receiver, CAN_INLINE)) {
        (void)coil_kernel_close(fd_of(receiver));
    } else {
        coil_close_later(receiver->op.loop, fd_of(receiver));
    }
}

/* It does not receive by itself any more. */
static void release_extras(coil_receiver *receiver)
{
    coil_extras *extras = receiver->head.sender.extras;
    if (coil_likely(extras == NULL))
        return;
    extras->is_kept = false;
    if (is(receiver, CLOSING)) {
        rights_destroy(extras->rights);
        extras->rights = NULL;
    }
    review_extras(receiver);
}

/* What it stands on is the layer's, which closes it when its last bytes have left. */
static COIL_COLD void close_layering(coil_receiver *receiver)
{
    coil_extras *extras = receiver->head.sender.extras;
    struct coil_layering *layering = extras->layering;
    extras->layering = NULL;
    layering_close(layering);
}

static void destroy(coil_receiver *receiver)
{
    coil_loop *loop = receiver->op.loop;
    idle_delist(&loop->idle, &receiver->idle);
    if (coil_unlikely(is(receiver, LAYERED))) {
        close_layering(receiver);
    } else {
        close_fd(receiver);
    }
    release_extras(receiver);
    COIL_CHECK(receiver->head.sender.extras == NULL); /* Else somebody is still writing. */
    coil_sched_release(&loop->sched, receiver, sizeof(*receiver));
}

static void arm(coil_receiver *receiver);

static bool has_news(const coil_receiver *receiver)
{
    return receiver->front.size_bytes > 0 || is(receiver, ENDED | READABLE | QUEUED | PAUSING);
}

static bool is_full(const coil_receiver *receiver)
{
    return coil_receiver_queued(receiver) > COIL_RECEIVER_LIMIT_BYTES ||
           slice_queue_count(queue_of(receiver)) >= LIMIT_COUNT;
}

/* After each completion: tell the waiter, go on, pause, or leave. */
static void settle(coil_receiver *receiver)
{
    if (coil_unlikely(is(receiver, CLOSING))) {
        drop_all(receiver);
        if (!op_pending(&receiver->op))
            destroy(receiver);
        return;
    }
    if (coil_likely(receiver->op.task != NULL)) {
        if (coil_likely(has_news(receiver))) {
            coil_task_wake(receiver->op.task);
        } else if (!op_pending(&receiver->op)) {
            arm(receiver);
        }
    } else if (is_full(receiver)) {
        op_cancel(&receiver->op);
    }
}

static bool is_interrupted(int32_t result)
{
    return result == -ECANCELED || result == -EINTR;
}

/* The last completion of a multishot receive, or one without bytes. */
static COIL_COLD void multishot_ended(coil_receiver *receiver, int32_t result)
{
    if (result == -ENOBUFS) {
        receiver->op.loop->stats.buffer_waits++; /* The next one finds another way. */
    } else if (result == -EBADFD || result == -EINVAL || result == -EOPNOTSUPP) {
        set(receiver, LACKS_MULTISHOT);
    } else if (result == -EAGAIN) {
        /* Kernels that take O_NONBLOCK at its word: poll first. */
        (void)change_way(receiver, PARKED);
    } else if (!is_interrupted(result)) {
        end_stream(receiver, result);
    }
}

/* Much arrives at a time: fetched by us, it is in one piece, and always in the same memory. */
static void received_large(coil_receiver *receiver)
{
    if (way_of(receiver) != BY_RING || !is(receiver, CAN_INLINE) || is(receiver, CLOSING))
        return;
    if ((receiver->state & LARGE_ALL) + LARGE_ONE < LARGE_COUNT * LARGE_ONE) {
        receiver->state += LARGE_ONE;
    } else if (change_way(receiver, BY_US)) {
        op_cancel(&receiver->op);
    }
}

static COIL_NOINLINE void multishot_complete_slowly(
        coil_receiver *receiver, int32_t result, uint32_t flags)
{
    if (flags & IORING_CQE_F_BUFFER) {
        buffer_pool *pool = receiver->op.loop->buffers;
        coil_slice slice = buffer_pool_take(pool, result > 0 ? result : 0, flags);
        if (result > 0) {
            enqueue(receiver, slice);
        } else {
            coil_slice_release(&slice);
        }
    }
    if (result <= 0) {
        multishot_ended(receiver, result);
    } else if (result >= LARGE_BYTES) {
        received_large(receiver);
    } else {
        unset(receiver, LARGE_ALL);
    }
    settle(receiver);
}

/* The usual case: some bytes, of a buffer that has room for more, and somebody waits for them. */
static void multishot_complete(coil_op *op, int32_t result, uint32_t flags)
{
    coil_receiver *receiver = owner_of(op);
    coil_task *waiter = op->task;
    const uint32_t goes_on = IORING_CQE_F_BUFFER | IORING_CQE_F_BUF_MORE;

    if (coil_unlikely((uint32_t)result - 1 >= LARGE_BYTES - 1 || waiter == NULL ||
                      receiver->front.buffer != NULL || is(receiver, NOT_SIMPLE) ||
                      (flags & goes_on) != goes_on)) {
        multishot_complete_slowly(receiver, result, flags);
        return;
    }
    idle_touch(&op->loop->idle, &receiver->idle);
    receiver->front = buffer_pool_part(op->loop->buffers, result, flags);
    coil_task_wake(waiter);
}

/* It does not block, and nothing has come: poll first. We may receive only if there is a pool. */
static void poll_first(coil_receiver *receiver)
{
    (void)change_way(receiver, PARKED);
    if (receiver->op.loop->buffers == NULL)
        unset(receiver, CAN_INLINE);
}

static void single_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    coil_receiver *receiver = owner_of(op);
    coil_buffer *own = receiver->head.sender.extras->own;

    receiver->head.sender.extras->own = NULL;
    if (result >= 0 && receiver->head.sender.extras->rights != NULL)
        result = rights_received(receiver->head.sender.extras->rights, result);
    review_extras(receiver);
    if (result > 0) {
        enqueue(receiver, buffer_fill(own, result));
    } else {
        buffer_put(own);
        if (result == -EAGAIN) {
            poll_first(receiver);
        } else if (!is_interrupted(result)) {
            end_stream(receiver, result);
        }
    }
    settle(receiver);
}

static void poll_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    coil_receiver *receiver = owner_of(op);

    if (result >= 0) {
        touch(receiver);
        if (is(receiver, CAN_INLINE))
            set(receiver, READABLE);
        if (result & (POLLPRI | POLLRDHUP | POLLHUP | POLLERR))
            set(receiver, HAS_MORE);
    } else if (!is_interrupted(result)) {
        end_stream(receiver, result);
    }
    settle(receiver);
}

static const op_kind multishot_kind = {
        .name = "receive", .prepare = multishot_prepare, .complete = multishot_complete};
static const op_kind single_kind = {
        .name = "receive one", .prepare = single_prepare, .complete = single_complete};
static const op_kind poll_kind = {
        .name = "await bytes", .prepare = poll_prepare, .complete = poll_complete};

static void start(coil_receiver *receiver, const op_kind *kind)
{
    receiver->op.kind = kind;
    op_start(&receiver->op);
}

static bool started_single(coil_receiver *receiver)
{
    coil_extras *extras = extras_for(receiver);
    if (extras == NULL)
        return false;
    extras->own = private_buffer_create(SINGLE_BYTES);
    if (extras->own == NULL) {
        review_extras(receiver);
        return false;
    }
    start(receiver, &single_kind);
    return true;
}

static void arm_single(coil_receiver *receiver)
{
    if (started_single(receiver))
        return;
    end_stream(receiver, -ENOMEM);
    if (receiver->op.task != NULL)
        coil_task_wake(receiver->op.task);
}

static void arm(coil_receiver *receiver)
{
    if (coil_unlikely(is(receiver, LAYERED))) {
        coil_layer_wait(coil_layer_of(receiver), receiver->op.task);
        return;
    }
    if (!change_way(receiver, choose_way(receiver)))
        (void)change_way(receiver, SINGLE);
    if (way_of(receiver) != BY_US)
        release_extras(receiver);
    switch (way_of(receiver)) {
    case BY_RING:
        idle_enlist(&receiver->op.loop->idle, &receiver->idle);
        start(receiver, &multishot_kind);
        break;
    case BY_US:
    case PARKED:
        start(receiver, &poll_kind);
        break;
    case SINGLE:
        arm_single(receiver);
        break;
    }
}

/* What is armed ends, and then a poll takes its place, when somebody waits. */
void receiver_park(idle_watch *watch)
{
    coil_receiver *receiver = coil_container_of(watch, coil_receiver, idle);
    receiver->op.loop->stats.parkings++;
    (void)change_way(receiver, PARKED);
    op_cancel(&receiver->op);
}

/* ---------------------------------------------------------------------- receiving ourselves -- */

/* A TCP socket that has given less than it was asked for is empty: epoll(7), question 9. */
static bool is_drained_by_short_reads(coil_receiver *receiver)
{
    if (!is(receiver, KNOWS_SHORT_READS)) {
        set(receiver, KNOWS_SHORT_READS);
        if (coil_kernel_is_tcp(fd_of(receiver)) == 1)
            set(receiver, DRAINED_BY_SHORT_READS);
    }
    return is(receiver, DRAINED_BY_SHORT_READS) && !is(receiver, HAS_MORE);
}

/* Nobody else is about to receive. */
static bool may_receive(const coil_receiver *receiver)
{
    return is(receiver, READABLE) && !is(receiver, ENDED) &&
           (!op_pending(&receiver->op) || receiver->op.kind == &poll_kind);
}

/* A peer that sends all the time must not keep the loop for itself. */
static bool has_turn(const coil_receiver *receiver)
{
    const coil_extras *extras = receiver->head.sender.extras;
    return extras == NULL || extras->turn != (uint16_t)receiver->op.loop->stats.turns ||
           extras->turn_receives < TURN_RECEIVES;
}

static void count_receive(coil_receiver *receiver, coil_extras *extras)
{
    uint16_t turn = (uint16_t)receiver->op.loop->stats.turns;
    if (extras->turn != turn) {
        extras->turn = turn;
        extras->turn_receives = 0;
    }
    extras->turn_receives++;
    extras->is_kept = true;
}

/* As much as counts, for what is typical. */
static uint32_t clamped(ssize_t size_bytes)
{
    return size_bytes < UINT16_MAX ? (uint32_t)size_bytes : UINT16_MAX;
}

static void receive_now(coil_receiver *receiver)
{
    coil_extras *extras = extras_for(receiver);
    coil_buffer *buffer = extras != NULL ? buffer_pool_hot(receiver->op.loop->buffers) : NULL;
    if (buffer == NULL) {
        end_stream(receiver, -ENOMEM);
        return;
    }
    size_t room_bytes = buffer->size_bytes - buffer->used_bytes;
    ssize_t count =
            coil_kernel_recv_now(fd_of(receiver), buffer->bytes + buffer->used_bytes, room_bytes);
    count_receive(receiver, extras);
    if (count > 0) {
        extras->typical_bytes = (uint16_t)((3 * extras->typical_bytes + clamped(count)) / 4);
        if ((size_t)count < room_bytes && is_drained_by_short_reads(receiver))
            unset(receiver, READABLE);
        enqueue(receiver, buffer_fill(buffer, count));
    } else if (count == -EAGAIN) {
        unset(receiver, READABLE);
    } else if (count != -EINTR) {
        end_stream(receiver, (int32_t)count);
    }
}

/* Whatever the layer has is put into our own memory, as if we had received it. */
static COIL_NOINLINE int look_into_layer(coil_receiver *receiver, coil_task *task)
{
    coil_layer *layer = coil_layer_of(receiver);
    buffer_pool *pool = loop_buffers(receiver->op.loop);
    int rc = is(receiver, ENDED) ? receiver->error : layer->kind->look(layer, task);

    if (rc <= 0) {
        if (rc != -EAGAIN)
            end_stream(receiver, rc);
        return rc;
    }
    /* (Not before: to look may have filled the hot one, or made it another.) */
    coil_buffer *buffer = pool != NULL ? buffer_pool_hot(pool) : NULL;
    if (buffer == NULL) {
        end_stream(receiver, -ENOMEM);
        return -ENOMEM;
    }
    size_t count = layer->kind->take(
            layer, buffer->bytes + buffer->used_bytes, buffer->size_bytes - buffer->used_bytes);
    enqueue(receiver, buffer_fill(buffer, (int64_t)count));
    return 1;
}

/* ------------------------------------------------------------------------------------ API -- */

/*
 * Multishot read of the master of a terminal, or of a FIFO that has a name, goes on waiting when
 * the other side hangs up: it asks for POLLIN, and there is only POLLHUP.
 */
static bool misses_hangup(int fd, coil_transport transport)
{
    return transport == COIL_TRANSPORT_FILE && !coil_fd_is_direct(fd) &&
           (coil_kernel_is_device(fd) == 1 || coil_kernel_is_fifo(fd) == 1);
}

int coil_receiver_create(
        coil_loop *loop, int fd, coil_transport transport, coil_receiver **out_receiver)
{
    coil_receiver *receiver = coil_sched_allocate(&loop->sched, sizeof(*receiver));
    if (receiver == NULL) {
        coil_close_later(loop, fd);
        return -ENOMEM;
    }
    *receiver = (coil_receiver){.state = BY_RING};
    coil_sender_init(&receiver->head.sender, fd, transport);
    if (misses_hangup(fd, transport))
        set(receiver, LACKS_MULTISHOT);
    if (receiver->head.sender.sends_at_once)
        set(receiver, CAN_INLINE);
    if (loop->debug != NULL)
        set(receiver, WATCHED);
    op_init(&receiver->op, &multishot_kind, loop);
    *out_receiver = receiver;
    return 0;
}

coil_receiver *receiver_create_layered(struct coil_layering *layering, coil_receiver *below)
{
    coil_sched *sched = sched_of(below);
    coil_receiver *above = coil_sched_allocate(sched, sizeof(*above));
    if (above == NULL)
        return NULL;
    *above = (coil_receiver){.state = BY_RING | LAYERED};
    coil_sender_init(&above->head.sender, fd_of(below), coil_receiver_transport(below));
    above->head.sender.sends_at_once = false;
    op_init(&above->op, &multishot_kind, below->op.loop);
    coil_extras *extras = extras_of(&above->head.sender, sched);
    if (extras == NULL) {
        coil_sched_release(sched, above, sizeof(*above));
        return NULL;
    }
    extras->layering = layering;
    above->head.sender.is_layered = true;
    return above;
}

bool receiver_is_waited_for(const coil_receiver *receiver)
{
    return receiver->op.task != NULL;
}

int64_t coil_receiver_queued(const coil_receiver *receiver)
{
    return receiver->front.size_bytes + slice_queue_bytes(queue_of(receiver));
}

int64_t coil_receiver_in_front(const coil_receiver *receiver)
{
    return receiver->front.size_bytes;
}

int coil_receiver_fd(const coil_receiver *receiver)
{
    return fd_of(receiver);
}

coil_transport coil_receiver_transport(const coil_receiver *receiver)
{
    return is_socket(receiver) ? COIL_TRANSPORT_SOCKET : COIL_TRANSPORT_FILE;
}

void coil_receiver_close(coil_receiver *receiver)
{
    if (receiver == NULL)
        return;
    COIL_CHECK(receiver->op.task == NULL);
    set(receiver, CLOSING);
    if (op_pending(&receiver->op)) {
        op_cancel(&receiver->op);
    } else {
        settle(receiver);
    }
}

/* Bytes behind the front, if there are any, as coil_receiver_look() has it. */
static int look_behind(coil_receiver *receiver, coil_task *task)
{
    if (coil_unlikely(is(receiver, QUEUED | LAYERED)))
        return is(receiver, QUEUED) ? 1 : look_into_layer(receiver, task);
    if (may_receive(receiver) && has_turn(receiver)) {
        int64_t before_bytes = coil_receiver_queued(receiver);
        receive_now(receiver);
        if (coil_receiver_queued(receiver) > before_bytes)
            return 1;
    }
    return is(receiver, ENDED) ? receiver->error : -EAGAIN;
}

/* `task` does not wait any more. One at a time may. */
static void end_wait(coil_receiver *receiver, const coil_task *task)
{
    const coil_task *waiter = receiver->op.task;
    COIL_CHECK(waiter == NULL || waiter == task);
    receiver->op.task = NULL;
}

int coil_receiver_look(coil_receiver *receiver, coil_task *task)
{
    end_wait(receiver, task);
    if (coil_likely(receiver->front.size_bytes > 0))
        return 1;
    advance(receiver);
    return receiver->front.size_bytes > 0 ? 1 : look_behind(receiver, task);
}

coil_slice *coil_receiver_front(coil_receiver *receiver)
{
    return &receiver->front;
}

int coil_receiver_extend(coil_receiver *receiver, coil_task *task)
{
    end_wait(receiver, task);
    int64_t before_bytes = receiver->front.size_bytes;
    int rc = look_behind(receiver, task);
    if (rc <= 0 || receiver->front.size_bytes > before_bytes)
        return rc; /* (What was received now may have been joined.) */
    coil_slice front = coil_slice_take(&receiver->front);
    advance(receiver);
    rc = coil_slice_append(&front, &receiver->front);
    receiver->front = front;
    if (rc < 0)
        coil_receiver_fail(receiver, rc);
    return rc < 0 ? rc : 1;
}

void coil_receiver_fail(coil_receiver *receiver, int error)
{
    unset(receiver, ENDED); /* Whatever has ended it: this comes before. */
    end_stream(receiver, error);
    if (is(receiver, QUEUED)) {
        coil_slice front = coil_slice_take(&receiver->front);
        drop_all(receiver);
        receiver->front = front;
    }
    op_cancel(&receiver->op);
}

void coil_receiver_wait(coil_receiver *receiver, coil_task *task)
{
    receiver->op.task = task;
    if (coil_unlikely(receiver->front.size_bytes > 0))
        slice_move_small(&receiver->front); /* Nobody knows for how long it will stay. */
    if (coil_unlikely(may_receive(receiver))) {
        coil_task_wake_later(task); /* It has had its turn. */
    } else if (coil_unlikely(!op_pending(&receiver->op))) {
        arm(receiver);
    } else if (coil_unlikely(way_of(receiver) == BY_US && receiver->op.kind == &poll_kind &&
                             !receiver->op.cancelled &&
                             may_return_to_ring(receiver, receiver->op.loop->buffers))) {
        (void)change_way(receiver, BY_RING);
        op_cancel(&receiver->op);
    }
}

/* ---------------------------------------------------------------------------------- pauses -- */

static coil_turn pause_step(coil_task *task, coil_frame *leaf)
{
    coil_receiver *receiver = coil_arguments(coil_receiver_pause, leaf)->receiver;

    if (leaf->at == NULL && coil_task_refuses(task))
        return coil_leave(task, leaf);
    end_wait(receiver, task);
    unset(receiver, PAUSING);
    if (!op_pending(&receiver->op)) {
        coil_result(coil_receiver_pause, leaf) = 0;
        return coil_leave(task, leaf);
    }
    if (leaf->at != NULL && coil_task_unwind_here(task))
        return coil_leave(task, leaf);
    set(receiver, PAUSING);
    receiver->op.task = task;
    op_cancel(&receiver->op);
    return coil_leaf_suspend(leaf);
}

coil_define_leaf(coil_receiver_pause, pause_step, coil_leaf_wake);

/* --------------------------------------------------------------------------- descriptors -- */

int coil_receiver_carry_fds(coil_receiver *receiver)
{
    if (!is_socket(receiver) || is(receiver, LAYERED))
        return -EOPNOTSUPP;
    if (op_pending(&receiver->op) || way_of(receiver) != BY_RING)
        return -EBUSY;
    coil_extras *extras = extras_for(receiver);
    if (extras == NULL)
        return -ENOMEM;
    if (extras->rights == NULL)
        extras->rights = rights_create();
    if (extras->rights == NULL) {
        review_extras(receiver);
        return -ENOMEM;
    }
    set(receiver, LACKS_MULTISHOT); /* And nobody receives but by recvmsg(2). */
    unset(receiver, CAN_INLINE);
    return 0;
}

int coil_receiver_take_fd(coil_receiver *receiver)
{
    const coil_extras *extras = receiver->head.sender.extras;
    return extras == NULL || extras->rights == NULL ? -EAGAIN : rights_take(extras->rights);
}

/* ---------------------------------------------------------------------------- as an await -- */

static inline coil_turn take_front(
        coil_task *task, coil_frame *leaf, coil_receiver *receiver, coil_slice *out_slice)
{
    receiver->head.taken_bytes += (uint64_t)receiver->front.size_bytes;
    *out_slice = coil_slice_take(&receiver->front);
    return coil_leave(task, leaf);
}

static COIL_NOINLINE coil_turn step_slowly(
        coil_task *task, coil_frame *leaf, coil_receiver *receiver, coil_slice *out_slice)
{
    if (leaf->at == NULL && coil_task_refuses(task))
        return coil_leave(task, leaf);
    int rc = coil_receiver_look(receiver, task);
    if (rc > 0)
        return take_front(task, leaf, receiver, out_slice);
    if (rc != -EAGAIN) {
        *out_slice = (coil_slice){rc, NULL, NULL};
        return coil_leave(task, leaf);
    }
    if (leaf->at != NULL && coil_task_unwind_here(task))
        return coil_leave(task, leaf);
    coil_receiver_wait(receiver, task);
    return coil_leaf_suspend(leaf);
}

/* Nothing has come, and what brings it is under way: all there is to do is to wait. */
static inline bool has_to_wait(const coil_receiver *receiver)
{
    return receiver->front.buffer == NULL && !is(receiver, NOT_WAITING) &&
           op_pending(&receiver->op);
}

/* The leaves that are done here look like this, whatever their names. */
typedef struct receiver_leaf {
    coil_frame frame;
    coil_slice result;
    coil_receiver *receiver;
} __attribute__((may_alias)) receiver_leaf;

static_assert(
        offsetof(receiver_leaf, result) == offsetof(struct coil_receiver_next__frame, co__ret) &&
                offsetof(receiver_leaf, receiver) ==
                        offsetof(struct coil_receiver_next__frame, co__a.receiver),
        "they do");

coil_turn coil_receiver_step(coil_task *task, coil_frame *leaf)
{
    receiver_leaf *self = (receiver_leaf *)(void *)leaf;
    coil_receiver *receiver = self->receiver;

    if (leaf->at != NULL) {
        if (coil_likely(receiver->front.size_bytes > 0 && receiver->op.task == task)) {
            receiver->op.task = NULL;
            return take_front(task, leaf, receiver, &self->result);
        }
    } else if (coil_likely(task->request == NULL && receiver->op.task == NULL)) {
        if (receiver->front.size_bytes > 0)
            return take_front(task, leaf, receiver, &self->result);
        if (coil_likely(has_to_wait(receiver))) {
            receiver->op.task = task;
            return coil_leaf_suspend(leaf);
        }
    }
    return step_slowly(task, leaf, receiver, &self->result);
}

coil_define_leaf(coil_receiver_next, coil_receiver_step, coil_leaf_wake);
