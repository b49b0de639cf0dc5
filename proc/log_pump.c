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
};

/*
 * How long a pipe rests. Long enough that a busy writer is not woken, nor interrupted, for each
 * line; too short for the pipe to fill.
 */
#define PAUSE_LEAST coil_us(100)
#define PAUSE_USUAL coil_us(300)
#define PAUSE_MOST coil_us(2400)

/* ----------------------------------------------------------------------------------- pipes -- */

static void unwatch(log_pipe *pipe)
{
    coil_fd_watch_close(pipe->watch);
    pipe->watch = NULL;
}

static void now_readable(coil_fd_watch_hook *hook, int events)
{
    log_pipe *pipe = coil_container_of(hook, log_pipe, readable);
    (void)events; /* An error will be seen by who reads. */
    if (log_pump_start(pipe->log) < 0)
        return; /* It is still watched, and we are called again. */
    unwatch(pipe);
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

void log_pipe_destroy(log_pipe *pipe)
{
    log_drain_forget(pipe);
    unwatch(pipe);
    coil_list_remove(&pipe->link);
    pipe->log->pipe_count--;
    log_rest_clear(&pipe->rest);
    if (pipe->fd >= 0)
        (void)coil_kernel_close(pipe->fd);
    free(pipe);
}

void log_list_move(coil_list *from, coil_list *to)
{
    coil_list *link;
    while ((link = coil_list_take_first(from)) != NULL)
        coil_list_append(to, link);
}

void log_wake_all(coil_log *log)
{
    coil_list *link;
    while ((link = coil_list_take_first(&log->silent)) != NULL) {
        unwatch(coil_container_of(link, log_pipe, link));
        coil_list_append(&log->ready, link);
    }
    log_list_move(&log->resting, &log->ready);
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
    log_put_rated(log, false);
}

static void note_use(log_block *block, size_t in_bytes, size_t out_bytes)
{
    const size_t bytes = in_bytes + 2 * out_bytes; /* The other half may have as much. */
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
    if (log_drain_holds_back(pipe)) {
        coil_list_append(&log->ready, &pipe->link);
        return;
    }
    const ssize_t count = read_some(log, pipe);
    if (count == -EAGAIN) {
        (void)log_drain_read(pipe, 0);
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
    const bool is_wanted = log_drain_read(pipe, (size_t)count);
    coil_list_append(is_all && !is_wanted ? &log->resting : &log->ready, &pipe->link);
}

void log_put_said(coil_log *log)
{
    if (log->said_bytes == 0 || log->said_bytes > log->job.out_room_bytes - log->job.out_bytes)
        return;
    memcpy(log->job.out + log->job.out_bytes, log->said, log->said_bytes);
    log->job.out_bytes += log->said_bytes;
    log->said_bytes = 0;
    free(log->said);
    log->said = NULL;
    log->drain_count -= log->is_draining_said;
    log->is_draining_said = false;
}

static bool is_resumed_next(const coil_log *log)
{
    return !coil_list_empty(&log->ready) &&
           coil_container_of(log->ready.next, log_pipe, link)->slot != NULL;
}

/* With a journal, each read is stored by itself. */
static void collect_one(coil_log *log)
{
    if (log->job_pipe != NULL) {
        log->last_pipe = log->job_pipe;
        make_lines(log, log->job_pipe);
        return;
    }
    log->last_pipe = NULL;
    log->last_inode = 0;
    if (!is_resumed_next(log))
        log_put_said(log);
    if (!coil_list_empty(&log->ready))
        read_pipe(log);
}

/* Fill the job: whoever is ready is read in turn, once each, until there is enough. */
static void collect(coil_log *log)
{
    size_t turns = 0;

    if (log->journal != NULL) {
        collect_one(log);
        return;
    }
    log_put_said(log);
    if (log->job_pipe != NULL)
        make_lines(log, log->job_pipe);
    for (coil_list *at = log->ready.next; at != &log->ready; at = at->next)
        turns++;
    while (turns-- > 0 && log->job_pipe == NULL && log->job.out_bytes < LOG_OUT_ENOUGH_BYTES &&
            !log_drain_is_read(log))
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

/* Until what is being stored has been. */
coil_async(void, wait_until_stored, (coil_log *) log)
{
    coil_vars(int rc);

    while (log->is_storing)
        coil_await(my->rc, coil_waiter_wait(&log->pauses));
}

static void storing_ended(coil_log *log)
{
    log->is_storing = false;
    coil_waiter_grant_all(&log->pauses, 0);
    coil_waiter_grant_all(&log->endings, 0);
}

coil_async(void, store_beside, (coil_log *) log)
{
    coil_vars();

    coil_defer(storing_ended(log));
    coil_ignore(log_store(log));
}

/* With a journal, which wants to know. */
coil_async(void, store_recorded, (coil_log *) log)
{
    coil_vars();

    const log_slot *slot = log->block->slot;
    const bool has_ended = log->last_pipe == NULL && log->last_inode != 0; /* It forgets that. */
    if (slot->state != LOG_SLOT_STORE &&
            (slot->state == LOG_SLOT_FORMAT || log->output.size_bytes > 0 || has_ended))
        log_journal_store(log, log->last_pipe, log->last_inode);
    coil_ignore(log_store(log));
    if (log->block->slot->state == LOG_SLOT_STORE)
        log_journal_commit(log);
}

/*
 * Store what is in the job, while the next one is being made: the file is written by a thread of
 * the kernel, which the ring gives the work to at the end of this turn.
 */
coil_async(void, hand_over, (coil_log *) log)
{
    coil_vars();

    coil_await(wait_until_stored(log));
    log_output_begin(log);
    if (log->journal != NULL) {
        coil_await(store_recorded(log));
    } else if (log->output.size_bytes > 0) {
        log->is_storing = coil_spawn(&log->group, store_beside(log)) != NULL;
        if (!log->is_storing)
            coil_ignore(log_store(log));
    }
    coil_await(coil_yield()); /* Also after lines for the hook alone: others want to run, too. */
}

coil_async(void, rotate, (coil_log *) log)
{
    coil_vars(int rc);

    coil_await(wait_until_stored(log));
    log->wants_rotation = false;
    coil_await(my->rc, log_file_rotate(&log->file));
    coil_waiter_grant_all(&log->rotations, my->rc);
}

static bool must_end(const coil_log *log)
{
    return log->is_closing && !log->is_draining;
}

static bool has_more(const coil_log *log)
{
    return log->job_pipe != NULL || !coil_list_empty(&log->ready) || log->said_bytes > 0 ||
           log->wants_rotation;
}

/* Read and store until nobody is ready. */
coil_async(int, empty_pipes, (coil_log *) log)
{
    coil_vars();

    while (has_more(log) && !must_end(log)) {
        if (log_block_take(log) < 0)
            return -ENOMEM;
        collect(log);
        coil_await(hand_over(log));
        if (log->wants_rotation)
            coil_await(rotate(log));
        if (!log_drain_is_read(log) || log->job_pipe != NULL)
            continue;
        coil_await(wait_until_stored(log));
        log_drain_end(log);
    }
    coil_await(wait_until_stored(log));
    log_block_release(log);
    while (log_drain_is_read(log)) /* The next round may have nothing to read, either. */
        log_drain_end(log);
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
        if (must_end(log))
            return 0;
        if (my->rc == 0 && has_more(log))
            continue; /* For the next round of draining. */
        if (my->rc == 0 && coil_list_empty(&log->resting))
            return 0;
        coil_await(coil_sleep_until(coil_time_after(log->read_at, log->pause)));
        if (my->rc < 0) /* No memory for a block. */
            coil_await(coil_sleep(coil_ms(100)));
        log_list_move(&log->resting, &log->ready);
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
