/* SPDX-License-Identifier: MIT */
/* One job, for those who have submitted it. */
#include "worker_private.h"

#include <coil/check.h>
#include <coil/kernel.h>
#include <coil/waiter.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

coil_define(int, coil_job_wait, (coil_job *) job)
{
    coil_vars();

    COIL_CHECK(job->pool != NULL || job->end != COIL_JOB_PENDING); /* It was not submitted. */
    while (job->end == COIL_JOB_PENDING)
        coil_ignore(coil_waiter_wait(&job->waiters));
    return job->error;
}

coil_define(int, coil_worker_pool_run, (coil_worker_pool *) pool, (coil_job *) job)
{
    coil_vars(int rc);

    coil_attempt(coil_worker_pool_submit(pool, job));
    coil_defer(coil_job_cancel(job));
    coil_await(my->rc, coil_job_wait(job));
    return my->rc;
}

void coil_job_cancel(coil_job *job)
{
    coil_worker_pool *pool = job->pool;
    worker_process *worker = job->worker;

    if (pool == NULL)
        return;
    if (worker == NULL) {
        pool_unqueue_job(pool, job);
    } else {
        worker->job = NULL;
        worker->is_doomed = worker->is_doomed || job->on_cancel == COIL_JOB_KILL;
        worker_hurry(worker);
    }
    pool_end_job(pool, job, COIL_JOB_CANCELLED, -ECANCELED);
}

void coil_job_fini(coil_job *job)
{
    COIL_CHECK(job->pool == NULL);               /* It has ended. */
    void *reply = (void *)(uintptr_t)job->reply; /* NOLINT(performance-no-int-to-ptr) */

    if (job->is_mapped) {
        coil_kernel_memory_unmap(reply, job->reply_bytes);
    } else {
        free(reply);
    }
    job->reply = NULL;
    job->reply_bytes = 0;
    job->is_mapped = false;
}

const char *coil_job_format(const coil_job *job, char text[COIL_EXIT_TEXT_BYTES])
{
    static const char *const words[] = {
            [COIL_JOB_PENDING] = "has not ended",
            [COIL_JOB_DONE] = "was done",
            [COIL_JOB_NO_MEMORY] = "worker had no memory",
            [COIL_JOB_OVERDUE] = "took too long",
            [COIL_JOB_CANCELLED] = "was cancelled",
    };
    char how[COIL_EXIT_TEXT_BYTES];

    if (job->end == COIL_JOB_CRASHED) {
        (void)snprintf(
                text, COIL_EXIT_TEXT_BYTES, "worker %.55s", coil_exit_format(&job->exit, how));
    } else if (job->end == COIL_JOB_REFUSED) {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "was refused: %s", coil_error_name(job->error));
    } else {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "%s", words[job->end]);
    }
    return text;
}
