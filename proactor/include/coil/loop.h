/* SPDX-License-Identifier: MIT */
/*
 * coil/loop.h - the loop of one thread: a scheduler driven by one io_uring.
 *
 *     coil_run(service(arguments))                 a whole program: loop, root task, tear-down
 *
 *     coil_loop_create(&loop, reason)              or by hand:
 *     coil_spawn(coil_loop_root(loop), ...)            root tasks
 *     coil_loop_run(loop)                              until all of them have ended
 *     coil_loop_run_until(loop, work(arguments))       or until this one has, again and again
 *     coil_loop_run_forever(loop)                      or until coil_loop_stop(loop)
 *     coil_loop_shutdown(loop, grace)                  cancel what is left, and wait for it
 *     coil_loop_destroy(loop)
 *
 * One turn of the loop
 *   1. time passes: deadlines that are due wake or cancel their tasks
 *   2. scheduled calls run (coil/call.h), then ready tasks, within a budget, first come first
 *      served
 *   3. everything that they have asked for is submitted, and completions are waited for, in one
 *      system call
 *   4. all completions are taken off the queue; tasks become ready. No task runs meanwhile.
 *
 * Between two runs, tasks stay suspended where they are. A loop does not run inside a running loop:
 * that is a programming error, and says so.
 *
 * A loop belongs to the thread that created it. Only coil_loop_post(), coil_loop_stop(),
 * coil_loop_is_running(), coil_loop_hold() and coil_loop_release() may be called from others. A
 * forked child has no use of its parent's loops: they can neither be run nor destroyed there; but
 * it may create its own, if it was forked outside of a running one (COIL_WATCHDOG and
 * COIL_DUMP_SIGNAL have no effect in it).
 * Ending is quiescent: what is still pending is cancelled and its completion awaited before the
 * ring is closed, so that a successor can bind the same addresses at once.
 */
#ifndef COIL_LOOP_H
#define COIL_LOOP_H

#include <coil/group.h>
#include <coil/sched.h>

#include <errno.h> /* For coil_run(). */
#include <stdio.h>

COIL_BEGIN_DECLS

typedef struct coil_loop coil_loop;
typedef struct coil_post coil_post;
typedef struct coil_failure coil_failure;
typedef struct coil_error_hook coil_error_hook;

enum { COIL_REASON_BYTES = 160 };

/* Counters since the creation of the loop. */
typedef struct coil_loop_stats {
    uint64_t turns;
    uint64_t enters;       /* System calls that submit and wait. */
    uint64_t completions;  /* Completion queue entries. */
    uint64_t stale;        /* Those of an operation that is not there any more: always 0. */
    uint64_t backlogged;   /* Operations that found the submission queue full. */
    uint64_t buffer_waits; /* Receives that found no free buffer. */
    uint64_t parkings;     /* Receives that were idle for long, and are polls now. */
} coil_loop_stats;

/*
 * Create a loop for the calling thread. On failure, `out_reason`, unless NULL, receives one line of
 * at most COIL_REASON_BYTES that names the cause. -EPERM or -EACCES io_uring is forbidden, -ENOSYS
 * not there, -EINVAL older than Linux 6.1, -EBUSY this thread has 16 loops (the kernel registers no
 * more rings of one thread), -ENOMEM, -EMFILE and whatever else io_uring_setup(2) says.
 */
COIL_API int coil_loop_create(coil_loop **out_loop, char *out_reason);

/*
 * All tasks must have ended, else they are reported as by coil_loop_close(), and the process
 * aborts. Messages that are queued are run; tasks that they start are cancelled and run to their
 * end. Then the loop is closed: it takes no more messages, the ring is quiesced, and everything is
 * freed but for what coil_loop_hold() keeps. Calls that are pending are not run. Takes NULL.
 */
COIL_API void coil_loop_destroy(coil_loop *loop);

/*
 * For other threads that keep a pointer: until coil_loop_release(), `loop` may be posted to, even
 * if it has been destroyed meanwhile. The loop must exist, or be held by somebody.
 */
COIL_API void coil_loop_hold(coil_loop *loop);

/* The end of one coil_loop_hold(). Takes NULL. */
COIL_API void coil_loop_release(coil_loop *loop);

/*
 * Destroy the loop and set *loop to NULL; nothing if it is NULL. If tasks have not ended, -EBUSY:
 * nothing is changed, and each of them is printed on stderr with where it waits.
 */
COIL_API int coil_loop_close(coil_loop **loop);

/*
 * Cancel all tasks and run until they have ended, clean-ups included. 0, or as coil_loop_run().
 * -ETIMEDOUT: `grace` has passed before that; -EINTR: coil_loop_stop(). Those that are stuck are
 * then printed on stderr with where they wait, and are still there; it may be called again.
 */
COIL_API int coil_loop_shutdown(coil_loop *loop, coil_duration grace);

/* The group of the tasks that no coroutine waits for. The first that fails cancels the others. */
COIL_API coil_group *coil_loop_root(coil_loop *loop);

/*
 * Run until every task of the loop has ended. Returns 0, or the first failure of a root task.
 * -EINTR: coil_loop_stop() came first. Calls do not keep it running (coil/call.h).
 *
 * Meanwhile SIGPIPE is blocked in this thread, so that a write to a pipe without a reader returns
 * -EPIPE and does no more; what has become pending by then is dropped before the mask is restored.
 * Children of coil_child_spawn() do not inherit that, those of fork(2) do.
 */
COIL_API int coil_loop_run(coil_loop *loop);

/*
 * Run until this coroutine has ended, and return its result (int64_t; 0 if that is no integer).
 * Other tasks run meanwhile, and stay suspended when it returns. A failure is the caller's and
 * cancels nobody; those of root tasks are reported (coil_loop_on_error). -ENOMEM: there is no
 * memory for the task. -EINTR: coil_loop_stop() came first; the coroutine is suspended as well, and
 * goes on in the next run, but its result is lost. (asyncio: run_until_complete)
 */
#define coil_loop_run_until(loop, ...)                                                       \
    __extension__({                                                                          \
        coil_loop *co__l = (loop);                                                           \
        coil_loop_run_task(co__l, COIL_TASK_OF_(coil_loop_root(co__l)->sched, __VA_ARGS__)); \
    })

/* Private: for coil_loop_run_until(). */
COIL_API int64_t coil_loop_run_task(coil_loop *loop, coil_task *task);

/* Run until coil_loop_stop(), with or without tasks. Result: 0, or a root task's first failure. */
COIL_API int coil_loop_run_forever(coil_loop *loop);

/*
 * End the run at the end of its present turn: whatever is ready now runs once, and nothing is
 * waited for. If the loop is not running, the next run is one turn. From any thread, and from
 * signal handlers; the loop must exist until it has seen that, or be held (coil_loop_hold()).
 */
COIL_API void coil_loop_stop(coil_loop *loop);

/* Is some run of the loop in progress? Any thread. */
COIL_API bool coil_loop_is_running(const coil_loop *loop);

/* The failure of a root task. */
struct coil_failure {
    const char *name; /* Of the task; valid during the call. */
    const char *file; /* Where its coroutine is defined. */
    int error;
};

/* Is told of failures; see below. */
struct coil_error_hook {
    void (*failed)(coil_error_hook *hook, const coil_failure *failure);
};

/*
 * Have `hook` told of every failure of a root task that nobody receives (coil_spawn_result() does),
 * at the moment at which the task has ended. It cannot wait; it may spawn, or stop the loop. NULL:
 * back to the default, which prints a line on stderr, except for the one failure that is the result
 * of the run. (asyncio: call_exception_handler)
 */
COIL_API void coil_loop_on_error(coil_loop *loop, coil_error_hook *hook);

/* Print every task of the loop with where it waits, as coil_trace_group() does. */
COIL_API void coil_loop_print_tasks(const coil_loop *loop, FILE *out);

/* The loop that is running on this thread, or NULL. */
COIL_API coil_loop *coil_loop_current(void);

/* The loop that a task runs on. */
COIL_API coil_loop *coil_loop_of(const coil_task *task);

/* The time. From when it is first asked for it stands still until the turn has ended. */
COIL_API coil_time coil_loop_now(coil_loop *loop);

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
 * For main(): run one coroutine of type int on a loop of its own, until it and all other tasks have
 * ended, and return its result. If the loop cannot be created, say why on stderr in one line and
 * return the error.
 *
 * The first SIGINT (Ctrl-C) cancels all tasks, so that their clean-ups run, and the result is
 * -EINTR if the coroutine ended with -ECANCELED; the second kills the process at once, even if the
 * loop is blocked. This is so in the main thread, and if SIGINT has its default action; a program
 * that opens SIGINT itself (coil/signal.h) or has a handler of its own has it to itself, the former
 * until it closes it.
 *
 * If coil_loop_stop() comes first, all tasks are cancelled and awaited, and the result is -EINTR
 * unless the coroutine had ended. (asyncio.run)
 */
#define coil_run(...)                                                              \
    __extension__({                                                                \
        coil_loop *co__loop = coil_run_begin();                                    \
        int64_t co__result = coil_run_error();                                     \
        if (co__loop != NULL) {                                                    \
            co__result = -ENOMEM;                                                  \
            coil_spawn_result(coil_loop_root(co__loop), &co__result, __VA_ARGS__); \
            (void)coil_loop_run(co__loop);                                         \
            co__result = coil_run_end(co__loop, co__result);                       \
        }                                                                          \
        (int)co__result;                                                           \
    })

/* Private: for coil_run(). */
COIL_API coil_loop *coil_run_begin(void);
COIL_API int64_t coil_run_end(coil_loop *loop, int64_t result);
COIL_API int coil_run_error(void);

/* Private: for coil/signal.h. The program handles SIGINT itself; and, not any more. */
COIL_API void coil_run_yield_interrupt(void);
COIL_API void coil_run_resume_interrupt(void);

COIL_END_DECLS

#endif
