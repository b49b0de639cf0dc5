/* SPDX-License-Identifier: MIT */
#include <coil/trace.h>

#include "task_private.h"

#include <coil/sched.h>
#include <coil/waiter.h>

#include <inttypes.h>

static_assert(offsetof(coil_task_extras, name) == 0, "the watchdog and gdb look for it there");

/* --------------------------------------------------------------------------------- frames -- */

static void trace_frame(const coil_frame *frame, FILE *out)
{
    fputs(frame->fn->name, out);
    if (frame->at != NULL && frame->at->line != 0)
        fprintf(out, " (%s:%d)  await (%s)", frame->fn->file, frame->at->line, frame->at->what);
}

static void trace_frames(const coil_task *task, int depth, FILE *out)
{
    for (const coil_frame *frame = task->top; frame != NULL; frame = frame->up) {
        fprintf(out, "%*s", 4 * depth, "");
        trace_frame(frame, out);
        fputc('\n', out);
    }
}

void coil_trace(const coil_task *task, FILE *out)
{
    trace_frames(task, 1, out);
}

/* ------------------------------------------------------------------- the way through a tree -- */

/* The first task of the groups of `host` that come after `group`; NULL is before all. */
static const coil_task *first_child(const coil_task *host, const coil_group *group)
{
    while ((group = coil_task_group(host, group)) != NULL) {
        if (!coil_list_empty(&group->tasks))
            return coil_container_of(group->tasks.next, coil_task, link);
    }
    return NULL;
}

/* The next child of the task's parent, or NULL. Groups beside `root` do not count. */
static const coil_task *next_sibling(const coil_task *task, const coil_group *root)
{
    const coil_group *group = task->group;
    if (task->link.next != &group->tasks)
        return coil_container_of(task->link.next, coil_task, link);
    return group == root ? NULL : first_child(group->host, group);
}

/* Depth first, without recursion: the way back up is group->host. */
static const coil_task *next_task(const coil_task *task, const coil_group *root, int *depth)
{
    const coil_task *child = first_child(task, NULL);
    if (child != NULL) {
        (*depth)++;
        return child;
    }
    for (;;) {
        const coil_task *sibling = next_sibling(task, root);
        if (sibling != NULL || task->group == root)
            return sibling;
        task = task->group->host;
        (*depth)--;
    }
}

static const coil_task *first_of(const coil_group *root)
{
    if (coil_list_empty(&root->tasks))
        return NULL;
    return coil_container_of(root->tasks.next, coil_task, link);
}

void coil_trace_group(const coil_group *root, FILE *out)
{
    int depth = 0;
    for (const coil_task *task = first_of(root); task != NULL;
            task = next_task(task, root, &depth)) {
        fprintf(out, "%*stask %s\n", 4 * depth, "", coil_task_name(task));
        trace_frames(task, depth + 1, out);
    }
}

/* ----------------------------------------------------------------------------------- tree -- */

enum { BRANCHES_MAX = 32 }; /* Deeper branches are not drawn. */

static void draw_branches(const coil_task *task, const coil_group *root, int depth, FILE *out)
{
    bool goes_on[BRANCHES_MAX] = {false};
    for (int level = depth; level >= 0; level--) {
        if (level < BRANCHES_MAX)
            goes_on[level] = next_sibling(task, root) != NULL;
        task = task->group->host;
    }
    for (int level = 0; level <= depth; level++)
        fputs(level < BRANCHES_MAX && goes_on[level] ? "│  " : "   ", out);
}

static coil_duration time_until(const coil_task *task, coil_time when)
{
    const coil_time now = coil_sched_now(task->sched);
    return when > now ? when - now : 0;
}

/* How old it is, how long it may be at it, and whether it waits at all. */
static void draw_times(const coil_task *task, FILE *out)
{
    const coil_time deadline = coil_task_deadline(task);
    coil_trace_duration(coil_task_age(task), out);
    fputs(" old", out);
    if (deadline != COIL_NEVER) {
        fputs(", ", out);
        coil_trace_duration(time_until(task, deadline), out);
        fputs(" left", out);
    }
    if (coil_task_cancelling(task))
        fputs(", is being cancelled", out);
    if (task == task->sched->running) {
        fputs(", runs", out);
    } else if (task->queued == COIL_QUEUED) {
        fputs(", is ready", out);
    }
    if (task->lock_count > 0)
        fprintf(out, ", holds %d lock%s", task->lock_count, task->lock_count == 1 ? "" : "s");
}

static void draw_name(const coil_task *task, const coil_group *root, int depth, FILE *out)
{
    if (depth > 0)
        draw_branches(task->group->host, root, depth - 1, out);
    fprintf(out, "%s %s, ", next_sibling(task, root) != NULL ? "├─" : "└─", coil_task_name(task));
    draw_times(task, out);
    fputc('\n', out);
}

static bool sleeps(const coil_frame *leaf)
{
    return leaf->fn == &coil_sleep__fn || leaf->fn == &coil_sleep_until__fn;
}

/* The others in the list, one of which is not a waiter but its head. */
static size_t waiter_count(const coil_waiter *waiter)
{
    size_t count = 0;
    for (const coil_list *link = waiter->link.next; link != &waiter->link; link = link->next)
        count++;
    return count;
}

/* What is known of the thing that the suspended `leaf` waits for. */
static void trace_wait(const coil_task *task, const coil_frame *leaf, FILE *out)
{
    if (sleeps(leaf)) {
        coil_time end = coil_sleep_end(leaf);
        if (end == COIL_NEVER) {
            fputs("  for ever", out);
        } else {
            fputs("  for another ", out);
            coil_trace_duration(time_until(task, end), out);
        }
    } else if (leaf->fn == &coil_group_join__fn) {
        const struct coil_group_join__frame *join = (const void *)leaf;
        const coil_group *group = join->co__a.group;
        fprintf(out, "  for %zu tasks", group->live_count);
    } else if (leaf->fn->cancel == coil_waiter_cancel) {
        const coil_waiter *waiter = leaf->vars;
        if (waiter->state == COIL_WAITER_WAITING) {
            fprintf(out, "  as one of %zu", waiter_count(waiter));
        } else {
            fputs(waiter->state == COIL_WAITER_GRANTED ? "  granted" : "  withdrawn", out);
        }
    }
}

static void draw_frames(const coil_task *task, const coil_group *root, int depth, FILE *out)
{
    const bool has_children = first_child(task, NULL) != NULL;
    for (const coil_frame *frame = task->top; frame != NULL; frame = frame->up) {
        draw_branches(task, root, depth, out);
        fputs(has_children ? "│  " : "   ", out);
        trace_frame(frame, out);
        if (frame == task->top && frame->at == &coil_leaf_site)
            trace_wait(task, frame, out);
        fputc('\n', out);
    }
}

void coil_trace_tree(const coil_group *root, FILE *out)
{
    int depth = 0;
    for (const coil_task *task = first_of(root); task != NULL;
            task = next_task(task, root, &depth)) {
        draw_name(task, root, depth, out);
        draw_frames(task, root, depth, out);
    }
}

void coil_trace_duration(coil_duration duration, FILE *out)
{
    if (duration < coil_s(1)) {
        fprintf(out, "%" PRId64 " ms", duration / coil_ms(1));
    } else if (duration < coil_s(60)) {
        fprintf(out, "%" PRId64 ".%" PRId64 " s", duration / coil_s(1),
                duration % coil_s(1) / coil_ms(100));
    } else if (duration < coil_s(3600)) {
        fprintf(out, "%" PRId64 " min %" PRId64 " s", duration / coil_s(60),
                duration / coil_s(1) % 60);
    } else {
        fprintf(out, "%" PRId64 " h %" PRId64 " min", duration / coil_s(3600),
                duration / coil_s(60) % 60);
    }
}
