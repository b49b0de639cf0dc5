/* SPDX-License-Identifier: MIT */
/* Heartbeats, memory and load: a look at all workers, now and then. */
#include "prefork_private.h"
#include "worker_memory.h"

#include <coil/kernel.h>

#include <signal.h>

/* A worker whose loop stands still leaves a trace, and then goes. */
static void check_beat(coil_prefork *prefork, prefork_place *one)
{
    const coil_time now = coil_kernel_now();
    const coil_time beat = __atomic_load_n(&one->page->beat, __ATOMIC_RELAXED);

    if (one->aborted_at != 0) {
        if (now - one->aborted_at >= prefork->options.abort_limit)
            (void)coil_child_signal(&one->child, SIGKILL);
        return;
    }
    if (now - beat < prefork->options.heartbeat_limit)
        return;
    one->aborted_at = now;
    prefork->hung++;
    prefork_tell_of(one, COIL_PREFORK_HUNG, 0, NULL);
    (void)coil_child_signal(&one->child, SIGABRT);
}

static void check_beats(coil_prefork *prefork)
{
    for (coil_list *link = prefork->places.next; link != &prefork->places; link = link->next) {
        prefork_place *one = coil_container_of(link, prefork_place, link);
        if (one->page != NULL && one->state == PLACE_READY && !one->has_died)
            check_beat(prefork, one);
    }
}

/* A worker that has grown too much makes room for another. */
static void check_memory(coil_prefork *prefork)
{
    if (prefork->is_changing)
        return; /* It may be about to go in any case. */
    for (coil_list *link = prefork->places.next; link != &prefork->places; link = link->next) {
        prefork_place *one = coil_container_of(link, prefork_place, link);
        if (one->state != PLACE_READY || one->is_unwanted || one->is_replaced || one->has_died ||
                worker_memory_resident(one->statm) <= prefork->options.memory_max_bytes)
            continue;
        place_replace(one);
        prefork->recycled += one->is_replaced;
        if (one->is_replaced)
            prefork_tell_of(one, COIL_PREFORK_RECYCLED, 0, NULL);
    }
}

/* As many as the load needs, and one more. */
static void follow_load(coil_prefork *prefork)
{
    const coil_prefork_options *options = &prefork->options;
    const coil_prefork_stats stats = coil_prefork_statistics(prefork);
    const coil_time now = coil_loop_now(prefork->loop);
    uint64_t wanted = (stats.load + options->load_each - 1) / options->load_each + 1;

    if (prefork->is_changing || stats.ready < stats.target)
        return; /* What is on its way may do. */
    wanted = wanted < options->workers ? options->workers : wanted;
    wanted = wanted > options->workers_max ? options->workers_max : wanted;
    if (wanted >= prefork->target)
        prefork->calm_since = now;
    if (wanted > prefork->target) {
        coil_prefork_scale(prefork, (unsigned)wanted);
    } else if (now - prefork->calm_since >= options->calm_limit) {
        coil_prefork_scale(prefork, prefork->target - 1);
        prefork->calm_since = now;
    }
}

static bool follows_load(const coil_prefork_options *options)
{
    return options->load_each > 0 && options->workers_max > options->workers;
}

coil_define(int, prefork_watch, (coil_prefork *) prefork)
{
    coil_vars(coil_duration interval; coil_time before);

    const coil_prefork_options *options = &prefork->options;
    const bool has_limit = options->memory_max_bytes > 0;
    if (my->interval == 0) {
        my->interval = coil_s(1);
        if (options->heartbeat_limit > 0 && options->heartbeat_limit / 4 < my->interval)
            my->interval = options->heartbeat_limit / 4;
        if (follows_load(options) && options->calm_limit / 4 < my->interval)
            my->interval = options->calm_limit / 4;
        if (my->interval < coil_ms(1))
            my->interval = coil_ms(1);
    }
    if (options->heartbeat_limit <= 0 && !has_limit && !follows_load(options))
        return 0;
    for (;;) {
        my->before = coil_kernel_now();
        coil_await(coil_sleep(my->interval));
        /* If we were late, so were they: a machine that has slept is no reason to kill. */
        if (prefork->options.heartbeat_limit > 0 &&
                coil_kernel_now() - my->before < 2 * my->interval)
            check_beats(prefork);
        if (prefork->options.memory_max_bytes > 0)
            check_memory(prefork);
        if (follows_load(&prefork->options))
            follow_load(prefork);
    }
}
