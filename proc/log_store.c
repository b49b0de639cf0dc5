/* SPDX-License-Identifier: MIT */
/* The lines of a job go to the file, or are counted as lost: see log_private.h. */
#include "log_private.h"

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

/* What is in the job from `done_bytes` on will not be stored. */
static void drop(coil_log *log, size_t done_bytes, int error)
{
    uint64_t count = count_lines(log->job.out + done_bytes, log->job.out_bytes - done_bytes);
    if (done_bytes == 0) { /* The notices were first, and are lines themselves. */
        count -= (log->rated.told_count > 0) + (log->refused.told_count > 0);
        log->rated.told_count = log->refused.told_count = 0;
    }
    log->refused.count += count;
    log->stats.dropped_lines += count;
    log->stats.lines -= count;
    log->refused_error = error;
}

static void told(log_drops *drops)
{
    drops->count -= drops->told_count;
    drops->told_count = 0;
}

/* Something of the job is in the file; the notices were the first of it. */
static void stored(coil_log *log, size_t size_bytes)
{
    log->stats.stored_bytes += size_bytes;
    if (size_bytes == 0)
        return;
    told(&log->rated);
    told(&log->refused);
}

/* A moment, or until somebody wants to know. */
coil_async(void, wait_for_room, (coil_log *) log)
{
    coil_vars(int rc);
    coil_await(my->rc, coil_within(coil_s(1), coil_waiter_wait(&log->nudges)));
}

coil_async(int, put_in_file, (coil_log *) log)
{
    coil_vars(size_t put_bytes; int rc);

    while (log->done_bytes < log->job.out_bytes) {
        if (log->refused_until > coil_now() && log->when_full == COIL_LOG_DROP) {
            drop(log, log->done_bytes, log->refused_error);
            return log->refused_error;
        }
        coil_await(my->rc,
                log_file_put(&log->file, log->job.out + log->done_bytes,
                        log->job.out_bytes - log->done_bytes, log->job.time_us, &my->put_bytes));
        log->done_bytes += my->put_bytes;
        stored(log, my->put_bytes);
        log->stats.error = my->rc;
        if (my->rc == 0)
            continue;
        log->refused_until = coil_time_after(coil_now(), coil_s(1));
        if (log->is_abandoned || log->when_full == COIL_LOG_DROP) {
            drop(log, log->done_bytes, my->rc);
            return my->rc;
        }
        coil_await(wait_for_room(log));
    }
    return 0;
}

coil_define(int, log_store, (coil_log *) log)
{
    coil_vars(int rc);

    log->stats.lines += log->job.line_count;
    log->stats.cut_lines += log->job.cut_count;
    log->job.line_count = log->job.cut_count = 0;
    if (log->job.out_bytes > 0)
        coil_await(my->rc, put_in_file(log));
    log->job.out_bytes = log->done_bytes = 0;
    return my->rc;
}

void log_give_up(coil_log *log)
{
    if (log->job.out_bytes > 0)
        drop(log, log->done_bytes, -ECANCELED);
    log->job.out_bytes = log->done_bytes = 0;
}
