/* SPDX-License-Identifier: MIT */
/*
 * What the primitives of sync cost, on one scheduler without a loop. One JSON line per question:
 *
 *     {"benchmark":"sync","case":"mutex_uncontended","ns_per_operation":7.2,"operations":1048576}
 *
 * The figure is the best of RUNS runs: what else the machine does only ever adds.
 */
#include <coil/event.h>
#include <coil/mutex.h>
#include <coil/queue.h>
#include <coil/sched.h>
#include <coil/semaphore.h>

#include <stdio.h>
#include <time.h>

#include <coil/sugar.h>

enum { RUNS = 5, OPERATIONS = 1 << 20 };

typedef coil_queue_of(int64_t) number_queue;

typedef struct bench {
    coil_mutex mutex;
    coil_semaphore permits;
    coil_semaphore turns[2];
    coil_event event;
    number_queue queue;
    int64_t slots[64];
    coil_group group;
} bench;

/* The price of an await that is done at once: to subtract from the uncontended ones. */
async(int, nothing, (bench *) all)
{
    vars();

    (void)all;
    return 0;
}

async(int, await_nothing, (bench *) all)
{
    vars(int i;);

    for (my->i = 0; my->i < OPERATIONS; my->i++)
        attempt(nothing(all));
    return 0;
}

async(int, lock_and_unlock, (bench *) all)
{
    vars(int i;);

    for (my->i = 0; my->i < OPERATIONS; my->i++) {
        attempt(coil_mutex_lock(&all->mutex));
        coil_mutex_unlock(&all->mutex);
    }
    return 0;
}

async(int, acquire_and_release, (bench *) all)
{
    vars(int i;);

    for (my->i = 0; my->i < OPERATIONS; my->i++) {
        attempt(coil_semaphore_acquire(&all->permits));
        coil_semaphore_release(&all->permits, 1);
    }
    return 0;
}

async(int, wait_for_what_is_set, (bench *) all)
{
    vars(int i;);

    coil_event_set(&all->event);
    for (my->i = 0; my->i < OPERATIONS; my->i++)
        await(coil_event_wait(&all->event));
    coil_event_clear(&all->event);
    return 0;
}

async(int, put_and_get, (bench *) all)
{
    vars(int i; int64_t number;);

    for (my->i = 0; my->i < OPERATIONS; my->i++) {
        attempt(coil_queue_put(&all->queue, &my->number));
        attempt(coil_queue_get(&all->queue, &my->number));
    }
    return 0;
}

async(int, put_all, (bench *) all, (int) count)
{
    vars(int i; int64_t number;);

    for (my->i = 0; my->i < count; my->i++)
        attempt(coil_queue_put(&all->queue, &my->number));
    return 0;
}

async(int, get_all, (bench *) all, (int) count)
{
    vars(int i; int64_t number;);

    for (my->i = 0; my->i < count; my->i++)
        attempt(coil_queue_get(&all->queue, &my->number));
    return 0;
}

/* Each operation is one item from one task to another; they switch every 64 of them. */
async(int, pass_items, (bench *) all)
{
    vars();

    coil_open_group(&all->group);
    spawn(&all->group, put_all(all, OPERATIONS));
    spawn(&all->group, get_all(all, OPERATIONS));
    attempt(coil_group_join(&all->group));
    return 0;
}

async(int, contend, (bench *) all, (int) count)
{
    vars(int i;);

    for (my->i = 0; my->i < count; my->i++) {
        attempt(coil_mutex_lock(&all->mutex));
        await(coil_yield());
        coil_mutex_unlock(&all->mutex);
    }
    return 0;
}

/* Each operation is one hand-over of the lock and one yield, so that the other comes to wait. */
async(int, hand_over, (bench *) all)
{
    vars();

    coil_open_group(&all->group);
    spawn(&all->group, contend(all, OPERATIONS / 2));
    spawn(&all->group, contend(all, OPERATIONS / 2));
    attempt(coil_group_join(&all->group));
    return 0;
}

async(int, play, (coil_semaphore *) mine, (coil_semaphore *) other, (int) count)
{
    vars(int i;);

    for (my->i = 0; my->i < count; my->i++) {
        attempt(coil_semaphore_acquire(mine));
        coil_semaphore_release(other, 1);
    }
    return 0;
}

/* Each operation is one wait, one wake-up of the other task and one switch to it. */
async(int, ping_pong, (bench *) all)
{
    vars();

    coil_open_group(&all->group);
    spawn(&all->group, play(&all->turns[0], &all->turns[1], OPERATIONS / 2));
    spawn(&all->group, play(&all->turns[1], &all->turns[0], OPERATIONS / 2));
    coil_semaphore_release(&all->turns[0], 1);
    attempt(coil_group_join(&all->group));
    attempt(coil_semaphore_acquire(&all->turns[0]));
    return 0;
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void measure(bench *all, const char *name, coil_handler handler)
{
    double best_ns = 0;

    for (int run = 0; run < RUNS; run++) {
        coil_sched sched;
        coil_sched_init(&sched, 0, NULL);
        double start_ns = now_ns();
        (void)coil_spawn_handler(&sched.root, handler, all);
        while (coil_sched_run(&sched, 1000000)) {
        }
        double spent_ns = now_ns() - start_ns;
        if (run == 0 || spent_ns < best_ns)
            best_ns = spent_ns;
        COIL_CHECK(sched.root.failed_count == 0);
        coil_sched_fini(&sched);
    }
    printf("{\"benchmark\":\"sync\",\"case\":\"%s\",\"ns_per_operation\":%.2f,\"operations\":%d}\n",
            name, best_ns / OPERATIONS, OPERATIONS);
}

int main(void)
{
    static bench all;

    coil_mutex_init(&all.mutex);
    coil_semaphore_init(&all.permits, 1, 1);
    coil_semaphore_init(&all.turns[0], 0, 1);
    coil_semaphore_init(&all.turns[1], 0, 1);
    coil_event_init(&all.event);
    coil_queue_init(&all.queue, all.slots, 64);

    measure(&all, "await_nothing", coil_handler(await_nothing, bench *));
    measure(&all, "mutex_uncontended", coil_handler(lock_and_unlock, bench *));
    measure(&all, "semaphore_uncontended", coil_handler(acquire_and_release, bench *));
    measure(&all, "event_is_set", coil_handler(wait_for_what_is_set, bench *));
    measure(&all, "queue_put_get", coil_handler(put_and_get, bench *));
    measure(&all, "queue_between_two_tasks", coil_handler(pass_items, bench *));
    measure(&all, "mutex_hand_over", coil_handler(hand_over, bench *));
    measure(&all, "semaphore_ping_pong", coil_handler(ping_pong, bench *));
    return 0;
}
