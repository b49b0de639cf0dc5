/* SPDX-License-Identifier: MIT */
#include "resolver_private.h"
#include "resolver_sort.h"

#include <coil/coro.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------- the table -- */

/* Names come from strangers: without the seed nobody knows which are in one bucket. */
static question **bucket_of(coil_resolver *resolver, question_kind kind, const dns_name *name)
{
    uint64_t hash = resolver->seed ^ (uint64_t)kind;
    for (unsigned i = 0; i < name->length; i++) {
        hash = (hash ^ (uint8_t)name->text[i]) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    return &resolver->buckets[(hash >> 32) % RESOLVER_BUCKETS];
}

static question *find(coil_resolver *resolver, question_kind kind, const dns_name *name)
{
    question *each = *bucket_of(resolver, kind, name);
    while (each != NULL && (each->kind != kind || !dns_name_equal(&each->name, name)))
        each = each->next;
    return each;
}

/* Out of the table, and out of its list. */
static void take_out(question *one)
{
    question **at = bucket_of(one->resolver, one->kind, &one->name);
    while (*at != one)
        at = &(*at)->next;
    *at = one->next;
    coil_list_remove(&one->link);
    if (one->place == QUESTION_ASKING) {
        one->resolver->stats.question_count--;
    } else {
        one->resolver->stats.cached_count--;
        one->resolver->stats.cached_bytes -= one->size_bytes;
    }
    one->place = QUESTION_LOOSE;
    one->resolver = NULL;
}

static void destroy(question *one)
{
    COIL_CHECK(one->place == QUESTION_LOOSE);
    free(one->addresses);
    free(one->services);
    free(one);
}

static void forget(question *one)
{
    take_out(one);
    if (one->claim_count == 0)
        destroy(one);
}

static question *oldest(const coil_resolver *resolver)
{
    return coil_container_of(resolver->used.next, question, link);
}

static void evict(coil_resolver *resolver)
{
    while (resolver->stats.cached_count > resolver->options.cache_count_max ||
            resolver->stats.cached_bytes > resolver->options.cache_bytes_max) {
        resolver->stats.evicted++;
        forget(oldest(resolver));
    }
}

/* ------------------------------------------------------------------------------ a question -- */

static question *create(question_kind kind, const dns_name *name)
{
    question *one = calloc(1, sizeof(*one));
    if (one == NULL)
        return NULL;
    one->kind = kind;
    one->place = QUESTION_LOOSE;
    one->claim_count = 1;
    one->expires = COIL_NEVER;
    one->size_bytes = sizeof(*one);
    if (name != NULL)
        one->name = *name;
    coil_list_init(&one->link);
    coil_list_init(&one->waiters);
    coil_list_init(&one->early_waiters);
    return one;
}

static int begin(
        coil_resolver *resolver, question_kind kind, const dns_name *name, question **out_question)
{
    if (resolver->stats.question_count >= COIL_RESOLVER_QUESTIONS_MAX)
        return -ENOBUFS;
    question *one = create(kind, name);
    if (one == NULL)
        return -ENOMEM;
    one->resolver = resolver;
    one->place = QUESTION_ASKING;
    question **bucket = bucket_of(resolver, kind, name);
    one->next = *bucket;
    *bucket = one;
    coil_list_append(&resolver->asked, &one->link);
    resolver->stats.question_count++;
    resolver->stats.questions++;
    int rc = asking_start(one);
    if (rc < 0) {
        one->claim_count = 0;
        forget(one);
        return rc;
    }
    *out_question = one;
    return 0;
}

int question_claim(
        coil_resolver *resolver, question_kind kind, const dns_name *name, question **out_question)
{
    question *one = find(resolver, kind, name);
    resolver->stats.lookups++;
    if (one != NULL && one->place == QUESTION_CACHED &&
            one->expires <= coil_loop_now(resolver->loop)) {
        forget(one);
        one = NULL;
    }
    if (one == NULL)
        return begin(resolver, kind, name, out_question);
    one->claim_count++;
    if (one->place == QUESTION_CACHED) {
        resolver->stats.cache_hits++;
        coil_list_remove(&one->link);
        coil_list_append(&resolver->used, &one->link);
    } else {
        resolver->stats.joins++;
    }
    *out_question = one;
    return 0;
}

void question_drop(question *one)
{
    if (one == NULL || --one->claim_count > 0 || one->place == QUESTION_CACHED)
        return;
    if (one->place == QUESTION_ASKING) {
        one->resolver->stats.abandoned++;
        asking_stop(one->asking);
        take_out(one);
    }
    destroy(one);
}

/* ------------------------------------------------------------------------------ the answer -- */

static int set_addresses(question *one, const dns_address *addresses, unsigned count)
{
    if (count == 0)
        return 0;
    one->addresses = malloc(count * sizeof(*addresses));
    if (one->addresses == NULL)
        return -ENOMEM;
    memcpy(one->addresses, addresses, count * sizeof(*addresses));
    one->address_count = count;
    one->size_bytes += count * sizeof(*addresses);
    sort_addresses(one->addresses, count);
    return 0;
}

static int set_services(question *one, const dns_service *services, unsigned count)
{
    if (count == 0)
        return 0;
    one->services = malloc(count * sizeof(*services));
    if (one->services == NULL)
        return -ENOMEM;
    memcpy(one->services, services, count * sizeof(*services));
    one->service_count = count;
    one->size_bytes += count * sizeof(*services);
    return 0;
}

question *question_create_answered(const dns_address *addresses, unsigned count)
{
    question *one = create(QUESTION_ADDRESSES, NULL);
    if (one == NULL || set_addresses(one, addresses, count) == 0)
        return one;
    destroy(one);
    return NULL;
}

/* A list that cannot be copied has no answer, rather than a part of one. */
static int set_answer(question *one, const dns_records *records)
{
    COIL_CHECK(records != NULL);
    int rc = set_services(one, records->services, records->service_count);
    if (rc == 0)
        rc = set_addresses(one, records->addresses, records->address_count);
    return rc;
}

static void keep(coil_resolver *resolver, question *one, coil_duration ttl)
{
    one->expires = coil_time_after(coil_loop_now(resolver->loop), ttl);
    one->place = QUESTION_CACHED;
    coil_list_remove(&one->link);
    coil_list_append(&resolver->used, &one->link);
    resolver->stats.question_count--;
    resolver->stats.cached_count++;
    resolver->stats.cached_bytes += one->size_bytes;
    evict(resolver);
}

static coil_duration limited(const coil_resolver *resolver, int status, coil_duration ttl)
{
    const coil_resolver_options *options = &resolver->options;
    coil_duration most = status == 0 ? options->ttl_max : options->negative_ttl_max;
    if (ttl <= 0)
        return 0;
    if (ttl < options->ttl_min)
        ttl = options->ttl_min;
    return ttl < most ? ttl : most;
}

void question_finish(question *one, int status, const dns_records *records, coil_duration ttl)
{
    coil_resolver *resolver = one->resolver;
    COIL_CHECK(resolver != NULL);
    one->status = status;
    if (status == 0)
        one->status = set_answer(one, records);
    asking_stop(one->asking); /* To whom the records may belong. */
    one->asking = NULL;
    one->early = NULL;
    ttl = limited(resolver, status, one->status == status ? ttl : 0);
    one->expires = coil_loop_now(resolver->loop);
    one->claim_count++; /* Until we have done with it. */
    if (ttl > 0) {
        keep(resolver, one, ttl);
    } else {
        take_out(one);
    }
    coil_waiter_grant_all(&one->waiters, one->status);
    coil_waiter_grant_all(&one->early_waiters, 0);
    question_drop(one);
}

void question_progress(question *one, const dns_records *records)
{
    if (one->early != NULL || records->address_count == 0)
        return;
    one->early = records;
    one->early_since = coil_loop_now(one->resolver->loop);
    one->is_early_v6 = records->addresses[0].is_v6;
    coil_waiter_grant_all(&one->early_waiters, 0);
}

/* ----------------------------------------------------------------------------------- waiting -- */

static coil_turn wait_step(coil_task *task, coil_frame *leaf)
{
    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task))
        return coil_leave(task, leaf);
    question *one = coil_arguments(question_wait, leaf)->one;
    if (one->place != QUESTION_ASKING) {
        coil_result(question_wait, leaf) = one->status;
        return coil_leave(task, leaf);
    }
    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, &one->waiters, task, leaf);
}

coil_define_leaf(question_wait, wait_step, coil_waiter_cancel);

/* RFC 8305, section 3: what has come about IPv4 waits a little for what is said about IPv6. */
coil_define(int, question_wait_early, (question *) one)
{
    coil_vars(coil_time until);

    while (one->place == QUESTION_ASKING) {
        if (one->early == NULL) {
            coil_attempt(coil_waiter_wait(&one->early_waiters));
            continue;
        }
        my->until = coil_time_after(one->early_since, coil_ms(COIL_RESOLVER_DELAY_MS));
        if (one->is_early_v6 || coil_now() >= my->until)
            return 1;
        coil_ignore(coil_until(my->until, coil_waiter_wait(&one->early_waiters)));
    }
    return one->status;
}

/* ------------------------------------------------------------------------------ all of them -- */

void cache_init(coil_resolver *resolver)
{
    coil_list_init(&resolver->asked);
    coil_list_init(&resolver->used);
}

void cache_flush(coil_resolver *resolver)
{
    while (!coil_list_empty(&resolver->used))
        forget(oldest(resolver));
}

void cache_abandon(coil_resolver *resolver, int error)
{
    while (!coil_list_empty(&resolver->asked)) {
        question *one = coil_container_of(resolver->asked.next, question, link);
        question_finish(one, error, NULL, 0);
    }
}
