/* SPDX-License-Identifier: MIT */
/*
 * coil/group.h - structured concurrency: tasks that cannot outlive the scope that started them.
 *
 *     coil_async (int, serve, (coil_listener *) listener)
 *     {
 *         coil_vars (coil_group sessions; coil_stream *peer);
 *
 *         coil_open_group(&my->sessions);                 from here to the end of this coroutine
 *         for (;;) {
 *             coil_attempt(my->peer, coil_accept(listener));
 *             coil_spawn(&my->sessions, session(my->peer));
 *         }
 *     }
 *
 * Invariants
 *   - A group is opened by a coroutine and closed when that coroutine leaves, however it leaves:
 *     its tasks are cancelled and awaited first, as a defer would, youngest group first.
 *   - A group has ended only when all its tasks have ended.
 *   - The first task that fails (ends with a negative result, other than -ECANCELED) cancels the
 *     other tasks, and the coroutine that opened the group unless it is waiting in
 *     coil_group_join(). That error is what the join returns, or else the coroutine. With
 *     `keep_going`, failures are counted and the others run on.
 *   - With a `limit`, at most so many of its tasks have been started; the others start in the order
 *     of spawning, one for each that ends. When the group is cancelled, all of them start at once:
 *     each runs to its first await, like every task that is cancelled before its start.
 *
 * Not thread safe: a group and its tasks belong to one scheduler's thread.
 */
#ifndef COIL_GROUP_H
#define COIL_GROUP_H

#include <coil/coro.h>
#include <coil/list.h>

COIL_BEGIN_DECLS

struct coil_group {
    bool keep_going; /* Set after opening: the failure of one task is not the group's. */
    int error;       /* The first failure, or 0. */
    /*
     * Set after opening: tasks that may run at the same time. 0: any number. Another limit, but not
     * 0, may be set later, and counts from when the next task ends.
     */
    size_t limit;
    size_t failed_count;
    size_t live_count; /* Tasks that have not ended. */
    coil_sched *sched; /* Read only. */
    coil_task *host;   /* Who opened it. NULL: the scheduler's root group. Read only. */
    /*
     * Set after opening: called for every failure, just before the task is gone. Must not wait, nor
     * spawn into the group. NULL: nobody is told.
     */
    void (*on_failure)(coil_group *group, const coil_task *task, int error);

    /* Private. */
    bool cancelled;
    bool closing;      /* The body is leaving. */
    bool deferred;     /* It was opened while the body was leaving. */
    bool unwinds_host; /* Our failure is what it is being unwound for. */
    coil_frame *body;  /* Whose group it is. */
    coil_task *waiter; /* In coil_group_join(), _race() or _any(). */
    struct coil_race *race;
    coil_list tasks;
    coil_list *held; /* The first of them that has not been started; &tasks: none. */
    size_t held_count;
    coil_list room; /* Tasks in coil_group_room(). */
};

/* Inside a coroutine: open `group`, which must live in its vars or in memory that outlives it. */
#define coil_open_group(group) coil_group_open(co__t, &co__f->co__h, (group))

/*
 * Start the call as a task of the group. It runs in the next round of the scheduler, in the order
 * of spawning. Returns the task, which may be used until it ends; a task that was spawned into a
 * cancelled group is cancelled. Without memory it returns NULL and the group has a failed task with
 * -ENOMEM.
 */
#define coil_spawn(group, ...) COIL_SPAWN_(coil_group_start, group, NULL, __VA_ARGS__)

/* The same; an integer result of the call is stored in *out_result when it ends. */
#define coil_spawn_result(group, out_result, ...) \
    COIL_SPAWN_(coil_group_start, group, out_result, __VA_ARGS__)

/*
 * The same, but the task runs at once, to its first wait, before this returns. Only from inside a
 * task. NULL, too, if the task has ended by then. (asyncio: eager_start)
 *
 * An await is as eager, and needs no task; this is for what shall go on in the background.
 */
#define coil_spawn_now(group, ...) COIL_SPAWN_(coil_group_start_now, group, NULL, __VA_ARGS__)

#define COIL_SPAWN_(start, group, out_result, ...)                            \
    __extension__({                                                           \
        coil_group *co__g = (group);                                          \
        start(co__g, COIL_TASK_OF_(co__g->sched, __VA_ARGS__), (out_result)); \
    })

/* Start a handler with its argument as a task of the group. As coil_spawn(). */
COIL_API coil_task *coil_spawn_handler(coil_group *group, coil_handler handler, void *argument);

/*
 * Await all tasks of the group. Result: 0, or the first failure. Cancelling the join cancels the
 * tasks and still awaits them. Either way the group can be used again afterwards.
 */
coil_declare(int, coil_group_join, (coil_group *) group);

/*
 * Wait until the group could start another task at once: fewer of them live than `limit` says. For
 * producers that shall not run ahead. First come, first served: the end of a task lets one in, and
 * then the next if there still is room when that one waits again or has ended. So who is let in and
 * starts nothing keeps nobody out. What several start beyond the limit is held, as without this.
 * Result: 0; -ETIME under a deadline.
 */
coil_declare(int, coil_group_room, (coil_group *) group);

/* Cancel all tasks, and those to come. They end in their own time: see coil_group_join(). */
COIL_API void coil_group_cancel(coil_group *group);

/* For the macros above, and for schedulers. */
COIL_API void coil_group_init(coil_group *group, coil_sched *sched);
COIL_API void coil_group_open(coil_task *host, coil_frame *body, coil_group *group);
COIL_API coil_task *coil_group_start(coil_group *group, coil_task *task, int64_t *out_result);
COIL_API coil_task *coil_group_start_now(coil_group *group, coil_task *task, int64_t *out_result);

/* The task has left its last frame: report its result and leave the group. */
COIL_API void coil_group_ended(coil_task *task);

/* The groups that a task has open, youngest first: the one after `previous`, NULL for the first. */
COIL_API coil_group *coil_task_group(const coil_task *task, const coil_group *previous);

COIL_END_DECLS

#endif
