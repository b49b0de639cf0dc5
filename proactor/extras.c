/* SPDX-License-Identifier: MIT */
#include "extras.h"

coil_extras *extras_make(coil_sender *sender, coil_sched *sched)
{
    coil_extras *extras = coil_sched_allocate(sched, sizeof(*extras));
    if (extras != NULL)
        *extras = (coil_extras){.sending = NULL};
    return sender->extras = extras;
}

void extras_review(coil_sender *sender, coil_sched *sched)
{
    coil_extras *extras = sender->extras;
    if (extras == NULL || extras->sending != NULL || extras->queue != NULL || extras->own != NULL ||
            extras->rights != NULL || extras->layering != NULL || extras->is_kept)
        return;
    sender->extras = NULL;
    coil_sched_release(sched, extras, sizeof(*extras));
}
