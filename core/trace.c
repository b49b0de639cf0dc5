/* SPDX-License-Identifier: MIT */
#include <coil/trace.h>

static void trace_frames(const coil_task *task, int depth, FILE *out)
{
    for (const coil_frame *frame = task->top; frame != NULL; frame = frame->up) {
        fprintf(out, "%*s%s", 4 * depth, "", frame->fn->name);
        if (frame->at != NULL && frame->at->line != 0)
            fprintf(out, " (%s:%d)  await (%s)", frame->fn->file, frame->at->line, frame->at->what);
        fputc('\n', out);
    }
}

void coil_trace(const coil_task *task, FILE *out)
{
    trace_frames(task, 1, out);
}

/* The tree below `root`, depth first, without recursion: the way back up is host->group. */
void coil_trace_group(const coil_group *root, FILE *out)
{
    const coil_group *group = root;
    coil_list *link = group->tasks.next;
    int depth = 0;

    for (;;) {
        if (link != &group->tasks) {
            const coil_task *task = coil_container_of(link, coil_task, link);
            fprintf(out, "%*stask %s\n", 4 * depth, "", coil_task_name(task));
            trace_frames(task, depth + 1, out);
            if (coil_task_group(task, NULL) != NULL) {
                group = coil_task_group(task, NULL);
                link = group->tasks.next;
                depth++;
            } else {
                link = link->next;
            }
            continue;
        }
        if (group == root)
            return;
        const coil_task *host = group->host;
        const coil_group *next = coil_task_group(host, group);
        if (next != NULL) {
            group = next;
            link = group->tasks.next;
            continue;
        }
        group = host->group;
        link = host->link.next;
        depth--;
    }
}
