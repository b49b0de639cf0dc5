/* SPDX-License-Identifier: MIT */
/* Memory of tasks that have gone is given back to the system. */
#include "loop_private.h"

#include "kernel_ring.h"

#define CALM coil_s(1) /* So long there must be few tasks: the next crowd may be on its way. */

static void purge(coil_purge_hook *hook, void *memory, size_t size_bytes)
{
    (void)hook;
    coil_kernel_pages_forget(memory, size_bytes);
}

coil_time loop_scavenge(coil_loop *loop, coil_time deadline)
{
    coil_purge_hook hook = {purge};
    coil_time now = coil_sched_now(&loop->sched);
    coil_duration calm = now - loop->excess_since;

    if (calm > 2 * CALM) { /* An excess of long ago. */
        loop->excess_since = now;
        calm = 0;
    }
    if (calm < CALM) {
        coil_time later = now + CALM - calm;
        return deadline < later ? deadline : later;
    }
    loop->excess_since = 0;
    (void)coil_sched_trim(&loop->sched, &hook);
    return deadline;
}
