/* SPDX-License-Identifier: MIT */
/*
 * coil/event.h - something has happened: tasks wait until an event is set.
 *
 *     coil_event_init() --> clear --coil_event_set()--> set       every waiting task goes on
 *                             ^                          |
 *                             +----coil_event_clear()----+
 *
 * Invariants
 *   - A set event makes nobody wait: coil_event_wait() is done at once, without giving up the turn.
 *   - coil_event_set() releases exactly the tasks that are waiting at that moment, even if the
 *     event is cleared before they run. They run in the order in which they began to wait.
 *   - A released task no longer touches the event: its memory may be given back as soon as
 *     coil_event_set() has returned.
 *   - A cancelled wait leaves nothing behind. If the task had been released before the cancellation
 *     came, the wait is done as ever and the cancellation takes effect at the task's next await.
 *
 * Not thread safe: an event and all who use it belong to one scheduler's thread.
 */
#ifndef COIL_EVENT_H
#define COIL_EVENT_H

#include <coil/coro.h>
#include <coil/list.h>
#include <coil/select.h>

COIL_BEGIN_DECLS

typedef struct coil_event coil_event;

/* The caller's memory; it must not move while a task waits. */
struct coil_event {
    /* Private. */
    bool set;
    coil_list waiters;
};

/* Make `event` clear. */
COIL_API void coil_event_init(coil_event *event);

/* The end of `event`. Nobody may be waiting. */
COIL_API void coil_event_fini(coil_event *event);

/* Set the event and release all waiting tasks. Never waits; setting a set event does nothing. */
COIL_API void coil_event_set(coil_event *event);

/* From now on tasks have to wait again. Those that were released stay so. */
COIL_API void coil_event_clear(coil_event *event);

/* Would coil_event_wait() be done at once? */
static inline bool coil_event_is_set(const coil_event *event)
{
    return event->set;
}

/*
 * Wait until the event is set; it stays set. Has no result: after a wait with a deadline, ask
 * coil_event_is_set().
 */
coil_declare(void, coil_event_wait, (coil_event *) event);

/* The same as a case of a select (coil/select.h). */
COIL_API extern const coil_select_kind coil_event_waiting;

static inline COIL_MUST_USE coil_select_case coil_wait_until_set(coil_event *event)
{
    return coil_select_case_of(&coil_event_waiting, &event->waiters, NULL);
}

COIL_END_DECLS

#endif
