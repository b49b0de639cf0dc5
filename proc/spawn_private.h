/* SPDX-License-Identifier: MIT */
/*
 * spawn_private.h - what the three parts of a spawn share.
 *
 *     spawn.c        the parent: finds the program, makes the pipes, clones, cleans up
 *     spawn_child.c  the child between clone and exec, on the parent's memory
 *     spawn_error.c  the parent again: finds out why it failed, and says so
 */
#ifndef SPAWN_PRIVATE_H
#define SPAWN_PRIVATE_H

#include <coil/kernel.h>
#include <coil/spawn.h>

#include <stdint.h>

COIL_BEGIN_DECLS

/* What went wrong, written by whoever noticed. */
typedef struct spawn_report {
    coil_spawn_stage stage; /* NONE: nothing did. */
    int error;              /* Negative errno. */
    int subject;            /* STDIO: the child's fd. LIMITS: the resource. */
} spawn_report;

/* The child's orders: made by the parent, complete before clone. */
typedef struct spawn_job {
    coil_kernel_child child;
    const coil_spawn_plan *plan;
    const char *path; /* What exec gets. */
    const char *const *argv;
    const char *const *env;
    int stdio_source[3]; /* The fds that become 0, 1 and 2 in modes PIPE and FD. */
    int death_signal;    /* 0: none. */
    pid_t parent_pid;
    uint64_t caller_mask; /* The calling thread's signal mask, bit n - 1 for signal n. */

    /* Written by the child, read by the parent: they share memory. */
    spawn_report report;
    int moved_source[COIL_SPAWN_FDS_MAX]; /* plan->fds[i].parent_fd, out of the targets' way. */
} spawn_job;

/* The child's whole life before exec; it is that of a spawn_job. */
void coil_spawn_child_main(coil_kernel_child *child);

/* Fill *out_error. `path` is what was given to exec, or the best find of a search in vain. */
void coil_spawn_explain(const coil_spawn_plan *plan, const char *path, const spawn_report *report,
        coil_spawn_error *out_error);

COIL_END_DECLS

#endif
