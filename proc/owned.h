/* SPDX-License-Identifier: MIT */
/*
 * owned.h - which children of this process are somebody's: not orphans, for the subreaper to reap.
 *
 * Known only while there is a subreaper: all that there are when it begins, and all that are
 * spawned from then on. Any thread.
 */
#ifndef OWNED_H
#define OWNED_H

#include <coil/base.h>

#include <stdbool.h>

#include <sys/types.h>

COIL_BEGIN_DECLS

/* -EBUSY: there is a subreaper. */
int owned_begin(void);
void owned_end(void);

/* Around a clone: the child may have ended before its number is known. `pid` < 0: no child. */
void owned_clone_begins(void);
void owned_clone_ends(pid_t pid);

/* Around a fork, for which all of the above waits. */
void owned_fork_begins(void);
void owned_fork_ends(bool in_child);

/* One that was there before. */
void owned_add(pid_t pid);

/* It has been reaped. */
void owned_remove(pid_t pid);

/* Also if it is being made, maybe. */
bool owned_has(pid_t pid);

/* A child of ours that nobody owns: known to be none. False without a subreaper, which knows. */
bool owned_is_orphan(pid_t pid);

COIL_END_DECLS

#endif
