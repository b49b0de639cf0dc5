/* SPDX-License-Identifier: MIT */
/* coil_sim_main(): all runs, some at a time, and what is said about them. */
#include <coil/sim_scenario.h>

#include "job.h"
#include "options.h"
#include "report.h"
#include "shrink.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/resource.h>

enum { REPORTS_MAX = 5, FAULTS_PRINTED_MAX = 100, ORDER_PRINTED_MAX = 20 };

typedef struct runner {
    const sim_options *options;
    const coil_sim_scenario *scenarios;
    size_t scenario_count;

    /* The next case. */
    size_t scenario;
    uint64_t seed; /* How many of the scenario have been. */
    uint64_t nth;  /* Which fails in the next run of the seed. 0: none does. */

    /* --torture: first a run that counts them, then one for each. */
    bool is_counting;
    uint64_t nth_total;
    uint64_t nth_turn;         /* How many of them have been. */
    uint64_t tortured_count;   /* Of all seeds, and ... */
    uint64_t torturable_count; /* ... how many there were. */

    sim_job *jobs;
    bool *is_busy;
    unsigned busy_count;
    coil_time end; /* No run begins after that. */
    bool is_stopped;

    uint64_t run_count;
    uint64_t failure_count;
    uint64_t operation_count;
    coil_duration duration; /* Of the times of all worlds. */
} runner;

/* ------------------------------------------------------------------------------------ cases -- */

static void next_seed(runner *all)
{
    const sim_options *options = all->options;

    all->seed++;
    all->nth = options->nth;
    all->nth_total = 0;
    all->nth_turn = 0;
    while (all->scenario < all->scenario_count) {
        if (all->seed < options->count && sim_options_want(options, &all->scenarios[all->scenario]))
            return;
        all->scenario++;
        all->seed = 0;
    }
}

static bool tortures(const runner *all)
{
    return all->options->has_nth && all->options->nth == 0;
}

static uint64_t common_divisor(uint64_t left, uint64_t right)
{
    return right == 0 ? left : common_divisor(right, left % right);
}

/*
 * Each of them once, but not in their order: by steps of about the golden section, so that however
 * many there is time for, they are from all over the run.
 */
static uint64_t nth_of_turn(uint64_t turn, uint64_t total)
{
    uint64_t step = total * 618 / 1000 + 1;
    while (common_divisor(step, total) != 1)
        step++;
    return turn * step % total + 1;
}

/* The next case of the seed, or the next seed. */
static void go_on(runner *all)
{
    if (tortures(all) && all->nth_turn < all->nth_total) {
        all->nth = nth_of_turn(all->nth_turn++, all->nth_total);
    } else {
        next_seed(all);
    }
}

/* False: there is none, or none before another run has ended. */
static bool next_case(runner *all, sim_case *out_case)
{
    const sim_options *options = all->options;

    if (all->scenario == all->scenario_count || all->is_counting)
        return false;
    *out_case = (sim_case){.scenario = &all->scenarios[all->scenario],
            .seed = options->first + all->seed,
            .nth_kind = options->nth_kind,
            .nth = all->nth,
            .selection = options->has_selection ? &options->selection : NULL};
    if (tortures(all) && all->nth == 0) {
        all->is_counting = true;
    } else {
        go_on(all);
    }
    return true;
}

/* --torture: so many there are of them in this seed. */
static void learn(runner *all, const sim_case *what, const sim_result *result)
{
    if (!tortures(all) || what->nth != 0)
        return;
    all->is_counting = false;
    all->nth_total = result->nth_total;
    all->torturable_count += result->nth_total;
    go_on(all);
}

/* ----------------------------------------------------------------------------------- reports -- */

static void print_time(coil_time time)
{
    fprintf(stderr, "%lld.%09lld s", (long long)(time / coil_s(1)), (long long)(time % coil_s(1)));
}

/* Faults, or the choices of order; not more than `most` of them. */
static void print_occurrences(const sim_occurrences *occurrences, bool is_order, size_t most)
{
    size_t printed = 0;

    for (size_t i = 0; i < occurrences->count && printed < most; i++) {
        const sim_occurrence *one = &occurrences->list[i];
        if (sim_fault_is_order(one->kind) != is_order)
            continue;
        printed++;
        fprintf(stderr, "  %s:%llu at ", sim_fault_name(one->kind),
                (unsigned long long)one->number);
        print_time(one->time - SIM_START);
        if (one->process > 0)
            fprintf(stderr, ", process %d", (int)one->process);
        fprintf(stderr, "\n");
    }
}

static size_t count_faults(const sim_occurrences *occurrences)
{
    size_t count = 0;
    for (size_t i = 0; i < occurrences->count; i++)
        count += !sim_fault_is_order(occurrences->list[i].kind);
    return count;
}

static void print_failure(const runner *all, const sim_job *job, const sim_selection *selection)
{
    const sim_result *result = job->result;
    const size_t count = count_faults(&result->occurrences);
    const size_t order_count = result->occurrences.count - count;

    fprintf(stderr, "again: ");
    sim_options_print_command(all->options, &job->what, selection);
    fprintf(stderr, "after ");
    print_time(result->duration);
    fprintf(stderr, " and %zu fault%s", count, count == 1 ? "" : "s");
    if (order_count > 0)
        fprintf(stderr, ", in an order of %zu choices", order_count);
    fprintf(stderr, "%s\n", count > 0 ? ":" : "");
    print_occurrences(&result->occurrences, false, FAULTS_PRINTED_MAX);
    if (order_count <= ORDER_PRINTED_MAX)
        print_occurrences(&result->occurrences, true, ORDER_PRINTED_MAX);
    fprintf(stderr, "\n");
    sim_job_print(job, stderr);
    fprintf(stderr, "\n");
}

/* Once more, with the few faults that it takes. */
static bool print_shrunk(const runner *all, const sim_job *failed)
{
    sim_selection selection;
    unsigned run_count;

    if (!sim_shrink(all->options, failed, &selection, &run_count))
        return false;
    sim_job again;
    sim_case what = failed->what;
    what.selection = &selection;
    sim_job_init(&again);
    const int rc = sim_job_start(&again, &what, &all->options->settings, all->options->timeout);
    if (rc == 0) {
        sim_job_wait(&again);
        const size_t before = count_faults(&failed->result->occurrences);
        fprintf(stderr, "shrunk from %zu fault%s by %u runs\n", before, before == 1 ? "" : "s",
                run_count);
        print_failure(all, &again, &selection);
    }
    sim_job_fini(&again);
    sim_delete(selection.picks);
    return rc == 0;
}

static void report(runner *all, const sim_job *job)
{
    all->failure_count++;
    if (all->failure_count > REPORTS_MAX && !all->options->keeps_going) {
        all->is_stopped = true;
        return;
    }
    fprintf(stderr, "FAILED %s, seed %llu: %s\n", job->what.scenario->name,
            (unsigned long long)job->what.seed, job->result->text);
    /* A run that hangs takes its whole timeout, each time. */
    const bool hangs = job->result->likeness == SIGALRM || job->result->likeness == SIGKILL;
    if (hangs || !all->options->shrinks || !print_shrunk(all, job))
        print_failure(all, job, job->what.selection);
}

static void print_fingerprint(const sim_case *what, const sim_result *result)
{
    printf("%s %llu %016llx\n", what->scenario->name, (unsigned long long)what->seed,
            (unsigned long long)result->fingerprint);
}

static void note(runner *all, const sim_job *job)
{
    all->run_count++;
    all->tortured_count += job->what.nth != 0;
    all->operation_count += job->result->operation_count;
    all->duration = coil_time_after(all->duration, job->result->duration);
    learn(all, &job->what, job->result);
    if (job->result->verdict != SIM_PASSED) {
        report(all, job);
    } else if (all->options->prints_fingerprints) {
        print_fingerprint(&job->what, job->result);
    }
}

static double processor_seconds(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_CHILDREN, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void print_summary(const runner *all)
{
    const double seconds = processor_seconds();
    (void)fflush(stdout);
    const double days = (double)all->duration / 86400e9;
    const double rate = seconds > 0 ? (double)all->operation_count / seconds : 0;

    fprintf(stderr,
            "%s: %llu runs, %llu failed; %llu operations in %.1f days, %.0f of them per second and "
            "core\n",
            all->failure_count > 0 ? "FAILED" : "passed", (unsigned long long)all->run_count,
            (unsigned long long)all->failure_count, (unsigned long long)all->operation_count, days,
            rate);
    if (tortures(all)) {
        fprintf(stderr, "%llu of %llu were made to fail\n", (unsigned long long)all->tortured_count,
                (unsigned long long)all->torturable_count);
    }
}

/* ------------------------------------------------------------------------------ many at once -- */

static bool start_next(runner *all, unsigned place)
{
    sim_case what;

    if (all->is_stopped || sim_real_now() >= all->end)
        return false;
    sim_job *job = &all->jobs[place];
    if (!next_case(all, &what))
        return false;
    const int rc = sim_job_start(job, &what, &all->options->settings, all->options->timeout);
    if (rc < 0) {
        fprintf(stderr, "%s: no process for a run: %s\n", all->options->program, strerror(-rc));
        all->failure_count++;
        all->is_stopped = true;
        return false;
    }
    all->is_busy[place] = true;
    all->busy_count++;
    return true;
}

static void fill(runner *all)
{
    for (unsigned i = 0; i < all->options->jobs; i++) {
        if (!all->is_busy[i] && !start_next(all, i))
            return;
    }
}

static void collect(runner *all)
{
    for (unsigned i = 0; i < all->options->jobs; i++) {
        if (!all->is_busy[i] || !sim_job_poll(&all->jobs[i]))
            continue;
        note(all, &all->jobs[i]);
        sim_job_rest(&all->jobs[i]);
        all->is_busy[i] = false;
        all->busy_count--;
    }
}

/* The end of a process wakes us, and now and then we look at the times. */
static void run_many(runner *all)
{
    const struct timespec moment = {.tv_nsec = 100000000};
    sigset_t children;
    sigset_t before;

    (void)sigemptyset(&children);
    (void)sigaddset(&children, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &children, &before);
    for (fill(all); all->busy_count > 0; fill(all)) {
        (void)sigtimedwait(&children, NULL, &moment);
        collect(all);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}

static int run_all(runner *all)
{
    const unsigned jobs = all->options->jobs;

    all->end = coil_time_after(sim_real_now(), all->options->budget);
    all->jobs = sim_new(jobs * sizeof(*all->jobs));
    all->is_busy = sim_new(jobs * sizeof(*all->is_busy));
    for (unsigned i = 0; i < jobs; i++)
        sim_job_init(&all->jobs[i]);
    run_many(all);
    for (unsigned i = 0; i < jobs; i++)
        sim_job_fini(&all->jobs[i]);
    sim_delete(all->jobs);
    sim_delete(all->is_busy);
    print_summary(all);
    return all->failure_count > 0;
}

/* --------------------------------------------------------------------------- one, right here -- */

static int run_here(runner *all)
{
    enum { OCCURRENCES_MAX = 100000 };
    sim_result *result = sim_new(sizeof(*result) + OCCURRENCES_MAX * sizeof(sim_occurrence));
    sim_case what;

    report_crashes();
    while (next_case(all, &what)) {
        memset(result, 0, sizeof(*result));
        result->occurrences.room = OCCURRENCES_MAX;
        sim_run(&what, &all->options->settings, result);
        print_fingerprint(&what, result);
        learn(all, &what, result);
    }
    sim_delete(result);
    return 0;
}

int coil_sim_main(int argc, char **argv, const coil_sim_scenario *scenarios, size_t scenario_count)
{
    sim_options options;

    if (sim_options_parse(argc, argv, &options) < 0)
        return 2;
    runner all = {.options = &options,
            .scenarios = scenarios,
            .scenario_count = scenario_count,
            .seed = UINT64_MAX}; /* next_seed() comes to the first. */
    int status = 0;
    next_seed(&all);
    if (options.helps) {
        sim_options_fini(&options);
        return 0;
    }
    if (options.lists) {
        for (size_t i = 0; i < scenario_count; i++)
            printf("%s\n", scenarios[i].name);
    } else if (all.scenario == scenario_count) {
        fprintf(stderr, "%s: there is nothing to run; --list names the scenarios\n",
                options.program);
        status = 2;
    } else {
        status = options.is_single ? run_here(&all) : run_all(&all);
    }
    sim_options_fini(&options);
    return status;
}
