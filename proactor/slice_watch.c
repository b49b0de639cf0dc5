/* SPDX-License-Identifier: MIT */
#include "slice_watch.h"

#include "pool.h"

#include <coil/debug.h>
#include <coil/task.h>

#include <stdlib.h>
#include <string.h>

struct slice_watch {
    coil_list link;
    const coil_buffer *buffer;
    const coil_slice *front; /* Of its receiver: as long as it is there, nobody has taken it. */
    coil_time since;
    coil_place place;
    int64_t size_bytes;
    char task[COIL_TASK_NAME_BYTES];
};

static slice_watch *watch_at(coil_list *link)
{
    return coil_container_of(link, slice_watch, link);
}

static void report(const slice_watches *watches, const slice_watch *watch, coil_time now)
{
    char *text = NULL;
    size_t size_bytes = 0;
    const long long held_ms = (now - watch->since) / coil_ms(1);
    FILE *out = open_memstream(&text, &size_bytes);

    if (out == NULL)
        return;
    (void)fprintf(out,
            "coil: slice held: task %s has kept %lld bytes of a receive buffer for %lld.%03lld s\n",
            watch->task, (long long)watch->size_bytes, held_ms / 1000, held_ms % 1000);
    coil_place_print("from", &watch->place, out);
    (void)fclose(out);
    if (text != NULL)
        watches->debug->report(watches->debug, text);
    free(text);
}

static bool is_taken(const slice_watch *watch)
{
    return watch->front == NULL || watch->front->buffer != watch->buffer ||
           watch->buffer->slice_count > 1;
}

/* Each is reported once; one that nobody has taken yet has a new time. */
static void check(coil_timer *timer)
{
    slice_watches *watches = coil_container_of(timer, slice_watches, timer);
    coil_sched *sched = watches->debug->sched;
    const coil_time now = coil_sched_now(sched);

    while (!coil_list_empty(&watches->held)) {
        slice_watch *oldest = watch_at(watches->held.next);
        const coil_time due = coil_time_after(oldest->since, watches->limit);
        if (due > now) {
            coil_timer_arm(&sched->wheel, timer, due);
            return;
        }
        coil_list_remove(&oldest->link);
        if (is_taken(oldest)) {
            report(watches, oldest, now);
        } else {
            oldest->since = now;
            coil_list_append(&watches->held, &oldest->link);
        }
    }
}

void slice_watches_init(slice_watches *watches, coil_debug *debug, coil_duration limit)
{
    watches->debug = debug;
    watches->limit = limit;
    coil_list_init(&watches->held);
    coil_timer_init(&watches->timer, check);
}

void slice_watches_fini(slice_watches *watches)
{
    coil_timer_disarm(&watches->debug->sched->wheel, &watches->timer);
    while (!coil_list_empty(&watches->held))
        coil_list_remove(watches->held.next);
}

/* Without memory it is not watched. */
void slice_watch_begin(coil_loop *loop, coil_slice *front)
{
    slice_watches *watches = loop_slice_watches(loop);
    const coil_task *task = loop->sched.running;
    coil_slice copy;
    char *bytes;

    if (task == NULL || front->size_bytes <= 0)
        return;
    slice_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL || coil_slice_create((size_t)front->size_bytes, &bytes, &copy) < 0) {
        free(watch);
        return;
    }
    memcpy(bytes, front->bytes, (size_t)front->size_bytes);
    coil_slice_release(front);
    *front = copy;
    copy.buffer->watch = watch;
    watch->buffer = copy.buffer;
    watch->front = front;
    watch->since = coil_sched_now(&loop->sched);
    watch->place = coil_place_of(task);
    watch->size_bytes = copy.size_bytes;
    (void)snprintf(watch->task, sizeof(watch->task), "%s", coil_task_name(task));
    coil_list_append(&watches->held, &watch->link);
    if (!coil_timer_armed(&watches->timer)) {
        coil_timer_arm(&loop->sched.wheel, &watches->timer,
                coil_time_after(coil_sched_now(&loop->sched), watches->limit));
    }
}

void slice_watch_forget(coil_loop *loop, const coil_slice *front)
{
    const coil_list *held = &loop_slice_watches(loop)->held;
    for (coil_list *link = held->prev; link != held; link = link->prev) {
        if (watch_at(link)->front == front)
            watch_at(link)->front = NULL;
    }
}

void slice_watch_end(slice_watch *watch)
{
    coil_list_remove(&watch->link);
    free(watch);
}
