/* SPDX-License-Identifier: MIT */
/*
 * thread_waiter.h - what coil/waiter.h is for one loop, for threads and the tasks of any loop.
 *
 * A waiter is a task or a thread, in a list that is guarded by the lock of the primitive. Granting
 * takes it out of the list at that moment; whoever grants tells it afterwards, without the lock: a
 * task by a message to its loop, or directly if that is the loop of this thread.
 *
 *     WAITING --thread_waiter_grant()--> GRANTED --thread_waiters_wake()--> told: a task may run
 *        |
 *        +-----cancelled, or too late--> WITHDRAWN
 *
 * A thread may go as soon as it has been granted and the lock is free. A task stays until it has
 * been told, so its waiter can be used without the lock until then.
 */
#ifndef THREAD_WAITER_H
#define THREAD_WAITER_H

#include <coil/coro.h>
#include <coil/loop.h>

#include <pthread.h>

typedef enum thread_waiter_state {
    THREAD_WAITER_WAITING,
    THREAD_WAITER_GRANTED,
    THREAD_WAITER_WITHDRAWN,
} thread_waiter_state;

typedef struct thread_waiter thread_waiter;
struct thread_waiter {
    coil_list link;
    thread_waiter_state state; /* Guarded. */
    int result;
    pthread_mutex_t *lock;
    coil_task *task; /* NULL: a thread. */

    pthread_cond_t granted; /* A thread's. */

    coil_loop *loop; /* A task's. */
    coil_post post;
    bool told;           /* The task's own. */
    thread_waiter *next; /* In thread_waiters. */
};

/* Those who have been granted and not yet told. */
typedef struct thread_waiters {
    thread_waiter *first;
    thread_waiter **last;
} thread_waiters;

/* A primitive cannot be waited for by blocking the thread of a loop: nothing else would run. */
void thread_waiter_check_thread(void);

/* With the lock, which is left: append to `list`, and suspend the leaf. */
coil_turn thread_waiter_suspend(thread_waiter *waiter, pthread_mutex_t *lock, coil_list *list,
        coil_task *task, coil_frame *leaf);

/* With the lock, which is left: append to `list` and wait. The result, or -ETIME. */
int thread_waiter_wait(
        thread_waiter *waiter, pthread_mutex_t *lock, coil_list *list, coil_duration limit);

/* With the lock: the one who has waited longest, or NULL. */
static inline thread_waiter *thread_waiter_first(const coil_list *list)
{
    if (coil_list_empty(list))
        return NULL;
    return coil_container_of(list->next, thread_waiter, link);
}

/* With the lock: `waiter` has what it waited for. */
void thread_waiter_grant(thread_waiter *waiter, int result, thread_waiters *granted);

/* With the lock: the same to all in `list`. */
void thread_waiter_grant_all(coil_list *list, int result, thread_waiters *granted);

/* Without the lock: tell them. */
void thread_waiters_wake(thread_waiters *granted);

/* The step function of a leaf that has been suspended, and its cancel function. */
coil_turn thread_waiter_step(coil_task *task, coil_frame *leaf);
void thread_waiter_cancel(coil_task *task, coil_frame *leaf);

#endif
