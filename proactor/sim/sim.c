/* SPDX-License-Identifier: MIT */
#include <coil/sim.h>

#include "fiber.h"
#include "output.h"
#include "power.h"
#include "process.h"
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

/* How often in a million each goes wrong, as COIL_SIM_FLAKY has it. */
static const sim_probability flaky[SIM_FAULT_COUNT] = {
        [SIM_FAULT_SHORT_READ] = 50000,
        [SIM_FAULT_SHORT_WRITE] = 50000,
        [SIM_FAULT_ENTER_EINTR] = 10000,
        [SIM_FAULT_ENTER_EBUSY] = 100000,
        [SIM_FAULT_ENTER_EAGAIN] = 1000,
        [SIM_FAULT_PARTIAL_SUBMIT] = 20000,
        [SIM_FAULT_EARLY_WAKE] = 10000,
        [SIM_FAULT_MULTISHOT_ENDS] = 20000,
        [SIM_FAULT_CANCEL_TOO_LATE] = 100000,
        [SIM_FAULT_NO_BUFFER] = 2000,
        [SIM_FAULT_RING_REGISTER] = 10000,
        [SIM_FAULT_WORD_WAKE] = 10000,
        [SIM_FAULT_COND_WAKE] = 10000,
        [SIM_FAULT_NOT_CACHED] = 100000,
        [SIM_FAULT_ACCEPT_ABORTED] = 2000,
};

/* What only a hostile world does: a program may well end because of it, but not crash. */
static const sim_probability rare[SIM_FAULT_COUNT] = {
        [SIM_FAULT_RING_SETUP] = 5000,
        [SIM_FAULT_NO_DESCRIPTOR] = 5000,
        [SIM_FAULT_NO_THREAD] = 10000,
        [SIM_FAULT_NO_MEMORY] = 2000,
        [SIM_FAULT_CONNECT_REFUSED] = 20000,
        [SIM_FAULT_RESET] = 2000,
        [SIM_FAULT_DATAGRAM_LOST] = 20000,
        [SIM_FAULT_DATAGRAM_TWICE] = 5000,
        [SIM_FAULT_DISK_FULL] = 5000,
        [SIM_FAULT_DISK_ERROR] = 2000,
        [SIM_FAULT_NO_PROCESS] = 10000,
};

void coil_sim_set_profile(coil_sim *sim, coil_sim_profile profile)
{
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        if (i == SIM_FAULT_PREEMPT || i == SIM_FAULT_CANCEL_ENDS_LAST)
            continue; /* These are no faults, but the order of things. */
        sim_probability probability = 0;
        if (profile == COIL_SIM_FLAKY)
            probability = flaky[i];
        if (profile == COIL_SIM_HOSTILE)
            probability = 3 * flaky[i] + rare[i];
        sim->faults[i] = probability;
    }
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

void coil_sim_fail_allocation(coil_sim *sim, pid_t pid, uint64_t count)
{
    sim_process *process = sim_process_with(sim, pid);
    if (process != NULL)
        process->failing_allocation = count;
}

void coil_sim_report_leaks(coil_sim *sim, pid_t pid)
{
    sim_process *process = sim_process_with(sim, pid);
    if (process != NULL)
        process->reports_leaks = true;
}

coil_sim_outcome coil_sim_run(coil_sim *sim, coil_duration limit)
{
    const coil_time end = coil_time_after(sim->now, limit);

    while (world_step(sim, end)) {
    }
    fibers_rest();
    if (sim->fiber_count == 0)
        return COIL_SIM_ENDED;
    if (sim->now >= end)
        return COIL_SIM_LATE;
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
