/* SPDX-License-Identifier: MIT */
/* Rounds of draining: see log_private.h. */
#include "log_private.h"

#include <coil/kernel.h>
#include <coil/waiter.h>

void log_drain_attach(log_pipe *pipe)
{
    const coil_log *log = pipe->log;
    pipe->first_round = log->drain_round + log->is_draining;
    if (log->is_drain_coming || !coil_list_empty(&log->next_drains))
        pipe->first_round++;
}

void log_drain_announce(coil_log *log, bool is_coming)
{
    log->is_drain_coming = is_coming;
}

bool log_drain_holds_back(const log_pipe *pipe)
{
    const coil_log *log = pipe->log;
    return log->is_draining && (int32_t)(pipe->first_round - log->drain_round) > 0;
}

static void want(log_pipe *pipe)
{
    if (log_drain_holds_back(pipe))
        return;
    const int held_bytes = coil_kernel_pipe_held(pipe->fd);
    pipe->drain_bytes = held_bytes > 0 ? (size_t)held_bytes : 0;
    pipe->is_draining = true;
    pipe->log->drain_count++;
}

void log_drain_begin(coil_log *log)
{
    log->is_draining = true;
    log_wake_all(log);
    for (coil_list *at = log->ready.next; at != &log->ready; at = at->next)
        want(coil_container_of(at, log_pipe, link));
    log->is_draining_said = log->said_bytes > 0;
    log->drain_count += log->is_draining_said;
}

void log_drain_forget(log_pipe *pipe)
{
    if (!pipe->is_draining)
        return;
    pipe->is_draining = false;
    pipe->log->drain_count--;
}

/*
 * The end of a pipe is seen only by who comes once more after its last bytes. Whatever comes then
 * instead has been written later.
 */
bool log_drain_read(log_pipe *pipe, size_t size_bytes)
{
    if (!pipe->is_draining)
        return false;
    if (size_bytes == 0 || pipe->drain_bytes == 0) {
        log_drain_forget(pipe);
        return false;
    }
    pipe->drain_bytes -= size_bytes < pipe->drain_bytes ? size_bytes : pipe->drain_bytes;
    return true;
}

bool log_drain_is_read(const coil_log *log)
{
    return log->is_draining && log->drain_count == 0;
}

void log_drain_end(coil_log *log)
{
    log->is_draining = false;
    log->drain_round++;
    coil_waiter_grant_all(&log->drains, 0);
    if (coil_list_empty(&log->next_drains))
        return;
    log_list_move(&log->next_drains, &log->drains);
    log_drain_begin(log);
}
