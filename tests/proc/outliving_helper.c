/* SPDX-License-Identifier: MIT */
/*
 * A supervisor that is to be killed: `COUNT` services, which outlive it or die with it.
 *
 *     outliving_helper outlive|quiet|die DIRECTORY COUNT
 *
 * Each runs adoption_helper's child, and is ready in one of three ways, or says nothing at all.
 * What happens is in DIRECTORY/events, a line for each: "adopted 3 PID", "started 3 PID", "up 3
 * PID", "died 3 PID STATUS", where a signal is 2000 more, with "instance 3 PID NUMBER"; "failed"
 * and "scarce", with an error. At SIGTERM it stops all and ends; at SIGHUP it leaves all and begins
 * anew in a new image of itself. SIGINT: the first service is stopped. SIGUSR1: it may have no
 * process more, "poor 0 0 0"; SIGUSR2: as many as before.
 */
#include <coil/loop.h>
#include <coil/signal.h>
#include <coil/supervisor.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/resource.h>

enum { COUNT_MAX = 256 };

typedef struct world {
    coil_supervisor_hook hook;
    const char *directory;
    int count;
    bool outlive;
    bool quiet;
    bool leaves;
    int events;
    coil_adoption *adoption;
    coil_log *logs[COUNT_MAX];
    coil_supervisor *supervisor;
} world;

static world here;

/* ---------------------------------------------------------------------------------- events -- */

/* Lines are short: each is one write, at the end of the file. */
static void tell(const char *what, const coil_service *service, pid_t pid, int status)
{
    char line[96];
    const int size = snprintf(line, sizeof(line), "%s %s %d %d\n", what,
            coil_service_name(service) + 1, (int)pid, status);
    if (write(here.events, line, (size_t)size) != size)
        abort();
}

static void on_started(coil_supervisor_hook *hook, coil_service *service)
{
    (void)hook;
    tell("started", service, coil_service_pid(service), 0);
}

static void on_adopted(coil_supervisor_hook *hook, coil_service *service)
{
    (void)hook;
    tell("adopted", service, coil_service_pid(service), 0);
}

static void on_changed(coil_supervisor_hook *hook, coil_service *service, coil_service_state before)
{
    (void)hook;
    (void)before;
    const coil_supervised *status = coil_service_status(service);
    if (status->state == COIL_SERVICE_UP)
        tell("up", service, coil_service_pid(service), 0);
    if (status->state == COIL_SERVICE_FAILED)
        tell("failed", service, 0, status->error);
    if (status->state == COIL_SERVICE_BACKOFF && status->reason == COIL_REASON_NO_RESOURCES)
        tell("scarce", service, 0, status->error);
}

static void on_died(coil_supervisor_hook *hook, coil_service *service, const coil_death *death)
{
    (void)hook;
    const int status = death->exit.lost ? 9999 : death->exit.code + 2000 * death->exit.signaled;
    tell("died", service, death->pid, status);
    tell("instance", service, death->pid, (int)death->instance);
}

/* --------------------------------------------------------------------------------- services -- */

static int add_service(int number)
{
    static const char *const ways[] = {"", "newline", "notify"};
    char name[16];
    char text[16];
    (void)snprintf(name, sizeof(name), "s%d", number);
    (void)snprintf(text, sizeof(text), "%d", number);
    const int way = here.quiet ? 0 : number % 3;
    const char *const argv[] = {
            ADOPTION_HELPER, "child", text, here.quiet ? "quiet" : ways[way], NULL};
    const coil_spawn_plan spawn = {.program = ADOPTION_HELPER,
            .argv = argv,
            .in = {COIL_STDIO_NULL, 0},
            .group = COIL_SPAWN_GROUP_NEW};
    coil_service_plan plan = {.name = name,
            .spawn = &spawn,
            .log = here.logs[number],
            .log_prefix = "",
            .notify_fd = way == 1 ? 9 : 0,
            .notify = way == 2,
            .outlives = here.outlive};
    plan.policy.readiness = way == 0 ? COIL_READY_EXEC : COIL_READY_TOLD;
    plan.policy.backoff.stable = coil_ms(1); /* Whoever dies is back at once. */
    plan.policy.liveness.watchdog = way == 2 ? coil_ms(700) : 0;
    return coil_supervisor_add(here.supervisor, &plan, NULL);
}

coil_async(int, open_logs)
{
    coil_vars(int i; char path[256]; coil_log_options options);

    for (my->i = 0; my->i < here.count; my->i++) {
        (void)snprintf(my->path, sizeof(my->path), "%s/%d.log", here.directory, my->i);
        my->options = (coil_log_options){.path = my->path, .rotate_bytes = 20000};
        my->options.keep_files = 100000;
        if (here.outlive)
            my->options.journal = coil_adoption_journal(here.adoption);
        coil_attempt(coil_log_open(&my->options, &here.logs[my->i]));
    }
    return 0;
}

static void limit_processes(bool is_poor)
{
    static const char poor[] = "poor 0 0 0\n";
    struct rlimit limit;
    if (getrlimit(RLIMIT_NPROC, &limit) < 0)
        abort();
    limit.rlim_cur = is_poor ? 1 : limit.rlim_max;
    if (setrlimit(RLIMIT_NPROC, &limit) < 0 ||
            (is_poor && write(here.events, poor, sizeof(poor) - 1) < 0))
        abort();
}

coil_async(int, heed, (coil_signals *) signals)
{
    coil_vars(int signo);

    for (;;) {
        coil_attempt(my->signo, coil_signals_next(signals));
        if (my->signo == SIGTERM || my->signo == SIGHUP)
            break;
        if (my->signo == SIGINT) {
            coil_service_stop(coil_supervisor_find(here.supervisor, "s0"));
        } else {
            limit_processes(my->signo == SIGUSR1);
        }
    }
    here.leaves = my->signo == SIGHUP;
    if (here.leaves) {
        coil_supervisor_leave(here.supervisor);
    } else {
        coil_supervisor_stop(here.supervisor);
    }
    return 0;
}

coil_async(int, supervise, (coil_signals *) signals)
{
    coil_vars(coil_group group; int rc);

    const coil_supervisor_options options = {.hook = &here.hook, .adoption = here.adoption};
    int rc = coil_supervisor_create(&options, &here.supervisor);
    coil_defer(coil_supervisor_destroy(here.supervisor));
    for (int i = 0; rc == 0 && i < here.count; i++)
        rc = add_service(i);
    if (rc < 0)
        return rc;
    coil_open_group(&my->group);
    coil_spawn(&my->group, heed(signals));
    coil_await(my->rc, coil_supervisor_run(here.supervisor));
    return my->rc;
}

coil_async(int, live, (const coil_adoption_options *) options)
{
    coil_vars(char reason[COIL_ADOPTION_TEXT_BYTES]; coil_signals *signals; int i);

    const int rc = coil_signals_open(
            COIL_SIGNALS(SIGTERM, SIGHUP, SIGINT, SIGUSR1, SIGUSR2), &my->signals);
    if (rc < 0)
        return rc;
    coil_defer(coil_signals_close(my->signals));
    if (here.outlive)
        coil_attempt(coil_adoption_open(options, &here.adoption, my->reason));
    coil_attempt(open_logs());
    coil_attempt(supervise(my->signals));
    for (my->i = 0; my->i < here.count; my->i++)
        coil_attempt(coil_log_close(here.logs[my->i]));
    coil_await(
            coil_adoption_close(here.adoption, here.leaves ? COIL_KEEPER_STAYS : COIL_KEEPER_ENDS));
    return 0;
}

int main(int argc, char **argv)
{
    char path[256];

    if (argc != 4)
        return 2;
    here.hook = (coil_supervisor_hook){
            .changed = on_changed, .started = on_started, .adopted = on_adopted, .died = on_died};
    here.quiet = strcmp(argv[1], "quiet") == 0;
    here.outlive = here.quiet || strcmp(argv[1], "outlive") == 0;
    here.directory = argv[2];
    here.count = (int)strtol(argv[3], NULL, 10);
    (void)snprintf(path, sizeof(path), "%s/events", here.directory);
    here.events = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (here.events < 0 || here.count > COUNT_MAX)
        return 3;
    const coil_adoption_options options = {
            .directory = here.directory, .patience = coil_s(30), .kills = true};
    const int rc = coil_run(live(&options));
    if (rc < 0)
        (void)fprintf(stderr, "outliving_helper: %s\n", coil_error_name(rc));
    if (rc == 0 && here.leaves)
        (void)execv("/proc/self/exe", argv);
    return rc < 0;
}
