/* SPDX-License-Identifier: MIT */
/*
 * coil/loop.h - the loop of one thread: a scheduler driven by one io_uring.
 *
 *     coil_run(service(arguments))                 a whole program: loop, root task, tear-down
 *
 *     coil_loop_create(&loop, reason)              or by hand:
 *     coil_spawn(coil_loop_root(loop), ...)            root tasks
 *     coil_loop_run(loop)                              until all of them have ended
 *     coil_loop_destroy(loop)
 *
 * One turn of the loop
 *   1. time passes: deadlines that are due wake or cancel their tasks
 *   2. ready tasks run, within a budget, first come first served
 *   3. everything that they have asked for is submitted, and completions are waited for, in one
 *      system call
 *   4. all completions are taken off the queue; tasks become ready. No task runs meanwhile.
 *
 * A loop belongs to the thread that created it. Only coil_loop_post(), coil_loop_hold() and
 * coil_loop_release() may be called from others.
 * Ending is quiescent: what is still pending is cancelled and its completion awaited before the
 * ring is closed, so that a successor can bind the same addresses at once.
 */
#ifndef COIL_LOOP_H
#define COIL_LOOP_H

#include <coil/group.h>
#include <coil/sched.h>

#include <errno.h> /* For coil_run(). */

COIL_BEGIN_DECLS

typedef struct coil_loop coil_loop;
typedef struct coil_post coil_post;

enum { COIL_REASON_BYTES = 160 };

/* Counters since the creation of the loop. */
typedef struct coil_loop_stats {
    uint64_t turns;
    uint64_t enters;       /* System calls that submit and wait. */
    uint64_t completions;  /* Completion queue entries. */
    uint64_t stale;        /* Those of an operation that is not there any more: always 0. */
    uint64_t backlogged;   /* Operations that found the submission queue full. */
    uint64_t buffer_waits; /* Receives that found no free buffer. */
} coil_loop_stats;

/*
 * Create a loop for the calling thread. On failure, `out_reason`, unless NULL, receives one line of
 * at most COIL_REASON_BYTES that names the cause. -EPERM or -EACCES io_uring is forbidden, -ENOSYS
 * not there, -EINVAL older than Linux 6.1, -ENOMEM, -EMFILE and whatever else io_uring_setup(2)
 * says.
 */
COIL_API int coil_loop_create(coil_loop **out_loop, char *out_reason);

/*
 * All tasks must have ended. Messages that are queued are run; tasks that they start are cancelled
 * and run to their end. Then the loop is closed: it takes no more messages, the ring is quiesced,
 * and everything is freed but for what coil_loop_hold() keeps. Takes NULL.
 */
COIL_API void coil_loop_destroy(coil_loop *loop);

/*
 * For other threads that keep a pointer: until coil_loop_release(), `loop` may be posted to, even
 * if it has been destroyed meanwhile. The loop must exist, or be held by somebody.
 */
COIL_API void coil_loop_hold(coil_loop *loop);

/* The end of one coil_loop_hold(). Takes NULL. */
COIL_API void coil_loop_release(coil_loop *loop);

/* The group of the tasks that no coroutine waits for. The first that fails cancels the others. */
COIL_API coil_group *coil_loop_root(coil_loop *loop);

/*
 * Run until every task of the loop has ended. Returns 0, or the first failure of a root task.
 *
 * Meanwhile SIGPIPE is blocked in this thread, so that a write to a pipe without a reader returns
 * -EPIPE and does no more; what has become pending by then is dropped before the mask is restored.
 * Children of coil_child_spawn() do not inherit that, those of fork(2) do.
 */
COIL_API int coil_loop_run(coil_loop *loop);

/* The loop that is running on this thread, or NULL. */
COIL_API coil_loop *coil_loop_current(void);

/* The loop that a task runs on. */
COIL_API coil_loop *coil_loop_of(const coil_task *task);

/* The time as of the current turn. */
COIL_API coil_time coil_loop_now(const coil_loop *loop);

/* The same for the loop of this thread; outside of a loop, the clock. */
COIL_API coil_time coil_now(void);

/* The counters of a loop as they are now. On its thread. */
COIL_API coil_loop_stats coil_loop_statistics(const coil_loop *loop);

/* Operations that the kernel has not finished. For tests. */
COIL_API size_t coil_loop_pending(const coil_loop *loop);

/*
 * For tests: tasks that have not ended, and operations that the kernel has not finished, of all
 * loops of the process that have not been destroyed. Any thread, while no loop runs.
 */
COIL_API size_t coil_debug_live_tasks(void);
COIL_API size_t coil_debug_pending_ops(void);

/*
 * A message to a loop: `run` is called once on the loop's thread, in the order of posting per
 * sender. The memory is the caller's, and his again as soon as `run` is called.
 */
struct coil_post {
    void (*run)(coil_post *post);
    coil_post *next; /* Private. */
};

/*
 * Hand `post` to the loop and wake it if it sleeps. From any thread, and from signal handlers. 0:
 * `run` will be called, at the latest when the loop is destroyed. -ESHUTDOWN: the loop has been
 * destroyed and is held (coil_loop_hold()), or is being so and past that; `post` is not touched.
 */
COIL_API int coil_loop_post(coil_loop *loop, coil_post *post);

/*
 * For main(): run one coroutine of type int on a loop of its own, and return its result. If the
 * loop cannot be created, say why on stderr in one line and return the error.
 */
#define coil_run(...)                                                              \
    __extension__({                                                                \
        coil_loop *co__loop = coil_run_begin();                                    \
        int64_t co__result = coil_run_error();                                     \
        if (co__loop != NULL) {                                                    \
            co__result = -ENOMEM;                                                  \
            coil_spawn_result(coil_loop_root(co__loop), &co__result, __VA_ARGS__); \
            (void)coil_loop_run(co__loop);                                         \
            coil_loop_destroy(co__loop);                                           \
        }                                                                          \
        (int)co__result;                                                           \
    })

/* Private: for coil_run(). */
COIL_API coil_loop *coil_run_begin(void);
COIL_API int coil_run_error(void);

COIL_END_DECLS

#endif
