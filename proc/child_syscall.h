/* SPDX-License-Identifier: MIT */
/*
 * child_syscall.h - the system calls of a child between clone and exec (spawn_child.c).
 *
 * CHILD_SYSCALL() is syscall(2), so that the child calls nothing else; or, in a simulation, what
 * the simulated kernel has in its place: -1 and errno as well.
 *
 * CHILD_SIDE stands before every function that runs there: not even a sanitizer's hooks may.
 */
#ifndef CHILD_SYSCALL_H
#define CHILD_SYSCALL_H

#include <coil/kernel.h>

#include <unistd.h>

#define CHILD_SIDE COIL_UNINSTRUMENTED

#ifdef COIL_SIMULATION

#define CHILD_SYSCALL(...) CHILD_SYSCALL_OF(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CHILD_SYSCALL_OF(number, a, b, c, d, e, f, ...) \
    coil_sim_child_syscall(                             \
            (long)(number), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#else

#define CHILD_SYSCALL(...) syscall(__VA_ARGS__)

#endif

#endif
