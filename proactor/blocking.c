/* SPDX-License-Identifier: MIT */
#include <coil/blocking.h>

#include "blocking.h"
#include "loop_private.h"

#include <coil/check.h>
#include <coil/kernel.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { NAME_BYTES = 11, THREAD_NAME_BYTES = 16 };

/* Where a job is, as the pool has it. */
enum { QUEUED, RUNNING, DONE, ABANDONED };

/* What became of it, as its task has it. */
enum { PENDING, DELIVERED, WITHDRAWN };

typedef enum worker_state { FREE, LIVE, ENDED } worker_state;

typedef struct worker {
    worker_state state; /* ENDED: still to be joined. */
    unsigned number;
    bool woken;
    coil_blocking_pool *pool;
    coil_list idle; /* In the list of the pool. */
    pthread_cond_t wake;
    pthread_t thread;
    const char *running; /* The name of its job, or NULL. */
    coil_time since;
} worker;

/*
 * Everything but the options and the workers' threads is guarded by `lock`. While a job is queued,
 * there is a live worker that is not idle, so that it will be taken.
 */
struct coil_blocking_pool {
    pthread_mutex_t lock;
    pthread_cond_t worker_ended;
    coil_blocking_options options;
    char name[NAME_BYTES];
    coil_list queue;
    coil_list idle; /* Whoever has become idle last is woken first, so that the others can end. */
    coil_blocking_stats stats;
    unsigned holder_count; /* The owner, the live workers, and the calls. Atomic. */
    bool ending;
    worker workers[];
};

static __thread coil_blocking_job *current;

/* ------------------------------------------------------------------------------- lifecycle -- */

static void lock(coil_blocking_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
}

static void unlock(coil_blocking_pool *pool)
{
    (void)pthread_mutex_unlock(&pool->lock);
}

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

/* False if it is later than `deadline`. */
static bool wait_until(pthread_cond_t *cond, coil_blocking_pool *pool, coil_time deadline)
{
    if (deadline == COIL_NEVER) {
        (void)pthread_cond_wait(cond, &pool->lock);
        return true;
    }
    const struct timespec end = {deadline / coil_s(1), deadline % coil_s(1)};
    return pthread_cond_timedwait(cond, &pool->lock, &end) != ETIMEDOUT;
}

static void hold(coil_blocking_pool *pool)
{
    (void)__atomic_fetch_add(&pool->holder_count, 1, __ATOMIC_RELAXED);
}

static void let_go(coil_blocking_pool *pool)
{
    if (__atomic_sub_fetch(&pool->holder_count, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (unsigned i = 0; i < pool->options.threads_max_count; i++)
        (void)pthread_cond_destroy(&pool->workers[i].wake);
    (void)pthread_cond_destroy(&pool->worker_ended);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static coil_blocking_options completed(const coil_blocking_options *options)
{
    coil_blocking_options all = {0};
    if (options != NULL)
        all = *options;
    if (all.name == NULL)
        all.name = "blocking";
    if (all.threads_max_count == 0)
        all.threads_max_count = COIL_BLOCKING_THREADS;
    if (all.queue_max_count == 0)
        all.queue_max_count = COIL_BLOCKING_QUEUE;
    if (all.idle_limit == 0)
        all.idle_limit = coil_s(COIL_BLOCKING_IDLE_S);
    if (all.grace == 0)
        all.grace = coil_s(COIL_BLOCKING_GRACE_S);
    return all;
}

static int validate(const coil_blocking_options *all)
{
    if (all->threads_max_count > COIL_BLOCKING_THREADS_MAX ||
            all->threads_min_count > all->threads_max_count)
        return -EINVAL;
    return 0;
}

int coil_blocking_pool_create(coil_blocking_pool **out_pool, const coil_blocking_options *options)
{
    const coil_blocking_options all = completed(options);
    if (validate(&all) < 0)
        return -EINVAL;
    coil_blocking_pool *pool =
            calloc(1, sizeof(*pool) + all.threads_max_count * sizeof(pool->workers[0]));
    if (pool == NULL)
        return -ENOMEM;

    (void)pthread_mutex_init(&pool->lock, NULL);
    init_cond(&pool->worker_ended);
    (void)snprintf(pool->name, sizeof(pool->name), "%s", all.name);
    pool->options = all;
    pool->options.name = pool->name;
    coil_list_init(&pool->queue);
    coil_list_init(&pool->idle);
    pool->holder_count = 1;
    for (unsigned i = 0; i < all.threads_max_count; i++) {
        worker *slot = &pool->workers[i];
        slot->pool = pool;
        slot->number = i;
        coil_list_init(&slot->idle);
        init_cond(&slot->wake);
    }
    *out_pool = pool;
    return 0;
}

/* -------------------------------------------------------------------------------- counters -- */

static size_t over(size_t count, size_t limit)
{
    return count > limit ? count - limit : 0;
}

coil_blocking_stats coil_blocking_pool_stats(coil_blocking_pool *pool)
{
    lock(pool);
    coil_blocking_stats stats = pool->stats; /* Those that wait are counted as queued there. */
    unlock(pool);
    stats.waiting_count = over(stats.queued_count, pool->options.queue_max_count);
    stats.queued_count -= stats.waiting_count;
    return stats;
}

static size_t report(const coil_blocking_pool *pool, const char *prefix, FILE *to)
{
    const coil_time now = coil_kernel_now();
    size_t count = 0;
    for (unsigned i = 0; i < pool->options.threads_max_count; i++) {
        const worker *slot = &pool->workers[i];
        if (slot->running == NULL)
            continue;
        const coil_duration ms = (now - slot->since) / coil_ms(1);
        fprintf(to, "%s%s-%u: %s, for %lld.%03d s\n", prefix, pool->name, slot->number,
                slot->running, (long long)(ms / 1000), (int)(ms % 1000));
        count++;
    }
    return count;
}

size_t coil_blocking_pool_report(coil_blocking_pool *pool, FILE *to)
{
    lock(pool);
    size_t count = report(pool, "", to);
    unlock(pool);
    return count;
}

/* --------------------------------------------------------------- on the threads of the pool -- */

bool coil_blocking_is_cancelled(void)
{
    return current != NULL && __atomic_load_n(&current->cancelled, __ATOMIC_RELAXED);
}

/* On the thread of the loop: the result is there. */
static void deliver(coil_post *post)
{
    coil_blocking_job *job = coil_container_of(post, coil_blocking_job, post);
    job->outcome = DELIVERED;
    coil_task_wake(job->task);
}

/* The job has been taken off the queue. Called and left with the lock. */
static void perform(worker *self, coil_blocking_job *job)
{
    coil_blocking_pool *pool = self->pool;

    job->place = RUNNING;
    self->running = job->name != NULL ? job->name : "job";
    self->since = coil_kernel_now();
    pool->stats.running_count++;
    unlock(pool);

    current = job;
    job->result = job->run(job);
    current = NULL;

    lock(pool);
    self->running = NULL;
    pool->stats.running_count--;
    pool->stats.done_count++;
    const bool abandoned = job->place == ABANDONED;
    job->place = DONE;
    unlock(pool);
    if (abandoned) {
        job->abandoned(job);
    } else {
        coil_loop_post(job->loop, &job->post); /* From here on it may be gone. */
    }
    lock(pool);
}

/* False: it has been idle for so long that it ends. */
static bool rest(worker *self)
{
    coil_blocking_pool *pool = self->pool;
    coil_time deadline = coil_time_after(coil_kernel_now(), pool->options.idle_limit);
    bool stays = true;

    self->woken = false;
    coil_list_append(&pool->idle, &self->idle);
    pool->stats.idle_count++;
    while (stays && !self->woken && !pool->ending) {
        if (wait_until(&self->wake, pool, deadline) || self->woken || pool->ending)
            continue;
        stays = pool->stats.thread_count <= pool->options.threads_min_count;
        deadline = COIL_NEVER;
    }
    if (!self->woken) { /* Else whoever woke it did this. */
        coil_list_remove(&self->idle);
        pool->stats.idle_count--;
    }
    return stays;
}

static coil_blocking_job *next_job(worker *self)
{
    coil_blocking_pool *pool = self->pool;

    while (coil_list_empty(&pool->queue)) {
        if (pool->ending || !rest(self))
            return NULL;
    }
    pool->stats.queued_count--;
    return coil_container_of(coil_list_take_first(&pool->queue), coil_blocking_job, link);
}

static void *work(void *argument)
{
    worker *self = argument;
    coil_blocking_pool *pool = self->pool;
    coil_blocking_job *job;
    char name[THREAD_NAME_BYTES];

    (void)snprintf(name, sizeof(name), "%s-%u", pool->name, self->number);
    (void)pthread_setname_np(pthread_self(), name);
    lock(pool);
    while ((job = next_job(self)) != NULL)
        perform(self, job);
    self->state = ENDED;
    pool->stats.thread_count--;
    (void)pthread_cond_signal(&pool->worker_ended);
    unlock(pool);
    let_go(pool);
    return NULL;
}

/* -------------------------------------------------------------------------- to have threads -- */

/* It ends at once: it has nothing left to do that needs the lock. */
static void join(worker *ended)
{
    (void)pthread_join(ended->thread, NULL);
    ended->state = FREE;
}

/* What a fault raises would kill the process if it were blocked, past every handler. */
static void block_signals(sigset_t *out_before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    sigset_t all;
    (void)sigfillset(&all);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        (void)sigdelset(&all, faults[i]);
    (void)coil_kernel_sigmask(SIG_SETMASK, &all, out_before);
}

static int create_thread(worker *slot)
{
    const size_t stack_bytes = slot->pool->options.stack_bytes;
    pthread_attr_t attributes;
    sigset_t before;

    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return -error;
    if (stack_bytes > 0)
        error = pthread_attr_setstacksize(&attributes, stack_bytes);
    if (error == 0) {
        block_signals(&before); /* The thread inherits the mask. */
        error = pthread_create(&slot->thread, &attributes, work, slot);
        (void)coil_kernel_sigmask(SIG_SETMASK, &before, NULL);
    }
    (void)pthread_attr_destroy(&attributes);
    return -error;
}

static int start_worker(coil_blocking_pool *pool)
{
    worker *slot = pool->workers;
    while (slot->state == LIVE)
        slot++; /* There are fewer than can be. */
    if (slot->state == ENDED)
        join(slot);

    hold(pool);
    int rc = create_thread(slot);
    if (rc < 0) {
        let_go(pool);
        pool->stats.unstarted_count++;
        return rc;
    }
    slot->state = LIVE;
    pool->stats.thread_count++;
    pool->stats.started_count++;
    return 0;
}

static void wake(coil_blocking_pool *pool, worker *idle)
{
    coil_list_remove(&idle->idle);
    pool->stats.idle_count--;
    idle->woken = true;
    (void)pthread_cond_signal(&idle->wake);
}

/* Somebody will take the job that has just been queued; 0, or there is no thread at all. */
static int find_worker(coil_blocking_pool *pool)
{
    if (!coil_list_empty(&pool->idle)) {
        wake(pool, coil_container_of(pool->idle.prev, worker, idle));
        return 0;
    }
    if (pool->stats.thread_count == pool->options.threads_max_count)
        return 0;
    int rc = start_worker(pool);
    return pool->stats.thread_count > 0 ? 0 : rc;
}

/* -------------------------------------------------------------------------------- the queue -- */

static int enqueue(coil_blocking_pool *pool, coil_blocking_job *job)
{
    if (pool->ending)
        return -ESHUTDOWN;
    if (pool->options.refuse_when_full &&
            pool->stats.queued_count >= pool->options.queue_max_count) {
        pool->stats.refused_count++;
        return -EAGAIN;
    }
    coil_list_append(&pool->queue, &job->link);
    int rc = find_worker(pool);
    if (rc < 0) {
        coil_list_remove(&job->link);
    } else {
        pool->stats.queued_count++;
    }
    return rc;
}

static int submit(coil_blocking_pool *pool, coil_blocking_job *job, coil_task *task)
{
    job->loop = coil_loop_of(task);
    job->task = task;
    job->pool = pool != NULL ? pool : coil_blocking_default(job->loop);
    if (job->pool == NULL)
        return -ENOMEM;
    coil_list_init(&job->link);
    job->post.run = deliver;
    job->place = QUEUED;
    job->outcome = PENDING;
    job->cancelled = false;
    job->refused = false;

    pool = job->pool;
    hold(pool); /* Once it is queued, the pool may end. */
    lock(pool);
    int rc = enqueue(pool, job);
    unlock(pool);
    if (rc < 0)
        let_go(pool);
    return rc;
}

/* Refuse what has not begun. The jobs are their tasks' again when they have been posted. */
static void refuse_all(coil_blocking_pool *pool)
{
    coil_list *link;
    while ((link = coil_list_take_first(&pool->queue)) != NULL) {
        coil_blocking_job *job = coil_container_of(link, coil_blocking_job, link);
        pool->stats.queued_count--;
        job->place = DONE;
        job->refused = true;
        job->result = -ESHUTDOWN;
        coil_loop_post(job->loop, &job->post);
    }
}

int coil_blocking_pool_destroy(coil_blocking_pool *pool)
{
    if (pool == NULL)
        return 0;
    COIL_CHECK(current == NULL || current->pool != pool); /* It would wait for itself. */

    const coil_time deadline = coil_time_after(coil_kernel_now(), pool->options.grace);
    lock(pool);
    pool->ending = true;
    while (!coil_list_empty(&pool->idle))
        wake(pool, coil_container_of(pool->idle.next, worker, idle));
    while (pool->stats.thread_count > 0 && wait_until(&pool->worker_ended, pool, deadline)) {
    }
    refuse_all(pool);
    const int rc = pool->stats.thread_count > 0 ? -ETIME : 0;
    if (rc < 0)
        (void)report(pool, "coil: still blocked at the end, left behind: ", stderr);
    for (unsigned i = 0; i < pool->options.threads_max_count; i++) {
        worker *slot = &pool->workers[i];
        if (slot->state == ENDED) {
            join(slot);
        } else if (slot->state == LIVE) {
            (void)pthread_detach(slot->thread);
        }
    }
    unlock(pool);
    let_go(pool);
    return rc;
}

/* -------------------------------------------------------------------------------- the calls -- */

/* The await of `job` ends unwound, and `job` does not run: not yet, or not any more. */
static void drop(coil_blocking_job *job)
{
    if (job->abandoned != NULL)
        job->abandoned(job);
}

static coil_turn leave_with(coil_task *task, coil_frame *leaf, int64_t result)
{
    coil_frame_set_result(leaf, result);
    return coil_leave(task, leaf);
}

static coil_turn begin(
        coil_task *task, coil_frame *leaf, coil_blocking_pool *pool, coil_blocking_job *job)
{
    if (coil_task_refuses(task)) {
        drop(job);
        return leave_with(task, leaf, -ECANCELED);
    }
    int rc = submit(pool, job, task);
    if (rc < 0)
        return leave_with(task, leaf, rc);
    leaf->vars = job;
    return coil_leaf_suspend(leaf);
}

/* Did `run` end early because it was asked to? */
static bool gave_up(coil_task *task, const coil_blocking_job *job)
{
    return job->result == -ECANCELED && job->cancelled && coil_task_unwind_here(task);
}

/* The job if it has been delivered, with its result or a refusal; NULL if the await unwinds. */
static coil_blocking_job *end(coil_task *task, coil_frame *leaf)
{
    coil_blocking_job *job = leaf->vars;

    if (job != NULL) {
        let_go(job->pool);
        if (job->outcome == DELIVERED && !gave_up(task, job))
            return job;
        drop(job);
    }
    (void)coil_task_unwind_here(task);
    coil_frame_set_result(leaf, -ECANCELED);
    return NULL;
}

static bool pending(const coil_frame *leaf)
{
    const coil_blocking_job *job = leaf->vars;
    return job != NULL && job->outcome == PENDING;
}

static coil_turn run_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_blocking_run__args *arguments = coil_arguments(coil_blocking_run, leaf);

    if (leaf->at == NULL)
        return begin(task, leaf, arguments->pool, arguments->job);
    if (pending(leaf))
        return COIL_WAIT; /* Somebody woke the task for a reason of his own. */
    const coil_blocking_job *job = end(task, leaf);
    if (job != NULL)
        coil_frame_set_result(leaf, job->result);
    return coil_leave(task, leaf);
}

void coil_blocking_cancel(coil_task *task, coil_frame *leaf)
{
    coil_blocking_job *job = leaf->vars;
    if (job == NULL || job->outcome != PENDING)
        return;

    coil_blocking_pool *pool = job->pool;
    __atomic_store_n(&job->cancelled, true, __ATOMIC_RELAXED);
    lock(pool);
    const int place = job->place;
    const bool abandon = place == RUNNING && job->abandoned != NULL;
    if (place == QUEUED) {
        coil_list_remove(&job->link);
        pool->stats.queued_count--;
        pool->stats.withdrawn_count++;
    } else if (abandon) {
        job->place = ABANDONED;
        pool->stats.abandoned_count++;
    }
    unlock(pool);

    if (place == QUEUED)
        job->outcome = WITHDRAWN;
    if (abandon) {
        leaf->vars = NULL; /* It is not ours any more. */
        let_go(pool);
    }
    if (place == QUEUED || abandon)
        coil_task_wake(task);
}

coil_define_leaf(coil_blocking_run, run_step, coil_blocking_cancel);

/* --------------------------------------------------------------------------- typed functions -- */

coil_turn coil_blocking_step(coil_task *task, coil_frame *leaf, coil_blocking_pool *pool,
        int64_t (*run)(coil_blocking_job *job))
{
    if (leaf->at == NULL) {
        coil_blocking_call *call = coil_push(task, sizeof(*call));
        *call = (coil_blocking_call){.job = {.run = run, .name = leaf->fn->name}, .frame = leaf};
        return begin(task, leaf, pool, &call->job);
    }
    if (pending(leaf))
        return COIL_WAIT;
    const coil_blocking_job *job = end(task, leaf);
    if (job != NULL && job->refused)
        coil_frame_set_result(leaf, job->result);
    return coil_leave(task, leaf);
}

/* A call with its own copy of the frame behind it. */
static void free_call(coil_blocking_job *job)
{
    free(coil_container_of(job, coil_blocking_call, job));
}

static coil_blocking_job *copy_call(const coil_frame *leaf, int64_t (*run)(coil_blocking_job *job))
{
    static_assert(sizeof(coil_blocking_call) % sizeof(int64_t) == 0, "the frame is aligned");
    coil_blocking_call *call = calloc(1, sizeof(*call) + leaf->fn->frame_bytes);
    if (call == NULL)
        return NULL;
    call->job.run = run;
    call->job.name = leaf->fn->name;
    call->job.abandoned = free_call;
    call->frame = (coil_frame *)(void *)(call + 1);
    memcpy(call->frame, leaf, leaf->fn->frame_bytes);
    return &call->job;
}

static coil_turn begin_detached(coil_task *task, coil_frame *leaf, coil_blocking_pool *pool,
        int64_t (*run)(coil_blocking_job *job))
{
    if (coil_task_refuses(task))
        return leave_with(task, leaf, -ECANCELED);
    coil_blocking_job *job = copy_call(leaf, run);
    if (job == NULL)
        return leave_with(task, leaf, -ENOMEM);
    int rc = submit(pool, job, task);
    if (rc < 0) {
        free_call(job);
        return leave_with(task, leaf, rc);
    }
    leaf->vars = job;
    return coil_leaf_suspend(leaf);
}

coil_turn coil_blocking_step_detached(coil_task *task, coil_frame *leaf, coil_blocking_pool *pool,
        int64_t (*run)(coil_blocking_job *job))
{
    const coil_fn *fn = leaf->fn;

    if (leaf->at == NULL)
        return begin_detached(task, leaf, pool, run);
    if (pending(leaf))
        return COIL_WAIT;
    coil_blocking_job *job = end(task, leaf);
    if (job != NULL) {
        const coil_frame *copy = coil_container_of(job, coil_blocking_call, job)->frame;
        if (job->refused) {
            coil_frame_set_result(leaf, job->result);
        } else {
            memcpy((char *)leaf + fn->result_at, (const char *)copy + fn->result_at,
                    fn->result_bytes);
        }
        free_call(job);
    }
    return coil_leave(task, leaf);
}

/* ------------------------------------------------------------------------- the default pool -- */

static struct {
    pthread_mutex_t lock;
    coil_blocking_options options;
    coil_blocking_pool *pool;
    unsigned user_count; /* Loops. */
} common = {.lock = PTHREAD_MUTEX_INITIALIZER};

int coil_blocking_configure(const coil_blocking_options *options)
{
    const coil_blocking_options all = completed(options);
    int rc = validate(&all);
    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&common.lock);
    if (common.pool != NULL) {
        rc = -EBUSY;
    } else {
        common.options = all;
    }
    (void)pthread_mutex_unlock(&common.lock);
    return rc;
}

coil_blocking_pool *coil_blocking_default(coil_loop *loop)
{
    if (loop->blocking != NULL)
        return loop->blocking;
    (void)pthread_mutex_lock(&common.lock);
    if (common.pool != NULL || coil_blocking_pool_create(&common.pool, &common.options) == 0) {
        loop->blocking = common.pool;
        common.user_count++;
    }
    (void)pthread_mutex_unlock(&common.lock);
    return loop->blocking;
}

void blocking_leave(coil_loop *loop)
{
    coil_blocking_pool *unused = NULL;

    if (loop->blocking == NULL)
        return;
    loop->blocking = NULL;
    (void)pthread_mutex_lock(&common.lock);
    if (--common.user_count == 0) {
        unused = common.pool;
        common.pool = NULL;
    }
    (void)pthread_mutex_unlock(&common.lock);
    (void)coil_blocking_pool_destroy(unused); /* It has said what is left. */
}
