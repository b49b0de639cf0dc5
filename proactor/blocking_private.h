/* SPDX-License-Identifier: MIT */
/* What the loop, and the awaitables of coil/blocking.h, have to know of its pools. */
#ifndef BLOCKING_PRIVATE_H
#define BLOCKING_PRIVATE_H

#include <coil/blocking.h>

/* What became of a job, as its task has it. */
typedef enum blocking_outcome {
    BLOCKING_PENDING,
    BLOCKING_DELIVERED, /* With its result, or a refusal. */
    BLOCKING_WITHDRAWN, /* It never runs. */
    BLOCKING_ABANDONED, /* It still runs, and its memory is its own. */
} blocking_outcome;

/*
 * Queue `job` for `task`, which sleeps until it is delivered; `pool` may be NULL: the default one.
 * 0, or an error as for coil_blocking(). Once it is 0, job->pool is to be released.
 */
int blocking_submit(coil_blocking_pool *pool, coil_blocking_job *job, coil_task *task);

/* A call is over: it does not use the pool any more. The last user frees it. */
void blocking_release(coil_blocking_pool *pool);

/*
 * The call of a pending job has been cancelled. PENDING: it runs, and will be delivered. Else its
 * task has to be woken; if it is ABANDONED, `job` may be gone.
 */
blocking_outcome blocking_cancel(coil_blocking_job *job);

/* `loop` does not use the default pool any more; its last user ends it. */
void blocking_leave(coil_loop *loop);

#endif
