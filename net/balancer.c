/* SPDX-License-Identifier: MIT */
#include <coil/balancer.h>

#include "address_private.h"
#include "defaults.h"
#include "resolver_config.h"

#include <coil/random.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TARGET_BYTES = 300 };

/* One address. It stays until its pool is gone, which the balancer may be before. */
typedef struct endpoint {
    coil_pool_observer observer;
    coil_circuit_breaker breaker;
    coil_connection_pool *pool;
    coil_address address;
    uint64_t number;   /* In the order of appearance, from 1. */
    uint16_t priority; /* Of SRV: lower ones come first. Else 0. */
    bool wanted;       /* While addresses are set: it remains. */
} endpoint;

struct coil_balancer {
    coil_loop *loop;
    coil_balancer_options options;
    coil_balancer_stats stats;
    coil_random random;
    endpoint *endpoints[COIL_BALANCER_ADDRESSES];
    unsigned count;
    uint64_t last_number;
    coil_time fresh_until;
    coil_task *refresher; /* NULL: nobody asks the resolver. */
    coil_list waiters;    /* For its answer. */
    size_t user_count;    /* Tasks in a checkout, and the refresher. */
    bool is_refreshing;
    bool is_destroyed;
    char target[TARGET_BYTES]; /* Empty: nobody is to be asked. */
};

static coil_time now_of(const coil_balancer *balancer)
{
    return coil_loop_now(balancer->loop);
}

/* The last who uses a balancer that was destroyed. */
static void leave(coil_balancer *balancer)
{
    balancer->user_count--;
    if (balancer->is_destroyed && balancer->user_count == 0)
        free(balancer);
}

/* -------------------------------------------------------------------------------- addresses -- */

static endpoint *find(const coil_balancer *balancer, const coil_address *address)
{
    for (unsigned i = 0; i < balancer->count; i++) {
        if (address_equal(&balancer->endpoints[i]->address, address))
            return balancer->endpoints[i];
    }
    return NULL;
}

static void endpoint_gone(coil_pool_observer *observer)
{
    free(coil_container_of(observer, endpoint, observer));
}

static int add(coil_balancer *balancer, const coil_address *address, uint16_t priority)
{
    char text[COIL_ADDRESS_TEXT_BYTES];
    coil_connection_pool_options options = balancer->options.pool;
    endpoint *added = calloc(1, sizeof(*added));

    if (added == NULL)
        return -ENOMEM;
    added->address = *address;
    added->number = ++balancer->last_number;
    added->priority = priority;
    added->wanted = true;
    coil_circuit_breaker_init(&added->breaker, &balancer->options.ejection);
    options.breaker = &added->breaker;
    int rc = coil_connection_pool_create(
            balancer->loop, coil_address_format(address, text), &options, &added->pool);
    if (rc < 0) {
        free(added);
        return rc;
    }
    added->observer.gone = endpoint_gone;
    coil_connection_pool_observe(added->pool, &added->observer);
    balancer->endpoints[balancer->count++] = added;
    return 0;
}

/* Those that are not wanted leave; the order of the others remains. */
static void remove_unwanted(coil_balancer *balancer)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < balancer->count; i++) {
        endpoint *one = balancer->endpoints[i];
        if (one->wanted) {
            balancer->endpoints[kept++] = one;
        } else {
            balancer->stats.removed++;
            coil_connection_pool_destroy(one->pool);
        }
    }
    balancer->count = kept;
}

/* An address that is offered twice is wanted as what it is offered as first: best comes first. */
static void keep(coil_balancer *balancer, const coil_address *address, uint16_t priority)
{
    endpoint *known = find(balancer, address);
    if (known == NULL || known->wanted)
        return;
    known->wanted = true;
    known->priority = priority;
}

/* `priorities` NULL: all are equal. */
static int set_addresses(coil_balancer *balancer, const coil_address *addresses,
        const uint16_t *priorities, unsigned count)
{
    int rc = 0;

    if (count > COIL_BALANCER_ADDRESSES)
        count = COIL_BALANCER_ADDRESSES;
    for (unsigned i = 0; i < balancer->count; i++)
        balancer->endpoints[i]->wanted = false;
    for (unsigned i = 0; i < count; i++)
        keep(balancer, &addresses[i], priorities == NULL ? 0 : priorities[i]);
    remove_unwanted(balancer); /* First, so that there is room. */
    for (unsigned i = 0; i < count && rc == 0; i++) {
        if (find(balancer, &addresses[i]) == NULL)
            rc = add(balancer, &addresses[i], priorities == NULL ? 0 : priorities[i]);
    }
    return rc;
}

int coil_balancer_set_addresses(
        coil_balancer *balancer, const coil_address *addresses, unsigned count)
{
    return set_addresses(balancer, addresses, NULL, count);
}

/* ------------------------------------------------------------------------------ the resolver -- */

/* For how long an answer, or a failure, is good. */
static coil_duration ttl_of(const coil_balancer *balancer, coil_duration ttl)
{
    if (ttl < balancer->options.ttl_min)
        return balancer->options.ttl_min;
    return ttl > balancer->options.ttl_max ? balancer->options.ttl_max : ttl;
}

/* The answer has come, or will not. */
static void end_refresh(coil_balancer *balancer, const coil_addresses *addresses, int rc)
{
    balancer->refresher = NULL;
    balancer->is_refreshing = false;
    if (!balancer->is_destroyed) {
        if (rc == 0) {
            rc = set_addresses(balancer, addresses->items, addresses->priorities, addresses->count);
        }
        balancer->stats.refreshes += rc == 0;
        balancer->stats.refresh_failures += rc < 0;
        coil_duration ttl = ttl_of(balancer, rc == 0 ? addresses->ttl : 0);
        balancer->fresh_until = coil_time_after(now_of(balancer), ttl);
    }
    coil_waiter_grant_all(&balancer->waiters, rc);
    leave(balancer);
}

coil_async(int, refresh, (coil_balancer *) balancer)
{
    coil_vars(coil_addresses addresses; int rc);

    my->rc = -ECANCELED;
    balancer->refresher = coil_self;
    coil_defer(coil_addresses_release(&my->addresses));
    coil_defer(end_refresh(balancer, &my->addresses, my->rc));
    if (balancer->is_destroyed)
        return 0;
    coil_await(my->rc, coil_resolve(balancer->options.pool.connect.resolver, balancer->target,
                               &my->addresses));
    return 0;
}

static void begin_refresh(coil_balancer *balancer)
{
    coil_group *group = balancer->options.pool.group;
    if (group == NULL)
        group = coil_loop_root(balancer->loop);
    balancer->is_refreshing = true;
    balancer->user_count++;
    coil_task *task = COIL_TASK_OF_(group->sched, refresh(balancer));
    if (task == NULL) {
        end_refresh(balancer, NULL, -ENOMEM);
    } else {
        (void)coil_group_start(group, task, NULL);
    }
}

/* Have addresses: old ones will do, while new ones are asked for. */
coil_async(int, have_addresses, (coil_balancer *) balancer)
{
    coil_vars(int rc);

    if (balancer->target[0] == '\0')
        return balancer->count == 0 ? -EDESTADDRREQ : 0;
    if (!balancer->is_refreshing && now_of(balancer) >= balancer->fresh_until)
        begin_refresh(balancer);
    if (balancer->count > 0)
        return 0;
    if (!balancer->is_refreshing)
        return -EAGAIN; /* It has failed a moment ago. */
    coil_await(my->rc, coil_waiter_wait(&balancer->waiters));
    return balancer->is_destroyed ? -ESHUTDOWN : my->rc;
}

/* ------------------------------------------------------------------------------- the choice -- */

/* The addresses that one checkout has tried. */
typedef struct tried {
    uint64_t numbers[COIL_BALANCER_TRIES_MAX];
    unsigned count;
} tried;

static bool is_ejected(const endpoint *one, coil_time now)
{
    return coil_circuit_breaker_admits_at(&one->breaker) > now;
}

static bool is_in(const tried *before, const endpoint *one)
{
    for (unsigned i = 0; i < before->count; i++) {
        if (before->numbers[i] == one->number)
            return true;
    }
    return false;
}

static unsigned load_of(const endpoint *one)
{
    coil_connection_pool_stats stats = coil_connection_pool_statistics(one->pool);
    return stats.busy + stats.waiting;
}

/*
 * Those that can be chosen: neither ejected nor tried before. Of these the lowest priority alone:
 * others are for when it cannot be reached (RFC 2782).
 */
static unsigned candidates_of(const coil_balancer *balancer, const tried *before,
        endpoint *out_candidates[COIL_BALANCER_ADDRESSES])
{
    unsigned count = 0;
    coil_time now = now_of(balancer);

    for (unsigned i = 0; i < balancer->count; i++) {
        endpoint *one = balancer->endpoints[i];
        if (is_ejected(one, now) || is_in(before, one))
            continue;
        if (count > 0 && one->priority > out_candidates[0]->priority)
            continue;
        if (count > 0 && one->priority < out_candidates[0]->priority)
            count = 0;
        out_candidates[count++] = one;
    }
    return count;
}

/* The better one of two at random; NULL if there is none. */
static endpoint *choose(coil_balancer *balancer, const tried *before)
{
    endpoint *candidates[COIL_BALANCER_ADDRESSES];
    unsigned count = candidates_of(balancer, before, candidates);

    if (count == 0)
        return NULL;
    uint64_t one = coil_random_below(&balancer->random, count);
    if (count == 1)
        return candidates[one];
    uint64_t other = coil_random_below(&balancer->random, count - 1);
    other += other >= one;
    return load_of(candidates[other]) < load_of(candidates[one]) ? candidates[other]
                                                                 : candidates[one];
}

/* ---------------------------------------------------------------------------- the checkout -- */

/* At one address after the other. Who was cancelled is served nowhere. */
coil_async(coil_pooled *, checkout_somewhere, (coil_balancer *) balancer)
{
    coil_vars(coil_pooled *got; tried tried; int rc);

    my->rc = -EHOSTDOWN;
    while (my->tried.count < balancer->options.tries && !balancer->is_destroyed) {
        endpoint *chosen = choose(balancer, &my->tried);
        if (chosen == NULL)
            break;
        balancer->stats.failovers += my->tried.count > 0;
        my->tried.numbers[my->tried.count++] = chosen->number;
        coil_await(my->got, coil_connection_pool_checkout(chosen->pool));
        my->rc = coil_pointer_error(my->got);
        if (my->rc == 0)
            return my->got;
    }
    return coil_error_pointer(balancer->is_destroyed ? -ESHUTDOWN : my->rc);
}

coil_define(coil_pooled *, coil_balancer_checkout, (coil_balancer *) balancer)
{
    coil_vars(coil_pooled *got; int rc);

    balancer->user_count++;
    coil_defer(leave(balancer));
    coil_await(my->rc, have_addresses(balancer));
    if (my->rc < 0) {
        balancer->stats.failed++;
        return coil_error_pointer(my->rc);
    }
    coil_await(my->got, checkout_somewhere(balancer));
    if (coil_pointer_error(my->got) < 0) {
        balancer->stats.failed++;
    } else {
        balancer->stats.checkouts++;
    }
    return my->got;
}

/* -------------------------------------------------------------------------------- lifecycle -- */

static int set_options(coil_balancer *balancer, const coil_balancer_options *options)
{
    coil_balancer_options *own = &balancer->options;
    if (options != NULL)
        *own = *options;
    set_default_duration(&own->ttl_min, coil_s(1));
    set_default_duration(&own->ttl_max, coil_s(300));
    set_default_duration(&own->ejection.open_duration, coil_s(1));
    set_default(&own->ejection.calls_min, 1);
    set_default(&own->tries, 3);
    coil_random_init(&balancer->random, own->seed == 0 ? coil_random_seed() : own->seed);
    bool is_valid = own->tries <= COIL_BALANCER_TRIES_MAX &&
                    own->pool.min <= (own->pool.max == 0 ? 10 : own->pool.max) &&
                    own->pool.age_jitter_percent <= 100;
    return is_valid ? 0 : -EINVAL;
}

int coil_balancer_create(coil_loop *loop, const char *target, const coil_balancer_options *options,
        coil_balancer **out_balancer)
{
    if (target != NULL && strlen(target) >= TARGET_BYTES)
        return -ENAMETOOLONG;
    coil_balancer *balancer = calloc(1, sizeof(*balancer));
    if (balancer == NULL)
        return -ENOMEM;
    int rc = target == NULL ? 0 : resolver_target_check(target);
    if (rc == 0)
        rc = set_options(balancer, options);
    if (rc < 0) {
        free(balancer);
        return rc;
    }
    balancer->loop = loop;
    balancer->fresh_until = INT64_MIN;
    coil_list_init(&balancer->waiters);
    if (target != NULL)
        memcpy(balancer->target, target, strlen(target) + 1);
    *out_balancer = balancer;
    return 0;
}

void coil_balancer_destroy(coil_balancer *balancer)
{
    if (balancer == NULL)
        return;
    (void)coil_balancer_set_addresses(balancer, NULL, 0);
    balancer->is_destroyed = true;
    if (balancer->refresher != NULL)
        coil_task_cancel(balancer->refresher);
    coil_waiter_grant_all(&balancer->waiters, -ESHUTDOWN);
    balancer->user_count++;
    leave(balancer);
}

coil_balancer_stats coil_balancer_statistics(const coil_balancer *balancer)
{
    coil_balancer_stats stats = balancer->stats;
    coil_time now = now_of(balancer);

    stats.addresses = balancer->count;
    for (unsigned i = 0; i < balancer->count; i++)
        stats.ejected += is_ejected(balancer->endpoints[i], now);
    return stats;
}

int coil_balancer_look(
        const coil_balancer *balancer, unsigned index, coil_balancer_endpoint *out_endpoint)
{
    if (index >= balancer->count)
        return -ENOENT;
    const endpoint *one = balancer->endpoints[index];
    out_endpoint->address = one->address;
    out_endpoint->circuit = one->breaker.state;
    out_endpoint->pool = coil_connection_pool_statistics(one->pool);
    return 0;
}
