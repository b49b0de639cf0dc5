/* SPDX-License-Identifier: MIT */
#include <coil/signal.h>

#include <coil/group.h>
#include <coil/kernel.h>
#include <coil/receiver.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <sys/signalfd.h>

enum { SIGNAL_LAST = 64 };

struct coil_signals {
    coil_receiver *receiver;
    coil_slice unread; /* Whole signalfd_siginfo records. */
    coil_signal_set set;
};

static bool contains(coil_signal_set set, int signo)
{
    return (set.bits & coil_signal_bit(signo)) != 0;
}

static sigset_t members(coil_signal_set set)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    for (int signo = 1; signo <= SIGNAL_LAST; signo++) {
        if (contains(set, signo))
            (void)sigaddset(&signals, signo);
    }
    return signals;
}

/*
 * Sets may overlap, and be closed in any order. So this thread counts who has each signal open, and
 * remembers which of them were not blocked before.
 */
static COIL_THREAD_LOCAL unsigned open_count[SIGNAL_LAST + 1];
static COIL_THREAD_LOCAL coil_signal_set to_unblock;

static int block(coil_signal_set set)
{
    sigset_t wanted = members(set);
    sigset_t before;
    int rc = coil_kernel_sigmask(SIG_BLOCK, &wanted, &before);
    if (rc < 0)
        return rc;
    for (int signo = 1; signo <= SIGNAL_LAST; signo++) {
        if (!contains(set, signo))
            continue;
        if (open_count[signo]++ == 0 && sigismember(&before, signo) == 0)
            to_unblock.bits |= coil_signal_bit(signo);
    }
    if (contains(set, SIGINT))
        coil_run_yield_interrupt();
    return 0;
}

static void unblock(coil_signal_set set)
{
    coil_signal_set last = {0};
    for (int signo = 1; signo <= SIGNAL_LAST; signo++) {
        if (contains(set, signo) && --open_count[signo] == 0)
            last.bits |= coil_signal_bit(signo);
    }
    sigset_t freed = members(coil_signal_set_of(last.bits & to_unblock.bits));
    to_unblock.bits &= ~last.bits;
    while (coil_kernel_sigtake(&freed) > 0)
        continue; /* It arrived while we were open: it is not to kill now. */
    if (contains(set, SIGINT))
        coil_run_resume_interrupt();
    (void)coil_kernel_sigmask(SIG_UNBLOCK, &freed, NULL);
}

int coil_signals_open(coil_signal_set set, coil_signals **out_signals)
{
    coil_loop *loop = coil_loop_current();
    COIL_CHECK(loop != NULL);
    coil_signals *signals = calloc(1, sizeof(*signals));
    if (signals == NULL)
        return -ENOMEM;
    sigset_t wanted = members(set);
    int rc = coil_kernel_signalfd(&wanted);
    if (rc >= 0)
        rc = coil_receiver_create(loop, rc, COIL_TRANSPORT_FILE, &signals->receiver);
    if (rc == 0)
        rc = block(set);
    if (rc < 0) {
        coil_receiver_close(signals->receiver);
        free(signals);
        return rc;
    }
    signals->set = set;
    *out_signals = signals;
    return 0;
}

void coil_signals_close(coil_signals *signals)
{
    if (signals == NULL)
        return;
    coil_slice_release(&signals->unread);
    coil_receiver_close(signals->receiver);
    unblock(signals->set);
    free(signals);
}

coil_define(int, coil_signals_next, (coil_signals *) signals)
{
    coil_vars(coil_slice more);

    while (signals->unread.size_bytes < (int64_t)sizeof(struct signalfd_siginfo)) {
        coil_attempt(my->more, coil_receiver_next(signals->receiver));
        int rc = coil_slice_append(&signals->unread, &my->more);
        if (rc < 0)
            return rc;
    }
    struct signalfd_siginfo arrived;
    memcpy(&arrived, signals->unread.bytes, sizeof(arrived));
    coil_slice_consume(&signals->unread, sizeof(arrived));
    if (signals->unread.size_bytes == 0)
        coil_slice_release(&signals->unread);
    return (int)arrived.ssi_signo;
}

coil_define(int, coil_signal_wait, (coil_signal_set) set)
{
    coil_vars(coil_signals *signals; int signo);

    int rc = coil_signals_open(set, &my->signals);
    if (rc < 0)
        return rc;
    coil_defer(coil_signals_close(my->signals));
    coil_await(my->signo, coil_signals_next(my->signals));
    return my->signo;
}

void coil_signals_block(coil_signal_set set)
{
    const sigset_t wanted = members(set);
    (void)coil_kernel_sigmask(SIG_BLOCK, &wanted, NULL);
}

coil_async(int, handle, (coil_handler) handler, (int) signo, (void *) owner)
{
    coil_vars(coil_signal_arrival arrival; int rc);

    my->arrival = (coil_signal_arrival){.signo = signo, .owner = owner};
    coil_await(my->rc, coil_handler_call(handler, &my->arrival));
    return my->rc;
}

coil_define(int, coil_signals_serve, (coil_signal_set) set, (coil_handler) handler, (void *) owner)
{
    coil_vars(coil_signals *signals; int signo; coil_group tasks);

    const int rc = coil_signals_open(set, &my->signals);
    if (rc < 0)
        return rc;
    coil_defer(coil_signals_close(my->signals));
    coil_open_group(&my->tasks);
    for (;;) {
        coil_attempt(my->signo, coil_signals_next(my->signals));
        coil_spawn(&my->tasks, handle(handler, my->signo, owner));
    }
}

/* ------------------------------------------------------------------------------- handlers -- */

/* Those of this thread, in the order of adding. */
static COIL_THREAD_LOCAL coil_signal_handler *handlers;

/* One arrival each: run() may remove the handler. */
static void run_handler(coil_call *call)
{
    coil_signal_handler *handler = coil_container_of(call, coil_signal_handler, call);
    if (--handler->due_count > 0)
        coil_call_soon(handler->loop, call);
    handler->run(handler);
}

static void announce(int signo)
{
    for (coil_signal_handler *handler = handlers; handler != NULL; handler = handler->next) {
        if (handler->signo == signo && handler->due_count++ == 0)
            coil_call_soon(handler->loop, &handler->call);
    }
}

/*
 * Each handler watches a descriptor of its own, so that its loop wakes up. Whichever is first takes
 * the signal from the thread, on behalf of all.
 */
static void take_arrived(coil_fd_watch_hook *arrival, int events)
{
    coil_signal_handler *handler = coil_container_of(arrival, coil_signal_handler, arrival);
    const sigset_t wanted = members(COIL_SIGNALS(handler->signo));
    if (events < 0)
        return;
    while (coil_kernel_sigtake(&wanted) > 0)
        announce(handler->signo);
}

static void enlist(coil_signal_handler *handler)
{
    coil_signal_handler **place = &handlers;
    while (*place != NULL)
        place = &(*place)->next;
    handler->next = NULL;
    *place = handler;
}

static void delist(const coil_signal_handler *handler)
{
    coil_signal_handler **place = &handlers;
    while (*place != NULL && *place != handler)
        place = &(*place)->next;
    COIL_CHECK(*place == handler); /* Else another thread has added it. */
    *place = handler->next;
}

int coil_signal_handler_add(coil_loop *loop, int signo, coil_signal_handler *handler)
{
    COIL_CHECK(handler->loop == NULL); /* Else it has been added already. */
    const coil_signal_set set = COIL_SIGNALS(signo);
    const sigset_t wanted = members(set);
    if (signo == SIGKILL || signo == SIGSTOP || sigismember(&wanted, signo) != 1)
        return -EINVAL;
    int fd = coil_kernel_signalfd(&wanted);
    if (fd < 0)
        return fd;
    handler->arrival.ready = take_arrived;
    int rc = coil_fd_watch_create(loop, fd, POLLIN, &handler->arrival, &handler->watch);
    if (rc == 0)
        rc = block(set);
    if (rc < 0) {
        coil_fd_watch_close(handler->watch);
        (void)coil_kernel_close(fd);
        handler->watch = NULL;
        return rc;
    }
    coil_call_init(&handler->call, run_handler);
    handler->fd = fd;
    handler->signo = signo;
    handler->due_count = 0;
    handler->loop = loop;
    enlist(handler);
    return 0;
}

void coil_signal_handler_remove(coil_signal_handler *handler)
{
    if (handler->loop == NULL)
        return;
    delist(handler);
    coil_call_cancel(&handler->call);
    coil_fd_watch_close(handler->watch);
    (void)coil_kernel_close(handler->fd);
    unblock(COIL_SIGNALS(handler->signo));
    handler->loop = NULL;
}
