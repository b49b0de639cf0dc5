/* SPDX-License-Identifier: MIT */
/* The master: sockets, generations, signals, its end. */
#include <coil/prefork.h>

#include "prefork_private.h"

#include <coil/check.h>
#include <coil/kernel.h>
#include <coil/signal.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CPUS_MAX = 1024, PAUSE_MS = 100, PAUSE_DOUBLINGS = 6 };

/* ----------------------------------------------------------------------------------- changes -- */

void prefork_change(coil_prefork *prefork)
{
    coil_waiter_grant_all(&prefork->changed, 0);
}

void prefork_tell(coil_prefork *prefork, const coil_prefork_event *event)
{
    if (prefork->options.hook != NULL)
        prefork->options.hook->tell(prefork->options.hook, event);
}

void prefork_tell_of(
        const prefork_place *place, coil_prefork_news news, int error, const coil_exit *exit)
{
    const coil_prefork_event event = {.news = news,
            .pid = place->child.pid,
            .number = place->number,
            .generation = place->generation,
            .error = error,
            .exit = exit};
    prefork_tell(place->prefork, &event);
}

coil_duration prefork_pause(coil_prefork *prefork, unsigned failures)
{
    const unsigned doublings = failures < PAUSE_DOUBLINGS ? failures : PAUSE_DOUBLINGS;
    const coil_duration pause = coil_ms(PAUSE_MS << doublings);

    prefork->random ^= prefork->random << 13;
    prefork->random ^= prefork->random >> 7;
    prefork->random ^= prefork->random << 17;
    return pause / 2 + (coil_duration)(prefork->random % (uint64_t)(pause / 2));
}

/* ---------------------------------------------------------------------------------- sockets -- */

int coil_prefork_passed(coil_prefork *prefork, const char *name)
{
    return prefork_take_socket(&prefork->heritage, name);
}

static int add_socket(coil_prefork *prefork, const char *name, int fd, bool is_dealt)
{
    const size_t length = strlen(name);
    int rc = 0;

    COIL_CHECK(!prefork->is_serving);
    if (length == 0 || length >= COIL_PREFORK_NAME_BYTES || strchr(name, ':') != NULL) {
        rc = -EINVAL;
    } else if (prefork->socket_count == COIL_PREFORK_SOCKETS) {
        rc = -ENOSPC;
    }
    if (rc < 0) {
        (void)coil_kernel_close(fd);
        return rc;
    }
    prefork_socket *one = &prefork->sockets[prefork->socket_count++];
    *one = (prefork_socket){.fd = fd, .is_dealt = is_dealt};
    memcpy(one->name, name, length + 1);
    prefork->has_dealt = prefork->has_dealt || is_dealt;
    return 0;
}

int coil_prefork_share(coil_prefork *prefork, const char *name, int fd)
{
    return add_socket(prefork, name, fd, false);
}

int coil_prefork_deal(coil_prefork *prefork, const char *name, int fd)
{
    return add_socket(prefork, name, fd, true);
}

/* ------------------------------------------------------------------------------ generations -- */

#define FOR_EACH_PLACE(prefork, one)                                      \
    for (coil_list *link = (prefork)->places.next, *next = link->next;    \
            link != &(prefork)->places &&                                 \
            ((one) = coil_container_of(link, prefork_place, link), true); \
            link = next, next = link->next)

/* Whoever is of a generation from `first` to `last`, and has a number from `number` on. */
static void leave_all(coil_prefork *prefork, unsigned first, unsigned last, unsigned number)
{
    prefork_place *one = NULL;

    FOR_EACH_PLACE(prefork, one)
    {
        if (one->generation >= first && one->generation <= last && one->number >= number)
            place_leave(one);
    }
}

/* Are all of this generation ready? 1, or not yet: 0; or why not. */
static int judge(const coil_prefork *prefork, unsigned generation)
{
    const prefork_place *one = NULL;
    bool is_ready = true;

    if (prefork->is_stopping)
        return -ESHUTDOWN;
    FOR_EACH_PLACE(prefork, one)
    {
        if (one->generation != generation)
            continue;
        if (one->failures > 0)
            return one->error < 0 ? one->error : -ECHILD;
        is_ready = is_ready && one->state == PLACE_READY;
    }
    return is_ready;
}

/* New workers for all places; then the old ones go, or if that fails, the new ones. */
coil_async(int, renew, (coil_prefork *) prefork)
{
    coil_vars(int rc; unsigned generation);

    my->generation = ++prefork->generation;
    for (unsigned i = 0; i < prefork->target && my->rc == 0; i++)
        my->rc = place_create(prefork, i, my->generation);
    while (my->rc == 0) {
        my->rc = judge(prefork, my->generation);
        if (my->rc == 0)
            coil_attempt(coil_waiter_wait(&prefork->changed));
    }
    if (my->rc < 0) {
        leave_all(prefork, my->generation, my->generation, 0);
        return my->rc;
    }
    prefork->current = my->generation;
    leave_all(prefork, 0, my->generation - 1, 0);
    return 0;
}

/* How many workers this generation has. */
static unsigned count_places(const coil_prefork *prefork, unsigned generation)
{
    const prefork_place *one = NULL;
    unsigned count = 0;

    FOR_EACH_PLACE(prefork, one)
    {
        count += one->generation == generation && !one->is_unwanted && !one->is_replaced;
    }
    return count;
}

static void reload_ended(coil_prefork *prefork, int rc)
{
    const coil_prefork_event event = {
            .news = rc == 0 ? COIL_PREFORK_RELOADED : COIL_PREFORK_RELOAD_FAILED,
            .generation = prefork->generation,
            .error = rc};

    if (rc < 0 && !prefork->wants_reload) /* Those that it was to be are not there. */
        prefork->target = count_places(prefork, prefork->current);
    prefork_tell(prefork, &event);
}

coil_async(int, reload, (coil_prefork *) prefork)
{
    coil_vars(int rc);

    coil_defer(prefork->is_changing = false);
    do {
        prefork->wants_reload = false;
        coil_await(my->rc, renew(prefork));
        reload_ended(prefork, my->rc);
    } while (prefork->wants_reload && !prefork->is_stopping);
    return 0;
}

void coil_prefork_reload(coil_prefork *prefork)
{
    if (!prefork->is_serving || prefork->is_stopping)
        return;
    if (prefork->is_changing) {
        prefork->wants_reload = true;
        return;
    }
    prefork->wants_reload = false; /* It is this one. */
    prefork->is_changing = coil_spawn(&prefork->group, reload(prefork)) != NULL;
    if (!prefork->is_changing)
        reload_ended(prefork, -ENOMEM);
}

void coil_prefork_scale(coil_prefork *prefork, unsigned workers)
{
    const unsigned before = prefork->target;

    workers = workers < 1 ? 1 : workers;
    workers = workers > COIL_PREFORK_WORKERS ? COIL_PREFORK_WORKERS : workers;
    if (workers == before)
        return;
    prefork->target = workers;
    if (!prefork->is_serving || prefork->is_stopping)
        return;
    if (prefork->is_changing || prefork->has_dealt) {
        coil_prefork_reload(prefork); /* Sockets are to be dealt anew. */
        return;
    }
    for (unsigned i = before; i < workers; i++) {
        if (place_create(prefork, i, prefork->current) == 0)
            continue;
        prefork->target = i; /* There was no memory for more. */
        break;
    }
    leave_all(prefork, prefork->current, prefork->current, workers);
}

/* ----------------------------------------------------------------------------------- the end -- */

void coil_prefork_stop(coil_prefork *prefork, coil_duration drain_limit)
{
    prefork_place *one = NULL;

    prefork->is_stopping = true;
    prefork->drain_limit = drain_limit;
    FOR_EACH_PLACE(prefork, one)
    {
        if (drain_limit == 0 && one->child.pidfd >= 0)
            (void)coil_child_signal(&one->child, SIGKILL);
        place_leave(one);
    }
    prefork_change(prefork);
}

void coil_prefork_upgrade(coil_prefork *prefork)
{
    if (!prefork->is_serving || prefork->is_stopping || prefork->is_upgrading)
        return;
    prefork->is_upgrading = coil_spawn(&prefork->group, prefork_upgrade(prefork)) != NULL;
    if (prefork->is_upgrading)
        return;
    const coil_prefork_event event = {.news = COIL_PREFORK_UPGRADE_FAILED, .error = -ENOMEM};
    prefork_tell(prefork, &event);
}

static void heed_one(coil_prefork *prefork, int signo)
{
    switch (signo) {
    case SIGHUP:
        coil_prefork_reload(prefork);
        break;
    case SIGTTIN:
        coil_prefork_scale(prefork, prefork->target + 1);
        break;
    case SIGTTOU:
        coil_prefork_scale(prefork, prefork->target - 1);
        break;
    case SIGUSR2:
        coil_prefork_upgrade(prefork);
        break;
    case SIGTERM:
    case SIGQUIT:
        coil_prefork_stop(prefork, prefork->is_stopping ? coil_s(0) : prefork->options.drain_limit);
        break;
    default:
        coil_prefork_stop(prefork, 0);
    }
}

coil_async(int, heed, (coil_prefork *) prefork, (coil_signals *) signals)
{
    coil_vars(int signo);

    for (;;) {
        coil_attempt(my->signo, coil_signals_next(signals));
        heed_one(prefork, my->signo);
    }
}

static void tell_predecessor(coil_prefork *prefork)
{
    static const char word = PREFORK_READY;

    prefork_close_heritage(&prefork->heritage);
    if (!prefork->has_predecessor)
        return;
    prefork->has_predecessor = false;
    (void)coil_kernel_send_now(PREFORK_CONTROL_FD, &word, sizeof(word));
    (void)coil_kernel_close(PREFORK_CONTROL_FD);
}

/* The first workers, and then what comes. */
coil_async(int, serve, (coil_prefork *) prefork)
{
    coil_vars(int rc);

    coil_defer(prefork->is_serving = false);
    coil_open_group(&prefork->group);
    prefork->group.keep_going = true;
    coil_defer(prefork->is_stopping = true);
    prefork->is_serving = true;
    prefork->is_changing = true;
    if (coil_spawn(&prefork->group, prefork_watch(prefork)) == NULL)
        return -ENOMEM;
    coil_await(my->rc, renew(prefork));
    prefork->is_changing = false;
    if (my->rc < 0 && !prefork->is_stopping)
        return my->rc;
    if (my->rc == 0) { /* Else it was told to end before: its predecessor stays. */
        tell_predecessor(prefork);
        prefork->calm_since = coil_loop_now(prefork->loop);
        if (prefork->wants_reload)
            coil_prefork_reload(prefork);
    }
    while (!prefork->is_stopping || !coil_list_empty(&prefork->places))
        coil_ignore(coil_waiter_wait(&prefork->changed));
    return 0;
}

coil_define(int, coil_prefork_serve, (coil_prefork *) prefork)
{
    coil_vars(coil_signals *signals; coil_group group; int rc);

    COIL_CHECK(!prefork->is_serving);
    prefork->loop = coil_loop_of(coil_self);
    my->rc = coil_signals_open(
            COIL_SIGNALS(SIGHUP, SIGTTIN, SIGTTOU, SIGUSR2, SIGTERM, SIGQUIT, SIGINT),
            &my->signals);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_signals_close(my->signals));
    coil_open_group(&my->group);
    coil_spawn(&my->group, heed(prefork, my->signals));
    coil_await(my->rc, serve(prefork));
    return my->rc;
}

/* ------------------------------------------------------------------ beginning and forgetting -- */

static void set_options(coil_prefork *prefork, const coil_prefork_options *options)
{
    coil_prefork_options *own = &prefork->options;
    int cpus[CPUS_MAX];

    if (options != NULL)
        *own = *options;
    if (own->workers == 0) {
        const int count = coil_kernel_cpus(cpus, CPUS_MAX);
        own->workers = count > 0 ? (unsigned)count : 1;
    }
    if (own->ready_limit <= 0)
        own->ready_limit = coil_s(30);
    if (own->drain_limit <= 0)
        own->drain_limit = coil_s(30);
    if (own->abort_limit <= 0)
        own->abort_limit = coil_s(2);
    if (own->calm_limit <= 0)
        own->calm_limit = coil_s(30);
    if (own->workers > COIL_PREFORK_WORKERS)
        own->workers = COIL_PREFORK_WORKERS;
    prefork->target = own->workers;
    prefork->drain_limit = own->drain_limit;
}

int coil_prefork_create(const coil_prefork_options *options, coil_prefork **out_prefork)
{
    coil_prefork *prefork = calloc(1, sizeof(*prefork));

    if (prefork == NULL)
        return -ENOMEM;
    set_options(prefork, options);
    coil_list_init(&prefork->places);
    coil_list_init(&prefork->changed);
    coil_kernel_random(&prefork->random, sizeof(prefork->random));
    prefork->random |= 1;
    prefork->has_predecessor = prefork_inherit(PREFORK_MASTER_VARIABLE, &prefork->heritage) > 0;
    *out_prefork = prefork;
    return 0;
}

coil_prefork_stats coil_prefork_statistics(const coil_prefork *prefork)
{
    coil_prefork_stats stats = {.target = prefork->target,
            .generation = prefork->current,
            .started = prefork->started,
            .died = prefork->died,
            .hung = prefork->hung,
            .recycled = prefork->recycled};
    const prefork_place *one = NULL;

    FOR_EACH_PLACE(prefork, one)
    {
        stats.draining += one->state == PLACE_DRAINING;
        if (one->state != PLACE_READY || one->generation != prefork->current)
            continue;
        stats.ready++;
        if (one->page != NULL)
            stats.load += __atomic_load_n(&one->page->load, __ATOMIC_RELAXED);
    }
    return stats;
}

void coil_prefork_destroy(coil_prefork *prefork)
{
    if (prefork == NULL)
        return;
    COIL_CHECK(!prefork->is_serving);
    prefork_close_heritage(&prefork->heritage);
    for (unsigned i = 0; i < prefork->socket_count; i++)
        (void)coil_kernel_close(prefork->sockets[i].fd);
    if (prefork->has_predecessor)
        (void)coil_kernel_close(PREFORK_CONTROL_FD);
    free(prefork);
}
