/* SPDX-License-Identifier: MIT */
/*
 * coil/spawner.h - spawn from a thread of its own, so that the loop does not wait for an exec.
 *
 *     coil_spawner_create(&spawner) --> coil_spawner_spawn(spawner, ...), as often as one likes
 *                                             |
 *                                       coil_spawner_destroy(spawner)
 *
 * coil_child_spawn() takes as long as the kernel needs to open and map the program: 100 us as a
 * rule, seconds if it is on a network that hangs. Meanwhile the calling thread stands still, and
 * with it a loop. Here it is another thread that stands still.
 *
 * To the kernel, the parent of a child is the thread that has spawned it (see death_signal in
 * coil/spawn.h). So the thread of a spawner stays, however long it is idle, until the end of the
 * spawner; and then every child of it that does not outlive its parent gets its death signal.
 */
#ifndef COIL_SPAWNER_H
#define COIL_SPAWNER_H

#include <coil/coro.h>
#include <coil/spawn.h>

COIL_BEGIN_DECLS

typedef struct coil_spawner coil_spawner;

/* The thread starts when it is needed. -ENOMEM. Any thread. */
COIL_API COIL_MUST_USE int coil_spawner_create(coil_spawner **out_spawner);

/*
 * coil_child_spawn() on that thread, one at a time, first come, first served. All that the
 * arguments point to must stay until this is done. Result: as there; -EAGAIN, no thread could be
 * started. Cancelled before it has begun, nothing is spawned; afterwards it is awaited, and a child
 * that runs is a result of 0 as ever.
 */
coil_declare(int, coil_spawner_spawn, (coil_spawner *) spawner, (const coil_spawn_plan *) plan,
        (coil_child *) out_child, (coil_spawn_error *) out_error);

/* End the thread. No call may be under way. Takes NULL. Blocks until an exec that hangs is over. */
COIL_API void coil_spawner_destroy(coil_spawner *spawner);

COIL_END_DECLS

#endif
