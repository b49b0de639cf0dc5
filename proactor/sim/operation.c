/* SPDX-License-Identifier: MIT */
/* Which operation an opcode is; and those that have no file of their own, or a connection. */
#include "request.h"

#include "operation_table.h"
#include "process.h"
#include "ring.h"
#include "socket.h"
#include "transfer.h"

#include <errno.h>
#include <poll.h>

/* --------------------------------------------------------------------------------- no file -- */

/* With IORING_NOP_INJECT_RESULT, len is the result. */
static int attempt_nop(sim_request *request)
{
    return (request->sqe.nop_flags & IORING_NOP_INJECT_RESULT) != 0 ? (int)request->sqe.len : 0;
}

static int attempt_close(sim_request *request)
{
    sim_ring *ring = request->ring;

    if (request->sqe.file_index != 0) {
        sim_direct_check_open(ring, request->sqe.file_index - 1);
        return sim_direct_close(ring, request->sqe.file_index - 1);
    }
    sim_descriptor_check_open(ring->process, request->sqe.fd);
    return sim_descriptor_close(ring->process, request->sqe.fd);
}

static const sim_operation nop_operation = {.name = "nop", .attempt = attempt_nop, .at_once = true};
static const sim_operation close_operation = {.name = "close", .attempt = attempt_close};

/* ------------------------------------------------------------------------------------- poll -- */

static int attempt_poll(sim_request *request)
{
    const bool is_multishot = (request->sqe.len & IORING_POLL_ADD_MULTI) != 0;
    /* Told to those who have not asked, too (IO_POLL_UNMASK; observed: send_after_close_tcp). */
    const unsigned asked = request->sqe.poll32_events | POLLERR | POLLHUP | POLLNVAL | POLLRDHUP;
    const short events = (short)(asked & 0x7fff);
    const int found = request->woken != 0 ? request->woken : sim_file_poll(request->file) & events;

    request->is_persistent = is_multishot;
    request->woken = 0;
    if (found == 0)
        return sim_request_wait_file(request, events);
    if (!is_multishot || sim_request_stops(request))
        return found;
    if (!sim_request_post(request, found, 0))
        return found;
    return sim_request_wait_file(request, events); /* For the next change, whatever is so now. */
}

static const sim_operation poll_operation = {
        .name = "poll", .attempt = attempt_poll, .at_once = true, .needs_file = true};

/* ----------------------------------------------------------------------------- connections -- */

int sim_request_install(sim_request *request, sim_file *file)
{
    const unsigned index = request->sqe.file_index;

    if (index == 0)
        return sim_descriptor_install(request->ring->process, file, 0);
    if (index == IORING_FILE_INDEX_ALLOC)
        return sim_direct_install(request->ring, file, IORING_FILE_INDEX_ALLOC);
    const int rc = sim_direct_install(request->ring, file, index - 1);
    return rc < 0 ? rc : 0;
}

static int take_connection(sim_request *request, sim_file **out_file)
{
    const struct io_uring_sqe *sqe = &request->sqe;
    sim_file *file = request->file;

    if (file->type->accept == NULL)
        return -ENOTSOCK;
    if (sim_fault(file->world, SIM_FAULT_ACCEPT_ABORTED))
        return -ECONNABORTED;
    const int rc =
            file->type->accept(file, sim_memory_at(sqe->addr), sim_memory_at(sqe->addr2), out_file);
    if (rc == 0 && file->type->queued != NULL && file->type->queued(file) > 0)
        request->flags = IORING_CQE_F_SOCK_NONEMPTY;
    return rc;
}

/*
 * accept(2) finds a number first: without one the connection stays in the queue, and the request
 * ends even if there is none. A direct one finds its slot last, and what has none is closed.
 */
static int accept_one(sim_request *request)
{
    sim_process *process = request->ring->process;
    const bool is_direct = request->sqe.file_index != 0;
    sim_file *accepted = NULL;

    const int fd = is_direct ? 0 : sim_descriptor_reserve(process, 0);
    if (fd < 0)
        return fd;
    const int rc = take_connection(request, &accepted);
    if (rc < 0)
        return rc;
    if (is_direct)
        return sim_request_install(request, accepted);
    sim_descriptor_fill(process, fd, accepted);
    return fd;
}

static int attempt_accept(sim_request *request)
{
    const bool is_multishot = (request->sqe.ioprio & IORING_ACCEPT_MULTISHOT) != 0;

    request->waiter.is_exclusive = true;
    request->stays = is_multishot;
    for (;;) {
        request->flags = 0;
        const int result = accept_one(request);
        if (result == -EAGAIN && (request->sqe.ioprio & IORING_ACCEPT_DONTWAIT) == 0)
            return sim_request_wait_file(request, POLLIN);
        if (result < 0 || !is_multishot || sim_request_stops(request))
            return result;
        if (!sim_request_post(request, result, request->flags))
            return result;
        if (request->imposed != NULL)
            return sim_request_wait_file(request, POLLIN);
    }
}

/* Whose address it is, and its length. Each shot of a multishot one writes there: not lent. */
static unsigned accept_answers(const sim_request *request, struct iovec out_parts[SIM_ANSWERS_MAX])
{
    void *address = sim_memory_at(request->sqe.addr);
    socklen_t *length = sim_memory_at(request->sqe.addr2);

    if ((request->sqe.ioprio & IORING_ACCEPT_MULTISHOT) != 0 || address == NULL || length == NULL)
        return 0;
    out_parts[0] = (struct iovec){address, *length};
    out_parts[1] = (struct iovec){length, sizeof(*length)};
    return 2;
}

/* The address is copied at submission. */
typedef struct connecting {
    sim_extra extra;
    struct sockaddr_storage address;
    socklen_t size_bytes;
} connecting;

static int prepare_connect(sim_request *request)
{
    const uint64_t size_bytes = request->sqe.addr2;
    if (size_bytes > sizeof(struct sockaddr_storage))
        return -EINVAL;
    connecting *copy = sim_new(sizeof(*copy));
    copy->extra.name = "connecting";
    copy->size_bytes = (socklen_t)size_bytes;
    __builtin_memcpy(&copy->address, sim_memory_at(request->sqe.addr), size_bytes);
    request->extra = &copy->extra;
    return 0;
}

/* A unix socket waits for room in a thread of the kernel (observed: cancel_connect_unix). */
static int connect_cancelled(sim_request *request)
{
    return request->in_worker ? -EINTR : -ECANCELED;
}

static int attempt_connect(sim_request *request)
{
    const connecting *copy = coil_container_of(request->extra, connecting, extra);
    sim_file *file = request->file;

    if (file->type->connect == NULL)
        return -ENOTSOCK;
    if (!request->has_begun && sim_socket_refuses(file))
        return -ECONNREFUSED;
    request->has_begun = true;
    const int rc = file->type->connect(file, (const void *)&copy->address, copy->size_bytes);
    request->in_worker = rc == -EAGAIN;
    return rc == -EINPROGRESS || rc == -EAGAIN ? sim_request_wait_file(request, POLLOUT) : rc;
}

static int attempt_shutdown(sim_request *request)
{
    sim_file *file = request->file;
    return file->type->shutdown == NULL ? -ENOTSOCK
                                        : file->type->shutdown(file, (int)request->sqe.len);
}

static int prepare_install(sim_request *request)
{
    return (request->sqe.flags & IOSQE_FIXED_FILE) != 0 ? 0 : -EBADF;
}

static int attempt_install(sim_request *request)
{
    return sim_descriptor_install(request->ring->process, sim_file_hold(request->file), 0);
}

static const sim_operation accept_operation = {
        .name = "accept", .attempt = attempt_accept, .answers = accept_answers, .needs_file = true};
static const sim_operation connect_operation = {.name = "connect",
        .prepare = prepare_connect,
        .attempt = attempt_connect,
        .cancelled = connect_cancelled,
        .needs_file = true};
static const sim_operation shutdown_operation = {
        .name = "shutdown", .attempt = attempt_shutdown, .needs_file = true};
static const sim_operation install_operation = {.name = "fixed_fd_install",
        .prepare = prepare_install,
        .attempt = attempt_install,
        .needs_file = true};

/* ------------------------------------------------------------------------------ the table -- */

const sim_operation *sim_operation_of(uint8_t opcode)
{
    static const sim_operation *const operations[] = {
            [IORING_OP_NOP] = &nop_operation,
            [IORING_OP_READV] = &transfer_readv,
            [IORING_OP_WRITEV] = &transfer_writev,
            [IORING_OP_POLL_ADD] = &poll_operation,
            [IORING_OP_SENDMSG] = &transfer_sendmsg,
            [IORING_OP_RECVMSG] = &transfer_recvmsg,
            [IORING_OP_ACCEPT] = &accept_operation,
            [IORING_OP_CONNECT] = &connect_operation,
            [IORING_OP_CLOSE] = &close_operation,
            [IORING_OP_READ] = &transfer_read,
            [IORING_OP_WRITE] = &transfer_write,
            [IORING_OP_SEND] = &transfer_send,
            [IORING_OP_RECV] = &transfer_recv,
            [IORING_OP_SHUTDOWN] = &shutdown_operation,
            [IORING_OP_FIXED_FD_INSTALL] = &install_operation,
            [IORING_OP_READ_MULTISHOT] = &transfer_read_multishot,
            [IORING_OP_FSYNC] = &sim_operation_fsync,
            [IORING_OP_OPENAT] = &sim_operation_openat,
            [IORING_OP_STATX] = &sim_operation_statx,
            [IORING_OP_RENAMEAT] = &sim_operation_renameat,
            [IORING_OP_UNLINKAT] = &sim_operation_unlinkat,
            [IORING_OP_MKDIRAT] = &sim_operation_mkdirat,
            [IORING_OP_SYMLINKAT] = &sim_operation_symlinkat,
            [IORING_OP_LINKAT] = &sim_operation_linkat,
            [IORING_OP_FTRUNCATE] = &sim_operation_ftruncate,
            [IORING_OP_FALLOCATE] = &sim_operation_fallocate,
            [IORING_OP_SPLICE] = &sim_operation_splice,
            [IORING_OP_WAITID] = &sim_operation_waitid,
            [IORING_OP_SEND_ZC] = &sim_operation_send_zc,
            [IORING_OP_SENDMSG_ZC] = &sim_operation_sendmsg_zc,
    };
    if (opcode >= sizeof(operations) / sizeof(operations[0]))
        return NULL;
    return operations[opcode];
}
