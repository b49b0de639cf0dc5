/* SPDX-License-Identifier: MIT */
/* The pump of a log: see log_private.h. */
#include "log_journal.h"

#include <coil/check.h>
#include <coil/kernel.h>
#include <coil/sched.h>
#include <coil/waiter.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIPE_USUAL_BYTES = 64 * 1024,
    PIPE_LARGE_BYTES = 1024 * 1024,
    BLOCK_SMALL_BYTES = 64 * 1024, /* A block that has used no more is kept for the next log. */
};

/*
 * How long a pipe rests. Long enough that a busy writer is not woken, nor interrupted, for each
 * line; too short for the pipe to fill.
 */
#define PAUSE_LEAST coil_us(100)
#define PAUSE_USUAL coil_us(300)
#define PAUSE_MOST coil_us(2400)

/* ---------------------------------------------------------------------------------- blocks -- */

/* One that nobody has, as long as there are logs. */
static COIL_THREAD_LOCAL log_block *spare;
static COIL_THREAD_LOCAL unsigned log_count;

/* NULL: no memory. What has not been touched takes none. */
static log_block *take_spare(void)
{
    log_block *block = spare;
    spare = NULL;
    if (block == NULL)
        block = malloc(sizeof(*block) + LOG_IN_BYTES + LOG_OUT_BYTES);
    if (block == NULL)
        return NULL;
    block->used_bytes = 0;
    block->slot = NULL;
    block->in = (char *)(block + 1);
    block->out = block->in + LOG_IN_BYTES;
    return block;
}

int log_block_take(coil_log *log)
{
    if (log->block != NULL)
        return 0;
    log_block *block = log->journal == NULL ? take_spare() : calloc(1, sizeof(*block));
    if (block == NULL)
        return -ENOMEM;
    const int rc = log->journal == NULL ? 0 : log_journal_take(log->journal, block);
    if (rc < 0) {
        free(block);
        return rc;
    }
    log->block = block;
    log->job = (log_job){
            .out = block->out, .out_room_bytes = LOG_OUT_BYTES, .head = block->head, .prefix = ""};
    log->file.share = block->slot == NULL ? NULL : &block->slot->share;
    return 0;
}

void log_block_release(coil_log *log)
{
    log_block *block = log->block;
    log->block = NULL;
    log->job = (log_job){.in = NULL};
    log->file.share = NULL;
    if (block == NULL)
        return;
    if (log->journal != NULL)
        log_journal_release(log->journal, block);
    if (log->journal == NULL && spare == NULL && block->used_bytes <= BLOCK_SMALL_BYTES) {
        spare = block;
    } else {
        free(block);
    }
}

void log_blocks_open(void)
{
    log_count++;
}

void log_blocks_close(void)
{
    if (--log_count > 0)
        return;
    free(spare);
    spare = NULL;
}

/* ----------------------------------------------------------------------------------- pipes -- */

static void now_readable(coil_fd_watch_hook *hook, int events)
{
    log_pipe *pipe = coil_container_of(hook, log_pipe, readable);
    (void)events; /* An error will be seen by who reads. */
    if (log_pump_start(pipe->log) < 0)
        return; /* It is still watched, and we are called again. */
    log_pipe_unwatch(pipe);
    coil_list_remove(&pipe->link);
    coil_list_append(&pipe->log->ready, &pipe->link);
}

void log_pipe_watch(log_pipe *pipe)
{
    coil_log *log = pipe->log;
    pipe->readable.ready = now_readable;
    const int rc = coil_fd_watch_create(log->loop, pipe->fd, POLLIN, &pipe->readable, &pipe->watch);
    coil_list_append(rc == 0 ? &log->silent : &log->resting, &pipe->link);
}

void log_pipe_unwatch(log_pipe *pipe)
{
    coil_fd_watch_close(pipe->watch);
    pipe->watch = NULL;
}

/* Nobody waits for it any more. */
static void drained(log_pipe *pipe)
{
    pipe->log->draining_count -= pipe->draining > 0;
    pipe->draining = 0;
}

void log_pipe_destroy(log_pipe *pipe)
{
    drained(pipe);
    log_pipe_unwatch(pipe);
    coil_list_remove(&pipe->link);
    pipe->log->pipe_count--;
    log_rest_clear(&pipe->rest);
    (void)coil_kernel_close(pipe->fd);
    free(pipe);
}

static void move_all(coil_list *from, coil_list *to)
{
    coil_list *link;
    while ((link = coil_list_take_first(from)) != NULL)
        coil_list_append(to, link);
}

void log_wake_all(coil_log *log)
{
    coil_list *link;
    while ((link = coil_list_take_first(&log->silent)) != NULL) {
        log_pipe_unwatch(coil_container_of(link, log_pipe, link));
        coil_list_append(&log->ready, link);
    }
    move_all(&log->resting, &log->ready);
}

/* --------------------------------------------------------------------------------- reading -- */

/* The first one; there is one. */
static log_pipe *take_ready(coil_log *log)
{
    coil_list *first = coil_list_take_first(&log->ready);
    COIL_CHECK(first != NULL);
    return coil_container_of(first, log_pipe, link);
}

/* What is put before each line of this pipe, at the time of the job. */
static void set_head(coil_log *log, const log_pipe *pipe)
{
    log_block *block = log->block;
    log_job *job = &log->job;
    const size_t prefix_bytes = strlen(pipe->prefix);

    job->head_bytes = 0;
    if (log->timestamps) {
        log_time_format(job->time_us, block->head);
        job->head_bytes = COIL_LOG_TIME_BYTES;
    }
    memcpy(block->head + job->head_bytes, pipe->prefix, prefix_bytes);
    job->head_bytes += prefix_bytes;
    job->prefix = pipe->prefix;
}

/* Before lines of this pipe are made. */
static void begin_job(coil_log *log, const log_pipe *pipe)
{
    log_job *job = &log->job;

    job->time_us = coil_kernel_time_us();
    set_head(log, pipe);
    log->job_pipe = NULL;
    log->last_inode = pipe->inode;
    log_allow(log, job->time_us);
    log_put_notices(log, false);
}

static void note_use(log_block *block, size_t in_bytes, size_t out_bytes)
{
    const size_t bytes = in_bytes + out_bytes;
    if (bytes > block->used_bytes)
        block->used_bytes = bytes;
}

/* As much of the input as fits into the output. */
static void make_lines(coil_log *log, log_pipe *pipe)
{
    log_lines_take(&log->rules, &pipe->rest, &log->job);
    log->job_pipe = log->job.in_bytes > 0 ? pipe : NULL;
}

/*
 * The more a pipe holds when we come, the sooner we come again, and the other way round; and who
 * fills a pipe gets a larger one, if there may be more of them: pipe(7), pipe-user-pages-soft.
 * A pipe is full before it holds what it can: a write that does not fit into its last page begins
 * another one, and one of 65,500 bytes leaves no room for the next.
 */
static void adapt(coil_log *log, log_pipe *pipe)
{
    const size_t nearly_full_bytes = (size_t)PIPE_USUAL_BYTES / 4 * 3;
    const size_t count = pipe->come_bytes;

    pipe->come_bytes = 0;
    if (count >= nearly_full_bytes && pipe->room_bytes == PIPE_USUAL_BYTES) {
        const int room_bytes = coil_kernel_pipe_resize(pipe->fd, PIPE_LARGE_BYTES);
        pipe->room_bytes = room_bytes > 0 ? (uint32_t)room_bytes : PIPE_USUAL_BYTES + 1;
    }
    if (count > pipe->room_bytes / 2) {
        log->pause /= 2;
    } else if (count < pipe->room_bytes / 64) {
        log->pause *= 2;
    }
    if (log->pause < PAUSE_LEAST)
        log->pause = PAUSE_LEAST;
    if (log->pause > PAUSE_MOST)
        log->pause = PAUSE_MOST;
}

/* The end of the pipe, or of our patience with it: an error that will not go away. */
static void end_pipe(coil_log *log, log_pipe *pipe)
{
    begin_job(log, pipe);
    log_lines_end(&log->rules, &pipe->rest, &log->job);
    log->last_pipe = NULL;
    log_pipe_destroy(pipe);
}

static ssize_t read_some(coil_log *log, const log_pipe *pipe)
{
    return log->journal != NULL ? log_journal_read(log, pipe)
                                : coil_kernel_read_now(pipe->fd, log->block->in, LOG_IN_BYTES);
}

/* A killed process was at it: go on where it was. */
static void resume(coil_log *log, log_pipe *pipe)
{
    log_journal_release(log->journal, log->block);
    log_journal_resume(log, pipe);
    log->file.share = &log->block->slot->share;
    set_head(log, pipe);
    coil_list_append(&log->ready, &pipe->link);
    if (log->job.out_bytes == 0 && log->job_pipe != NULL)
        make_lines(log, pipe);
}

/* One read of the first ready pipe. */
static void read_pipe(coil_log *log)
{
    log_pipe *pipe = take_ready(log);
    if (pipe->slot != NULL) {
        resume(log, pipe);
        return;
    }
    const ssize_t count = read_some(log, pipe);
    if (count == -EAGAIN) {
        drained(pipe);
        log_pipe_watch(pipe);
        return;
    }
    if (count <= 0) {
        end_pipe(log, pipe);
        return;
    }
    /* By way of the stage, who knows. */
    const bool is_all = count < (log->journal == NULL ? LOG_IN_BYTES : PIPE_USUAL_BYTES / 2);
    begin_job(log, pipe);
    log->job.in = log->block->in;
    log->job.in_bytes = (size_t)count;
    log->stats.read_bytes += (uint64_t)count;
    pipe->come_bytes += (uint32_t)count;
    log->read_at = coil_now();
    log->last_pipe = pipe;
    make_lines(log, pipe);
    note_use(log->block, (size_t)count, log->job.out_bytes);
    if (is_all)
        adapt(log, pipe);
    /* Who drains wants to see the end of the pipe, if it is there. */
    if (pipe->draining > 1 && is_all) {
        pipe->draining--;
        coil_list_append(&log->ready, &pipe->link);
        return;
    }
    if (is_all)
        drained(pipe);
    coil_list_append(is_all ? &log->resting : &log->ready, &pipe->link);
}

static void put_said(coil_log *log)
{
    if (log->said_bytes == 0 || log->said_bytes > LOG_OUT_BYTES - log->job.out_bytes)
        return;
    memcpy(log->job.out + log->job.out_bytes, log->said, log->said_bytes);
    log->job.out_bytes += log->said_bytes;
    log->said_bytes = 0;
    free(log->said);
    log->said = NULL;
}

static bool is_resumed_next(const coil_log *log)
{
    return !coil_list_empty(&log->ready) &&
           coil_container_of(log->ready.next, log_pipe, link)->slot != NULL;
}

/* Fill the block: whoever is ready is read in turn, once each, until there is enough. */
static void collect(coil_log *log)
{
    size_t turns = 0;

    if (log->job_pipe != NULL) {
        log->last_pipe = log->job_pipe;
        make_lines(log, log->job_pipe);
        if (log->job_pipe != NULL || log->journal != NULL)
            return;
    }
    log->last_pipe = NULL;
    log->last_inode = 0;
    if (!is_resumed_next(log))
        put_said(log);
    if (log->journal != NULL) { /* Each read is stored by itself. */
        if (!coil_list_empty(&log->ready))
            read_pipe(log);
        return;
    }
    for (coil_list *at = log->ready.next; at != &log->ready; at = at->next)
        turns++;
    while (turns-- > 0 && log->job_pipe == NULL && log->job.out_bytes < LOG_OUT_ENOUGH_BYTES)
        read_pipe(log);
}

void log_end_all(coil_log *log)
{
    log_wake_all(log);
    while (!coil_list_empty(&log->ready) && log->job.out_bytes < LOG_OUT_ENOUGH_BYTES)
        end_pipe(log, take_ready(log));
}

void log_drop_pipes(coil_log *log)
{
    log_wake_all(log);
    while (!coil_list_empty(&log->ready))
        log_pipe_destroy(take_ready(log));
}

/* -------------------------------------------------------------------------------- the pump -- */

coil_async(void, rotate_if_wanted, (coil_log *) log)
{
    coil_vars(int rc);

    if (!log->wants_rotation)
        return;
    log->wants_rotation = false;
    coil_await(my->rc, log_file_rotate(&log->file));
    coil_waiter_grant_all(&log->rotations, my->rc);
}

static bool has_more(const coil_log *log)
{
    return log->job_pipe != NULL || !coil_list_empty(&log->ready) || log->said_bytes > 0 ||
           log->wants_rotation;
}

static void begin_storing(coil_log *log)
{
    const log_slot *slot = log->block->slot;
    if (slot == NULL || slot->state == LOG_SLOT_STORE)
        return;
    if (slot->state == LOG_SLOT_FORMAT || log->job.out_bytes > 0)
        log_journal_store(log, log->last_pipe, log->last_inode);
}

static void end_storing(coil_log *log)
{
    const log_slot *slot = log->block->slot;
    if (slot != NULL && slot->state == LOG_SLOT_STORE)
        log_journal_commit(log);
}

/* Read and store until nobody is ready. */
coil_async(int, empty_pipes, (coil_log *) log)
{
    coil_vars();

    while (has_more(log)) {
        if (log_block_take(log) < 0)
            return -ENOMEM;
        collect(log);
        if (log->job.out_bytes == 0)
            coil_await(coil_yield()); /* Lines for the hook alone: others want to run, too. */
        begin_storing(log);
        coil_ignore(log_store(log));
        end_storing(log);
        coil_await(rotate_if_wanted(log));
    }
    log_block_release(log);
    if (log->draining_count == 0)
        coil_waiter_grant_all(&log->drains, 0);
    return 0;
}

static void pump_ended(coil_log *log)
{
    log->is_pumping = false;
    coil_waiter_grant_all(&log->endings, 0);
}

coil_async(int, pump, (coil_log *) log)
{
    coil_vars(int rc);

    coil_defer(pump_ended(log));
    log->pause = PAUSE_USUAL;
    for (;;) {
        coil_await(my->rc, empty_pipes(log));
        if (my->rc == 0 && coil_list_empty(&log->resting))
            return 0;
        coil_await(coil_sleep_until(coil_time_after(log->read_at, log->pause)));
        if (my->rc < 0) /* No memory for a block. */
            coil_await(coil_sleep(coil_ms(100)));
        move_all(&log->resting, &log->ready);
    }
}

int log_pump_start(coil_log *log)
{
    if (log->is_pumping)
        return 0;
    if (coil_spawn(&log->group, pump(log)) == NULL)
        return -ENOMEM;
    log->is_pumping = true;
    return 0;
}
