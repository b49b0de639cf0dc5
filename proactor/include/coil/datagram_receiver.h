/* SPDX-License-Identifier: MIT */
/*
 * coil/datagram_receiver.h - everything that arrives on one descriptor, message by message, each
 * with its sender and what the kernel says of it.
 *
 *     coil_datagram_receiver_create(loop, fd, &shape, &receiver)
 *         rc = coil_datagram_receiver_look(receiver, task);          ... of a leaf (coil/task.h)
 *         arrival = coil_datagram_receiver_take(receiver);           ... if that is 1
 *     coil_datagram_receiver_close(receiver)                         closes the descriptor as well
 *
 * Programs use coil/datagram.h, which stands on this.
 *
 * One multishot recvmsg runs from the first wait on, and fills buffers that belong to this receiver
 * alone, one for each message, so that nothing is joined or cut, and no copy is made:
 *
 *     [ io_uring_recvmsg_out | name | control | payload ]
 *
 * What is taken is a slice of that. What has arrived and has not been taken has no memory but these
 * buffers. When all of them are queued or held, the kernel's own queue of the socket fills, and
 * then the kernel drops: nothing else does. Whoever waits for more while holding all of them still
 * gets it, one message at a time, in memory of its own: that has no bound but what is held.
 *
 * One task at a time may wait. On the loop's thread only.
 */
#ifndef COIL_DATAGRAM_RECEIVER_H
#define COIL_DATAGRAM_RECEIVER_H

#include <coil/buffer.h>
#include <coil/coro.h>
#include <coil/loop.h>

#include <sys/socket.h>

COIL_BEGIN_DECLS

typedef struct coil_datagram_receiver coil_datagram_receiver;

enum { COIL_DATAGRAM_BUFFERS_MAX = 32768 };

/* What has to fit into a buffer, and how many of them there are. */
typedef struct coil_datagram_shape {
    uint32_t name_bytes;    /* Of a sender. */
    uint32_t control_bytes; /* Of ancillary data, see cmsg(3). 0: none is wanted. */
    uint32_t payload_bytes; /* What is longer is cut. */
    unsigned buffer_count;  /* A power of two, at most COIL_DATAGRAM_BUFFERS_MAX. */
} coil_datagram_shape;

/* One message. The pointers are good until the last slice of its payload has been released. */
typedef struct coil_arrival {
    coil_slice payload;  /* Its buffer is held even if it is empty: release it. */
    int64_t whole_bytes; /* As it was sent; more than the payload if it has been cut. */
    struct msghdr about; /* Name, control and flags, as recvmsg(2) stores them. */
} coil_arrival;

/* Owns `fd`, an ordinary descriptor of a socket, from here on, also if it fails. -ENOMEM. */
COIL_API int coil_datagram_receiver_create(coil_loop *loop, int fd,
        const coil_datagram_shape *shape, coil_datagram_receiver **out_receiver);

/*
 * What is there, for `task`, which does not wait any more: 1 if there is a message, -EAGAIN if
 * nothing has come yet, or an error of recvmsg(2), which is told once.
 */
COIL_API int coil_datagram_receiver_look(coil_datagram_receiver *receiver, coil_task *task);

/* The oldest message, after coil_datagram_receiver_look() has returned 1. */
COIL_API coil_arrival coil_datagram_receiver_take(coil_datagram_receiver *receiver);

/* Messages that have arrived and have not been taken. */
COIL_API unsigned coil_datagram_receiver_queued(const coil_datagram_receiver *receiver);

/* Wake `task` when there is something new to see; or when it is cancelled (coil_leaf_wake()). */
COIL_API void coil_datagram_receiver_wait(coil_datagram_receiver *receiver, coil_task *task);

/* The descriptor, which is still the receiver's. */
COIL_API int coil_datagram_receiver_fd(const coil_datagram_receiver *receiver);

/*
 * Drop what has not been taken, end the operation and close the descriptor, in this order. Does not
 * wait: the loop finishes the work. Slices that were taken stay valid as long as the loop lives.
 * Nobody may be waiting. Takes NULL.
 */
COIL_API void coil_datagram_receiver_close(coil_datagram_receiver *receiver);

COIL_END_DECLS

#endif
