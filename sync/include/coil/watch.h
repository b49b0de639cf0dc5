/* SPDX-License-Identifier: MIT */
/*
 * coil/watch.h - a value, and those who want to know when there is a newer one.
 *
 *     typedef coil_watch_of(config) config_watch;
 *
 *     config_watch settings;
 *     coil_watch_init(&settings, &defaults);
 *
 *     coil_watch_set(&settings, &changed);                one side
 *
 *     vars (uint64_t seen);                               the other; 0: nothing has been seen yet
 *     for (;;) {
 *         coil_attempt (coil_watch_changed(&settings, &my->seen));
 *         apply(coil_watch_borrow(&settings));
 *     }
 *
 * As tokio::sync::watch. Only the latest value counts: whoever is slow sees fewer of them, and
 * never an old one. The loop above sees the first value at once, then each that is the latest when
 * its turn comes.
 *
 *     version:   1 --coil_watch_set()--> 2 --> 3 ...      seen < version: changed is done at once
 *                                                         seen = version: changed waits
 *
 * Invariants
 *   - Setting never waits. It releases all who wait, in the order in which they began to.
 *   - When a task goes on after coil_watch_changed(), its `seen` is the version of the value that
 *     it then finds, even if that was set again after it had been released.
 *   - A cancelled wait has not touched `*seen`. If the task had been released before the
 *     cancellation came, the wait reports 0 and the cancellation takes effect at the next await.
 *   - A watch that has been closed keeps its last value: who has not seen it yet still does.
 *
 * Not thread safe: a watch and all who use it belong to one scheduler's thread.
 */
#ifndef COIL_WATCH_H
#define COIL_WATCH_H

#include <coil/coro.h>
#include <coil/list.h>
#include <coil/select.h>

#include <errno.h>
#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_watch coil_watch;

/* What watches of all types have in common. */
struct coil_watch {
    uint64_t version; /* Of the value; begins with 1. Read only. */
    bool closed;      /* Read only. */

    /* Private. */
    coil_list waiters;
    coil_list released; /* Those who have not run yet since. */
};

/* The type of a watch of a T. It must not move. Give it a name by typedef. */
#define coil_watch_of(T)     \
    struct {                 \
        coil_watch watch;    \
        __typeof__(T) value; \
    }

/*
 * Make `w` open, with a copy of `*initial` as its value.
 *
 *     void coil_watch_init(coil_watch_of(T) *w, const T *initial);
 */
#define coil_watch_init(w, initial) \
    ((w)->value = *COIL_ITEM_OF_(&(w)->value, initial), coil_watch_init_untyped(&(w)->watch))

/*
 * The end of `w`. Nobody may be waiting.
 *
 *     void coil_watch_fini(coil_watch_of(T) *w);
 */
#define coil_watch_fini(w) coil_watch_fini_untyped(&(w)->watch)

/*
 * The value becomes a copy of `*new_value`. Never waits. 0; -EPIPE, the watch is closed, and the
 * value stays.
 *
 *     int coil_watch_set(coil_watch_of(T) *w, const T *new_value);
 */
#define coil_watch_set(w, new_value)                                           \
    ((w)->watch.closed ? -EPIPE                                                \
                       : ((w)->value = *COIL_ITEM_OF_(&(w)->value, new_value), \
                                 coil_watch_touch_untyped(&(w)->watch)))

/*
 * The value has been changed in place: that is a new version, as if it had been set. 0; -EPIPE.
 *
 *     settings.value.log_level = 3;
 *     coil_watch_touch(&settings);
 *
 *     int coil_watch_touch(coil_watch_of(T) *w);
 */
#define coil_watch_touch(w) coil_watch_touch_untyped(&(w)->watch)

/*
 * The value as it is now. What the pointer points to changes when somebody sets it, so it is good
 * until the next await.
 *
 *     const T *coil_watch_borrow(const coil_watch_of(T) *w);
 */
#define coil_watch_borrow(w) ((const __typeof__((w)->value) *)&(w)->value)

/*
 * The version of the value. With `seen = coil_watch_version(w)` one waits for the next.
 *
 *     uint64_t coil_watch_version(const coil_watch_of(T) *w);
 */
#define coil_watch_version(w) ((w)->watch.version)

/*
 * Wait until there is a version newer than `*seen`, and store which in `*seen`. `*seen` must stay
 * until the call is done.
 *
 * Result: 0; -EPIPE, the watch is closed and its last version has been seen; -ETIME under within()
 * or until().
 *
 *     coroutine int coil_watch_changed(coil_watch_of(T) *w, uint64_t *seen);
 */
#define coil_watch_changed(w, seen) coil_watch_changed_untyped(&(w)->watch, (seen))

/*
 * The same as a case of a select. Optional last argument: `int *out_rc`, for 0 or -EPIPE.
 *
 *     coil_select_case coil_change_of(coil_watch_of(T) *w, uint64_t *seen);
 */
#define coil_change_of(w, ...) COIL_CAT(COIL_CHANGE_OF_, COIL_COUNT(__VA_ARGS__))(w, __VA_ARGS__)

/*
 * There will be no newer value. Those who wait are told so by -EPIPE. Never waits. Closing a closed
 * watch does nothing.
 *
 *     void coil_watch_close(coil_watch_of(T) *w);
 */
#define coil_watch_close(w) coil_watch_close_untyped(&(w)->watch)

/* ------------------------------------------------------------------------ behind the macros -- */

COIL_API void coil_watch_init_untyped(coil_watch *watch);
COIL_API void coil_watch_fini_untyped(coil_watch *watch);
COIL_API int coil_watch_touch_untyped(coil_watch *watch);
COIL_API void coil_watch_close_untyped(coil_watch *watch);
coil_declare(int, coil_watch_changed_untyped, (coil_watch *) watch, (uint64_t *) seen);

COIL_API extern const coil_select_kind coil_watch_changing;

#define COIL_CHANGE_OF_1(w, seen) COIL_CHANGE_OF_2(w, seen, NULL)
#define COIL_CHANGE_OF_2(w, seen, out_rc)                              \
    coil_select_case_taking(&coil_watch_changing, &(w)->watch.waiters, \
            COIL_ITEM_OF_(&(w)->watch.version, seen), (out_rc))

COIL_END_DECLS

#endif
