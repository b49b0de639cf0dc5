/* SPDX-License-Identifier: MIT */
/*
 * A month of services that depend on each other. They crash, hang, are deaf to SIGTERM, or never
 * ready; somebody kills them, stops them and starts them, kills their supervisor, or has it end in
 * order; then there is another one. All the time:
 *
 *   - none runs twice, and none outlives its supervisor;
 *   - none starts without what it needs, or beside what it comes after and that is on its way;
 *   - none is stopped before those that come after it, if these have to stop as well;
 *   - who is wanted and does not run waits for somebody, or for the end of a pause within bounds.
 *
 * Once a day all is calm, and whoever starts is well. Then all are up soon.
 */
#include "corpus.h"

#include <coil/sugar.h>

#include <stdio.h>
#include <stdlib.h>

enum { SERVICES = 7, DAYS = 30, NOTIFY_FD = 9 };

#define DAY (INT64_C(24) * 3600 * 1000 * 1000 * 1000)
#define PAUSE_MAX coil_s(40) /* The longest back-off, and its turn among all of them. */
#define STAY_UP coil_s(2)
#define NOTICED coil_s(1) /* An end is known by then. */

typedef enum kind { PLAIN, TELLS, IS_ASKED, JOB, KINDS } kind;

typedef struct actor {
    pid_t pid;             /* Of its latest instance. */
    coil_time ready_at;    /* That is, or was; COIL_NEVER: it is not. */
    coil_time ready_until; /* The last one that was. */
    bool is_done;          /* A job. */
    bool is_mute;
    bool is_stopped; /* By command. */
} actor;

typedef struct question {
    coil_health_probe probe;
    int number;
} question;

static struct {
    pid_t program;
    coil_strategy strategy;
    coil_dependency edges[SERVICES][SERVICES]; /* Of the first on the second. 0: none. */
    kind kinds[SERVICES];
    actor actors[SERVICES];
    bool is_calm;
    bool is_ending; /* The supervisor was told to. */
    unsigned start_count;
} ledger;

static const char *const names[SERVICES] = {"a", "b", "c", "d", "e", "f", "g"};

static bool runs(pid_t pid)
{
    return pid != 0 && coil_sim_status(coil_sim_current(), pid) == -EBUSY;
}

static bool lives(int number)
{
    return runs(ledger.actors[number].pid);
}

static bool is_ready(int number)
{
    const actor *one = &ledger.actors[number];
    if (ledger.kinds[number] == JOB)
        return one->is_done;
    return lives(number) && one->ready_at <= coil_kernel_now();
}

static bool was_ready_just_now(int number)
{
    return coil_kernel_now() - ledger.actors[number].ready_until <= NOTICED;
}

/* It is about to end, or has ended. */
static void note_end(int number)
{
    actor *one = &ledger.actors[number];
    if (one->ready_at <= coil_kernel_now())
        one->ready_until = coil_kernel_now();
    one->ready_at = COIL_NEVER;
}

/* -------------------------------------------------------------------------------- services -- */

static void pass(coil_duration duration)
{
    const coil_time end = coil_time_after(coil_kernel_now(), duration);
    while (coil_kernel_now() < end)
        (void)coil_kernel_word_wait(&(const uint32_t){0}, 0, end - coil_kernel_now());
}

static void expect_needs(int number)
{
    for (int other = 0; other < SERVICES; other++) {
        if (ledger.edges[number][other] != COIL_NEEDS)
            continue;
        corpus_expect(is_ready(other) || was_ready_just_now(other), "%s runs without %s",
                names[number], names[other]);
    }
}

static int do_job(actor *self)
{
    pass(corpus_moment(coil_s(1)));
    if (!ledger.is_calm && corpus_chance(20))
        return 1;
    self->is_done = true;
    return 0;
}

static void be_deaf(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)coil_kernel_sigmask(SIG_BLOCK, &set, NULL);
}

static void become_ready(int number)
{
    actor *self = &ledger.actors[number];

    if (ledger.kinds[number] == PLAIN)
        return;
    pass(ledger.is_calm ? coil_s(1) : corpus_moment(coil_s(3)));
    self->ready_at = coil_kernel_now();
    if (ledger.kinds[number] == TELLS)
        (void)coil_kernel_write(NOTIFY_FD, "\n", 1);
}

/* It ends, or hangs, which only a question or a signal finds out. */
static int meet_its_fate(int number)
{
    const uint64_t fate = corpus_draw(10);

    if (fate < 2) {
        ledger.actors[number].is_mute = true;
        if (fate == 0)
            (void)coil_kernel_raise(SIGSTOP);
        pass(COIL_FOREVER);
    }
    note_end(number);
    if (fate < 5)
        (void)coil_kernel_raise(SIGSEGV);
    return (int)corpus_draw(3);
}

static int service_main(int argc, char **argv)
{
    const int number = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
    actor *self = &ledger.actors[number];

    corpus_expect(!lives(number), "%s runs twice", names[number]);
    expect_needs(number);
    note_end(number);
    self->pid = coil_kernel_getpid();
    self->is_mute = self->is_done = false;
    ledger.start_count++;
    if (ledger.kinds[number] == JOB)
        return do_job(self);
    if (ledger.kinds[number] == PLAIN)
        self->ready_at = coil_kernel_now() + STAY_UP - NOTICED; /* It began some time ago. */
    if (corpus_chance(20))
        be_deaf();
    if (!ledger.is_calm && corpus_chance(10))
        return meet_its_fate(number);
    become_ready(number);
    pass(ledger.is_calm || corpus_chance(40) ? COIL_FOREVER : corpus_moment(2 * DAY));
    return meet_its_fate(number);
}

async(int, ask_service, (coil_health_probe *) probe)
{
    vars(int number);

    my->number = coil_container_of(probe, question, probe)->number;
    if (ledger.actors[my->number].is_mute)
        await(coil_sleep(COIL_FOREVER));
    return is_ready(my->number) ? COIL_HEALTH_READY : -ECONNREFUSED;
}

/* ------------------------------------------------------------------------- what must hold -- */

static int number_of(const coil_service *service)
{
    return coil_service_name(service)[0] - 'a';
}

static const coil_supervised *status_of(const coil_service *service, int number)
{
    return coil_supervision_find(coil_service_status(service)->supervision, names[number]);
}

static void on_started(coil_supervisor_hook *hook, coil_service *service)
{
    const int number = number_of(service);

    (void)hook;
    for (int other = 0; other < SERVICES; other++) {
        const coil_dependency edge = ledger.edges[number][other];
        const coil_service_state state = status_of(service, other)->state;
        const bool is_job = ledger.kinds[other] == JOB;
        if (edge == COIL_NEEDS) {
            corpus_expect(state == (is_job ? COIL_SERVICE_DONE : COIL_SERVICE_UP),
                    "%s is started while %s is %s", names[number], names[other],
                    coil_service_state_name(state));
        } else if (edge != 0) {
            corpus_expect(state != COIL_SERVICE_STARTING && state != COIL_SERVICE_STOPPING &&
                                  !(is_job && state == COIL_SERVICE_UP),
                    "%s is started beside %s, which is %s", names[number], names[other],
                    coil_service_state_name(state));
        }
    }
}

/* Who fails is stopped at once, who merely has to go lets those go first that come after it. */
static bool is_orderly(const coil_supervised *status)
{
    return status->reason == COIL_REASON_COMMAND || status->reason == COIL_REASON_DEPENDENCY ||
           status->reason == COIL_REASON_STRATEGY;
}

static void expect_stop_order(const coil_service *service)
{
    const int number = number_of(service);
    const coil_supervised *status = coil_service_status(service);

    for (int later = 0; later < SERVICES; later++) {
        const coil_dependency edge = ledger.edges[later][number];
        if (edge == 0 || !lives(later))
            continue;
        corpus_expect(!ledger.is_ending && (edge != COIL_NEEDS || status->wanted) &&
                              status_of(service, later)->state != COIL_SERVICE_STOPPING,
                "%s is stopped before %s", names[number], names[later]);
    }
}

static void on_changed(coil_supervisor_hook *hook, coil_service *service, coil_service_state before)
{
    const coil_supervised *status = coil_service_status(service);

    (void)hook;
    if (status->state == COIL_SERVICE_STOPPING && before != COIL_SERVICE_STOPPING &&
            is_orderly(status))
        expect_stop_order(service);
    corpus_expect(status->state != COIL_SERVICE_FAILED, "%s is given up", status->name);
}

static void on_died(coil_supervisor_hook *hook, coil_service *service, const coil_death *death)
{
    (void)hook, (void)death;
    note_end(number_of(service));
}

/* Whoever is wanted runs, or is about to. With a strategy all may have to wait for one. */
static void audit(const coil_service *service)
{
    coil_supervised *status = coil_supervision_find(
            coil_service_status(service)->supervision, coil_service_name(service));
    const int number = number_of(service);
    const coil_time now = coil_kernel_now();

    if (status->state == COIL_SERVICE_UP && ledger.kinds[number] != JOB)
        corpus_expect(lives(number) || was_ready_just_now(number), "%s is dead", status->name);
    if (ledger.strategy != COIL_ONE_FOR_ONE || !status->wanted || status->alive ||
            coil_supervised_waits_for(status) != NULL)
        return;
    corpus_expect(status->state == COIL_SERVICE_BACKOFF && status->next_start >= now - NOTICED &&
                          status->next_start <= now + PAUSE_MAX,
            "%s is wanted, %s, and nobody starts it", status->name,
            coil_service_state_name(status->state));
}

/* ------------------------------------------------------------------------------- supervisor -- */

static void command(coil_service *service)
{
    actor *one = &ledger.actors[number_of(service)];
    const uint64_t chance = corpus_draw(3);

    one->is_stopped = chance == 0;
    if (chance == 0) {
        coil_service_stop(service);
    } else if (chance == 1) {
        coil_service_start(service);
    } else {
        coil_service_restart(service);
    }
}

/* Everybody is to run, and whoever has an evil mood is replaced. */
static void calm_down(coil_service *service)
{
    actor *one = &ledger.actors[number_of(service)];

    if (one->is_stopped) {
        coil_service_start(service);
    } else if (coil_service_status(service)->alive && ledger.kinds[number_of(service)] != JOB) {
        coil_service_restart(service);
    }
    one->is_stopped = false;
}

async(int, heed, (coil_signals *) signals, (coil_supervisor *) supervisor)
{
    vars(int signo; coil_service *each);

    for (;;) {
        attempt(my->signo, coil_signals_next(signals));
        if (my->signo == SIGTERM)
            break;
        my->each = NULL;
        while ((my->each = coil_supervisor_each(supervisor, my->each)) != NULL) {
            audit(my->each);
            if (my->signo == SIGUSR1)
                calm_down(my->each);
        }
        if (my->signo == SIGHUP)
            command(coil_supervisor_find(supervisor, names[corpus_draw(SERVICES)]));
    }
    ledger.is_ending = true;
    coil_supervisor_stop(supervisor);
    return 0;
}

static void list(const char *into[SERVICES + 1], int number, coil_dependency edge)
{
    unsigned count = 0;
    for (int other = 0; other < number; other++) {
        if (ledger.edges[number][other] == edge)
            into[count++] = names[other];
    }
    into[count] = NULL;
}

static int add_service(coil_supervisor *supervisor, question *asked, int number)
{
    static const coil_readiness ways[KINDS] = {
            COIL_READY_EXEC, COIL_READY_TOLD, COIL_READY_PROBE, COIL_READY_EXEC};
    const kind what = ledger.kinds[number];
    const char *lists[3][SERVICES + 1];
    char text[16];
    (void)snprintf(text, sizeof(text), "%d", number);
    const char *const argv[] = {"service", text, NULL};
    const coil_spawn_plan spawn = {.program = "/bin/service",
            .argv = argv,
            .in = {COIL_STDIO_NULL, 0},
            .out = {COIL_STDIO_NULL, 0},
            .err = {COIL_STDIO_NULL, 0}};
    coil_service_plan plan = {.name = names[number],
            .spawn = &spawn,
            .needs = lists[0],
            .wants = lists[1],
            .after = lists[2],
            .notify_fd = what == TELLS ? NOTIFY_FD : 0,
            .probe = what == IS_ASKED ? &asked->probe : NULL};

    list(lists[0], number, COIL_NEEDS);
    list(lists[1], number, COIL_WANTS);
    list(lists[2], number, COIL_AFTER);
    asked->number = number;
    asked->probe.ask = coil_handler(ask_service, coil_health_probe *);
    plan.policy.retry_spawn = true;
    plan.policy.oneshot = what == JOB;
    plan.policy.readiness = ways[what];
    plan.policy.stay_up = what == PLAIN ? STAY_UP : 0;
    plan.policy.stop[0] = (coil_stop_step){SIGTERM, coil_s(2)};
    if (what == IS_ASKED) {
        plan.policy.liveness.interval = coil_s(3600);
        plan.policy.liveness.start_interval = coil_s(1);
    }
    return coil_supervisor_add(supervisor, &plan, NULL);
}

static int create(coil_supervisor_hook *hook, coil_governor *governor, question asked[SERVICES],
        coil_supervisor **out_supervisor)
{
    const coil_supervisor_options options = {.strategy = ledger.strategy,
            .hook = hook,
            .governor = governor,
            .seed = 1 + corpus_draw(1000)};
    int rc = coil_supervisor_create(&options, out_supervisor);

    for (int number = 0; rc == 0 && number < SERVICES; number++) {
        rc = add_service(*out_supervisor, &asked[number], number);
        if (rc < 0)
            coil_supervisor_destroy(*out_supervisor);
    }
    return rc;
}

static void expect_nobody(const char *when)
{
    for (int number = 0; number < SERVICES; number++)
        corpus_expect(!lives(number), "%s runs %s", names[number], when);
}

async(int, supervise)
{
    vars(coil_supervisor *supervisor; coil_supervisor_hook hook; coil_governor governor;
            question asked[SERVICES]; coil_signals *signals; coil_group group; int rc);

    expect_nobody("before its supervisor");
    ledger.is_ending = false;
    for (int number = 0; number < SERVICES; number++)
        ledger.actors[number].is_stopped = false;
    my->governor = (coil_governor){.interval = coil_ms(100), .burst = 5};
    my->hook =
            (coil_supervisor_hook){.changed = on_changed, .started = on_started, .died = on_died};
    my->rc = coil_signals_open(COIL_SIGNALS(SIGHUP, SIGUSR1, SIGTERM), &my->signals);
    if (my->rc < 0)
        return my->rc;
    defer(coil_signals_close(my->signals));
    my->rc = create(&my->hook, &my->governor, my->asked, &my->supervisor);
    if (my->rc < 0)
        return my->rc;
    defer(coil_supervisor_destroy(my->supervisor));
    defer(expect_nobody("after its supervisor"));
    open_group(&my->group);
    spawn(&my->group, heed(my->signals, my->supervisor));
    await(my->rc, coil_supervisor_run(my->supervisor));
    return my->rc;
}

CORPUS_MAIN(month_main, supervise())

/* --------------------------------------------------------------------------- what happens -- */

static void see_to_supervisor(coil_sim *sim)
{
    if (!runs(ledger.program))
        ledger.program = coil_sim_start(sim, "alpha", "/bin/month", NULL);
}

static void kill_supervisor(coil_sim *sim)
{
    (void)coil_sim_kill(sim, ledger.program, SIGKILL);
    for (int number = 0; number < SERVICES; number++)
        note_end(number);
}

static void hurt_service(coil_sim *sim)
{
    const int number = (int)corpus_draw(SERVICES);
    const bool is_killed = corpus_chance(70);

    if (!lives(number))
        return;
    if (is_killed)
        note_end(number);
    (void)coil_sim_kill(sim, ledger.actors[number].pid, is_killed ? SIGKILL : SIGSTOP);
    ledger.actors[number].is_mute |= !is_killed;
}

static void disturb(coil_sim *sim)
{
    const uint64_t chance = corpus_draw(20);

    if (chance == 0) {
        kill_supervisor(sim);
    } else if (chance == 1) {
        (void)coil_sim_kill(sim, ledger.program, SIGTERM);
    } else if (chance < 10) {
        (void)coil_sim_kill(sim, ledger.program, SIGHUP);
    } else {
        hurt_service(sim);
    }
}

static bool all_are_up(void)
{
    for (int number = 0; number < SERVICES; number++) {
        if (!is_ready(number))
            return false;
    }
    return true;
}

/* In worlds that are unkind even then, somebody may have to be told more than once. */
async(int, live_calmly, (coil_sim *) sim)
{
    vars(coil_time end; coil_time limit);

    ledger.is_calm = true;
    my->limit = coil_time_after(coil_now(), corpus_is_fair() ? coil_s(300) : DAY / 4);
    do {
        (void)coil_sim_kill(sim, ledger.program, SIGUSR1);
        my->end = coil_time_after(coil_now(), coil_s(300));
        do {
            await(coil_sleep(coil_s(5)));
            see_to_supervisor(sim);
        } while (!all_are_up() && coil_now() < my->end);
        corpus_expect(all_are_up() || coil_now() < my->limit, "not all are up");
    } while (!all_are_up());
    ledger.is_calm = false;
    return 0;
}

async(int, direct_month, (coil_sim *) sim)
{
    vars(int day; coil_time end);

    for (my->day = 0; my->day < DAYS; my->day++) {
        my->end = coil_time_after(coil_now(), DAY);
        while (coil_now() < my->end) {
            await(coil_sleep(corpus_moment(DAY / 6)));
            disturb(sim);
            await(coil_sleep(coil_s(1) + corpus_moment(coil_s(30))));
            see_to_supervisor(sim);
        }
        ignore(live_calmly(sim));
    }
    (void)coil_sim_kill(sim, ledger.program, SIGTERM);
    return 0;
}

/* Of some services, each may depend on those before it. */
static void build_month(coil_sim *sim)
{
    static const coil_dependency edges[] = {COIL_AFTER, COIL_WANTS, COIL_NEEDS, COIL_NEEDS};
    static const coil_strategy strategies[] = {
            COIL_ONE_FOR_ONE, COIL_ONE_FOR_ALL, COIL_REST_FOR_ONE};
    static const kind kinds[] = {PLAIN, PLAIN, TELLS, TELLS, IS_ASKED, IS_ASKED, JOB};

    memset(&ledger, 0, sizeof(ledger));
    coil_sim_program(sim, "/bin/service", service_main);
    ledger.program = corpus_start(sim, "alpha", "/bin/month", month_main);
    ledger.strategy = corpus_chance(60) ? COIL_ONE_FOR_ONE : strategies[corpus_draw(3)];
    for (int number = 0; number < SERVICES; number++) {
        ledger.kinds[number] = kinds[corpus_draw(sizeof(kinds) / sizeof(kinds[0]))];
        ledger.actors[number].ready_at = COIL_NEVER;
        ledger.actors[number].ready_until = INT64_MIN / 2;
        for (int other = 0; other < number; other++) {
            if (corpus_chance(35))
                ledger.edges[number][other] = edges[corpus_draw(4)];
        }
    }
}

static void check_month(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.program, "the supervisor");
    coil_sim_expect(sim, ledger.start_count > 100, "%u starts in a month", ledger.start_count);
}

const coil_sim_scenario scenario_month = {.name = "month",
        .build = build_month,
        .direct = coil_handler(direct_month, coil_sim *),
        .check = check_month,
        .limit = 45 * DAY};
