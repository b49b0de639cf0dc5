/* SPDX-License-Identifier: MIT */
/*
 * log_lines.h - bytes of a pipe become lines of a log: cut, marked, with time and prefix. Pure.
 *
 *     job.in, job.head set; job.out with room for a line at least
 *     log_lines_take(&rules, &rest, &job)      until job.in is used up, or job.out has no room
 *
 * What comes behind the last newline goes to `rest`, and waits there for its end.
 */
#ifndef LOG_LINES_H
#define LOG_LINES_H

#include <coil/log_capture.h>

COIL_BEGIN_DECLS

enum {
    LOG_HEAD_BYTES_MAX = COIL_LOG_TIME_BYTES + COIL_LOG_PREFIX_BYTES_MAX,
    LOG_LINE_LIMIT_USUAL = 8192,
    LOG_LINE_LIMIT_MAX = 65536,
    /* What a line, or a piece of one, takes in the output at most. */
    LOG_LINE_BYTES_MAX = LOG_HEAD_BYTES_MAX + LOG_LINE_LIMIT_MAX + 16,
};

static_assert(sizeof(COIL_LOG_CUT_MARK) <= 16 && sizeof(COIL_LOG_END_MARK) <= 16, "marks fit");

/* The beginning of a line whose end has not come. Zeroes: nothing. */
typedef struct log_rest {
    char *bytes;
    uint32_t size_bytes;
    uint32_t room_bytes;
} log_rest;

typedef struct log_sink log_sink;
typedef struct log_job log_job;

/* What else is done with each line, apart from storing it. False: it is not to be stored. */
struct log_sink {
    bool (*line)(log_sink *sink, log_job *job, const coil_log_line *line);
};

typedef struct log_rules {
    size_t line_limit_bytes;
    bool stores;    /* Into job.out. */
    log_sink *sink; /* NULL: lines are only stored. */
} log_rules;

struct log_job {
    const char *in; /* Moves on. */
    size_t in_bytes;
    char *out;
    size_t out_bytes;      /* Filled. */
    size_t out_room_bytes; /* Of all of `out`; at least LOG_LINE_BYTES_MAX. */
    const char *head;      /* What each line begins with: time and prefix. */
    size_t head_bytes;
    const char *prefix;
    int64_t time_us;
    uint64_t line_count; /* Stored. */
    uint64_t cut_count;
};

/* Takes as much of job->in as there is room for. */
void log_lines_take(const log_rules *rules, log_rest *rest, log_job *job);

/* The pipe has ended: what `rest` holds is the last line, and is marked. Needs room for a line. */
void log_lines_end(const log_rules *rules, log_rest *rest, log_job *job);

/* One line of our own, without the sink. */
void log_lines_say(log_job *job, const char *text, size_t size_bytes);

/* "2026-11-21T18:30:56.123456Z ": exactly COIL_LOG_TIME_BYTES. */
void log_time_format(int64_t time_us, char out[COIL_LOG_TIME_BYTES]);

/* Make `rest` empty and free what it has. */
void log_rest_clear(log_rest *rest);

COIL_END_DECLS

#endif
