/* SPDX-License-Identifier: MIT */
/* What a log does with its lines besides storing them, and what it says about those it has lost. */
#include "log_private.h"

#include <coil/error.h>
#include <coil/kernel.h>

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------------ tail -- */

static void put(coil_log *log, const char *bytes, size_t size_bytes)
{
    if (size_bytes > log->tail_bytes) {
        bytes += size_bytes - log->tail_bytes;
        size_bytes = log->tail_bytes;
    }
    const size_t at = (size_t)(log->tail_end % log->tail_bytes);
    const size_t first_bytes =
            size_bytes < log->tail_bytes - at ? size_bytes : log->tail_bytes - at;
    memcpy(log->tail + at, bytes, first_bytes);
    memcpy(log->tail, bytes + first_bytes, size_bytes - first_bytes);
    log->tail_end += size_bytes;
}

static void remember(coil_log *log, const coil_log_line *line)
{
    if (log->tail == NULL)
        return;
    put(log, line->prefix, strnlen(line->prefix, COIL_LOG_PREFIX_BYTES_MAX));
    put(log, line->bytes, line->size_bytes);
    put(log, "\n", 1);
}

size_t coil_log_tail(const coil_log *log, char *out_bytes, size_t size_bytes)
{
    size_t have_bytes = log->tail_bytes;
    if (log->tail_end < have_bytes)
        have_bytes = (size_t)log->tail_end;
    const bool is_whole = have_bytes == log->tail_end && have_bytes <= size_bytes;
    if (have_bytes > size_bytes)
        have_bytes = size_bytes;
    for (size_t i = 0; i < have_bytes; i++)
        out_bytes[i] = log->tail[(log->tail_end - have_bytes + i) % log->tail_bytes];
    if (is_whole)
        return have_bytes;
    /* It begins in the middle of a line. */
    const char *newline = have_bytes == 0 ? NULL : memchr(out_bytes, '\n', have_bytes);
    if (newline == NULL)
        return 0;
    const size_t skipped_bytes = (size_t)(newline - out_bytes) + 1;
    memmove(out_bytes, newline + 1, have_bytes - skipped_bytes);
    return have_bytes - skipped_bytes;
}

/* ------------------------------------------------------------------------------- the limit -- */

enum { ONE_LINE = 1000000 };

void log_allow(coil_log *log, int64_t time_us)
{
    if (log->lines_per_second == 0)
        return;
    const int64_t most = (int64_t)log->lines_per_second * 2 * (int64_t)ONE_LINE;
    const int64_t passed_us = time_us - log->allowed_us;
    log->allowed_us = time_us;
    if (passed_us >= (int64_t)2 * ONE_LINE) {
        log->allowance = most;
    } else if (passed_us > 0) { /* Else somebody has set the clock back. */
        log->allowance += passed_us * log->lines_per_second;
        if (log->allowance > most)
            log->allowance = most;
    }
}

static bool is_allowed(coil_log *log)
{
    if (log->lines_per_second == 0)
        return true;
    if (log->allowance < ONE_LINE)
        return false;
    log->allowance -= ONE_LINE;
    return true;
}

void log_pass_on(coil_log *log, const coil_log_line *line)
{
    if (log->on_line != NULL)
        log->on_line->line(log->on_line, line);
    remember(log, line);
}

bool log_sink_line(log_sink *sink, log_job *job, const coil_log_line *line)
{
    coil_log *log = coil_container_of(sink, coil_log, sink);
    (void)job;
    if (!is_allowed(log)) {
        log->untold.rated++;
        log->stats.dropped_lines++;
        return false;
    }
    log_pass_on(log, line);
    return true;
}

/* -------------------------------------------------------------------------------- notices -- */

/* Into the output of `notice`, which is empty. */
static void format_notice(const coil_log *log, uint64_t count, const char *why, log_job *notice)
{
    char text[LOG_NOTICE_BYTES_MAX - COIL_LOG_TIME_BYTES - 1];
    char head[COIL_LOG_TIME_BYTES];
    const int size_bytes = snprintf(text, sizeof(text), "[%llu line%s dropped: %s]",
            (unsigned long long)count, count == 1 ? "" : "s", why);

    notice->head = head;
    if (log->timestamps) {
        log_time_format(coil_kernel_time_us(), head);
        notice->head_bytes = sizeof(head);
    }
    log_lines_say(notice, text, (size_t)size_bytes);
    notice->head = NULL;
}

void log_put_rated(coil_log *log, bool is_last)
{
    log_job *job = &log->job;
    if (!log->rules.stores || log->untold.rated == 0 || (!is_last && log->allowance < ONE_LINE))
        return;
    log_job notice = {.out = job->out + job->out_bytes};
    format_notice(log, log->untold.rated, "too many", &notice);
    job->out_bytes += notice.out_bytes;
    log->job_notices.count++;
    log->job_notices.told.rated += log->untold.rated;
    log->untold.rated = 0;
}

void log_put_refused(coil_log *log)
{
    log_job *job = &log->job;
    char text[LOG_NOTICE_BYTES_MAX];

    if (log->untold.refused == 0)
        return;
    log_job notice = {.out = text};
    format_notice(log, log->untold.refused, coil_error_text(log->refused_error), &notice);
    memmove(job->out + notice.out_bytes, job->out, job->out_bytes);
    memcpy(job->out, text, notice.out_bytes);
    job->out_bytes += notice.out_bytes;
    log->job_notices.count++;
    log->job_notices.told.refused = log->untold.refused;
    log->untold.refused = 0;
}
