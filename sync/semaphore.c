/* SPDX-License-Identifier: MIT */
#include <coil/semaphore.h>

#include <coil/check.h>
#include <coil/waiter.h>

#include <errno.h>

void coil_semaphore_init(coil_semaphore *semaphore, size_t available_count, size_t bound_count)
{
    COIL_CHECK(available_count <= bound_count);
    semaphore->available_count = available_count;
    semaphore->bound_count = bound_count;
    coil_list_init(&semaphore->waiters);
}

void coil_semaphore_fini(coil_semaphore *semaphore)
{
    COIL_CHECK(coil_list_empty(&semaphore->waiters));
}

int coil_semaphore_try_acquire(coil_semaphore *semaphore)
{
    if (semaphore->available_count == 0)
        return -EAGAIN;
    COIL_CHECK(coil_list_empty(&semaphore->waiters)); /* Else it would overtake them. */
    semaphore->available_count--;
    return 0;
}

void coil_semaphore_release(coil_semaphore *semaphore, size_t count)
{
    coil_waiter *waiter;

    for (; count > 0 && (waiter = coil_waiter_first(&semaphore->waiters)) != NULL; count--)
        coil_waiter_grant(waiter, 0);
    COIL_CHECK(count <= semaphore->bound_count - semaphore->available_count);
    semaphore->available_count += count;
}

static coil_turn acquire_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    coil_semaphore *semaphore = coil_arguments(coil_semaphore_acquire, leaf)->semaphore;
    if (coil_semaphore_try_acquire(semaphore) == 0) {
        coil_result(coil_semaphore_acquire, leaf) = 0;
        return coil_leave(task, leaf);
    }
    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, &semaphore->waiters, task, leaf);
}

coil_define_leaf(coil_semaphore_acquire, acquire_step, coil_waiter_cancel);
