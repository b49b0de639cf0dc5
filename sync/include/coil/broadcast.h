/* SPDX-License-Identifier: MIT */
/*
 * coil/broadcast.h - every subscriber gets every item.
 *
 *     typedef coil_broadcast_of(price) price_feed;
 *
 *     price slots[64];                                    the caller's memory, for 64 items
 *     price_feed prices;
 *     coil_broadcast_init(&prices, slots, 64, COIL_BROADCAST_LAG);
 *
 *     coil_attempt (coil_broadcast_send(&prices, &my->latest));
 *
 *     vars (coil_subscriber me; price latest; int missed);
 *     coil_broadcast_subscribe(&prices, &my->me);
 *     coil_defer (coil_broadcast_unsubscribe(&my->me));
 *     coil_attempt (my->missed, coil_broadcast_receive(&prices, &my->me, &my->latest));
 *
 * As tokio::sync::broadcast. One ring of items, and in it a position for each subscriber, which
 * starts with the first item that is sent after it has subscribed:
 *
 *     [ 17 18 19 20 ]  next is 21        subscriber at 21: has had everything, waits for 21
 *                                        subscriber at 18: three to go
 *                                        subscriber at 12: has missed 12 to 16 (COIL_BROADCAST_LAG)
 *
 * What happens when the slowest subscriber has a whole ring before it:
 *     COIL_BROADCAST_LAG     the oldest item is overwritten. Sending never waits. Whoever has not
 *                            had it is told how many items he has missed, with the next one.
 *     COIL_BROADCAST_WAIT    senders wait for the slowest subscriber. Nobody misses anything; one
 *                            who does not receive, and does not unsubscribe, stops all.
 *
 *     open ---coil_broadcast_close()--> closed, unread items --the last of them--> closed, all read
 *     send: >= 0                        send: -EPIPE                               send: -EPIPE
 *     receive: >= 0                     receive: >= 0                              receive: -EPIPE
 *
 * Invariants
 *   - All subscribers get the items in the order in which they were sent.
 *   - Senders wait in line; newcomers cannot overtake. So do several tasks that receive for one
 *     subscriber: each item goes to one of them.
 *   - A send that reports a negative result, or is cancelled, has not sent; a receive likewise has
 *     not received, nor moved the position, nor touched `*out_item`. If it had happened before the
 *     cancellation came, it is reported and the cancellation takes effect at the next await.
 *   - Items are copied byte by byte, once for each subscriber: T is a plain type that owns nothing.
 *
 * Not thread safe: a broadcast and all who use it belong to one scheduler's thread.
 */
#ifndef COIL_BROADCAST_H
#define COIL_BROADCAST_H

#include <coil/coro.h>
#include <coil/list.h>
#include <coil/select.h>

COIL_BEGIN_DECLS

typedef struct coil_broadcast coil_broadcast;
typedef struct coil_subscriber coil_subscriber;

typedef enum coil_broadcast_policy {
    COIL_BROADCAST_LAG,
    COIL_BROADCAST_WAIT,
} coil_broadcast_policy;

/* What broadcasts of all types have in common. */
struct coil_broadcast {
    coil_broadcast_policy policy;
    size_t capacity_count;
    size_t subscriber_count; /* Read only, as is everything above. */
    bool closed;             /* Read only. */

    /* Private. */
    uint64_t next;          /* The number of the item that is sent next. */
    uint64_t oldest;        /* COIL_BROADCAST_WAIT: the position of the slowest subscriber, */
    size_t at_oldest_count; /* and how many are there. */
    size_t item_bytes;
    char *slots;
    coil_list subscribers;
    coil_list senders;
};

/* The caller's memory, usually in vars. It must not move while it is subscribed. */
struct coil_subscriber {
    coil_broadcast *broadcast; /* NULL: unsubscribed. Read only. */

    /* Private. */
    uint64_t position; /* The number of the item that it gets next. */
    coil_list link;    /* In broadcast->subscribers. */
    coil_list waiters;
};

/* The type of a broadcast of T. It must not move. Give it a name by typedef. */
#define coil_broadcast_of(T)                                                              \
    struct {                                                                              \
        coil_broadcast broadcast;                                                         \
        __typeof__(T) *items; /* The caller's. Also what the calls take the type from. */ \
    }

/*
 * Make `b` open and without subscribers, on the caller's array `storage`. It keeps the last
 * `capacity_count` items, at least one, and must outlive the broadcast.
 *
 *     void coil_broadcast_init(coil_broadcast_of(T) *b, T *storage, size_t capacity_count,
 *                              coil_broadcast_policy policy);
 */
#define coil_broadcast_init(b, storage, capacity_count, policy)                               \
    coil_broadcast_init_untyped(&(b)->broadcast, (b)->items = (storage), sizeof(*(b)->items), \
            (capacity_count), (policy))

/*
 * The end of `b`. Nobody may be subscribed, and nobody may be waiting to send.
 *
 *     void coil_broadcast_fini(coil_broadcast_of(T) *b);
 */
#define coil_broadcast_fini(b) coil_broadcast_fini_untyped(&(b)->broadcast)

/*
 * `who` gets everything that is sent from now on. If `b` is closed that is nothing.
 *
 *     void coil_broadcast_subscribe(coil_broadcast_of(T) *b, coil_subscriber *who);
 */
#define coil_broadcast_subscribe(b, who) coil_broadcast_subscribe_untyped(&(b)->broadcast, (who))

/*
 * `who` gets nothing any more; nobody may be waiting to receive for it. Senders no longer wait for
 * it. Never waits. Does nothing if it is unsubscribed.
 */
COIL_API void coil_broadcast_unsubscribe(coil_subscriber *who);

/*
 * Send a copy of `*item` to all subscribers; with COIL_BROADCAST_WAIT, wait for room in the ring
 * first. `*item` must stay until the call is done.
 *
 * Result: how many subscribers will get it, 0 included; -EPIPE, it is closed or was closed while
 * waiting; -ETIME under within() or until().
 *
 *     coroutine int coil_broadcast_send(coil_broadcast_of(T) *b, const T *item);
 */
#define coil_broadcast_send(b, item) \
    coil_broadcast_send_untyped(&(b)->broadcast, COIL_ITEM_OF_((b)->items, item))

/*
 * The same without waiting: -EAGAIN where the other would have to wait.
 *
 *     int coil_broadcast_try_send(coil_broadcast_of(T) *b, const T *item);
 */
#define coil_broadcast_try_send(b, item) \
    coil_broadcast_try_send_untyped(&(b)->broadcast, COIL_ITEM_OF_((b)->items, item))

/*
 * Take the next item for `who`, who is subscribed to `b`; wait for one first. `*out_item` must stay
 * until the call is done.
 *
 * Result: 0 or more: `*out_item` has been set, and that many items before it have been missed;
 * -EPIPE, it is closed and `who` has had everything; -ETIME under within() or until().
 *
 *     coroutine int coil_broadcast_receive(coil_broadcast_of(T) *b, coil_subscriber *who,
 *                                          T *out_item);
 */
#define coil_broadcast_receive(b, who, out_item) \
    coil_broadcast_receive_untyped(              \
            coil_subscriber_to((who), &(b)->broadcast), COIL_ITEM_OF_((b)->items, out_item))

/*
 * The same without waiting: -EAGAIN if there is no item.
 *
 *     int coil_broadcast_try_receive(coil_broadcast_of(T) *b, coil_subscriber *who, T *out_item);
 */
#define coil_broadcast_try_receive(b, who, out_item) \
    coil_broadcast_try_receive_untyped(              \
            coil_subscriber_to((who), &(b)->broadcast), COIL_ITEM_OF_((b)->items, out_item))

/*
 * Receive as a case of a select. Optional last argument: `int *out_rc`, for what the receive
 * reports: missed items, or -EPIPE.
 *
 *     coil_select_case coil_hear_from(coil_broadcast_of(T) *b, coil_subscriber *who, T *out_item);
 */
#define coil_hear_from(b, who, ...) \
    COIL_CAT(COIL_HEAR_FROM_, COIL_COUNT(__VA_ARGS__))(b, who, __VA_ARGS__)

/*
 * No more items: every send, those that wait included, reports -EPIPE. Each subscriber can still
 * receive what it has not had; after that, receive reports -EPIPE. Never waits. Closing a closed
 * broadcast does nothing.
 *
 *     void coil_broadcast_close(coil_broadcast_of(T) *b);
 */
#define coil_broadcast_close(b) coil_broadcast_close_untyped(&(b)->broadcast)

/* ------------------------------------------------------------------------ behind the macros -- */

/* The check of the type in the macros is what makes the `void *` here sound. */
COIL_API void coil_broadcast_init_untyped(coil_broadcast *broadcast, void *storage,
        size_t item_bytes, size_t capacity_count, coil_broadcast_policy policy);
COIL_API void coil_broadcast_fini_untyped(coil_broadcast *broadcast);
COIL_API void coil_broadcast_close_untyped(coil_broadcast *broadcast);
COIL_API void coil_broadcast_subscribe_untyped(coil_broadcast *broadcast, coil_subscriber *who);
COIL_API COIL_MUST_USE int coil_broadcast_try_send_untyped(
        coil_broadcast *broadcast, const void *item);
COIL_API COIL_MUST_USE int coil_broadcast_try_receive_untyped(coil_subscriber *who, void *out_item);
coil_declare(int, coil_broadcast_send_untyped, (coil_broadcast *) broadcast, (const void *) item);
coil_declare(int, coil_broadcast_receive_untyped, (coil_subscriber *) who, (void *) out_item);

COIL_API extern const coil_select_kind coil_broadcast_receiving;

/* `who`, whose items are of the type of this broadcast. */
static inline coil_subscriber *coil_subscriber_to(
        coil_subscriber *who, const coil_broadcast *broadcast)
{
    COIL_CHECK(who->broadcast == broadcast);
    return who;
}

#define COIL_HEAR_FROM_1(b, who, out_item) COIL_HEAR_FROM_2(b, who, out_item, NULL)
#define COIL_HEAR_FROM_2(b, who, out_item, out_rc)                \
    coil_select_case_taking(&coil_broadcast_receiving,            \
            &coil_subscriber_to((who), &(b)->broadcast)->waiters, \
            COIL_ITEM_OF_((b)->items, out_item), (out_rc))

COIL_END_DECLS

#endif
