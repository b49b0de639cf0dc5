/* SPDX-License-Identifier: MIT */
#include <coil/blocking.h>

#include "blocking_private.h"
#include "loop_private.h"

#include <coil/check.h>
#include <coil/kernel.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { NAME_BYTES = 11, THREAD_NAME_BYTES = NAME_BYTES + 11 };

/* Where a job is, as the pool has it. */
enum { QUEUED, RUNNING, DONE, ABANDONED };

typedef enum worker_state { FREE, LIVE, ENDED } worker_state;

typedef struct worker {
    worker_state state; /* ENDED: still to be joined. */
    bool woken;
    coil_blocking_pool *pool;
    coil_list idle; /* In the list of the pool. */
    pthread_cond_t wake;
    coil_kernel_thread thread;
    char name[THREAD_NAME_BYTES];
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

static COIL_THREAD_LOCAL coil_blocking_job *current;

/* ------------------------------------------------------------------------------- lifecycle -- */

static void lock(coil_blocking_pool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
}

static void unlock(coil_blocking_pool *pool)
{
    (void)pthread_mutex_unlock(&pool->lock);
}

static void hold(coil_blocking_pool *pool)
{
    (void)__atomic_fetch_add(&pool->holder_count, 1, __ATOMIC_RELAXED);
}

void blocking_release(coil_blocking_pool *pool)
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

int coil_blocking_pool_create(const coil_blocking_options *options, coil_blocking_pool **out_pool)
{
    const coil_blocking_options all = completed(options);
    if (validate(&all) < 0)
        return -EINVAL;
    coil_blocking_pool *pool =
            calloc(1, sizeof(*pool) + all.threads_max_count * sizeof(pool->workers[0]));
    if (pool == NULL)
        return -ENOMEM;

    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->worker_ended, NULL);
    (void)snprintf(pool->name, sizeof(pool->name), "%s", all.name);
    pool->options = all;
    pool->options.name = pool->name;
    coil_list_init(&pool->queue);
    coil_list_init(&pool->idle);
    pool->holder_count = 1;
    for (unsigned i = 0; i < all.threads_max_count; i++) {
        worker *slot = &pool->workers[i];
        slot->pool = pool;
        (void)snprintf(slot->name, sizeof(slot->name), "%s-%u", pool->name, i);
        coil_list_init(&slot->idle);
        (void)pthread_cond_init(&slot->wake, NULL);
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
        fprintf(to, "%s%s: %s, for %lld.%03d s\n", prefix, slot->name, slot->running,
                (long long)(ms / 1000), (int)(ms % 1000));
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
    job->outcome = BLOCKING_DELIVERED;
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
        if (coil_kernel_cond_wait(&self->wake, &pool->lock, deadline) || self->woken ||
                pool->ending)
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

static void work(coil_kernel_thread *thread)
{
    worker *self = coil_container_of(thread, worker, thread);
    coil_blocking_pool *pool = self->pool;
    coil_blocking_job *job;

    lock(pool);
    while ((job = next_job(self)) != NULL)
        perform(self, job);
    self->state = ENDED;
    pool->stats.thread_count--;
    coil_kernel_cond_signal(&pool->worker_ended);
    unlock(pool);
    blocking_release(pool);
}

/* -------------------------------------------------------------------------- to have threads -- */

/* It ends at once: it has nothing left to do that needs the lock. */
static void join(worker *ended)
{
    coil_kernel_thread_join(&ended->thread);
    ended->state = FREE;
}

static int start_worker(coil_blocking_pool *pool)
{
    worker *slot = pool->workers;
    while (slot->state == LIVE)
        slot++; /* There are fewer than can be. */
    if (slot->state == ENDED)
        join(slot);

    slot->thread = (coil_kernel_thread){
            .run = work, .name = slot->name, .stack_bytes = pool->options.stack_bytes};
    hold(pool);
    int rc = coil_kernel_thread_start(&slot->thread);
    if (rc < 0) {
        blocking_release(pool);
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
    coil_kernel_cond_signal(&idle->wake);
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

int blocking_submit(coil_blocking_pool *pool, coil_blocking_job *job, coil_task *task)
{
    job->loop = coil_loop_of(task);
    job->task = task;
    job->pool = pool != NULL ? pool : coil_blocking_default(job->loop);
    if (job->pool == NULL)
        return -ENOMEM;
    coil_list_init(&job->link);
    job->post.run = deliver;
    job->place = QUEUED;
    job->outcome = BLOCKING_PENDING;
    job->cancelled = false;
    job->refused = false;

    pool = job->pool;
    hold(pool); /* Once it is queued, the pool may end. */
    lock(pool);
    int rc = enqueue(pool, job);
    unlock(pool);
    if (rc < 0)
        blocking_release(pool);
    return rc;
}

blocking_outcome blocking_cancel(coil_blocking_job *job)
{
    coil_blocking_pool *pool = job->pool;
    blocking_outcome outcome = BLOCKING_PENDING;

    __atomic_store_n(&job->cancelled, true, __ATOMIC_RELAXED);
    lock(pool);
    if (job->place == QUEUED) {
        coil_list_remove(&job->link);
        pool->stats.queued_count--;
        pool->stats.withdrawn_count++;
        outcome = BLOCKING_WITHDRAWN;
    } else if (job->place == RUNNING && job->abandoned != NULL) {
        job->place = ABANDONED;
        pool->stats.abandoned_count++;
        outcome = BLOCKING_ABANDONED;
    }
    unlock(pool);
    return outcome;
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
    while (pool->stats.thread_count > 0 &&
            coil_kernel_cond_wait(&pool->worker_ended, &pool->lock, deadline))
        continue;
    refuse_all(pool);
    const int rc = pool->stats.thread_count > 0 ? -ETIME : 0;
    if (rc < 0)
        (void)report(pool, "coil: still blocked at the end, left behind: ", stderr);
    for (unsigned i = 0; i < pool->options.threads_max_count; i++) {
        worker *slot = &pool->workers[i];
        if (slot->state == ENDED) {
            join(slot);
        } else if (slot->state == LIVE) {
            coil_kernel_thread_detach(&slot->thread);
        }
    }
    unlock(pool);
    blocking_release(pool);
    return rc;
}

/* ------------------------------------------------------------------------- the default pool -- */

static struct {
    pthread_mutex_t lock;
    coil_blocking_options options;
    coil_blocking_pool *pool;
    unsigned user_count; /* Loops. */
} common COIL_PROCESS_WIDE = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lock_common(void)
{
    (void)pthread_mutex_lock(&common.lock);
}

static void unlock_common(void)
{
    (void)pthread_mutex_unlock(&common.lock);
}

/* A forked child has none of its threads, so it is left as it is, and another one is made. */
static void forget_that_of_the_parent(void)
{
    common.pool = NULL;
    common.user_count = 0;
    unlock_common();
}

static __attribute__((constructor)) void watch_forks(void)
{
    (void)coil_kernel_at_fork(lock_common, unlock_common, forget_that_of_the_parent);
}

int coil_blocking_configure(const coil_blocking_options *options)
{
    const coil_blocking_options all = completed(options);
    int rc = validate(&all);
    if (rc < 0)
        return rc;
    lock_common();
    if (common.pool != NULL) {
        rc = -EBUSY;
    } else {
        common.options = all;
    }
    unlock_common();
    return rc;
}

coil_blocking_pool *coil_blocking_default(coil_loop *loop)
{
    if (loop->blocking != NULL)
        return loop->blocking;
    lock_common();
    if (common.pool != NULL || coil_blocking_pool_create(&common.options, &common.pool) == 0) {
        loop->blocking = common.pool;
        common.user_count++;
    }
    unlock_common();
    return loop->blocking;
}

void blocking_leave(coil_loop *loop)
{
    coil_blocking_pool *unused = NULL;

    if (loop->blocking == NULL)
        return;
    loop->blocking = NULL;
    lock_common();
    if (--common.user_count == 0) {
        unused = common.pool;
        common.pool = NULL;
    }
    unlock_common();
    (void)coil_blocking_pool_destroy(unused); /* It has said what is left. */
}
