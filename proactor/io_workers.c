/* SPDX-License-Identifier: MIT */
/* How many threads the kernel may have to do what operations on files wait for: see coil/io.h. */
#include <coil/io.h>

#include "loop_private.h"

enum { BOUNDED, UNBOUNDED, KINDS };

/* They belong to the thread, whatever loops it has. */
static COIL_THREAD_LOCAL struct {
    unsigned usual_count; /* What the kernel has chosen. 0: we have not asked. */
    unsigned added_count;
} workers;

/* Limits of 0 stay as they are; what they were is returned in their place. */
static int exchange_limits(coil_loop *loop, unsigned limits[KINDS])
{
    return coil_kernel_ring_register(
            &loop->ring.uring, IORING_REGISTER_IOWQ_MAX_WORKERS, limits, KINDS);
}

static void set_limit(coil_loop *loop)
{
    unsigned limits[KINDS] = {0};

    if (workers.usual_count == 0 && exchange_limits(loop, limits) == 0)
        workers.usual_count = limits[BOUNDED];
    if (workers.usual_count == 0)
        return;
    limits[BOUNDED] = workers.usual_count + workers.added_count;
    limits[UNBOUNDED] = 0;
    (void)exchange_limits(loop, limits);
}

void coil_io_worker_add(coil_loop *loop)
{
    workers.added_count++;
    set_limit(loop);
}

void coil_io_worker_remove(coil_loop *loop)
{
    COIL_CHECK(workers.added_count > 0);
    workers.added_count--;
    set_limit(loop);
}
