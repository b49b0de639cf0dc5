/* SPDX-License-Identifier: MIT */
/* From a target to its addresses: which names are tried, and what is made of their answers. */
#include "address_private.h"
#include "resolver_private.h"
#include "resolver_sort.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>

/* ----------------------------------------------------------------------------------- results -- */

static int add_room(coil_addresses *addresses, unsigned count)
{
    coil_address *items =
            realloc(addresses->items, (addresses->count + count) * sizeof(*addresses->items));
    if (items == NULL)
        return -ENOMEM;
    addresses->items = items;
    return 0;
}

static void limit_ttl(coil_addresses *addresses, const question *one)
{
    if (one->expires == COIL_NEVER)
        return;
    coil_duration left = one->expires - coil_now();
    if (left < 0)
        left = 0;
    if (left < addresses->ttl)
        addresses->ttl = left;
}

/* Add those of `one` that belong to a service; of a question about addresses, all do to 0. */
static int add_addresses(
        coil_addresses *addresses, const question *one, unsigned service_index, uint16_t port)
{
    if (one->address_count == 0)
        return 0;
    int rc = add_room(addresses, one->address_count);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < one->address_count; i++) {
        const dns_address *each = &one->addresses[i];
        if (each->service_index != service_index)
            continue;
        address_set(&addresses->items[addresses->count++], each->is_v6 ? AF_INET6 : AF_INET,
                each->bytes, port);
    }
    limit_ttl(addresses, one);
    return 0;
}

static int answer_literal(const coil_address *literal, coil_addresses *out_addresses)
{
    coil_addresses addresses = {.ttl = COIL_FOREVER};
    int rc = add_room(&addresses, 1);
    if (rc < 0)
        return rc;
    addresses.items[addresses.count++] = *literal;
    *out_addresses = addresses;
    return 0;
}

/* -------------------------------------------------------------------------------- one name -- */

static const dns_address loopbacks[] = {
        {.is_v6 = true, .bytes = {[15] = 1}}, {.bytes = {127, 0, 0, 1}}};

static int claim_known(const dns_address *addresses, unsigned count, question **out_question)
{
    *out_question = question_create_answered(addresses, count);
    return *out_question != NULL ? 0 : -ENOMEM;
}

static int claim_host(const hosts_entry *entries, size_t count, question **out_question)
{
    dns_address addresses[COIL_RESOLVER_ADDRESSES_MAX];
    unsigned limit =
            count < COIL_RESOLVER_ADDRESSES_MAX ? (unsigned)count : COIL_RESOLVER_ADDRESSES_MAX;
    for (unsigned i = 0; i < limit; i++)
        addresses[i] = entries[i].address;
    return claim_known(addresses, limit, out_question);
}

/*
 * What needs no server: 1 it has been claimed, 0 somebody has to be asked, or a negative error.
 * RFC 6761, RFC 7686; hosts(5).
 */
static int claim_local(coil_resolver *resolver, const dns_name *name, question **out_question)
{
    size_t count;
    int rc = 0;
    if (dns_name_is_below(name, "invalid") || dns_name_is_below(name, "onion"))
        return -ENOENT;
    const hosts_entry *entries = hosts_table_find(&resolver->hosts, name, &count);
    if (dns_name_is_below(name, "localhost")) {
        rc = claim_known(loopbacks, 2, out_question);
    } else if (entries != NULL) {
        rc = claim_host(entries, count, out_question);
    } else {
        return 0;
    }
    resolver->stats.lookups++;
    resolver->stats.hosts_hits++;
    return rc < 0 ? rc : 1;
}

/* The names that a target may mean, in the order in which they are tried. False: no more. */
static bool candidate(const resolver_config *config, const resolver_target *target, unsigned index,
        dns_name *out_name)
{
    const unsigned search_count = target->is_absolute ? 0 : config->search_count;
    const bool is_first = dns_name_dots(&target->name) >= config->ndots;
    if (index > search_count)
        return false;
    if (index == (is_first ? 0 : search_count)) {
        *out_name = target->name;
    } else if (dns_name_join(&target->name, &config->search[is_first ? index - 1 : index],
                       out_name) < 0) {
        out_name->length = 0; /* Too long: nobody can have it. */
    }
    return true;
}

/*
 * Search for the target; with 0, `*out_question` is answered, and claimed. With 1, if a part will
 * do (`is_early`), that part is.
 */
/* NOLINTNEXTLINE(readability-function-size): two more parameters are the coroutine's. */
coil_async(int, search, (coil_resolver *) resolver, (question_kind) kind, (bool) is_early,
        (const resolver_target *) target, (question **) out_question)
{
    coil_vars(question *one; dns_name name; unsigned index; int rc; int status);

    coil_defer(question_drop(my->one));
    my->status = -ENOENT;
    while (candidate(&resolver->config, target, my->index++, &my->name)) {
        if (resolver->is_ended)
            return -ESHUTDOWN;
        if (my->name.length == 0)
            continue;
        my->rc = question_claim(resolver, kind, &my->name, &my->one);
        if (my->rc < 0)
            return my->rc;
        if (is_early) {
            coil_await(my->rc, question_wait_early(my->one));
        } else {
            coil_await(my->rc, question_wait(my->one));
        }
        if (my->rc >= 0) {
            *out_question = my->one;
            my->one = NULL;
            return my->rc;
        }
        question_drop(my->one);
        my->one = NULL;
        if (my->rc == -ENODATA)
            my->status = -ENODATA;
        if (my->rc != -ENODATA && my->rc != -ENOENT)
            return my->rc; /* With another answer, the name would be another one. */
    }
    return my->status;
}

/* Of a question that is still on its way. */
static int add_part(coil_addresses *addresses, const question *one, uint16_t port)
{
    question *part = question_create_answered(one->early->addresses, one->early->address_count);
    if (part == NULL)
        return -ENOMEM;
    int rc = add_addresses(addresses, part, 0, port);
    question_drop(part);
    addresses->ttl = 0;
    return rc;
}

/* `out_is_all` NULL: all of them, nothing else will do. */
coil_async(int, resolve_host, (coil_resolver *) resolver, (const resolver_target *) target,
        (coil_addresses *) out_addresses, (bool *) out_is_all)
{
    coil_vars(question *one; coil_addresses found; int rc);

    coil_defer(question_drop(my->one));
    my->rc = claim_local(resolver, &target->name, &my->one);
    if (my->rc < 0)
        return my->rc;
    if (my->rc == 0) {
        coil_attempt(
                my->rc, search(resolver, QUESTION_ADDRESSES, out_is_all != NULL, target, &my->one));
    } else {
        my->rc = 0;
    }
    const bool is_part = my->rc == 1;
    my->found.ttl = COIL_FOREVER;
    my->rc = is_part ? add_part(&my->found, my->one, target->port)
                     : add_addresses(&my->found, my->one, 0, target->port);
    if (my->rc < 0)
        return my->rc;
    *out_addresses = my->found;
    if (out_is_all != NULL)
        *out_is_all = !is_part;
    return 0;
}

/* --------------------------------------------------------------------------------- services -- */

/* A service, in the order of use: where its addresses come from, or why they do not. */
typedef struct offer {
    unsigned index;
    int status;
    question *one; /* NULL: they came along with the service. */
} offer;

static bool came_along(const question *services, unsigned index)
{
    for (unsigned i = 0; i < services->address_count; i++) {
        if (services->addresses[i].service_index == index)
            return true;
    }
    return false;
}

/* What a name is that has come from elsewhere, has to be found out first. */
static int claim_target(coil_resolver *resolver, const dns_name *target, question **out_question)
{
    dns_name name;
    int rc = dns_name_read(target->text, target->length, &name, NULL);
    if (rc == 0)
        rc = claim_local(resolver, &name, out_question);
    if (rc == 0)
        return question_claim(resolver, QUESTION_ADDRESSES, &name, out_question);
    return rc < 0 ? rc : 0;
}

/* All targets are asked for at once. NULL: no memory. */
static offer *make_offers(coil_resolver *resolver, const question *services)
{
    uint32_t random[COIL_RESOLVER_SERVICES_MAX];
    unsigned order[COIL_RESOLVER_SERVICES_MAX];
    const unsigned count = services->service_count;
    offer *offers = calloc(count, sizeof(*offers));
    if (offers == NULL)
        return NULL;
    coil_kernel_random(random, count * sizeof(random[0]));
    sort_services(services->services, count, random, order);
    for (unsigned i = 0; i < count; i++) {
        offers[i].index = order[i];
        if (!came_along(services, order[i])) {
            offers[i].status =
                    claim_target(resolver, &services->services[order[i]].target, &offers[i].one);
        }
    }
    return offers;
}

static void drop_offers(offer *offers, const question *services)
{
    for (unsigned i = 0; offers != NULL && i < services->service_count; i++)
        question_drop(offers[i].one);
    free(offers);
}

/* Of the items from `first` on. */
static int set_priorities(coil_addresses *addresses, unsigned first, uint16_t priority)
{
    if (first == addresses->count)
        return 0;
    uint16_t *priorities =
            realloc(addresses->priorities, addresses->count * sizeof(*addresses->priorities));
    if (priorities == NULL)
        return -ENOMEM;
    addresses->priorities = priorities;
    for (unsigned i = first; i < addresses->count; i++)
        priorities[i] = priority;
    return 0;
}

static int add_offer(coil_addresses *addresses, const offer *from, const question *services)
{
    const dns_service *service = &services->services[from->index];
    const unsigned first = addresses->count;
    if (from->status < 0)
        return 0;
    int rc = from->one != NULL ? add_addresses(addresses, from->one, 0, service->port)
                               : add_addresses(addresses, services, from->index, service->port);
    return rc < 0 ? rc : set_priorities(addresses, first, service->priority);
}

/* A service without addresses does not matter as long as another has some. */
static int add_offers(coil_addresses *addresses, const offer *offers, const question *services)
{
    for (unsigned i = 0; i < services->service_count; i++) {
        int rc = add_offer(addresses, &offers[i], services);
        if (rc < 0)
            return rc;
    }
    limit_ttl(addresses, services);
    if (addresses->count > 0)
        return 0;
    return offers[0].status < 0 ? offers[0].status : -ENODATA;
}

coil_async(int, resolve_services, (coil_resolver *) resolver, (const resolver_target *) target,
        (coil_addresses *) out_addresses)
{
    coil_vars(question *services; offer *offers; unsigned i; coil_addresses found; int rc);

    coil_defer(question_drop(my->services));
    coil_attempt(search(resolver, QUESTION_SERVICES, false, target, &my->services));
    if (resolver->is_ended)
        return -ESHUTDOWN;
    coil_defer(drop_offers(my->offers, my->services));
    my->offers = make_offers(resolver, my->services);
    if (my->offers == NULL)
        return -ENOMEM;
    for (my->i = 0; my->i < my->services->service_count; my->i++) {
        if (my->offers[my->i].one == NULL)
            continue;
        coil_await(my->rc, question_wait(my->offers[my->i].one));
        my->offers[my->i].status = my->rc;
        if (my->rc == -ESHUTDOWN)
            return -ESHUTDOWN;
    }
    my->found.ttl = COIL_FOREVER;
    my->rc = add_offers(&my->found, my->offers, my->services);
    if (my->rc < 0) {
        coil_addresses_release(&my->found);
        return my->rc;
    }
    *out_addresses = my->found;
    return 0;
}

/* ---------------------------------------------------------------------------------- targets -- */

coil_async(int, resolve, (coil_resolver *) resolver, (const char *) target,
        (coil_addresses *) out_addresses, (bool *) out_is_all)
{
    coil_vars(coil_resolver *used; resolver_target target; int rc);

    my->rc = resolver_target_read(target, &my->target);
    if (my->rc < 0)
        return my->rc;
    if (out_is_all != NULL)
        *out_is_all = true;
    if (my->target.kind == RESOLVER_TARGET_LITERAL)
        return answer_literal(&my->target.literal, out_addresses);
    coil_defer(resolver_leave(my->used));
    my->used = resolver != NULL ? resolver : coil_resolver_of(coil_loop_of(coil_self));
    if (my->used == NULL)
        return -ENOMEM;
    my->used->use_count++;
    files_review(my->used, false);
    if (my->target.kind == RESOLVER_TARGET_SERVICE) {
        coil_attempt(resolve_services(my->used, &my->target, out_addresses));
    } else {
        coil_attempt(resolve_host(my->used, &my->target, out_addresses, out_is_all));
    }
    return 0;
}

coil_define(int, coil_resolve, (coil_resolver *) resolver, (const char *) target,
        (coil_addresses *) out_addresses)
{
    coil_vars(int rc);

    coil_await(my->rc, resolve(resolver, target, out_addresses, NULL));
    return my->rc;
}

coil_define(int, coil_resolve_early, (coil_resolver *) resolver, (const char *) target,
        (coil_addresses *) out_addresses, (bool *) out_is_all)
{
    coil_vars(int rc);

    coil_await(my->rc, resolve(resolver, target, out_addresses, out_is_all));
    return my->rc;
}
