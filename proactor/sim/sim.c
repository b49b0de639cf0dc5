/* SPDX-License-Identifier: MIT */
#include <coil/sim.h>

#include "family.h"
#include "fiber.h"
#include "ledger.h"
#include "output.h"
#include "power.h"
#include "process.h"
#include "replay.h"
#include "world_run.h"

#include <errno.h>
#include <string.h>

coil_sim *coil_sim_create(uint64_t seed)
{
    return world_create(seed);
}

void coil_sim_destroy(coil_sim *sim)
{
    if (sim != NULL)
        world_destroy(sim);
}

void coil_sim_program(coil_sim *sim, const char *path, int (*main)(int argc, char **argv))
{
    sim_program *program = sim_program_at(sim, path);
    if (program == NULL) {
        program = sim_new(sizeof(*program));
        program->path = sim_copy_text(path);
        coil_list_append(&sim->programs, &program->link);
    }
    program->main = main;
}

pid_t coil_sim_start(coil_sim *sim, const char *host, const char *path, char *const *arguments)
{
    const sim_program *program = sim_program_at(sim, path);
    if (program == NULL)
        return -ENOENT;
    char *name = sim_copy_text(path);
    char *const alone[] = {name, NULL};
    sim_host *machine = sim_host_named(sim, host);
    sim_host_restore_power(machine);
    sim_process *process = sim_process_create(machine, NULL);
    sim_process_open_standard(process);
    sim_process_exec(process, program, arguments != NULL ? arguments : alone);
    sim_delete(name);
    return process->id;
}

void coil_sim_report_leaks(coil_sim *sim, pid_t pid)
{
    sim_process *process = sim_process_with(sim, pid);
    if (process != NULL)
        process->reports_leaks = true;
}

int coil_sim_set_descriptor_limit(coil_sim *sim, pid_t pid, unsigned count)
{
    sim_process *process = sim_process_with(sim, pid);
    if (process == NULL || process->has_ended)
        return -ESRCH;
    const struct rlimit64 limit = {count, count};
    process->descriptor_limit = count;
    sim_family_of(process)->limits[RLIMIT_NOFILE] = limit;
    return 0;
}

void coil_sim_set_clock(coil_sim *sim, const char *host, coil_duration ahead)
{
    sim_host_named(sim, host)->wall_ahead = ahead;
}

coil_sim_outcome coil_sim_run(coil_sim *sim, coil_duration limit)
{
    const coil_time end = coil_time_after(sim->now, limit);

    while (world_step(sim, end)) {
    }
    fibers_rest();
    sim_ledgers_check(sim);
    if (sim->fiber_count == 0)
        return COIL_SIM_ENDED;
    if (sim->now >= end)
        return COIL_SIM_LATE;
    sim_replays_check(sim);
    world_report_stuck(sim);
    return COIL_SIM_STUCK;
}

int coil_sim_status(const coil_sim *sim, pid_t pid)
{
    const sim_process *process = sim_process_with(sim, pid);
    if (process == NULL)
        return -ESRCH;
    if (!process->has_ended)
        return -EBUSY;
    return process->status.si_code == CLD_EXITED ? process->status.si_status
                                                 : -process->status.si_status;
}

uint64_t coil_sim_leaks(const coil_sim *sim, pid_t pid)
{
    const sim_process *process = sim_process_with(sim, pid);
    return process == NULL ? 0 : process->leaked_count;
}

unsigned coil_sim_open_descriptors(const coil_sim *sim, pid_t pid)
{
    const sim_process *process = sim_process_with(sim, pid);
    return process == NULL ? 0 : process->open_count;
}

coil_time coil_sim_now(const coil_sim *sim)
{
    return sim->now;
}

uint64_t coil_sim_operations(const coil_sim *sim)
{
    return sim->operation_count;
}

uint64_t coil_sim_fingerprint(const coil_sim *sim)
{
    return sim->trace_hash;
}
