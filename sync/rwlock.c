/* SPDX-License-Identifier: MIT */
#include <coil/rwlock.h>

#include <coil/check.h>
#include <coil/sched.h>
#include <coil/waiter.h>

#include <errno.h>

typedef enum lock_mode { READ, WRITE } lock_mode;

typedef struct locker {
    coil_waiter waiter;
    coil_rwlock *rwlock;
    lock_mode mode;
} locker;

void coil_rwlock_init(coil_rwlock *rwlock)
{
    rwlock->writer = NULL;
    rwlock->reader_count = 0;
    coil_list_init(&rwlock->waiters);
}

void coil_rwlock_fini(coil_rwlock *rwlock)
{
    COIL_CHECK(rwlock->writer == NULL);
    COIL_CHECK(rwlock->reader_count == 0);
    COIL_CHECK(coil_list_empty(&rwlock->waiters));
}

static bool admits(const coil_rwlock *rwlock, lock_mode mode)
{
    return rwlock->writer == NULL && (mode == READ || rwlock->reader_count == 0);
}

static void admit(coil_rwlock *rwlock, coil_task *task, lock_mode mode)
{
    if (mode == READ) {
        rwlock->reader_count++;
    } else {
        rwlock->writer = task;
        task->lock_count++;
    }
}

/* Let in whoever is first in the queue and can come in. */
static void serve(coil_rwlock *rwlock)
{
    coil_waiter *first;

    while ((first = coil_waiter_first(&rwlock->waiters)) != NULL) {
        lock_mode mode = coil_container_of(first, locker, waiter)->mode;
        if (!admits(rwlock, mode))
            return;
        admit(rwlock, first->task, mode);
        coil_waiter_grant(first, 0);
    }
}

static int try_lock(coil_rwlock *rwlock, coil_task *task, lock_mode mode)
{
    if (!coil_list_empty(&rwlock->waiters) || !admits(rwlock, mode))
        return -EAGAIN;
    admit(rwlock, task, mode);
    return 0;
}

int coil_rwlock_try_read_lock(coil_rwlock *rwlock)
{
    return try_lock(rwlock, NULL, READ);
}

int coil_rwlock_try_write_lock(coil_rwlock *rwlock, coil_task *task)
{
    COIL_CHECK(task != NULL);
    return try_lock(rwlock, task, WRITE);
}

static void take_from_writer(coil_rwlock *rwlock)
{
    COIL_CHECK(rwlock->writer->sched->running == rwlock->writer);
    rwlock->writer->lock_count--;
    rwlock->writer = NULL;
}

void coil_rwlock_unlock(coil_rwlock *rwlock)
{
    if (rwlock->writer != NULL) {
        take_from_writer(rwlock);
    } else {
        COIL_CHECK(rwlock->reader_count > 0);
        rwlock->reader_count--;
    }
    serve(rwlock);
}

void coil_rwlock_downgrade(coil_rwlock *rwlock)
{
    COIL_CHECK(rwlock->writer != NULL);
    take_from_writer(rwlock);
    rwlock->reader_count = 1;
    serve(rwlock);
}

static coil_turn lock_step(coil_task *task, coil_frame *leaf, coil_rwlock *rwlock, lock_mode mode)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);

    COIL_CHECK(rwlock->writer != task); /* It would wait for itself. */
    if (try_lock(rwlock, task, mode) == 0)
        return coil_leave_with(task, leaf, 0);
    locker *waiting = coil_push(task, sizeof(*waiting));
    waiting->rwlock = rwlock;
    waiting->mode = mode;
    return coil_waiter_suspend(&waiting->waiter, &rwlock->waiters, task, leaf);
}

static coil_turn read_step(coil_task *task, coil_frame *leaf)
{
    return lock_step(task, leaf, coil_arguments(coil_rwlock_read_lock, leaf)->rwlock, READ);
}

static coil_turn write_step(coil_task *task, coil_frame *leaf)
{
    return lock_step(task, leaf, coil_arguments(coil_rwlock_write_lock, leaf)->rwlock, WRITE);
}

/* Those behind may have waited for nobody else. */
static void lock_cancel(coil_task *task, coil_frame *leaf)
{
    const locker *waiting = coil_container_of((coil_waiter *)leaf->vars, locker, waiter);

    (void)task;
    if (coil_waiter_withdraw(leaf))
        serve(waiting->rwlock);
}

coil_define_leaf(coil_rwlock_read_lock, read_step, lock_cancel);
coil_define_leaf(coil_rwlock_write_lock, write_step, lock_cancel);
