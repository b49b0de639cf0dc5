/* SPDX-License-Identifier: MIT */
#include <coil/sender.h>

#include "extras.h"
#include "layer_private.h"
#include "loop_private.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include <sys/uio.h>

enum { PARTS_MAX = 16 };

/* The writes that wait, and what of them is on its way. Only while there are some. */
typedef struct coil_sending {
    coil_op op;
    coil_sender *sender;
    coil_list writers;     /* First come, first served. */
    sender_flush *flush;   /* One of them, without a task. NULL: none is. */
    unsigned writer_count; /* So many of them, from the first, are on their way, */
    unsigned part_count;   /* in so many parts. */
    bool is_held;          /* Somebody has the sender for itself; the writers wait. */
    bool awaits_room;      /* It does not wait by itself (O_NONBLOCK): a poll does. */
    struct msghdr message;
    struct iovec parts[PARTS_MAX];
} coil_sending;

/* ------------------------------------------------------------------------------ operation -- */

static coil_sending *owner_of(coil_op *op)
{
    return coil_container_of(op, coil_sending, op);
}

static writer *writer_at(coil_list *link)
{
    return coil_container_of(link, writer, link);
}

/* Is there room for more? At most so many bytes of it are sent. */
static bool add_part(coil_sending *sending, const char *bytes, int64_t size_bytes, int64_t *room)
{
    int64_t part_bytes = size_bytes < *room ? size_bytes : *room;
    if (part_bytes > 0) {
        struct iovec *part = &sending->parts[sending->part_count++];
        part->iov_base = (void *)(uintptr_t)bytes; /* NOLINT(performance-no-int-to-ptr) */
        part->iov_len = (size_t)part_bytes;
        *room -= part_bytes;
    }
    return sending->part_count<PARTS_MAX && * room> 0;
}

static bool add_parts(coil_sending *sending, const writer *waiting, int64_t *room)
{
    bool has_room = add_part(sending, waiting->bytes, waiting->size_bytes, room);
    for (unsigned i = 0; i < waiting->part_count && has_room; i++)
        has_room = add_part(sending, waiting->parts[i].bytes, waiting->parts[i].size_bytes, room);
    return has_room;
}

/* As many writes as fit into one operation; of the last, a part may have to do. */
static void gather(coil_sending *sending)
{
    const coil_list *end = &sending->writers;
    int64_t room_bytes = INT_MAX; /* The kernel transfers at most this much at a time. */
    bool has_room = true;

    sending->part_count = 0;
    sending->writer_count = 0;
    for (coil_list *link = end->next; link != end && has_room; link = link->next) {
        const writer *waiting = writer_at(link);
        if (waiting->holds || (sending->is_held && !waiting->is_holders))
            break;
        if (waiting->takes_some && sending->writer_count > 0)
            break; /* It goes alone: see flags_of(). */
        sending->writer_count++;
        has_room = add_parts(sending, waiting, &room_bytes);
    }
}

/* One who is content with a part must not have to wait for the rest. */
static int flags_of(const coil_sending *sending)
{
    return writer_at(sending->writers.next)->takes_some ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_WAITALL;
}

static void send_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    coil_sending *sending = owner_of(op);
    const struct iovec *parts = sending->parts;

    gather(sending);
    if (sending->awaits_room) {
        io_uring_prep_poll_add(sqe, 0, POLLOUT);
    } else if (!sending->sender->is_socket) {
        io_uring_prep_writev(sqe, 0, parts, sending->part_count, (uint64_t)-1);
    } else if (sending->part_count == 1) {
        io_uring_prep_send(sqe, 0, parts[0].iov_base, parts[0].iov_len, flags_of(sending));
    } else {
        sending->message =
                (struct msghdr){.msg_iov = sending->parts, .msg_iovlen = sending->part_count};
        io_uring_prep_sendmsg(sqe, 0, &sending->message, (unsigned)flags_of(sending));
    }
    op_set_fd(sqe, sending->sender->fd);
}

static void end_write(writer *done, int32_t result)
{
    coil_list_remove(&done->link);
    done->sending = NULL;
    done->result = result;
    if (coil_likely(done->task != NULL))
        coil_task_wake(done->task);
}

/* The part that comes next is out: have the one behind it there. False: it was the last. */
static bool next_part(writer *waiting)
{
    while (waiting->size_bytes == 0 && waiting->part_count > 0) {
        waiting->bytes = waiting->parts->bytes;
        waiting->size_bytes = waiting->parts->size_bytes > 0 ? waiting->parts->size_bytes : 0;
        waiting->parts++;
        waiting->part_count--;
    }
    return waiting->size_bytes > 0;
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
        if (first->takes_some || !next_part(first)) {
            sending->writer_count--;
            end_write(first, first->takes_some ? (int32_t)part_bytes : 0);
        }
    }
}

/* A write has ended in its middle, so nothing can follow: it would be taken for the rest. */
static void refuse_more(coil_sender *sender)
{
    sender->is_cut = true;
    sender->sends_at_once = false;
}

static void cut(coil_sending *sending)
{
    refuse_more(sending->sender);
    while (!coil_list_empty(&sending->writers))
        end_write(writer_at(sending->writers.next), -EPIPE);
}

static void end_cancelled(coil_sending *sending, writer *cancelled)
{
    end_write(cancelled, -ECANCELED);
    if (cancelled->is_begun)
        cut(sending);
}

/* Nothing more gets out of the writes that were on their way. */
static COIL_COLD void fail_parts(coil_sending *sending, int32_t error)
{
    bool is_torn = false;
    for (; sending->writer_count > 0; sending->writer_count--) {
        writer *first = writer_at(sending->writers.next);
        is_torn |= first->is_begun;
        end_write(first, error);
    }
    if (is_torn)
        cut(sending);
}

/* Those of the writes that were on their way which want no more. */
static void end_unwanted(coil_sending *sending)
{
    unsigned count = sending->writer_count;
    sending->writer_count = 0;
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
        writer *first = writer_at(sending->writers.next);
        if (first->holds && !sending->is_held) {
            sending->is_held = true;
            end_write(first, 0);
        } else if (!sending->is_held || first->is_holders) {
            op_start(&sending->op);
        }
        return;
    }
    if (sending->is_held)
        return;
    coil_sched *sched = &sending->op.loop->sched;
    sending->sender->extras->sending = NULL;
    extras_review(sending->sender, sched);
    coil_sched_release(sched, sending, sizeof(*sending));
}

static void send_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    coil_sending *sending = owner_of(op);
    int32_t error = result < 0 && result != -ECANCELED && result != -EINTR ? result : 0;
    sender_flush *flush = sending->flush;

    if (sending->awaits_room) {
        sending->awaits_room = false;
    } else if (result > 0) {
        consume(sending, result);
    } else if (result == 0) {
        error = -EIO; /* An odd device: it would be so for ever. */
    } else if (result == -EAGAIN) {
        sending->awaits_room = true;
        error = 0;
    }
    if (coil_unlikely(error != 0)) {
        fail_parts(sending, error);
    } else {
        end_unwanted(sending);
    }
    if (coil_unlikely(flush != NULL && flush->plain.sending == NULL))
        sending->flush = NULL;
    go_on(sending);
    if (coil_unlikely(flush != NULL && flush->plain.sending == NULL))
        flush->ended(flush, flush->plain.result); /* Who may close the descriptor. */
}

static const op_kind send_kind = {
        .name = "send", .prepare = send_prepare, .complete = send_complete};

/* ---------------------------------------------------------------------------------- writes -- */

static inline bool is_busy(const coil_sender *sender)
{
    return sender->extras != NULL && sender->extras->sending != NULL;
}

bool coil_sender_busy(const coil_sender *sender)
{
    if (coil_unlikely(layering_of(sender) != NULL))
        return layering_is_busy(layering_of(sender));
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
    sending->writer_count = 0;
    sending->is_held = false;
    sending->awaits_room = false;
    sending->flush = NULL;
    coil_list_init(&sending->writers);
    return extras->sending = sending;
}

static coil_turn leave_with(coil_task *task, coil_frame *leaf, int64_t result)
{
    coil_frame_set_result(leaf, result);
    return coil_leave(task, leaf);
}

/* The writer of the leaf, which waits for what is before it. */
static coil_turn wait_as(coil_task *task, coil_frame *leaf, coil_sender *sender, writer wanted)
{
    bool is_first = !is_busy(sender);
    coil_sending *sending =
            is_first ? start_sending(sender, coil_loop_of(task)) : sender->extras->sending;

    if (sending == NULL) {
        if (wanted.is_begun)
            refuse_more(sender);
        return leave_with(task, leaf, -ENOMEM);
    }
    writer *waiting = coil_push(task, sizeof(*waiting));
    *waiting = wanted;
    waiting->task = task;
    waiting->sending = sending;
    if (waiting->is_holders) {
        coil_list_append(sending->writers.next, &waiting->link); /* In front of all. */
    } else {
        coil_list_append(&sending->writers, &waiting->link);
    }
    leaf->vars = waiting;
    if (is_first || waiting->is_holders)
        op_start(&sending->op);
    return coil_leaf_suspend(leaf);
}

/* Wait for what is before us, and then for the rest of our bytes. */
static coil_turn wait_to_send(coil_task *task, coil_frame *leaf, coil_sender *sender,
        const coil_slice *bytes, int64_t sent_bytes)
{
    return wait_as(task, leaf, sender,
            (writer){.is_begun = sent_bytes > 0,
                    .bytes = bytes->bytes + sent_bytes,
                    .size_bytes = bytes->size_bytes - sent_bytes});
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

/* The leaf has been suspended: is its write over? */
static coil_turn step_again(coil_task *task, coil_frame *leaf)
{
    const writer *waiting = leaf->vars;
    if (waiting->sending != NULL)
        return COIL_WAIT; /* Its bytes are still on their way. */
    if (waiting->result != -ECANCELED || !coil_task_unwind_here(task))
        coil_frame_set_result(leaf, waiting->result);
    return coil_leave(task, leaf);
}

/* Everything but a write that goes out at once. */
static COIL_NOINLINE coil_turn step_slowly(
        coil_task *task, coil_frame *leaf, coil_sender *sender, const coil_slice *bytes)
{
    if (coil_unlikely(layering_of(sender) != NULL))
        return layering_write_step(task, leaf, layering_of(sender), bytes);
    if (leaf->at != NULL)
        return step_again(task, leaf);
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
    for (unsigned i = 0; i < sending->writer_count; i++) {
        if (link == &waiting->link)
            return true;
        link = link->next;
    }
    return false;
}

static void cancel(writer *waiting)
{
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
        op_cancel(&sending->op); /* It waits for room in the queue, with nothing to do there. */
}

void coil_sender_cancel(coil_task *task, coil_frame *leaf)
{
    const sender_leaf *self = (const sender_leaf *)(void *)leaf;
    struct coil_layering *layering = layering_of(self->sender);

    if (layering != NULL) {
        layering_write_cancel(task, leaf, layering);
    } else {
        cancel(leaf->vars);
    }
}

coil_define_leaf(coil_sender_write, coil_sender_step, coil_sender_cancel);

/* ---------------------------------------------------------------------- other ways to write -- */

/* They are of senders that are not layered, and wait as writers do. */
static void cancel_writer(coil_task *task, coil_frame *leaf)
{
    (void)task;
    cancel(leaf->vars);
}

/* What has to be seen to before any of them. 0: there is nothing to write. 1: there is. */
static int may_begin(const coil_sender *sender, int64_t size_bytes)
{
    if (layering_of(sender) != NULL)
        return -EOPNOTSUPP;
    if (sender->is_cut)
        return -EPIPE;
    return size_bytes > 0;
}

static int64_t size_of(const coil_slice *parts, unsigned count)
{
    int64_t size_bytes = 0;
    for (unsigned i = 0; i < count; i++)
        size_bytes += parts[i].size_bytes > 0 ? parts[i].size_bytes : 0;
    return size_bytes;
}

/* A writer of all parts without their first `sent_bytes`; some are left. */
static writer writer_of(const coil_slice *parts, unsigned count, int64_t sent_bytes)
{
    writer wanted = {.parts = parts, .part_count = count, .is_begun = sent_bytes > 0};
    (void)next_part(&wanted);
    while (sent_bytes >= wanted.size_bytes) {
        sent_bytes -= wanted.size_bytes;
        wanted.size_bytes = 0;
        (void)next_part(&wanted);
    }
    wanted.bytes += sent_bytes;
    wanted.size_bytes -= sent_bytes;
    return wanted;
}

/* The first of the parts, as many as one system call is given. */
static ssize_t send_parts_now(coil_sender *sender, const coil_slice *parts, unsigned count)
{
    struct iovec vector[PARTS_MAX];
    struct msghdr message = {.msg_iov = vector};

    for (unsigned i = 0; i < count && message.msg_iovlen < PARTS_MAX; i++) {
        if (parts[i].size_bytes > 0) {
            vector[message.msg_iovlen++] =
                    (struct iovec){/* NOLINTNEXTLINE(performance-no-int-to-ptr) */
                            (void *)(uintptr_t)parts[i].bytes, (size_t)parts[i].size_bytes};
        }
    }
    ssize_t sent_bytes = coil_kernel_sendmsg_now(sender->fd, &message);
    if (sent_bytes > 0)
        sender->sent_bytes += (uint64_t)sent_bytes;
    return sent_bytes;
}

static coil_turn step_parts(coil_task *task, coil_frame *leaf, coil_sender *sender,
        const coil_slice *parts, unsigned part_count)
{
    uint16_t turn = (uint16_t)coil_loop_of(task)->stats.turns;
    ssize_t count = 0;

    if (leaf->at != NULL)
        return step_again(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    int64_t size_bytes = size_of(parts, part_count);
    int rc = may_begin(sender, size_bytes);
    if (rc <= 0)
        return leave_with(task, leaf, rc);
    if (may_send_now(sender, turn)) {
        sender->sent_turn = turn;
        count = send_parts_now(sender, parts, part_count);
        if (count == size_bytes)
            return leave_with(task, leaf, 0);
        if (count < 0 && count != -EAGAIN && count != -EINTR)
            return leave_with(task, leaf, count);
    }
    return wait_as(task, leaf, sender, writer_of(parts, part_count, count > 0 ? count : 0));
}

static coil_turn write_parts_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_sender_write_parts__args *a = coil_arguments(coil_sender_write_parts, leaf);
    return step_parts(task, leaf, a->sender, a->parts, a->count);
}

coil_define_leaf(coil_sender_write_parts, write_parts_step, cancel_writer);

static coil_turn step_some(
        coil_task *task, coil_frame *leaf, coil_sender *sender, const coil_slice *bytes)
{
    uint16_t turn = (uint16_t)coil_loop_of(task)->stats.turns;

    if (leaf->at != NULL)
        return step_again(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    int rc = may_begin(sender, bytes->size_bytes);
    if (rc <= 0)
        return leave_with(task, leaf, rc);
    if (may_send_now(sender, turn)) {
        sender->sent_turn = turn;
        ssize_t count = send_parts_now(sender, bytes, 1);
        if (count > 0 || (count != -EAGAIN && count != -EINTR))
            return leave_with(task, leaf, count);
    }
    writer wanted = {.takes_some = true, .bytes = bytes->bytes, .size_bytes = bytes->size_bytes};
    return wait_as(task, leaf, sender, wanted);
}

static coil_turn write_some_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_sender_write_some__args *a = coil_arguments(coil_sender_write_some, leaf);
    return step_some(task, leaf, a->sender, &a->bytes);
}

coil_define_leaf(coil_sender_write_some, write_some_step, cancel_writer);

/* -------------------------------------------------------------------------------- by oneself -- */

static coil_turn hold_step(coil_task *task, coil_frame *leaf)
{
    coil_sender *sender = coil_arguments(coil_sender_hold, leaf)->sender;

    if (leaf->at != NULL)
        return step_again(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    const int rc = may_begin(sender, 0);
    if (rc < 0)
        return leave_with(task, leaf, rc);
    if (is_busy(sender))
        return wait_as(task, leaf, sender, (writer){.holds = true});
    coil_sending *sending = start_sending(sender, coil_loop_of(task));
    if (sending == NULL)
        return leave_with(task, leaf, -ENOMEM);
    sending->is_held = true;
    return leave_with(task, leaf, 0);
}

coil_define_leaf(coil_sender_hold, hold_step, cancel_writer);

static coil_turn write_held_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_sender_write_held__args *a = coil_arguments(coil_sender_write_held, leaf);

    if (leaf->at != NULL)
        return step_again(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    COIL_CHECK(is_busy(a->sender) && a->sender->extras->sending->is_held);
    int rc = may_begin(a->sender, a->bytes.size_bytes);
    if (rc <= 0)
        return leave_with(task, leaf, rc);
    writer wanted = {
            .is_holders = true, .bytes = a->bytes.bytes, .size_bytes = a->bytes.size_bytes};
    return wait_as(task, leaf, a->sender, wanted);
}

coil_define_leaf(coil_sender_write_held, write_held_step, cancel_writer);

void coil_sender_release(coil_sender *sender, bool is_cut)
{
    coil_sending *sending = sender->extras->sending;

    COIL_CHECK(sending->is_held && !op_pending(&sending->op));
    sending->is_held = false;
    if (is_cut)
        cut(sending);
    go_on(sending);
}

/* ---------------------------------------------------------------------- of the layer above -- */

/* What can go at once: 0 if that is all of `bytes`, which then are the rest. */
static int flush_now(coil_sender *sender, const coil_loop *loop, coil_slice *bytes)
{
    uint16_t turn = (uint16_t)loop->stats.turns;
    if (!may_send_now(sender, turn))
        return -EAGAIN;
    sender->sent_turn = turn;
    ssize_t count = coil_kernel_send_now(sender->fd, bytes->bytes, (size_t)bytes->size_bytes);
    if (count < 0)
        return count == -EINTR ? -EAGAIN : (int)count;
    sender->sent_bytes += (uint64_t)count;
    coil_slice_consume(bytes, count);
    return bytes->size_bytes == 0 ? 0 : -EAGAIN;
}

static int flush_later(
        coil_sender *sender, coil_loop *loop, sender_flush *flush, const coil_slice *bytes)
{
    bool is_first = !is_busy(sender);
    coil_sending *sending = is_first ? start_sending(sender, loop) : sender->extras->sending;
    if (sending == NULL)
        return -ENOMEM;
    COIL_CHECK(sending->flush == NULL);
    sending->flush = flush;
    flush->plain =
            (writer){.sending = sending, .bytes = bytes->bytes, .size_bytes = bytes->size_bytes};
    coil_list_append(&sending->writers, &flush->plain.link);
    if (is_first)
        op_start(&sending->op);
    return -EINPROGRESS;
}

int sender_flush_start(
        coil_sender *sender, coil_loop *loop, sender_flush *flush, const coil_slice *bytes)
{
    coil_slice rest = *bytes;
    if (layering_of(sender) != NULL) {
        flush->layered = (layer_write){
                .flush = flush, .bytes = bytes->bytes, .size_bytes = bytes->size_bytes};
        return layering_flush_start(layering_of(sender), flush);
    }
    if (sender->is_cut)
        return -EPIPE;
    int rc = flush_now(sender, loop, &rest);
    if (rc != -EAGAIN)
        return rc;
    const bool is_begun = rest.size_bytes < bytes->size_bytes;
    rc = flush_later(sender, loop, flush, &rest);
    if (rc == -EINPROGRESS) {
        flush->plain.is_begun = is_begun;
    } else if (is_begun) {
        refuse_more(sender);
    }
    return rc;
}

void sender_flush_cancel(coil_sender *sender, sender_flush *flush)
{
    if (layering_of(sender) != NULL) {
        layering_flush_cancel(layering_of(sender), flush);
    } else {
        cancel(&flush->plain);
    }
}
