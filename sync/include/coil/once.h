/* SPDX-License-Identifier: MIT */
/*
 * coil/once.h - something that is done once, by whoever needs it first, and may have to wait.
 *
 *     coil_attempt (coil_once_run(&store->opened, open_store, store));
 *
 * where open_store() is a coroutine `int open_store(coil_store *)`. Or, without one:
 *
 *     coil_attempt (my->mine, coil_once_enter(&store->opened));
 *     if (my->mine) {
 *         coil_attempt (open_store(store));     failed, cancelled: the next one tries
 *         coil_once_done(&store->opened);
 *     }
 *
 *     not done --enter: 1--> one task does it, others wait --coil_once_done()--> done: enter is 0
 *         ^                        |           ^  |
 *         |                        |           |  | that coroutine fails, or is cancelled
 *         +-----nobody waits-------+           +--+ the task that has waited longest: enter is 1
 *
 * Invariants
 *   - At most one task is doing it, and after coil_once_done() none ever again.
 *   - A failure concerns the one who tried: it gets the error, and the next in line tries anew.
 *   - Nothing to give back: however the coroutine that got 1 leaves, the next in line gets its
 *     chance. That is after those of its defers that it has registered since, so that half of a
 *     thing can be taken down first.
 *   - Forgetting is found out: that coroutine must call coil_once_done() or leave with a negative
 *     result. To leave with another one, without being cancelled, is a programming error.
 *   - A cancelled wait leaves the queue. If the turn had been handed over before the cancellation
 *     came, coil_once_enter() is 1 all the same, and the cancellation takes effect at the task's
 *     next await; then it is the turn of the next one.
 *
 * It is Once of Go, OnceCell of tokio. Not thread safe: a once and all who use it belong to one
 * scheduler's thread.
 */
#ifndef COIL_ONCE_H
#define COIL_ONCE_H

#include <coil/coro.h>
#include <coil/list.h>

COIL_BEGIN_DECLS

typedef struct coil_once coil_once;

/*
 * The caller's memory; it must not move, and must stay until the coroutine that has done it has
 * left.
 */
struct coil_once {
    /* Private. */
    bool done;
    coil_task *runner;   /* Who does it, or NULL. */
    coil_frame *frame;   /* Its coroutine, until that has left. NULL: none. */
    coil_deferred guard; /* Of that coroutine. */
    coil_list waiters;
};

/* Make `once` not done. */
COIL_API void coil_once_init(coil_once *once);

/* The end of `once`. Nobody may be waiting, and the coroutine that did it must have left. */
COIL_API void coil_once_fini(coil_once *once);

/* Has it been done? Then coil_once_enter() is 0 at once. */
static inline bool coil_once_is_done(const coil_once *once)
{
    return once->done;
}

/*
 * Wait until it has been done, or until it is this coroutine's turn to do it. Done at once, without
 * giving up the turn, if nobody is doing it.
 *
 * Result: 0, it has been done; 1, do it, and call coil_once_done(); -ETIME under within() or
 * until(). To be awaited by a coroutine, not spawned. Whoever does it must not enter again.
 */
coil_declare(int, coil_once_enter, (coil_once *) once);

/*
 * It has been done: everybody who waits goes on. Never waits. By the task that got 1, while the
 * coroutine that got it has not left.
 */
COIL_API void coil_once_done(coil_once *once);

/*
 * Await `function(argument)` unless it has succeeded before, one call at a time. `function` is a
 * coroutine that takes one pointer, of the type of `argument`, and returns an int; anything else
 * does not compile.
 *
 * Result: 0, it has been done, now or earlier; the error of `function` if it was this call's turn;
 * -ETIME under within() or until().
 *
 *     coroutine int coil_once_run(coil_once *once, coroutine int function(T *), T *argument);
 */
#define coil_once_run(once, function, argument) \
    coil_once_run_handler((once), coil_handler(function, __typeof__(&*(argument))), (argument))

/* Behind the macro. */
coil_declare(
        int, coil_once_run_handler, (coil_once *) once, (coil_handler) handler, (void *) argument);

COIL_END_DECLS

#endif
