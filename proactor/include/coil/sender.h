/* SPDX-License-Identifier: MIT */
/*
 * coil/sender.h - what any number of tasks send on one descriptor, in order.
 *
 *     coil_sender_init(&sender, fd, COIL_TRANSPORT_SOCKET);
 *     coil_attempt(coil_sender_write(&sender, my->bytes));      a slice: all of it, or an error
 *
 * A write begins when those before it have ended, and what it wants to send is never mixed with
 * theirs. How it gets out depends:
 *
 *   - what a socket takes at once goes out at once, with one system call and without a wait; once
 *     per turn of the loop, so that a task whose peer is quick cannot keep the loop for itself;
 *   - the rest, and all that is written while something is on its way, is gathered: the writes of
 *     many tasks leave as one operation, without being copied.
 *
 * A write that is cancelled before it has begun leaves no trace. If a part of its bytes is out when
 * it is cancelled or fails, what follows would be taken for the rest of them: so all other writes,
 * also those to come, are -EPIPE.
 *
 * On the loop's thread only.
 */
#ifndef COIL_SENDER_H
#define COIL_SENDER_H

#include <coil/buffer.h>
#include <coil/coro.h>
#include <coil/loop.h>

COIL_BEGIN_DECLS

typedef struct coil_sender coil_sender;

/* How a descriptor is read and written. */
typedef enum coil_transport {
    COIL_TRANSPORT_SOCKET, /* recv(2) and send(2) */
    COIL_TRANSPORT_FILE,   /* read(2) and write(2): pipes, terminals, signalfd, anything else. */
} coil_transport;

/* The owner's memory, which must not move while somebody writes. There is nothing to give back. */
struct coil_sender {
    uint64_t sent_bytes; /* So far. Read only. */

    /* Private. */
    struct coil_extras *extras; /* What it needs only at times. */
    int fd;
    uint16_t sent_turn; /* Of the loop, when we last sent without the ring. */
    bool sends_at_once; /* It can do without the ring. */
    bool is_socket : 1;
    bool is_cut : 1; /* A write has ended in its middle. */
};

/* `fd` stays the caller's. All who write are tasks of one loop. */
COIL_API void coil_sender_init(coil_sender *sender, int fd, coil_transport transport);

/* Is somebody writing? */
COIL_API bool coil_sender_busy(const coil_sender *sender);

/*
 * Send all of `bytes`, which must stay until this returns. Result: 0, -ENOMEM, or an error of
 * send(2) or write(2). -EPIPE, which raises no signal: nobody reads any more, or an earlier write
 * has ended in its middle.
 */
coil_declare(int, coil_sender_write, (coil_sender *) sender, (coil_slice) bytes);

/*
 * The same, for leaves (coil/task.h) by other names: their step and cancel functions. Their result
 * is an int, and their arguments are a pointer to something that begins with a sender, and a slice.
 */
COIL_API coil_turn coil_sender_step(coil_task *task, coil_frame *leaf);
COIL_API void coil_sender_cancel(coil_task *task, coil_frame *leaf);

COIL_END_DECLS

#endif
