/* SPDX-License-Identifier: MIT */
/*
 * The one thread of the process that looks at its loops from outside: for the watchdog, and for
 * dumps on request. It exists while somebody needs it.
 */
#ifndef MONITOR_H
#define MONITOR_H

#include "probe.h"
#include "report.h"

#include <coil/time.h>

enum { MONITOR_NAME_BYTES = 64 };

typedef enum monitor_user { MONITOR_WATCHDOG = 1, MONITOR_DUMP = 2 } monitor_user;

/* Have the thread run until monitor_release(). 0, or an error of pthread_create(3). */
int monitor_need(monitor_user user);
void monitor_release(monitor_user user);

/* Make the thread look at once. Any thread, and signal handlers. */
void monitor_poke(void);

/* COIL_WATCHDOG and COIL_DUMP_SIGNAL, the first time that a loop is created. */
void monitor_from_environment(void);

/* What the thread does, when it is time; each returns how long it can wait. */
coil_duration watchdog_look(coil_time now);
coil_duration dump_look(coil_time now);

/* What a file of /proc says about a thread, into `text`, which is returned. "": it is gone. */
const char *monitor_read_proc(pid_t thread, const char *file, char *text, size_t size_bytes);

/* "loop 1 (thread 4711, main)", into `text`, which is returned. Any thread while the loop lives. */
const char *monitor_loop_name(const coil_loop *loop, char text[MONITOR_NAME_BYTES]);

/* All that a probe has found. */
void monitor_add_probe(report *to, const probe *seen, bool with_lines);

#endif
