/* SPDX-License-Identifier: MIT */
/* The seam to the real kernel: threads, where they wait, and the signals that they get. */
#include "kernel_private.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

/* -------------------------------------------------------------------------------- signals -- */

int coil_kernel_sigmask(int how, const sigset_t *set, sigset_t *out_before)
{
    return -pthread_sigmask(how, set, out_before);
}

int coil_kernel_sigpending(sigset_t *out_pending)
{
    return checked(sigpending(out_pending));
}

int coil_kernel_signalfd(const sigset_t *set)
{
    return checked(signalfd(-1, set, SFD_CLOEXEC));
}

int coil_kernel_sigtake(const sigset_t *set)
{
    const struct timespec now = {0, 0};
    return checked(sigtimedwait(set, NULL, &now));
}

int coil_kernel_sigaction(int signo, const struct sigaction *action, struct sigaction *out_before)
{
    return checked(sigaction(signo, action, out_before));
}

int coil_kernel_raise(int signo)
{
    return -raise(signo);
}

uint64_t coil_kernel_block_signals(void)
{
    const uint64_t all = UINT64_MAX;
    uint64_t before = 0;
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(all));
    return before;
}

void coil_kernel_restore_signals(uint64_t before)
{
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, 0L, sizeof(before));
}

/* -------------------------------------------------------------------------------- threads -- */

uint64_t coil_kernel_sleep_count(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (uint64_t)usage.ru_nvcsw : 0;
}

pid_t coil_kernel_thread_id(void)
{
    return gettid();
}

int coil_kernel_thread_signal(pid_t thread, int signo)
{
    return checked(syscall(SYS_tgkill, getpid(), thread, signo));
}

static void *run_thread(void *argument)
{
    coil_kernel_thread *thread = argument;
    if (thread->name != NULL) {
        char name[16]; /* The kernel takes no more. */
        (void)snprintf(name, sizeof(name), "%s", thread->name);
        (void)pthread_setname_np(pthread_self(), name);
    }
    thread->run(thread);
    return NULL;
}

static sigset_t all_but_faults(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    sigset_t set;
    (void)sigfillset(&set);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        (void)sigdelset(&set, faults[i]);
    return set;
}

int coil_kernel_thread_start(coil_kernel_thread *thread)
{
    const sigset_t blocked = all_but_faults();
    pthread_attr_t attributes;
    sigset_t before;

    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return -error;
    if (thread->stack_bytes > 0)
        error = pthread_attr_setstacksize(&attributes, thread->stack_bytes);
    if (error == 0) {
        /* The thread inherits the mask, so that there is no time in which a signal can hit it. */
        (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
        error = pthread_create(&thread->id, &attributes, run_thread, thread);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    (void)pthread_attr_destroy(&attributes);
    return -error;
}

void coil_kernel_thread_join(coil_kernel_thread *thread)
{
    (void)pthread_join(thread->id, NULL);
}

void coil_kernel_thread_detach(coil_kernel_thread *thread)
{
    (void)pthread_detach(thread->id);
}

int coil_kernel_cpus(int *out_cpus, int limit)
{
    cpu_set_t set;
    int count = 0;

    CPU_ZERO(&set);
    int rc = checked(sched_getaffinity(0, sizeof(set), &set));
    if (rc < 0)
        return rc;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < limit; cpu++) {
        if (CPU_ISSET(cpu, &set))
            out_cpus[count++] = cpu;
    }
    return count;
}

int coil_kernel_pin(int cpu)
{
    cpu_set_t set;

    if (cpu < 0 || cpu >= CPU_SETSIZE)
        return -EINVAL;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return checked(sched_setaffinity(0, sizeof(set), &set));
}

void coil_kernel_word_wait(const uint32_t *word, uint32_t value, coil_duration limit)
{
    struct timespec duration = {.tv_sec = limit / 1000000000, .tv_nsec = limit % 1000000000};
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value,
            limit == COIL_FOREVER ? NULL : &duration, NULL, 0);
}

void coil_kernel_word_wake(const uint32_t *word)
{
    int before = errno;
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    errno = before;
}

bool coil_kernel_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, coil_time deadline)
{
    if (deadline == COIL_NEVER) {
        (void)pthread_cond_wait(cond, mutex);
        return true;
    }
    const struct timespec end = {deadline / coil_s(1), deadline % coil_s(1)};
    return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &end) != ETIMEDOUT;
}

void coil_kernel_cond_signal(pthread_cond_t *cond)
{
    (void)pthread_cond_signal(cond);
}

void coil_kernel_cond_broadcast(pthread_cond_t *cond)
{
    (void)pthread_cond_broadcast(cond);
}
