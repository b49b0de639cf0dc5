/* SPDX-License-Identifier: MIT */
/*
 * coil/latch.h - wait until a number of things have been done, whoever does them.
 *
 *     coil_latch_init(&pending, 0);
 *     coil_latch_add(&pending, 1);              one more; when it is done, here or elsewhere:
 *     coil_latch_count_down(&pending, 1);
 *
 *     coil_await (coil_latch_wait(&pending));   until nothing is pending
 *
 *     count > 0 --coil_latch_count_down() to 0--> count == 0    every waiting task goes on
 *         ^                                           |
 *         +--------------coil_latch_add()-------------+
 *
 * For tasks that one has spawned, a group is the better way: coil_group_join() waits for them, and
 * knows about failures (coil/group.h).
 *
 * Invariants
 *   - At 0 nobody waits. Reaching 0 releases exactly the tasks that are waiting at that moment,
 *     even if something is added before they run. They run in the order in which they began to
 *     wait.
 *   - A released task no longer touches the latch: its memory may be given back as soon as
 *     coil_latch_count_down() has returned.
 *   - A cancelled wait leaves nothing behind. If the task had been released before the cancellation
 *     came, the wait is done as ever and the cancellation takes effect at the task's next await.
 *
 * It is WaitGroup of Go, and std::latch that can be used again. Not thread safe: a latch and all
 * who use it belong to one scheduler's thread.
 */
#ifndef COIL_LATCH_H
#define COIL_LATCH_H

#include <coil/coro.h>
#include <coil/list.h>

COIL_BEGIN_DECLS

typedef struct coil_latch coil_latch;

/* The caller's memory; it must not move while a task waits. */
struct coil_latch {
    size_t count; /* What has not been done yet. Read only. */

    /* Private. */
    coil_list waiters;
};

/* Begin with `count` things to be done, which may be 0. */
COIL_API void coil_latch_init(coil_latch *latch, size_t count);

/* The end of `latch`. Nobody may be waiting; things may be pending. */
COIL_API void coil_latch_fini(coil_latch *latch);

/* `count` more things are to be done. Never waits. More than SIZE_MAX is a programming error. */
COIL_API void coil_latch_add(coil_latch *latch, size_t count);

/* `count` of them have been done. Never waits. More than there were is a programming error. */
COIL_API void coil_latch_count_down(coil_latch *latch, size_t count);

/*
 * Wait until nothing is to be done. Done at once, without giving up the turn, if that is so. Has no
 * result: after a wait with a deadline, look at `count`.
 */
coil_declare(void, coil_latch_wait, (coil_latch *) latch);

COIL_END_DECLS

#endif
