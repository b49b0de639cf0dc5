/* SPDX-License-Identifier: MIT */
#include <coil/semaphore.h>

#include <coil/check.h>
#include <coil/waiter.h>

#include <errno.h>

typedef struct taker {
    coil_waiter waiter;
    coil_semaphore *semaphore;
    size_t count;
} taker;

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

int coil_semaphore_try_acquire_many(coil_semaphore *semaphore, size_t count)
{
    COIL_CHECK(count <= semaphore->bound_count); /* Else it would wait for ever. */
    if (count > semaphore->available_count || !coil_list_empty(&semaphore->waiters))
        return -EAGAIN;
    semaphore->available_count -= count;
    return 0;
}

int coil_semaphore_try_acquire(coil_semaphore *semaphore)
{
    return coil_semaphore_try_acquire_many(semaphore, 1);
}

/* How many permits are missing to serve the first who waits, who is `first`. */
static size_t missing_count(const coil_semaphore *semaphore, coil_waiter *first)
{
    size_t count = coil_container_of(first, taker, waiter)->count;
    return count > semaphore->available_count ? count - semaphore->available_count : 0;
}

/* Serve the first who waits, with the permits that are available and `given_count` others. */
static void grant(coil_semaphore *semaphore, coil_waiter *first, size_t given_count)
{
    semaphore->available_count += given_count;
    semaphore->available_count -= coil_container_of(first, taker, waiter)->count;
    coil_waiter_grant(first, 0);
}

/* What those who wait get does not count against the bound, not even for the moment. */
void coil_semaphore_release(coil_semaphore *semaphore, size_t count)
{
    coil_waiter *first;

    while ((first = coil_waiter_first(&semaphore->waiters)) != NULL) {
        size_t needed_count = missing_count(semaphore, first);
        if (needed_count > count)
            break;
        grant(semaphore, first, needed_count);
        count -= needed_count;
    }
    COIL_CHECK(count <= semaphore->bound_count - semaphore->available_count);
    semaphore->available_count += count;
}

static inline coil_turn acquire(
        coil_task *task, coil_frame *leaf, coil_semaphore *semaphore, size_t count, int *out_result)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    if (coil_semaphore_try_acquire_many(semaphore, count) == 0) {
        *out_result = 0;
        return coil_leave(task, leaf);
    }
    taker *waiting = coil_push(task, sizeof(*waiting));
    waiting->semaphore = semaphore;
    waiting->count = count;
    return coil_waiter_suspend(&waiting->waiter, &semaphore->waiters, task, leaf);
}

static coil_turn acquire_step(coil_task *task, coil_frame *leaf)
{
    return acquire(task, leaf, coil_arguments(coil_semaphore_acquire, leaf)->semaphore, 1,
            &coil_result(coil_semaphore_acquire, leaf));
}

static coil_turn acquire_many_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_semaphore_acquire_many__args *arguments =
            coil_arguments(coil_semaphore_acquire_many, leaf);
    return acquire(task, leaf, arguments->semaphore, arguments->count,
            &coil_result(coil_semaphore_acquire_many, leaf));
}

/* Those behind may get by with less. */
static void acquire_cancel(coil_task *task, coil_frame *leaf)
{
    const taker *waiting = coil_container_of((coil_waiter *)leaf->vars, taker, waiter);

    (void)task;
    if (coil_waiter_withdraw(leaf))
        coil_semaphore_release(waiting->semaphore, 0);
}

coil_define_leaf(coil_semaphore_acquire, acquire_step, acquire_cancel);
coil_define_leaf(coil_semaphore_acquire_many, acquire_many_step, acquire_cancel);
