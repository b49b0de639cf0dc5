/* SPDX-License-Identifier: MIT */
/*
 * coil/signal.h - await signals, as events like any other.
 *
 *     coil_signals_open(COIL_SIGNAL(SIGINT) | COIL_SIGNAL(SIGTERM), &my->signals)
 *     coil_defer(coil_signals_close(my->signals));
 *     coil_attempt(my->signo, coil_signals_next(my->signals));
 *
 * From opening to closing, the signals of the set are blocked in the calling thread and arrive here
 * instead (signalfd(2)); nothing runs in a signal handler. Threads that exist already must have
 * them blocked as well, or may get them. Standard signals that arrive twice before they are taken
 * arrive once: see signal(7). Children do not inherit the blocking (coil/spawn.h).
 *
 * On the loop's thread only.
 */
#ifndef COIL_SIGNAL_H
#define COIL_SIGNAL_H

#include <coil/coro.h>

#include <signal.h>

COIL_BEGIN_DECLS

typedef struct coil_signals coil_signals;

/* Signals 1 to 64, as bits. */
typedef uint64_t coil_signal_set;

/* The set of one signal, to be joined by `|`. */
#define COIL_SIGNAL(signo) (UINT64_C(1) << ((signo)-1))

/* Begin to receive the signals of `set`, on the loop of this thread. -EMFILE, -ENFILE, -ENOMEM. */
COIL_API int coil_signals_open(coil_signal_set set, coil_signals **out_signals);

/* The number of the next signal. One task at a time may wait. */
coil_declare(int, coil_signals_next, (coil_signals *) signals);

/*
 * The signals do again what they did before, unless another open set has them; sets may be closed
 * in any order. What has arrived and was not taken is dropped. Nobody may be waiting. Takes NULL.
 */
COIL_API void coil_signals_close(coil_signals *signals);

/* Open, await one, close: for programs that wait for nothing but their end. */
coil_declare(int, coil_signal_wait, (coil_signal_set) set);

COIL_END_DECLS

#endif
