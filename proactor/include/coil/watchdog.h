/* SPDX-License-Identifier: MIT */
/*
 * coil/watchdog.h - which code blocks the loop? Told while it does, from outside, in production.
 *
 *     coil_watchdog_start(NULL)            or COIL_WATCHDOG=0.1 in the environment
 *     coil_run(service())
 *     coil_watchdog_stop()                 if at all
 *
 * One thread per process looks at all loops, some four times per threshold. When one of them has
 * been in a single step of a single task (or in one callback) for longer than the threshold, it
 * prints where that is, on both stacks:
 *
 *     coil: loop 1 (thread 4711, service) has been blocked for 0.12 s by task session; sleeps
 *       async stack, innermost first
 *         look_up (service.c:31)  runs on after await (my->size, coil_read(fd, my->name, 64))
 *         session (service.c:40)  await (look_up(fd))
 *       C stack
 *         #0  clock_nanosleep+0x65 (libc.so.6)
 *         #1  ask_the_old_library (src/service.c:17)
 *         #2  look_up__body (src/service.c:33)
 *         #3  look_up__step (src/service.c:28)
 *
 * again after twice, four times, ... that long, and once when it is over. A loop that waits in the
 * kernel is not blocked, nor is one that runs many short steps, however long.
 *
 * Corresponds to asyncio's slow_callback_duration, which speaks afterwards and without the stack,
 * and to gevent's max_blocking_time.
 *
 * What it costs
 *   - two stores to memory of its own per turn of a loop, always, and one per step of a task
 *   - one thread, which wakes up as often as said and reads as much per loop
 *   - a loop that is blocked gets a signal, COIL_WATCHDOG_SIGNAL unless you choose another, once
 *     per report. The handler restarts system calls (SA_RESTART), except those which signal(7) says
 *     are never restarted: nanosleep(2), poll(2), epoll_wait(2), select(2), and those on sockets
 *     with a timeout end with EINTR. sleep(3) returns early. If code of yours takes that amiss,
 *     `without_signal` spares it; only the async stack is printed then.
 *   - a process that was stopped as a whole, by a debugger for instance, is not reported
 *
 * A thread that does not take the signal, because it blocks it or is in an uninterruptible system
 * call (a disk that hangs), is reported without its C stack.
 *
 * Names of functions come from the symbol tables of the program and its libraries. Files and lines
 * are printed where libdw.so.1 (elfutils) can be loaded and there is debugging information (-g).
 */
#ifndef COIL_WATCHDOG_H
#define COIL_WATCHDOG_H

#include <coil/base.h>
#include <coil/time.h>

#include <signal.h>
#include <stdbool.h>

COIL_BEGIN_DECLS

/* The signal for blocked threads by default. The program must leave it alone. */
#define COIL_WATCHDOG_SIGNAL (SIGRTMAX - 1)

/* Somebody who wants the reports. */
typedef struct coil_watchdog_hook coil_watchdog_hook;
struct coil_watchdog_hook {
    /*
     * One whole report of several lines, `size_bytes` long without the zero at its end. On the
     * thread of the watchdog; it must not stop it. The text is gone afterwards.
     */
    void (*report)(coil_watchdog_hook *hook, const char *text, size_t size_bytes);
};

/* All zero is the default. */
typedef struct coil_watchdog_options {
    coil_duration threshold;  /* 0: 100 ms. At least 1 ms. */
    int fd;                   /* Where reports are written. 0: stderr. Not closed. */
    coil_watchdog_hook *hook; /* Gets the reports instead of `fd`. Lives until the stop. */
    int signo;                /* 0: COIL_WATCHDOG_SIGNAL. */
    bool once;                /* Do not report again while it goes on. */
    bool without_signal;      /* See above. */
    bool without_lines;       /* Do not load libdw. */
} coil_watchdog_options;

/*
 * Watch all loops of the process, also those to come. NULL: the default. Any thread.
 *
 * 0; -EALREADY, it has been started (the options stay as they are); -EINVAL, the threshold is too
 * small; -EBUSY, the program handles or ignores the signal; -EAGAIN, no thread can be made, or
 * whatever else pthread_create(3) and sigaction(2) say. The handler stays for good: a signal may be
 * under way.
 */
COIL_API int coil_watchdog_start(const coil_watchdog_options *options);

/* Stop watching. When it returns, nothing is reported any more. Nothing if it was not started. */
COIL_API void coil_watchdog_stop(void);

COIL_END_DECLS

#endif
