/* SPDX-License-Identifier: MIT */
/*
 * process_tree.h - a child, and the processes that it has started: found, told, and found again.
 *
 *     look() --> members: pid and start time, which together are never another's
 *       ^           |
 *       |         tell(): each is opened as a pidfd, is looked at, and gets the signal
 *       +-----------+     wait for them, and look whether there are others by now
 *
 * Without a cgroup, nothing in the kernel knows "all that this has started". What is taken for it:
 * who is in the group or session that the child leads, who descends from it or from a member, and
 * who ever was a member. So whoever becomes an orphan while we look at it stays one of them.
 */
#ifndef PROCESS_TREE_H
#define PROCESS_TREE_H

#include <coil/child.h>

COIL_BEGIN_DECLS

typedef struct process_tree_member {
    pid_t pid;
    uint64_t start_time;
    int told; /* The last signal that it was sent; 0: none. */
    bool is_in_group;
    bool was_ours; /* Our own child, when it was found. */
} process_tree_member;

/* Zeroed, but for `child` and `signo`. */
typedef struct process_tree {
    coil_child *child; /* Is not a member itself. */
    int signo;         /* What those get that are found late. */
    process_tree_member *members;
    size_t count;
    size_t capacity;
    bool is_wide; /* All processes have to be looked at, not only descendants. */
    int refusal;  /* The first signal that failed: -EPERM, -EMFILE. 0: none. */
} process_tree;

void process_tree_fini(process_tree *tree);

/* Forget members that have ended, find new ones. How many there are; -ENOMEM. */
int process_tree_look(process_tree *tree);

/* Send it to the child and to all members that have not got it yet. SIGCONT: to all. */
void process_tree_tell(process_tree *tree, int signo);

/* SIGSTOP to all, until there are no new ones. */
void process_tree_freeze(process_tree *tree);

/* The pidfd of a member. -ESRCH: it has been reaped. */
int process_tree_open(const process_tree *tree, size_t place);

COIL_END_DECLS

#endif
