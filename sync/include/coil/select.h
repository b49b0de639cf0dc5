/* SPDX-License-Identifier: MIT */
/*
 * coil/select.h - wait for several things at once, of which exactly one takes place.
 *
 *     coil_vars (job next; result last; int which);
 *
 *     coil_attempt (my->which, coil_select (coil_receive_from (&jobs, &my->next),
 *                                           coil_send_to (&results, &my->last),
 *                                           coil_wait_until_set (&stop)));
 *     switch (my->which) ...                          0, 1 or 2: the place in the list
 *
 * As Go's select, and tokio's. What can be a case:
 *
 *     coil_receive_from, coil_send_to    coil/channel.h      an item changes hands
 *     coil_get_from, coil_put_to         coil/queue.h        likewise
 *     coil_wait_until_set                coil/event.h        the event is set
 *     coil_hear_from                     coil/broadcast.h    the subscriber's next item
 *     coil_change_of                     coil/watch.h        a value newer than the one seen
 *
 * Each takes one argument more if wanted, `int *out_rc`, where its own result goes: see below.
 *
 *     start --some are ready--> one of them is done, at once      the task goes on without a pause
 *       |
 *       +---none is ready-----> waiting, in line for each of them
 *                                 |--> one is granted     that one is done; out of all other lines
 *                                 +--> cancelled          out of all lines
 *
 * Invariants
 *   - One case takes place, or none: of the others nothing has happened, nor is it going to. That
 *     is decided when the case is granted, not when the task runs.
 *   - A select stands in line like any other task: it can be overtaken by none, and overtakes none.
 *     Both sides of an exchange may be selects. One that both sends to and receives from the same
 *     channel does not serve itself.
 *   - Cancelled before a case is granted, none takes place; after that, the select reports the case
 *     and the cancellation takes effect at the task's next await.
 *   - Of several cases that are ready when it starts, each is as likely to be taken
 *     (coil_select_in_order(): the first of them is). Once it waits, first come, first served.
 *
 * What it reports
 *     >= 0       the place of the case that took place
 *     -EPIPE     that case reported it: its channel is closed. A case with `out_rc` reports there
 *                instead, and the select reports its place.
 *     -EPIPE     or there is no case left that could take place: see coil_select_if()
 *     -EAGAIN    coil_select_try() only: none is ready
 *     -ETIME     under within() or until(); none took place
 *
 * Not thread safe: everything that is selected from belongs to one scheduler's thread.
 */
#ifndef COIL_SELECT_H
#define COIL_SELECT_H

#include <coil/coro.h>
#include <coil/list.h>
#include <coil/waiter.h>

#include <stdbool.h>
#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_select_case coil_select_case;
typedef struct coil_select_kind coil_select_kind;

/* One thing that a select may do. Made by the macros listed above. */
struct coil_select_case {
    const coil_select_kind *kind; /* NULL: it never takes place. */
    coil_list *waiters;           /* Where it waits. */
    union {
        const void *item; /* What is given away, or */
        void *out_item;   /* where to put what is taken. */
    };
    int *out_rc; /* Where the case's own result goes, or NULL. */
};

/*
 * Wait until one of 1 to 8 cases takes place. Everything that they name must stay until then, so it
 * lies in the vars of the coroutine or on the heap.
 *
 *     coroutine int coil_select(coil_select_case first, ...);
 */
#define coil_select(...) COIL_SELECT_(COIL_SELECT_ANY, __VA_ARGS__)

/*
 * The same, but if several are ready, the first of them in the order in which they are written is
 * taken. One that is always ready starves those behind it; that can be what is wanted: first of
 * all, stop.
 *
 *     coroutine int coil_select_in_order(coil_select_case first, ...);
 */
#define coil_select_in_order(...) COIL_SELECT_(COIL_SELECT_FIRST, __VA_ARGS__)

/*
 * The same without waiting (Go's default case): -EAGAIN if none is ready. Callable from anywhere on
 * the thread; what the cases name may be local.
 *
 *     int coil_select_try(coil_select_case first, ...);
 */
#define coil_select_try(...)                                                             \
    coil_select_tried(__extension__({                                                    \
        const coil_select_case co__s[] = {__VA_ARGS__};                                  \
        coil_select_try_among(co__s, sizeof(co__s) / sizeof(co__s[0]), COIL_SELECT_ANY); \
    }))

/*
 * The case, if `condition` holds now; else one that never takes place, but keeps its place in the
 * list. If no other is left, the select reports -EPIPE at once. So this merges two channels, and
 * ends when both are closed:
 *
 *     for (;;) {
 *         coil_attempt (my->which, coil_select (
 *                 coil_select_if (my->rc[0] == 0, coil_receive_from (&odd, &my->n, &my->rc[0])),
 *                 coil_select_if (my->rc[1] == 0, coil_receive_from (&even, &my->n, &my->rc[1]))));
 *         if (my->rc[my->which] == 0)
 *             use(my->n);
 *     }
 */
static inline COIL_MUST_USE coil_select_case coil_select_if(bool condition, coil_select_case what)
{
    if (!condition)
        what.kind = NULL;
    return what;
}

typedef enum coil_select_order { COIL_SELECT_ANY, COIL_SELECT_FIRST } coil_select_order;

/*
 * Any number of cases, in an array that stays until the call is done.
 *
 *     vars (coil_select_case cases[20]; int which);
 *
 *     for (size_t i = 0; i < 20; i++)
 *         my->cases[i] = coil_receive_from(&peers[i].inbox, &my->letter);
 *     coil_attempt (my->which, coil_select_among (my->cases, 20, COIL_SELECT_ANY));
 */
coil_declare(int, coil_select_among, (const coil_select_case *) cases, (size_t) count,
        (coil_select_order) order);
COIL_API COIL_MUST_USE int coil_select_try_among(
        const coil_select_case *cases, size_t count, coil_select_order order);

/*
 * Which of several ready cases is taken is drawn by lot, from a sequence that each thread has to
 * itself and that always begins alike. Begin the one of `seed`: for tests that repeat a schedule.
 */
COIL_API void coil_select_seed(uint32_t seed);

/* -------------------------------------------------------- for those who write a primitive -- */
/*
 * A primitive whose waits can be cases has, for each kind of wait, one list of waiters and one
 * coil_select_kind. Those who wait in that list are either coil_waiters of leaves or of selects,
 * and the primitive need not care which, if it grants with coil_select_grant() and finds the item
 * in a coil_exchange.
 */
struct coil_select_kind {
    /* Would coil_select_take() be done at once? */
    bool (*ready)(const coil_select_case *what);
    /* Do it now, without waiting: 0 or a result; called only if it is ready. */
    int (*take)(const coil_select_case *what);
};

/* A waiter in whose name an item is given or taken. */
typedef struct coil_exchange {
    coil_waiter waiter; /* Of a select: `task` is NULL. */
    union {
        const void *item;
        void *out_item;
    };
} coil_exchange;

static inline coil_exchange *coil_exchange_of(coil_waiter *waiter)
{
    return coil_container_of(waiter, coil_exchange, waiter);
}

/* Private: coil_select_grant() to a select. */
COIL_API void coil_select_decide(coil_waiter *waiter, int result);

/* coil_waiter_grant(), where the waiter may be that of a select. */
static inline void coil_select_grant(coil_waiter *waiter, int result)
{
    if (coil_unlikely(waiter->task == NULL)) {
        coil_select_decide(waiter, result);
    } else {
        coil_waiter_grant(waiter, result);
    }
}

/* ------------------------------------------------------------------------ behind the macros -- */

static inline COIL_MUST_USE coil_select_case coil_select_case_of(
        const coil_select_kind *kind, coil_list *waiters, int *out_rc)
{
    coil_select_case made;
    made.kind = kind;
    made.waiters = waiters;
    made.out_item = NULL;
    made.out_rc = out_rc;
    return made;
}

static inline COIL_MUST_USE coil_select_case coil_select_case_giving(
        const coil_select_kind *kind, coil_list *waiters, const void *item, int *out_rc)
{
    coil_select_case made = coil_select_case_of(kind, waiters, out_rc);
    made.item = item;
    return made;
}

static inline COIL_MUST_USE coil_select_case coil_select_case_taking(
        const coil_select_kind *kind, coil_list *waiters, void *out_item, int *out_rc)
{
    coil_select_case made = coil_select_case_of(kind, waiters, out_rc);
    made.out_item = out_item;
    return made;
}

/*
 * `item` if it points to what `sample` points to; else it does not compile. (Not a statement
 * expression: a compound literal would be gone at its end.)
 */
#ifdef __cplusplus
#define COIL_ITEM_OF_(sample, item) (1 ? (item) : (sample))
#else
#define COIL_ITEM_OF_(sample, item)                                                             \
    ((void)sizeof(struct {                                                                      \
        char nothing;                                                                           \
        static_assert(__builtin_types_compatible_p(__typeof__(*(item)), __typeof__(*(sample))), \
                "this does not point to an item of the right type");                            \
    }),                                                                                         \
            (item))
#endif

/* (A statement expression may be dropped without a warning.) */
static inline COIL_MUST_USE int coil_select_tried(int rc)
{
    return rc;
}

/* In strict builds: a select that may wait abides no local. */
static inline coil_select_case coil_select_lasting(coil_select_case what)
{
#ifdef COIL_STRICT_
    coil_not_local(what.item, "item", "coil_select");
    coil_not_local((const void *)what.waiters, "what to wait for", "coil_select");
    coil_not_local((const void *)what.out_rc, "out_rc", "coil_select");
#endif
    return what;
}

/* The cases travel by value, in the next larger of these. */
typedef struct coil_select_cases_2 {
    coil_select_case cases[2];
} coil_select_cases_2;

typedef struct coil_select_cases_4 {
    coil_select_case cases[4];
} coil_select_cases_4;

typedef struct coil_select_cases_8 {
    coil_select_case cases[8];
} coil_select_cases_8;

coil_declare(int, coil_select_2, (coil_select_cases_2) set, (size_t) count, (coil_select_order) order);
coil_declare(int, coil_select_4, (coil_select_cases_4) set, (size_t) count, (coil_select_order) order);
coil_declare(int, coil_select_8, (coil_select_cases_8) set, (size_t) count, (coil_select_order) order);

#define COIL_SELECT_SIZE_1 2
#define COIL_SELECT_SIZE_2 2
#define COIL_SELECT_SIZE_3 4
#define COIL_SELECT_SIZE_4 4
#define COIL_SELECT_SIZE_5 8
#define COIL_SELECT_SIZE_6 8
#define COIL_SELECT_SIZE_7 8
#define COIL_SELECT_SIZE_8 8
#define COIL_SELECT_LASTING_(what) coil_select_lasting(what)
#define COIL_SELECT_(order, ...)                                             \
    COIL_SELECT_SIZED_(COIL_CAT(COIL_SELECT_SIZE_, COIL_COUNT(__VA_ARGS__)), \
            COIL_COUNT(__VA_ARGS__), order, COIL_LIST(COIL_SELECT_LASTING_, __VA_ARGS__))
#define COIL_SELECT_SIZED_(...) COIL_SELECT_CALL_(__VA_ARGS__)
#define COIL_SELECT_CALL_(size, count, order, ...) \
    coil_select_##size((coil_select_cases_##size){{__VA_ARGS__}}, count, order)

COIL_END_DECLS

#endif
