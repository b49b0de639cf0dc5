/* SPDX-License-Identifier: MIT */
/*
 * coil/layer.h - a stream on top of another: what is read and written passes through a layer, which
 * turns it into something else. For those who write one; TLS (coil/tls.h) is one.
 *
 *        reader             writers
 *          |                   |
 *     +----+--- above ---------+----+      a receiver like any other: all of coil/stream.h
 *     |  take() <- look()    seal() |      works on it
 *     +----+-------------------+----+
 *          |       layer       |  coil_layer_put()
 *     +----+--- below ---------+----+      the layer's; nobody else reads or writes it
 *     |  receiver            sender |
 *     +-----------------------------+
 *
 * The layer has no task, and makes no system call. What comes is turned by whoever reads, when it
 * looks for bytes; what goes out by whoever writes, in the order of the writes, many together. What
 * the layer wants to say by itself, an alert or a new key, goes out in between, in order.
 *
 *     coil_layer_attach() --> attached --coil_receiver_close(above)--> destroy(), below is closed
 *
 * Writes end when what they have become has left through `below`, or has been taken over by it. A
 * write that is cancelled before any of its bytes were sealed leaves no trace; after that, all
 * others are -EPIPE, as with any sender.
 *
 * A layer may lie on a layer. On the loop's thread only.
 */
#ifndef COIL_LAYER_H
#define COIL_LAYER_H

#include <coil/receiver.h>

COIL_BEGIN_DECLS

typedef struct coil_layer coil_layer;
typedef struct coil_layer_kind coil_layer_kind;

/* The owner's, mostly a part of something larger. Zeroed but for `kind` before it is attached. */
struct coil_layer {
    const coil_layer_kind *kind;
    coil_receiver *below;           /* What it lies on, while it is attached. Read only. */
    struct coil_layering *layering; /* Private. */
};

/* What a layer does. One constant each. */
struct coil_layer_kind {
    const char *name;

    /*
     * Is there something to take? `task` asks, in whose name `below` is to be looked at. 1, 0 at
     * the end, or an error, both for good. -EAGAIN: not before something comes from below.
     */
    int (*look)(coil_layer *layer, coil_task *task);

    /* After a look that said 1: some of it, at least 1 byte and at most `size_bytes`. */
    size_t (*take)(coil_layer *layer, char *bytes, size_t size_bytes);

    /*
     * Turn `bytes` into what goes out, with coil_layer_put(): room for `size_bytes` and a little
     * more (1/64 and 512 bytes) is there, so putting that much does not fail. 0, or an error.
     */
    int (*seal)(coil_layer *layer, const char *bytes, size_t size_bytes);

    /* Put what says that nothing more is going to be written. 0, or an error. */
    int (*finish)(coil_layer *layer);

    /* It is not attached any more, and everything it has put is out, or never will be. */
    void (*destroy)(coil_layer *layer);
};

/*
 * Put `layer` on `below`, which nobody is waiting for or writing to; what it has received and has
 * not been taken goes through the layer. From here on `below` is the layer's, and the layer is the
 * new receiver's. -ENOMEM: everything is as it was.
 */
COIL_API int coil_layer_attach(coil_layer *layer, coil_receiver *below, coil_receiver **out_above);

/* The layer that `above` has been made with. NULL: it has none. */
COIL_API coil_layer *coil_layer_of(const coil_receiver *above);

/*
 * For the functions of a layer: let `bytes` go out, a copy of them, behind what has been put
 * already. -ENOMEM; -ENOBUFS: so much has been put outside of seal() while nothing could leave that
 * the peer must mean us harm.
 */
COIL_API int coil_layer_put(coil_layer *layer, const void *bytes, size_t size_bytes);

/* What was put outside of seal() and finish() is on its way from here on. Nobody waits for it. */
COIL_API void coil_layer_flush(coil_layer *layer);

/*
 * For leaves (coil/task.h) on a layer, such as a handshake: nothing is to be had before something
 * comes from below, so wake `task` then, or when it is cancelled, as its leaf asks for.
 */
static inline void coil_layer_wait(coil_layer *layer, coil_task *task)
{
    coil_receiver_wait(layer->below, task);
}

/* Wait until all writes that began before this one have left. 0; -EPIPE, one was cut. */
coil_declare(int, coil_layer_drain, (coil_layer *) layer);

/*
 * What was written last is half of something, and the rest will not come: from here on all writes
 * are -EPIPE, also those that wait, and finish() is never called. What has been sealed still
 * leaves.
 */
COIL_API void coil_layer_cut(coil_layer *layer);

/*
 * Write what finish() puts, behind everything that waits to be written. Later writes are -EPIPE.
 * Result: 0 when it has left, or an error as of coil_sender_write().
 */
coil_declare(int, coil_layer_finish, (coil_layer *) layer);

/*
 * The same for a receiver that is closed next, without waiting: what the socket does not take at
 * once is lost (of a direct descriptor: what has no room in the loop's queue), and where a write is
 * under way, or was cut, or finish() came before, nothing happens. Those of the layers below
 * follow.
 */
COIL_API void coil_layer_finish_now(coil_layer *layer);

COIL_END_DECLS

#endif
