/* SPDX-License-Identifier: MIT */
/*
 * What other threads may know of a loop: whether it runs, waits or rests, since when, and in which
 * thread. The loop says so with two relaxed stores per turn; that is all that being watched costs.
 */
#ifndef LOOP_WATCH_H
#define LOOP_WATCH_H

#include <coil/loop.h>

#include <sys/types.h>

enum {
    WATCH_RESTS = 0, /* It is not in coil_loop_run(). */
    WATCH_WAITS = 1, /* It is in the kernel, and right to be there. */
    WATCH_RUNS = 2,  /* This plus the number of the turn. */
};

/* The loop writes the first part, the monitor the second; it is kept here, so nobody counts. */
typedef struct loop_watch {
    uint64_t beat;   /* Relaxed. */
    pid_t thread;    /* That of the loop. Constant, */
    unsigned number; /* as is this: the loops of a process are counted from 1. */

    uint64_t seen_beat;
    uint64_t seen_steps;
    coil_time since;       /* When these two were first seen together. */
    coil_duration starved; /* What the thread had waited for a processor, soon after that. */
    coil_duration report_after;
    unsigned report_count;
} loop_watch;

static inline void watch_beat(loop_watch *watch, uint64_t beat)
{
    __atomic_store_n(&watch->beat, beat, __ATOMIC_RELAXED);
}

/* The tree of a loop's tasks, drawn by the loop at a safe point for the monitor. */
typedef enum loop_dump_state { DUMP_IDLE, DUMP_ASKED, DUMP_LATE, DUMP_READY } loop_dump_state;

typedef struct loop_dump {
    coil_post post;
    loop_dump_state state; /* The loop sets DUMP_READY (release), the monitor everything else. */
    uint32_t round;        /* The request that the loop has been asked for, or reported at. */
    char *text;            /* DUMP_READY: the monitor's, to be freed. NULL: there was no memory. */
    size_t size_bytes;
} loop_dump;

#endif
