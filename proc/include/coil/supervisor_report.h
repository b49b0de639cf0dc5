/* SPDX-License-Identifier: MIT */
/*
 * coil/supervisor_report.h - what happens in a supervisor, as lines for people.
 *
 *     static void print(coil_supervisor_reporter *reporter, const char *line)
 *     {
 *         printf("%s\n", line);
 *     }
 *
 *     coil_supervisor_reporter_init(&reporter, print);
 *     coil_supervisor_options options = {.hook = &reporter.hook};
 *
 *     web runs as process 4711
 *     web was killed by SIGSEGV
 *     web is started again in 0.083 s
 *     web runs as process 4712
 *     web is well again, after 0.085 s
 *     web does not answer: Connection refused
 */
#ifndef COIL_SUPERVISOR_REPORT_H
#define COIL_SUPERVISOR_REPORT_H

#include <coil/supervisor.h>

COIL_BEGIN_DECLS

typedef struct coil_supervisor_reporter coil_supervisor_reporter;

/* The caller's memory, as long as the supervisor's. `print` gets one line, without a newline. */
struct coil_supervisor_reporter {
    coil_supervisor_hook hook;
    void (*print)(coil_supervisor_reporter *reporter, const char *line);

    /* Private: where the lines go, if they are said in a log. */
    coil_log *log;
    const char *prefix;
};

/* Fill in the hook. */
COIL_API void coil_supervisor_reporter_init(coil_supervisor_reporter *reporter,
        void (*print)(coil_supervisor_reporter *reporter, const char *line));

/*
 * The same, and the lines are said in a log (coil_log_say()), between those of the services that
 * write to it. Both are borrowed.
 */
COIL_API void coil_supervisor_reporter_init_log(
        coil_supervisor_reporter *reporter, coil_log *log, const char *prefix);

COIL_END_DECLS

#endif
