/* SPDX-License-Identifier: MIT */
/*
 * coil/shutdown.h - the graceful end of what runs on a loop.
 *
 *     coil_async (int, serve, (const char *) address)
 *     {
 *         coil_vars (coil_listener *listener; int rc);
 *
 *         my->rc = coil_listen(address, NULL, &my->listener);      (a plain call: no attempt)
 *         if (my->rc < 0)
 *             return my->rc;
 *         coil_defer (coil_listener_close(my->listener));
 *         coil_attempt (coil_serve_gracefully(my->listener, coil_handler(echo, coil_stream *)));
 *         return 0;
 *     }
 *
 *     running --coil_shutdown_begin(grace)--> draining --grace is over--> cancelled --> cleaned up
 *        |                                       |                                          ^
 *        +------- the main coroutine has ended --+------------------------------------------+
 *
 * Each loop has one state. The order
 *   1. STOP hooks run, in the order of registration, one after the other: no new work comes in.
 *      coil_shutdown_requested() is done, and coil_serve_gracefully() stops accepting.
 *   2. DRAIN hooks run, in the order of registration, and the main coroutine has until the end of
 *      the grace period to finish what it has begun.
 *   3. Then the main coroutine and all that it has started are cancelled, and awaited.
 *   4. CLEAN_UP hooks run, the youngest first. They are not cancelled.
 * What is not done `patience` after it ought to be is named on stderr, and is still waited for.
 * That the hooks have this order holds under coil_shutdown_supervise() (and so in coil/runtime.h);
 * the event alone can be used without it.
 *
 * aiohttp: on_shutdown, shutdown_timeout, on_cleanup; asyncio has no such thing.
 *
 * On the loop's thread only.
 */
#ifndef COIL_SHUTDOWN_H
#define COIL_SHUTDOWN_H

#include <coil/coro.h>
#include <coil/group.h>
#include <coil/list.h>

COIL_BEGIN_DECLS

typedef struct coil_loop coil_loop;
typedef struct coil_shutdown_state coil_shutdown_state;
typedef struct coil_shutdown_hook coil_shutdown_hook;

typedef enum coil_shutdown_phase {
    COIL_SHUTDOWN_STOP,
    COIL_SHUTDOWN_DRAIN,
    COIL_SHUTDOWN_CLEAN_UP,
} coil_shutdown_phase;

enum { COIL_SHUTDOWN_PHASES = 3 };

/* Part of a loop. */
struct coil_shutdown_state {
    bool is_requested;  /* Read only. */
    coil_time deadline; /* Of the grace period; COIL_NEVER before it has begun. Read only. */
    /* How long beyond its time anything may take, before it is named: 5 s. Yours to set. */
    coil_duration patience;

    /* Private. */
    coil_list waiters;  /* For the request. */
    coil_list sleepers; /* For the end of the grace period. */
    coil_list hooks[COIL_SHUTDOWN_PHASES];
};

/* The caller's memory, from registration to removal. */
struct coil_shutdown_hook {
    const char *name; /* For the report. */
    coil_handler run; /* Its result, if negative, is printed. */
    void *argument;

    /* Private. */
    coil_list link;
};

/* That of a loop. */
COIL_API coil_shutdown_state *coil_shutdown_of(coil_loop *loop);

/*
 * Register `hook`, whose first three fields are set. A hook runs at most once, and is removed just
 * before that. In its phase or later, it is run only if that phase has not passed.
 */
COIL_API void coil_shutdown_add(
        coil_shutdown_state *shutdown, coil_shutdown_phase phase, coil_shutdown_hook *hook);

/* It will not run. Nothing if it is not registered, or has run. */
COIL_API void coil_shutdown_remove(coil_shutdown_hook *hook);

/*
 * Request the end; the grace period is over `grace` from now. Again: the earlier deadline holds.
 * Never waits. From other threads: coil_runtime_stop(), or coil_loop_post() and then this.
 */
COIL_API void coil_shutdown_begin(coil_shutdown_state *shutdown, coil_duration grace);

/* Wait until the end of this task's loop is requested. Done at once if it has been. */
coil_declare(void, coil_shutdown_requested);

/* Wait until it has been requested and the grace period is over. */
coil_declare(void, coil_shutdown_overdue);

/*
 * Run `main(argument)` on this loop, and see to the order above: returns when it has ended and all
 * hooks have run. Result: that of `main`; 0 if it has been cancelled in step 3. One at a time per
 * loop. asyncio: Runner, with aiohttp's order.
 */
coil_declare(int, coil_shutdown_supervise, (coil_handler) main, (void *) argument);

COIL_END_DECLS

#endif
