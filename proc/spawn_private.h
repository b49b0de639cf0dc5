/* SPDX-License-Identifier: MIT */
/*
 * spawn_private.h - what the parts of a spawn share.
 *
 *     spawn.c        the parent: finds the program, makes the pipes, clones, cleans up
 *     spawn_child.c  the child between clone and exec, on the parent's memory
 *     spawn_child_rights.c   its steps that are about what it may do, and how much of it
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
    int subject;            /* STDIO: the child's fd. LIMITS: the resource. PRIORITY: which. */
} spawn_report;

/* Subjects at COIL_SPAWN_STAGE_PRIORITY. */
enum { PRIORITY_NICE, PRIORITY_IO, PRIORITY_CPUS, PRIORITY_OOM };

enum { SPAWN_CPUS_MAX = 1024 };

/* What the child writes to files in /proc, as text. */
typedef struct spawn_texts {
    char nice[8];
    char oom_score_adjust[8];
    char uid_map[40];
    char gid_map[40];
} spawn_texts;

/* The child's orders: made by the parent, complete before clone. */
typedef struct spawn_job {
    coil_kernel_child child;
    const coil_spawn_plan *plan;
    const char *path; /* What exec gets. */
    const char *const *argv;
    const char *const *env;
    int stdio_source[3]; /* The fds that become 0, 1 and 2 in modes PIPE, PTY and FD. */
    bool has_terminal;   /* One of them is a pseudo terminal, */
    int terminal;        /* the child's side of which is this. */
    int cgroup_procs;    /* An fd to write "0" to. Only if the plan has a cgroup. */
    uint64_t cpus[SPAWN_CPUS_MAX / 64];
    spawn_texts texts;
    int death_signal; /* 0: none. */
    pid_t parent_pid;
    uint64_t caller_mask; /* The calling thread's signal mask, bit n - 1 for signal n. */

    /* Written by the child, read by the parent: they share memory. */
    spawn_report report;
    int moved_source[COIL_SPAWN_FDS_MAX]; /* plan->fds[i].parent_fd, out of the targets' way. */
} spawn_job;

/* The steps of spawn_child_rights.c. */
int coil_spawn_child_user_namespace(spawn_job *job);
int coil_spawn_child_cgroup(spawn_job *job);
int coil_spawn_child_priority(spawn_job *job);
int coil_spawn_child_identity(spawn_job *job);
int coil_spawn_child_capabilities(spawn_job *job);

/* The child's whole life before exec; it is that of a spawn_job. */
void coil_spawn_child_main(coil_kernel_child *child);

/* Fill *out_error. `path` is what was given to exec, or the best find of a search in vain. */
void coil_spawn_explain(const coil_spawn_plan *plan, const char *path, const spawn_report *report,
        coil_spawn_error *out_error);

COIL_END_DECLS

#endif
