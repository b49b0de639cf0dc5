/* SPDX-License-Identifier: MIT */
/* coil_run(): a loop for a whole program, and what Ctrl-C does to it. */
#include <coil/loop.h>

#include "loop_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <signal.h>

/* ------------------------------------------------------------------------------- interrupts -- */

/*
 * The first SIGINT posts to the loop of the main thread. It is caught with SA_RESETHAND, so the
 * second one kills, whatever the loop is doing. While SIGINT is blocked for a signalfd, none of
 * this happens.
 */
static struct {
    coil_post post;
    coil_loop *loop;         /* NULL: nothing is to be interrupted. Any thread. */
    unsigned handling_count; /* Handlers that may be using `loop`. */
    pid_t process;           /* Children of fork() inherit the handler, but not the loop. */
    unsigned yield_count;    /* Who has SIGINT open. Any thread. */
    bool is_yielded;         /* Our handler stood before the first of them. Any thread. */
    bool has_come;
} interrupt COIL_PROCESS_WIDE;

static void cancel_everything(coil_post *post)
{
    (void)post;
    if (interrupt.loop != NULL)
        loop_cancel_all(interrupt.loop);
}

static void on_interrupt(int signo)
{
    (void)__atomic_fetch_add(&interrupt.handling_count, 1, __ATOMIC_SEQ_CST);
    coil_loop *loop = __atomic_load_n(&interrupt.loop, __ATOMIC_SEQ_CST);
    if (coil_kernel_getpid() != interrupt.process) {
        (void)coil_kernel_raise(signo); /* It is the default action that takes this one. */
    } else if (loop != NULL) {
        __atomic_store_n(&interrupt.has_come, true, __ATOMIC_RELAXED);
        coil_loop_post(loop, &interrupt.post);
    }
    (void)__atomic_fetch_sub(&interrupt.handling_count, 1, __ATOMIC_SEQ_CST);
}

static bool has_default_action(void)
{
    struct sigaction now;
    /* SA_SIGINFO may be left of a handler that SA_RESETHAND has taken away. */
    return coil_kernel_sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == SIG_DFL;
}

static void install_handler(void)
{
    struct sigaction action = {
            .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    (void)sigemptyset(&action.sa_mask);
    (void)coil_kernel_sigaction(SIGINT, &action, NULL);
}

static void catch_interrupts(coil_loop *loop)
{
    __atomic_store_n(&interrupt.has_come, false, __ATOMIC_RELAXED);
    if (!coil_kernel_is_main_thread() || !has_default_action())
        return;
    interrupt.post.run = cancel_everything;
    interrupt.process = coil_kernel_getpid();
    __atomic_store_n(&interrupt.loop, loop, __ATOMIC_SEQ_CST);
    install_handler();
}

/* False if somebody else handles SIGINT by now, or if nobody does any more. */
static bool remove_handler(void)
{
    const struct sigaction nobody = {.sa_handler = SIG_DFL};
    struct sigaction now;

    if (coil_kernel_sigaction(SIGINT, NULL, &now) < 0 || now.sa_handler != on_interrupt)
        return false;
    (void)coil_kernel_sigaction(SIGINT, &nobody, NULL);
    return true;
}

void coil_run_yield_interrupt(void)
{
    (void)__atomic_fetch_add(&interrupt.yield_count, 1, __ATOMIC_SEQ_CST);
    if (remove_handler())
        __atomic_store_n(&interrupt.is_yielded, true, __ATOMIC_SEQ_CST);
}

/* Not if it has come once: the second one kills. */
void coil_run_resume_interrupt(void)
{
    if (__atomic_sub_fetch(&interrupt.yield_count, 1, __ATOMIC_SEQ_CST) > 0 ||
            !__atomic_exchange_n(&interrupt.is_yielded, false, __ATOMIC_SEQ_CST))
        return;
    if (__atomic_load_n(&interrupt.loop, __ATOMIC_SEQ_CST) == NULL || !has_default_action())
        return;
    install_handler();
    if (__atomic_load_n(&interrupt.loop, __ATOMIC_SEQ_CST) == NULL)
        (void)remove_handler(); /* The run has ended just now, and has perhaps found none. */
}

/* ----------------------------------------------------------------------------- coil_run() -- */

static COIL_THREAD_LOCAL int run_error;

coil_loop *coil_run_begin(void)
{
    coil_loop *loop = NULL;
    char reason[COIL_REASON_BYTES];
    run_error = coil_loop_create(&loop, reason);
    if (run_error < 0) {
        fprintf(stderr, "coil: %s\n", reason);
        return NULL;
    }
    catch_interrupts(loop);
    return loop;
}

/* Somebody has stopped the loop: its tasks do not outlive it. True: there were any. */
static bool end_tasks(coil_loop *loop)
{
    bool has_tasks = loop->sched.live_count > 0;
    while (loop->sched.live_count > 0) {
        loop_cancel_all(loop);
        (void)coil_loop_run(loop);
    }
    return has_tasks;
}

int64_t coil_run_end(coil_loop *loop, int64_t result)
{
    if (end_tasks(loop) && result == -ENOMEM)
        result = -EINTR; /* It has not been set: the coroutine was among them. */
    if (__atomic_load_n(&interrupt.loop, __ATOMIC_SEQ_CST) == loop) {
        __atomic_store_n(&interrupt.loop, NULL, __ATOMIC_SEQ_CST);
        __atomic_store_n(&interrupt.is_yielded, false, __ATOMIC_SEQ_CST);
        (void)remove_handler();
        while (__atomic_load_n(&interrupt.handling_count, __ATOMIC_SEQ_CST) > 0)
            continue; /* Another thread is in the handler: the loop is still needed. */
        if (__atomic_load_n(&interrupt.has_come, __ATOMIC_RELAXED) && result == -ECANCELED)
            result = -EINTR;
    }
    coil_loop_destroy(loop);
    return result;
}

int coil_run_error(void)
{
    return run_error;
}
