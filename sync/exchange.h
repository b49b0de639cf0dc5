/* SPDX-License-Identifier: MIT */
/*
 * exchange.h - the leaf of a wait in which an item goes from hand to hand: a select of one case.
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <coil/select.h>
#include <coil/waiter.h>

#include <errno.h>

/*
 * The step function of such a leaf, with coil_waiter_cancel() beside it: `what` says which case it
 * is, and `take` is that of the case's kind. The compiler sees them all and makes one of them.
 */
static inline __attribute__((always_inline)) coil_turn exchange_step(coil_task *task,
        coil_frame *leaf, coil_select_case what(coil_frame *leaf),
        int take(const coil_select_case *what), int *out_result)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    coil_select_case wanted = what(leaf);
    int rc = take(&wanted);
    if (rc != -EAGAIN) {
        *out_result = rc;
        return coil_leave(task, leaf);
    }
    coil_exchange *waiting = coil_push(task, sizeof(*waiting));
    wanted = what(leaf); /* Cheaper to ask again than to keep. */
    waiting->out_item = wanted.out_item;
    return coil_waiter_suspend(&waiting->waiter, wanted.waiters, task, leaf);
}

#endif
