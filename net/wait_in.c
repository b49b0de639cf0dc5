/* SPDX-License-Identifier: MIT */
#include "wait_in.h"

#include <coil/waiter.h>

static coil_turn wait_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, coil_arguments(wait_in, leaf)->waiters, task, leaf);
}

coil_define_leaf(wait_in, wait_step, coil_waiter_cancel);
