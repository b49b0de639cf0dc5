/* SPDX-License-Identifier: MIT */
/*
 * coil/future.h - a result that is not there yet, and what can be done with several of them.
 *
 *     coil_vars (coil_group both; coil_future_of(coil_slice) page; coil_future_of(int) count;);
 *
 *     coil_open_group(&my->both);
 *     coil_spawn_future(&my->both, &my->page, fetch(url));        a task's result, of any type
 *     coil_spawn_future(&my->both, &my->count, count_users(db));
 *     coil_attempt (coil_group_join(&my->both));                  gather: both are there
 *     use(my->page.value, my->count.value);
 *
 * A future is one-shot: it becomes done once, and stays so.
 *
 *     pending --coil_future_set(), coil_future_fail(), or its task ends--> done
 *
 * Invariants
 *   - It can be waited for by any number of tasks, before and after; they go on in the order in
 *     which they came. A wait that is cancelled does not concern the future, nor its task.
 *   - A result is never lost: it lies in the future whoever waits for it.
 *   - The memory is the owner's, and must stay until the future is done and nobody waits for it.
 *     For the future of a task, that is so if both it and the group are vars of one coroutine.
 *
 * (asyncio: Future, Task.result(), gather(), wait(), as_completed(); JavaScript: Promise.)
 *
 * Not thread safe; coil/remote.h is for results from other threads.
 */
#ifndef COIL_FUTURE_H
#define COIL_FUTURE_H

#include <coil/group.h>

COIL_BEGIN_DECLS

typedef struct coil_future coil_future;
typedef struct coil_completions coil_completions;

/* What futures of all types have in common. */
struct coil_future {
    bool done; /* Read only. */
    int error; /* Done: 0, or what it failed with: negative, -ECANCELED for a cancelled task. */
    coil_task
            *task; /* Whose result it will be, while that task lives. NULL: a promise. Read only. */

    /* Private. */
    void *value;
    coil_list watches; /* What is to happen when it is done. */
};

/* The type of a future of T. coil_nil: it only happens. */
#define coil_future_of(T)                             \
    struct {                                          \
        coil_future future;                           \
        T value; /* Once it is done, and no error. */ \
    }

/*
 * Make `f` pending.
 *
 *     void coil_future_init(coil_future_of(T) *f);
 */
#define coil_future_init(f) coil_future_init_untyped(&(f)->future, &(f)->value)

/*
 * Make `f` done: with a value, or with an error, which is negative. Those who wait become ready;
 * none of them runs before this returns. 0, or -EALREADY: it is done already, and remains so.
 *
 *     int coil_future_set(coil_future_of(T) *f, T value);
 *     int coil_future_fail(coil_future_of(T) *f, int error);
 */
#define coil_future_set(f, value_) \
    ((f)->future.done ? -EALREADY : ((f)->value = (value_), coil_future_complete(&(f)->future, 0)))
#define coil_future_fail(f, error) coil_future_complete(&(f)->future, (error))

/*
 * Wait until `f` is done. Result: 0, `f->value` is there; or the error that it failed with, which
 * for a cancelled task is -ECANCELED; -ETIME under within() and until(), while `f` goes on.
 *
 *     coroutine int coil_future_wait(coil_future_of(T) *f);
 */
#define coil_future_wait(f) coil_future_wait_untyped(&(f)->future)

/* Cancel the task of a future. Nothing if there is none, or if it has ended. */
COIL_API void coil_future_cancel(coil_future *future);

/*
 * Start the call as a task of the group, with its result in `f`, which need not be initialised. T
 * is the type of the result, coil_nil for void. Returns as coil_spawn(); without memory, `f` is
 * done with -ENOMEM.
 *
 *     coil_task *coil_spawn_future(coil_group *group, coil_future_of(T) *f, call);
 */
#define coil_spawn_future(group, f, ...)                                                       \
    __extension__({                                                                            \
        coil_group *co__g = (group);                                                           \
        COIL_SAME_TYPE_(__typeof__(((__VA_ARGS__).co__f[0]).co__ret), __typeof__((f)->value)); \
        coil_group_start_future(co__g, COIL_TASK_OF_(co__g->sched, __VA_ARGS__),               \
                coil_future_init_untyped(&(f)->future, &(f)->value));                          \
    })

/* ------------------------------------------------------------------------------ several -- */

typedef enum coil_wait_mode {
    COIL_FIRST_COMPLETED, /* Until any of them is done. */
    COIL_FIRST_ERROR,     /* Until any of them has failed, or all are done. */
    COIL_ALL_COMPLETED,   /* Until all of them are done. */
} coil_wait_mode;

/*
 * Wait for some of `count` futures, as `mode` says. Nothing happens to those that are still pending
 * then. The array must stay; so it lies in vars, or is static.
 *
 * Result: the index of the one that was waited for: the first that became done or failed (of those
 * that were so from the start, the lowest). `count`: all are done, and none has failed, or the mode
 * does not look. -ENOMEM, -EINVAL (no futures to wait for the first of); -ETIME under a deadline,
 * while the futures go on.
 */
coil_declare(int, coil_wait, (coil_future *const *) futures, (size_t) count, (coil_wait_mode) mode);

/*
 * Await the first task of the group that ends, however it ends; cancel the others, and await them.
 * For tasks that have been spawned with a future, and in this turn: a failure of theirs does not
 * concern the group any more.
 *
 * Result: the future of that task. NULL: it has none, or the group has no task. A task that had its
 * result before the cancellation reached it delivers it all the same: look at `done` and `error` of
 * the others if what they return must not be lost. (Go: select; Rust: select!; JavaScript:
 * Promise.race)
 */
coil_declare(coil_future *, coil_group_race, (coil_group *) group);

/*
 * The same, but a task that fails does not count as long as others are running: the first one that
 * succeeds. Result: its future; if all have failed, the future of the last one, whose `error` says
 * why. (JavaScript: Promise.any)
 */
coil_declare(coil_future *, coil_group_any, (coil_group *) group);

/*
 * Futures in the order in which they become done.
 *
 *     coil_completions_init(&my->each);
 *     for (int i = 0; i < PAGES; i++)
 *         coil_completions_add(&my->each, &my->watches[i], &my->pages[i].future);
 *     for (;;) {
 *         coil_attempt (my->next, coil_completions_next(&my->each));
 *         if (my->next == NULL)
 *             break;                                           all have been returned
 *
 * Futures can be added at any time, those that are done included. (asyncio: as_completed)
 */
struct coil_completions {
    size_t pending_count; /* Added and not done. Read only. */

    /* Private. */
    coil_list done; /* Watches of those that are done and not returned yet, oldest first. */
    coil_list waiters;
};

/* What a future needs among completions: the caller's memory, until next() has returned it. */
typedef struct coil_future_watch {
    coil_list link;
    coil_future *future;
    coil_completions *completions;
    void (*run)(struct coil_future_watch *watch);
} coil_future_watch;

COIL_API void coil_completions_init(coil_completions *completions);

COIL_API void coil_completions_add(
        coil_completions *completions, coil_future_watch *watch, coil_future *future);

/* Take back what was added and has not been returned. Nothing if it has. */
COIL_API void coil_completions_remove(coil_future_watch *watch);

/*
 * The next one that is done; wait for it. First come, first served if several tasks wait. NULL: all
 * that were added have been returned. An error pointer (coil/error.h): -ETIME under a deadline.
 */
coil_declare(coil_future *, coil_completions_next, (coil_completions *) completions);

/* ------------------------------------------------------------------------ behind the macros -- */

#ifdef __cplusplus
#define COIL_SAME_TYPE_(a, b) static_assert(__is_same(a, b), "the future is of another type")
#else
#define COIL_SAME_TYPE_(a, b) \
    static_assert(__builtin_types_compatible_p(a, b), "the future is of another type")
#endif

COIL_API coil_future *coil_future_init_untyped(coil_future *future, void *value);
COIL_API int coil_future_complete(coil_future *future, int error);
COIL_API coil_task *coil_group_start_future(
        coil_group *group, coil_task *task, coil_future *future);
coil_declare(int, coil_future_wait_untyped, (coil_future *) future);

/* The task of `future` has ended: its result is in `frame`. */
COIL_API void coil_future_ended(coil_future *future, const coil_frame *frame, int error);

COIL_END_DECLS

#endif
