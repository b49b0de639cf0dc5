/* SPDX-License-Identifier: MIT */
/*
 * coil/receiver.h - everything that arrives on one descriptor, as a sequence of slices.
 *
 *     coil_receiver_create(loop, fd, COIL_TRANSPORT_SOCKET, &receiver)
 *     coil_await(my->in, coil_receiver_next(receiver))        ... until it is empty or an error
 *     coil_receiver_close(receiver)                           closes the descriptor as well
 *
 * Bytes are delivered in order, each exactly once. Cancelling a wait loses none.
 *
 * How they get here is chosen anew for each descriptor as its traffic changes:
 *
 *   - as a rule, one multishot operation with buffers from the loop's pool runs all the time. Bytes
 *     that arrive while nobody waits are queued, and when more than COIL_RECEIVER_LIMIT_BYTES are,
 *     it pauses until they have been taken, so that the peer is held back by its own full buffers;
 *   - when more arrives at a time than the pool, which fits into the cache, can hold, the socket is
 *     polled, and read when its reader runs, always into the same memory;
 *   - when nothing has arrived for some seconds, and there are many such descriptors, it is polled
 *     once: the kernel then needs a third of the memory for it, and we no more than the receiver;
 *   - where the kernel can do neither, single receives with memory of their own take their place.
 *
 * For streams, and for reads whose records tell their own length. Datagrams would be joined, and
 * cut at the end of a buffer.
 *
 * One task at a time may wait. On the loop's thread only.
 */
#ifndef COIL_RECEIVER_H
#define COIL_RECEIVER_H

#include <coil/buffer.h>
#include <coil/coro.h>
#include <coil/loop.h>
#include <coil/sender.h>

COIL_BEGIN_DECLS

typedef struct coil_receiver coil_receiver;

/*
 * What every receiver begins with, so that its owner can use it: a sender on the same descriptor,
 * and how many bytes have been taken. Whoever takes them from the front, or puts them back, counts.
 */
typedef struct coil_receiver_head {
    coil_sender sender;
    uint64_t taken_bytes;
} coil_receiver_head;

static inline coil_receiver_head *coil_receiver_head_of(coil_receiver *receiver)
{
    return (coil_receiver_head *)(void *)receiver;
}

static inline coil_sender *coil_receiver_sender(coil_receiver *receiver)
{
    return &coil_receiver_head_of(receiver)->sender;
}

enum { COIL_RECEIVER_LIMIT_BYTES = 128 * 1024 };

/* Owns `fd` from here on, also if it fails. -ENOMEM. */
COIL_API int coil_receiver_create(
        coil_loop *loop, int fd, coil_transport transport, coil_receiver **out_receiver);

/*
 * The step and begin functions of coil_receiver_next(), for it and for leaves (coil/task.h) by
 * other names with the same argument and the same result, declared by coil_declare_eager_leaf().
 * Their cancel function is coil_leaf_wake().
 */
COIL_API coil_turn coil_receiver_step(coil_task *task, coil_frame *leaf);
COIL_API coil_turn coil_receiver_begin(coil_task *task, coil_frame *leaf);

/*
 * The next bytes, as many as have arrived. Empty at the end of the stream, from then on always; a
 * negative size_bytes is an error of recv(2) or read(2), which stays as well; or, in the place of
 * the end, what the sender was told of a lost connection: coil_sender_failed().
 */
coil_declare_eager_leaf(
        coil_slice, coil_receiver_next, coil_receiver_begin, (coil_receiver *) receiver);

/*
 * Have nothing under way: what has arrived is there to be looked at, and what comes stays with the
 * kernel until somebody waits again. For those who then read the descriptor by other means, such as
 * splice(2). Result: 0.
 */
coil_declare(int, coil_receiver_pause, (coil_receiver *) receiver);

/*
 * From here on, take what descriptors come with the bytes of a unix socket (unix(7), SCM_RIGHTS);
 * before the first wait, else -EBUSY. -EOPNOTSUPP, -ENOMEM. At most COIL_RECEIVER_FDS_MAX wait to
 * be taken: more, and the stream ends with -ETOOMANYREFS; it ends with -EMFILE if the process has
 * no room for those that come. What nobody has taken is closed with the receiver.
 */
enum { COIL_RECEIVER_FDS_MAX = 512 };
COIL_API int coil_receiver_carry_fds(coil_receiver *receiver);

/* The first descriptor that has come, close-on-exec, the caller's now. -EAGAIN: there is none. */
COIL_API int coil_receiver_take_fd(coil_receiver *receiver);

/* Bytes that have arrived and have not been taken. */
COIL_API int64_t coil_receiver_queued(const coil_receiver *receiver);

/* Those of them that lie in one piece, and come next. */
COIL_API int64_t coil_receiver_in_front(const coil_receiver *receiver);

/*
 * Drop what has not been taken, end the operation and close the descriptor, in this order. Does not
 * wait: the loop finishes the work. Slices that were taken stay valid. Nobody may be waiting. Takes
 * NULL.
 */
COIL_API void coil_receiver_close(coil_receiver *receiver);

/* The descriptor, which is still the receiver's, and how it is read. */
COIL_API int coil_receiver_fd(const coil_receiver *receiver);
COIL_API coil_transport coil_receiver_transport(const coil_receiver *receiver);

/* --------------------------------------------------------------- for leaves (coil/task.h) -- */
/*
 * What coil_receiver_next() is made of, for leaves that take bytes by other rules:
 *
 *     rc = coil_receiver_look(receiver, task);
 *     if (rc == -EAGAIN) {
 *         coil_receiver_wait(receiver, task);
 *         return coil_leaf_suspend(leaf);         ... and look again when the task has been woken
 *     }
 *     front = coil_receiver_front(receiver);      take from it what is wanted
 */

/*
 * What is there, for `task`, which does not wait any more: 1 if there are bytes in front, 0 at the
 * end of the stream, -EAGAIN if nothing has come yet, or the error that ended it.
 */
COIL_API int coil_receiver_look(coil_receiver *receiver, coil_task *task);

/*
 * The bytes that come next, in one piece: never empty after coil_receiver_look() has returned 1.
 * It is the caller's to change: to cut with coil_slice_split(), to replace by an empty slice when
 * all of it is taken, or to put bytes back that were cut. What it then says comes next.
 */
COIL_API coil_slice *coil_receiver_front(coil_receiver *receiver);

/* Make the front larger by bytes behind it: 1 if there were some, else as coil_receiver_look(). */
COIL_API int coil_receiver_extend(coil_receiver *receiver, coil_task *task);

/* Wake `task` when there is something new to see; or when it is cancelled, as its leaf asks for. */
COIL_API void coil_receiver_wait(coil_receiver *receiver, coil_task *task);

/*
 * For those who look without ever waiting: what has come may still be with the kernel, because
 * nothing is under way that brings it; then the next look asks for it. (Else it is there by itself,
 * in the next turn of the loop at the latest.)
 */
COIL_API void coil_receiver_refresh(coil_receiver *receiver);

/*
 * The stream ends here with `error`, before whatever else would come: bytes are lost, or nobody
 * shall have them. What is in front stays there; who waits is woken.
 */
COIL_API void coil_receiver_fail(coil_receiver *receiver, int error);

COIL_END_DECLS

#endif
