/* SPDX-License-Identifier: MIT */
#include <coil/sender.h>

#include "extras.h"
#include "loop_private.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include <sys/uio.h>

enum { PARTS_MAX = 16 };

/* A write that has to wait. Lives on the frame stack of its task. */
typedef struct writer {
    coil_list link;
    coil_task *task;
    struct coil_sending *sending; /* NULL: it is over. */
    const char *bytes;            /* What is left. */
    int64_t size_bytes;
    int32_t result;
    bool is_begun; /* Some of its bytes are out. */
    bool is_cancelled;
} writer;

/* The writes that wait, and what of them is on its way. Only while there are some. */
typedef struct coil_sending {
    coil_op op;
    coil_sender *sender;
    coil_list writers;   /* First come, first served. */
    unsigned part_count; /* So many of them, from the first, are on their way. */
    struct msghdr message;
    struct iovec parts[PARTS_MAX];
} coil_sending;

static inline bool is_busy(const coil_sender *sender)
{
    return sender->extras != NULL && sender->extras->sending != NULL;
}

/* ------------------------------------------------------------------------------ operation -- */

static coil_sending *owner_of(coil_op *op)
{
    return coil_container_of(op, coil_sending, op);
}

static writer *writer_at(coil_list *link)
{
    return coil_container_of(link, writer, link);
}

/* As many writes as fit into one operation; of the first, a part may have to do. */
static void gather(coil_sending *sending)
{
    const coil_list *end = &sending->writers;
    int64_t room_bytes = INT_MAX; /* The kernel transfers at most this much at a time. */

    sending->part_count = 0;
    for (coil_list *link = end->next; link != end; link = link->next) {
        const writer *waiting = writer_at(link);
        if (sending->part_count == PARTS_MAX || room_bytes == 0)
            break;
        int64_t part_bytes = waiting->size_bytes < room_bytes ? waiting->size_bytes : room_bytes;
        room_bytes -= part_bytes;
        struct iovec *part = &sending->parts[sending->part_count++];
        part->iov_base = (void *)(uintptr_t)waiting->bytes; /* NOLINT(performance-no-int-to-ptr) */
        part->iov_len = (size_t)part_bytes;
    }
}

static void send_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_sending *sending = owner_of(op);
    const struct iovec *parts = sending->parts;

    gather(sending);
    if (!sending->sender->is_socket) {
        io_uring_prep_writev(sqe, 0, parts, sending->part_count, (uint64_t)-1);
    } else if (sending->part_count == 1) {
        io_uring_prep_send(sqe, 0, parts[0].iov_base, parts[0].iov_len, MSG_WAITALL | MSG_NOSIGNAL);
    } else {
        sending->message =
                (struct msghdr){.msg_iov = sending->parts, .msg_iovlen = sending->part_count};
        io_uring_prep_sendmsg(sqe, 0, &sending->message, MSG_WAITALL | MSG_NOSIGNAL);
    }
    op_set_fd(sqe, sending->sender->fd);
}

static void end_write(writer *done, int32_t result)
{
    coil_list_remove(&done->link);
    done->sending = NULL;
    done->result = result;
    coil_task_wake(done->task);
}

/* `count` bytes have gone out: those of the first, then those of the next ... */
static void consume(coil_sending *sending, int64_t count)
{
    sending->sender->sent_bytes += (uint64_t)count;
    while (count > 0) {
        writer *first = writer_at(sending->writers.next);
        int64_t part_bytes = count < first->size_bytes ? count : first->size_bytes;
        first->bytes += part_bytes;
        first->size_bytes -= part_bytes;
        count -= part_bytes;
        first->is_begun = true;
        if (first->size_bytes == 0) {
            sending->part_count--;
            end_write(first, 0);
        }
    }
}

/* A write has ended in its middle. What follows would be taken for the rest of it: nothing does. */
static void cut(coil_sender *sender)
{
    sender->is_cut = true;
    sender->sends_at_once = false;
    if (!is_busy(sender))
        return;
    coil_list *writers = &sender->extras->sending->writers;
    while (!coil_list_empty(writers))
        end_write(writer_at(writers->next), -EPIPE);
}

static void end_cancelled(coil_sending *sending, writer *cancelled)
{
    end_write(cancelled, -ECANCELED);
    if (cancelled->is_begun)
        cut(sending->sender);
}

/* Nothing more of the parts that were on their way gets out. Only of the first may some have. */
static void fail_parts(coil_sending *sending, int32_t error)
{
    bool is_begun = writer_at(sending->writers.next)->is_begun;
    for (; sending->part_count > 0; sending->part_count--)
        end_write(writer_at(sending->writers.next), error);
    if (is_begun)
        cut(sending->sender);
}

/* Those of the parts that were on their way which want no more. */
static void end_unwanted(coil_sending *sending)
{
    unsigned count = sending->part_count;
    sending->part_count = 0;
    for (coil_list *link = sending->writers.next; count > 0 && !sending->sender->is_cut; count--) {
        writer *part = writer_at(link);
        link = link->next;
        if (part->is_cancelled)
            end_cancelled(sending, part);
    }
}

static void go_on(coil_sending *sending)
{
    if (!coil_list_empty(&sending->writers)) {
        op_start(&sending->op);
        return;
    }
    coil_sched *sched = &sending->op.loop->sched;
    sending->sender->extras->sending = NULL;
    extras_review(sending->sender, sched);
    coil_sched_release(sched, sending, sizeof(*sending));
}

static void room_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_poll_add(sqe, 0, POLLOUT);
    op_set_fd(sqe, owner_of(op)->sender->fd);
}

static void send_complete(coil_op *op, int32_t result, uint32_t flags);
static void room_complete(coil_op *op, int32_t result, uint32_t flags);

static const op_kind send_kind = {
        .name = "send", .prepare = send_prepare, .complete = send_complete};
static const op_kind room_kind = {
        .name = "await room", .prepare = room_prepare, .complete = room_complete};

static COIL_COLD void nothing_sent(coil_sending *sending, int32_t result)
{
    if (result == -EAGAIN) {
        sending->op.kind = &room_kind; /* Kernels that take O_NONBLOCK at its word. */
    } else if (result == 0) {
        fail_parts(sending, -EIO); /* An odd device: it would be so for ever. */
    } else if (result != -ECANCELED && result != -EINTR) {
        fail_parts(sending, result);
    }
}

static void send_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    coil_sending *sending = owner_of(op);

    if (coil_likely(result > 0)) {
        consume(sending, result);
    } else {
        nothing_sent(sending, result);
    }
    end_unwanted(sending);
    go_on(sending);
}

/* Whether there is any, or what has happened instead, is for the next send to say. */
static void room_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)result, (void)flags;
    op->kind = &send_kind;
    go_on(owner_of(op));
}

/* ---------------------------------------------------------------------------------- writes -- */

bool coil_sender_busy(const coil_sender *sender)
{
    return is_busy(sender);
}

void coil_sender_init(coil_sender *sender, int fd, coil_transport transport)
{
    bool is_socket = transport == COIL_TRANSPORT_SOCKET;
    *sender = (coil_sender){
            .fd = fd,
            .is_socket = is_socket,
            .sends_at_once = is_socket && !coil_fd_is_direct(fd),
    };
}

static coil_sending *start_sending(coil_sender *sender, coil_loop *loop)
{
    coil_extras *extras = extras_of(sender, &loop->sched);
    if (extras == NULL)
        return NULL;
    coil_sending *sending = coil_sched_allocate(&loop->sched, sizeof(*sending));
    if (sending == NULL) {
        extras_review(sender, &loop->sched);
        return NULL;
    }
    op_init(&sending->op, &send_kind, loop);
    sending->sender = sender;
    sending->part_count = 0; /* Until there is room for the operation in the queue. */
    coil_list_init(&sending->writers);
    return extras->sending = sending;
}

static coil_turn leave_with(coil_task *task, coil_frame *leaf, int64_t result)
{
    coil_frame_set_result(leaf, result);
    return coil_leave(task, leaf);
}

/* Wait for what is before us, and then for the rest of our bytes. */
static coil_turn wait_to_send(coil_task *task, coil_frame *leaf, coil_sender *sender,
        const coil_slice *bytes, int64_t sent_bytes)
{
    bool is_first = !is_busy(sender);
    coil_sending *sending =
            is_first ? start_sending(sender, coil_loop_of(task)) : sender->extras->sending;

    if (sending == NULL) {
        if (sent_bytes > 0)
            cut(sender);
        return leave_with(task, leaf, -ENOMEM);
    }
    writer *waiting = coil_push(task, sizeof(*waiting));
    *waiting = (writer){.task = task,
            .sending = sending,
            .is_begun = sent_bytes > 0,
            .bytes = bytes->bytes + sent_bytes,
            .size_bytes = bytes->size_bytes - sent_bytes};
    coil_list_append(&sending->writers, &waiting->link);
    leaf->vars = waiting;
    if (is_first)
        op_start(&sending->op);
    return coil_leaf_suspend(leaf);
}

/* What the socket has not taken at once: `count` is what it said. */
static COIL_NOINLINE coil_turn send_rest(coil_task *task, coil_frame *leaf, coil_sender *sender,
        const coil_slice *bytes, ssize_t count)
{
    if (count == -EAGAIN || count == -EINTR)
        count = 0;
    if (count < 0)
        return leave_with(task, leaf, count);
    sender->sent_bytes += (uint64_t)count;
    return wait_to_send(task, leaf, sender, bytes, count);
}

/* Everything but a write that goes out at once. */
static COIL_NOINLINE coil_turn step_slowly(
        coil_task *task, coil_frame *leaf, coil_sender *sender, const coil_slice *bytes)
{
    if (leaf->at != NULL) {
        const writer *waiting = leaf->vars;
        if (waiting->sending != NULL)
            return COIL_WAIT; /* Its bytes are still on their way. */
        if (waiting->result != -ECANCELED || !coil_task_unwind_here(task))
            coil_frame_set_result(leaf, waiting->result);
        return coil_leave(task, leaf);
    }
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    if (sender->is_cut)
        return leave_with(task, leaf, -EPIPE);
    if (bytes->size_bytes <= 0)
        return leave_with(task, leaf, 0);
    return wait_to_send(task, leaf, sender, bytes, 0);
}

/* Once per turn, if it does not overtake others. */
static inline bool may_send_now(const coil_sender *sender, uint16_t turn)
{
    return sender->sends_at_once && sender->sent_turn != turn && !is_busy(sender);
}

/* The leaves that are done here look like this, whatever their names. */
typedef struct sender_leaf {
    coil_frame frame;
    int result;
    coil_sender *sender;
    coil_slice bytes;
} __attribute__((may_alias)) sender_leaf;

static_assert(offsetof(sender_leaf, result) == offsetof(struct coil_sender_write__frame, co__ret) &&
                      offsetof(sender_leaf, sender) ==
                              offsetof(struct coil_sender_write__frame, co__a.sender) &&
                      offsetof(sender_leaf, bytes) ==
                              offsetof(struct coil_sender_write__frame, co__a.bytes),
        "they do");

coil_turn coil_sender_step(coil_task *task, coil_frame *frame)
{
    sender_leaf *leaf = (sender_leaf *)(void *)frame;
    coil_sender *sender = leaf->sender;
    const coil_loop *loop = coil_container_of(task->sched, coil_loop, sched);
    uint16_t turn = (uint16_t)loop->stats.turns;

    if (coil_unlikely(frame->at != NULL || task->request != NULL || leaf->bytes.size_bytes <= 0 ||
                      !may_send_now(sender, turn)))
        return step_slowly(task, frame, sender, &leaf->bytes);
    sender->sent_turn = turn;
    ssize_t count =
            coil_kernel_send_now(sender->fd, leaf->bytes.bytes, (size_t)leaf->bytes.size_bytes);
    if (coil_unlikely(count != leaf->bytes.size_bytes))
        return send_rest(task, frame, sender, &leaf->bytes, count);
    sender->sent_bytes += (uint64_t)count;
    leaf->result = 0;
    return coil_leave(task, frame);
}

static bool is_on_its_way(const coil_sending *sending, const writer *waiting)
{
    const coil_list *link = sending->writers.next;
    for (unsigned i = 0; i < sending->part_count; i++) {
        if (link == &waiting->link)
            return true;
        link = link->next;
    }
    return false;
}

void coil_sender_cancel(coil_task *task, coil_frame *leaf)
{
    (void)task;
    writer *waiting = leaf->vars;
    coil_sending *sending = waiting->sending;

    if (sending == NULL)
        return;
    waiting->is_cancelled = true;
    if (is_on_its_way(sending, waiting)) {
        op_cancel(&sending->op);
        return;
    }
    end_cancelled(sending, waiting);
    if (coil_list_empty(&sending->writers))
        op_cancel(&sending->op); /* It waits for room somewhere, with nothing to do there. */
}

coil_define_leaf(coil_sender_write, coil_sender_step, coil_sender_cancel);
