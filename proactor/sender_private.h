/* SPDX-License-Identifier: MIT */
/*
 * sender_private.h - writes that wait, those of tasks and those of a layer above.
 */
#ifndef SENDER_PRIVATE_H
#define SENDER_PRIVATE_H

#include <coil/list.h>
#include <coil/sender.h>

/*
 * The stream has ended: the error by which the connection was lost, if a write was told of that or
 * has kept it from being told. 0: none was.
 */
int sender_loss(coil_sender *sender);

/* A write that has to wait. Lives on the frame stack of its task. */
typedef struct writer {
    coil_list link;
    coil_task *task;              /* NULL: it is that of a sender_flush. */
    struct coil_sending *sending; /* NULL: it is over. */
    const char *bytes;            /* What is left of the part that comes next. */
    int64_t size_bytes;
    const coil_slice *parts; /* Those behind it. */
    unsigned part_count;
    int32_t result;
    bool is_begun; /* Some of its bytes are out. */
    bool is_cancelled;
    bool takes_some; /* A part of its bytes will do: the result says how many. */
    bool holds;      /* It has none: it wants to have the sender for itself. */
    bool is_holders; /* It is of the one who has. */
} writer;

/* The same, of a sender with a layer (layer.c). */
typedef struct layer_write {
    coil_list link;
    coil_task *task; /* NULL: it is not suspended, or that of a sender_flush. */
    struct sender_flush *flush;
    const char *bytes; /* What has not been sealed. */
    int64_t size_bytes;
    int32_t result;
    bool is_waiting;
    bool is_begun; /* Some of its bytes have been sealed. */
    bool is_last;  /* No bytes: what the layer has to say at the end. */
} layer_write;

/*
 * A write without a task: that of the layer above, of which a sender has at most one. What it asks
 * for is done at once or later; `ended` is called in the latter case only, when nothing refers to
 * the write any more.
 */
typedef struct sender_flush sender_flush;
struct sender_flush {
    void (*ended)(sender_flush *flush, int32_t result);
    union {
        writer plain;
        layer_write layered;
    };
};

/* Send all of `bytes`: 0 if that is done, -EINPROGRESS if `ended` will tell, or an error. */
int sender_flush_start(
        coil_sender *sender, coil_loop *loop, sender_flush *flush, const coil_slice *bytes);

/* Have it end early. `ended` is called, perhaps before this returns. */
void sender_flush_cancel(coil_sender *sender, sender_flush *flush);

#endif
