/* SPDX-License-Identifier: MIT */
/*
 * coil/loop_extra.h - things that belong to a loop, one of a kind, and are gone with it.
 *
 *     typedef struct directory {                    static void end_directory(coil_loop_extra *)
 *         coil_loop_extra extra;
 *         ...
 *     } directory;
 *
 *     extra = coil_loop_extra_of(loop, end_directory);  NULL: make one, and
 *     coil_loop_extra_add(loop, &directory->extra, end_directory);
 *
 * For modules that keep something per loop, as the resolver that everybody shares. What ends an
 * extra is also what it is known by.
 *
 * On the loop's thread only.
 */
#ifndef COIL_LOOP_EXTRA_H
#define COIL_LOOP_EXTRA_H

#include <coil/list.h>
#include <coil/loop.h>

COIL_BEGIN_DECLS

typedef struct coil_loop_extra coil_loop_extra;

/* Its owner's memory, until `end` is called. */
struct coil_loop_extra {
    /*
     * The loop is being destroyed: no task is left, none can be started. Calls may be cancelled and
     * watches closed; the memory may be freed.
     */
    void (*end)(coil_loop_extra *extra);
    coil_list link; /* Private. */
};

/* Add `extra`, of whose kind the loop has none. The youngest is ended first. */
COIL_API void coil_loop_extra_add(
        coil_loop *loop, coil_loop_extra *extra, void (*end)(coil_loop_extra *extra));

/* That of this kind, or NULL. */
COIL_API coil_loop_extra *coil_loop_extra_of(
        const coil_loop *loop, void (*end)(coil_loop_extra *extra));

/* Take it back before the loop ends; `end` will not be called. */
COIL_API void coil_loop_extra_remove(coil_loop_extra *extra);

COIL_END_DECLS

#endif
