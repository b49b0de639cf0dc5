/* SPDX-License-Identifier: MIT */
/* The awaitables of coil/blocking.h. What runs them is in blocking_pool.c. */
#include <coil/blocking.h>

#include "blocking_private.h"

#include <errno.h>
#include <stdlib.h>

/* The await of `job` ends unwound, and `job` does not run: not yet, or not any more. */
static void drop(coil_blocking_job *job)
{
    if (job->abandoned != NULL)
        job->abandoned(job);
}

static coil_turn begin(
        coil_task *task, coil_frame *leaf, coil_blocking_pool *pool, coil_blocking_job *job)
{
    if (coil_task_refuses(task)) {
        drop(job);
        return coil_leave_with(task, leaf, -ECANCELED);
    }
    int rc = blocking_submit(pool, job, task);
    if (rc < 0)
        return coil_leave_with(task, leaf, rc);
    leaf->vars = job;
    return coil_leaf_suspend(leaf);
}

/* Did `run` end early because it was asked to? */
static bool gave_up(coil_task *task, const coil_blocking_job *job)
{
    return job->result == -ECANCELED && job->cancelled && coil_task_unwind_here(task);
}

/* The job if it has been delivered, with its result or a refusal; NULL if the await unwinds. */
static coil_blocking_job *end(coil_task *task, coil_frame *leaf)
{
    coil_blocking_job *job = leaf->vars;

    if (job != NULL) {
        blocking_release(job->pool);
        if (job->outcome == BLOCKING_DELIVERED && !gave_up(task, job))
            return job;
        drop(job);
    }
    (void)coil_task_unwind_here(task);
    coil_frame_set_result(leaf, -ECANCELED);
    return NULL;
}

static bool pending(const coil_frame *leaf)
{
    const coil_blocking_job *job = leaf->vars;
    return job != NULL && job->outcome == BLOCKING_PENDING;
}

static coil_turn run_step(coil_task *task, coil_frame *leaf)
{
    const struct coil_blocking_run__args *arguments = coil_arguments(coil_blocking_run, leaf);

    if (leaf->at == NULL)
        return begin(task, leaf, arguments->pool, arguments->job);
    if (pending(leaf))
        return COIL_WAIT; /* Somebody woke the task for a reason of his own. */
    const coil_blocking_job *job = end(task, leaf);
    if (job != NULL)
        coil_frame_set_result(leaf, job->result);
    return coil_leave(task, leaf);
}

void coil_blocking_cancel(coil_task *task, coil_frame *leaf)
{
    coil_blocking_job *job = leaf->vars;
    if (job == NULL || job->outcome != BLOCKING_PENDING)
        return;

    coil_blocking_pool *pool = job->pool;
    const blocking_outcome outcome = blocking_cancel(job);
    if (outcome == BLOCKING_PENDING)
        return; /* It runs, and is waited for. */
    if (outcome == BLOCKING_ABANDONED) {
        leaf->vars = NULL; /* It is not ours any more. */
        blocking_release(pool);
    } else {
        job->outcome = outcome;
    }
    coil_task_wake(task);
}

coil_define_leaf(coil_blocking_run, run_step, coil_blocking_cancel);

/* --------------------------------------------------------------------------- typed functions -- */

coil_turn coil_blocking_step(coil_task *task, coil_frame *leaf, coil_blocking_pool *pool,
        int64_t (*run)(coil_blocking_job *job))
{
    if (leaf->at == NULL) {
        coil_blocking_call *call = coil_push(task, sizeof(*call));
        *call = (coil_blocking_call){.job = {.run = run, .name = leaf->fn->name}, .frame = leaf};
        return begin(task, leaf, pool, &call->job);
    }
    if (pending(leaf))
        return COIL_WAIT;
    const coil_blocking_job *job = end(task, leaf);
    if (job != NULL && job->refused)
        coil_frame_set_result(leaf, job->result);
    return coil_leave(task, leaf);
}

/* A call with its own copy of the frame behind it. */
static void free_call(coil_blocking_job *job)
{
    free(coil_container_of(job, coil_blocking_call, job));
}

static coil_blocking_job *copy_call(const coil_frame *leaf, int64_t (*run)(coil_blocking_job *job))
{
    static_assert(sizeof(coil_blocking_call) % 16 == 0, "the frame is aligned as the memory");
    coil_blocking_call *call = calloc(1, sizeof(*call) + leaf->fn->frame_bytes);
    if (call == NULL)
        return NULL;
    call->job.run = run;
    call->job.name = leaf->fn->name;
    call->job.abandoned = free_call;
    call->frame = (coil_frame *)(void *)(call + 1);
    memcpy(call->frame, leaf, leaf->fn->frame_bytes);
    return &call->job;
}

static coil_turn begin_detached(coil_task *task, coil_frame *leaf, coil_blocking_pool *pool,
        int64_t (*run)(coil_blocking_job *job))
{
    if (coil_task_refuses(task))
        return coil_leave_with(task, leaf, -ECANCELED);
    coil_blocking_job *job = copy_call(leaf, run);
    if (job == NULL)
        return coil_leave_with(task, leaf, -ENOMEM);
    int rc = blocking_submit(pool, job, task);
    if (rc < 0) {
        free_call(job);
        return coil_leave_with(task, leaf, rc);
    }
    leaf->vars = job;
    return coil_leaf_suspend(leaf);
}

coil_turn coil_blocking_step_detached(coil_task *task, coil_frame *leaf, coil_blocking_pool *pool,
        int64_t (*run)(coil_blocking_job *job))
{
    const coil_fn *fn = leaf->fn;

    if (leaf->at == NULL)
        return begin_detached(task, leaf, pool, run);
    if (pending(leaf))
        return COIL_WAIT;
    coil_blocking_job *job = end(task, leaf);
    if (job != NULL) {
        const coil_frame *copy = coil_container_of(job, coil_blocking_call, job)->frame;
        if (job->refused) {
            coil_frame_set_result(leaf, job->result);
        } else {
            memcpy((char *)leaf + fn->result_at, (const char *)copy + fn->result_at,
                    fn->result_bytes);
        }
        free_call(job);
    }
    return coil_leave(task, leaf);
}
