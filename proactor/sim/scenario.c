/* SPDX-License-Identifier: MIT */
/* One run of a scenario: the world, its director, its end. */
#include "run.h"

#include "fiber.h"
#include "ledger.h"
#include "process.h"
#include "replay.h"
#include "report.h"
#include "world_run.h"

#include <coil/error.h>
#include <coil/loop.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRECTOR "/the-director"
#define ONE_DAY coil_s(86400)
#define ZOMBIE_LIMIT coil_s(60) /* So long a parent may leave a child that has ended. */

/* ----------------------------------------------------------------------------------- failure -- */

/* The run that is going on: one at a time, like the world. */
typedef struct run {
    sim_judge judge;
    const sim_case *what;
    sim_result *result;
    coil_sim *sim;
    pid_t director; /* 0: there is none. */
} run;

static run *current_run;

static void take_down(run *of)
{
    const sim_world *world = of->sim;
    of->result->duration = world->now - SIM_START;
    of->result->operation_count = world->operation_count;
    of->result->fingerprint = world->trace_hash;
    of->result->nth_total = world->nths[of->what->nth_kind].count;
    of->result->nth_count = world->nth_counts[of->what->nth_kind];
}

static void on_failure(sim_judge *judge, const char *text, uint64_t likeness)
{
    run *failed = coil_container_of(judge, run, judge);
    sim_result *result = failed->result;

    take_down(failed);
    result->likeness = likeness;
    (void)snprintf(result->text, sizeof(result->text), "%s", text);
    result->verdict = SIM_FAILED;
    (void)fflush(stdout);
    fprintf(stderr, "\n%s: %s\n", failed->what->scenario->name, text);
    report_world(failed->sim);
    failed->sim->current = NULL; /* Nor is it a simulated process that ends. */
    (void)fflush(NULL);
    _exit(1);
}

void coil_sim_fail(coil_sim *sim, const char *format, ...)
{
    char text[SIM_TEXT_BYTES];
    uint64_t likeness = 1;
    va_list values;

    for (const char *at = format; *at != '\0'; at++)
        likeness = likeness * 31 + (unsigned char)*at;
    va_start(values, format);
    (void)vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    sim_fail_as(sim, text, likeness);
}

void coil_sim_expectation_failed(
        coil_sim *sim, const char *file, int line, const char *condition, const char *format, ...)
{
    char text[SIM_TEXT_BYTES];
    const char *name = strrchr(file, '/');
    va_list values;

    int length = snprintf(text, sizeof(text), "%s:%d: not so: %s", name == NULL ? file : name + 1,
            line, condition);
    if (strcmp(format, " ") != 0 && length < (int)sizeof(text) - 2) {
        text[length++] = ':';
        va_start(values, format);
        (void)vsnprintf(text + length, sizeof(text) - (size_t)length, format, values);
        va_end(values);
    }
    sim_fail_as(sim, text, (uint64_t)line);
}

uint64_t coil_sim_random(coil_sim *sim, uint64_t limit)
{
    return sim_random_number(&sim->choices, limit);
}

coil_sim *coil_sim_current(void)
{
    return sim_fiber_current() == NULL ? NULL : sim_here();
}

/* ---------------------------------------------------------------------------------- director -- */

static int direct(int argc, char **argv)
{
    (void)argc, (void)argv;
    const coil_handler script = current_run->what->scenario->direct;
    const int rc = coil_run(coil_handler_call(script, current_run->sim));
    if (rc < 0)
        coil_sim_fail(current_run->sim, "the director ends with %s", coil_error_name(rc));
    return 0;
}

static void start_director(run *of)
{
    if (of->what->scenario->direct.fn == NULL)
        return;
    coil_sim_program(of->sim, DIRECTOR, direct);
    of->director = coil_sim_start(of->sim, "the-director", DIRECTOR, NULL);
    sim_process_with(of->sim, of->director)->is_spared = true;
}

/* ----------------------------------------------------------------------------------- one run -- */

/* Of what build() has started: the first process, or the first of the program. */
static void impose(const run *of, const sim_settings *settings)
{
    const coil_list *processes = &of->sim->processes;
    for (coil_list *link = processes->next; link != processes; link = link->next) {
        const sim_process *process = coil_container_of(link, sim_process, link);
        if (settings->replay_program != NULL &&
                strcmp(settings->replay_program, process->path) != 0)
            continue;
        const int rc = coil_sim_replay(of->sim, process->id, settings->replayed);
        if (rc < 0)
            coil_sim_fail(of->sim, "the recording cannot be replayed: %s", coil_error_name(rc));
        return;
    }
    coil_sim_fail(of->sim, "there is no process on which the recording could be imposed");
}

static void set_up(run *of, const sim_settings *settings)
{
    coil_sim *sim = of->sim;
    const sim_case *what = of->what;

    sim->judge = &of->judge;
    sim->prints_trace = settings->prints_trace;
    sim->forbids_leaks = !what->scenario->may_leak;
    sim->selection = what->selection;
    sim->occurrences = &of->result->occurrences;
    sim->nths[what->nth_kind].target = what->nth;
    coil_sim_set_profile(sim, settings->profile);
    if (what->scenario->build != NULL)
        what->scenario->build(sim);
    for (size_t i = 0; i < settings->override_count; i++)
        sim->faults[settings->overrides[i].kind] = settings->overrides[i].probability;
    if (settings->replayed != NULL)
        impose(of, settings);
    start_director(of);
}

static bool directs(const run *of)
{
    return of->director != 0 && coil_sim_status(of->sim, of->director) == -EBUSY;
}

/* Servers that run for ever do not keep a run from ending. */
static bool is_over(const run *of)
{
    return of->what->scenario->may_be_late && of->director != 0 && !directs(of);
}

static void let_run(const run *of)
{
    const coil_sim_scenario *scenario = of->what->scenario;
    const coil_duration limit = scenario->limit > 0 ? scenario->limit : ONE_DAY;
    const coil_time end = coil_time_after(SIM_START, limit);
    coil_sim *sim = of->sim;

    while (!is_over(of) && world_step(sim, end)) {
    }
    fibers_rest();
    sim_replays_check(sim);
    if (sim->fiber_count == 0 || (scenario->may_be_late && !directs(of)))
        return; /* Servers may wait for clients that do not come any more. */
    if (sim->now < end)
        world_report_stuck(sim);
    if (!scenario->may_be_late)
        sim_fail(sim, "its time is over, and the run has not ended");
}

/* A child that has ended and whose parent lives is to be waited for. */
static void check_zombies(sim_world *world)
{
    for (coil_list *at = world->processes.next; at != &world->processes; at = at->next) {
        const sim_process *process = coil_container_of(at, sim_process, link);
        if (process->has_ended && process->parent != NULL && !process->parent->has_ended &&
                world->now - process->end_time > ZOMBIE_LIMIT) {
            sim_fail(world, "process %d (%s) has ended, and its parent has not waited for it",
                    (int)process->id, process->path);
        }
    }
}

/* When all processes have ended, nobody holds any of them: none was lost on its way. */
static void check_files(sim_world *world)
{
    if (world->fiber_count == 0 && coil_list_empty(&world->lingering)) {
        SIM_CHECK(world, world->file_count == 0, "all processes have ended, and %zu files are open",
                world->file_count);
    }
}

void sim_run(const sim_case *what, const sim_settings *settings, sim_result *result)
{
    run this_run = {.judge = {.failed = on_failure},
            .what = what,
            .result = result,
            .sim = coil_sim_create(what->seed)};

    current_run = &this_run;
    set_up(&this_run, settings);
    let_run(&this_run);
    check_zombies(this_run.sim);
    sim_ledgers_check(this_run.sim);
    check_files(this_run.sim);
    if (what->scenario->check != NULL)
        what->scenario->check(this_run.sim);
    take_down(&this_run);
    this_run.sim->judge = NULL;
    coil_sim_destroy(this_run.sim);
    current_run = NULL;
    result->verdict = SIM_PASSED;
}
