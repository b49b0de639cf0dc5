/* SPDX-License-Identifier: MIT */
/*
 * coil/debug.h - debug mode: a scheduler that looks at everything that its tasks do.
 *
 * Switched on at run time, without another build: COIL_DEBUG=1 in the environment of a program, or
 * coil_loop_debug() (coil/loop.h). It costs nothing while it is off, not even a branch per step.
 * Each finding is one report, a block of text like
 *
 *     coil: slow step: task session kept the loop for 152 ms
 *         from  session (server.c:41)  await (my->line, coil_read_until(peer, '\n', 4096))
 *         to    session (server.c:47)  await (coil_write_all(peer, my->answer))
 *
 * What is reported
 *     slow step       a task did not give up its turn for longer than `slow_step`
 *     blocked         a step slept in the kernel: a system call that waits, a page from the disk
 *     never awaited   a coroutine was called and neither awaited nor spawned. Only in code that was
 *                     compiled strictly (coil/coro.h); optimised code has the compiler's warning.
 *     slice held      bytes that were received have not been given back for longer than 5 s
 *                     (coil/buffer.h), once for each slice, with the task that took them, and where
 *     lock held       a task ended with a lock that nobody can unlock any more
 *     wrong thread    another thread woke or spawned a task: reported, then the program aborts,
 *                     because the scheduler's lists are broken by then
 *     leak            tasks live at the end, each with its whole stack; and those of groups that no
 *                     coroutine has open
 *
 * This header is for those who drive a scheduler; programs need none of it.
 */
#ifndef COIL_DEBUG_H
#define COIL_DEBUG_H

#include <coil/base.h>
#include <coil/list.h>
#include <coil/time.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

COIL_BEGIN_DECLS

typedef struct coil_debug coil_debug;
typedef struct coil_sched coil_sched;
typedef struct coil_fn coil_fn;
typedef struct coil_site coil_site;
typedef struct coil_task coil_task;

/* What the driver provides: core knows no clock and no kernel. */
struct coil_debug {
    coil_time (*now)(coil_debug *debug);
    /*
     * How often this thread has slept in the kernel. Asked at the start of a round, and after a
     * step that was long enough to have slept (`after_step`).
     */
    uint64_t (*sleep_count)(coil_debug *debug, bool after_step);
    /* One block of text, which ends with a newline. */
    void (*report)(coil_debug *debug, const char *text);
    /* Print the name of what is at `code`; NULL: of what has just called the library. */
    void (*name_place)(coil_debug *debug, const void *code, FILE *out);
    coil_duration slow_step;     /* A step that takes longer is reported. COIL_FOREVER: none is. */
    coil_duration blocking_step; /* Below this, nobody looks whether a step has slept. */

    /* Private. */
    coil_sched *sched;
    const void *thread;
    uint64_t slept_count;
    bool has_reported;  /* In this step. */
    coil_duration lent; /* Of this step: to tasks that coil_spawn_now() has started. */
    uint32_t created_count;
    coil_list colds; /* Coroutines that have been called and not awaited yet. */
    struct coil_debug_tasks *tasks;
};

/*
 * Begin: before the first task is spawned, on the thread that will run the scheduler. `debug` must
 * outlive the scheduler, unless coil_debug_fini() comes first. 0, or -ENOMEM.
 */
COIL_API int coil_debug_init(coil_debug *debug, coil_sched *sched);

/* The end: what is left is reported, and given back. The scheduler has no debug mode any more. */
COIL_API void coil_debug_fini(coil_debug *debug);

/* Where a task is, in its innermost coroutine with a body. */
typedef struct coil_place {
    const coil_fn *fn;   /* NULL: at its end. */
    const coil_site *at; /* NULL: at its start. */
} coil_place;

COIL_API coil_place coil_place_of(const coil_task *task);

/* As a line of a report, behind `word`. */
COIL_API void coil_place_print(const char *word, const coil_place *where, FILE *out);

/* For coil/coro.h: a coroutine has been called, which gets a number; it has become a frame. */
COIL_API uint32_t coil_debug_created(const coil_fn *fn);
COIL_API void coil_debug_awaited(uint32_t number);

COIL_END_DECLS

#endif
