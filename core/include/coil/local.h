/* SPDX-License-Identifier: MIT */
/*
 * coil/local.h - values that belong to a task and are inherited by the tasks that it spawns.
 *
 *     static coil_local_of(request_id) current_request = COIL_LOCAL("current request");
 *
 *     rc = coil_local_set(coil_self, &current_request, &id);
 *     ...
 *     const request_id *id = coil_local_get(coil_self, &current_request);      NULL: never set
 *
 * For what everybody would have to hand on and few look at: request ids, trace spans, the user on
 * whose behalf something is done. (asyncio: contextvars.ContextVar)
 *
 * Invariants
 *   - A task is born with the values that the task which spawned it had at that moment. What either
 *     sets later, the other does not see. Without memory for that the spawn fails: no task runs
 *     without what it should have inherited.
 *   - A value is a copy of its own. It lives as long as a task that can see it.
 *   - A task that is not spawned by a task (from a callback, from outside the loop) begins without.
 *
 * coil_local_get() walks the values that the task has: meant for a handful. Not thread safe.
 */
#ifndef COIL_LOCAL_H
#define COIL_LOCAL_H

#include <coil/task.h>

COIL_BEGIN_DECLS

typedef struct coil_local coil_local;

/* A key. Its address is its identity, so it is static. */
struct coil_local {
    const char *name;
};

/* The type of a key for values of T, and its initialiser. */
#define coil_local_of(T)     \
    struct {                 \
        coil_local key;      \
        __typeof__(T) *type; \
    }
#define COIL_LOCAL(name) \
    {                    \
        {name}, NULL     \
    }

/*
 * Set the value that `task` has from here on to a copy of `*value`. 0, or -ENOMEM: it is as before.
 *
 *     int coil_local_set(coil_task *task, coil_local_of(T) *key, const T *value);
 */
#define coil_local_set(task, key_, value) \
    coil_local_set_untyped(               \
            (task), &(key_)->key, (1 ? (value) : (key_)->type), sizeof(*(key_)->type))

/*
 * The value that `task` has, or NULL. It stays until the task sets another, or ends.
 *
 *     const T *coil_local_get(const coil_task *task, coil_local_of(T) *key);
 */
#define coil_local_get(task, key_) \
    ((const __typeof__(*(key_)->type) *)coil_local_get_untyped((task), &(key_)->key))

/* Behind the macros. */
COIL_API COIL_MUST_USE int coil_local_set_untyped(
        coil_task *task, const coil_local *key, const void *value, size_t size_bytes);
COIL_API const void *coil_local_get_untyped(const coil_task *task, const coil_local *key);

COIL_END_DECLS

#endif
