/* SPDX-License-Identifier: MIT */
#include "world.h"

#include "allocate.h"
#include "clock.h"
#include "disk.h"
#include "fiber.h"
#include "network.h"
#include "output.h"
#include "power.h"
#include "process.h"
#include "trace.h"
#include "world_run.h"

#include <stdio.h>
#include <string.h>

static sim_world *here;

sim_world *sim_here(void)
{
    return here;
}

/* ------------------------------------------------------------------------------- lifecycle -- */

/* A kind world: everything takes its time, in any order, and nothing goes wrong. */
static void set_defaults(sim_world *world)
{
    static const struct {
        coil_duration least, most;
    } latencies[SIM_LATENCY_COUNT] = {
            [SIM_LATENCY_CALL] = {50, 500},
            [SIM_LATENCY_ISSUE] = {200, 5000},
            [SIM_LATENCY_WAKE] = {500, 20000},
            [SIM_LATENCY_WORKER] = {5000, 100000},
            [SIM_LATENCY_DISK] = {50000, 5000000},
            [SIM_LATENCY_NETWORK] = {20000, 200000},
    };
    for (int i = 0; i < SIM_LATENCY_COUNT; i++) {
        world->latencies[i].least = latencies[i].least;
        world->latencies[i].most = latencies[i].most;
    }
    world->faults[SIM_FAULT_PREEMPT] = SIM_ALWAYS / 20;
    world->faults[SIM_FAULT_CANCEL_ENDS_LAST] = SIM_ALWAYS / 2;
}

sim_world *world_create(uint64_t seed)
{
    sim_world *world = sim_new(sizeof(*world));

    world->now = SIM_START;
    world->seed = seed;
    sim_random_init(&world->random, seed);
    sim_random_init(&world->choices, ~seed);
    coil_list_init(&world->runnable);
    coil_list_init(&world->hosts);
    coil_list_init(&world->programs);
    coil_list_init(&world->processes);
    coil_list_init(&world->word_waiters);
    coil_list_init(&world->lingering);
    coil_list_init(&world->outputs);
    coil_list_init(&world->ledgers);
    world->last_id = 1; /* That of init. */
    set_defaults(world);
    SIM_CHECK(here, here == NULL, "there is a world already");
    here = world;
    fibers_begin();
    return world;
}

static void end_processes(sim_world *world)
{
    sim_power_end_processes(world, NULL);
    while (!coil_list_empty(&world->processes)) {
        sim_process *process = coil_container_of(world->processes.next, sim_process, link);
        sim_process_reap(process);
    }
}

void world_destroy(sim_world *world)
{
    coil_list *link;

    end_processes(world);
    sim_power_end(world);
    sim_outputs_forget(world);
    sim_network_destroy(world);
    while ((link = coil_list_take_first(&world->hosts)) != NULL) {
        sim_host *host = coil_container_of(link, sim_host, link);
        sim_disk_destroy(host->disk);
        sim_delete(host->name);
        sim_delete(host);
    }
    while ((link = coil_list_take_first(&world->programs)) != NULL) {
        sim_program *program = coil_container_of(link, sim_program, link);
        sim_delete(program->path);
        sim_delete(program);
    }
    fibers_end();
    here = NULL;
    sim_delete(world->heap);
    trace_free(world);
    sim_delete(world);
}

/* -------------------------------------------------------------------------- hosts, programs -- */

sim_host *sim_host_named(sim_world *world, const char *name)
{
    for (coil_list *link = world->hosts.next; link != &world->hosts; link = link->next) {
        sim_host *host = coil_container_of(link, sim_host, link);
        if (strcmp(host->name, name) == 0)
            return host;
    }
    sim_host *host = sim_new(sizeof(*host));
    host->world = world;
    host->name = sim_copy_text(name);
    host->address = 10U << 24 | ++world->host_count;
    (void)snprintf(host->address_text, sizeof(host->address_text), "10.%u.%u.%u",
            host->address >> 16 & 0xff, host->address >> 8 & 0xff, host->address & 0xff);
    coil_list_append(&world->hosts, &host->link);
    return host;
}

sim_host *sim_host_at(sim_world *world, uint32_t address)
{
    for (coil_list *link = world->hosts.next; link != &world->hosts; link = link->next) {
        sim_host *host = coil_container_of(link, sim_host, link);
        if (host->address == address)
            return host;
    }
    return NULL;
}

sim_program *sim_program_at(sim_world *world, const char *path)
{
    for (coil_list *link = world->programs.next; link != &world->programs; link = link->next) {
        sim_program *program = coil_container_of(link, sim_program, link);
        if (strcmp(program->path, path) == 0)
            return program;
    }
    return NULL;
}

/* --------------------------------------------------------------------------------- running -- */

static sim_fiber *choose(sim_world *world)
{
    coil_list *link = world->runnable.next;
    if (world->runnable_count > 1) {
        for (uint64_t i = sim_random_below(world, world->runnable_count); i > 0; i--)
            link = link->next;
    }
    return coil_container_of(link, sim_fiber, run_link);
}

bool world_step(sim_world *world, coil_time limit)
{
    SIM_CHECK(world, world->now >= world->last_step, "time goes back");
    world->last_step = world->now;
    if (world->now >= limit)
        return false;
    if (clock_next(world) <= world->now)
        clock_run_due(world);
    if (world->runnable_count > 0) {
        sim_fiber_resume(choose(world));
        return true;
    }
    const coil_time next = clock_next(world);
    if (next == COIL_NEVER)
        return false;
    world->now = next < limit ? next : limit;
    return true;
}

void world_report_stuck(sim_world *world)
{
    if (world->judge != NULL)
        sim_fail(world, "nothing can happen any more, but processes wait");
    fprintf(stderr, "coil: simulation: nothing can happen any more (seed %llu, at %lld ns):\n",
            (unsigned long long)world->seed, (long long)world->now);
    sim_fibers_report(world);
    processes_print_tasks(world);
    fibers_rest();
}
