/* SPDX-License-Identifier: MIT */
/*
 * coil/signal.h - await signals, as events like any other.
 *
 *     coil_signals_open(COIL_SIGNALS(SIGINT, SIGTERM), &my->signals)
 *     coil_defer(coil_signals_close(my->signals));
 *     coil_attempt(my->signo, coil_signals_next(my->signals));
 *
 * or have a function called for each of them, outside of tasks:
 *
 *     reloader->handler.run = reload;                   void reload(coil_signal_handler *handler)
 *     coil_signal_handler_add(loop, SIGHUP, &reloader->handler)
 *     coil_signal_handler_remove(&reloader->handler)
 *
 * or have a coroutine run for each of them, as a task, which may await:
 *
 *     coil_async (int, reload, (coil_signal_arrival *) arrival) {...}
 *     coil_handler on_hangup = coil_handler(reload, coil_signal_arrival *);
 *     coil_spawn(&my->background, coil_signals_serve(COIL_SIGNALS(SIGHUP), on_hangup, NULL));
 *
 * From opening to closing, the signals of the set are blocked in the calling thread and arrive
 * here instead (signalfd(2)); nothing runs in a signal handler. The threads that this library
 * starts have all signals blocked but those of faults. Other threads that exist already must have
 * them blocked as well, or may get them: coil_signals_block() first of all in main() sees to that.
 * Standard signals that arrive twice before they are taken arrive once: see signal(7). Children do
 * not inherit the blocking (coil/spawn.h). What was blocked already stays blocked afterwards.
 *
 * On the loop's thread only.
 */
#ifndef COIL_SIGNAL_H
#define COIL_SIGNAL_H

#include <coil/call.h>
#include <coil/coro.h>
#include <coil/fd_watch.h>

#include <signal.h>

COIL_BEGIN_DECLS

typedef struct coil_signals coil_signals;
typedef struct coil_signal_handler coil_signal_handler;

/* Signals 1 to 64. A type of its own: a signal's number is not a set. */
typedef struct coil_signal_set {
    uint64_t bits;
} coil_signal_set;

/* The set of these signals, up to eight: COIL_SIGNALS(SIGINT, SIGTERM). */
#define COIL_SIGNALS(...) (coil_signal_set_of(0 COIL_MAP(COIL_SIGNAL_OR_, __VA_ARGS__)))

/* The signals of both sets. */
static inline coil_signal_set coil_signal_set_join(coil_signal_set one, coil_signal_set other)
{
    coil_signal_set both = {one.bits | other.bits};
    return both;
}

/* Private: for COIL_SIGNALS(). */
#define COIL_SIGNAL_OR_(signo) | coil_signal_bit(signo)

static inline uint64_t coil_signal_bit(int signo)
{
    COIL_CHECK(signo >= 1 && signo <= 64);
    return UINT64_C(1) << (signo - 1);
}

static inline coil_signal_set coil_signal_set_of(uint64_t bits)
{
    coil_signal_set set = {bits};
    return set;
}

/* Begin to receive the signals of `set`, on the loop of this thread. -EMFILE, -ENFILE, -ENOMEM. */
COIL_API int coil_signals_open(coil_signal_set set, coil_signals **out_signals);

/* The number of the next signal. One task at a time may wait. */
coil_declare(int, coil_signals_next, (coil_signals *) signals);

/*
 * The signals do again what they did before, unless another open set has them: SIGINT cancels all
 * that a coil_run() runs. Sets may be closed in any order. What has arrived and was not taken is
 * dropped. Nobody may be waiting. Takes NULL.
 */
COIL_API void coil_signals_close(coil_signals *signals);

/* Open, await one, close: for programs that wait for nothing but their end. */
coil_declare(int, coil_signal_wait, (coil_signal_set) set);

/* What has arrived, for the coroutine of coil_signals_serve(). */
typedef struct coil_signal_arrival {
    int signo;
    void *owner; /* As given to coil_signals_serve(). */
} coil_signal_arrival;

/*
 * Receive the signals of `set` from now on, and start a task for each arrival, which runs
 * `handler`; they may run at the same time. Until this is cancelled, or one of them fails: then the
 * others are cancelled, too, and its error is the result. Else the errors of coil_signals_open().
 */
coil_declare(int, coil_signals_serve, (coil_signal_set) set, (coil_handler) handler, (void *) owner);

/*
 * Block the signals of `set` in the calling thread, and so in all threads that it starts later; for
 * the first line of a program with threads of its own. They are still received by the calls here,
 * and children do not inherit it. They stay blocked.
 */
COIL_API void coil_signals_block(coil_signal_set set);

/*
 * What to do when a signal arrives. The caller's memory, while it is added; zeroed before, except
 * for `run`.
 */
struct coil_signal_handler {
    void (*run)(coil_signal_handler *handler);
    int signo; /* Read only. */

    /* Private. */
    coil_loop *loop; /* NULL: not added. */
    coil_signal_handler *next;
    coil_fd_watch *watch;
    coil_fd_watch_hook arrival;
    coil_call call;
    unsigned due_count;
    int fd;
};

/*
 * From now on, have handler->run called for each arrival of the signal, as an ordinary call of
 * `loop` (coil/call.h), which it does not keep running: so it may do anything that a function can.
 * The loop is one of this thread, running or not. Several handlers of one signal are each called,
 * in the order of adding; but a signal that an open set awaits, too, arrives at one of the two.
 * -EMFILE, -ENFILE, -ENOMEM. -EINVAL: SIGKILL and SIGSTOP cannot be caught, and the C library keeps
 * 32 and 33 for itself.
 *
 * asyncio: add_signal_handler.
 */
COIL_API int coil_signal_handler_add(coil_loop *loop, int signo, coil_signal_handler *handler);

/*
 * It is not called any more, also for what has arrived already. Before its loop is destroyed; also
 * inside its own run(). Nothing if it is not added.
 */
COIL_API void coil_signal_handler_remove(coil_signal_handler *handler);

COIL_END_DECLS

#endif
