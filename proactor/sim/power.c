/* SPDX-License-Identifier: MIT */
#include "power.h"

#include "disk.h"
#include "family.h"
#include "fiber.h"
#include "network.h"
#include "ring.h"
#include "signals.h"

#include <coil/sim.h>

#include <errno.h>

/* ------------------------------------------------------------------------------------- kill -- */

void sim_process_kill(sim_process *process, int signo)
{
    const siginfo_t signal = sim_signal_from(NULL, signo);
    sim_signal_send(process, &signal);
}

void sim_process_kill_at_call(sim_process *process, uint64_t call, int signo)
{
    sim_signals *signals = sim_signals_of(process);
    signals->call_count = 0;
    signals->last_call = call;
    signals->last_signal = signo;
}

/* -------------------------------------------------------------------------------- lingering -- */

typedef struct sim_lingering {
    coil_list link; /* In world->lingering. */
    sim_event event;
    const sim_host *host;
    sim_file *file;
} sim_lingering;

/* Measured (pitfall 3): 9 ms on average, 20 ms at worst, never none. */
#define LINGER_LEAST coil_us(100)
#define LINGER_MOST coil_ms(20)

static void let_go(sim_lingering *lingering)
{
    sim_file *file = lingering->file;
    coil_list_remove(&lingering->link);
    sim_withdraw(file->world, &lingering->event);
    sim_delete(lingering);
    sim_file_drop(file);
}

static void on_torn_down(sim_event *event)
{
    let_go(coil_container_of(event, sim_lingering, event));
}

static void keep(const sim_host *host, sim_file *file, coil_duration delay)
{
    sim_world *world = host->world;
    sim_lingering *lingering = sim_new(sizeof(*lingering));
    lingering->host = host;
    lingering->file = sim_file_hold(file);
    lingering->event.run = on_torn_down;
    coil_list_append(&world->lingering, &lingering->link);
    sim_after(world, delay, &lingering->event);
}

void sim_power_linger(sim_process *process, const sim_fiber *canceller)
{
    sim_world *world = process->world;
    if (process->host->is_off)
        return; /* There is no kernel any more, either. */
    for (coil_list *at = process->rings.next; at != &process->rings; at = at->next) {
        const sim_ring *ring = coil_container_of(at, sim_ring, link);
        if (ring->request_count == 0 || (canceller != NULL && ring->owner == canceller))
            continue;
        const coil_duration delay = sim_random_between(world, LINGER_LEAST, LINGER_MOST);
        for (coil_list *of = ring->requests.next; of != &ring->requests; of = of->next) {
            const sim_request *request = coil_container_of(of, sim_request, link);
            if (request->file != NULL)
                keep(process->host, request->file, delay);
        }
    }
}

/* Of one host, or of all (NULL). */
static void end_lingering(sim_world *world, const sim_host *host)
{
    coil_list *next;
    for (coil_list *at = world->lingering.next; at != &world->lingering; at = next) {
        sim_lingering *lingering = coil_container_of(at, sim_lingering, link);
        next = at->next;
        if (host == NULL || lingering->host == host)
            let_go(lingering);
    }
}

void sim_power_end(sim_world *world)
{
    end_lingering(world, NULL);
}

/* ------------------------------------------------------------------------------- power loss -- */

static bool is_on(const sim_process *process, const sim_host *host)
{
    return host == NULL || process->host == host;
}

/* The youngest first: a child that runs on the memory of its parent ends before it. */
static sim_process *youngest(sim_world *world, const sim_host *host, bool has_ended)
{
    sim_process *found = NULL;
    for (coil_list *at = world->processes.next; at != &world->processes; at = at->next) {
        sim_process *process = coil_container_of(at, sim_process, link);
        if (process->has_ended == has_ended && is_on(process, host))
            found = process;
    }
    return found;
}

void sim_power_end_processes(sim_world *world, const sim_host *host)
{
    sim_process *process;
    while ((process = youngest(world, host, false)) != NULL)
        sim_process_end(process, CLD_KILLED, SIGKILL);
}

/* For the trace. */
static void say_what_ends(sim_host *host)
{
    sim_world *world = host->world;
    sim_trace(world, "%s loses power", host->name);
    for (coil_list *at = world->processes.next; at != &world->processes; at = at->next) {
        const sim_process *process = coil_container_of(at, sim_process, link);
        if (!process->has_ended && is_on(process, host))
            sim_trace(world, "  process %d (%s) ends", (int)process->id, process->path);
    }
}

void sim_host_cut_power(sim_host *host)
{
    sim_world *world = host->world;
    const sim_process *current = sim_process_current();
    sim_process *process;

    SIM_CHECK(world, current == NULL || current->host != host, "a process cuts its own power");
    if (host->is_off)
        return;
    say_what_ends(host);
    host->is_off = true;
    sim_network_power_off(host);
    sim_power_end_processes(world, host);
    while ((process = youngest(world, host, true)) != NULL)
        sim_process_reap(process);
    end_lingering(world, host);
    if (host->disk != NULL)
        sim_disk_crash(host->disk);
}

void sim_host_restore_power(sim_host *host)
{
    if (!host->is_off)
        return;
    sim_trace(host->world, "%s has power again", host->name);
    host->is_off = false;
    sim_network_power_on(host);
}

/* ------------------------------------------------------------------------------------ public -- */

int coil_sim_kill(coil_sim *sim, pid_t pid, int signo)
{
    sim_process *process = sim_process_with(sim, pid);
    if (process == NULL)
        return -ESRCH;
    if (signo < 1 || signo > SIM_SIGNAL_LAST)
        return -EINVAL;
    sim_process_kill(process, signo);
    return 0;
}

int coil_sim_kill_at_call(coil_sim *sim, pid_t pid, uint64_t call, int signo)
{
    sim_process *process = sim_process_with(sim, pid);
    if (process == NULL)
        return -ESRCH;
    if (signo < 1 || signo > SIM_SIGNAL_LAST)
        return -EINVAL;
    sim_process_kill_at_call(process, call, signo);
    return 0;
}

static void on_dark(sim_event *event)
{
    sim_host_cut_power(coil_container_of(event, sim_host, dark));
}

void coil_sim_cut_power(coil_sim *sim, const char *name)
{
    sim_host *host = sim_host_named(sim, name);
    const sim_process *current = sim_process_current();

    if (current == NULL || current->host != host) {
        sim_host_cut_power(host);
        return;
    }
    host->dark.run = on_dark;
    if (!sim_scheduled(&host->dark))
        sim_at(sim, sim_now(sim), &host->dark);
    for (;;)
        (void)sim_fiber_wait(NULL, COIL_NEVER, "the end: its host has no power");
}

size_t coil_sim_process_count(const coil_sim *sim)
{
    size_t count = 0;
    for (coil_list *at = sim->processes.next; at != &sim->processes; at = at->next)
        count++;
    return count;
}
