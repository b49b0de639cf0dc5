/* SPDX-License-Identifier: MIT */
/*
 * What do the primitives of sync cost, on one scheduler without a loop?
 *
 *     lock                 take a free mutex and give it back
 *     semaphore            take a permit and give it back
 *     event                set an event, wait for it, clear it
 *     queue                put an item and get it, in one task
 *     queue_64_slots       one item from one task to another; they switch every 64 of them
 *     queue_1_slot         the same through one slot: they switch at every item
 *     lock_hand_over       a contended mutex: one hand-over, one yield
 *     semaphore_ping_pong  one wait, one wake-up of the other task, one switch to it
 *     channel_ping_pong    there and back through two channels without a buffer
 */
#include "drive.h"

#include <coil/channel.h>
#include <coil/event.h>
#include <coil/mutex.h>
#include <coil/queue.h>
#include <coil/semaphore.h>

#include <coil/sugar.h>

enum { SLOT_COUNT = 64 };

typedef coil_queue_of(int64_t) number_queue;

/* What the subjects work on. They leave all of it as they found it. */
static coil_mutex mutex;
static coil_semaphore permits;
static coil_semaphore turns[2];
static coil_event happened;
static number_queue wide_queue;
static number_queue narrow_queue;

/* ------------------------------------------------------------------------- without waiting -- */

async(int, lock, (int64_t) count)
{
    vars(int64_t i);
    for (; my->i < count; my->i++) {
        attempt(coil_mutex_lock(&mutex));
        coil_mutex_unlock(&mutex);
    }
    return 0;
}

async(int, semaphore, (int64_t) count)
{
    vars(int64_t i);
    for (; my->i < count; my->i++) {
        attempt(coil_semaphore_acquire(&permits));
        coil_semaphore_release(&permits, 1);
    }
    return 0;
}

async(int, event, (int64_t) count)
{
    vars(int64_t i);
    for (; my->i < count; my->i++) {
        coil_event_set(&happened);
        await(coil_event_wait(&happened));
        coil_event_clear(&happened);
    }
    return 0;
}

async(int, queue, (int64_t) count)
{
    vars(int64_t i; int64_t number);
    for (; my->i < count; my->i++) {
        attempt(coil_queue_put(&wide_queue, &my->number));
        attempt(coil_queue_get(&wide_queue, &my->number));
    }
    return 0;
}

/* ---------------------------------------------------------------------- between two tasks -- */

async(int, put_all, (number_queue *) to, (int64_t) count)
{
    vars(int64_t i; int64_t number);
    for (; my->i < count; my->i++)
        attempt(coil_queue_put(to, &my->number));
    return 0;
}

async(int, get_all, (number_queue *) from, (int64_t) count)
{
    vars(int64_t i; int64_t number);
    for (; my->i < count; my->i++)
        attempt(coil_queue_get(from, &my->number));
    return 0;
}

async(int, pass_items, (number_queue *) through, (int64_t) count)
{
    vars(coil_group group);
    open_group(&my->group);
    spawn(&my->group, put_all(through, count));
    spawn(&my->group, get_all(through, count));
    attempt(coil_group_join(&my->group));
    return 0;
}

async(int, queue_64_slots, (int64_t) count)
{
    vars();
    attempt(pass_items(&wide_queue, count));
    return 0;
}

async(int, queue_1_slot, (int64_t) count)
{
    vars();
    attempt(pass_items(&narrow_queue, count));
    return 0;
}

/* The yield lets the other task come to wait. */
async(int, contend, (int64_t) count)
{
    vars(int64_t i);
    for (; my->i < count; my->i++) {
        attempt(coil_mutex_lock(&mutex));
        await(coil_yield());
        coil_mutex_unlock(&mutex);
    }
    return 0;
}

async(int, lock_hand_over, (int64_t) count)
{
    vars(coil_group group);
    open_group(&my->group);
    spawn(&my->group, contend(count / 2));
    spawn(&my->group, contend(count / 2));
    attempt(coil_group_join(&my->group));
    return 0;
}

async(int, play, (coil_semaphore *) mine, (coil_semaphore *) other, (int64_t) count)
{
    vars(int64_t i);
    for (; my->i < count; my->i++) {
        attempt(coil_semaphore_acquire(mine));
        coil_semaphore_release(other, 1);
    }
    return 0;
}

async(int, semaphore_ping_pong, (int64_t) count)
{
    vars(coil_group group);
    open_group(&my->group);
    spawn(&my->group, play(&turns[0], &turns[1], count / 2));
    spawn(&my->group, play(&turns[1], &turns[0], count / 2));
    coil_semaphore_release(&turns[0], 1);
    attempt(coil_group_join(&my->group));
    attempt(coil_semaphore_acquire(&turns[0]));
    return 0;
}

typedef coil_channel_of(int64_t) number_channel;

static number_channel there;
static number_channel back;

async(int, serve, (int64_t) count)
{
    vars(int64_t i; int64_t number);
    for (; my->i < count; my->i++) {
        attempt(coil_channel_send(&there, &my->number));
        attempt(coil_channel_receive(&back, &my->number));
    }
    return 0;
}

async(int, answer, (int64_t) count)
{
    vars(int64_t i; int64_t number);
    for (; my->i < count; my->i++) {
        attempt(coil_channel_receive(&there, &my->number));
        attempt(coil_channel_send(&back, &my->number));
    }
    return 0;
}

async(int, channel_ping_pong, (int64_t) count)
{
    vars(coil_group group);
    coil_channel_init(&there, NULL, 0);
    coil_channel_init(&back, NULL, 0);
    open_group(&my->group);
    spawn(&my->group, serve(count));
    spawn(&my->group, answer(count));
    attempt(coil_group_join(&my->group));
    return 0;
}

DRIVE(channel_ping_pong)
DRIVE(lock)
DRIVE(semaphore)
DRIVE(event)
DRIVE(queue)
DRIVE(queue_64_slots)
DRIVE(queue_1_slot)
DRIVE(lock_hand_over)
DRIVE(semaphore_ping_pong)

static void prepare(void)
{
    static int64_t slots[SLOT_COUNT];
    static int64_t slot[1];

    coil_mutex_init(&mutex);
    coil_semaphore_init(&permits, 1, 1);
    coil_semaphore_init(&turns[0], 0, 1);
    coil_semaphore_init(&turns[1], 0, 1);
    coil_event_init(&happened);
    coil_queue_init(&wide_queue, slots, SLOT_COUNT);
    coil_queue_init(&narrow_queue, slot, 1);
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {DRIVEN(lock)},
            {DRIVEN(semaphore)},
            {DRIVEN(event)},
            {DRIVEN(queue)},
            {DRIVEN(queue_64_slots)},
            {DRIVEN(queue_1_slot)},
            {DRIVEN(lock_hand_over)},
            {DRIVEN(semaphore_ping_pong)},
            {DRIVEN(channel_ping_pong)},
    };
    prepare();
    coil_sched_init(&sched, 0, NULL);
    int rc = measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
    coil_sched_fini(&sched);
    return rc;
}
