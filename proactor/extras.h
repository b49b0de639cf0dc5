/* SPDX-License-Identifier: MIT */
/*
 * extras.h - what a descriptor needs only at times, for its sender and for its receiver.
 *
 * Made by whoever needs it first, and gone when nobody does: a silent connection has none.
 */
#ifndef EXTRAS_H
#define EXTRAS_H

#include "slice_queue.h"

#include <coil/sender.h>

typedef struct coil_extras {
    struct coil_sending *sending;   /* Writes that have to wait. */
    slice_queue *queue;             /* What has arrived, behind the front. */
    coil_buffer *own;               /* Of a single receive in flight. */
    struct rights_inbox *rights;    /* Of a receiver that takes descriptors, too. */
    struct coil_layering *layering; /* The layer that it is above of. */

    /* Of a receiver that receives by itself, while `is_kept`. */
    uint16_t turn;          /* In which it last has. */
    uint16_t turn_receives; /* How often in that turn. */
    uint16_t arms;          /* Waits since it does. */
    uint16_t typical_bytes; /* Of those receives: a moving average. */
    bool is_kept;
} coil_extras;

/* Private: extras_of() of who has none. */
coil_extras *extras_make(coil_sender *sender, coil_sched *sched);

/* Those of `sender`, made if there are none. NULL without memory. */
static inline coil_extras *extras_of(coil_sender *sender, coil_sched *sched)
{
    return coil_likely(sender->extras != NULL) ? sender->extras : extras_make(sender, sched);
}

/* One thing less is needed: if it was the last, they are gone. Takes none. */
void extras_review(coil_sender *sender, coil_sched *sched);

#endif
