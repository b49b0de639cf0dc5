/* SPDX-License-Identifier: MIT */
#include <coil/receiver.h>

#include "idle.h"
#include "pool.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>

enum {
    FIRST_CAPACITY = 8,
    SINGLE_BYTES = 4096,     /* Of a receive without the pool. */
    LIMIT_COUNT = 64,        /* Slices in the queue, whatever their size. */
    TURN_RECEIVES = 2,       /* By ourselves; the second finds the end of what has come. */
    LARGE_BYTES = 16 * 1024, /* A receive of the ring; so many together, and we do it. */
    LARGE_COUNT = 3,
    SMALL_BYTES = 1024,     /* Typical receives of this size are left to the kernel again; */
    INLINE_ARMS_MAX = 1024, /* others after so many waits, to see whether they fit by now. */
};

/* What has arrived and does not lie behind the front in memory. A ring, there while needed. */
typedef struct slice_queue {
    uint32_t capacity; /* A power of two. */
    uint32_t first;
    uint32_t count;
    int64_t bytes;
    coil_slice slices[];
} slice_queue;

/* Every connection has one, so it is kept small. */
struct coil_receiver {
    coil_op op;         /* op.task: who waits. */
    coil_slice front;   /* The first bytes that nobody has taken. Empty: none. */
    slice_queue *queue; /* What comes behind them, or NULL. */
    coil_buffer *own;   /* Of a single receive in flight. */
    idle_watch idle;
    int fd;
    int error;                 /* Of the end: 0 is that of the stream. */
    uint16_t turn;             /* In which we last received by ourselves. */
    uint16_t inline_arms;      /* Waits since we do. */
    uint16_t typical_bytes;    /* Of those receives: a moving average. */
    uint8_t turn_receives : 2; /* How often we have in that turn. */
    uint8_t large_count : 2;   /* Large receives of the ring, one after the other. */
    bool is_socket : 1;        /* How it is read: recv(2), else read(2). */
    bool lacks_multishot : 1;  /* Multishot does not work on this descriptor. */
    bool can_inline : 1;       /* It is a socket with an ordinary descriptor. */
    bool is_inline : 1;        /* We receive by ourselves. */
    bool is_readable : 1;      /* It may have bytes for that. */
    bool has_more : 1;         /* Behind the bytes: its end, or urgent data, at which reads stop. */
    bool knows_short_reads : 1; /* We have asked about the next. */
    bool is_drained_by_short_reads : 1;
    bool ended : 1;
    bool closing : 1;
};

static_assert(sizeof(coil_receiver) <= 112, "every connection has one");

/* ---------------------------------------------------------------------------------- queue -- */

static size_t queue_size(uint32_t capacity)
{
    return sizeof(slice_queue) + capacity * sizeof(coil_slice);
}

static coil_slice *nth(slice_queue *queue, uint32_t n)
{
    return &queue->slices[(queue->first + n) & (queue->capacity - 1)];
}

static void drop_queue(coil_receiver *receiver)
{
    slice_queue *queue = receiver->queue;
    receiver->queue = NULL;
    coil_sched_release(&receiver->op.loop->sched, queue, queue_size(queue->capacity));
}

/* There is room for one more. */
static bool make_room(coil_receiver *receiver)
{
    slice_queue *old = receiver->queue;
    if (old != NULL && old->count < old->capacity)
        return true;
    uint32_t capacity = old == NULL ? FIRST_CAPACITY : 2 * old->capacity;
    slice_queue *queue = coil_sched_allocate(&receiver->op.loop->sched, queue_size(capacity));
    if (queue == NULL)
        return false;
    *queue = (slice_queue){.capacity = capacity};
    if (old != NULL) {
        for (uint32_t i = 0; i < old->count; i++)
            queue->slices[i] = *nth(old, i);
        queue->count = old->count;
        queue->bytes = old->bytes;
        drop_queue(receiver);
    }
    receiver->queue = queue;
    return true;
}

/* The first reason counts. */
static void end_stream(coil_receiver *receiver, int32_t result)
{
    if (receiver->ended)
        return;
    receiver->ended = true;
    receiver->error = result;
}

/* Bytes that continue the last slice, in the same buffer, are made part of it. */
static bool joined(coil_receiver *receiver, const coil_slice *slice)
{
    slice_queue *queue = receiver->queue;
    coil_slice *last = queue == NULL ? &receiver->front : nth(queue, queue->count - 1);
    if (!coil_slice_continues(last, slice))
        return false;
    last->size_bytes += slice->size_bytes;
    slice->buffer->slice_count--;
    if (queue != NULL)
        queue->bytes += slice->size_bytes;
    return true;
}

static COIL_NOINLINE void enqueue_behind(coil_receiver *receiver, coil_slice slice)
{
    if (coil_unlikely(receiver->ended)) {
        coil_slice_release(&slice); /* It lies behind a gap. */
        return;
    }
    if (joined(receiver, &slice))
        return;
    if (!make_room(receiver)) {
        /* Bytes are lost, so the stream ends here. */
        end_stream(receiver, -ENOMEM);
        op_cancel(&receiver->op);
        coil_slice_release(&slice);
        return;
    }
    slice_queue *queue = receiver->queue;
    *nth(queue, queue->count++) = slice;
    queue->bytes += slice.size_bytes;
}

static inline void enqueue(coil_receiver *receiver, coil_slice slice)
{
    idle_touch(&receiver->op.loop->idle, &receiver->idle);
    if (coil_likely(
                receiver->front.buffer == NULL && receiver->queue == NULL && !receiver->ended)) {
        receiver->front = slice;
    } else {
        enqueue_behind(receiver, slice);
    }
}

/* The front is empty: have the next one there, if there is one. */
static void advance(coil_receiver *receiver)
{
    slice_queue *queue = receiver->queue;

    coil_slice_release(&receiver->front); /* It may have been consumed in place. */
    if (coil_likely(queue == NULL))
        return;
    receiver->front = *nth(queue, 0);
    queue->first++;
    queue->count--;
    queue->bytes -= receiver->front.size_bytes;
    if (queue->count == 0)
        drop_queue(receiver);
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
    if (receiver->is_socket) {
        io_uring_prep_recv_multishot(sqe, 0, NULL, 0, 0);
    } else {
        io_uring_prep_read_multishot(sqe, 0, 0, (uint64_t)-1, POOL_GROUP);
    }
    op_set_fd(sqe, receiver->fd);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = POOL_GROUP;
}

static void single_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_receiver *receiver = owner_of(op);
    coil_buffer *own = receiver->own;
    if (receiver->is_socket) {
        io_uring_prep_recv(sqe, 0, own->bytes, SINGLE_BYTES, 0);
    } else {
        io_uring_prep_read(sqe, 0, own->bytes, SINGLE_BYTES, (uint64_t)-1);
    }
    op_set_fd(sqe, receiver->fd);
}

static void poll_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_receiver *receiver = owner_of(op);
    if (receiver->idle.is_parked) {
        io_uring_prep_poll_add(sqe, 0, POLLIN | POLLPRI | POLLRDHUP);
    } else {
        io_uring_prep_poll_multishot(sqe, 0, POLLIN | POLLPRI | POLLRDHUP);
    }
    op_set_fd(sqe, receiver->fd);
}

/*
 * A socket has nothing to write back: the ring, too, would close it on this very thread, with an
 * entry, a completion and task work on top. Other files may take a while, or a worker thread.
 */
static void close_fd(coil_receiver *receiver)
{
    if (receiver->can_inline) {
        (void)coil_kernel_close(receiver->fd);
    } else {
        coil_close_later(receiver->op.loop, receiver->fd);
    }
}

static void destroy(coil_receiver *receiver)
{
    coil_loop *loop = receiver->op.loop;
    idle_delist(&loop->idle, &receiver->idle);
    close_fd(receiver);
    coil_sched_release(&loop->sched, receiver, sizeof(*receiver));
}

static void arm(coil_receiver *receiver);

static bool has_news(const coil_receiver *receiver)
{
    return receiver->front.size_bytes > 0 || receiver->ended || receiver->is_readable;
}

static bool is_full(const coil_receiver *receiver)
{
    const slice_queue *queue = receiver->queue;
    return coil_receiver_queued(receiver) > COIL_RECEIVER_LIMIT_BYTES ||
           (queue != NULL && queue->count >= LIMIT_COUNT);
}

/* After each completion: tell the waiter, go on, pause, or leave. */
static void settle(coil_receiver *receiver)
{
    if (coil_unlikely(receiver->closing)) {
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
        receiver->lacks_multishot = true;
    } else if (result == -EAGAIN) {
        receiver->idle.is_parked = true; /* Kernels that take O_NONBLOCK at its word: poll first. */
    } else if (!is_interrupted(result)) {
        end_stream(receiver, result);
    }
}

static void go_inline(coil_receiver *receiver)
{
    receiver->is_inline = true;
    receiver->inline_arms = 0;
    receiver->large_count = 0;
    receiver->typical_bytes = LARGE_BYTES;
}

/* Much arrives at a time: fetched by us, it is in one piece, and always in the same memory. */
static COIL_NOINLINE void received_large(coil_receiver *receiver)
{
    if (!receiver->can_inline || receiver->closing || ++receiver->large_count < LARGE_COUNT)
        return;
    go_inline(receiver);
    op_cancel(&receiver->op);
}

static void multishot_complete(coil_op *op, int32_t result, uint32_t flags)
{
    coil_receiver *receiver = owner_of(op);

    if (flags & IORING_CQE_F_BUFFER) {
        coil_slice slice = buffer_pool_take(op->loop->buffers, result > 0 ? result : 0, flags);
        if (coil_likely(result > 0)) {
            enqueue(receiver, slice);
        } else {
            coil_slice_release(&slice);
        }
    }
    if (coil_unlikely(result <= 0)) {
        multishot_ended(receiver, result);
    } else if (coil_unlikely(result >= LARGE_BYTES)) {
        received_large(receiver);
    } else {
        receiver->large_count = 0;
    }
    settle(receiver);
}

static void single_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    coil_receiver *receiver = owner_of(op);
    coil_buffer *own = receiver->own;

    receiver->own = NULL;
    if (result > 0) {
        enqueue(receiver, buffer_fill(own, result));
    } else {
        buffer_put(own);
        if (result == -EAGAIN) {
            receiver->idle.is_parked = true;
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
        idle_touch(&op->loop->idle, &receiver->idle);
        receiver->is_readable = receiver->can_inline;
        if (result & (POLLPRI | POLLRDHUP | POLLHUP | POLLERR))
            receiver->has_more = true;
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

/* Is it worth a try to leave it to the kernel again? */
static bool may_return_to_ring(coil_receiver *receiver, const buffer_pool *pool)
{
    return (receiver->typical_bytes < SMALL_BYTES || ++receiver->inline_arms == INLINE_ARMS_MAX) &&
           buffer_pool_relaxed(pool);
}

static bool has_buffers(coil_receiver *receiver, buffer_pool *pool)
{
    if (coil_likely(buffer_pool_ready(pool)))
        return true;
    receiver->op.loop->stats.buffer_waits++;
    return buffer_pool_grow(pool);
}

static void arm_single(coil_receiver *receiver)
{
    receiver->own = private_buffer_create(SINGLE_BYTES);
    if (receiver->own != NULL) {
        start(receiver, &single_kind);
        return;
    }
    end_stream(receiver, -ENOMEM);
    if (receiver->op.task != NULL)
        coil_task_wake(receiver->op.task);
}

static void arm(coil_receiver *receiver)
{
    buffer_pool *pool = loop_buffers(receiver->op.loop);
    bool has_pool = pool != NULL && !receiver->lacks_multishot;

    if (receiver->is_inline && may_return_to_ring(receiver, pool))
        receiver->is_inline = false;
    if (coil_unlikely(receiver->idle.is_parked || receiver->is_inline)) {
        start(receiver, &poll_kind);
    } else if (coil_likely(has_pool && has_buffers(receiver, pool))) {
        idle_enlist(&receiver->op.loop->idle, &receiver->idle);
        start(receiver, &multishot_kind);
    } else if (has_pool && receiver->can_inline) {
        go_inline(receiver);
        start(receiver, &poll_kind);
    } else {
        arm_single(receiver);
    }
}

/* What is armed ends, and then a poll takes its place, when somebody waits. */
void receiver_park(idle_watch *watch)
{
    coil_receiver *receiver = coil_container_of(watch, coil_receiver, idle);
    receiver->op.loop->stats.parkings++;
    op_cancel(&receiver->op);
}

/* ---------------------------------------------------------------------- receiving ourselves -- */

/* A TCP socket that has given less than it was asked for is empty: epoll(7), question 9. */
static bool is_drained_by_short_reads(coil_receiver *receiver)
{
    if (!receiver->knows_short_reads) {
        receiver->knows_short_reads = true;
        receiver->is_drained_by_short_reads = coil_kernel_is_tcp(receiver->fd) == 1;
    }
    return receiver->is_drained_by_short_reads && !receiver->has_more;
}

/* Nobody else is about to receive. */
static bool may_receive(const coil_receiver *receiver)
{
    return receiver->is_readable && !receiver->ended &&
           (!op_pending(&receiver->op) || receiver->op.kind == &poll_kind);
}

/* A peer that sends all the time must not keep the loop for itself. */
static bool has_turn(coil_receiver *receiver)
{
    uint16_t turn = (uint16_t)receiver->op.loop->stats.turns;
    if (receiver->turn != turn) {
        receiver->turn = turn;
        receiver->turn_receives = 0;
    }
    return receiver->turn_receives < TURN_RECEIVES;
}

/* As much as counts, for what is typical. */
static uint32_t clamped(ssize_t size_bytes)
{
    return size_bytes < UINT16_MAX ? (uint32_t)size_bytes : UINT16_MAX;
}

static void receive_now(coil_receiver *receiver)
{
    coil_buffer *buffer = buffer_pool_hot(receiver->op.loop->buffers);
    if (buffer == NULL) {
        end_stream(receiver, -ENOMEM);
        return;
    }
    size_t room_bytes = buffer->size_bytes - buffer->used_bytes;
    ssize_t count =
            coil_kernel_recv_now(receiver->fd, buffer->bytes + buffer->used_bytes, room_bytes);
    receiver->turn_receives++;
    if (count > 0) {
        receiver->typical_bytes = (uint16_t)((3 * receiver->typical_bytes + clamped(count)) / 4);
        if ((size_t)count < room_bytes && is_drained_by_short_reads(receiver))
            receiver->is_readable = false;
        enqueue(receiver, buffer_fill(buffer, count));
    } else if (count == -EAGAIN) {
        receiver->is_readable = false;
    } else if (count != -EINTR) {
        end_stream(receiver, (int32_t)count);
    }
}

/* ------------------------------------------------------------------------------------ API -- */

/* Multishot read of the master of a terminal goes on waiting when the other side hangs up. */
static bool misses_hangup(int fd, coil_transport transport)
{
    return transport == COIL_TRANSPORT_FILE && !coil_fd_is_direct(fd) && coil_kernel_is_device(fd) == 1;
}

int coil_receiver_create(coil_loop *loop, int fd, coil_transport transport, coil_receiver **out_receiver)
{
    coil_receiver *receiver = coil_sched_allocate(&loop->sched, sizeof(*receiver));
    if (receiver == NULL) {
        coil_close_later(loop, fd);
        return -ENOMEM;
    }
    *receiver = (coil_receiver){
            .fd = fd,
            .is_socket = transport == COIL_TRANSPORT_SOCKET,
            .lacks_multishot = misses_hangup(fd, transport),
            .can_inline = transport == COIL_TRANSPORT_SOCKET && !coil_fd_is_direct(fd),
    };
    op_init(&receiver->op, &multishot_kind, loop);
    *out_receiver = receiver;
    return 0;
}

int64_t coil_receiver_queued(const coil_receiver *receiver)
{
    return receiver->front.size_bytes + (receiver->queue != NULL ? receiver->queue->bytes : 0);
}

int coil_receiver_fd(const coil_receiver *receiver)
{
    return receiver->fd;
}

coil_transport coil_receiver_transport(const coil_receiver *receiver)
{
    return receiver->is_socket ? COIL_TRANSPORT_SOCKET : COIL_TRANSPORT_FILE;
}

void coil_receiver_close(coil_receiver *receiver)
{
    if (receiver == NULL)
        return;
    COIL_CHECK(receiver->op.task == NULL);
    receiver->closing = true;
    if (op_pending(&receiver->op)) {
        op_cancel(&receiver->op);
    } else {
        settle(receiver);
    }
}

/* Bytes behind the front, if there are any, as coil_receiver_look() has it. */
static int look_behind(coil_receiver *receiver)
{
    if (receiver->queue != NULL)
        return 1;
    if (may_receive(receiver) && has_turn(receiver)) {
        int64_t before_bytes = coil_receiver_queued(receiver);
        receive_now(receiver);
        if (coil_receiver_queued(receiver) > before_bytes)
            return 1;
    }
    return receiver->ended ? receiver->error : -EAGAIN;
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
    return receiver->front.size_bytes > 0 ? 1 : look_behind(receiver);
}

coil_slice *coil_receiver_front(coil_receiver *receiver)
{
    return &receiver->front;
}

int coil_receiver_extend(coil_receiver *receiver, coil_task *task)
{
    end_wait(receiver, task);
    int64_t before_bytes = receiver->front.size_bytes;
    int rc = look_behind(receiver);
    if (rc <= 0 || receiver->front.size_bytes > before_bytes)
        return rc; /* (What was received now may have been joined.) */
    coil_slice front = receiver->front;
    receiver->front = (coil_slice){0, NULL, NULL};
    advance(receiver);
    rc = coil_slice_append(&front, &receiver->front);
    receiver->front = front;
    if (rc < 0)
        coil_receiver_fail(receiver, rc);
    return rc < 0 ? rc : 1;
}

void coil_receiver_fail(coil_receiver *receiver, int error)
{
    receiver->ended = false; /* Whatever has ended it: this comes before. */
    end_stream(receiver, error);
    if (receiver->queue != NULL) {
        coil_slice front = receiver->front;
        receiver->front = (coil_slice){0, NULL, NULL};
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
    } else if (coil_unlikely(receiver->is_inline && receiver->op.kind == &poll_kind &&
                             !receiver->op.cancelled &&
                             may_return_to_ring(receiver, receiver->op.loop->buffers))) {
        receiver->is_inline = false;
        op_cancel(&receiver->op);
    }
}

static COIL_NOINLINE coil_turn step_slowly(coil_task *task, coil_frame *leaf,
        coil_receiver *receiver, coil_slice *out_slice, uint64_t *io_bytes_taken)
{
    int rc = coil_receiver_look(receiver, task);
    if (rc == -EAGAIN) {
        if (leaf->at != NULL && coil_task_unwind_here(task))
            return coil_leave(task, leaf);
        coil_receiver_wait(receiver, task);
        return coil_leaf_suspend(leaf);
    }
    *out_slice = (coil_slice){rc, NULL, NULL};
    if (rc > 0) {
        *out_slice = receiver->front;
        *io_bytes_taken += (uint64_t)receiver->front.size_bytes;
        receiver->front = (coil_slice){0, NULL, NULL};
    }
    return coil_leave(task, leaf);
}

/* Nothing has come, and what brings it is under way: all there is to do is to wait. */
static inline bool waits(const coil_receiver *receiver)
{
    return receiver->front.buffer == NULL && receiver->queue == NULL && !receiver->ended &&
           !receiver->is_inline && !receiver->is_readable && op_pending(&receiver->op);
}

coil_turn coil_receiver_step(coil_task *task, coil_frame *leaf, coil_receiver *receiver,
        coil_slice *out_slice, uint64_t *io_bytes_taken)
{
    if (leaf->at == NULL && coil_task_refuses(task))
        return coil_leave(task, leaf);
    if (coil_likely(receiver->front.size_bytes > 0)) {
        end_wait(receiver, task);
        *out_slice = receiver->front;
        *io_bytes_taken += (uint64_t)out_slice->size_bytes;
        receiver->front = (coil_slice){0, NULL, NULL};
        return coil_leave(task, leaf);
    }
    if (coil_likely(leaf->at == NULL && receiver->op.task == NULL && waits(receiver))) {
        receiver->op.task = task;
        return coil_leaf_suspend(leaf);
    }
    return step_slowly(task, leaf, receiver, out_slice, io_bytes_taken);
}

static coil_turn next_step(coil_task *task, coil_frame *leaf)
{
    coil_receiver *receiver = coil_arguments(coil_receiver_next, leaf)->receiver;
    uint64_t bytes_taken = 0; /* Nobody asks. */
    return coil_receiver_step(
            task, leaf, receiver, &coil_result(coil_receiver_next, leaf), &bytes_taken);
}

coil_define_leaf(coil_receiver_next, next_step, coil_leaf_wake);
