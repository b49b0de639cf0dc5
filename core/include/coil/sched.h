/* SPDX-License-Identifier: MIT */
/*
 * coil/sched.h - the scheduler of one thread: ready tasks, timers, memory for tasks.
 *
 * It knows no clock and no kernel: whoever drives it (coil/loop.h, or a test) tells it the time and
 * wakes tasks whose events have arrived.
 *
 *     for (;;) {
 *         coil_sched_advance(&sched, now());          deadlines that have passed wake their tasks
 *         coil_sched_run(&sched, budget);             ready tasks run, first come first served
 *         wait until coil_sched_next(&sched), or for an event
 *     }
 *
 * Not thread safe.
 */
#ifndef COIL_SCHED_H
#define COIL_SCHED_H

#include <coil/group.h>
#include <coil/timer.h>

COIL_BEGIN_DECLS

typedef struct coil_allocator coil_allocator;
typedef struct coil_purge_hook coil_purge_hook;
typedef struct coil_clock coil_clock;

/* Where the scheduler gets memory. `allocate` returns NULL when there is none. */
struct coil_allocator {
    void *(*allocate)(coil_allocator *allocator, size_t size_bytes);
    void (*release)(coil_allocator *allocator, void *memory, size_t size_bytes);
};

/* Who tells the time to those who ask: for a driver that spares itself the clock if nobody does. */
struct coil_clock {
    coil_time (*read)(coil_clock *clock);
};

enum {
    COIL_SLAB_STEP_BYTES = 16,   /* Tasks come in multiples of this, */
    COIL_SLAB_CLASSES = 256,     /* up to this many of them; larger ones are allocated singly. */
    COIL_SLAB_BYTES = 32 * 1024, /* A slab. Where there are many, several are asked for at once. */
};

/* Timers are armed on its `wheel`, which comes last because it is large, and mostly at rest. */
struct coil_sched {
    coil_time now;       /* Read it by coil_sched_now(). */
    coil_clock *unread;  /* Not NULL: `now` is that of an earlier round; whoever asks reads it. */
    coil_task *running;  /* The task whose coroutine is running, or NULL. */
    size_t live_count;   /* Tasks that have not ended. */
    uint64_t step_count; /* Resumptions so far. Any thread may look (relaxed). */
    coil_group root;     /* Tasks without a coroutine that waits for them. */

    /* Private. */
    coil_task *ready_first;
    coil_task **ready_last;   /* The link to set next. */
    coil_task *yielded_first; /* Ready in the next round. */
    coil_task **yielded_last;
    coil_debug *debug;  /* NULL: no debug mode. */
    size_t class_count; /* COIL_SLAB_CLASSES; 0 in debug mode, which looks at each allocation. */
    coil_allocator *allocator;
    size_t slab_count;                                /* Those in use. */
    size_t excess_below;                              /* Tasks; see coil_sched_has_excess(). */
    struct coil_free *free_blocks[COIL_SLAB_CLASSES]; /* Per size, as the next two. */
    struct coil_slab *slabs[COIL_SLAB_CLASSES];
    struct coil_slab *resting_slabs[COIL_SLAB_CLASSES]; /* Never used, or given back. */
    coil_timer_wheel wheel;
};

/* `allocator` must outlive the scheduler; NULL: malloc and free. */
COIL_API void coil_sched_init(coil_sched *sched, coil_time now, coil_allocator *allocator);

/* All tasks must have ended. */
COIL_API void coil_sched_fini(coil_sched *sched);

/* Set the time and wake what was waiting for it. A `now` in the past is ignored. */
COIL_API void coil_sched_advance(coil_sched *sched, coil_time now);

/*
 * The same for a round in which nothing is due, whatever the time is, because no timer is armed:
 * the first who asks for the time reads `clock`. False: some are armed; advance.
 */
static inline bool coil_sched_spare_clock(coil_sched *sched, coil_clock *clock)
{
    if (!coil_timer_wheel_rests(&sched->wheel))
        return false;
    sched->unread = clock;
    return true;
}

/* Private: coil_sched_now() of a round in which nobody has asked yet. */
COIL_API coil_time coil_sched_read_clock(coil_sched *sched);

/* The time. From when it is first asked for it stands still until the round has ended. */
static inline coil_time coil_sched_now(coil_sched *sched)
{
    return coil_unlikely(sched->unread != NULL) ? coil_sched_read_clock(sched) : sched->now;
}

/* Private: `task`, which is neither queued nor guarded, is ready. */
static inline void coil_sched_queue(coil_sched *sched, coil_task *task)
{
    task->queued = COIL_QUEUED;
    task->ready_next = NULL;
    *sched->ready_last = task;
    sched->ready_last = &task->ready_next;
}

/* Is no task waiting to run, besides the one that runs? */
static inline bool coil_sched_idle(const coil_sched *sched)
{
    return sched->ready_first == NULL;
}

/*
 * One round: run ready tasks, and those that they make ready, until none is left or `budget`
 * resumptions have been spent. Tasks that yield are left for the next round. Returns true if some
 * are left.
 */
COIL_API bool coil_sched_run(coil_sched *sched, unsigned budget);

/* Until when the driver may wait: `now` if a task is ready, COIL_NEVER if nothing is due. */
COIL_API coil_time coil_sched_next(coil_sched *sched);

/* Memory from the slabs, for tasks and whatever lives as long as one. NULL if there is none. */
COIL_API void *coil_sched_allocate(coil_sched *sched, size_t size_bytes);
COIL_API void coil_sched_release(coil_sched *sched, void *memory, size_t size_bytes);

/*
 * Giving back after a peak
 * ------------------------
 * Three of four tasks have ended since memory was last asked for, and it was more than 1 MiB: then
 * it is worth it to trim. (Not above 128 MiB: that would take long.) Asking costs next to nothing.
 */
static inline bool coil_sched_has_excess(const coil_sched *sched)
{
    return sched->live_count < sched->excess_below;
}

/*
 * Who is told that the contents of some memory are not needed any more: the system may have it,
 * for instance by madvise(2) with MADV_DONTNEED. It stays ours: it can be read, as whatever, and
 * written to, and is then there again.
 */
struct coil_purge_hook {
    void (*purge)(coil_purge_hook *hook, void *memory, size_t size_bytes);
};

/*
 * Purge the slabs that hold nothing; they are the first to be used again. Looks at every free
 * block: about 0.1 us for each task that has ended. Not from inside a task. Returns how many bytes
 * were purged; 0 also if there is no memory to do it with.
 */
COIL_API size_t coil_sched_trim(coil_sched *sched, coil_purge_hook *hook);

/* Wait for `duration`, or until `deadline`. Never early. */
coil_declare(void, coil_sleep, (coil_duration) duration);
coil_declare(void, coil_sleep_until, (coil_time) deadline);

/*
 * Let every other ready task run once, and time and I/O go on: the task is ready again in the next
 * round of the scheduler.
 */
coil_declare(void, coil_yield);

COIL_END_DECLS

#endif
