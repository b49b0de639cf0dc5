/* SPDX-License-Identifier: MIT */
#include "transfer.h"

#include "process.h"
#include "ring.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

enum {
    SHOTS_AT_A_TIME = 32, /* As the kernel has it: MULTISHOT_MAX_RETRY. */
    FIRST_PAGE_BYTES = 4096,
};

/* What the kernel copies at submission (IORING_FEAT_SUBMIT_STABLE): the program may free it. */
typedef struct gathered {
    sim_extra extra;
    struct msghdr message; /* recvmsg, sendmsg */
    unsigned part_count;
    struct iovec parts[];
} gathered;

static const char gathered_name[] = "gathered";

static gathered *gathered_of(const sim_request *request)
{
    if (request->extra == NULL || request->extra->name != gathered_name)
        return NULL;
    return coil_container_of(request->extra, gathered, extra);
}

const struct iovec *transfer_parts(const sim_request *request, unsigned *out_count)
{
    const gathered *parts = gathered_of(request);

    if (parts != NULL) {
        *out_count = parts->part_count;
        return parts->parts;
    }
    *out_count = request->own_part.iov_base != NULL;
    return &request->own_part;
}

/* -------------------------------------------------------------------------------- preparing -- */

static bool selects_buffer(const sim_request *request)
{
    return (request->sqe.flags & IOSQE_BUFFER_SELECT) != 0;
}

/*
 * Nothing is ever mapped in the first page. (The kernel finds out when it copies, so that it says
 * so only if there is something to be copied.)
 */
static bool is_faulty(const struct iovec *part)
{
    return part->iov_len > 0 && (uintptr_t)part->iov_base < FIRST_PAGE_BYTES;
}

static int prepare_one(sim_request *request)
{
    const struct iovec part = {sim_memory_at(request->sqe.addr), request->sqe.len};
    if (selects_buffer(request))
        return 0;
    if (is_faulty(&part))
        return -EFAULT;
    request->own_part = part;
    return 0;
}

static int gather(sim_request *request, const struct iovec *parts, unsigned count)
{
    if (count > IOV_MAX)
        return -EINVAL;
    for (unsigned i = 0; i < count; i++) {
        if (is_faulty(&parts[i]))
            return -EFAULT;
    }
    gathered *copy = sim_new(sizeof(*copy) + count * sizeof(*parts));
    copy->extra.name = gathered_name;
    copy->part_count = count;
    if (count > 0)
        memcpy(copy->parts, parts, count * sizeof(*parts));
    request->extra = &copy->extra;
    return 0;
}

static int prepare_vector(sim_request *request)
{
    return gather(request, sim_memory_at(request->sqe.addr), request->sqe.len);
}

static int prepare_message(sim_request *request)
{
    const struct msghdr *message = sim_memory_at(request->sqe.addr);
    const int rc = gather(request, message->msg_iov, (unsigned)message->msg_iovlen);
    if (rc == 0)
        coil_container_of(request->extra, gathered, extra)->message = *message;
    return rc;
}

/* With buffers that are provided if it is a multishot, which is the only way that is known here. */
static int prepare_recvmsg(sim_request *request)
{
    const bool is_multishot = (request->sqe.ioprio & IORING_RECV_MULTISHOT) != 0;
    if (is_multishot != selects_buffer(request) ||
            (is_multishot && (request->sqe.msg_flags & MSG_WAITALL) != 0))
        return -EINVAL;
    return prepare_message(request);
}

/* A stream of bytes without a position. */
static int prepare_multishot(sim_request *request)
{
    return selects_buffer(request) ? 0 : -EINVAL;
}

/* What cannot be polled never says that there is more (observed: multishot_read_of_file). */
static int prepare_read_multishot(sim_request *request)
{
    return request->file->type->poll == NULL ? -EBADFD : prepare_multishot(request);
}

/* -------------------------------------------------------------------------------- trying -- */

typedef ssize_t transfer_call(sim_file *file, sim_io *io);

static size_t all_bytes(const struct iovec *parts, unsigned count)
{
    size_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += parts[i].iov_len;
    return sum;
}

/* As recorded, else all of it. */
static size_t size_to_move(const sim_request *request, size_t size_bytes)
{
    if (request->imposed == NULL || request->imposed->result == 0)
        return size_bytes; /* (The end of a stream is found out by asking for more.) */
    const size_t wanted_bytes = (size_t)request->imposed->result;
    return wanted_bytes < size_bytes ? wanted_bytes : size_bytes;
}

/* The rest of the bytes, or fewer. */
static ssize_t transfer(
        sim_request *request, const sim_io *whole, transfer_call *call, sim_fault_kind shortness)
{
    sim_world *world = request->ring->process->world;
    sim_io io = *whole;

    io.done_bytes = request->done_bytes;
    io.size_bytes = size_to_move(request, io.size_bytes);
    if (request->is_spent)
        io.size_bytes = io.done_bytes;
    const size_t left_bytes = sim_io_left(&io);
    if (left_bytes > 1 && !request->file->type->has_messages && sim_fault(world, shortness))
        io.size_bytes = io.done_bytes + 1 + (size_t)sim_random_below(world, left_bytes - 1);
    const ssize_t count = call(request->file, &io);
    request->is_spent = request->is_spent || io.is_spent;
    return count;
}

/* Not with an offset: the type sees the offset of the whole, and counts from done_bytes. */
static int64_t offset_of(const sim_request *request)
{
    const int64_t offset = (int64_t)request->sqe.off;
    return offset == -1 || !request->file->type->has_offset ? -1 : offset;
}

/* The flags of read(2) and of recv(2) are different ones. */
static bool may_wait(const sim_io *io, transfer_call *call)
{
    const bool is_file = call == sim_file_read || call == sim_file_write;
    return (io->flags & (is_file ? RWF_NOWAIT : MSG_DONTWAIT)) == 0;
}

/* Until `io` is done, if MSG_WAITALL says so, else once. The bytes of all calls, or an error. */
static int attempt_io(sim_request *request, const sim_io *io, transfer_call *call, short events)
{
    const sim_fault_kind shortness =
            events == POLLIN ? SIM_FAULT_SHORT_READ : SIM_FAULT_SHORT_WRITE;
    const size_t size_bytes = size_to_move(request, io->size_bytes);
    const bool waits = (io->flags & MSG_WAITALL) != 0 || request->imposed != NULL;
    const bool whole = waits && !request->file->type->has_messages;

    for (;;) {
        const ssize_t count = transfer(request, io, call, shortness);
        if (count == -EAGAIN && may_wait(io, call))
            return sim_request_wait_file(request, events);
        if (count <= 0)
            return request->done_bytes > 0 ? (int)request->done_bytes : (int)count;
        request->done_bytes += (size_t)count;
        if (!whole || request->done_bytes >= size_bytes)
            return (int)request->done_bytes;
    }
}

static sim_io io_of(const sim_request *request)
{
    unsigned count;
    const struct iovec *parts = transfer_parts(request, &count);

    return (sim_io){.parts = parts,
            .part_count = count,
            .size_bytes = all_bytes(parts, count),
            .offset = -1,
            .flags = (int)request->sqe.rw_flags, /* And msg_flags: a union. */
            .process = request->ring->process};
}

/* All that was recorded is to arrive in one piece, so it is not begun before it is there. */
static bool is_to_come(const sim_request *request)
{
    sim_file *file = request->file;
    if (request->imposed == NULL || file->type->queued == NULL || file->type->has_messages)
        return false;
    return file->type->queued(file) < (size_t)request->imposed->result;
}

/*
 * recvmsg(2) into the buffer that is next: what the call tells beside its bytes comes first, as
 * io_uring_prep_recvmsg_multishot(3) has it. With MSG_TRUNC, how long the message was.
 */
static int receive_message(
        sim_request *request, const sim_io *whole, sim_buffers *buffers, const struct iovec *buffer)
{
    const struct msghdr *wanted = whole->message;
    struct io_uring_recvmsg_out head = {0};
    char *name = (char *)buffer->iov_base + sizeof(head);
    const size_t head_bytes = sizeof(head) + wanted->msg_namelen + wanted->msg_controllen;
    struct msghdr message = {.msg_name = name,
            .msg_namelen = wanted->msg_namelen,
            .msg_control = name + wanted->msg_namelen,
            .msg_controllen = wanted->msg_controllen};

    if (buffer->iov_len < head_bytes)
        return -EFAULT;
    const struct iovec payload = {
            (char *)buffer->iov_base + head_bytes, buffer->iov_len - head_bytes};
    sim_io io = *whole;
    io.parts = &payload;
    io.part_count = 1;
    io.size_bytes = payload.iov_len;
    io.message = &message;
    const ssize_t count = transfer(request, &io, sim_file_recv, SIM_FAULT_SHORT_READ);
    if (count < 0)
        return (int)count;
    head.namelen = message.msg_namelen;
    head.controllen = (uint32_t)message.msg_controllen;
    head.payloadlen = (uint32_t)count;
    head.flags = (uint32_t)message.msg_flags;
    memcpy(buffer->iov_base, &head, sizeof(head));
    const size_t got_bytes = (size_t)count < payload.iov_len ? (size_t)count : payload.iov_len;
    request->flags = sim_buffers_consume(buffers, head_bytes + got_bytes);
    return (int)(head_bytes + got_bytes);
}

/*
 * Into a provided buffer. It is chosen before anything else, so that without one the request ends
 * even if nothing is there (pitfall 10).
 */
static int receive_selected(
        sim_request *request, const sim_io *whole, transfer_call *call, size_t most)
{
    sim_ring *ring = request->ring;
    sim_buffers *buffers = sim_buffers_of(ring, request->sqe.buf_group);
    struct iovec part;

    if (buffers == NULL || sim_fault(ring->process->world, SIM_FAULT_NO_BUFFER))
        return -ENOBUFS;
    const int rc = sim_buffers_peek(buffers, most, &part);
    if (rc < 0)
        return rc;
    if (whole->message != NULL)
        return receive_message(request, whole, buffers, &part);
    sim_io io = *whole;
    io.parts = &part;
    io.part_count = 1;
    io.size_bytes = part.iov_len;
    if (is_to_come(request))
        return -EAGAIN;
    const ssize_t count = transfer(request, &io, call, SIM_FAULT_SHORT_READ);
    if (count > 0)
        request->flags = sim_buffers_consume(buffers, (size_t)count);
    return (int)count;
}

static int attempt_selected(
        sim_request *request, const sim_io *io, transfer_call *call, size_t most)
{
    request->flags = 0;
    const int count = receive_selected(request, io, call, most);
    if (count == -EAGAIN && may_wait(io, call))
        return sim_request_wait_file(request, POLLIN);
    return count;
}

/* What a receive tells beside its result: whether more is left, or the end, if that is known. */
static int tell_rest(sim_request *request, int count)
{
    sim_file *file = request->file;
    if (count >= 0 && file->type->queued != NULL && file->type->queued(file) > 0)
        request->flags |= IORING_CQE_F_SOCK_NONEMPTY;
    return count;
}

/*
 * After a shot: another one at once, or not before a change? The kernel goes on where it knows that
 * there is more, and where it does not know (io_recv_finish()). So it does not run out of buffers
 * over nothing (observed: multishot_recv_without_buffers).
 */
static bool goes_on(const sim_request *request, transfer_call *call)
{
    sim_file *file = request->file;
    if (call == sim_file_recv && file->type->queued == NULL)
        return true;
    if (call == sim_file_recv && file->type->queued(file) > 0)
        return true;
    return (sim_file_poll(request->file) & (POLLIN | POLLERR | POLLHUP)) != 0;
}

/* An empty message is the last, as if it were the end of a stream (observed: udp_multishot). */
static bool is_empty_message(const sim_io *io, int count)
{
    return io->message != NULL && (size_t)count == sizeof(struct io_uring_recvmsg_out) +
                                                           io->message->msg_namelen +
                                                           io->message->msg_controllen;
}

/* May stop at any time, with a result like any other (pitfall 9). */
static int attempt_multishot(
        sim_request *request, const sim_io *io, transfer_call *call, size_t most)
{
    sim_world *world = request->ring->process->world;

    for (int i = 0; i < SHOTS_AT_A_TIME; i++) {
        const int count = attempt_selected(request, io, call, most);
        if (call == sim_file_recv)
            (void)tell_rest(request, count);
        if (count == SIM_AGAIN || count <= 0 || is_empty_message(io, count) ||
                sim_request_stops(request))
            return count;
        if (!sim_request_post(request, count, request->flags))
            return count;
        if (request->imposed != NULL || !goes_on(request, call))
            return sim_request_wait_file(request, POLLIN);
    }
    return sim_request_wait_until(request, sim_now(world)); /* The others' turn. */
}

/* -------------------------------------------------------------------------------- operations -- */

static int attempt_read(sim_request *request)
{
    sim_io io = io_of(request);
    io.offset = offset_of(request);
    if (selects_buffer(request))
        return attempt_selected(request, &io, sim_file_read, request->sqe.len);
    return attempt_io(request, &io, sim_file_read, POLLIN);
}

static int attempt_write(sim_request *request)
{
    sim_io io = io_of(request);
    io.offset = offset_of(request);
    return attempt_io(request, &io, sim_file_write, POLLOUT);
}

static int attempt_read_multishot(sim_request *request)
{
    const sim_io io = io_of(request);
    request->flags = 0;
    return attempt_multishot(request, &io, sim_file_read, request->sqe.len);
}

static bool polls_first(sim_request *request)
{
    return (request->sqe.ioprio & IORING_RECVSEND_POLL_FIRST) != 0 && request->shot_count == 0 &&
           (sim_file_poll(request->file) & (POLLIN | POLLERR | POLLHUP)) == 0;
}

static int attempt_recv(sim_request *request)
{
    sim_io io = io_of(request);
    if (polls_first(request))
        return sim_request_wait_file(request, POLLIN);
    if ((request->sqe.ioprio & IORING_RECV_MULTISHOT) != 0)
        return attempt_multishot(request, &io, sim_file_recv, request->sqe.len);
    request->flags = 0;
    if (selects_buffer(request))
        return tell_rest(request, attempt_selected(request, &io, sim_file_recv, request->sqe.len));
    return tell_rest(request, attempt_io(request, &io, sim_file_recv, POLLIN));
}

static int prepare_recv(sim_request *request)
{
    if ((request->sqe.ioprio & IORING_RECV_MULTISHOT) == 0)
        return prepare_one(request);
    if ((request->sqe.msg_flags & MSG_WAITALL) != 0)
        return -EINVAL;
    return prepare_multishot(request);
}

static int attempt_send(sim_request *request)
{
    sim_io io = io_of(request);
    return attempt_io(request, &io, sim_file_send, POLLOUT);
}

static int attempt_sendmsg(sim_request *request)
{
    sim_io io = io_of(request);
    io.message = &gathered_of(request)->message;
    return attempt_io(request, &io, sim_file_send, POLLOUT);
}

/* What the type says of the message goes back to that of the program: late, as all results. */
static int attempt_recvmsg(sim_request *request)
{
    gathered *copy = gathered_of(request);
    struct msghdr *message = sim_memory_at(request->sqe.addr);
    sim_io io = io_of(request);
    io.message = &copy->message;
    request->flags = 0;
    if ((request->sqe.ioprio & IORING_RECV_MULTISHOT) != 0)
        return attempt_multishot(request, &io, sim_file_recv, 0);
    const int count = tell_rest(request, attempt_io(request, &io, sim_file_recv, POLLIN));
    if (count >= 0) {
        message->msg_namelen = copy->message.msg_namelen;
        message->msg_controllen = copy->message.msg_controllen;
        message->msg_flags = copy->message.msg_flags;
    }
    return count;
}

/* The header of the message, whose address, and what came with it. */
static unsigned recvmsg_answers(const sim_request *request, struct iovec out_parts[SIM_ANSWERS_MAX])
{
    const struct msghdr *message = &gathered_of(request)->message;
    unsigned count = 0;

    if ((request->sqe.ioprio & IORING_RECV_MULTISHOT) != 0)
        return 0; /* Into buffers that are provided. */
    out_parts[count++] = (struct iovec){sim_memory_at(request->sqe.addr), sizeof(*message)};
    if (message->msg_name != NULL)
        out_parts[count++] = (struct iovec){message->msg_name, message->msg_namelen};
    if (message->msg_control != NULL)
        out_parts[count++] = (struct iovec){message->msg_control, message->msg_controllen};
    return count;
}

const sim_operation transfer_read = {.name = "read",
        .prepare = prepare_one,
        .attempt = attempt_read,
        .needs_file = true,
        .reads = true};
const sim_operation transfer_write = {.name = "write",
        .prepare = prepare_one,
        .attempt = attempt_write,
        .needs_file = true,
        .writes = true};
const sim_operation transfer_readv = {.name = "readv",
        .prepare = prepare_vector,
        .attempt = attempt_read,
        .needs_file = true,
        .reads = true};
const sim_operation transfer_writev = {.name = "writev",
        .prepare = prepare_vector,
        .attempt = attempt_write,
        .needs_file = true,
        .writes = true};
const sim_operation transfer_read_multishot = {.name = "read_multishot",
        .prepare = prepare_read_multishot,
        .attempt = attempt_read_multishot,
        .needs_file = true};
const sim_operation transfer_recv = {.name = "recv",
        .prepare = prepare_recv,
        .attempt = attempt_recv,
        .needs_file = true,
        .reads = true};
const sim_operation transfer_send = {.name = "send",
        .prepare = prepare_one,
        .attempt = attempt_send,
        .needs_file = true,
        .writes = true};
const sim_operation transfer_recvmsg = {.name = "recvmsg",
        .prepare = prepare_recvmsg,
        .attempt = attempt_recvmsg,
        .answers = recvmsg_answers,
        .needs_file = true,
        .reads = true};
const sim_operation transfer_sendmsg = {.name = "sendmsg",
        .prepare = prepare_message,
        .attempt = attempt_sendmsg,
        .needs_file = true,
        .writes = true};
