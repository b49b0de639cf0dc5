/* SPDX-License-Identifier: MIT */
/*
 * coil/receiver.h - everything that arrives on one descriptor, as a sequence of slices.
 *
 *     coil_receiver_create(loop, fd, COIL_RECEIVE_SOCKET, &receiver)
 *     coil_await(my->in, coil_receiver_next(receiver))        ... until it is empty or an error
 *     coil_receiver_close(receiver)                           closes the descriptor as well
 *
 * One multishot operation with buffers from the loop's pool runs for as long as somebody reads:
 * bytes that arrive while nobody waits are queued, and when more than COIL_RECEIVER_LIMIT_BYTES
 * are, it pauses until they have been taken, so that the peer is held back by its own full buffers.
 *
 * Bytes are delivered in order, each exactly once. Cancelling a wait loses none. Where the kernel
 * cannot do multishot on this descriptor, or the pool is empty, single receives take its place.
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

COIL_BEGIN_DECLS

typedef struct coil_receiver coil_receiver;

typedef enum coil_receive {
    COIL_RECEIVE_SOCKET, /* recv(2) */
    COIL_RECEIVE_READ,   /* read(2): pipes, terminals, signalfd, anything else. */
} coil_receive;

enum { COIL_RECEIVER_LIMIT_BYTES = 128 * 1024 };

/* Owns `fd` from here on, also if it fails. -ENOMEM. */
COIL_API int coil_receiver_create(
        coil_loop *loop, int fd, coil_receive how, coil_receiver **out_receiver);

/*
 * The next bytes, as many as have arrived. Empty at the end of the stream, from then on always; a
 * negative size_bytes is an error of recv(2) or read(2), which stays as well.
 */
coil_declare(coil_slice, coil_receiver_next, (coil_receiver *) receiver);

/* Bytes that have arrived and have not been taken. */
COIL_API int64_t coil_receiver_queued(const coil_receiver *receiver);

/*
 * Drop what has not been taken, end the operation and close the descriptor, in this order. Does not
 * wait: the loop finishes the work. Slices that were taken stay valid. Nobody may be waiting. Takes
 * NULL.
 */
COIL_API void coil_receiver_close(coil_receiver *receiver);

COIL_END_DECLS

#endif
