/* SPDX-License-Identifier: MIT */
/*
 * layer_private.h - what a layer, its receiver and the sender below have to do with each other.
 */
#ifndef LAYER_PRIVATE_H
#define LAYER_PRIVATE_H

#include "extras.h"
#include "sender_private.h"

#include <coil/layer.h>

/* That of `sender`, or NULL: it writes by itself. */
static inline struct coil_layering *layering_of(const coil_sender *sender)
{
    return coil_unlikely(sender->is_layered) ? sender->extras->layering : NULL;
}

/* Its receiver is about to go. It closes `below` when that is not needed any more. */
void layering_close(struct coil_layering *layering);

/* Does somebody write? */
bool layering_is_busy(const struct coil_layering *layering);

/* The step and cancel functions of coil_sender_write(), where there is a layer. */
coil_turn layering_write_step(
        coil_task *task, coil_frame *leaf, struct coil_layering *layering, const coil_slice *bytes);
void layering_write_cancel(coil_task *task, coil_frame *leaf, struct coil_layering *layering);

/* As sender_flush_start() and sender_flush_cancel(). */
int layering_flush_start(struct coil_layering *layering, sender_flush *flush);
void layering_flush_cancel(struct coil_layering *layering, sender_flush *flush);

/* A receiver with `layering`, on the descriptor of `below`, with no operation of its own. */
coil_receiver *receiver_create_layered(struct coil_layering *layering, coil_receiver *below);

/* Is something under way in the name of `receiver`, or does somebody wait? */
bool receiver_is_waited_for(const coil_receiver *receiver);

#endif
