/* SPDX-License-Identifier: MIT */
/* The lines of a job go to the file, or are counted as lost: see log_private.h. */
#include "log_journal.h"

#include <coil/sched.h>
#include <coil/waiter.h>

#include <errno.h>
#include <string.h>

static uint64_t count_lines(const char *bytes, size_t size_bytes)
{
    uint64_t count = 0;
    for (const char *end = bytes + size_bytes;
            bytes < end && (bytes = memchr(bytes, '\n', (size_t)(end - bytes))) != NULL; bytes++)
        count++;
    return count;
}

/* What is left of the output will not be stored. */
static void drop(coil_log *log, int error)
{
    log_output *output = &log->output;
    uint64_t count = count_lines(
            output->bytes + output->done_bytes, output->size_bytes - output->done_bytes);
    if (output->done_bytes == 0) { /* The notices are lines themselves; and nobody has seen them. */
        count -= output->notices.count;
        log->untold.rated += output->notices.told.rated;
        log->untold.refused += output->notices.told.refused;
    }
    log->untold.refused += count;
    log->stats.dropped_lines += count;
    log->stats.lines -= count;
    log->refused_error = error;
    output->size_bytes = output->done_bytes = 0;
}

/* A moment, or until somebody wants to know. */
coil_async(void, wait_for_room, (coil_log *) log)
{
    coil_vars(int rc);
    coil_await(my->rc, coil_within(coil_s(1), coil_waiter_wait(&log->nudges)));
}

coil_define(int, log_store, (coil_log *) log)
{
    coil_vars(int rc);

    while (log->output.done_bytes < log->output.size_bytes) {
        if (log->refused_until > coil_now() && log->when_full == COIL_LOG_DROP) {
            drop(log, log->refused_error);
            return log->refused_error;
        }
        coil_await(my->rc, log_file_put(&log->file, log->output.bytes, log->output.size_bytes,
                                   log->output.time_us, &log->output.done_bytes));
        log->stats.error = my->rc;
        if (my->rc == 0)
            break;
        log->refused_until = coil_time_after(coil_now(), coil_s(1));
        if (log->is_abandoned || log->when_full == COIL_LOG_DROP) {
            drop(log, my->rc);
            return my->rc;
        }
        coil_await(wait_for_room(log));
    }
    log->output.size_bytes = log->output.done_bytes = 0;
    return 0;
}

void log_output_begin(coil_log *log)
{
    log_job *job = &log->job;
    const log_block *block = log->block;
    const bool is_resumed = block->slot != NULL && block->slot->state == LOG_SLOT_STORE;

    if (!is_resumed && job->out_bytes > 0)
        log_put_refused(log);
    log->stats.lines += job->line_count;
    log->stats.cut_lines += job->cut_count;
    job->line_count = job->cut_count = 0;
    log->output.bytes = job->out;
    log->output.size_bytes = job->out_bytes;
    log->output.time_us = job->time_us;
    log->output.notices = log->job_notices;
    log->job_notices = (log_notices){0};
    job->out_bytes = 0;
    if (log->journal == NULL)
        job->out = job->out == block->out ? block->out + LOG_HALF_BYTES : block->out;
}

void log_give_up(coil_log *log)
{
    if (log->output.size_bytes > 0)
        drop(log, -ECANCELED);
    if (log->block == NULL || log->job.out_bytes == 0)
        return;
    log_output_begin(log);
    drop(log, -ECANCELED);
}
