/* SPDX-License-Identifier: MIT */
#include "signals.h"

#include "family.h"

#include <errno.h>
#include <string.h>

/* ------------------------------------------------------------------------------------- sets -- */

/* The first 64 bits of a sigset_t are those of the kernel. */
sim_signal_set sim_signal_set_of(const sigset_t *set)
{
    sim_signal_set result;
    memcpy(&result, set, sizeof(result));
    return result & ~(sim_signal_bit(SIGKILL) | sim_signal_bit(SIGSTOP));
}

void sim_signal_set_to(sim_signal_set from, sigset_t *out_set)
{
    (void)sigemptyset(out_set);
    memcpy(out_set, &from, sizeof(from));
}

#define BIT(signo) ((sim_signal_set)1 << ((signo)-1))

/* signal(7), "Standard signals": what happens to one that nobody has an action for. */
static const sim_signal_set stopping = BIT(SIGSTOP) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU);
static const sim_signal_set harmless = BIT(SIGCHLD) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGCONT);
static const sim_signal_set dumping = BIT(SIGQUIT) | BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGABRT) |
                                      BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGSEGV) | BIT(SIGXCPU) |
                                      BIT(SIGXFSZ) | BIT(SIGSYS);
static const sim_signal_set faults =
        BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGILL) | BIT(SIGFPE) | BIT(SIGTRAP) | BIT(SIGSYS);

static bool has(sim_signal_set set, int signo)
{
    return (set & BIT(signo)) != 0;
}

static void discard(sim_signals *signals, sim_signal_set set)
{
    sim_pending_discard(&signals->pending, set);
    for (coil_list *at = signals->threads.next; at != &signals->threads; at = at->next)
        sim_pending_discard(&coil_container_of(at, sim_thread_signals, link)->pending, set);
}

/* ---------------------------------------------------------------------------------- threads -- */

static void free_thread(sim_thread_signals *thread)
{
    sim_pending_discard(&thread->pending, UINT64_MAX);
    coil_list_remove(&thread->link);
    sim_delete(thread);
}

static sim_fiber *fiber_with(const sim_process *process, pid_t id)
{
    for (coil_list *at = process->fibers.next; at != &process->fibers; at = at->next) {
        sim_fiber *fiber = coil_container_of(at, sim_fiber, link);
        if (fiber->id == id && fiber->state != SIM_FIBER_ENDED)
            return fiber;
    }
    return NULL;
}

/* Threads end without a word to us: those that are gone are swept out when a new one comes. */
static void sweep(sim_process *process)
{
    coil_list *threads = &process->signals->threads;
    for (coil_list *at = threads->next, *next; at != threads; at = next) {
        sim_thread_signals *thread = coil_container_of(at, sim_thread_signals, link);
        next = at->next;
        if (thread->thread != process->id && fiber_with(process, thread->thread) == NULL)
            free_thread(thread);
    }
}

static sim_thread_signals *find_thread(const sim_signals *signals, pid_t id)
{
    for (coil_list *at = signals->threads.next; at != &signals->threads; at = at->next) {
        sim_thread_signals *thread = coil_container_of(at, sim_thread_signals, link);
        if (thread->thread == id)
            return thread;
    }
    return NULL;
}

/* The first thread of a process blocks nothing, unless it inherits; the others all but faults. */
static sim_thread_signals *thread_of(sim_process *process, pid_t id)
{
    sim_signals *signals = sim_signals_of(process);
    sim_thread_signals *thread = find_thread(signals, id);
    if (thread != NULL)
        return thread;
    sweep(process);
    thread = sim_new(sizeof(*thread));
    thread->thread = id;
    thread->mask = id == process->id ? 0 : ~faults;
    sim_pending_init(&thread->pending);
    coil_list_append(&signals->threads, &thread->link);
    return thread;
}

sim_signal_set *sim_signal_mask(sim_process *process, const sim_fiber *thread)
{
    return &thread_of(process, thread->id)->mask;
}

/* -------------------------------------------------------------------------------- lifecycle -- */

sim_signals *sim_signals_of(sim_process *process)
{
    if (process->signals != NULL)
        return process->signals;
    sim_signals *signals = sim_new(sizeof(*signals));
    sim_pending_init(&signals->pending);
    coil_list_init(&signals->threads);
    coil_list_init(&signals->files);
    process->signals = signals;
    return signals;
}

void sim_signals_inherit(sim_process *child, sim_process *parent, const sim_fiber *thread)
{
    sim_signals *signals = sim_signals_of(child);
    const sim_signals *model = sim_signals_of(parent);
    memcpy(signals->actions, model->actions, sizeof(signals->actions));
    thread_of(child, child->id)->mask = thread_of(parent, thread->id)->mask;
}

/* What was sent to the thread that goes on, and to no other; the first one has ended. */
static void become_first(sim_process *process, pid_t caller)
{
    sim_thread_signals *first = find_thread(process->signals, process->id);
    if (first != NULL)
        free_thread(first);
    thread_of(process, caller)->thread = process->id;
}

void sim_signals_exec(sim_process *process, const sim_fiber *caller)
{
    sim_signals *signals = sim_signals_of(process);

    if (caller->id != process->id)
        become_first(process, caller->id);
    for (int signo = 1; signo <= SIM_SIGNAL_LAST; signo++) {
        if (signals->actions[signo].sa_handler != SIG_IGN)
            memset(&signals->actions[signo], 0, sizeof(signals->actions[signo]));
    }
}

void sim_signals_free(sim_process *process)
{
    sim_signals *signals = process->signals;
    if (signals == NULL)
        return;
    while (!coil_list_empty(&signals->threads))
        free_thread(coil_container_of(signals->threads.next, sim_thread_signals, link));
    sim_pending_discard(&signals->pending, UINT64_MAX);
    sim_signalfds_forget(signals);
    sim_delete(signals);
    process->signals = NULL;
}

/* ---------------------------------------------------------------------------------- sending -- */

siginfo_t sim_signal_from(const sim_process *sender, int signo)
{
    siginfo_t signal;
    memset(&signal, 0, sizeof(signal));
    signal.si_signo = signo;
    signal.si_code = SI_USER;
    signal.si_pid = sender == NULL ? 0 : sender->id;
    signal.si_uid = sender == NULL ? 0 : sim_family_user(sender);
    return signal;
}

static bool is_ignored(const sim_signals *signals, int signo)
{
    const struct sigaction *action = &signals->actions[signo];
    if (action->sa_handler == SIG_DFL)
        return has(harmless, signo);
    return action->sa_handler == SIG_IGN;
}

int sim_signal_set_action(sim_process *process, int signo, const struct sigaction *action,
        struct sigaction *out_before)
{
    sim_signals *signals = sim_signals_of(process);

    if (signo < 1 || signo > SIM_SIGNAL_LAST)
        return -EINVAL;
    if (action != NULL && (signo == SIGKILL || signo == SIGSTOP))
        return -EINVAL;
    if (out_before != NULL)
        *out_before = signals->actions[signo];
    if (action == NULL)
        return 0;
    signals->actions[signo] = *action;
    if (is_ignored(signals, signo))
        discard(signals, BIT(signo)); /* POSIX: also those that are blocked. */
    return 0;
}

static bool is_deadly(const sim_signals *signals, int signo)
{
    if (signo == SIGKILL)
        return true;
    return signals->actions[signo].sa_handler == SIG_DFL && !has(harmless | stopping, signo);
}

static bool is_blocked(sim_process *process, const sim_fiber *thread, int signo)
{
    return signo != SIGKILL && signo != SIGSTOP && has(thread_of(process, thread->id)->mask, signo);
}

/* The thread that is to see to it: the first of the process if it can, else whichever does. */
static sim_fiber *willing_thread(sim_process *process, int signo)
{
    sim_fiber *first = fiber_with(process, process->id);
    if (first != NULL && !is_blocked(process, first, signo))
        return first;
    for (coil_list *at = process->fibers.next; at != &process->fibers; at = at->next) {
        sim_fiber *fiber = coil_container_of(at, sim_fiber, link);
        if (fiber->state != SIM_FIBER_ENDED && !is_blocked(process, fiber, signo))
            return fiber;
    }
    return NULL;
}

static void stop(sim_process *process, int signo)
{
    if (process->is_stopped)
        return;
    process->is_stopped = true;
    sim_trace(process->world, "process %d stops", (int)process->id);
    sim_fibers_hold(process);
    sim_family_report(process, CLD_STOPPED, signo);
}

static void end(sim_process *process, int signo)
{
    sim_process_end(process, has(dumping, signo) ? CLD_DUMPED : CLD_KILLED, signo);
}

/* A deadly signal that came while it was stopped, the lowest first. */
static void die_of_pending(sim_process *process)
{
    for (coil_list *at = process->fibers.next; at != &process->fibers; at = at->next) {
        sim_fiber *fiber = coil_container_of(at, sim_fiber, link);
        const sim_signal_set seen =
                sim_signal_pending(process, fiber) & ~thread_of(process, fiber->id)->mask;
        for (int signo = 1; fiber->state != SIM_FIBER_ENDED && signo <= SIM_SIGNAL_LAST; signo++) {
            if (has(seen, signo) && is_deadly(process->signals, signo)) {
                end(process, signo);
                return;
            }
        }
    }
}

static void resume(sim_process *process)
{
    if (!process->is_stopped)
        return;
    process->is_stopped = false;
    sim_trace(process->world, "process %d continues", (int)process->id);
    sim_fibers_continue(process);
    sim_family_report(process, CLD_CONTINUED, SIGCONT);
}

/*
 * What a signal does when it is sent, whoever blocks it: SIGCONT continues, and takes with it the
 * stops that are still to come; a stop does the same to SIGCONT.
 */
static void prepare(sim_process *process, int signo)
{
    if (signo == SIGCONT || signo == SIGKILL) {
        discard(process->signals, stopping);
        resume(process);
        if (signo == SIGCONT)
            die_of_pending(process);
    }
    if (has(stopping, signo))
        discard(process->signals, BIT(SIGCONT));
}

/* `thread` is who will see to it, now or when it calls the seam again. NULL: all block it. */
static void dispatch(
        sim_process *process, sim_fiber *thread, sim_pending *pending, const siginfo_t *signal)
{
    sim_signals *signals = process->signals;
    const int signo = signal->si_signo;

    if (thread != NULL && is_ignored(signals, signo))
        return; /* What is blocked is kept: the action may change before it is seen to. */
    /*
     * What is stopped sees to it when it continues (signal(7); observed:
     * child_is_signalled_while_stopped).
     */
    if (thread != NULL && is_deadly(signals, signo) && !process->is_stopped) {
        end(process, signo);
        return;
    }
    sim_pending_add(pending, signal);
    sim_signalfds_changed(signals, signo);
    if (thread == NULL || process->is_stopped)
        return;
    if (signals->actions[signo].sa_handler == SIG_DFL || signo == SIGSTOP) {
        sim_pending_discard(pending, BIT(signo));
        stop(process, signo);
        return;
    }
    sim_fiber_interrupt(thread);
}

void sim_signal_send(sim_process *process, const siginfo_t *signal)
{
    sim_signals *signals = sim_signals_of(process);
    if (process->has_ended)
        return; /* A zombie takes any signal, and does nothing. */
    sim_trace(process->world, "signal %d to process %d", signal->si_signo, (int)process->id);
    prepare(process, signal->si_signo);
    if (process->has_ended)
        return;
    dispatch(process, willing_thread(process, signal->si_signo), &signals->pending, signal);
}

void sim_signal_send_thread(sim_fiber *fiber, const siginfo_t *signal)
{
    sim_process *process = fiber->process;
    sim_thread_signals *thread = thread_of(process, fiber->id);
    if (process->has_ended)
        return;
    sim_trace(process->world, "signal %d to thread %d", signal->si_signo, (int)fiber->id);
    prepare(process, signal->si_signo);
    if (process->has_ended)
        return;
    const bool blocked = is_blocked(process, fiber, signal->si_signo);
    dispatch(process, blocked ? NULL : fiber, &thread->pending, signal);
}

void sim_signal_pipe(void)
{
    sim_fiber *fiber = sim_fiber_current();
    if (fiber == NULL)
        return;
    const siginfo_t signal = sim_signal_from(fiber->process, SIGPIPE);
    sim_thread_signals *thread = thread_of(fiber->process, fiber->id);
    if (has(thread->mask, SIGPIPE) || !is_ignored(fiber->process->signals, SIGPIPE))
        sim_pending_add(&thread->pending, &signal);
}

/* ----------------------------------------------------------------------------------- taking -- */

int sim_signal_take(
        sim_process *process, const sim_fiber *thread, sim_signal_set set, siginfo_t *out_signal)
{
    int signo = 0;
    if (process->signals == NULL)
        return 0;
    if (thread != NULL)
        signo = sim_pending_take(&thread_of(process, thread->id)->pending, set, out_signal);
    return signo != 0 ? signo : sim_pending_take(&process->signals->pending, set, out_signal);
}

sim_signal_set sim_signal_pending(sim_process *process, const sim_fiber *thread)
{
    const sim_signals *signals = process->signals;
    if (signals == NULL)
        return 0;
    if (thread != NULL)
        return signals->pending.set | thread_of(process, thread->id)->pending.set;
    sim_signal_set all = signals->pending.set;
    for (coil_list *at = signals->threads.next; at != &signals->threads; at = at->next)
        all |= coil_container_of(at, sim_thread_signals, link)->pending.set;
    return all;
}

/* --------------------------------------------------------------------------------- handlers -- */

/* No other thread runs before it is done: it may hold up nobody that a lock would hold up, too. */
static void run_handler(sim_fiber *fiber, const siginfo_t *signal)
{
    sim_process *process = fiber->process;
    const int signo = signal->si_signo;
    const struct sigaction action = process->signals->actions[signo];
    const sim_signal_set before = *sim_signal_mask(process, fiber);
    siginfo_t told = *signal;
    ucontext_t context;

    memset(&context, 0, sizeof(context));
    *sim_signal_mask(process, fiber) |= sim_signal_set_of(&action.sa_mask);
    if ((action.sa_flags & SA_NODEFER) == 0)
        *sim_signal_mask(process, fiber) |= BIT(signo);
    if ((action.sa_flags & (int)SA_RESETHAND) != 0)
        memset(&process->signals->actions[signo], 0, sizeof(action));
    fiber->hold_count++;
    if ((action.sa_flags & SA_SIGINFO) != 0) {
        action.sa_sigaction(signo, &told, &context);
    } else {
        action.sa_handler(signo);
    }
    fiber->hold_count--;
    *sim_signal_mask(process, fiber) = before;
}

static void act(sim_fiber *fiber, const siginfo_t *signal)
{
    sim_process *process = fiber->process;
    const int signo = signal->si_signo;

    if (is_ignored(process->signals, signo))
        return;
    if (is_deadly(process->signals, signo)) {
        end(process, signo);
    } else if (process->signals->actions[signo].sa_handler == SIG_DFL) {
        stop(process, signo);
        sim_fiber_yield();
    } else {
        run_handler(fiber, signal);
    }
}

/* "Kill it in its n-th call from now." */
static void count_call(sim_fiber *fiber)
{
    sim_signals *signals = fiber->process->signals;
    if (signals->last_call == 0 || ++signals->call_count < signals->last_call)
        return;
    signals->last_call = 0;
    const siginfo_t signal = sim_signal_from(NULL, signals->last_signal);
    sim_signal_send(fiber->process, &signal);
}

void sim_signals_deliver(sim_fiber *fiber)
{
    sim_process *process = fiber->process;
    siginfo_t signal;

    if (process->signals == NULL || process->has_ended || process->is_dying)
        return;
    count_call(fiber);
    if (process->is_stopped)
        sim_fiber_yield(); /* By a signal that came in this call. */
    if (sim_signal_pending(process, NULL) == 0)
        return;
    while (sim_signal_take(process, fiber, ~*sim_signal_mask(process, fiber), &signal) != 0)
        act(fiber, &signal);
}
