/* SPDX-License-Identifier: MIT */
#include "process.h"

#include "loop_private.h"

#include "allocate.h"
#include "disk.h"
#include "family.h"
#include "fiber.h"
#include "memory.h"
#include "power.h"
#include "ring.h"

#include <coil/loop.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

enum { DESCRIPTOR_LIMIT = 20000, UMASK = 022 };

sim_process *sim_process_current(void)
{
    const sim_fiber *fiber = sim_fiber_current();
    return fiber == NULL ? NULL : fiber->process;
}

sim_process *sim_process_create(sim_host *host, sim_process *parent)
{
    sim_world *world = host->world;
    sim_process *process = sim_new(sizeof(*process));

    process->world = world;
    process->host = host;
    process->id = ++world->last_id;
    process->parent = parent;
    process->path = sim_copy_text("?");
    process->descriptor_limit = DESCRIPTOR_LIMIT;
    process->may_abort = parent != NULL && parent->may_abort;
    process->is_dumpable = true;
    process->umask = UMASK;
    process->globals = fiber_new_globals();
    coil_list_init(&process->children);
    coil_list_init(&process->sibling);
    coil_list_init(&process->fibers);
    coil_list_init(&process->rings);
    coil_list_init(&process->allocations);
    coil_list_init(&process->mappings);
    sim_waiters_init(&process->ended);
    if (parent != NULL)
        coil_list_append(&parent->children, &process->sibling);
    coil_list_append(&world->processes, &process->link);
    return process;
}

/* --------------------------------------------------------------------------------- programs -- */

static void free_arguments(sim_process *process)
{
    for (int i = 0; i < process->argument_count; i++)
        sim_delete(process->arguments[i]);
    sim_delete(process->arguments);
    process->arguments = NULL;
    process->argument_count = 0;
}

/* They may be those that it has. */
static void set_arguments(sim_process *process, char *const *arguments)
{
    int count = 0;
    while (arguments[count] != NULL)
        count++;
    char **copies = sim_new((size_t)(count + 1) * sizeof(*copies));
    for (int i = 0; i < count; i++)
        copies[i] = sim_copy_text(arguments[i]);
    free_arguments(process);
    process->arguments = copies;
    process->argument_count = count;
}

static void run_main(sim_fiber *fiber)
{
    sim_process *process = fiber->process;
    optind = 0; /* That of libc is one for all: getopt(3) begins anew, as in a new program. */
    const int status = process->main(process->argument_count, process->arguments);
    process->has_returned = true;
    sim_process_end(process, CLD_EXITED, status & 0xff);
}

void sim_process_exec(sim_process *process, const sim_program *program, char *const *arguments)
{
    set_arguments(process, arguments);
    sim_delete(process->path);
    process->path = sim_copy_text(program->path);
    process->main = program->main;
    process->main_fiber = sim_fiber_start(process, run_main, program->path, SIM_MAIN_STACK_BYTES);
    sim_trace(process->world, "process %d runs %s", (int)process->id, program->path);
}

/* ----------------------------------------------------------------------------------- the end -- */

/* The current one comes last, when nothing is left to do. */
void sim_process_drop_threads(sim_process *process)
{
    const sim_fiber *current = process->world->current;
    coil_list *next;

    for (coil_list *link = process->fibers.next; link != &process->fibers; link = next) {
        sim_fiber *fiber = coil_container_of(link, sim_fiber, link);
        next = link->next;
        fiber->is_detached = true;
        if (fiber != current)
            sim_fiber_drop(fiber);
    }
}

/* What it has opened and not closed. */
static unsigned count_open(const sim_process *process)
{
    unsigned count = 0;
    for (unsigned fd = 0; fd < process->descriptor_count; fd++) {
        const sim_descriptor *descriptor = &process->descriptors[fd];
        if (descriptor->file == NULL || descriptor->is_inherited)
            continue;
        count++;
        if (process->reports_leaks) {
            fprintf(stderr, "coil: simulation: process %d (%s) has not closed %u, a %s\n",
                    (int)process->id, process->path, fd, descriptor->file->type->name);
        }
    }
    return count;
}

void sim_process_drop_rings(sim_process *process)
{
    while (!coil_list_empty(&process->rings))
        sim_ring_drop(coil_container_of(process->rings.next, sim_ring, link));
}

static void close_all(sim_process *process)
{
    sim_process_drop_rings(process);
    for (unsigned fd = 0; fd < process->descriptor_count; fd++)
        (void)sim_descriptor_close(process, (int)fd);
    sim_mappings_drop(process);
}

/* What a program that returns has left to the kernel (coil/sim_scenario.h). */
static void check_requests(sim_process *process)
{
    for (coil_list *at = process->rings.next; at != &process->rings; at = at->next) {
        const sim_ring *ring = coil_container_of(at, sim_ring, link);
        SIM_CHECK(process->world, ring->request_count == 0,
                "process %d (%s) ends with %zu requests in flight", (int)process->id, process->path,
                ring->request_count);
    }
}

static void check_leaks(const sim_process *process)
{
    sim_world *world = process->world;
    SIM_CHECK(world, process->open_count == 0, "process %d (%s) has not closed %u descriptors",
            (int)process->id, process->path, process->open_count);
    SIM_CHECK(world, process->leaked_count == 0, "process %d (%s) has not freed %llu allocations",
            (int)process->id, process->path, (unsigned long long)process->leaked_count);
}

void sim_process_end(sim_process *process, int code, int value)
{
    sim_world *world = process->world;
    sim_fiber *current = world->current;

    SIM_CHECK(world, !process->has_ended, "a process ends twice");
    if (sim_family_defers_end(process, code, value))
        return;
    const bool is_checked = world->forbids_leaks && process->has_returned;
    SIM_CHECK(world, !is_checked || sim_mapping_count(process) == 0,
            "process %d (%s) has not unmapped %u mappings", (int)process->id, process->path,
            sim_mapping_count(process));
    process->reports_leaks |= is_checked;
    if (is_checked)
        check_requests(process);
    process->has_ended = true;
    process->end_time = world->now;
    process->status.si_signo = SIGCHLD;
    process->status.si_code = code;
    process->status.si_status = value;
    process->status.si_pid = process->id;
    sim_trace(world, "process %d ends: %s %d", (int)process->id,
            code == CLD_EXITED ? "exit" : "signal", value);
    sim_process_drop_threads(process);
    sim_power_linger(process, NULL);
    process->open_count = code == CLD_EXITED ? count_open(process) : 0;
    close_all(process);
    const uint64_t lost_count =
            allocations_free(process, code == CLD_EXITED, process->has_returned);
    process->leaked_count = code == CLD_EXITED ? lost_count : 0;
    if (is_checked)
        check_leaks(process);
    sim_working_directory_leave(process);
    sim_family_end(process);
    sim_waiters_notify(&process->ended);
    if (current != NULL && current->process == process)
        sim_fiber_drop(current);
}

void sim_process_reap(sim_process *process)
{
    fiber_forget_process(process);
    coil_list_remove(&process->sibling);
    coil_list_remove(&process->link);
    sim_signals_free(process);
    sim_family_free(process);
    free_arguments(process);
    sim_delete(process->descriptors);
    sim_delete(process->globals);
    sim_delete(process->recording);
    sim_delete(process->path);
    sim_delete(process);
}

sim_process *sim_process_with(const sim_world *world, pid_t id)
{
    for (coil_list *link = world->processes.next; link != &world->processes; link = link->next) {
        sim_process *process = coil_container_of(link, sim_process, link);
        if (process->id == id)
            return process;
    }
    return NULL;
}

/* Of loop_sum(). */
static size_t print_tasks(const coil_loop *loop)
{
    coil_loop_print_tasks(loop, stderr);
    return 1;
}

static size_t count_one(const coil_loop *loop)
{
    (void)loop;
    return 1;
}

void processes_print_tasks(sim_world *world)
{
    for (coil_list *link = world->processes.next; link != &world->processes; link = link->next) {
        sim_process *process = coil_container_of(link, sim_process, link);
        if (process->has_ended)
            continue;
        fiber_visit(process);
        if (loop_sum(count_one) == 0)
            continue; /* It has none, or not yet. */
        fprintf(stderr, "process %d (%s on %s)\n", (int)process->id, process->path,
                process->host->name);
        (void)loop_sum(print_tasks);
    }
}
