/* SPDX-License-Identifier: MIT */
#include <coil/timeout.h>

#include "task_private.h"

#include <coil/sched.h>

#include <errno.h>

/* On the frame stack. Its end is deferred by the frame that is bounded. */
typedef struct timeout_scope {
    coil_deferred end;
    coil_timeout *timeout;
} timeout_scope;

/* Of within() and until(): nobody else sees the timeout, so both are in one piece. */
typedef struct hidden_scope {
    timeout_scope scope;
    coil_timeout timeout;
} hidden_scope;

static_assert(sizeof(hidden_scope) == COIL_TIMEOUT_BYTES, "tasks are made with room for it");

static coil_timeout *timeout_of(coil_deferred *end)
{
    return coil_container_of(end, timeout_scope, end)->timeout;
}

static void expire(coil_timer *timer)
{
    coil_timeout *timeout = coil_container_of(timer, coil_timeout, timer);
    timeout->expired = coil_task_unwind(timeout->task, timeout->frame);
}

static coil_turn end(coil_task *task, coil_frame *frame, coil_deferred *deferred)
{
    coil_timeout *timeout = timeout_of(deferred);
    bool unwound;

    coil_timer_disarm(&task->sched->wheel, &timeout->timer);
    timeout->frame = NULL;
    if (timeout->expired && coil_task_absorb(task, frame, &unwound) && unwound)
        coil_frame_set_result(frame, -ETIME);
    return COIL_DONE;
}

/* The same twice: that is how an adaptor's record is told from one of the body. */
static const coil_leaving opened_exit = {.call = end};
const coil_leaving coil_timeout_exit = {.call = end};

static void begin(coil_task *task, coil_frame *frame, coil_timeout *timeout, coil_time deadline)
{
    timeout->expired = false;
    timeout->task = task;
    timeout->frame = frame;
    timeout->deadline = deadline;
    coil_timer_init(&timeout->timer, expire);
    coil_timer_arm(&task->sched->wheel, &timeout->timer, deadline);
}

void coil_timeout_push(coil_task *task, coil_frame *frame, coil_time deadline)
{
    hidden_scope *hidden = coil_push(task, sizeof(*hidden));
    hidden->scope.timeout = &hidden->timeout;
    begin(task, frame, &hidden->timeout, deadline);
    coil_defer_push(frame, &hidden->scope.end, &coil_timeout_exit);
}

void coil_timeout_open(
        coil_task *task, coil_frame *frame, coil_timeout *timeout, coil_time deadline)
{
    timeout_scope *scope = coil_push(task, sizeof(*scope));
    scope->timeout = timeout;
    begin(task, frame, timeout, deadline);
    coil_defer_push(frame, &scope->end, &opened_exit);
}

int coil_timeout_move(coil_timeout *timeout, coil_time deadline)
{
    if (timeout->frame == NULL)
        return -ENOENT;
    if (timeout->expired)
        return -ETIME;
    timeout->deadline = deadline;
    coil_timer_arm(&timeout->task->sched->wheel, &timeout->timer, deadline);
    return 0;
}

int coil_timeout_extend(coil_timeout *timeout, coil_duration duration)
{
    if (timeout->frame == NULL)
        return -ENOENT;
    return coil_timeout_move(
            timeout, coil_time_after(coil_sched_now(timeout->task->sched), duration));
}

coil_time coil_timeout_deadline(const coil_timeout *timeout)
{
    return timeout->frame == NULL ? COIL_NEVER : timeout->deadline;
}

coil_time coil_task_deadline(const coil_task *task)
{
    const coil_mask *mask = coil_task_mask(task);
    const coil_frame *masked = mask == NULL ? NULL : mask->frame;
    coil_time earliest = COIL_NEVER;

    for (const coil_frame *frame = task->top; frame != masked; frame = frame->up) {
        for (coil_deferred *deferred = frame->defers; deferred; deferred = deferred->next) {
            if (deferred->exit->call == end) {
                coil_time deadline = timeout_of(deferred)->deadline;
                earliest = deadline < earliest ? deadline : earliest;
            }
        }
    }
    return earliest;
}
