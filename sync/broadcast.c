/* SPDX-License-Identifier: MIT */
#include <coil/broadcast.h>

#include "exchange.h"

#include <coil/check.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

static coil_subscriber *subscriber_of(coil_list *link)
{
    return coil_container_of(link, coil_subscriber, link);
}

void coil_broadcast_init_untyped(coil_broadcast *broadcast, void *storage, size_t item_bytes,
        size_t capacity_count, coil_broadcast_policy policy)
{
    COIL_CHECK(storage != NULL);
    COIL_CHECK(capacity_count > 0);
    *broadcast = (coil_broadcast){
            .policy = policy,
            .capacity_count = capacity_count,
            .item_bytes = item_bytes,
            .slots = storage,
    };
    coil_list_init(&broadcast->subscribers);
    coil_list_init(&broadcast->senders);
}

void coil_broadcast_fini_untyped(coil_broadcast *broadcast)
{
    COIL_CHECK(coil_list_empty(&broadcast->subscribers));
    COIL_CHECK(coil_list_empty(&broadcast->senders));
}

/* ----------------------------------------------------------------------------- the ring -- */

static char *slot_of(const coil_broadcast *broadcast, uint64_t number)
{
    return broadcast->slots + number % broadcast->capacity_count * broadcast->item_bytes;
}

static void find_oldest(coil_broadcast *broadcast)
{
    coil_list *link = broadcast->subscribers.next;

    broadcast->oldest = broadcast->next;
    broadcast->at_oldest_count = 0;
    for (; link != &broadcast->subscribers; link = link->next) {
        uint64_t position = subscriber_of(link)->position;
        if (position < broadcast->oldest) {
            broadcast->oldest = position;
            broadcast->at_oldest_count = 0;
        }
        broadcast->at_oldest_count += position == broadcast->oldest;
    }
}

/* A subscriber is no longer at `position`. Only the last one to leave the oldest has to search. */
static void left_behind(coil_broadcast *broadcast, uint64_t position)
{
    if (broadcast->policy != COIL_BROADCAST_WAIT || position != broadcast->oldest)
        return;
    broadcast->at_oldest_count--;
    if (broadcast->at_oldest_count == 0)
        find_oldest(broadcast);
}

static bool has_room(const coil_broadcast *broadcast)
{
    return broadcast->policy == COIL_BROADCAST_LAG ||
           broadcast->next - broadcast->oldest < broadcast->capacity_count;
}

/* Into the ring, which has room, and to all who wait. Returns how many will get it. */
static int publish(coil_broadcast *broadcast, const void *item)
{
    coil_list *link = broadcast->subscribers.next;
    uint64_t number = broadcast->next++;

    memcpy(slot_of(broadcast, number), item, broadcast->item_bytes);
    if (broadcast->subscriber_count == 0)
        broadcast->oldest = broadcast->next;
    for (; link != &broadcast->subscribers; link = link->next) {
        coil_subscriber *who = subscriber_of(link);
        coil_waiter *waiter = coil_waiter_first(&who->waiters);
        if (waiter == NULL)
            continue;
        COIL_CHECK(who->position == number); /* Else it would not be waiting. */
        memcpy(coil_exchange_of(waiter)->out_item, item, broadcast->item_bytes);
        who->position++;
        left_behind(broadcast, number);
        coil_waiter_grant(waiter, 0);
    }
    return broadcast->subscriber_count > INT_MAX ? INT_MAX : (int)broadcast->subscriber_count;
}

/* There may be room now: it goes to those who have waited longest. */
static void admit_senders(coil_broadcast *broadcast)
{
    coil_waiter *waiter;

    while ((waiter = coil_waiter_first(&broadcast->senders)) != NULL && has_room(broadcast))
        coil_waiter_grant(waiter, publish(broadcast, coil_exchange_of(waiter)->item));
}

/* --------------------------------------------------------------------------- subscribers -- */

void coil_broadcast_subscribe_untyped(coil_broadcast *broadcast, coil_subscriber *who)
{
    who->broadcast = broadcast;
    who->position = broadcast->next;
    coil_list_init(&who->waiters);
    coil_list_init(&who->link);
    coil_list_append(&broadcast->subscribers, &who->link);
    broadcast->subscriber_count++;
    if (broadcast->oldest == broadcast->next)
        broadcast->at_oldest_count++;
}

void coil_broadcast_unsubscribe(coil_subscriber *who)
{
    coil_broadcast *broadcast = who->broadcast;

    if (broadcast == NULL)
        return;
    COIL_CHECK(coil_list_empty(&who->waiters));
    who->broadcast = NULL;
    coil_list_remove(&who->link);
    broadcast->subscriber_count--;
    left_behind(broadcast, who->position);
    admit_senders(broadcast);
}

void coil_broadcast_close_untyped(coil_broadcast *broadcast)
{
    coil_list *link = broadcast->subscribers.next;

    broadcast->closed = true;
    coil_waiter_grant_all(&broadcast->senders, -EPIPE);
    for (; link != &broadcast->subscribers; link = link->next)
        coil_waiter_grant_all(&subscriber_of(link)->waiters, -EPIPE);
}

/* -------------------------------------------------------------------------- send and receive -- */

int coil_broadcast_try_send_untyped(coil_broadcast *broadcast, const void *item)
{
    if (broadcast->closed)
        return -EPIPE;
    /* While somebody waits to send there is no room: whoever makes it fills it. */
    return has_room(broadcast) ? publish(broadcast, item) : -EAGAIN;
}

/* Go on to the oldest item that still exists. Returns how many are missed by that. */
static int skip_overwritten(coil_subscriber *who)
{
    const coil_broadcast *broadcast = who->broadcast;
    uint64_t unread_count = broadcast->next - who->position;

    if (unread_count <= broadcast->capacity_count)
        return 0;
    uint64_t missed_count = unread_count - broadcast->capacity_count;
    who->position += missed_count;
    return missed_count > INT_MAX ? INT_MAX : (int)missed_count;
}

int coil_broadcast_try_receive_untyped(coil_subscriber *who, void *out_item)
{
    coil_broadcast *broadcast = who->broadcast;

    if (who->position == broadcast->next)
        return broadcast->closed ? -EPIPE : -EAGAIN;
    int missed_count = skip_overwritten(who);
    memcpy(out_item, slot_of(broadcast, who->position), broadcast->item_bytes);
    who->position++;
    left_behind(broadcast, who->position - 1);
    admit_senders(broadcast);
    return missed_count;
}

/* -------------------------------------------------------------------------- case of a select -- */

static bool may_receive(const coil_select_case *what)
{
    const coil_subscriber *who = coil_container_of(what->waiters, coil_subscriber, waiters);
    return who->position != who->broadcast->next || who->broadcast->closed;
}

static int receive_now(const coil_select_case *what)
{
    coil_subscriber *who = coil_container_of(what->waiters, coil_subscriber, waiters);
    return coil_broadcast_try_receive_untyped(who, what->out_item);
}

const coil_select_kind coil_broadcast_receiving = {may_receive, receive_now};

/* ------------------------------------------------------------------------------- waiting -- */

/* (No case of a select, so it has no kind.) */
static int send_now(const coil_select_case *what)
{
    coil_broadcast *broadcast = coil_container_of(what->waiters, coil_broadcast, senders);
    return coil_broadcast_try_send_untyped(broadcast, what->item);
}

static coil_select_case to_send(coil_frame *leaf)
{
    const struct coil_broadcast_send_untyped__args *arguments =
            coil_arguments(coil_broadcast_send_untyped, leaf);
    return coil_select_case_giving(NULL, &arguments->broadcast->senders, arguments->item, NULL);
}

static coil_turn send_step(coil_task *task, coil_frame *leaf)
{
    return exchange_step(
            task, leaf, to_send, send_now, &coil_result(coil_broadcast_send_untyped, leaf));
}

static coil_select_case to_receive(coil_frame *leaf)
{
    const struct coil_broadcast_receive_untyped__args *arguments =
            coil_arguments(coil_broadcast_receive_untyped, leaf);
    return coil_select_case_taking(
            &coil_broadcast_receiving, &arguments->who->waiters, arguments->out_item, NULL);
}

static coil_turn receive_step(coil_task *task, coil_frame *leaf)
{
    return exchange_step(task, leaf, to_receive, receive_now,
            &coil_result(coil_broadcast_receive_untyped, leaf));
}

coil_define_leaf(coil_broadcast_send_untyped, send_step, coil_waiter_cancel);
coil_define_leaf(coil_broadcast_receive_untyped, receive_step, coil_waiter_cancel);
