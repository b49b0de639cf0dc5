/* SPDX-License-Identifier: MIT */
/*
 * SEND_ZC and SENDMSG_ZC: sends from the memory of the program itself (pitfall 13). A first
 * completion says how much has been sent, or that nothing could be; the notification that follows,
 * that the memory is the program's again. Until then it must not change. (Observed:
 * zero_copy_send, zero_copy_refused, zero_copy_cancelled.)
 *
 * Coil has no use for them so far: docs/decisions/0019-no-zero-copy-send.md.
 */
#include "operation_table.h"
#include "process.h"
#include "socket.h"
#include "transfer.h"

#include <errno.h>

/* Buffers that are registered, and reports of what was copied all the same, are not known here. */
static bool is_known(const sim_request *request)
{
    return (request->sqe.ioprio & ~IORING_RECVSEND_POLL_FIRST) == 0;
}

static int prepare_send(sim_request *request)
{
    return is_known(request) ? transfer_send.prepare(request) : -EINVAL;
}

static int prepare_sendmsg(sim_request *request)
{
    return is_known(request) ? transfer_sendmsg.prepare(request) : -EINVAL;
}

/* Unix sockets copy, and do not pretend to do without it. */
static int check_socket(sim_file *file)
{
    if (!sim_file_is_socket(file))
        return -ENOTSOCK;
    return sim_socket_of(file)->family == AF_UNIX ? -EOPNOTSUPP : 0;
}

static void tell_result(sim_request *request, int result)
{
    sim_request_tell(request, result, 0);
    request->is_notice = true;
    request->flags = IORING_CQE_F_NOTIF;
}

/* What has been sent is needed until the peer has said that it has it. */
static int attempt(sim_request *request, const sim_operation *plain)
{
    sim_world *world = sim_request_process(request)->world;

    if (request->is_notice)
        return 0;
    int result = check_socket(request->file);
    if (result == 0)
        result = plain->attempt(request);
    if (result == SIM_AGAIN)
        return SIM_AGAIN;
    tell_result(request, result);
    const coil_duration there_and_back = sim_draw_latency(world, SIM_LATENCY_NETWORK) +
                                         sim_draw_latency(world, SIM_LATENCY_NETWORK);
    return sim_request_wait_until(request, coil_time_after(sim_now(world), there_and_back));
}

static int attempt_send(sim_request *request)
{
    return attempt(request, &transfer_send);
}

static int attempt_sendmsg(sim_request *request)
{
    return attempt(request, &transfer_sendmsg);
}

/* Two completions then, too. */
static int cancelled(sim_request *request)
{
    tell_result(request, request->done_bytes > 0 ? (int)request->done_bytes : -ECANCELED);
    return 0;
}

const sim_operation sim_operation_send_zc = {.name = "send_zc",
        .prepare = prepare_send,
        .attempt = attempt_send,
        .cancelled = cancelled,
        .needs_file = true,
        .writes = true};
const sim_operation sim_operation_sendmsg_zc = {.name = "sendmsg_zc",
        .prepare = prepare_sendmsg,
        .attempt = attempt_sendmsg,
        .cancelled = cancelled,
        .needs_file = true,
        .writes = true};
