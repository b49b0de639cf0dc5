/* SPDX-License-Identifier: MIT */
/* All loops of the process, and the memory of those that have been. */
#include "loop_private.h"

#include <coil/kernel.h>

#include <pthread.h>
#include <stdlib.h>

static COIL_PROCESS_WIDE pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static COIL_PROCESS_WIDE coil_list all_loops = {&all_loops, &all_loops};

/* ----------------------------------------------------------------------------------- forks -- */

static void lock_loops(void)
{
    (void)pthread_mutex_lock(&lock);
}

static void unlock_loops(void)
{
    (void)pthread_mutex_unlock(&lock);
}

/*
 * Those of the parent are nobody's here: they cannot be run, and are not looked at. Their memory is
 * no leak of the child's, so it can still be reached.
 */
static void set_those_of_the_parent_apart(void)
{
    static COIL_PROCESS_WIDE coil_list apart = {&apart, &apart};
    coil_list *link;

    while ((link = coil_list_take_first(&all_loops)) != NULL)
        coil_list_append(&apart, link);
    unlock_loops();
}

static __attribute__((constructor)) void watch_forks(void)
{
    (void)coil_kernel_at_fork(lock_loops, unlock_loops, set_those_of_the_parent_apart);
}

/* ------------------------------------------------------------------------------- all loops -- */

void loop_enlist(coil_loop *loop)
{
    static COIL_PROCESS_WIDE unsigned loop_count;

    loop->watch.thread = coil_kernel_thread_id();
    lock_loops();
    loop->watch.number = ++loop_count;
    coil_list_append(&all_loops, &loop->link);
    unlock_loops();
}

void loop_delist(coil_loop *loop)
{
    lock_loops();
    coil_list_remove(&loop->link);
    unlock_loops();
}

void loop_each(loop_visitor *visitor)
{
    lock_loops();
    for (coil_list *link = all_loops.next; link != &all_loops; link = link->next)
        visitor->visit(visitor, coil_container_of(link, coil_loop, link));
    unlock_loops();
}

size_t loop_sum(size_t (*figure)(const coil_loop *loop))
{
    size_t sum = 0;
    lock_loops();
    for (coil_list *link = all_loops.next; link != &all_loops; link = link->next)
        sum += figure(coil_container_of(link, coil_loop, link));
    unlock_loops();
    return sum;
}

/* -------------------------------------------------------------------------------- memory -- */

/*
 * The memory of loops is used again, but never given back: what others know a loop by (the table of
 * coil/remote.h above all) can be read at any time.
 */
static COIL_PROCESS_WIDE coil_list free_loops = {&free_loops, &free_loops};

coil_loop *loop_take_memory(void)
{
    lock_loops();
    coil_list *link = coil_list_take_first(&free_loops);
    unlock_loops();
    if (link == NULL) {
        coil_loop *made = aligned_alloc(LOOP_LINE_BYTES, sizeof(*made));
        if (made != NULL)
            memset(made, 0, sizeof(*made));
        return made;
    }
    coil_loop *loop = coil_container_of(link, coil_loop, link);
    struct remote_fn *kept[LOOP_REMOTE_FNS];
    memcpy(kept, loop->remote_fns, sizeof(kept));
    memset(loop, 0, sizeof(*loop));
    memcpy(loop->remote_fns, kept, sizeof(kept));
    return loop;
}

void loop_give_memory(coil_loop *loop)
{
    lock_loops();
    coil_list_append(&free_loops, &loop->link);
    unlock_loops();
}

void coil_loop_hold(coil_loop *loop)
{
    (void)__atomic_fetch_add(&loop->hold_count, 1, __ATOMIC_RELAXED);
}

void coil_loop_release(coil_loop *loop)
{
    if (loop != NULL && __atomic_fetch_sub(&loop->hold_count, 1, __ATOMIC_ACQ_REL) == 1)
        loop_give_memory(loop);
}
