/* SPDX-License-Identifier: MIT */
#include "fiber.h"

#include "clock.h"
#include "family.h"
#include "process.h"
#include "sections.h"
#include "signals.h"
#include "switch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>

static struct {
    ucontext_t context; /* Of the world, while a fiber runs. */
    const void *stack;
    size_t stack_bytes;
    void *thread_shadow;
    char *locals; /* As every fiber finds its section at first, and the world at last. */
    char *globals;
    sim_fiber *loaded; /* Whose locals are in the section. NULL: those of the world. */
    sim_process *loaded_process;
} home;

/* --------------------------------------------------------------------------------- sections -- */

static char *copy_of(const char *bytes, size_t size_bytes)
{
    char *copy = sim_new(size_bytes + 1);
    if (size_bytes > 0)
        memcpy(copy, bytes, size_bytes);
    return copy;
}

static void exchange(sim_section section, char *saved, const char *next)
{
    if (section.size_bytes == 0)
        return;
    if (saved != NULL)
        memcpy(saved, section.bytes, section.size_bytes);
    memcpy(section.bytes, next, section.size_bytes);
}

static void load_process(sim_process *process)
{
    sim_process *before = home.loaded_process;
    if (before == process)
        return;
    exchange(section_of_process(), before != NULL ? before->globals : NULL,
            process != NULL ? process->globals : home.globals);
    family_load_environment(before, process);
    home.loaded_process = process;
}

static void load_locals(sim_fiber *fiber)
{
    sim_fiber *before = home.loaded;
    if (before == fiber)
        return;
    exchange(section_of_thread(), before != NULL ? before->locals : NULL,
            fiber != NULL ? fiber->locals : home.locals);
    home.loaded = fiber;
}

void fibers_begin(void)
{
    const sim_section locals = section_of_thread();
    const sim_section globals = section_of_process();
    home.locals = copy_of(locals.bytes, locals.size_bytes);
    home.globals = copy_of(globals.bytes, globals.size_bytes);
}

void fibers_rest(void)
{
    load_locals(NULL);
    load_process(NULL);
}

void fibers_end(void)
{
    fibers_rest();
    sim_delete(home.locals);
    sim_delete(home.globals);
    home.locals = NULL;
    home.globals = NULL;
}

char *fiber_new_globals(void)
{
    return copy_of(home.globals, section_of_process().size_bytes);
}

void fiber_visit(sim_process *process)
{
    load_process(process);
}

void fiber_forget_process(sim_process *process)
{
    if (home.loaded_process == process)
        load_process(NULL);
}

void fiber_renew_process(sim_process *process)
{
    const bool is_loaded = home.loaded_process == process;

    fiber_forget_process(process);
    sim_delete(process->globals);
    process->globals = fiber_new_globals();
    if (is_loaded)
        load_process(process);
}

/* --------------------------------------------------------------------------------- switching -- */

sim_fiber *sim_fiber_current(void)
{
    const sim_world *world = sim_here();
    return world == NULL ? NULL : world->current;
}

/* Where there must be one. */
static sim_fiber *running(void)
{
    return sim_here()->current;
}

/* From the current fiber to the world; `is_last`: it will not come back. */
static void leave(sim_fiber *fiber, bool is_last)
{
    fiber->saved_errno = errno;
    switch_begin(is_last ? NULL : &fiber->shadow, home.stack, home.stack_bytes);
    switch_thread(home.thread_shadow);
    (void)swapcontext(&fiber->context, &home.context);
    switch_end(fiber->shadow, &home.stack, &home.stack_bytes);
    errno = fiber->saved_errno;
}

static void enter(void)
{
    sim_fiber *fiber = running();

    switch_end(NULL, &home.stack, &home.stack_bytes);
    errno = 0;
    fiber->run(fiber);
    sim_fiber_drop(fiber);
}

static void free_stack(sim_fiber *fiber)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

    if (fiber->stack == NULL)
        return;
    switch_forget(fiber->stack, fiber->stack_bytes);
    (void)munmap(fiber->stack - page_bytes, fiber->stack_bytes + page_bytes);
    fiber->stack = NULL;
}

static void free_fiber(sim_fiber *fiber)
{
    free_stack(fiber);
    coil_list_remove(&fiber->link);
    if (home.loaded == fiber)
        load_locals(NULL);
    switch_destroy_thread(fiber->thread_shadow);
    sim_delete(fiber->locals);
    sim_delete(fiber);
}

/* It runs no more. The caller is not on its stack. */
static void bury(sim_fiber *fiber)
{
    free_stack(fiber);
    if (fiber->is_detached)
        free_fiber(fiber);
}

void sim_fiber_resume(sim_fiber *fiber)
{
    sim_world *world = sim_here();
    void *shadow = NULL;

    coil_list_remove(&fiber->run_link);
    world->runnable_count--;
    fiber->state = SIM_FIBER_RUNNING;
    fiber->switch_count++;
    load_process(fiber->process);
    load_locals(fiber);
    world->current = fiber;
    switch_begin(&shadow, fiber->stack, fiber->stack_bytes);
    home.thread_shadow = switch_this_thread();
    switch_thread(fiber->thread_shadow);
    (void)swapcontext(&home.context, &fiber->context);
    switch_end(shadow, NULL, NULL);
    world->current = NULL;
    if (fiber->state == SIM_FIBER_ENDED)
        bury(fiber);
}

static void leave_queue(sim_fiber *fiber)
{
    if (!coil_list_linked(&fiber->run_link))
        return;
    coil_list_remove(&fiber->run_link);
    fiber->process->world->runnable_count--;
}

static void make_runnable(sim_fiber *fiber)
{
    sim_world *world = fiber->process->world;
    fiber->state = SIM_FIBER_RUNNABLE;
    if (fiber->process->is_stopped || fiber->process->is_dying)
        return; /* Until sim_fibers_continue(), or for ever. */
    coil_list_append(&world->runnable, &fiber->run_link);
    world->runnable_count++;
}

/* --------------------------------------------------------------------------------- lifecycle -- */

/* Stacks grow down: the page below it, which nobody may touch, is where they run over. */
static char *allocate_stack(size_t size_bytes)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, size_bytes + page_bytes, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (pages == MAP_FAILED)
        sim_fail(sim_here(), "no memory for the stack of a thread");
    (void)mprotect(pages, page_bytes, PROT_NONE);
    return pages + page_bytes;
}

static void wake(sim_fiber *fiber)
{
    sim_waiter_leave(&fiber->waiter);
    sim_withdraw(fiber->process->world, &fiber->limit);
    make_runnable(fiber);
}

static void on_change(sim_waiter *waiter)
{
    wake(coil_container_of(waiter, sim_fiber, waiter));
}

static void on_limit(sim_event *event)
{
    sim_fiber *fiber = coil_container_of(event, sim_fiber, limit);
    fiber->is_late = true;
    wake(fiber);
}

static void set_name(sim_fiber *fiber, const char *name)
{
    if (name != NULL)
        (void)snprintf(fiber->name, sizeof(fiber->name), "%s", name);
}

sim_fiber *sim_fiber_start(
        sim_process *process, void (*run)(sim_fiber *fiber), const char *name, size_t stack_bytes)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    sim_world *world = process->world;
    sim_fiber *fiber = sim_new(sizeof(*fiber));

    fiber->run = run;
    fiber->process = process;
    /* The first thread of a process has its number (gettid(2)). */
    fiber->id = coil_list_empty(&process->fibers) ? process->id : ++world->last_id;
    set_name(fiber, name);
    coil_list_append(&process->fibers, &fiber->link);
    sim_waiters_init(&fiber->ended);
    fiber->waiter.changed = on_change;
    coil_list_init(&fiber->waiter.link);
    coil_list_init(&fiber->run_link);
    coil_list_init(&fiber->meeting_link);
    sim_waiters_init(&fiber->meeting);
    fiber->limit.run = on_limit;
    fiber->locals = copy_of(home.locals, section_of_thread().size_bytes);
    if (stack_bytes < SIM_STACK_BYTES)
        stack_bytes = SIM_STACK_BYTES; /* What stands below us here is larger than a kernel's. */
    fiber->stack_bytes = (stack_bytes + page_bytes - 1) / page_bytes * page_bytes;
    fiber->stack = allocate_stack(fiber->stack_bytes);
    fiber->thread_shadow = switch_new_thread();
    (void)getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = fiber->stack_bytes;
    makecontext(&fiber->context, enter, 0);
    fiber->context.uc_stack.ss_size = 0; /* Else AddressSanitizer clears it at every switch. */
    world->fiber_count++;
    make_runnable(fiber);
    return fiber;
}

void sim_fiber_drop(sim_fiber *fiber)
{
    sim_world *world = fiber->process->world;
    const bool is_current = world->current == fiber;

    sim_waiter_leave(&fiber->waiter);
    coil_list_remove(&fiber->meeting_link);
    sim_withdraw(world, &fiber->limit);
    leave_queue(fiber);
    if (fiber->state != SIM_FIBER_ENDED) {
        fiber->state = SIM_FIBER_ENDED;
        world->fiber_count--;
        sim_waiters_notify(&fiber->ended);
        sim_family_thread_ended(fiber->process, fiber->id);
    }
    if (is_current)
        leave(fiber, true);
    bury(fiber);
}

void sim_fiber_join(sim_fiber *fiber)
{
    while (fiber->state != SIM_FIBER_ENDED)
        (void)sim_fiber_wait(&fiber->ended, COIL_NEVER, "pthread_join");
    free_fiber(fiber);
}

void sim_fiber_detach(sim_fiber *fiber)
{
    fiber->is_detached = true;
    if (fiber->state == SIM_FIBER_ENDED)
        free_fiber(fiber);
}

/* ------------------------------------------------------------------------- signals and stops -- */

void sim_fiber_interrupt(sim_fiber *fiber)
{
    fiber->was_interrupted = true;
    if (fiber->state == SIM_FIBER_WAITING)
        wake(fiber);
}

bool sim_fiber_was_interrupted(void)
{
    sim_fiber *fiber = running();
    const bool was_interrupted = fiber->was_interrupted;
    fiber->was_interrupted = false;
    return was_interrupted;
}

void sim_fibers_hold(sim_process *process)
{
    for (coil_list *at = process->fibers.next; at != &process->fibers; at = at->next) {
        sim_fiber *fiber = coil_container_of(at, sim_fiber, link);
        if (fiber->state == SIM_FIBER_WAITING)
            sim_fiber_interrupt(fiber);
        leave_queue(fiber);
    }
}

void sim_fibers_continue(sim_process *process)
{
    for (coil_list *at = process->fibers.next; at != &process->fibers; at = at->next) {
        sim_fiber *fiber = coil_container_of(at, sim_fiber, link);
        if (fiber->state == SIM_FIBER_RUNNABLE && !coil_list_linked(&fiber->run_link))
            make_runnable(fiber);
    }
}

void sim_fibers_freeze(sim_process *process)
{
    process->is_dying = true;
    for (coil_list *at = process->fibers.next; at != &process->fibers; at = at->next) {
        sim_fiber *fiber = coil_container_of(at, sim_fiber, link);
        fiber->hold_count = 0; /* It may be in a handler; what it waits for is its end. */
        leave_queue(fiber);
    }
}

/* ----------------------------------------------------------------------------------- waiting -- */

void sim_fiber_yield(void)
{
    sim_fiber *fiber = running();
    make_runnable(fiber);
    leave(fiber, false);
}

void sim_fiber_pass(void)
{
    sim_world *world = sim_here();
    sim_fiber *fiber = world == NULL ? NULL : world->current;

    if (fiber == NULL)
        return;
    world->now += sim_draw_latency(world, SIM_LATENCY_CALL);
    if (fiber->hold_count > 0)
        return;
    const bool others = world->runnable_count > 0 && sim_fault(world, SIM_FAULT_PREEMPT);
    if (others || clock_next(world) <= world->now)
        sim_fiber_yield();
    sim_signals_deliver(fiber);
}

bool sim_fiber_wait(sim_waiters *waiters, coil_time deadline, const char *waits_for)
{
    sim_fiber *fiber = running();

    SIM_CHECK(sim_here(), fiber != NULL, "an event waits for something: %s", waits_for);
    SIM_CHECK(sim_here(), fiber->hold_count == 0, "%s where no thread may wait", waits_for);
    sim_signals_deliver(fiber);
    fiber->state = SIM_FIBER_WAITING;
    fiber->waits_for = waits_for;
    fiber->is_late = false;
    fiber->was_interrupted = false;
    if (waiters != NULL)
        sim_waiters_add(waiters, &fiber->waiter);
    if (deadline != COIL_NEVER)
        sim_at(fiber->process->world, deadline, &fiber->limit);
    leave(fiber, false);
    fiber->waits_for = NULL;
    const bool is_late = fiber->is_late;
    sim_signals_deliver(fiber);
    return !is_late;
}

static const char *state_of(const sim_fiber *fiber)
{
    switch (fiber->state) {
    case SIM_FIBER_RUNNABLE:
        if (fiber->process->is_dying)
            return "is about to end with its process";
        return fiber->process->is_stopped ? "is stopped by a signal" : "is about to run";
    case SIM_FIBER_RUNNING:
        return "runs";
    case SIM_FIBER_WAITING:
        return fiber->waits_for;
    case SIM_FIBER_ENDED:
        return "has ended";
    }
    return "?";
}

static size_t count_ended(const sim_world *world)
{
    size_t count = 0;
    for (coil_list *at = world->processes.next; at != &world->processes; at = at->next)
        count += coil_container_of(at, sim_process, link)->has_ended;
    return count;
}

static void report_process(const sim_process *process)
{
    fprintf(stderr, "process %d (%s on %s)", (int)process->id, process->path, process->host->name);
    if (process->has_ended) {
        const bool has_exited = process->status.si_code == CLD_EXITED;
        fprintf(stderr, " has ended: %s %d", has_exited ? "exit" : "signal",
                process->status.si_status);
    }
    fprintf(stderr, "\n");
}

/* Of those that have ended, which may be thousands, only the youngest. */
void sim_fibers_report(sim_world *world)
{
    enum { ENDED_COUNT = 10 };
    const size_t ended_count = count_ended(world);
    size_t left_out = ended_count > ENDED_COUNT ? ended_count - ENDED_COUNT : 0;

    if (left_out > 0)
        fprintf(stderr, "%zu that ended before those below\n", left_out);
    for (coil_list *at = world->processes.next; at != &world->processes; at = at->next) {
        const sim_process *process = coil_container_of(at, sim_process, link);
        if (process->has_ended && left_out > 0) {
            left_out--;
            continue;
        }
        report_process(process);
        for (coil_list *of = process->fibers.next; of != &process->fibers; of = of->next) {
            const sim_fiber *fiber = coil_container_of(of, sim_fiber, link);
            fprintf(stderr, "    thread %d (%s): %s\n", (int)fiber->id, fiber->name,
                    state_of(fiber));
        }
    }
}
