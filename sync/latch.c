/* SPDX-License-Identifier: MIT */
#include <coil/latch.h>

#include <coil/check.h>
#include <coil/waiter.h>

void coil_latch_init(coil_latch *latch, size_t count)
{
    latch->count = count;
    coil_list_init(&latch->waiters);
}

void coil_latch_fini(coil_latch *latch)
{
    COIL_CHECK(coil_list_empty(&latch->waiters));
}

void coil_latch_add(coil_latch *latch, size_t count)
{
    COIL_CHECK(count <= SIZE_MAX - latch->count);
    latch->count += count;
}

void coil_latch_count_down(coil_latch *latch, size_t count)
{
    COIL_CHECK(count <= latch->count);
    latch->count -= count;
    if (latch->count > 0)
        return;
    coil_waiter_grant_all(&latch->waiters, 0);
}

static coil_turn wait_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);

    coil_latch *latch = coil_arguments(coil_latch_wait, leaf)->latch;
    if (coil_task_refuses(task) || latch->count == 0)
        return coil_leave(task, leaf);

    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, &latch->waiters, task, leaf);
}

coil_define_leaf(coil_latch_wait, wait_step, coil_waiter_cancel);
