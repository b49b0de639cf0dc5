/* SPDX-License-Identifier: MIT */
#include "family.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void on_death_of_parent(sim_event *event);
static void on_deferred_end(sim_event *event);
static void on_reaped(sim_event *event);

/* -------------------------------------------------------------------------------- lifecycle -- */

static void set_usual_limits(sim_family *family, const sim_process *process)
{
    for (int i = 0; i < RLIM_NLIMITS; i++)
        family->limits[i] = (struct rlimit64){RLIM64_INFINITY, RLIM64_INFINITY};
    family->limits[RLIMIT_NOFILE] =
            (struct rlimit64){process->descriptor_limit, process->descriptor_limit};
}

sim_family *sim_family_of(sim_process *process)
{
    if (process->family != NULL)
        return process->family;
    sim_family *family = sim_new(sizeof(*family));
    family->group = process->id;
    family->session = process->id;
    set_usual_limits(family, process);
    sim_waiters_init(&family->changed);
    coil_list_init(&family->pidfds);
    family->process = process;
    family->dies.run = on_death_of_parent;
    family->ends.run = on_deferred_end;
    family->reaped.run = on_reaped;
    family->hangs_up.run = sim_group_on_hang_up;
    process->family = family;
    return family;
}

void sim_family_set_environment(sim_process *process, const char *const *environment)
{
    sim_family *family = sim_family_of(process);
    size_t count = 0;
    while (environment != NULL && environment[count] != NULL)
        count++;
    char **copy = sim_new((count + 1) * sizeof(*copy)); /* First: it may be a copy of itself. */
    for (size_t i = 0; i < count; i++)
        copy[i] = sim_copy_text(environment[i]);
    for (char **text = family->environment; text != NULL && *text != NULL; text++)
        sim_delete(*text);
    sim_delete(family->environment);
    family->environment = copy;
    family->environ = copy;
    if (process == sim_process_current())
        environ = copy;
}

/* In libc, setenv(3) has one array for all: it is the next one's when that calls it. */
static void keep_environment(sim_process *process)
{
    sim_family *family = sim_family_of(process);
    size_t count = 0;

    if (environ == family->environ)
        return;
    while (environ != NULL && environ[count] != NULL)
        count++;
    char **copy = sim_new((count + 1) * sizeof(*copy));
    for (size_t i = 0; i < count; i++)
        copy[i] = environ[i];
    sim_delete(family->environ_copy);
    family->environ_copy = copy;
    family->environ = copy;
}

void family_load_environment(sim_process *before, const sim_process *process)
{
    static char **home; /* Of the world. */
    static char *empty[] = {NULL};

    if (before == NULL) {
        home = environ;
    } else if (environ != empty) {
        keep_environment(before);
    }
    environ = process == NULL ? home : empty;
    if (process != NULL && process->family != NULL && process->family->environ != NULL)
        environ = process->family->environ;
}

void sim_family_inherit(sim_process *child, sim_process *parent, const sim_fiber *thread)
{
    sim_family *family = sim_family_of(child);
    const sim_family *model = sim_family_of(parent);

    family->group = model->group;
    family->session = model->session;
    memcpy(family->users, model->users, sizeof(family->users));
    memcpy(family->groups, model->groups, sizeof(family->groups));
    memcpy(family->limits, model->limits, sizeof(family->limits));
    family->has_no_new_privs = model->has_no_new_privs;
    family->parent_thread = thread->id;
    child->descriptor_limit = parent->descriptor_limit;
    child->is_dumpable = parent->is_dumpable;
    child->umask = parent->umask;
    sim_family_set_environment(child, (const char *const *)model->environment);
}

void sim_family_free(sim_process *process)
{
    sim_family *family = process->family;
    if (family == NULL)
        return;
    sim_withdraw(process->world, &family->dies);
    sim_withdraw(process->world, &family->ends);
    sim_withdraw(process->world, &family->reaped);
    sim_withdraw(process->world, &family->hangs_up);
    sim_pidfds_forget(family);
    sim_family_set_environment(process, NULL);
    sim_delete(family->environment);
    sim_delete(family->environ_copy);
    sim_delete(family);
    process->family = NULL;
}

uid_t sim_family_user(const sim_process *process)
{
    return process->family == NULL ? 0 : process->family->users[1];
}

/* ------------------------------------------------------------------------------------ groups -- */

int sim_family_lead_group(sim_process *process)
{
    sim_family *family = sim_family_of(process);
    if (family->session == process->id)
        return -EPERM;
    family->group = process->id;
    return 0;
}

int sim_family_lead_session(sim_process *process)
{
    sim_family *family = sim_family_of(process);
    if (family->group == process->id)
        return -EPERM;
    family->group = process->id;
    family->session = process->id;
    return 0;
}

int sim_may_signal(const sim_process *sender, const sim_process *target, int signo)
{
    static const sim_family nobody;
    const sim_family *from = sender->family != NULL ? sender->family : &nobody;
    const sim_family *to = target->family != NULL ? target->family : &nobody;

    if (signo < 0 || signo > SIM_SIGNAL_LAST)
        return -EINVAL;
    if (from->users[1] == 0 || (signo == SIGCONT && from->session == to->session))
        return 0;
    for (int i = 0; i < 2; i++) {
        if (from->users[i] == to->users[0] || from->users[i] == to->users[2])
            return 0;
    }
    return -EPERM;
}

/* Numbers are of one host: what runs on another is not seen. */
static bool is_meant(const sim_process *sender, sim_process *process, pid_t target)
{
    if (process->host != sender->host)
        return false;
    if (target > 0)
        return process->id == target;
    if (target == -1)
        return process != sender;
    return sim_family_of(process)->group == (target == 0 ? sender->family->group : -target);
}

/*
 * One after the other: the sender itself comes last, as it may not come back. Sending may end a
 * process, and free others; so the next one is looked for by number.
 */
static sim_process *next_meant(sim_process *sender, pid_t target, pid_t after)
{
    const coil_list *processes = &sender->world->processes;
    sim_process *found = NULL;
    for (coil_list *at = processes->next; at != processes; at = at->next) {
        sim_process *process = coil_container_of(at, sim_process, link);
        if (process->id <= after || !is_meant(sender, process, target))
            continue;
        if (found == NULL || process->id < found->id)
            found = process;
    }
    return found;
}

int sim_kill(sim_process *sender, pid_t target, int signo)
{
    const siginfo_t signal = sim_signal_from(sender, signo);
    bool is_own = false;
    int rc = -ESRCH;

    (void)sim_family_of(sender);
    for (sim_process *process = next_meant(sender, target, 0); process != NULL;) {
        const pid_t id = process->id;
        const int allowed = sim_may_signal(sender, process, signo);
        if (rc < 0) /* One that could be reached is enough: kill(2). */
            rc = allowed;
        if (allowed == 0 && process == sender) {
            is_own = true;
        } else if (allowed == 0 && signo != 0) {
            sim_signal_send(process, &signal);
        }
        process = next_meant(sender, target, id);
    }
    if (is_own && signo != 0)
        sim_signal_send(sender, &signal);
    return rc;
}

/* ----------------------------------------------------------------------------------- the end -- */

static void send_code(sim_process *parent, const sim_process *child, int code, int value)
{
    siginfo_t signal = sim_signal_from(child, SIGCHLD);
    signal.si_code = code;
    signal.si_status = value;
    sim_signal_send(parent, &signal);
}

void sim_family_report(sim_process *process, int code, int signo)
{
    sim_process *parent = process->parent;
    sim_family *family = sim_family_of(process);

    family->stop_signal = code == CLD_STOPPED ? signo : 0;
    family->has_continued = code == CLD_CONTINUED;
    if (parent == NULL)
        return;
    sim_waiters_notify(&sim_family_of(parent)->changed);
    if ((sim_signals_of(parent)->actions[SIGCHLD].sa_flags & SA_NOCLDSTOP) == 0)
        send_code(parent, process, code, signo);
}

static void on_reaped(sim_event *event)
{
    sim_process_reap(coil_container_of(event, sim_family, reaped)->process);
}

static void reap_soon(sim_process *process)
{
    sim_family *family = sim_family_of(process);
    family->is_unwanted = true;
    if (!sim_scheduled(&family->reaped))
        sim_at(process->world, sim_now(process->world), &family->reaped);
}

/* A parent can say that it wants no statuses (waitid(2), NOTES). */
static void tell_parent(sim_process *process)
{
    sim_process *parent = process->parent;
    const struct sigaction *action = &sim_signals_of(parent)->actions[SIGCHLD];
    const bool is_ignored = action->sa_handler == SIG_IGN;

    if (is_ignored || (action->sa_flags & SA_NOCLDWAIT) != 0)
        reap_soon(process);
    if (!is_ignored)
        send_code(parent, process, process->status.si_code, process->status.si_status);
    sim_waiters_notify(&sim_family_of(parent)->changed);
}

/* Who takes its children: the nearest ancestor that is a subreaper (prctl(2)), or init: NULL. */
static sim_process *heir(const sim_process *process)
{
    sim_process *ancestor = process->parent;
    while (ancestor != NULL && !sim_family_of(ancestor)->is_subreaper)
        ancestor = ancestor->parent;
    return ancestor;
}

static void on_death_of_parent(sim_event *event)
{
    sim_family *family = coil_container_of(event, sim_family, dies);
    const siginfo_t signal = sim_signal_from(NULL, family->death_signal);
    if (family->death_signal != 0)
        sim_signal_send(family->process, &signal);
}

static void send_death_signal(sim_process *child)
{
    sim_family *family = sim_family_of(child);
    sim_world *world = child->world;
    if (family->death_signal == 0 || child->has_ended || family->knows_of_death ||
            sim_scheduled(&family->dies))
        return;
    sim_after(world, sim_draw_latency(world, SIM_LATENCY_WAKE), &family->dies);
}

static void give_to(sim_process *child, sim_process *parent)
{
    coil_list_remove(&child->sibling);
    child->parent = parent;
    sim_family_of(child)->parent_thread = 0;
    if (parent == NULL) {
        sim_family_give_to_init(child);
        return;
    }
    coil_list_append(&parent->children, &child->sibling);
    if (child->has_ended)
        tell_parent(child);
}

void sim_family_give_to_init(sim_process *process)
{
    sim_family_of(process)->is_unwanted = true;
    if (process->has_ended)
        reap_soon(process);
}

static void give_children_away(sim_process *process)
{
    sim_process *parent = heir(process);
    while (!coil_list_empty(&process->children)) {
        sim_process *child = coil_container_of(process->children.next, sim_process, sibling);
        send_death_signal(child);
        sim_family_of(child)->knows_of_death = false; /* It has another parent now. */
        give_to(child, parent);
        if (!child->has_ended)
            sim_group_left(child, process);
    }
}

void sim_family_end(sim_process *process)
{
    sim_family *family = sim_family_of(process);

    process->status.si_uid = family->users[0];
    sim_withdraw(process->world, &family->ends);
    give_children_away(process);
    sim_group_left(process, process->parent);
    sim_clone_end(process);
    sim_pidfds_changed(family);
    if (process->parent != NULL) {
        tell_parent(process);
    } else if (family->is_unwanted) {
        reap_soon(process);
    }
}

static void on_deferred_end(sim_event *event)
{
    const sim_family *family = coil_container_of(event, sim_family, ends);
    sim_process_end(family->process, family->end_code, family->end_value);
}

/* Children that run on its memory hear of its death now, lest they wait for something for ever. */
static void tell_clones(const sim_process *process)
{
    const coil_list *children = &process->children;
    for (coil_list *at = children->next; at != children; at = at->next) {
        sim_process *child = coil_container_of(at, sim_process, sibling);
        if (child->family == NULL || child->family->clone == NULL)
            continue;
        send_death_signal(child);
        child->family->knows_of_death = child->family->death_signal != 0;
    }
}

/*
 * Linux would let the child go on alone, on memory that outlives its owner. Ours does not; so the
 * end comes when the child has done its exec, some microseconds later, or has died of the death of
 * its parent. Until then the threads of the parent stand still, as if they were gone.
 */
bool sim_family_defers_end(sim_process *process, int code, int value)
{
    sim_family *family = process->family;
    if (family == NULL || family->clone_count == 0)
        return false;
    if (!family->is_ending) {
        family->is_ending = true;
        family->end_code = code;
        family->end_value = value;
        sim_fibers_freeze(process);
        tell_clones(process);
    }
    while (process == sim_process_current())
        (void)sim_fiber_wait(NULL, COIL_NEVER, "exit: a child is about to exec");
    return true;
}

static const sim_fiber *living_thread(const sim_process *process)
{
    for (coil_list *at = process->fibers.next; at != &process->fibers; at = at->next) {
        const sim_fiber *fiber = coil_container_of(at, sim_fiber, link);
        if (fiber->state != SIM_FIBER_ENDED)
            return fiber;
    }
    return NULL;
}

/* For its children, the parent is the thread; then they belong to another one of the process. */
void sim_family_thread_ended(sim_process *process, pid_t thread)
{
    if (process->has_ended || coil_list_empty(&process->children))
        return;
    const sim_fiber *other = living_thread(process);
    for (coil_list *at = process->children.next; at != &process->children; at = at->next) {
        sim_process *child = coil_container_of(at, sim_process, sibling);
        if (sim_family_of(child)->parent_thread != thread)
            continue;
        sim_family_of(child)->parent_thread = other == NULL ? 0 : other->id;
        send_death_signal(child);
    }
}
