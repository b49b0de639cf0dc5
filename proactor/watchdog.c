/* SPDX-License-Identifier: MIT */
#include <coil/watchdog.h>

#include "loop_private.h"
#include "monitor.h"

#include <coil/kernel.h>
#include <coil/probe.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CASES_MAX = 4 }; /* Loops that are reported per look; the others are so at the next. */

/* What a look has found of one loop. */
typedef struct blocked_case {
    const coil_loop *loop; /* May be gone when it is looked at. */
    unsigned number;
    pid_t thread;
    char name[MONITOR_NAME_BYTES];
    uint64_t beat;
    uint64_t steps;
    coil_duration duration;
    coil_duration starved;
    bool over;
    bool reported;
} blocked_case;

/* One look at all loops. */
typedef struct survey {
    loop_visitor visitor;
    coil_time now;
    int case_count;
    blocked_case cases[CASES_MAX];
} survey;

/* Held while the options are used, too: a stop waits for the report that is being made. */
static COIL_PROCESS_WIDE pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static COIL_PROCESS_WIDE bool started;
static COIL_PROCESS_WIDE coil_watchdog_options current;
static COIL_PROCESS_WIDE coil_time expected_at; /* When we want to look again. */
static report text;

int coil_watchdog_start(const coil_watchdog_options *options)
{
    coil_watchdog_options chosen = {0};
    if (options != NULL)
        chosen = *options;
    if (chosen.threshold == 0)
        chosen.threshold = coil_ms(100);
    if (chosen.threshold < coil_ms(1))
        return -EINVAL;
    if (chosen.fd == 0)
        chosen.fd = STDERR_FILENO;
    if (chosen.signo == 0)
        chosen.signo = COIL_WATCHDOG_SIGNAL;

    (void)pthread_mutex_lock(&lock);
    int rc = started ? -EALREADY : 0;
    if (rc == 0 && !chosen.without_signal)
        rc = probe_install(chosen.signo);
    if (rc == 0) {
        if (chosen.without_signal)
            chosen.signo = 0;
        current = chosen;
        expected_at = COIL_NEVER;
        started = true;
    }
    (void)pthread_mutex_unlock(&lock);
    if (rc < 0)
        return rc;

    rc = monitor_need(MONITOR_WATCHDOG);
    if (rc < 0)
        coil_watchdog_stop();
    return rc;
}

void coil_watchdog_stop(void)
{
    (void)pthread_mutex_lock(&lock);
    started = false;
    (void)pthread_mutex_unlock(&lock);
    monitor_release(MONITOR_WATCHDOG);
}

/* ------------------------------------------------------------------------------- looking -- */

/* How long the thread has been ready to run without a processor, ever. 0: not known. */
static coil_duration starved(pid_t thread)
{
    char times[128];
    (void)monitor_read_proc(thread, "schedstat", times, sizeof(times));
    const char *second = strchr(times, ' ');
    return second == NULL ? 0 : strtoll(second, NULL, 10);
}

static void note_case(survey *all, const coil_loop *loop, bool over)
{
    const loop_watch *watch = &loop->watch;
    blocked_case *one = &all->cases[all->case_count++];
    *one = (blocked_case){
            .loop = loop,
            .number = watch->number,
            .thread = watch->thread,
            .beat = watch->seen_beat,
            .steps = watch->seen_steps,
            .duration = all->now - watch->since,
            .starved = watch->starved,
            .over = over,
    };
    (void)monitor_loop_name(loop, one->name);
}

/* Something has happened since the last look, or nothing needs to. */
static void look_at_moving(survey *all, coil_loop *loop, uint64_t beat, uint64_t steps)
{
    loop_watch *watch = &loop->watch;
    if (watch->report_count > 0)
        note_case(all, loop, true);
    watch->seen_beat = beat;
    watch->seen_steps = steps;
    watch->since = all->now;
    watch->starved = -1;
    watch->report_count = 0;
    watch->report_after = current.threshold;
}

static void look_at_still(survey *all, coil_loop *loop)
{
    loop_watch *watch = &loop->watch;
    if (watch->starved < 0)
        watch->starved = starved(watch->thread);
    if (all->now - watch->since < watch->report_after)
        return;
    if (current.once && watch->report_count > 0)
        return;
    note_case(all, loop, false);
}

static void look_at(loop_visitor *visitor, coil_loop *loop)
{
    survey *all = coil_container_of(visitor, survey, visitor);
    if (all->case_count == CASES_MAX)
        return;
    const uint64_t beat = __atomic_load_n(&loop->watch.beat, __ATOMIC_RELAXED);
    const uint64_t steps = __atomic_load_n(&loop->sched.step_count, __ATOMIC_RELAXED);
    if (beat >= WATCH_RUNS && beat == loop->watch.seen_beat && steps == loop->watch.seen_steps) {
        look_at_still(all, loop);
    } else {
        look_at_moving(all, loop, beat, steps);
    }
}

/* ----------------------------------------------------------------------------- reporting -- */

/* What the thread is doing at this moment, in words. */
static const char *state_of(pid_t thread)
{
    char stat[256];
    (void)monitor_read_proc(thread, "stat", stat, sizeof(stat));
    const char *end = strrchr(stat, ')');
    if (end == NULL || end[1] == '\0')
        return "";
    switch (end[2]) {
    case 'R':
        return "; computes";
    case 'S':
        return "; sleeps";
    case 'D':
        return "; waits uninterruptibly";
    default:
        return "";
    }
}

static void hand_over(void)
{
    if (current.hook != NULL) {
        current.hook->report(current.hook, text.text, text.size_bytes);
    } else {
        report_write(current.fd, text.text, text.size_bytes);
    }
}

static void add_headline(const blocked_case *found, const char *what)
{
    text.size_bytes = 0;
    report_add(&text, "coil: %s %s %" PRId64 ".%02" PRId64 " s", found->name, what,
            found->duration / coil_s(1), found->duration % coil_s(1) / coil_ms(10));
}

static void report_case(blocked_case *found)
{
    const char *state = state_of(found->thread);
    probe seen;

    const bool answered = probe_loop(found->loop, found->thread, current.signo, &seen);
    if (seen.beat != found->beat || seen.steps != found->steps)
        return; /* It has got on meanwhile. */
    const coil_duration lost = starved(found->thread) - found->starved;
    found->starved += lost;
    found->duration -= lost;
    if (found->duration < current.threshold)
        return; /* It has not been given a processor: nobody is to blame. */
    found->reported = true;
    COIL_PROBE(slow_step, 0UL, &seen.task[0], found->duration);
    add_headline(found, "has been blocked for");
    if (seen.task[0] != '\0')
        report_add(&text, " by task %s", seen.task);
    report_add(&text, "%s%s\n", state,
            answered || current.signo == 0 ? "" : "; it does not take the signal");
    monitor_add_probe(&text, &seen, !current.without_lines);
    hand_over();
}

static void report_end(const blocked_case *found)
{
    add_headline(found, "goes on after about");
    report_add(&text, "\n");
    hand_over();
}

/*
 * A time in which we did not run, although we wanted to, counts for nobody: the whole process was
 * stopped, or had no processor.
 */
typedef struct lost_time {
    loop_visitor visitor;
    coil_duration duration;
} lost_time;

static void forgive(loop_visitor *visitor, coil_loop *loop)
{
    loop->watch.since += coil_container_of(visitor, lost_time, visitor)->duration;
}

/* What has come of the reports, for the loops that are still there. */
static void settle(loop_visitor *visitor, coil_loop *loop)
{
    const survey *all = coil_container_of(visitor, survey, visitor);
    loop_watch *watch = &loop->watch;
    for (int i = 0; i < all->case_count; i++) {
        const blocked_case *found = &all->cases[i];
        if (found->number != watch->number || found->over)
            continue;
        watch->since = all->now - found->duration;
        watch->starved = found->starved;
        if (!found->reported)
            continue;
        watch->report_count++;
        watch->report_after = 2 * found->duration;
    }
}

static void look(coil_time now)
{
    lost_time lost = {{forgive}, expected_at == COIL_NEVER ? 0 : now - expected_at};
    if (lost.duration > current.threshold / 2)
        loop_each(&lost.visitor);

    survey all = {.visitor = {look_at}, .now = now};
    loop_each(&all.visitor);
    for (int i = 0; i < all.case_count; i++) {
        if (all.cases[i].over) {
            report_end(&all.cases[i]);
        } else {
            report_case(&all.cases[i]);
        }
    }
    all.visitor.visit = settle;
    if (all.case_count > 0)
        loop_each(&all.visitor);
}

coil_duration watchdog_look(coil_time now)
{
    coil_duration pause = COIL_FOREVER;
    (void)pthread_mutex_lock(&lock);
    if (started) {
        look(now);
        pause = current.threshold / 4;
        expected_at = coil_kernel_now() + pause;
    }
    (void)pthread_mutex_unlock(&lock);
    return pause;
}
