/* SPDX-License-Identifier: MIT */
/*
 * coil/cgroup.h - a control group for a child and all that it starts: nobody leaves it by forking,
 * so it can be limited, counted and killed as a whole.
 *
 *     coil_cgroup_open("worker-3", &cgroup)      makes it, or takes the one that is left over
 *         |
 *     plan.cgroup = cgroup;  coil_child_spawn()  the child starts in it
 *         |
 *     coil_child_stop_tree(), or coil_cgroup_kill() and coil_cgroup_wait_empty()
 *         |
 *     coil_cgroup_remove(cgroup)                 or coil_cgroup_close(): it stays for the next one
 *
 * Invariants
 *   - It is below the cgroup that this process is in, in the unified hierarchy (version 2),
 *     wherever that is mounted; version 1 is not touched.
 *   - What may be done depends on who we are and what has been delegated to us. Whoever has nothing
 *     of all this still has process groups: a plan without a cgroup.
 *   - A limit needs its controller. We ask the cgroup that we are in to enable it, which the kernel
 *     refuses if processes are directly in there (except at the root): then -EOPNOTSUPP.
 *
 * The calls that are no coroutines block for the time of some file operations, any thread.
 * Sources: cgroups(7), Documentation/admin-guide/cgroup-v2.rst of Linux.
 */
#ifndef COIL_CGROUP_H
#define COIL_CGROUP_H

#include <coil/coro.h>
#include <coil/spawn.h>

#include <stdint.h>

COIL_BEGIN_DECLS

/* 0: no limit, or what it was. */
typedef struct coil_cgroup_limits {
    uint64_t memory_max_bytes;
    uint64_t memory_high_bytes; /* From here on it is slowed down, and memory is taken back. */
    uint64_t process_max_count; /* Threads, rather; fork(2) is -EAGAIN above it. */
    uint64_t cpu_permille;      /* 1500: one and a half processors. */
    uint64_t cpu_weight;        /* 1 to 10000; the usual is 100. */
    uint64_t io_weight;         /* The same. */
} coil_cgroup_limits;

/*
 * Make the cgroup `name` (a path of directories that exist but for the last, without ".."), or take
 * the one of that name, with whatever runs in it. -EOPNOTSUPP: there is no unified hierarchy;
 * -ENOENT: it lacks the cgroup that we are in, or a directory of the path; -EACCES, -EPERM, -EROFS:
 * it is not ours to change; -EINVAL, -ENAMETOOLONG: the name; -EAGAIN: no more cgroups are allowed;
 * -EMFILE, -ENFILE, -ENOMEM.
 */
COIL_API COIL_MUST_USE int coil_cgroup_open(const char *name, coil_cgroup **out_cgroup);

/* Let it be, and what runs in it. Takes NULL. */
COIL_API void coil_cgroup_close(coil_cgroup *cgroup);

/* Remove it and close it. -EBUSY: somebody is in it; it is still open then. Takes NULL. */
COIL_API int coil_cgroup_remove(coil_cgroup *cgroup);

/* Its directory. As long as it is open. */
COIL_API const char *coil_cgroup_path(const coil_cgroup *cgroup);

/* -EOPNOTSUPP: there is no such controller here; -EINVAL: out of range; -EACCES. */
COIL_API int coil_cgroup_limit(coil_cgroup *cgroup, const coil_cgroup_limits *limits);

/*
 * Read or write one of its files: "memory.peak", "cpu.stat", "cgroup.freeze". Reading results in
 * the size without the final newline, and a text that ends in '\0', of `size_bytes` at most.
 * -ENOENT: there is no such file.
 */
COIL_API int coil_cgroup_write(coil_cgroup *cgroup, const char *file, const char *text);
COIL_API ssize_t coil_cgroup_read(
        coil_cgroup *cgroup, const char *file, char *out_text, size_t size_bytes);

/* The processes in it, zombies not: at most `limit` of their numbers, and how many. */
COIL_API int coil_cgroup_processes(coil_cgroup *cgroup, pid_t *out_pids, int limit);

/* SIGKILL for all in it and below it, at once. -EOPNOTSUPP before Linux 5.14. */
COIL_API int coil_cgroup_kill(coil_cgroup *cgroup);

/* 1: somebody runs in it or below it; 0. */
COIL_API int coil_cgroup_is_populated(coil_cgroup *cgroup);

/* Await that nobody does. On a loop's thread; several tasks may wait. Result: 0. */
coil_declare(int, coil_cgroup_wait_empty, (coil_cgroup *) cgroup);

COIL_END_DECLS

#endif
