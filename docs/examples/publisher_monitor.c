/* SPDX-License-Identifier: MIT */
/*
 * publisher_monitor - keep publishers alive: print what they say, ask how they are, replace them.
 */
#include <coil/coil.h>
#include <coil/sugar.h>

#include "options.h"

static coil_time started_at;

static void print(const char *who, const char *text, size_t size_bytes)
{
    const double now = (double)(coil_now() - started_at) / 1e9;
    printf("%7.3f %s| %.*s\n", now, who, (int)size_bytes, text);
    fflush(stdout);
}

static void print_event(coil_supervisor_reporter *reporter, const char *line)
{
    (void)reporter;
    print("monitor     ", line, strlen(line));
}

static void print_log(coil_log_line_hook *hook, const coil_log_line *line)
{
    (void)hook;
    print(line->prefix, line->bytes, line->size_bytes);
}

static int add_publisher(coil_supervisor *supervisor, unsigned number, coil_network_probe *probe,
        coil_log *log, const struct options *options)
{
    char name[32];
    char port[16];
    char address[32];
    snprintf(name, sizeof(name), "publisher %u", number);
    snprintf(port, sizeof(port), "%u", options->port + number - 1);
    snprintf(address, sizeof(address), "127.0.0.1:%s", port);
    coil_fb303_probe_init(probe, address);
    const char *const argv[] = {"publisher", "--port", port, NULL};
    const coil_spawn_plan spawn = {.program = options->arguments[0], .argv = argv};
    coil_service_plan plan = {.name = name, .spawn = &spawn, .log = log, .probe = &probe->probe};
    plan.policy.significant = true; /* If there is no such program, that is the end. */
    plan.policy.readiness = COIL_READY_PROBE;
    plan.policy.start_limit = coil_s(5);
    plan.policy.liveness.interval = coil_s(options->interval);
    plan.policy.liveness.hard_misses = 1;
    plan.policy.stop[0] = (coil_stop_step){SIGTERM, coil_s(1)};
    return coil_supervisor_add(supervisor, &plan, NULL);
}

async(int, monitor, (const struct options *) options, (coil_network_probe *) probes)
{
    vars(coil_supervisor_reporter reporter; coil_supervisor *supervisor; coil_log_line_hook hook;
            coil_log_options logs; coil_log *log; coil_group group; int signo);

    my->hook.line = print_log;
    my->logs.on_line = &my->hook;
    attempt(coil_log_open(&my->logs, &my->log));
    defer(ignore(coil_log_close(my->log)));
    coil_supervisor_reporter_init(&my->reporter, print_event);
    coil_supervisor_options how = {.hook = &my->reporter.hook};
    int rc = coil_supervisor_create(&how, &my->supervisor);
    defer(coil_supervisor_destroy(my->supervisor)); /* It takes NULL. */
    for (unsigned i = 0; rc == 0 && i < options->count; i++)
        rc = add_publisher(my->supervisor, i + 1, &probes[i], my->log, options);
    if (rc < 0)
        return rc;
    open_group(&my->group); /* If the supervisor gives up, so do we. */
    spawn(&my->group, coil_supervisor_run(my->supervisor));
    attempt(my->signo, coil_signal_wait(COIL_SIGNALS(SIGINT, SIGTERM)));
    print_event(
            &my->reporter, my->signo == SIGINT ? "Interrupt: stopping" : "Terminated: stopping");
    return 0; /* The group ends with us: all publishers are stopped first. */
}

int main(int argc, char **argv)
{
    static coil_network_probe probes[1000];
    static char beside_us[4096];
    char *usual[] = {beside_us, NULL};
    const char *slash = strrchr(argv[0], '/');
    struct options options = read_options(argc, argv,
            "publisher_monitor [--count N] [--port P] [--interval S] [PUBLISHER]\n\n"
            "Keep N publishers running (3), on the ports from P (9090) on, and ask each for its\n"
            "status every S seconds (1). PUBLISHER is the program, `publisher` in the directory "
            "of\nthis one. SIGINT or SIGTERM ends it.\n");

    snprintf(beside_us, sizeof(beside_us), "%.*spublisher",
            slash == NULL ? 0 : (int)(slash + 1 - argv[0]), argv[0]);
    if (options.arguments[0] == NULL)
        options.arguments = usual;
    started_at = coil_now();
    return coil_run(monitor(&options, probes)) < 0;
}
