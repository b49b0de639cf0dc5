/* SPDX-License-Identifier: MIT */
/*
 * coil/barrier.h - tasks that go on together: each waits until all of them have arrived.
 *
 *     coil_barrier_init(&barrier, 3);
 *
 *     coil_attempt (my->index, coil_barrier_wait(&barrier));
 *     if (my->index == 0)
 *         one_of_them_prepares_the_next_phase();
 *
 *     filling: [t0 t1] --the last party arrives--> they all go on: 0, 1, 2; filling: []
 *        |  ^
 *        |  +--coil_barrier_reset()--+
 *        +---------------------------+--> broken: all who waited, and all who come: -EPIPE
 *          a party is cancelled, or its
 *          deadline passes; coil_barrier_abort()
 *
 * Invariants
 *   - Nobody goes on before all parties have arrived, and then all do, in the order of arrival
 *     behind the last one, which does not give up its turn.
 *   - The barrier is empty and ready for the next phase as soon as the last party has arrived, even
 *     if the others have not run yet: a fast task cannot get into the phase of a slow one.
 *   - It breaks for all or for nobody: a party that has been released does not break it, whatever
 *     happens to the task before it runs; the cancellation takes effect at its next await.
 *   - Who has been released no longer touches the barrier.
 *
 * It is asyncio's Barrier, -EPIPE is its BrokenBarrierError. Not thread safe: a barrier and all who
 * use it belong to one scheduler's thread.
 */
#ifndef COIL_BARRIER_H
#define COIL_BARRIER_H

#include <coil/coro.h>
#include <coil/list.h>

COIL_BEGIN_DECLS

typedef struct coil_barrier coil_barrier;

/* The caller's memory; it must not move while a task waits. All fields are read only. */
struct coil_barrier {
    int party_count;
    int arrived_count; /* Who wait now. */
    bool broken;

    /* Private. */
    coil_list waiters;
};

/* An empty barrier for `party_count` tasks, at least one. */
COIL_API void coil_barrier_init(coil_barrier *barrier, int party_count);

/* The end of `barrier`. Nobody may be waiting. */
COIL_API void coil_barrier_fini(coil_barrier *barrier);

/*
 * Arrive, and wait for the others.
 *
 * Result: the number of tasks that had arrived in this phase before, 0 to party_count - 1, so that
 * one of them can be chosen; -EPIPE, the barrier is broken, or was reset; -ETIME under within() or
 * until(), and the barrier breaks. It also breaks if a task comes that is being cancelled: it would
 * not go on with the others.
 */
coil_declare(int, coil_barrier_wait, (coil_barrier *) barrier);

/* Break the barrier: it will never be complete. Never waits. */
COIL_API void coil_barrier_abort(coil_barrier *barrier);

/* Make it empty and whole. Those who wait get -EPIPE: their phase is over. Never waits. */
COIL_API void coil_barrier_reset(coil_barrier *barrier);

COIL_END_DECLS

#endif
