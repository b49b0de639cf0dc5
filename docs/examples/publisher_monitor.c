/* SPDX-License-Identifier: MIT */
/* publisher_monitor - keeps publishers alive: prints what they say, asks them, replaces them. */
#include <coil/coil.h>
#include <coil/sugar.h>

#include "options.h"

static void print(coil_log_line_hook *hook, const coil_log_line *line)
{
    (void)hook;
    printf("%7.3f %s| %.*s\n", seconds(), line->prefix, (int)line->size_bytes, line->bytes);
    fflush(stdout);
}

static int add_publisher(
        coil_supervisor *supervisor, unsigned i, coil_log *log, const struct options *options)
{
    static coil_network_probe probes[1000];
    char name[32];
    char address[32];
    snprintf(name, sizeof(name), "publisher %u", i + 1);
    snprintf(address, sizeof(address), "127.0.0.1:%u", options->port + i);
    coil_fb303_probe_init(&probes[i], address);
    const char *const argv[] = {"publisher", "--port", strchr(address, ':') + 1, NULL};
    const coil_spawn_plan spawn = {.program = program_of(options, "publisher"), .argv = argv};
    coil_service_plan plan = {.name = name, .spawn = &spawn, .log = log, .probe = &probes[i].probe};
    plan.policy.significant = true; /* If there is no such program, that is the end. */
    plan.policy.readiness = COIL_READY_PROBE;
    plan.policy.start_limit = coil_s(5);
    plan.policy.liveness = (coil_liveness){.interval = coil_s(options->interval), .hard_misses = 1};
    plan.policy.stop[0] = (coil_stop_step){SIGTERM, coil_s(1)};
    return coil_supervisor_add(supervisor, &plan, NULL);
}

async(int, monitor, (const struct options *) options)
{
    vars(coil_log_line_hook hook; coil_log_options logs; coil_log *log; coil_group group;
            coil_supervisor_reporter reporter; coil_supervisor *supervisor; int signo);

    my->hook.line = print;
    my->logs.on_line = &my->hook;
    attempt(coil_log_open(&my->logs, &my->log));
    defer(ignore(coil_log_close(my->log)));
    coil_supervisor_reporter_init_log(&my->reporter, my->log, "monitor     ");
    const coil_supervisor_options how = {.hook = &my->reporter.hook};
    int rc = coil_supervisor_create(&how, &my->supervisor);
    defer(coil_supervisor_destroy(my->supervisor)); /* It takes NULL. */
    for (unsigned i = 0; rc == 0 && i < options->count; i++)
        rc = add_publisher(my->supervisor, i, my->log, options);
    if (rc < 0)
        return rc;
    open_group(&my->group); /* If the supervisor gives up, so do we. */
    spawn(&my->group, coil_supervisor_run(my->supervisor));
    attempt(my->signo, coil_signal_wait(COIL_SIGNALS(SIGINT, SIGTERM)));
    (void)coil_log_say(my->log, "monitor     ", strsignal(my->signo));
    return 0; /* The group ends with us: all publishers are stopped first. */
}

int main(int argc, char **argv)
{
    const struct options options = read_options(argc, argv,
            "publisher_monitor [--count N] [--port P] [--interval S] [PUBLISHER]\n\n"
            "Keep N publishers running (3), on the ports from P (9090) on, and ask each for its\n"
            "status every S seconds (1). PUBLISHER is the program, `publisher` beside this one.\n"
            "SIGINT or SIGTERM ends it.\n");
    return coil_run(monitor(&options)) < 0;
}
