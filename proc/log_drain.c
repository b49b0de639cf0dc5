/* SPDX-License-Identifier: MIT */
/* Rounds of draining: see log_private.h. */
#include "log_private.h"

#include <coil/kernel.h>
#include <coil/waiter.h>

static uint64_t later_of(uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

void log_drain_attach(log_pipe *pipe)
{
    coil_log *log = pipe->log;
    pipe->first_round = later_of(log->drain_round, log->wanted_rounds);
    log->last_first_round = pipe->first_round;
}

uint64_t log_drain_want(coil_log *log)
{
    const uint64_t round = later_of(log->drain_round + log->is_draining, log->last_first_round);
    log->wanted_rounds = later_of(log->wanted_rounds, round + 1);
    return round + 1;
}

bool log_drain_holds_back(const log_pipe *pipe)
{
    const coil_log *log = pipe->log;
    return log->is_draining && pipe->first_round > log->drain_round;
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
    if (log->wanted_rounds > log->drain_round)
        log_drain_begin(log);
}

coil_define(int, log_drain_until, (coil_log *) log, (uint64_t) round_count)
{
    coil_vars();

    const bool has_nothing = !log->is_pumping && log->pipe_count == 0 && log->said_bytes == 0;
    if (has_nothing || log->drain_round >= round_count)
        return 0;
    const int rc = log_pump_start(log);
    if (rc < 0)
        return rc;
    if (!log->is_draining)
        log_drain_begin(log);
    while (log->drain_round < round_count)
        coil_attempt(coil_waiter_wait(&log->drains));
    return 0;
}

coil_define(int, coil_log_drain, (coil_log *) log)
{
    coil_vars();

    coil_attempt(log_drain_until(log, log_drain_want(log)));
    return 0;
}
