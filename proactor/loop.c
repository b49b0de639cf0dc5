/* SPDX-License-Identifier: MIT */
#include <coil/loop.h>

#include "monitor.h"
#include "pool.h"

#include <coil/kernel.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUDGET = 1024 }; /* Resumptions per turn, before completions are looked at again. */

static __thread coil_loop *current;

/* ----------------------------------------------------------------------- other threads -- */

static void wake_prepare(coil_op *op, struct io_uring_sqe *sqe)
{
    io_uring_prep_read(sqe, op->loop->wake_fd, &op->loop->wakeups, sizeof(uint64_t), 0);
}

/* Run what other threads have posted, oldest first. */
static void run_posted(coil_loop *loop)
{
    coil_post *newest = __atomic_exchange_n(&loop->posted, NULL, __ATOMIC_ACQUIRE);
    coil_post *oldest = NULL;
    while (newest != NULL) {
        coil_post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        coil_post *post = oldest;
        oldest = oldest->next;
        post->run(post);
    }
}

static void wake_complete(coil_op *op, int32_t result, uint32_t flags)
{
    (void)flags;
    if (result != -ECANCELED)
        op_start(op);
    run_posted(op->loop);
}

static const op_kind wake_kind = {"wake", wake_prepare, wake_complete, false};

void coil_loop_post(coil_loop *loop, coil_post *post)
{
    /* Once `post` is in the list, the loop may run it, and end: it waits for us then. */
    (void)__atomic_fetch_add(&loop->posting_count, 1, __ATOMIC_RELAXED);
    coil_post *newest = __atomic_load_n(&loop->posted, __ATOMIC_RELAXED);
    do {
        post->next = newest;
    } while (!__atomic_compare_exchange_n(
            &loop->posted, &newest, post, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    if (newest == NULL)
        (void)coil_kernel_eventfd_add(loop->wake_fd, 1); /* Else whoever posted first does that. */
    (void)__atomic_fetch_sub(&loop->posting_count, 1, __ATOMIC_RELEASE);
}

/* ------------------------------------------------------------------------------- lifecycle -- */

/* All loops of the process: so that tests can ask what has been left behind. */
static pthread_mutex_t all_loops_lock = PTHREAD_MUTEX_INITIALIZER;
static coil_list all_loops = {&all_loops, &all_loops};

static void enlist(coil_loop *loop)
{
    static unsigned loop_count;

    loop->watch.thread = coil_kernel_thread_id();
    (void)pthread_mutex_lock(&all_loops_lock);
    loop->watch.number = ++loop_count;
    coil_list_append(&all_loops, &loop->link);
    (void)pthread_mutex_unlock(&all_loops_lock);
}

static void delist(coil_loop *loop)
{
    (void)pthread_mutex_lock(&all_loops_lock);
    coil_list_remove(&loop->link);
    (void)pthread_mutex_unlock(&all_loops_lock);
}

void loop_each(loop_visitor *visitor)
{
    (void)pthread_mutex_lock(&all_loops_lock);
    for (coil_list *link = all_loops.next; link != &all_loops; link = link->next)
        visitor->visit(visitor, coil_container_of(link, coil_loop, link));
    (void)pthread_mutex_unlock(&all_loops_lock);
}

static size_t sum_of_loops(size_t (*figure)(const coil_loop *loop))
{
    size_t sum = 0;
    (void)pthread_mutex_lock(&all_loops_lock);
    for (coil_list *link = all_loops.next; link != &all_loops; link = link->next)
        sum += figure(coil_container_of(link, coil_loop, link));
    (void)pthread_mutex_unlock(&all_loops_lock);
    return sum;
}

static size_t live_tasks(const coil_loop *loop)
{
    return loop->sched.live_count;
}

size_t coil_debug_live_tasks(void)
{
    return sum_of_loops(live_tasks);
}

size_t coil_debug_pending_ops(void)
{
    return sum_of_loops(coil_loop_pending);
}

int coil_loop_create(coil_loop **out_loop, char *out_reason)
{
    char reason[COIL_REASON_BYTES] = "cannot create a loop: no memory (ENOMEM)";
    int rc = -ENOMEM;
    coil_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        goto fail;
    loop->wake_fd = rc = coil_kernel_eventfd();
    if (rc < 0) {
        (void)snprintf(reason, sizeof(reason), "cannot create a loop: too many descriptors");
        goto free_loop;
    }
    rc = ring_init(&loop->ring, reason);
    if (rc < 0)
        goto close_wake;

    coil_list_init(&loop->backlog);
    coil_list_init(&loop->cancels);
    coil_sched_init(&loop->sched, coil_kernel_now(), NULL);
    op_init(&loop->wake, &wake_kind, loop);
    op_start(&loop->wake);
    enlist(loop);
    monitor_from_environment();
    *out_loop = loop;
    return 0;

close_wake:
    (void)coil_kernel_close(loop->wake_fd);
free_loop:
    free(loop);
fail:
    if (out_reason != NULL)
        (void)snprintf(out_reason, COIL_REASON_BYTES, "%s", reason);
    return rc;
}

static void reap(coil_loop *loop)
{
    struct io_uring_cq *cq = &loop->ring.uring.cq;
    unsigned head = *cq->khead;
    unsigned tail = __atomic_load_n(cq->ktail, __ATOMIC_ACQUIRE);

    loop->stats.completions += tail - head;
    for (; head != tail; head++)
        op_complete(loop, &cq->cqes[head & cq->ring_mask]);
    __atomic_store_n(cq->khead, head, __ATOMIC_RELEASE);
}

static void cancel_all_prepare(struct io_uring_sqe *sqe)
{
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = OP_TAG_CANCEL;
}

/*
 * Closing a ring ends its operations some milliseconds later, and until then they keep sockets
 * bound. So everything is cancelled and reaped first.
 */
static void end_operations(coil_loop *loop)
{
    while (loop->pending_count > 0) {
        op_drain(loop);
        struct io_uring_sqe *sqe = ring_next(&loop->ring);
        if (sqe != NULL)
            cancel_all_prepare(sqe);
        COIL_CHECK(ring_enter(&loop->ring, true, coil_ms(10)) == 0);
        reap(loop);
    }
    (void)ring_enter(&loop->ring, false, 0); /* Cancellations that nobody waits for. */
}

/* Is another thread in the middle of coil_loop_post()? */
static bool posting(const coil_loop *loop)
{
    return __atomic_load_n(&loop->posting_count, __ATOMIC_ACQUIRE) > 0;
}

/* Messages that nobody has run yet may start operations, and post further messages. */
static void quiesce(coil_loop *loop)
{
    op_cancel(&loop->wake);
    do {
        end_operations(loop);
        run_posted(loop);
    } while (loop->pending_count > 0 || __atomic_load_n(&loop->posted, __ATOMIC_RELAXED) != NULL);
    while (posting(loop))
        (void)ring_enter(&loop->ring, true, coil_us(100));
}

void coil_loop_destroy(coil_loop *loop)
{
    if (loop == NULL)
        return;
    COIL_CHECK(current != loop);
    delist(loop);
    quiesce(loop);
    buffer_pool_destroy(loop->buffers);
    ring_fini(&loop->ring);
    (void)coil_kernel_close(loop->wake_fd);
    coil_sched_fini(&loop->sched);
    free(loop->dump.text);
    free(loop);
}

/* -------------------------------------------------------------------------------- running -- */

static coil_duration time_left(const coil_loop *loop)
{
    coil_time next = coil_sched_next(&loop->sched);
    if (next == COIL_NEVER)
        return COIL_FOREVER;
    coil_time now = coil_kernel_now();
    return next > now ? next - now : 0; /* It may be as long ago as INT64_MIN. */
}

static void turn(coil_loop *loop)
{
    loop->stats.turns++;
    coil_sched_advance(&loop->sched, coil_kernel_now());
    bool busy = coil_sched_run(&loop->sched, BUDGET);
    op_drain(loop);
    if (!busy && loop->sched.live_count == 0)
        return;
    if (busy && ring_unsubmitted(&loop->ring) == 0 && !ring_needs_enter(&loop->ring))
        return;
    watch_beat(&loop->watch, WATCH_WAITS);
    COIL_CHECK(ring_enter(&loop->ring, !busy, busy ? 0 : time_left(loop)) == 0);
    watch_beat(&loop->watch, WATCH_RUNS + loop->stats.turns);
    reap(loop);
}

/*
 * A write to a pipe that nobody reads raises SIGPIPE in the thread that makes it, and io_uring has
 * no flag against that on all kernels. What was pending or blocked before we came is not ours to
 * take.
 */
typedef struct sigpipe_guard {
    sigset_t sigpipe;
    bool was_blocked;
    bool was_pending;
} sigpipe_guard;

static sigpipe_guard block_sigpipe(void)
{
    sigpipe_guard guard;
    sigset_t before;
    sigset_t pending;
    (void)sigemptyset(&guard.sigpipe);
    (void)sigaddset(&guard.sigpipe, SIGPIPE);
    COIL_CHECK(coil_kernel_sigmask(SIG_BLOCK, &guard.sigpipe, &before) == 0);
    COIL_CHECK(coil_kernel_sigpending(&pending) == 0);
    guard.was_blocked = sigismember(&before, SIGPIPE) == 1;
    guard.was_pending = sigismember(&pending, SIGPIPE) == 1;
    return guard;
}

static void unblock_sigpipe(const sigpipe_guard *guard)
{
    if (!guard->was_pending)
        (void)coil_kernel_sigtake(&guard->sigpipe);
    if (!guard->was_blocked)
        (void)coil_kernel_sigmask(SIG_UNBLOCK, &guard->sigpipe, NULL);
}

int coil_loop_run(coil_loop *loop)
{
    COIL_CHECK(current == NULL); /* A loop does not run inside a loop. */
    const sigpipe_guard guard = block_sigpipe();
    current = loop;
    watch_beat(&loop->watch, WATCH_RUNS + loop->stats.turns);
    while (loop->sched.live_count > 0)
        turn(loop);
    watch_beat(&loop->watch, WATCH_RESTS);
    current = NULL;
    unblock_sigpipe(&guard);

    int error = loop->sched.root.error;
    loop->sched.root.error = 0;
    loop->sched.root.cancelled = false;
    return error;
}

coil_group *coil_loop_root(coil_loop *loop)
{
    /* Whoever spawns between two runs counts his deadlines from now, not from the last turn. */
    if (current != loop && loop->sched.now < coil_kernel_now())
        loop->sched.now = coil_kernel_now();
    return &loop->sched.root;
}

coil_loop *coil_loop_current(void)
{
    return current;
}

coil_loop *coil_loop_of(const coil_task *task)
{
    return coil_container_of(task->sched, coil_loop, sched);
}

coil_time coil_loop_now(const coil_loop *loop)
{
    return loop->sched.now;
}

coil_time coil_now(void)
{
    return current != NULL ? current->sched.now : coil_kernel_now();
}

coil_loop_stats coil_loop_statistics(const coil_loop *loop)
{
    coil_loop_stats stats = loop->stats;
    stats.enters = loop->ring.enter_count;
    return stats;
}

size_t coil_loop_pending(const coil_loop *loop)
{
    return loop->pending_count;
}

/* ----------------------------------------------------------------------------- coil_run() -- */

static __thread int run_error;

coil_loop *coil_run_begin(void)
{
    coil_loop *loop = NULL;
    char reason[COIL_REASON_BYTES];
    run_error = coil_loop_create(&loop, reason);
    if (run_error < 0)
        fprintf(stderr, "coil: %s\n", reason);
    return loop;
}

int coil_run_error(void)
{
    return run_error;
}
