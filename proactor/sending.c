/* SPDX-License-Identifier: MIT */
/* Writes that wait, and the operation that sends as many of them as fit. */
#include "sending.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <limits.h>
#include <poll.h>

/* ------------------------------------------------------------------------------- gathering -- */

static coil_sending *sending_of(coil_op *op)
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
    return sending->part_count<SENDING_PARTS_MAX && * room> 0;
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
    coil_sending *sending = sending_of(op);
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

/* ----------------------------------------------------------------------------- completing -- */

static void end_write(writer *done, int32_t result)
{
    coil_list_remove(&done->link);
    done->sending = NULL;
    done->result = result;
    if (coil_likely(done->task != NULL))
        coil_task_wake(done->task);
}

bool writer_next_part(writer *waiting)
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
        if (first->takes_some || !writer_next_part(first)) {
            sending->writer_count--;
            end_write(first, first->takes_some ? (int32_t)part_bytes : 0);
        }
    }
}

void sender_refuse_more(coil_sender *sender)
{
    sender->is_cut = true;
    sender->sends_at_once = false;
}

void sending_cut(coil_sending *sending)
{
    sender_refuse_more(sending->sender);
    while (!coil_list_empty(&sending->writers))
        end_write(writer_at(sending->writers.next), -EPIPE);
}

static void end_cancelled(coil_sending *sending, writer *cancelled)
{
    end_write(cancelled, -ECANCELED);
    if (cancelled->is_begun)
        sending_cut(sending);
}

/* That a connection is lost, by coil_sender.loss. */
static const int losses[] = {0, -ECONNABORTED, -ECONNRESET, -EHOSTDOWN, -EHOSTUNREACH, -ENETDOWN,
        -ENETRESET, -ENETUNREACH, -ETIMEDOUT,
        /* What ICMP has said before its patience ends. */
        -EACCES, -ECONNREFUSED, -ENONET, -ENOPROTOOPT, -EPROTO};

enum { LOSS_COUNT = sizeof(losses) / sizeof(losses[0]), LOSS_MASK = 15 };

static_assert(LOSS_COUNT <= LOSS_MASK + 1, "they are numbered by four bits");

/*
 * An error that comes when a part of an operation is done, the kernel does not tell: the operation
 * ends with that part, and the error has been taken from the socket. What is left is EPIPE to those
 * who write, as when the peer has properly ended, and the end of the stream to those who read.
 */
static COIL_COLD int untold_loss(const coil_sender *sender)
{
    const bool has_one = sender->is_socket && !sender->is_layered && !coil_fd_is_direct(sender->fd);
    return has_one ? coil_kernel_loss(sender->fd) : 0;
}

void coil_sender_failed(coil_sender *sender, int error)
{
    if (error == -EPIPE && sender->loss == 0)
        error = untold_loss(sender);
    for (unsigned i = 1; i < LOSS_COUNT; i++) {
        if (losses[i] == error)
            sender->loss = (unsigned char)(i & LOSS_MASK);
    }
}

int sender_loss(coil_sender *sender)
{
    /* A write under way is not told yet, a cut one never. */
    if (coil_unlikely(sender_is_busy(sender) || sender->is_cut))
        coil_sender_failed(sender, -EPIPE);
    return losses[sender->loss];
}

/* Nothing more gets out of the writes that were on their way. */
static COIL_COLD void fail_parts(coil_sending *sending, int32_t error)
{
    bool is_torn = false;
    coil_sender_failed(sending->sender, error);
    for (; sending->writer_count > 0; sending->writer_count--) {
        writer *first = writer_at(sending->writers.next);
        is_torn |= first->is_begun;
        end_write(first, error);
    }
    if (is_torn)
        sending_cut(sending);
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

void sending_go_on(coil_sending *sending)
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
    coil_sending *sending = sending_of(op);
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
    sending_go_on(sending);
    if (coil_unlikely(flush != NULL && flush->plain.sending == NULL))
        flush->ended(flush, flush->plain.result); /* Who may close the descriptor. */
}

static const op_kind send_kind = {
        .name = "send", .prepare = send_prepare, .complete = send_complete};

/* ------------------------------------------------------------------------ begin and cancel -- */

coil_sending *sending_start(coil_sender *sender, coil_loop *loop)
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

void writer_cancel(writer *waiting)
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
    /* It may wait for room in the queue: for those who are left, it begins anew. */
    if (sending->writer_count == 0)
        op_cancel(&sending->op);
}
