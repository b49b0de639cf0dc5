/* SPDX-License-Identifier: MIT */
#include "log_lines.h"

#include <coil/check.h>
#include <coil/date.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------ time -- */

static char *put_digits(char *end, unsigned count, uint64_t value)
{
    for (unsigned i = count; i > 0; i--) {
        end[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return end + count;
}

void log_time_format(int64_t time_us, char out[COIL_LOG_TIME_BYTES])
{
    const int64_t day_us = INT64_C(1000000) * COIL_DAY_S;
    int64_t day = time_us / day_us;
    int64_t of_day = time_us % day_us;
    if (of_day < 0) {
        of_day += day_us;
        day--;
    }
    const coil_date date = coil_date_of(day);
    const uint64_t second = (uint64_t)of_day / 1000000;

    char *end = put_digits(out, 4, (uint64_t)(date.year < 0 ? 0 : date.year));
    *end++ = '-';
    end = put_digits(end, 2, (uint64_t)date.month);
    *end++ = '-';
    end = put_digits(end, 2, (uint64_t)date.day);
    *end++ = 'T';
    end = put_digits(end, 2, second / 3600);
    *end++ = ':';
    end = put_digits(end, 2, second / 60 % 60);
    *end++ = ':';
    end = put_digits(end, 2, second % 60);
    *end++ = '.';
    end = put_digits(end, 6, (uint64_t)of_day % 1000000);
    *end++ = 'Z';
    *end++ = ' ';
    COIL_CHECK(end == out + COIL_LOG_TIME_BYTES);
}

/* ------------------------------------------------------------------------------------ rest -- */

void log_rest_clear(log_rest *rest)
{
    free(rest->bytes);
    *rest = (log_rest){NULL, 0, 0};
}

/* A rest is usually short and short-lived: it has what it needs, and a little more. */
static int rest_append(log_rest *rest, const char *bytes, size_t size_bytes)
{
    const size_t want_bytes = rest->size_bytes + size_bytes;
    if (want_bytes > rest->room_bytes) {
        const size_t room_bytes = want_bytes + want_bytes / 2 + 16;
        char *larger = realloc(rest->bytes, room_bytes);
        if (larger == NULL)
            return -ENOMEM;
        rest->bytes = larger;
        rest->room_bytes = (uint32_t)room_bytes;
    }
    memcpy(rest->bytes + rest->size_bytes, bytes, size_bytes);
    rest->size_bytes = (uint32_t)want_bytes;
    return 0;
}

/* ----------------------------------------------------------------------------------- lines -- */

static void put(log_job *job, const char *bytes, size_t size_bytes)
{
    memcpy(job->out + job->out_bytes, bytes, size_bytes);
    job->out_bytes += size_bytes;
}

void log_lines_say(log_job *job, const char *text, size_t size_bytes)
{
    put(job, job->head, job->head_bytes);
    put(job, text, size_bytes);
    put(job, "\n", 1);
    job->line_count++;
}

static bool has_room(const log_job *job)
{
    return job->out_room_bytes - job->out_bytes >= LOG_LINE_BYTES_MAX;
}

/* A line, or a piece: of what `rest` has and what follows it, which is no longer than the limit. */
typedef struct piece {
    const char *more;
    size_t more_bytes;
    bool continues;
    bool unended;
} piece;

static bool wanted(const log_rules *rules, log_job *job, const char *bytes, size_t size_bytes,
        const piece *this)
{
    const coil_log_line line = {
            .bytes = bytes,
            .size_bytes = size_bytes,
            .prefix = job->prefix,
            .time_us = job->time_us,
            .continues = this->continues,
            .unended = this->unended,
    };
    return rules->sink->line(rules->sink, job, &line);
}

/* The sink gets the line where it lies in the output, in one piece. */
static void emit(const log_rules *rules, log_rest *rest, log_job *job, const piece *this)
{
    const size_t before_bytes = job->out_bytes;
    const size_t line_bytes = rest->size_bytes + this->more_bytes;

    put(job, job->head, job->head_bytes);
    const char *line = job->out + job->out_bytes;
    put(job, rest->bytes == NULL ? "" : rest->bytes, rest->size_bytes);
    put(job, this->more, this->more_bytes);
    rest->size_bytes = 0;
    if (this->continues) {
        put(job, COIL_LOG_CUT_MARK, sizeof(COIL_LOG_CUT_MARK) - 1);
    } else if (this->unended) {
        put(job, COIL_LOG_END_MARK, sizeof(COIL_LOG_END_MARK) - 1);
    }
    put(job, "\n", 1);
    const bool stays = rules->sink == NULL || wanted(rules, job, line, line_bytes, this);
    job->line_count += stays;
    job->cut_count += stays && this->continues;
    if (!stays || !rules->stores)
        job->out_bytes = before_bytes;
}

/* Lines that are whole, in the input, and go to a file alone: nearly all of them. */
static void take_plain(const log_rules *rules, log_job *job)
{
    const char *in = job->in;
    const char *const end = in + job->in_bytes;
    char *out = job->out + job->out_bytes;
    const char *const out_end = job->out + job->out_room_bytes - LOG_LINE_BYTES_MAX;

    while (in < end && out <= out_end) {
        const char *newline = memchr(in, '\n', (size_t)(end - in));
        if (newline == NULL || (size_t)(newline - in) > rules->line_limit_bytes)
            break;
        const size_t size_bytes = (size_t)(newline - in) + 1;
        memcpy(out, job->head, job->head_bytes);
        out += job->head_bytes;
        memcpy(out, in, size_bytes);
        out += size_bytes;
        in += size_bytes;
        job->line_count++;
    }
    job->out_bytes = (size_t)(out - job->out);
    job->in_bytes = (size_t)(end - in);
    job->in = in;
}

/*
 * One line or piece, or what is there of it. Without memory for a rest, that is a piece: nothing is
 * lost.
 */
static void take_one(const log_rules *rules, log_rest *rest, log_job *job)
{
    const size_t room_bytes = rules->line_limit_bytes - rest->size_bytes;
    const size_t look_bytes = job->in_bytes <= room_bytes ? job->in_bytes : room_bytes + 1;
    const char *newline = memchr(job->in, '\n', look_bytes);
    piece next = {.more = job->in, .more_bytes = look_bytes};
    size_t used_bytes = look_bytes;

    if (newline != NULL) {
        next.more_bytes = (size_t)(newline - job->in);
        used_bytes = next.more_bytes + 1;
        emit(rules, rest, job, &next);
    } else if (job->in_bytes > room_bytes) {
        next.more_bytes = used_bytes = room_bytes;
        next.continues = true;
        emit(rules, rest, job, &next);
    } else if (rest_append(rest, job->in, job->in_bytes) < 0) {
        next.continues = true;
        emit(rules, rest, job, &next);
    }
    job->in += used_bytes;
    job->in_bytes -= used_bytes;
}

void log_lines_take(const log_rules *rules, log_rest *rest, log_job *job)
{
    while (job->in_bytes > 0 && has_room(job)) {
        if (rules->sink == NULL && rest->size_bytes == 0)
            take_plain(rules, job);
        if (job->in_bytes > 0 && has_room(job))
            take_one(rules, rest, job);
    }
    if (rest->size_bytes == 0 && rest->bytes != NULL)
        log_rest_clear(rest); /* A silent pipe has no buffer. */
}

void log_lines_end(const log_rules *rules, log_rest *rest, log_job *job)
{
    const piece last = {.more = "", .unended = true};
    if (rest->size_bytes > 0)
        emit(rules, rest, job, &last);
    log_rest_clear(rest);
}
