/* SPDX-License-Identifier: MIT */
/*
 * coil/waiter.h - what everything that can be waited for has in common. For those who write a
 * primitive of their own; all of <coil/mutex.h>, queue.h and so on stands on this.
 *
 * A list of waiting tasks, oldest first, and the one decision that soundness rests on:
 *
 *     WAITING --coil_waiter_grant()----> GRANTED      what was waited for is the task's, now
 *        |
 *        +-----coil_waiter_cancel()----> WITHDRAWN    it never will be
 *
 * Whichever comes first is final, and takes the waiter out of the list at that moment, not when its
 * task runs. So a cancellation cannot swallow what was handed over before, nothing is handed to a
 * task that has been cancelled, and after either the list no longer matters to the waiter: the
 * primitive may be gone by the time the task runs.
 *
 * A waiter of a select (coil/select.h) is one of several of its task. It is granted like any other,
 * which takes the others out of their lists as well; whoever grants need not know.
 *
 * A leaf on this has coil_waiter_cancel() as its cancel function, and its step function goes:
 *
 *     if (leaf->at != NULL)
 *         return coil_waiter_step(task, leaf);
 *     if (coil_task_refuses(task) || <done without waiting>)
 *         return coil_leave(task, leaf);
 *     return coil_waiter_suspend(coil_push(...), &x->waiters, task, leaf);
 *
 * Not thread safe: a list and all who wait in it belong to one scheduler's thread.
 */
#ifndef COIL_WAITER_H
#define COIL_WAITER_H

#include <coil/coro.h>
#include <coil/list.h>
#include <coil/task.h>

COIL_BEGIN_DECLS

typedef enum coil_waiter_state {
    COIL_WAITER_WAITING,
    COIL_WAITER_GRANTED,
    COIL_WAITER_WITHDRAWN,
    COIL_WAITER_SELECTING, /* WAITING, as a coil_candidate. */
} coil_waiter_state;

typedef struct coil_waiter coil_waiter;

/* On the frame stack of the task that waits. Read only. */
struct coil_waiter {
    coil_list link; /* In the list of the primitive until it is decided, then unlinked. */
    coil_task *task;
    coil_waiter_state state;
    int result; /* What the leaf will report. */
};

/* A waiter in whose name an item is given or taken. */
typedef struct coil_exchange {
    coil_waiter waiter;
    union {
        const void *item;
        void *out_item;
    };
} coil_exchange;

static inline coil_exchange *coil_exchange_of(coil_waiter *waiter)
{
    return coil_container_of(waiter, coil_exchange, waiter);
}

/* A waiter that is one of several of its task; `grant` has to decide all of them. */
typedef struct coil_candidate coil_candidate;
struct coil_candidate {
    coil_exchange exchange;
    void (*grant)(coil_candidate *candidate, int result);
};

/* Put `waiter`, which lies on the frame stack of `task`, last in `waiters` and suspend `leaf`. */
COIL_API coil_turn coil_waiter_suspend(
        coil_waiter *waiter, coil_list *waiters, coil_task *task, coil_frame *leaf);

/* The waiter that has waited longest, or NULL. */
static inline coil_waiter *coil_waiter_first(const coil_list *waiters)
{
    if (coil_list_empty(waiters))
        return NULL;
    return coil_container_of(waiters->next, coil_waiter, link);
}

/* What the WAITING `waiter` waits for is its task's, or will not come (`result` < 0). */
COIL_API void coil_waiter_grant(coil_waiter *waiter, int result);

/* The same for all in the list, oldest first. */
static inline void coil_waiter_grant_all(coil_list *waiters, int result)
{
    coil_waiter *waiter;

    while ((waiter = coil_waiter_first(waiters)) != NULL)
        coil_waiter_grant(waiter, result);
}

/* The step function of a leaf that has been suspended. */
COIL_API coil_turn coil_waiter_step(coil_task *task, coil_frame *leaf);

/* The cancel function of a leaf. */
COIL_API void coil_waiter_cancel(coil_task *task, coil_frame *leaf);

/*
 * For the cancel function of a leaf that has more to do than that, such as to serve those behind:
 * withdraw its waiter. False, and nothing is left to do: it has been decided before.
 */
COIL_API bool coil_waiter_withdraw(coil_frame *leaf);

/*
 * The leaf for those who have nothing to add: wait in the list until somebody grants its waiters.
 * Result: what was granted.
 */
coil_declare(int, coil_waiter_wait, (coil_list *) waiters);

COIL_END_DECLS

#endif
