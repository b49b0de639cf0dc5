/* SPDX-License-Identifier: MIT */
/* What /proc and prctl(2) tell of processes: those of the host of the caller. */
#include "family.h"

#include <coil/kernel.h>

#include <errno.h>

int coil_kernel_processes(pid_t *out_pids, int limit)
{
    sim_fiber_pass();
    const sim_process *caller = sim_process_current();
    const coil_list *processes = &caller->world->processes; /* By number. */
    int count = 0;

    for (coil_list *at = processes->next; at != processes && count < limit; at = at->next) {
        const sim_process *process = coil_container_of(at, sim_process, link);
        if (process->host == caller->host)
            out_pids[count++] = process->id;
    }
    return count;
}

int coil_kernel_process_children(pid_t pid, pid_t *out_pids, int limit)
{
    sim_fiber_pass();
    const sim_process *process = sim_process_with(sim_process_current()->world, pid);
    int count = 0;

    if (process == NULL || process->host != sim_process_current()->host)
        return -ESRCH;
    const coil_list *children = &process->children;
    for (coil_list *at = children->next; at != children && count < limit; at = at->next)
        out_pids[count++] = coil_container_of(at, sim_process, sibling)->id;
    return count;
}

static char state_of(const sim_process *process)
{
    if (process->has_ended)
        return 'Z';
    return process->is_stopped ? 'T' : 'S';
}

/* Nobody gets the number of another: it is a time as good as any. */
int coil_kernel_process_look(pid_t pid, coil_kernel_process *out_process)
{
    sim_fiber_pass();
    const sim_process *caller = sim_process_current();
    sim_process *process = sim_process_with(caller->world, pid);

    if (process == NULL || process->host != caller->host)
        return -ESRCH;
    *out_process = (coil_kernel_process){
            .pid = pid,
            .parent = process->parent == NULL ? SIM_INIT : process->parent->id,
            .group = sim_family_of(process)->group,
            .session = sim_family_of(process)->session,
            .state = state_of(process),
            .has_ended = process->has_ended,
            .start_time = (uint64_t)pid,
    };
    return 0;
}

int coil_kernel_set_subreaper(bool subreaper)
{
    sim_fiber_pass();
    sim_family_of(sim_process_current())->is_subreaper = subreaper;
    return 0;
}
