/* SPDX-License-Identifier: MIT */
#include <coil/channel.h>

#include "exchange.h"

#include <coil/check.h>

#include <errno.h>
#include <string.h>

void coil_channel_init_untyped(
        coil_channel *channel, void *storage, size_t item_bytes, size_t capacity_count)
{
    COIL_CHECK(capacity_count == 0 || storage != NULL);
    *channel = (coil_channel){
            .capacity_count = capacity_count,
            .item_bytes = item_bytes,
            .slots = storage,
    };
    coil_list_init(&channel->senders);
    coil_list_init(&channel->receivers);
}

void coil_channel_fini_untyped(coil_channel *channel)
{
    COIL_CHECK(coil_list_empty(&channel->senders));
    COIL_CHECK(coil_list_empty(&channel->receivers));
}

void coil_channel_close_untyped(coil_channel *channel)
{
    channel->closed = true;
    coil_waiter_grant_all(&channel->senders, -EPIPE);
    coil_waiter_grant_all(&channel->receivers, -EPIPE);
}

/* ------------------------------------------------------------------------- the ring of slots -- */

static void append(coil_channel *channel, const void *item)
{
    size_t slot = channel->first + channel->count;

    if (slot >= channel->capacity_count)
        slot -= channel->capacity_count;
    memcpy(channel->slots + slot * channel->item_bytes, item, channel->item_bytes);
    channel->count++;
}

static void take_first(coil_channel *channel, void *out_item)
{
    memcpy(out_item, channel->slots + channel->first * channel->item_bytes, channel->item_bytes);
    channel->count--;
    channel->first++;
    if (channel->first == channel->capacity_count)
        channel->first = 0;
}

/* -------------------------------------------------------------------------- send and receive -- */

int coil_channel_try_send_untyped(coil_channel *channel, const void *item)
{
    if (channel->closed)
        return -EPIPE;

    coil_waiter *waiter = coil_waiter_first(&channel->receivers);
    if (waiter != NULL) {
        COIL_CHECK(channel->count == 0); /* Else the item would overtake others. */
        memcpy(coil_exchange_of(waiter)->out_item, item, channel->item_bytes);
        coil_waiter_grant(waiter, 0);
        return 0;
    }
    if (channel->count == channel->capacity_count)
        return -EAGAIN;
    append(channel, item);
    return 0;
}

int coil_channel_try_receive_untyped(coil_channel *channel, void *out_item)
{
    coil_waiter *waiter = coil_waiter_first(&channel->senders);

    if (channel->count > 0) {
        take_first(channel, out_item);
        /* The room goes to the one who has waited longest for it, before anybody can take it. */
        if (waiter != NULL)
            append(channel, coil_exchange_of(waiter)->item);
    } else if (waiter != NULL) {
        memcpy(out_item, coil_exchange_of(waiter)->item, channel->item_bytes);
    } else {
        return channel->closed ? -EPIPE : -EAGAIN;
    }
    if (waiter != NULL)
        coil_waiter_grant(waiter, 0);
    return 0;
}

/* ------------------------------------------------------------------------- cases of a select -- */

static bool may_send(const coil_select_case *what)
{
    const coil_channel *channel = coil_container_of(what->waiters, coil_channel, senders);

    return channel->closed || channel->count < channel->capacity_count ||
           !coil_list_empty(&channel->receivers);
}

static int send_now(const coil_select_case *what)
{
    coil_channel *channel = coil_container_of(what->waiters, coil_channel, senders);
    return coil_channel_try_send_untyped(channel, what->item);
}

static bool may_receive(const coil_select_case *what)
{
    const coil_channel *channel = coil_container_of(what->waiters, coil_channel, receivers);

    return channel->closed || channel->count > 0 || !coil_list_empty(&channel->senders);
}

static int receive_now(const coil_select_case *what)
{
    coil_channel *channel = coil_container_of(what->waiters, coil_channel, receivers);
    return coil_channel_try_receive_untyped(channel, what->out_item);
}

const coil_select_kind coil_channel_sending = {may_send, send_now};
const coil_select_kind coil_channel_receiving = {may_receive, receive_now};

/* ------------------------------------------------------------------------------- waiting -- */

static coil_select_case to_send(coil_frame *leaf)
{
    const struct coil_channel_send_untyped__args *arguments =
            coil_arguments(coil_channel_send_untyped, leaf);
    return coil_select_case_giving(
            &coil_channel_sending, &arguments->channel->senders, arguments->item, NULL);
}

static coil_turn send_step(coil_task *task, coil_frame *leaf)
{
    return exchange_step(
            task, leaf, to_send, send_now, &coil_result(coil_channel_send_untyped, leaf));
}

static coil_select_case to_receive(coil_frame *leaf)
{
    const struct coil_channel_receive_untyped__args *arguments =
            coil_arguments(coil_channel_receive_untyped, leaf);
    return coil_select_case_taking(
            &coil_channel_receiving, &arguments->channel->receivers, arguments->out_item, NULL);
}

static coil_turn receive_step(coil_task *task, coil_frame *leaf)
{
    return exchange_step(
            task, leaf, to_receive, receive_now, &coil_result(coil_channel_receive_untyped, leaf));
}

coil_define_leaf(coil_channel_send_untyped, send_step, coil_waiter_cancel);
coil_define_leaf(coil_channel_receive_untyped, receive_step, coil_waiter_cancel);
