/* SPDX-License-Identifier: MIT */
#include <coil/log_capture.h>

#include "log_journal.h"

#include <coil/check.h>
#include <coil/io.h>
#include <coil/kernel.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROTATE_USUAL_BYTES = 16 * 1024 * 1024,
    KEEP_USUAL_FILES = 10,
    USUAL_MODE = 0640,
    LINE_LIMIT_LEAST = 16,
    SAID_BYTES_MAX = 64 * 1024,
};

/* --------------------------------------------------------------------------------- opening -- */

static void forget(coil_log *log)
{
    if (log == NULL)
        return;
    log_blocks_close();
    coil_io_worker_remove(log->loop);
    free(log->file.path);
    free(log->tail);
    free(log->said);
    free(log);
}

static void set_rules(coil_log *log, const coil_log_options *options)
{
    log->rules.line_limit_bytes =
            options->line_limit_bytes == 0 ? LOG_LINE_LIMIT_USUAL : options->line_limit_bytes;
    log->rules.stores = options->path != NULL;
    log->sink.line = log_sink_line;
    if (options->on_line != NULL || options->tail_bytes > 0 || options->lines_per_second > 0)
        log->rules.sink = &log->sink;
    log->on_line = options->on_line;
    log->tail_bytes = options->tail_bytes;
    log->lines_per_second = options->lines_per_second;
    log->timestamps = options->timestamps;
    log->when_full = options->when_full;
}

static void set_file(log_file *file, const coil_log_options *options)
{
    file->fd = -1;
    file->mode = options->mode == 0 ? USUAL_MODE : options->mode;
    file->keep_files = options->keep_files == 0 ? KEEP_USUAL_FILES : options->keep_files;
    file->keep_bytes = options->keep_bytes;
    file->rotate_bytes = options->rotate_bytes == 0 ? ROTATE_USUAL_BYTES : options->rotate_bytes;
    file->rotate_age = options->rotate_age;
    file->sync = options->sync;
}

/* Without its file. NULL: no memory. */
static coil_log *make(coil_loop *loop, const coil_log_options *options)
{
    coil_log *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return NULL;
    log_blocks_open();
    coil_io_worker_add(loop); /* If its disk hangs, that is the one which waits for it. */
    log->loop = loop;
    coil_group_init(&log->group, coil_loop_root(loop)->sched);
    log->group.keep_going = true;
    coil_list *const lists[] = {&log->silent, &log->ready, &log->resting, &log->drains,
            &log->rotations, &log->nudges, &log->pauses, &log->endings};
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
        coil_list_init(lists[i]);
    set_rules(log, options);
    set_file(&log->file, options);
    log->journal = log->file.journal = options->journal;
    if (options->path != NULL)
        log->file.path = strdup(options->path);
    if (options->tail_bytes > 0)
        log->tail = malloc(options->tail_bytes);
    if ((options->path != NULL && log->file.path == NULL) ||
            (options->tail_bytes > 0 && log->tail == NULL)) {
        forget(log);
        return NULL;
    }
    return log;
}

coil_define(int, coil_log_open, (const coil_log_options *) options, (coil_log **) out_log)
{
    coil_vars(coil_log *log; int rc);

    COIL_CHECK(options->path != NULL || options->on_line != NULL || options->tail_bytes > 0);
    const size_t limit_bytes = options->line_limit_bytes;
    if (limit_bytes != 0 && (limit_bytes < LINE_LIMIT_LEAST || limit_bytes > LOG_LINE_LIMIT_MAX))
        return -EINVAL;
    my->log = make(coil_loop_of(coil_self), options);
    if (my->log == NULL)
        return -ENOMEM;
    coil_defer(if (my->log != NULL) {
        coil_await(my->rc, log_file_close(&my->log->file));
        forget(my->log);
    });
    if (my->log->file.path != NULL)
        coil_attempt(log_file_open(&my->log->file));
    *out_log = my->log;
    my->log = NULL;
    return 0;
}

/* ----------------------------------------------------------------------------------- pipes -- */

enum { PIPE_USUAL_BYTES = 64 * 1024 };

/* 1: a killed process has left something to do. */
static int enter_in_journal(log_pipe *pipe)
{
    coil_log_journal *journal = pipe->log->journal;

    if (journal == NULL)
        return 0;
    const int rc = coil_kernel_inode(pipe->fd, &pipe->inode);
    return rc < 0 ? rc : log_journal_attach(journal, pipe);
}

static int begin_pipe(log_pipe *pipe)
{
    coil_log *log = pipe->log;
    int rc = enter_in_journal(pipe);

    if (rc < 0)
        return rc;
    if (rc == 1) {
        coil_list_append(&log->ready, &pipe->link);
        rc = log_pump_start(log);
    } else {
        log_pipe_watch(pipe);
        rc = pipe->watch == NULL ? -ENOMEM : 0;
    }
    if (rc < 0 && log->journal != NULL)
        log_journal_detach(log->journal, pipe);
    return rc;
}

int log_attach(coil_log *log, int pipe_fd, const char *prefix)
{
    const size_t prefix_bytes = prefix == NULL ? 0 : strnlen(prefix, COIL_LOG_PREFIX_BYTES_MAX);
    log_pipe *pipe = calloc(1, sizeof(*pipe) + prefix_bytes + 1);
    if (pipe == NULL)
        return -ENOMEM;
    if (prefix_bytes > 0)
        memcpy(pipe->prefix, prefix, prefix_bytes);
    pipe->log = log;
    pipe->fd = pipe_fd;
    pipe->room_bytes = PIPE_USUAL_BYTES;
    coil_list_init(&pipe->link);
    log->pipe_count++;
    log_drain_attach(pipe);
    const int rc = begin_pipe(pipe);
    if (rc < 0) {
        pipe->fd = -1;
        log_pipe_destroy(pipe);
    }
    return rc;
}

int coil_log_attach(coil_log *log, int pipe_fd, const char *prefix)
{
    const int rc = log_attach(log, pipe_fd, prefix);
    if (rc < 0)
        (void)coil_kernel_close(pipe_fd);
    return rc;
}

size_t coil_log_attached_count(const coil_log *log)
{
    return log->pipe_count;
}

/* --------------------------------------------------------------------------------- talking -- */

int coil_log_say(coil_log *log, const char *prefix, const char *text)
{
    const size_t prefix_bytes = strnlen(prefix, COIL_LOG_PREFIX_BYTES_MAX);
    const size_t text_bytes = strnlen(text, log->rules.line_limit_bytes);
    const size_t line_bytes = COIL_LOG_TIME_BYTES + prefix_bytes + text_bytes + 1;
    const coil_log_line line = {.bytes = text,
            .size_bytes = text_bytes,
            .prefix = prefix,
            .time_us = coil_kernel_time_us()};

    log_pass_on(log, &line);
    if (log->file.path == NULL)
        return 0;
    if (log->said_bytes + line_bytes > SAID_BYTES_MAX)
        return -ENOBUFS;
    char *said = realloc(log->said, log->said_bytes + line_bytes);
    if (said == NULL)
        return -ENOMEM;
    log->said = said;
    char head[LOG_HEAD_BYTES_MAX];
    size_t head_bytes = 0;
    if (log->timestamps) {
        log_time_format(line.time_us, head);
        head_bytes = COIL_LOG_TIME_BYTES;
    }
    memcpy(head + head_bytes, prefix, prefix_bytes);
    log_job job = {.out = said,
            .out_bytes = log->said_bytes,
            .head = head,
            .head_bytes = head_bytes + prefix_bytes};
    log_lines_say(&job, text, text_bytes);
    log->said_bytes = job.out_bytes;
    log->stats.lines++;
    return log_pump_start(log);
}

coil_define(int, coil_log_rotate, (coil_log *) log)
{
    coil_vars(int rc);

    if (log->file.path == NULL)
        return 0;
    int rc = log_pump_start(log);
    if (rc < 0)
        return rc;
    log->wants_rotation = true;
    coil_await(my->rc, coil_waiter_wait(&log->rotations));
    return my->rc;
}

/* --------------------------------------------------------------------------------- closing -- */

/* The pump, or who stores, may be stuck: they end; what they had is lost. */
coil_async(void, stop_pump, (coil_log *) log)
{
    coil_vars(int rc);

    coil_waiter_grant_all(&log->nudges, 0);
    coil_group_cancel(&log->group);
    while (log->is_pumping || log->is_storing)
        coil_await(my->rc, coil_waiter_wait(&log->endings));
}

/* Lines of ours, unended ones, and notices that nobody has seen. */
coil_async(int, store_last, (coil_log *) log)
{
    coil_vars(int rc; int first);

    do {
        if (log_block_take(log) < 0)
            return -ENOMEM;
        log_put_said(log);
        log_end_all(log);
        log_put_rated(log, true);
        log_put_refused(log);
        log_output_begin(log);
        coil_await(my->rc, log_store(log));
        if (my->first == 0)
            my->first = my->rc;
    } while (log->pipe_count > 0);
    return my->first;
}

/* Why something is lost, or 0. */
coil_async(int, end, (coil_log *) log)
{
    coil_vars(int rc; int close_rc);

    log->is_abandoned = true;
    coil_await(stop_pump(log));
    coil_waiter_grant_all(&log->drains, -ESHUTDOWN); /* They look at the log no more. */
    coil_waiter_grant_all(&log->rotations, -ESHUTDOWN);
    if (log->journal == NULL) {
        log_give_up(log);
        coil_await(my->rc, store_last(log));
    }
    log_drop_pipes(log); /* If there was no memory for their last lines. */
    log_block_release(log);
    coil_await(my->close_rc, log_file_close(&log->file));
    return my->rc < 0 ? my->rc : my->close_rc;
}

coil_define(int, coil_log_close, (coil_log *) log)
{
    coil_vars(int drain_rc; int end_rc; bool has_ended);

    if (log == NULL)
        return 0;
    coil_defer({
        if (!my->has_ended)
            coil_await(my->end_rc, end(log));
        forget(log);
    });
    log->is_closing = true;
    coil_await(my->drain_rc, coil_log_drain(log));
    my->has_ended = true;
    coil_await(my->end_rc, coil_shield(end(log)));
    return my->drain_rc < 0 ? my->drain_rc : my->end_rc;
}

coil_log_stats coil_log_statistics(const coil_log *log)
{
    coil_log_stats stats = log->stats;
    stats.stored_bytes = log->file.stored_bytes;
    stats.rotations = log->file.rotation_count;
    stats.reopenings = log->file.reopening_count;
    return stats;
}
