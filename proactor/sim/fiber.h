/* SPDX-License-Identifier: MIT */
/*
 * fiber.h - a simulated thread: a stack of its own, and the thread-local variables of its code.
 *
 *     sim_fiber_start() -> RUNNABLE <--> RUNNING -> ENDED -> (joined or detached) gone
 *                             ^             |
 *                          wake, limit   sim_fiber_wait()
 *                             |             v
 *                             +---------- WAITING
 *
 * Code compiled for a simulation keeps its thread-local variables in the section `coil_fiber`
 * (COIL_THREAD_LOCAL); a switch swaps its contents, and errno. `coil_process` holds what is of a
 * process (COIL_PROCESS_WIDE), which a switch between processes swaps.
 */
#ifndef SIM_FIBER_H
#define SIM_FIBER_H

#include "world.h"

#include <ucontext.h>

typedef enum sim_fiber_state {
    SIM_FIBER_RUNNABLE,
    SIM_FIBER_RUNNING,
    SIM_FIBER_WAITING,
    SIM_FIBER_ENDED,
} sim_fiber_state;

struct sim_fiber {
    void (*run)(sim_fiber *fiber); /* On its stack. It ends when this returns. */
    sim_process *process;
    pid_t id;          /* gettid(2) */
    char name[16];     /* As the kernel has it: cut at 15 bytes. */
    coil_list link;    /* In process->fibers. */
    sim_waiters ended; /* Who joins it. */

    struct coil_kernel_thread *thread; /* What it runs, if that is one of coil/kernel.h. */

    /* Private. */
    sim_fiber_state state;
    coil_list run_link; /* RUNNABLE: in world->runnable. */
    sim_waiter waiter;  /* WAITING */
    sim_event limit;    /* WAITING: the deadline. */
    bool is_late;       /* It has passed. */
    bool is_detached;
    bool was_interrupted;   /* In its last wait: sim_fiber_interrupt(). */
    coil_list meeting_link; /* In world->word_waiters, while it waits for a place in memory. */
    const void *place;
    sim_waiters meeting; /* Itself alone. */
    unsigned hold_count; /* Not 0: no call of the seam lets others run (a signal handler). */
    const char *waits_for;
    uint64_t switch_count;

    ucontext_t context;
    char *stack; /* Above a page that nobody may touch. */
    size_t stack_bytes;
    char *locals; /* The contents of the section coil_fiber, while another fiber runs. */
    int saved_errno;
    void *shadow;        /* Of AddressSanitizer: its stack of fakes. */
    void *thread_shadow; /* Of ThreadSanitizer: its view of the thread. */
};

enum { SIM_STACK_BYTES = 256 * 1024 }; /* If the creator does not say. */

/* The fiber that makes the call of the seam; NULL in an event. */
sim_fiber *sim_fiber_current(void);

/*
 * A fiber of `process` that begins to run some time after now. `name` may be NULL. `stack_bytes` of
 * 0 is SIM_STACK_BYTES. The memory belongs to us: until its end, and if it is not detached, until
 * it has been joined.
 */
sim_fiber *sim_fiber_start(
        sim_process *process, void (*run)(sim_fiber *fiber), const char *name, size_t stack_bytes);

/* Let others run if chance says so. Every call of the seam does this, and takes a little time. */
void sim_fiber_pass(void);

/* Let others run. */
void sim_fiber_yield(void);

/*
 * The current fiber waits for a change of `waiters`, or until `deadline` (COIL_NEVER: none).
 * `waits_for` is for reports. False: the deadline. `waiters` may be NULL: for the deadline alone.
 * One change may be taken for another: the caller looks whether what it waits for is so.
 */
bool sim_fiber_wait(sim_waiters *waiters, coil_time deadline, const char *waits_for);

/* Wait for its end, and free it. */
void sim_fiber_join(sim_fiber *fiber);

/* It will not be joined. */
void sim_fiber_detach(sim_fiber *fiber);

/* End without unwinding: the current one, which does not return, or any other. */
void sim_fiber_drop(sim_fiber *fiber);

/*
 * A signal is to be seen to: if it waits, it wakes, and what it waits in is told so
 * (sim_fiber_was_interrupted).
 */
void sim_fiber_interrupt(sim_fiber *fiber);

/* Since the last call of this: a wait of the current fiber has been interrupted. */
bool sim_fiber_was_interrupted(void);

/* The fibers of a process that is stopped do not run, those that wait are interrupted; until. */
void sim_fibers_hold(sim_process *process);
void sim_fibers_continue(sim_process *process);

/* None of them runs again; the current one until it waits. */
void sim_fibers_freeze(sim_process *process);

/* A line per fiber of what it does, on stderr. */
void sim_fibers_report(sim_world *world);

/* The sections as they are before the first process, and once more after the last. */
void fibers_begin(void);
void fibers_rest(void); /* No fiber runs now: the world's own. */
void fibers_end(void);

/* What is process-wide, as a new process finds it. From sim_new(). */
char *fiber_new_globals(void);

/* The process-wide variables are those of `process` now; it will be freed; they begin anew. */
void fiber_visit(sim_process *process);
void fiber_forget_process(sim_process *process);
void fiber_renew_process(sim_process *process);

/* Resume the fiber; back when it waits, yields or has ended. Called by the world alone. */
void sim_fiber_resume(sim_fiber *fiber);

#endif
