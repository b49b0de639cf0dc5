/* SPDX-License-Identifier: MIT */
/*
 * coil/dump.h - what are they all waiting for? The tasks of every loop of the process, on request.
 *
 *     coil_dump_on_signal(SIGUSR2)         or COIL_DUMP_SIGNAL=USR2 in the environment
 *     $ kill -USR2 PID
 *
 *     coil: loop 1 (thread 4711, service): 2 tasks, 3 operations in the kernel
 *     └─ service, 3 min 4 s old
 *           coil_group_join  for 1 tasks
 *           service (service.c:30)  await (coil_group_join(&my->sessions))
 *        └─ session, 500 ms old, 4.5 s left
 *              coil_sleep  for another 1.5 s
 *              session (service.c:16)  await (coil_sleep(coil_s(2)))
 *
 * Each loop draws the tree of its own tasks (coil/trace.h) between two steps, so it is whole; a
 * thread apart writes it to stderr, so a loop does not wait for whoever reads that. A loop that
 * has not come to that within a second is blocked: then that is said, with what coil/watchdog.h
 * would say, and the tree follows when the loop goes on.
 *
 * Where a flight recorder is on (coil/recorder.h), its last lines follow; or the recording goes to
 * its file.
 *
 * Costs nothing until a signal comes, but for a thread that sleeps.
 *
 * Corresponds to Python's faulthandler.register() and to `python -m asyncio pstree`.
 */
#ifndef COIL_DUMP_H
#define COIL_DUMP_H

#include <coil/loop.h>

#include <stdio.h>

COIL_BEGIN_DECLS

/*
 * From now on the signal, SIGUSR2 or SIGQUIT usually, asks for a dump; 0 for none, only
 * coil_dump_request() does. May be called again, for a further signal. Any thread. It must not be
 * blocked in all threads, and nobody else may receive it, as coil/signal.h would.
 *
 * 0; -EBUSY, the program handles or ignores the signal; -EINVAL, there is no such signal, or it
 * cannot be handled; -EAGAIN, no thread can be made.
 */
COIL_API int coil_dump_on_signal(int signo);

/* Ask for a dump now. Any thread, and signal handlers. Nothing before coil_dump_on_signal(). */
COIL_API void coil_dump_request(void);

/* Print the tasks of this one loop, on its thread, to where you want it. */
COIL_API void coil_dump(const coil_loop *loop, FILE *out);

COIL_END_DECLS

#endif
