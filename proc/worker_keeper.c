/* SPDX-License-Identifier: MIT */
/* One worker: its start, its jobs, its end; and the next one in its place. */
#include "worker_private.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* Between starts that fail. */
enum { PAUSE_MS = 50, PAUSE_DOUBLINGS = 7 };

/* As worker->received_bytes: nothing has come. */
enum { NOTHING = -EAGAIN };

void worker_hurry(worker_process *worker)
{
    (void)coil_timeout_move(&worker->timeout, coil_loop_now(worker->pool->loop));
}

static void died(coil_fd_watch_hook *hook, int events)
{
    worker_process *self = coil_container_of(hook, worker_process, death);

    (void)events;
    coil_fd_watch_close(self->watch);
    self->watch = NULL;
    self->has_died = true;
    worker_hurry(self);
}

/* --------------------------------------------------------------------------------- starting -- */

/* The process, with `theirs` for its end of the pair. */
static int spawn(worker_process *worker, int theirs)
{
    coil_worker_pool *pool = worker->pool;

    pool->fds[pool->plan.fd_count - 1] = (coil_spawn_fd){COIL_WORKER_FD, theirs};
    int rc = coil_child_spawn(&pool->plan, &worker->child, NULL);
    if (rc < 0)
        return rc;
    worker->child.cgroup = NULL; /* It is that of all workers, and would be killed as a whole. */
    worker->death.ready = died;
    rc = coil_fd_watch_create(
            pool->loop, worker->child.pidfd, POLLIN, &worker->death, &worker->watch);
    if (rc < 0)
        worker->is_doomed = true; /* Its keeper ends it. */
    return 0;
}

static int start(worker_process *worker)
{
    int ends[2] = {-1, -1};

    worker->may_leave = false;
    worker->is_doomed = false;
    worker->wants_recycling = false;
    worker->has_died = false;
    worker->has_left = false;
    worker->has_worked = false;
    int rc = coil_kernel_socketpair(AF_UNIX, SOCK_SEQPACKET, ends);
    if (rc < 0)
        return rc;
    rc = spawn(worker, ends[1]);
    (void)coil_kernel_close(ends[1]);
    if (rc < 0) {
        (void)coil_kernel_close(ends[0]);
        return rc;
    }
    worker->socket = ends[0];
    return 0;
}

/* Up to an eighth less than `most`; 0 is no limit. */
static uint64_t jittered(coil_worker_pool *pool, uint64_t most)
{
    return most == 0 ? UINT64_MAX : most - pool_random(pool, most / 8 + 1);
}

static void set_limits(worker_process *worker)
{
    coil_worker_pool *pool = worker->pool;
    const coil_duration age_max = pool->options.age_max;

    worker->jobs_left = jittered(pool, pool->options.jobs_max);
    worker->retire_at = COIL_NEVER;
    if (age_max > 0) {
        worker->retire_at = coil_time_after(
                coil_loop_now(pool->loop), (coil_duration)jittered(pool, (uint64_t)age_max));
    }
    worker->memory_max_bytes = jittered(pool, pool->options.memory_max_bytes);
    if (pool->options.memory_max_bytes > 0)
        worker->statm = worker_memory_open(worker->child.pid);
}

/* -------------------------------------------------------------------------------- receiving -- */

static void set_inbox(worker_process *worker)
{
    worker->received_bytes = NOTHING;
    worker_inbox_prepare(&worker->inbox, &worker->head, sizeof(worker->head), worker->bytes);
}

/* One message; or until `deadline`, or hurried. */
coil_async(int, receive, (worker_process *) worker, (coil_time) deadline)
{
    coil_vars();

    coil_open_timeout_at(&worker->timeout, deadline);
    set_inbox(worker);
    coil_await(worker->received_bytes,
            coil_recvmsg(worker->socket, &worker->inbox.message, MSG_CMSG_CLOEXEC));
    return 0;
}

/* What it has said before it died. */
coil_async(int, receive_last, (worker_process *) worker)
{
    coil_vars();

    set_inbox(worker);
    coil_await(worker->received_bytes,
            coil_recvmsg(worker->socket, &worker->inbox.message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
    return 0;
}

static void take_page(worker_process *worker)
{
    const int fd = worker_inbox_take_fd(&worker->inbox);

    if (fd < 0)
        return;
    worker->page = worker_page_take(fd);
    (void)coil_kernel_close(fd);
}

/* Wait for it to be ready. */
coil_async(int, greet, (worker_process *) worker)
{
    coil_vars(coil_time deadline);

    my->deadline =
            coil_time_after(coil_loop_now(worker->pool->loop), worker->pool->options.start_limit);
    coil_ignore(receive(worker, my->deadline));
    const ssize_t received_bytes = worker->received_bytes;
    if (received_bytes > 0)
        take_page(worker);
    if (received_bytes == (ssize_t)sizeof(worker->head) && worker->head.kind == WORKER_HELLO)
        return 0;
    if (received_bytes > 0)
        return -EPROTO;
    if (received_bytes == NOTHING && !worker->has_died)
        return worker->pool->is_ending ? -ESHUTDOWN : -ETIME;
    worker->may_leave = true;
    return -ECHILD;
}

/* ---------------------------------------------------------------------------------- answers -- */

/* Is it an answer to its job? */
static bool answers(const worker_process *worker)
{
    const worker_head *head = &worker->head;
    const size_t received_bytes = (size_t)worker->received_bytes;

    if (received_bytes < sizeof(*head) || worker->state != WORKER_BUSY)
        return false;
    if (head->number != worker->job_number || head->size_bytes > SIZE_MAX)
        return false;
    if (head->kind != WORKER_DONE && (head->kind != WORKER_REFUSED || head->value >= 0))
        return false;
    return head->is_in_memory || head->size_bytes == received_bytes - sizeof(*head);
}

/* The reply, which has come in `fd` or, if that is negative, with the message. */
static int take_reply(worker_process *worker, coil_job *job, int fd)
{
    const size_t size_bytes = (size_t)worker->head.size_bytes;

    if (size_bytes == 0)
        return 0;
    if (size_bytes > worker->pool->options.reply_max_bytes)
        return -EMSGSIZE;
    if (fd < 0 && (worker->inbox.message.msg_flags & MSG_CTRUNC) != 0)
        return -EMFILE; /* It has come, and we had no room for it. */
    if (worker->head.is_in_memory) {
        int rc = worker_memory_map(fd, size_bytes, &job->reply);
        if (rc < 0)
            return rc;
        job->is_mapped = true;
    } else {
        char *copy = malloc(size_bytes);
        if (copy == NULL)
            return -ENOMEM;
        memcpy(copy, worker->bytes, size_bytes);
        job->reply = copy;
    }
    job->reply_bytes = size_bytes;
    return 0;
}

static void note_time(worker_process *worker, coil_job *job)
{
    coil_worker_pool_stats *stats = &worker->pool->stats;
    const coil_duration ran = coil_loop_now(worker->pool->loop) - worker->began;

    stats->ran += ran;
    stats->ran_max = ran > stats->ran_max ? ran : stats->ran_max;
    if (job != NULL)
        job->ran = ran;
}

/* It has done a job. Is it to be replaced? */
static bool is_used_up(worker_process *worker)
{
    coil_worker_pool_stats *stats = &worker->pool->stats;

    if (worker->wants_recycling)
        return true;
    if (--worker->jobs_left == 0) {
        stats->recycled_by_jobs++;
        return true;
    }
    if (coil_loop_now(worker->pool->loop) >= worker->retire_at) {
        stats->recycled_by_age++;
        return true;
    }
    if (worker_memory_resident(worker->statm) > worker->memory_max_bytes) {
        stats->recycled_by_memory++;
        return true;
    }
    return false;
}

static void become_idle(worker_process *worker)
{
    coil_worker_pool *pool = worker->pool;

    worker->state = WORKER_IDLE;
    coil_list_append(pool->idle.next, &worker->link); /* First. */
    pool->stats.idle++;
}

static void become_absent(worker_process *worker)
{
    coil_worker_pool_stats *stats = &worker->pool->stats;

    stats->idle -= worker->state == WORKER_IDLE;
    stats->busy -= worker->state == WORKER_BUSY;
    coil_list_remove(&worker->link);
    worker->state = WORKER_ABSENT;
    pool_look_quiet(worker->pool);
}

/* False: it makes no sense, and is to be killed. */
static bool take_answer(worker_process *worker)
{
    coil_worker_pool *pool = worker->pool;
    coil_job *job = worker->job;
    int fd = worker_inbox_take_fd(&worker->inbox);
    int rc = answers(worker) ? 0 : -EBADMSG;

    if (rc == 0 && job != NULL && worker->head.kind == WORKER_DONE)
        rc = take_reply(worker, job, fd);
    if (fd >= 0)
        (void)coil_kernel_close(fd);
    if (rc == -EBADMSG)
        return false;

    note_time(worker, job);
    worker->job = NULL;
    become_absent(worker);
    worker->has_left = worker->has_died;
    worker->may_leave = is_used_up(worker) || pool->is_ending || worker->has_died;
    if (!worker->may_leave)
        become_idle(worker);
    if (job == NULL)
        return true;
    if (rc == 0 && worker->head.kind == WORKER_DONE) {
        job->value = worker->head.value;
        pool_end_job(pool, job, COIL_JOB_DONE, 0);
    } else {
        pool_end_job(pool, job, COIL_JOB_REFUSED, rc < 0 ? rc : worker->head.value);
    }
    return true;
}

/* ---------------------------------------------------------------------------------- the end -- */

static void give_back(worker_process *worker)
{
    int *const fds[] = {&worker->socket, &worker->statm};

    coil_fd_watch_close(worker->watch);
    worker->watch = NULL;
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (*fds[i] >= 0)
            (void)coil_kernel_close(*fds[i]);
        *fds[i] = -1;
    }
    if (worker->page != NULL)
        coil_kernel_memory_unmap(worker->page, WORKER_PAGE_BYTES);
    worker->page = NULL;
    coil_child_fini(&worker->child);
}

/* As far as one can tell. */
static bool has_begun(const worker_process *worker)
{
    return worker->page == NULL ||
           __atomic_load_n(&worker->page->begun, __ATOMIC_ACQUIRE) == worker->job_number;
}

/* End the process, however far it has come, what it has started, and its job. */
coil_async(int, finish, (worker_process *) worker)
{
    coil_vars(int rc; coil_job *job; bool was_killed; bool was_at_home);

    my->was_at_home = worker->job != NULL && pool_knows_cgroup(worker->pool, worker);
    become_absent(worker);
    if (worker->may_leave && !worker->is_doomed) {
        (void)coil_kernel_close(worker->socket); /* Which it takes for a farewell. */
        worker->socket = -1;
        coil_await(my->rc,
                coil_within(worker->pool->options.exit_limit, coil_child_wait(&worker->child)));
    }
    my->was_killed = !worker->child.exit.ended && !worker->has_died;
    if (my->was_killed)
        (void)coil_child_signal(&worker->child, SIGKILL);
    coil_await(my->rc, coil_child_stop_tree(&worker->child, 0)); /* It may have left children. */
    worker->pool->stats.killed += my->was_killed;
    worker->pool->stats.died += worker->has_left && !my->was_killed;
    my->job = worker->job;
    worker->job = NULL;
    if (my->job != NULL) {
        note_time(worker, my->job);
        const job_loss loss = {
                worker->child.exit, has_begun(worker), my->was_killed, my->was_at_home};
        pool_job_crashed(worker->pool, my->job, &loss);
    }
    give_back(worker);
    return 0;
}

/* It is free, and has to go. */
static bool is_unwanted(const worker_process *worker)
{
    return worker->state == WORKER_IDLE && (worker->pool->is_ending || worker->wants_recycling);
}

/* Nothing has come: why does its keeper look? False: it has to go. */
static bool goes_on(worker_process *worker)
{
    coil_worker_pool *pool = worker->pool;
    const coil_time now = coil_loop_now(pool->loop);

    if (worker->is_doomed)
        return false;
    if (worker->state == WORKER_IDLE && now >= worker->retire_at) {
        pool->stats.recycled_by_age++;
        worker->may_leave = true;
        return false;
    }
    if (worker->state != WORKER_BUSY || now < worker->deadline)
        return true;
    coil_job *job = worker->job;
    note_time(worker, job);
    worker->job = NULL;
    worker->is_doomed = true;
    if (job != NULL)
        pool_end_job(pool, job, COIL_JOB_OVERDUE, -ETIME);
    return false;
}

/* One job after the other, until it has to go, or has gone. -ECHILD: it was never of use. */
coil_async(int, attend, (worker_process *) worker)
{
    coil_vars(coil_time deadline);

    while (worker->state != WORKER_ABSENT && !worker->is_doomed) {
        if (is_unwanted(worker)) {
            worker->may_leave = true;
            break;
        }
        if (worker->has_died) {
            coil_ignore(receive_last(worker));
        } else {
            my->deadline = worker->state == WORKER_BUSY ? worker->deadline : worker->retire_at;
            coil_ignore(receive(worker, my->deadline));
        }
        if (worker->received_bytes > 0) {
            worker->is_doomed = !take_answer(worker);
            pool_dispatch(worker->pool);
        } else if (worker->received_bytes != NOTHING || worker->has_died) {
            worker->may_leave = worker->has_left = true; /* The end of its side. */
            return worker->has_worked ? 0 : -ECHILD;
        } else if (!worker->has_died && !goes_on(worker)) {
            break;
        }
    }
    return 0;
}

/* One process. 0: it was of use. */
coil_async(int, have_one, (worker_process *) worker)
{
    coil_vars(int rc);

    coil_defer(coil_ignore(finish(worker)));
    if (!worker->is_doomed)
        coil_await(my->rc, greet(worker));
    if (worker->is_doomed)
        my->rc = -ENOMEM;
    if (my->rc < 0)
        return my->rc;
    set_limits(worker);
    become_idle(worker);
    pool_worker_ready(worker->pool, worker);
    pool_dispatch(worker->pool);
    coil_await(my->rc, attend(worker));
    return my->rc;
}

/* ------------------------------------------------------------------------------- the keeper -- */

coil_async(int, rest, (worker_process *) worker)
{
    coil_vars();

    const unsigned doublings =
            worker->failures < PAUSE_DOUBLINGS ? worker->failures : PAUSE_DOUBLINGS;
    const coil_duration pause = coil_ms(PAUSE_MS << doublings);
    coil_open_timeout(&worker->timeout,
            pause / 2 + (coil_duration)pool_random(worker->pool, (uint64_t)pause / 2));
    coil_ignore(coil_sleep(COIL_FOREVER));
    return 0;
}

coil_define(int, worker_keep, (worker_process *) worker)
{
    coil_vars(int rc);

    coil_defer(pool_keeper_ended(worker->pool));
    while (!worker->pool->is_ending) {
        my->rc = start(worker);
        if (my->rc == 0)
            coil_await(my->rc, have_one(worker));
        if (my->rc == 0 || worker->pool->is_ending)
            continue;
        worker->failures++;
        pool_start_failed(worker->pool, my->rc);
        coil_ignore(rest(worker));
    }
    return 0;
}
