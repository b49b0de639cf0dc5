/* SPDX-License-Identifier: MIT */
#include "meet.h"

#include "fiber.h"
#include "wrapped.h"

#include <coil/kernel.h>

#include <errno.h>
#include <pthread.h>

/* --------------------------------------------------------------------------------- meeting -- */

bool meet_wait(const void *place, coil_time deadline, const char *waits_for)
{
    sim_fiber *fiber = sim_fiber_current();

    fiber->place = place;
    coil_list_append(&sim_here()->word_waiters, &fiber->meeting_link);
    const bool is_woken = sim_fiber_wait(&fiber->meeting, deadline, waits_for);
    coil_list_remove(&fiber->meeting_link);
    return is_woken;
}

/* Those at `place`; the `chosen`-th of them is woken, or all if that is negative. How many. */
static unsigned visit(const void *place, int64_t chosen, bool wakes)
{
    coil_list *list = &sim_here()->word_waiters;
    unsigned count = 0;
    coil_list *next;

    for (coil_list *link = list->next; link != list; link = next) {
        sim_fiber *fiber = coil_container_of(link, sim_fiber, meeting_link);
        next = link->next;
        if (fiber->place != place)
            continue;
        if (wakes && (chosen < 0 || chosen == count)) {
            coil_list_remove(link);
            sim_waiters_notify(&fiber->meeting);
        }
        count++;
    }
    return count;
}

void meet_wake_all(const void *place)
{
    (void)visit(place, -1, true);
}

void meet_wake_one(const void *place)
{
    const unsigned count = visit(place, -1, false);
    if (count == 0)
        return;
    const int64_t chosen = count > 1 ? (int64_t)sim_random_below(sim_here(), count) : 0;
    (void)visit(place, chosen, true);
}

/* ------------------------------------------------------------------------------------ words -- */

void coil_kernel_word_wait(const uint32_t *word, uint32_t value, coil_duration limit)
{
    sim_world *world = sim_here();

    sim_fiber_pass();
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != value || sim_fault(world, SIM_FAULT_WORD_WAKE))
        return;
    (void)meet_wait(word, coil_time_after(world->now, limit), "futex");
}

void coil_kernel_word_wake(const uint32_t *word)
{
    meet_wake_all(word);
    sim_fiber_pass();
}

/* ----------------------------------------------------------------------- mutexes, conditions -- */

/*
 * All fibers are one thread to libc, and the one that has the mutex may have been left in the
 * middle: whoever finds it locked lets others run until it is free.
 */
static void lock(pthread_mutex_t *mutex)
{
    while (pthread_mutex_trylock(mutex) == EBUSY)
        (void)meet_wait(mutex, COIL_NEVER, "pthread_mutex_lock");
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    const sim_world *world = sim_here();
    if (world != NULL && world->is_reporting) {
        (void)pthread_mutex_trylock(mutex); /* Whoever has it does not run any more. */
        return 0;
    }
    if (sim_fiber_current() == NULL)
        return __real_pthread_mutex_lock(mutex);
    sim_fiber_pass();
    lock(mutex);
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    const int error = __real_pthread_mutex_unlock(mutex);
    if (error == 0 && sim_fiber_current() != NULL)
        meet_wake_all(mutex);
    return error;
}

bool coil_kernel_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, coil_time deadline)
{
    sim_world *world = sim_here();
    bool is_woken = true;

    if (!sim_fault(world, SIM_FAULT_COND_WAKE)) {
        (void)__real_pthread_mutex_unlock(mutex);
        meet_wake_all(mutex);
        is_woken = meet_wait(cond, deadline, "pthread_cond_wait");
        lock(mutex);
    }
    return is_woken;
}

void coil_kernel_cond_signal(pthread_cond_t *cond)
{
    meet_wake_one(cond);
    sim_fiber_pass();
}

void coil_kernel_cond_broadcast(pthread_cond_t *cond)
{
    meet_wake_all(cond);
    sim_fiber_pass();
}
