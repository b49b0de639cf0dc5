/* SPDX-License-Identifier: MIT */
/*
 * Process groups that nobody looks after any more.
 *
 * A group is orphaned if no member has a parent that is in another group of the same session, such
 * as a shell. If a process ends and thereby orphans a group, and a member of that is stopped, all
 * of it is sent SIGHUP and SIGCONT, as nobody would continue it (setpgid(2); kill_orphaned_pgrp()
 * of Linux).
 */
#include "family.h"

static pid_t group_of(sim_process *process)
{
    return sim_family_of(process)->group;
}

static bool is_looked_after(sim_process *member)
{
    sim_process *parent = member->parent;
    return parent != NULL && group_of(parent) != group_of(member) &&
           sim_family_of(parent)->session == sim_family_of(member)->session;
}

typedef enum group_question { HAS_KEEPER, HAS_STOPPED } group_question;

/* Is this so of any living member on the host? */
static bool is_any(sim_process *of, group_question question)
{
    const coil_list *processes = &of->world->processes;

    for (coil_list *at = processes->next; at != processes; at = at->next) {
        sim_process *member = coil_container_of(at, sim_process, link);
        if (member->has_ended || member->host != of->host || group_of(member) != group_of(of))
            continue;
        if (question == HAS_KEEPER ? is_looked_after(member) : member->is_stopped)
            return true;
    }
    return false;
}

/* A moment later: one of them may be the process that makes the call which led to this. */
static void hang_up(sim_process *of)
{
    sim_world *world = of->world;

    sim_trace(world, "group %d is orphaned", (int)group_of(of));
    for (coil_list *at = world->processes.next; at != &world->processes; at = at->next) {
        sim_process *member = coil_container_of(at, sim_process, link);
        sim_family *family = sim_family_of(member);
        if (member->has_ended || member->host != of->host || family->group != group_of(of))
            continue;
        if (!sim_scheduled(&family->hangs_up))
            sim_at(world, sim_now(world), &family->hangs_up);
    }
}

void sim_group_left(sim_process *member, sim_process *keeper)
{
    if (keeper == NULL || group_of(keeper) == group_of(member) ||
            sim_family_of(keeper)->session != sim_family_of(member)->session)
        return;
    if (!is_any(member, HAS_KEEPER) && is_any(member, HAS_STOPPED))
        hang_up(member);
}

void sim_group_on_hang_up(sim_event *event)
{
    sim_process *process = coil_container_of(event, sim_family, hangs_up)->process;
    const siginfo_t hang_up = sim_signal_from(NULL, SIGHUP);
    const siginfo_t go_on = sim_signal_from(NULL, SIGCONT);

    sim_signal_send(process, &hang_up);
    sim_signal_send(process, &go_on); /* Nothing, if it has ended. */
}
