/* SPDX-License-Identifier: MIT */
/*
 * A supervisor whose services crash, hang, are deaf to SIGTERM, end, do not exist: processes and
 * tasks, one after the other. Whatever the world does, never do two instances of a service run, and
 * when the supervisor has ended, none does. It is stopped, or cancelled, at any time.
 */
#include "corpus.h"

#include <stdio.h>
#include <stdlib.h>

#include <coil/sugar.h>

enum { SERVICES = 5 };

static struct {
    pid_t program;
    pid_t running[SERVICES]; /* As the services themselves say. */
    unsigned start_count;
    unsigned death_count;
    bool is_killed;
} ledger;

/* -------------------------------------------------------------------------------- services -- */

static int service_main(int argc, char **argv)
{
    const int number = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
    const pid_t before = ledger.running[number];

    corpus_expect(before == 0 || coil_sim_status(coil_sim_current(), before) != -EBUSY,
            "service %d runs twice: %d and %d", number, (int)before, (int)coil_kernel_getpid());
    ledger.running[number] = coil_kernel_getpid();
    if (corpus_chance(20)) {
        sigset_t set;
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)coil_kernel_sigmask(SIG_BLOCK, &set, NULL);
    }
    if (corpus_chance(20))
        (void)coil_kernel_write(1, "a line\nand a half", 17);
    const coil_duration life = corpus_chance(50) ? corpus_moment(coil_ms(300)) : coil_s(3600 * 24);
    const coil_time end = coil_kernel_now() + life;
    while (coil_kernel_now() < end)
        coil_kernel_word_wait(&(const uint32_t){0}, 0, end - coil_kernel_now());
    if (corpus_chance(50))
        (void)coil_kernel_raise(corpus_chance(50) ? SIGSEGV : SIGSTOP);
    return (int)corpus_draw(3);
}

async(int, be_task, (coil_service_task *) task)
{
    vars();
    coil_service_ready(task->service);
    await(coil_sleep(corpus_chance(50) ? corpus_moment(coil_ms(200)) : COIL_FOREVER));
    return corpus_chance(50) ? 0 : -EIO;
}

/* ------------------------------------------------------------------------------- supervisor -- */

static void on_started(coil_supervisor_hook *hook, coil_service *service)
{
    (void)hook, (void)service;
    ledger.start_count++;
}

static void on_died(coil_supervisor_hook *hook, coil_service *service, const coil_death *death)
{
    (void)hook, (void)service;
    corpus_expect(death->pid == 0 || death->exit.ended, "a death without an exit");
    ledger.death_count++;
}

static void ignore_line(coil_log_line_hook *hook, const coil_log_line *line)
{
    (void)hook, (void)line;
}

static void plan_service(coil_service_plan *plan, coil_spawn_plan *spawn, int number)
{
    static const char *const names[SERVICES] = {"a", "b", "c", "d", "e"};
    static const char *const needs_a[] = {"a", NULL};
    static const char *const needs_b[] = {"b", NULL};
    static const char *const numbers[SERVICES] = {"0", "1", "2", "3", "4"};
    static const char *arguments[SERVICES][3];

    arguments[number][0] = "service";
    arguments[number][1] = numbers[number];
    *spawn = (coil_spawn_plan){.program = corpus_chance(5) ? "/bin/missing" : "/bin/service",
            .argv = arguments[number],
            .in = {COIL_STDIO_NULL, 0},
            .out = {COIL_STDIO_NULL, 0},
            .err = {COIL_STDIO_NULL, 0}};
    *plan = (coil_service_plan){.name = names[number],
            .spawn = spawn,
            .needs = number == 1   ? needs_a
                     : number == 3 ? needs_b
                                   : NULL};
    plan->policy.backoff.shortest = coil_ms(5);
    plan->policy.backoff.longest = coil_ms(100);
    plan->policy.stop[0] = (coil_stop_step){SIGTERM, coil_ms(50)};
    if (corpus_chance(30))
        plan->policy.failures_max = 3;
}

static int add_services(coil_supervisor *supervisor, coil_log *log, coil_service_task *task)
{
    for (int number = 0; number < SERVICES; number++) {
        coil_spawn_plan spawn;
        coil_service_plan plan;
        plan_service(&plan, &spawn, number);
        if (number == SERVICES - 1) {
            task->run = coil_handler(be_task, coil_service_task *);
            plan.spawn = NULL;
            plan.task = task;
        } else if (corpus_chance(30)) {
            plan.log = log;
        }
        int rc = coil_supervisor_add(supervisor, &plan, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

async(int, command, (coil_supervisor *) supervisor)
{
    vars();

    for (;;) {
        await(coil_sleep(corpus_moment(coil_ms(300))));
        coil_service *service = coil_supervisor_find(
                supervisor, (const char *const[]){"a", "b", "c", "d", "e"}[corpus_draw(SERVICES)]);
        switch (corpus_draw(4)) {
        case 0:
            coil_service_stop(service);
            break;
        case 1:
            coil_service_restart(service);
            break;
        case 2:
            if (coil_service_pid(service) > 0)
                (void)coil_service_signal(service, SIGKILL);
            break;
        default:
            coil_service_start(service);
            break;
        }
    }
}

async(int, supervise)
{
    vars(coil_supervisor *supervisor; coil_log *log; coil_log_options logs;
            coil_log_line_hook hook; coil_service_task task; coil_group commands;
            coil_supervisor_hook told; int rc);

    my->hook.line = ignore_line;
    my->logs.on_line = &my->hook;
    my->told.started = on_started;
    my->told.died = on_died;
    attempt(coil_log_open(&my->logs, &my->log));
    defer(ignore(coil_log_close(my->log)));
    const unsigned strategy = (unsigned)corpus_draw(3);
    const coil_supervisor_options options = {
            .strategy = (coil_strategy)strategy, .hook = &my->told, .seed = 1 + corpus_draw(1000)};
    int rc = coil_supervisor_create(&options, &my->supervisor);
    if (rc < 0)
        return rc;
    defer(coil_supervisor_destroy(my->supervisor));
    rc = add_services(my->supervisor, my->log, &my->task);
    if (rc < 0)
        return rc;
    open_group(&my->commands);
    spawn(&my->commands, command(my->supervisor));
    await(my->rc,
            within(coil_s(2) + corpus_moment(coil_s(4)), coil_supervisor_run(my->supervisor)));
    corpus_expect(my->rc == -ETIME || my->rc == 0 || corpus_is_weather(my->rc), "it ends with %d",
            my->rc);
    corpus_expect(ledger.start_count == ledger.death_count, "%u starts, %u deaths",
            ledger.start_count, ledger.death_count);
    coil_group_cancel(&my->commands);
    return 0;
}

CORPUS_MAIN(supervise_main, supervise())

async(int, direct_supervise, (coil_sim *) sim)
{
    vars();

    if (corpus_chance(30)) {
        await(coil_sleep(corpus_moment(coil_s(3))));
        ledger.is_killed = coil_sim_kill(sim, ledger.program, SIGKILL) == 0;
    }
    return 0;
}

static void build_supervise(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    coil_sim_program(sim, "/bin/service", service_main);
    ledger.program = corpus_start(sim, "alpha", "/bin/supervise", supervise_main);
}

static void check_supervise(coil_sim *sim)
{
    if (!ledger.is_killed)
        corpus_expect_end(sim, ledger.program, "the supervisor");
    for (int i = 0; i < SERVICES; i++) {
        coil_sim_expect(sim,
                ledger.running[i] == 0 || coil_sim_status(sim, ledger.running[i]) != -EBUSY,
                "service %d outlives its supervisor", i);
    }
}

const coil_sim_scenario scenario_supervise = {.name = "supervise",
        .build = build_supervise,
        .direct = coil_handler(direct_supervise, coil_sim *),
        .check = check_supervise};
