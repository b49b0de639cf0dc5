/* SPDX-License-Identifier: MIT */
/*
 * coil/runtime.h - one loop per CPU: a program on all of the machine.
 *
 *     coil_async (int, serve, (coil_worker *) worker)              runs on every loop
 *     {
 *         coil_vars (coil_listener *listener; int rc);
 *         static const coil_listen_options shared = {.reuse_port = true};
 *
 *         my->rc = coil_listen("*:8080", &shared, &my->listener);
 *         if (my->rc < 0)
 *             return my->rc;
 *         coil_defer (coil_listener_close(my->listener));
 *         coil_attempt (coil_serve_gracefully(my->listener, coil_handler(session, coil_stream *)));
 *         return 0;
 *     }
 *
 *     int main(void)
 *     {
 *         return coil_runtime_run(coil_handler(serve, coil_worker *), 0) < 0;
 *     }
 *
 *     create(): every loop runs --stop(grace), SIGINT, an error--> every loop shuts down
 *        |                                                         (coil/shutdown.h) --> join()
 *        +--- every main has ended ------------------------------------------------------^
 *
 * Invariants
 *   - N threads, each with a loop, each pinned to a CPU of its own as long as there are enough.
 *   - A loop goes on serving calls of the others (coil/remote.h) after its own main has ended,
 *     until all mains have.
 *   - The first main that fails stops the others, and its error is what join() returns. A main that
 *     has not begun by then never does; after coil_runtime_stop() it does, to find that requested.
 *   - Each main runs under coil_shutdown_supervise().
 *
 * tokio: the multi-threaded runtime, without stealing: a task stays where it was started.
 */
#ifndef COIL_RUNTIME_H
#define COIL_RUNTIME_H

#include <coil/loop.h>
#include <coil/remote.h>
#include <coil/shutdown.h>

COIL_BEGIN_DECLS

typedef struct coil_runtime coil_runtime;
typedef struct coil_worker coil_worker;

/* What a main is told. Read only. */
struct coil_worker {
    coil_runtime *runtime;
    coil_loop *loop;
    unsigned index; /* From 0. */
    void *argument; /* That of the options. */
};

/* Zero means the default. */
typedef struct coil_runtime_options {
    unsigned loop_count; /* One per CPU that this process may use. */
    bool is_unpinned;    /* Threads may move between CPUs. */
    bool takes_signals;  /* SIGINT and SIGTERM stop it; they are blocked in the caller. */
    coil_handler main;   /* A coroutine int main(coil_worker *), or none. */
    void *argument;
    coil_duration grace; /* When a signal or an error stops it: 30 s. */
} coil_runtime_options;

/*
 * Start all threads. On failure nothing is left running; `out_reason`, unless NULL, receives a line
 * of at most COIL_REASON_BYTES. -ENOMEM, and the errors of coil_loop_thread_start().
 */
COIL_API int coil_runtime_create(
        const coil_runtime_options *options, coil_runtime **out_runtime, char *out_reason);

/* How many loops there are, and one of them. Any thread. */
COIL_API unsigned coil_runtime_count(const coil_runtime *runtime);
COIL_API coil_loop *coil_runtime_loop(const coil_runtime *runtime, unsigned index);

/*
 * The loop whose turn it is; the loop with the fewest tasks as of its last turn, plus those that it
 * was chosen for since. Any thread. As in coil_spawn_on(coil_runtime_next(runtime), session(fd)).
 */
COIL_API coil_loop *coil_runtime_next(coil_runtime *runtime);
COIL_API coil_loop *coil_runtime_least_busy(coil_runtime *runtime);

/*
 * Request the shutdown of all loops; `grace` is what their mains have to end. Called again, the
 * grace period is over at once. Does not wait. Any thread, and signal handlers.
 */
COIL_API void coil_runtime_stop(coil_runtime *runtime, coil_duration grace);

/*
 * Wait until all mains have ended (without a main: until it is stopped), end the loops and join the
 * threads. 0, or the first error of a main. Once, on a thread that is not one of them.
 */
COIL_API int coil_runtime_join(coil_runtime *runtime);

/* After the join. Until here, calls to the loops end with -ESHUTDOWN. Takes NULL. */
COIL_API void coil_runtime_destroy(coil_runtime *runtime);

/*
 * For main(): `main` on `loop_count` loops (0: one per CPU) until they have ended. SIGINT and
 * SIGTERM stop them gracefully, the second at once. If they cannot be started, says why on stderr.
 * 0, or an error.
 */
COIL_API int coil_runtime_run(coil_handler main, unsigned loop_count);

/* The same with all options; `takes_signals` is as if it were set. */
COIL_API int coil_runtime_run_with(const coil_runtime_options *options);

COIL_END_DECLS

#endif
