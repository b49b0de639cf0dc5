/* SPDX-License-Identifier: MIT */
/*
 * coil/channel.h - items of one type go from task to task, with or without a buffer between them.
 *
 *     typedef coil_channel_of(job) job_channel;
 *
 *     job_channel jobs;
 *     coil_channel_init(&jobs, NULL, 0);                  no buffer: sender meets receiver
 *
 *     coil_attempt (coil_channel_send(&jobs, &my->job));  until somebody has received it
 *     coil_attempt (coil_channel_receive(&jobs, &my->job));
 *
 * As Go's chan. What it has beyond coil/queue.h: a capacity of 0, where a send is done when the
 * item has been received and not before. Both can be cases of a select (coil/select.h).
 *
 *     open --------coil_channel_close()--> closed, items --the last receive--> closed and empty
 *     send: 0                              send: -EPIPE                        send: -EPIPE
 *     receive: 0                           receive: 0                          receive: -EPIPE
 *
 * All calls are macros that take a pointer to a coil_channel_of(T) and, for items, a pointer to T;
 * any other type does not compile. Items are copied byte by byte: T is a plain type, and what it
 * points to changes owners with it.
 *
 * Invariants
 *   - Items leave in the order in which they came. On either side, the task that has waited longest
 *     is served first; newcomers cannot overtake, selects and the try calls included.
 *   - Tasks wait to send only while the buffer is full, and to receive only while it is empty and
 *     nobody waits to send. (A select that waits for both on one channel does not count.)
 *   - Every item is somewhere exactly once. A send that reports anything but 0, or is cancelled,
 *     has not sent: the item is still the caller's. A receive likewise has not taken, nor touched
 *     `*out_item`. If the item had changed hands before the cancellation came, the call reports 0
 *     all the same and the cancellation takes effect at the task's next await.
 *   - Those who were served, or told that it is closed, no longer touch the channel: after the
 *     close, its memory may be given back before they run.
 *
 * Not thread safe: a channel and all who use it belong to one scheduler's thread.
 */
#ifndef COIL_CHANNEL_H
#define COIL_CHANNEL_H

#include <coil/coro.h>
#include <coil/list.h>
#include <coil/select.h>

COIL_BEGIN_DECLS

typedef struct coil_channel coil_channel;

/* What channels of all types have in common. */
struct coil_channel {
    size_t count;          /* Items in the buffer. Read only. */
    size_t capacity_count; /* Read only. */
    bool closed;           /* Read only. */

    /* Private. */
    size_t first; /* The slot of the oldest item. */
    size_t item_bytes;
    char *slots;
    coil_list senders;
    coil_list receivers;
};

/* The type of a channel of T. It must not move while a task waits. Give it a name by typedef. */
#define coil_channel_of(T)                                                                \
    struct {                                                                              \
        coil_channel channel;                                                             \
        __typeof__(T) *items; /* The caller's. Also what the calls take the type from. */ \
    }

/*
 * Make `c` an empty, open channel with the caller's array `storage` as its buffer. It has room for
 * `capacity_count` items and must outlive the channel. No buffer: NULL and 0.
 *
 *     void coil_channel_init(coil_channel_of(T) *c, T *storage, size_t capacity_count);
 */
#define coil_channel_init(c, storage, capacity_count) \
    coil_channel_init_untyped(                        \
            &(c)->channel, (c)->items = (storage), sizeof(*(c)->items), (capacity_count))

/*
 * The end of `c`. Nobody may be waiting. Items that are still in it are forgotten: if they own
 * something, take them out with coil_channel_try_receive() first.
 *
 *     void coil_channel_fini(coil_channel_of(T) *c);
 */
#define coil_channel_fini(c) coil_channel_fini_untyped(&(c)->channel)

/*
 * Send a copy of `*item`: wait until it has been received, or there is room for it in the buffer.
 * `*item` must stay until the call is done, so it lies in the vars of the coroutine or on the heap.
 *
 * Result: 0; -EPIPE, the channel is closed or was closed while waiting (as write(2) has it, where
 * Go panics); -ETIME under within() or until().
 *
 *     coroutine int coil_channel_send(coil_channel_of(T) *c, const T *item);
 */
#define coil_channel_send(c, item) \
    coil_channel_send_untyped(&(c)->channel, COIL_ITEM_OF_((c)->items, item))

/*
 * Take the oldest item into `*out_item`; wait for one first. `*out_item` must stay until the call
 * is done.
 *
 * Result: 0; -EPIPE, the channel is closed and empty; -ETIME under within() or until().
 *
 *     coroutine int coil_channel_receive(coil_channel_of(T) *c, T *out_item);
 */
#define coil_channel_receive(c, out_item) \
    coil_channel_receive_untyped(&(c)->channel, COIL_ITEM_OF_((c)->items, out_item))

/*
 * The same without waiting: -EAGAIN where the others would have to wait. Without a buffer they
 * succeed only if somebody waits on the other side. Callable from anywhere on the thread, timers
 * included.
 *
 *     int coil_channel_try_send(coil_channel_of(T) *c, const T *item);
 *     int coil_channel_try_receive(coil_channel_of(T) *c, T *out_item);
 */
#define coil_channel_try_send(c, item) \
    coil_channel_try_send_untyped(&(c)->channel, COIL_ITEM_OF_((c)->items, item))
#define coil_channel_try_receive(c, out_item) \
    coil_channel_try_receive_untyped(&(c)->channel, COIL_ITEM_OF_((c)->items, out_item))

/*
 * The same as cases of a select. Optional last argument: `int *out_rc`, for 0 or -EPIPE.
 *
 *     coil_select_case coil_send_to(coil_channel_of(T) *c, const T *item);
 *     coil_select_case coil_receive_from(coil_channel_of(T) *c, T *out_item);
 */
#define coil_send_to(c, ...) COIL_CAT(COIL_SEND_TO_, COIL_COUNT(__VA_ARGS__))(c, __VA_ARGS__)
#define coil_receive_from(c, ...) \
    COIL_CAT(COIL_RECEIVE_FROM_, COIL_COUNT(__VA_ARGS__))(c, __VA_ARGS__)

/*
 * No more items: every send, those that wait included, reports -EPIPE; whoever waited keeps his
 * item. Items in the buffer can still be received; after the last of them, receive reports -EPIPE.
 * Never waits. Closing a closed channel does nothing.
 *
 *     void coil_channel_close(coil_channel_of(T) *c);
 */
#define coil_channel_close(c) coil_channel_close_untyped(&(c)->channel)

/*
 * How many items are in the buffer, and has the channel been closed?
 *
 *     size_t coil_channel_count(const coil_channel_of(T) *c);
 *     bool coil_channel_is_closed(const coil_channel_of(T) *c);
 */
#define coil_channel_count(c) ((c)->channel.count)
#define coil_channel_is_closed(c) ((c)->channel.closed)

/* ------------------------------------------------------------------------ behind the macros -- */

/* The check of the type in the macros is what makes the `void *` here sound. */
COIL_API void coil_channel_init_untyped(
        coil_channel *channel, void *storage, size_t item_bytes, size_t capacity_count);
COIL_API void coil_channel_fini_untyped(coil_channel *channel);
COIL_API void coil_channel_close_untyped(coil_channel *channel);
COIL_API COIL_MUST_USE int coil_channel_try_send_untyped(coil_channel *channel, const void *item);
COIL_API COIL_MUST_USE int coil_channel_try_receive_untyped(coil_channel *channel, void *out_item);
coil_declare(int, coil_channel_send_untyped, (coil_channel *) channel, (const void *) item);
coil_declare(int, coil_channel_receive_untyped, (coil_channel *) channel, (void *) out_item);

COIL_API extern const coil_select_kind coil_channel_sending;
COIL_API extern const coil_select_kind coil_channel_receiving;

#define COIL_SEND_TO_1(c, item) COIL_SEND_TO_2(c, item, NULL)
#define COIL_SEND_TO_2(c, item, out_rc)                                   \
    coil_select_case_giving(&coil_channel_sending, &(c)->channel.senders, \
            COIL_ITEM_OF_((c)->items, item), (out_rc))
#define COIL_RECEIVE_FROM_1(c, out_item) COIL_RECEIVE_FROM_2(c, out_item, NULL)
#define COIL_RECEIVE_FROM_2(c, out_item, out_rc)                              \
    coil_select_case_taking(&coil_channel_receiving, &(c)->channel.receivers, \
            COIL_ITEM_OF_((c)->items, out_item), (out_rc))

COIL_END_DECLS

#endif
