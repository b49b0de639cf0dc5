/* SPDX-License-Identifier: MIT */
/*
 * coil/thread_event.h - something that happens once, or is so or not, between threads: set by any
 * thread, awaited by tasks of any loop and waited for by threads without one. Like
 * threading.Event; within one loop, coil/event.h is the same for less.
 *
 *     coil_thread_event_set(&server->ready);                            anywhere
 *     coil_attempt (coil_thread_event_wait(&server->ready));            a task
 *     rc = coil_thread_event_wait_blocking(&server->ready, coil_s(5));  a thread
 *
 *     clear --set()--> set --clear()--> clear          waits come back at once while it is set
 *
 * Invariants
 *   - Setting wakes all who wait at that moment, even if the event is cleared right afterwards.
 *   - What a thread did before it set the event is seen by those who were woken, or found it set.
 */
#ifndef COIL_THREAD_EVENT_H
#define COIL_THREAD_EVENT_H

#include <coil/coro.h>
#include <coil/list.h>

#include <pthread.h>

COIL_BEGIN_DECLS

typedef struct coil_thread_event coil_thread_event;

/* The caller's memory; it must not move. Private. */
struct coil_thread_event {
    pthread_mutex_t lock;
    bool set;
    coil_list waiters;
};

/* Make `event` clear. */
COIL_API void coil_thread_event_init(coil_thread_event *event);

/*
 * The end of `event`. Every wait must have come back. Whoever waited may do this, though the thread
 * that has set the event may not have returned yet.
 */
COIL_API void coil_thread_event_fini(coil_thread_event *event);

/* Set, clear, look. Never wait; not for signal handlers. Any thread. */
COIL_API void coil_thread_event_set(coil_thread_event *event);
COIL_API void coil_thread_event_clear(coil_thread_event *event);
COIL_API bool coil_thread_event_is_set(coil_thread_event *event);

/*
 * Wait until the event is set. Result: 0; -ETIME under within() or until(). If it was set before a
 * cancellation came, that takes effect at the task's next await.
 */
coil_declare(int, coil_thread_event_wait, (coil_thread_event *) event);

/*
 * The same for a thread on which no loop runs; in a coroutine it is a programming error. Waits no
 * longer than `limit`, which may be COIL_FOREVER. 0, or -ETIME.
 */
COIL_API COIL_MUST_USE int coil_thread_event_wait_blocking(
        coil_thread_event *event, coil_duration limit);

COIL_END_DECLS

#endif
