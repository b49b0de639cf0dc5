/* SPDX-License-Identifier: MIT */
/*
 * coil/blocking.h - calls that block, on threads of their own. Like asyncio's to_thread() and
 * run_in_executor(), and tokio's spawn_blocking().
 *
 *     coil_blocking (int, load, (const char *) path, (table *) out_table)
 *     {
 *         ...plain C, on a thread of the pool; it may block, and not await...
 *     }
 *
 *     coil_attempt (load("/etc/hosts", &my->table));      the task waits, the loop goes on
 *
 * For what io_uring has no operation for: getaddrinfo(3), database drivers, compression. The call
 * is an awaitable like any other; what its arguments point to must stay until it is done, and it
 * does: a cancelled call is waited for.
 *
 *     submitted --> QUEUED ---------> RUNNING ------------> DONE: the result is delivered
 *                     |  first come,    |
 *                     |  first served   +--cancelled, and it can be abandoned--> ABANDONED
 *                     |
 *                     +--cancelled--> withdrawn: it never runs
 *
 * Invariants
 *   - Jobs begin in the order in which they came, whatever loop they come from. There are at most
 *     `threads_max_count` at a time.
 *   - A cancelled job that has not begun never will. One that has begun is waited for, and its
 *     result delivered; the cancellation takes effect at the task's next await. (The thread cannot
 *     be stopped. The function can ask coil_blocking_is_cancelled(), and if it then ends with
 *     -ECANCELED, the task unwinds at once.)
 *   - Only a job that can be abandoned is not waited for: its memory then is its own.
 *   - What belongs to the loop (tasks, streams, anything of this library but what says "any
 *     thread") is not to be touched by the function.
 *   - In the threads of a pool all signals are blocked but those that a fault raises.
 *
 * A pool starts a thread when a job comes and none is idle, and lets it end when it has been idle
 * for a while. Any number of loops may share a pool. The default pool belongs to all loops of the
 * process: the first that needs it creates it, the last of its users joins its threads in
 * coil_loop_destroy(). What takes long or hangs at times deserves a pool of its own, so that it
 * does not keep the others waiting; a pool of one thread keeps a driver on that thread.
 *
 * A forked child has none of the threads of its parent: its default pool is another one, and pools
 * that its parent has created are of no use to it.
 */
#ifndef COIL_BLOCKING_H
#define COIL_BLOCKING_H

#include <coil/coro.h>
#include <coil/loop.h>

#include <stdio.h>

COIL_BEGIN_DECLS

typedef struct coil_blocking_pool coil_blocking_pool;
typedef struct coil_blocking_job coil_blocking_job;

enum {
    COIL_BLOCKING_THREADS_MAX = 1024, /* In any pool. */

    /* The default pool, and what 0 means in the options. */
    COIL_BLOCKING_THREADS = 16,
    COIL_BLOCKING_QUEUE = 1024,
    COIL_BLOCKING_IDLE_S = 10,
    COIL_BLOCKING_GRACE_S = 5,
};

/* Zero is a good choice for every member. */
typedef struct coil_blocking_options {
    const char *name;           /* Its threads are "name-0", "name-1", ... Cut after 10 bytes. */
    unsigned threads_min_count; /* So many stay, idle or not, once they have been needed. */
    unsigned threads_max_count;
    size_t queue_max_count;   /* More than these waiting for a thread, and the queue is full. */
    bool refuse_when_full;    /* -EAGAIN then; else the job waits, and counts as `waiting`. */
    coil_duration idle_limit; /* A thread that has been idle for so long ends. */
    coil_duration grace;      /* What the end of the pool may take. */
    size_t stack_bytes;       /* Of a thread; 0: what pthread_create(3) takes. */
} coil_blocking_options;

/* The first five are as of now, the others since the creation of the pool. */
typedef struct coil_blocking_stats {
    size_t thread_count;
    size_t idle_count;
    size_t running_count;
    size_t queued_count;  /* In the queue, */
    size_t waiting_count; /* and those for which it has no room. */
    uint64_t done_count;  /* Ran to its end, abandoned or not. */
    uint64_t withdrawn_count;
    uint64_t abandoned_count;
    uint64_t refused_count;   /* The queue was full. */
    uint64_t started_count;   /* Threads, */
    uint64_t unstarted_count; /* and those that the system refused. */
} coil_blocking_stats;

/* ------------------------------------------------------------------------------- functions -- */

/*
 * Define a blocking function that this file alone uses, and the awaitable of the same name that
 * calls it on the default pool. Parameters are written as for coil_async().
 *
 * The result must be able to carry an error: an integer of four or eight bytes, an error pointer,
 * or a struct as in rule 5 of coil/coro.h. Result of the call: what the function returns; or
 *     -EAGAIN     no thread could be started and there is none; or the queue is full, and the pool
 *                 refuses then
 *     -ENOMEM     no memory for the default pool
 *     -ESHUTDOWN  the pool is ending
 *     -ETIME      under within() or until(): it had not begun by then. (If it had, it is waited
 *                 for and reports its own result, late.)
 */
#define coil_blocking(T, name, ...) coil_blocking_in(NULL, T, name, ##__VA_ARGS__)

/*
 * The same on the pool that the expression `pool` says. It is evaluated by the awaiting task and
 * may use the parameters: coil_blocking_in (db->pool, int, query, (database *) db, ...). NULL: the
 * default pool.
 */
#define coil_blocking_in(pool, T, name, ...)           \
    COIL_DECLARE_(COIL_LOCAL_, T, name, ##__VA_ARGS__) \
    COIL_BLOCKING_(COIL_LOCAL_, coil_blocking_step, pool, T, name, ##__VA_ARGS__)

/* The same for what a header has declared by coil_declare(). */
#define coil_define_blocking(pool, T, name, ...) \
    COIL_BLOCKING_(COIL_PUBLIC_, coil_blocking_step, pool, T, name, ##__VA_ARGS__)

/*
 * The same, but a cancelled call is not waited for, even if it runs: it works on a copy of its
 * arguments and its result is dropped. What the arguments point to must outlive it all the same, so
 * they are numbers, or what stays for ever. If the result owns something, use a job. Further
 * result: -ENOMEM for the copy; and -ETIME may mean that it still runs.
 */
#define coil_blocking_detached(pool, T, name, ...)                  \
    COIL_DECLARE_(COIL_LOCAL_, T, name, ##__VA_ARGS__)              \
    static_assert(__alignof__(struct name##__frame) <= 16,          \
            "the copy of a call begins at a multiple of 16 bytes"); \
    COIL_BLOCKING_(COIL_LOCAL_, coil_blocking_step_detached, pool, T, name, ##__VA_ARGS__)

/*
 * For the function that runs: has its call been cancelled? On a thread of a pool; false elsewhere.
 */
COIL_API bool coil_blocking_is_cancelled(void);

/* ------------------------------------------------------------------------------------ jobs -- */

/*
 * The same by hand: a struct that receives itself. Zero it, set the first members and embed it in
 * what the job works on.
 */
struct coil_blocking_job {
    int64_t (*run)(coil_blocking_job *job); /* On a thread of the pool. */
    const char *name;                       /* For reports. NULL: "job" */

    /*
     * NULL: the job is waited for. Else it can be abandoned, and is its own: if the await is
     * unwound, or ends with -ETIME, this is called exactly once, to free the job; by the awaiting
     * task if the job never ran, else by the pool's thread, after `run`. If the await reports
     * anything else, this is not called and the job is the caller's again. (So its `run` must not
     * return -ETIME.)
     */
    void (*abandoned)(coil_blocking_job *job);

    /* Private. */
    coil_list link; /* In the queue of the pool. */
    coil_post post;
    coil_blocking_pool *pool;
    coil_loop *loop;
    coil_task *task;
    int64_t result;
    int place;      /* Guarded by the pool. */
    int outcome;    /* The task's. */
    bool cancelled; /* Written by the task, read by `run`. */
    bool refused;   /* The result is not that of `run`. */
};

/*
 * Run `job` on `pool`, NULL: the default one. The job must stay until the call is done. Result:
 * what `run` returns, or an error as for coil_blocking(). It may be run again afterwards.
 */
coil_declare(int64_t, coil_blocking_run, (coil_blocking_pool *) pool, (coil_blocking_job *) job);

/* ----------------------------------------------------------------------------------- pools -- */

/*
 * Create a pool; no thread is started yet. `options` may be NULL. -EINVAL if it wants fewer threads
 * at most than at least, or more than COIL_BLOCKING_THREADS_MAX; -ENOMEM. Any thread.
 */
COIL_API COIL_MUST_USE int coil_blocking_pool_create(
        const coil_blocking_options *options, coil_blocking_pool **out_pool);

/*
 * The end of the pool: new jobs are refused with -ESHUTDOWN; those in it are waited for, then its
 * threads are joined. Takes NULL. Any thread but those of the pool; it blocks, so when a loop runs
 * here, no job should be left.
 *
 * If that takes longer than the grace of the pool: what has not begun is refused after all, what
 * still runs is named on stderr, one line each, and left to itself, with the memory of the pool.
 * Then the result is -ETIME, else 0.
 */
COIL_API int coil_blocking_pool_destroy(coil_blocking_pool *pool);

/* The counters of a pool as they are now. Any thread. */
COIL_API coil_blocking_stats coil_blocking_pool_stats(coil_blocking_pool *pool);

/* What runs: "resolver-3: lookup, for 12.250 s", one line each. How many. Any thread. */
COIL_API size_t coil_blocking_pool_report(coil_blocking_pool *pool, FILE *to);

/*
 * The default pool; `loop` becomes one of its users until it is destroyed. On the thread of the
 * loop. NULL if there is no memory.
 */
COIL_API coil_blocking_pool *coil_blocking_default(coil_loop *loop);

/*
 * Choose the options of the default pool. -EBUSY if it exists; -EINVAL as for a pool. `name` must
 * stay. Any thread.
 */
COIL_API COIL_MUST_USE int coil_blocking_configure(const coil_blocking_options *options);

/* ----------------------------------------------------------------------- behind the macros -- */

typedef struct coil_blocking_call {
    coil_blocking_job job;
    coil_frame *frame; /* Of the call, or a copy of it. */
} coil_blocking_call;

COIL_API coil_turn coil_blocking_step(coil_task *task, coil_frame *leaf, coil_blocking_pool *pool,
        int64_t (*run)(coil_blocking_job *job));
COIL_API coil_turn coil_blocking_step_detached(coil_task *task, coil_frame *leaf,
        coil_blocking_pool *pool, int64_t (*run)(coil_blocking_job *job));
COIL_API void coil_blocking_cancel(coil_task *task, coil_frame *leaf);

COIL_END_DECLS

#define COIL_P_SEEN_(p) , __attribute__((unused)) COIL_CONST_ p

/* (The frame is passed so that the parameters of all functions begin with a comma.) */
#define COIL_BLOCKING_(link, blocking_step, pool, T, name, ...)                                    \
    static_assert(COIL_CAN_FAIL_(((struct name##__frame *)0)->co__ret) &&                          \
                          sizeof(((struct name##__frame *)0)->co__ret) >= sizeof(int32_t),         \
            "a blocking call can fail by itself: its result is an int, an int64_t, a pointer, or " \
            "a struct of at least 16 bytes that begins with an int64_t");                          \
    static T name##__body(struct name##__frame *COIL_MAP(COIL_P_BODY_, ##__VA_ARGS__));            \
    static coil_blocking_pool *name##__pool(__attribute__((                                        \
            unused)) struct name##__frame *co__f COIL_MAP(COIL_P_SEEN_, ##__VA_ARGS__))            \
    {                                                                                              \
        return (pool);                                                                             \
    }                                                                                              \
    static int64_t name##__run(coil_blocking_job *co__j)                                           \
    {                                                                                              \
        coil_frame *co__h = coil_container_of(co__j, coil_blocking_call, job)->frame;              \
        struct name##__frame *co__f = (struct name##__frame *)(void *)co__h;                       \
        co__f->co__ret = name##__body(co__f COIL_MAP(COIL_P_PASS_, ##__VA_ARGS__));                \
        return coil_frame_result(co__h);                                                           \
    }                                                                                              \
    static coil_turn name##__step(coil_task *co__t, coil_frame *co__h)                             \
    {                                                                                              \
        struct name##__frame *co__f = (struct name##__frame *)(void *)co__h;                       \
        coil_blocking_pool *co__p = NULL;                                                          \
        if (co__h->at == NULL)                                                                     \
            co__p = name##__pool(co__f COIL_MAP(COIL_P_PASS_, ##__VA_ARGS__));                     \
        return blocking_step(co__t, co__h, co__p, name##__run);                                    \
    }                                                                                              \
    link(, const coil_fn name##__fn = COIL_FN_(name, name##__step, coil_blocking_cancel,           \
                   NULL);) static T name##__body(__attribute__((unused)) struct name##__frame      \
                    *co__f COIL_MAP(COIL_P_BODY_, ##__VA_ARGS__))

#endif
