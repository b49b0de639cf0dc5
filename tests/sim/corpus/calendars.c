/* SPDX-License-Identifier: MIT */
/*
 * Services that are run by a calendar, and one that is run every second, while somebody sets the
 * wall clock: by a part of a second, which nobody is to notice, by an hour, as some do twice a
 * year, or by days. As long as nobody does, each minute has its run, at its beginning; and the
 * seconds go on as if there were no wall clock.
 */
#include "corpus.h"

#include <coil/sugar.h>

enum { JUMPS_MAX = 4, NOTICED_S = 62, MINUTES_MAX = 40 };

typedef struct runner {
    coil_service_task task;
    int64_t last_s; /* By the wall clock; 0: it has not run. */
    coil_time last_at;
    unsigned count;
} runner;

static struct {
    pid_t program;
    runner minutely, hourly, secondly;
    coil_duration ahead; /* Of the wall clock. */
    coil_time jumped_at;
    coil_time since; /* The supervisor runs. */
} ledger;

/* Has nobody set the clock since `then`, or so shortly before that it was not known? */
static bool is_steady_since(coil_time then)
{
    return ledger.jumped_at == 0 || ledger.jumped_at + coil_s(NOTICED_S) < then;
}

static void note(runner *self)
{
    self->last_s = coil_kernel_time_s();
    self->last_at = coil_now();
    self->count++;
}

/* A calendar of minutes, or of hours. */
static void check_calendar(const runner *self, int64_t period_s)
{
    const int64_t now_s = coil_kernel_time_s();
    const char *what = period_s == 60 ? "minute" : "hour";

    if (!corpus_is_fair() || !is_steady_since(coil_now()))
        return;
    const int64_t behind_s = (now_s + 2) % period_s - 2;
    corpus_expect(behind_s <= 2, "%d s behind the %s", (int)behind_s, what);
    if (self->count == 0 || !is_steady_since(self->last_at))
        return;
    const int64_t passed_s = now_s - self->last_s;
    corpus_expect(passed_s >= period_s - 2 && passed_s <= period_s + 2, "%d s since the last %s",
            (int)passed_s, what);
}

async(int, be_minutely, (coil_service_task *) task)
{
    vars();
    (void)task;
    check_calendar(&ledger.minutely, 60);
    note(&ledger.minutely);
    await(coil_sleep(corpus_moment(coil_s(20))));
    return 0;
}

async(int, be_hourly, (coil_service_task *) task)
{
    vars();
    (void)task;
    check_calendar(&ledger.hourly, 3600);
    note(&ledger.hourly);
    return 0;
}

async(int, be_secondly, (coil_service_task *) task)
{
    vars();
    (void)task;
    const coil_duration passed = coil_now() - ledger.secondly.last_at;
    corpus_expect(!corpus_is_fair() || ledger.secondly.count == 0 ||
                          (passed > coil_ms(900) && passed < coil_ms(1100)),
            "%lld ms between two seconds", (long long)(passed / coil_ms(1)));
    note(&ledger.secondly);
    return 0;
}

static int add(coil_supervisor *supervisor, const char *name, runner *self, const char *calendar)
{
    coil_service_plan plan = {.name = name, .task = &self->task};

    plan.policy.oneshot = true;
    if (calendar == NULL) {
        plan.policy.every = coil_s(1);
    } else if (coil_calendar_parse(calendar, 0, &plan.policy.calendar) < 0) {
        corpus_expect(false, "a calendar");
    }
    return coil_supervisor_add(supervisor, &plan, NULL);
}

async(int, live, (coil_duration) life)
{
    vars(coil_supervisor *supervisor; int rc);

    ledger.minutely.task.run = coil_handler(be_minutely, coil_service_task *);
    ledger.hourly.task.run = coil_handler(be_hourly, coil_service_task *);
    ledger.secondly.task.run = coil_handler(be_secondly, coil_service_task *);
    my->rc = coil_supervisor_create(NULL, &my->supervisor);
    if (my->rc < 0)
        return my->rc;
    defer(coil_supervisor_destroy(my->supervisor));
    my->rc = add(my->supervisor, "minutely", &ledger.minutely, "* * * * *");
    if (my->rc == 0)
        my->rc = add(my->supervisor, "hourly", &ledger.hourly, "@hourly");
    if (my->rc == 0)
        my->rc = add(my->supervisor, "secondly", &ledger.secondly, NULL);
    if (my->rc < 0)
        return my->rc;
    ledger.since = coil_now();
    await(my->rc, within(life, coil_supervisor_run(my->supervisor)));
    if (my->rc != -ETIME || !corpus_is_fair())
        return my->rc == -ETIME ? 0 : my->rc;
    const int64_t lived_s = (coil_now() - ledger.since) / coil_s(1);
    corpus_expect(ledger.secondly.count + 2 >= lived_s && ledger.secondly.count <= lived_s + 1,
            "%u seconds of %d", ledger.secondly.count, (int)lived_s);
    corpus_expect(ledger.jumped_at != 0 || ledger.minutely.count + 1 >= lived_s / 60,
            "%u minutes of %d seconds", ledger.minutely.count, (int)lived_s);
    return 0;
}

CORPUS_MAIN(calendars_main,
        live(corpus_chance(10) ? coil_s(7500)
                               : coil_s(100) + corpus_moment(coil_s(60 * MINUTES_MAX))))

async(int, set_clock, (coil_sim *) sim)
{
    static const int64_t steps_s[] = {-86400 * 40, -3600, -30, 30, 3600, 86400 * 40};
    vars(unsigned count);

    my->count = corpus_chance(40) ? 0 : 1 + (unsigned)corpus_draw(JUMPS_MAX);
    for (; my->count > 0; my->count--) {
        await(coil_sleep(corpus_moment(coil_s(1200))));
        if (corpus_chance(30)) {
            ledger.ahead += corpus_chance(50) ? coil_ms(300) : -coil_ms(300);
        } else {
            ledger.ahead += coil_s(steps_s[corpus_draw(sizeof(steps_s) / sizeof(steps_s[0]))]);
            ledger.jumped_at = coil_now();
        }
        coil_sim_set_clock(sim, "alpha", ledger.ahead);
    }
    return 0;
}

static void build(coil_sim *sim)
{
    memset(&ledger, 0, sizeof(ledger));
    ledger.program = corpus_start(sim, "alpha", "/bin/calendars", calendars_main);
}

static void check(coil_sim *sim)
{
    corpus_expect_end(sim, ledger.program, "the supervisor");
}

const coil_sim_scenario scenario_calendars = {.name = "calendars",
        .build = build,
        .direct = coil_handler(set_clock, coil_sim *),
        .check = check};
