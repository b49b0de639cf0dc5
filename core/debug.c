/* SPDX-License-Identifier: MIT */
#include <coil/debug.h>

#include "task_private.h"
#include "task_probe.h"

#include <coil/round.h>
#include <coil/trace.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

/* A coroutine that has been called. */
typedef struct cold_call {
    coil_list link;
    uint32_t number;
    const coil_fn *fn;
    const void *code;        /* Where it was called. */
    const coil_task *caller; /* NULL: outside of all tasks. */
} cold_call;

/* The scheduler in debug mode that runs, or has begun, on this thread. */
static COIL_THREAD_LOCAL coil_debug *current;

/* ---------------------------------------------------------------------------------- reports -- */

typedef struct report {
    FILE *out;
    char *text;
    size_t size_bytes;
} report;

/* (In place: the stream writes into it.) */
static void begin_report(report *made)
{
    *made = (report){NULL, NULL, 0};
    made->out = open_memstream(&made->text, &made->size_bytes);
    if (made->out == NULL)
        made->out = stderr;
}

static void end_report(coil_debug *debug, report *made)
{
    debug->has_reported = true;
    if (made->out == stderr)
        return;
    (void)fclose(made->out);
    if (made->text != NULL)
        debug->report(debug, made->text);
    free(made->text);
}

void coil_place_print(const char *word, const coil_place *where, FILE *out)
{
    if (where->fn == NULL) {
        (void)fprintf(out, "    %-5s the end\n", word);
    } else if (where->at == NULL) {
        (void)fprintf(out, "    %-5s %s (%s), its start\n", word, where->fn->name, where->fn->file);
    } else {
        (void)fprintf(out, "    %-5s %s (%s:%d)  await (%s)\n", word, where->fn->name,
                where->fn->file, where->at->line, where->at->what);
    }
}

/* (Leaves say nothing about a place.) */
coil_place coil_place_of(const coil_task *task)
{
    const coil_frame *frame = task->top;
    while (frame != NULL && frame->up != NULL && frame->at == &coil_leaf_site)
        frame = frame->up;
    if (frame == NULL)
        return (coil_place){NULL, NULL};
    return (coil_place){frame->fn, frame->at == &coil_leaf_site ? NULL : frame->at};
}

/* ----------------------------------------------------------------- the tasks that there are -- */
/*
 * A hash table of those that have run and not ended. Open addressing; at most half full.
 */
typedef struct coil_debug_tasks {
    size_t count;
    size_t slot_count; /* A power of two. */
    const coil_task *slots[];
} coil_debug_tasks;

static coil_debug_tasks *make_tasks(size_t slot_count)
{
    coil_debug_tasks *tasks = calloc(1, sizeof(*tasks) + slot_count * sizeof(const coil_task *));
    if (tasks != NULL)
        tasks->slot_count = slot_count;
    return tasks;
}

/* The slot of `task`, or the free one where it would go. */
static size_t slot_of(const coil_debug_tasks *tasks, const coil_task *task)
{
    size_t slot = (size_t)(((uintptr_t)task >> 5) * 0x9E3779B97F4A7C15u >> 20);
    for (;; slot++) {
        slot &= tasks->slot_count - 1;
        if (tasks->slots[slot] == NULL || tasks->slots[slot] == task)
            return slot;
    }
}

static void put_task(coil_debug_tasks *tasks, const coil_task *task)
{
    size_t slot = slot_of(tasks, task);
    tasks->count += tasks->slots[slot] == NULL;
    tasks->slots[slot] = task;
}

/* Without memory for a larger table, some tasks are not known: a leak may go unseen, no more. */
static void know_task(coil_debug *debug, const coil_task *task)
{
    coil_debug_tasks *tasks = debug->tasks;
    if (2 * tasks->count >= tasks->slot_count) {
        coil_debug_tasks *larger = make_tasks(2 * tasks->slot_count);
        if (larger == NULL)
            return;
        for (size_t i = 0; i < tasks->slot_count; i++) {
            if (tasks->slots[i] != NULL)
                put_task(larger, tasks->slots[i]);
        }
        free(tasks);
        debug->tasks = tasks = larger;
    }
    put_task(tasks, task);
}

/* Those behind the free slot move up, so that each is found from where it belongs. */
static void forget_task(coil_debug *debug, const coil_task *task)
{
    coil_debug_tasks *tasks = debug->tasks;
    size_t slot = slot_of(tasks, task);
    if (tasks->slots[slot] == NULL)
        return;
    tasks->slots[slot] = NULL;
    tasks->count--;
    for (slot = (slot + 1) & (tasks->slot_count - 1); tasks->slots[slot] != NULL;
            slot = (slot + 1) & (tasks->slot_count - 1)) {
        const coil_task *moved = tasks->slots[slot];
        tasks->slots[slot] = NULL;
        tasks->count--;
        put_task(tasks, moved);
    }
}

/* --------------------------------------------------------------------------- never awaited -- */

uint32_t coil_debug_created(const coil_fn *fn)
{
    coil_debug *debug = current;
    if (debug == NULL)
        return 0;
    cold_call *call = malloc(sizeof(*call));
    if (call == NULL)
        return 0;
    if (++debug->created_count == 0)
        debug->created_count = 1;
    *call = (cold_call){
            .number = debug->created_count,
            .fn = fn,
            .code = __builtin_return_address(0),
            .caller = debug->sched->running,
    };
    coil_list_append(&debug->colds, &call->link);
    return call->number;
}

/* (Backwards: it is nearly always the newest.) */
void coil_debug_awaited(uint32_t number)
{
    if (current == NULL)
        return;
    const coil_list *colds = &current->colds;
    for (coil_list *link = colds->prev; link != colds; link = link->prev) {
        cold_call *call = coil_container_of(link, cold_call, link);
        if (call->number != number)
            continue;
        coil_list_remove(link);
        free(call);
        return;
    }
}

static void report_cold(coil_debug *debug, const cold_call *call)
{
    report made;
    begin_report(&made);
    (void)fprintf(made.out,
            "coil: never awaited: %s (%s) was called, and neither awaited nor spawned\n",
            call->fn->name, call->fn->file);
    if (call->caller != NULL)
        (void)fprintf(made.out, "    by    task %s\n", coil_task_name(call->caller));
    (void)fprintf(made.out, "    at    ");
    debug->name_place(debug, call->code, made.out);
    (void)fputc('\n', made.out);
    end_report(debug, &made);
}

/* `caller` ends: what it has called and not awaited by now never will be. */
static void report_colds(coil_debug *debug, const coil_task *caller)
{
    coil_list *next;
    for (coil_list *link = debug->colds.next; link != &debug->colds; link = next) {
        cold_call *call = coil_container_of(link, cold_call, link);
        next = link->next;
        if (call->caller != caller)
            continue;
        report_cold(debug, call);
        coil_list_remove(link);
        free(call);
    }
}

/* ----------------------------------------------------------------------------------- steps -- */

void coil_debug_touched(coil_debug *debug, const char *did)
{
    if (debug->thread == __builtin_thread_pointer())
        return;
    report made;
    begin_report(&made);
    (void)fprintf(made.out,
            "coil: wrong thread: %s of a scheduler that belongs to another thread\n"
            "    from  ",
            did);
    debug->name_place(debug, NULL, made.out);
    (void)fprintf(made.out, "\n    use   coil_loop_post() or coil/remote.h\n");
    end_report(debug, &made);
    abort();
}

static void report_locks(coil_debug *debug, const coil_task *task)
{
    report made;
    begin_report(&made);
    (void)fprintf(made.out, "coil: lock held: task %s %s with %d lock%s that it never gave back\n",
            coil_task_name(task), task->unwinding ? "was cancelled" : "ended", task->lock_count,
            task->lock_count == 1 ? "" : "s");
    (void)fprintf(made.out, "    put the unlock into a defer, right behind the lock\n");
    end_report(debug, &made);
}

static void report_step(coil_debug *debug, const char *kind, const coil_task *task,
        const coil_place *from, coil_duration took)
{
    report made;
    begin_report(&made);
    coil_place to = coil_place_of(task);
    (void)fprintf(made.out, "coil: %s: task %s kept the loop for %lld.%03lld ms\n", kind,
            coil_task_name(task), (long long)(took / 1000000), (long long)(took / 1000 % 1000));
    coil_place_print("from", from, made.out);
    coil_place_print("to", &to, made.out);
    end_report(debug, &made);
}

/* How long did the step take, and did it sleep? */
static void judge_step(
        coil_debug *debug, const coil_task *task, const coil_place *from, coil_duration took)
{
    if (took < debug->blocking_step && took < debug->slow_step)
        return;
    uint64_t slept_count = debug->sleep_count(debug, true);
    bool slept = slept_count != debug->slept_count && took >= debug->blocking_step;
    debug->slept_count = slept_count;
    if (slept || took >= debug->slow_step)
        COIL_PROBE(slow_step, task, coil_task_name(task), took);
    if (slept) {
        report_step(debug, "blocked in the kernel", task, from, took);
    } else if (took >= debug->slow_step) {
        report_step(debug, "slow step", task, from, took);
    }
}

/* As coil_task_resume(): has it ended? *io_time: when it begins; then, when the next one may. */
static bool step(coil_debug *debug, coil_task *task, coil_time *io_time)
{
    const coil_place from = coil_place_of(task);
    coil_frame *frame;

    if (COIL_PROBED())
        coil_probe_resumed(task);
    if (from.at == NULL)
        know_task(debug, task);
    while ((frame = task->top) != NULL && frame->fn->step(task, frame) == COIL_DONE) {
    }
    coil_time ended = debug->now(debug);
    judge_step(debug, task, &from, ended - *io_time - debug->lent);
    if (COIL_PROBED())
        coil_probe_left(task);
    if (frame == NULL) {
        if (task->lock_count > 0)
            report_locks(debug, task);
        if (!coil_list_empty(&debug->colds))
            report_colds(debug, task);
        forget_task(debug, task);
        coil_group_ended(task);
    } else if (task->queued == COIL_NOT_QUEUED) {
        task->queued = COIL_GUARDED;
    }
    if (debug->has_reported) { /* What the report took is not the next step's. */
        debug->has_reported = false;
        debug->slept_count = debug->sleep_count(debug, true);
        ended = debug->now(debug);
    }
    *io_time = ended;
    return frame == NULL;
}

bool coil_debug_resume(coil_debug *debug, coil_task *task)
{
    const coil_duration lent = debug->lent;
    const coil_time began = debug->now(debug);
    const uint64_t slept_before = debug->sleep_count(debug, true);
    const uint64_t spawners_sleeps = slept_before - debug->slept_count;
    coil_time time = began;

    debug->lent = 0;
    debug->slept_count = slept_before;
    const bool has_ended = step(debug, task, &time);
    debug->slept_count = debug->sleep_count(debug, true) - spawners_sleeps;
    debug->lent = lent + (time - began);
    return has_ended;
}

void coil_debug_run(coil_debug *debug, unsigned budget)
{
    coil_debug_touched(debug, "ran a task");
    current = debug;
    coil_time now = debug->now(debug);
    debug->slept_count = debug->sleep_count(debug, false);

    coil_task *task;
    while (budget-- > 0 && (task = coil_sched_take(debug->sched)) != NULL) {
        debug->lent = 0;
        (void)step(debug, task, &now);
    }
}

/* ------------------------------------------------------------------------------- lifecycle -- */

int coil_debug_init(coil_debug *debug, coil_sched *sched)
{
    enum { FIRST_SLOTS = 256 };
    debug->tasks = make_tasks(FIRST_SLOTS);
    if (debug->tasks == NULL)
        return -ENOMEM;
    debug->sched = sched;
    debug->thread = __builtin_thread_pointer();
    debug->created_count = 0;
    debug->has_reported = false;
    coil_list_init(&debug->colds);
    sched->debug = debug;
    sched->class_count = 0;
    current = debug;
    return 0;
}

/* Those in the tree of the root are the business of whoever closes the loop. */
static bool is_in_tree(const coil_sched *sched, const coil_task *task)
{
    const coil_group *group = task->group;
    while (group != NULL && group->host != NULL)
        group = group->host->group;
    return group == &sched->root;
}

static void report_leaks(coil_debug *debug)
{
    const coil_debug_tasks *tasks = debug->tasks;
    for (size_t i = 0; i < tasks->slot_count; i++) {
        const coil_task *task = tasks->slots[i];
        if (task == NULL)
            continue;
        report made;
        begin_report(&made);
        (void)fprintf(made.out, "coil: leak: task %s has not ended%s\n", coil_task_name(task),
                is_in_tree(debug->sched, task) ? "" : ", in a group that no coroutine has open");
        coil_trace(task, made.out);
        end_report(debug, &made);
    }
}

void coil_debug_fini(coil_debug *debug)
{
    report_leaks(debug);
    coil_list *next;
    for (coil_list *link = debug->colds.next; link != &debug->colds; link = next) {
        next = link->next;
        report_cold(debug, coil_container_of(link, cold_call, link));
        free(coil_container_of(link, cold_call, link));
    }
    free(debug->tasks);
    debug->tasks = NULL;
    debug->sched->debug = NULL;
    debug->sched->class_count = COIL_SLAB_CLASSES;
    if (current == debug)
        current = NULL;
}
