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
 *   - of those that share turns (coil_sender_share_turns()), one in a turn: what the others send in
 *     it goes with the loop's next entry of the kernel, all together;
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
    bool is_cut : 1;     /* A write has ended in its middle. */
    bool is_layered : 1; /* What is written passes through a layer (coil/layer.h). */
    bool shares_turns : 1;
    unsigned char loss : 4; /* What a write was told of the connection, so no read will be. */
};

/* `fd` stays the caller's. All who write are tasks of one loop. */
COIL_API void coil_sender_init(coil_sender *sender, int fd, coil_transport transport);

/*
 * For senders of a kind that are many, and are written to in the same turns of the loop, as those
 * of a server: in a turn, the first of them sends at once, as ever, and the others' writes are
 * queued for the entry of the kernel that the loop makes anyhow. So however many there are, it
 * enters the kernel twice. A write waits for that, so its bytes stay the sender's until the next
 * turn.
 *
 * Without effect where nothing is sent at once: with a layer, with a direct descriptor.
 */
COIL_API void coil_sender_share_turns(coil_sender *sender);

/* Is somebody writing? */
COIL_API bool coil_sender_busy(const coil_sender *sender);

/*
 * The step, cancel and begin functions of coil_sender_write(), for it and for leaves (coil/task.h)
 * by other names, declared by coil_declare_eager(). Their result is an int, and their arguments are
 * a pointer to something that begins with a sender, and a slice.
 */
COIL_API coil_turn coil_sender_step(coil_task *task, coil_frame *leaf);
COIL_API void coil_sender_cancel(coil_task *task, coil_frame *leaf);
COIL_API coil_turn coil_sender_begin(coil_task *task, coil_frame *leaf);

/*
 * Send all of `bytes`, which must stay until this returns. Result: 0, -ENOMEM, or an error of
 * send(2) or write(2). -EPIPE, which raises no signal: nobody reads any more, or an earlier write
 * has ended in its middle.
 */
coil_declare_eager(
        int, coil_sender_write, coil_sender_begin, (coil_sender *) sender, (coil_slice) bytes);

/*
 * What follows, up to coil_sender_release(), is for senders without a layer (coil/layer.h): another
 * one is -EOPNOTSUPP.
 *
 * Several slices in a row as one write: nobody else's bytes get between them. The array
 * and what it names must stay until this returns. Empty ones are skipped.
 */
coil_declare(int, coil_sender_write_parts, (coil_sender *) sender, (const coil_slice *) parts,
        (unsigned) count);

/*
 * At least one byte of `bytes`, and as many as go out without waiting for room a second time.
 * Result: how many; an error as above. Cancellation is exact: either nothing has gone out, or this
 * returns how much. So it never cuts the stream; for bytes without messages, such as a proxy has.
 */
coil_declare(ssize_t, coil_sender_write_some, (coil_sender *) sender, (coil_slice) bytes);

/*
 * Have the sender for oneself, in one's turn among the writers; the others wait until it is
 * released. For what goes out by other means: splice(2), sendmsg(2) with descriptors, shutdown(2).
 *
 *     coil_attempt(coil_sender_hold(sender));
 *     coil_defer(coil_sender_release(sender, my->is_cut));
 *
 * Result: 0, -EPIPE, -ENOMEM. Whoever holds it writes by coil_sender_write_held() only, one at a
 * time, adds to sent_bytes what it has sent otherwise, and says at the end whether it has left
 * something unfinished (`is_cut`): then all other writes are -EPIPE, as above.
 */
coil_declare(int, coil_sender_hold, (coil_sender *) sender);
coil_declare(int, coil_sender_write_held, (coil_sender *) sender, (coil_slice) bytes);
COIL_API void coil_sender_release(coil_sender *sender, bool is_cut);

/*
 * What was to be sent by other means has failed with `error`. If that says that the connection is
 * lost (-ECONNRESET, -ETIMEDOUT ...), the receiver of the descriptor (coil/receiver.h) has to know:
 * the kernel says it once, and tells whoever reads next that the stream has ended. -EPIPE, or that
 * less was sent than was to be, may be what is left of such an error: with -EPIPE the kernel is
 * asked (coil_kernel_loss()). Writes as above do this by themselves.
 */
COIL_API void coil_sender_failed(coil_sender *sender, int error);

COIL_END_DECLS

#endif
