/* SPDX-License-Identifier: MIT */
#include "thrift_pipeline_private.h"

#include <coil/waiter.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLOTS_MIN = 16 };

/* ----------------------------------------------------------------------------------- numbers -- */

struct coil_thrift_slot *pipeline_slot_of(const coil_thrift_pipeline *pipeline, int32_t seqid)
{
    return &pipeline->slots[(uint32_t)seqid & (pipeline->slot_count - 1)];
}

struct coil_thrift_slot *pipeline_find_slot(const coil_thrift_pipeline *pipeline, int32_t seqid)
{
    if (pipeline->slot_count == 0 || seqid == 0)
        return NULL;
    struct coil_thrift_slot *slot = pipeline_slot_of(pipeline, seqid);
    return slot->seqid == seqid ? slot : NULL;
}

void pipeline_free_slot(struct coil_thrift_slot *slot)
{
    *slot = (struct coil_thrift_slot){NULL, 0};
}

/* Numbers that differ in the lower bits of a small table do so in those of a larger one. */
static int grow(coil_thrift_pipeline *pipeline)
{
    const uint32_t old_count = pipeline->slot_count;
    struct coil_thrift_slot *old = pipeline->slots;
    const uint32_t count = old_count == 0 ? SLOTS_MIN : 2 * old_count;
    struct coil_thrift_slot *slots = calloc(count, sizeof(*slots));

    if (slots == NULL)
        return -ENOMEM;
    pipeline->slots = slots;
    pipeline->slot_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i].seqid != 0)
            *pipeline_slot_of(pipeline, old[i].seqid) = old[i];
    }
    free(old);
    return 0;
}

/* Have a number whose slot is free; at least half of them are. */
int pipeline_draw_seqid(coil_thrift_pipeline *pipeline)
{
    const coil_thrift_pipeline_stats *stats = &pipeline->stats;

    if (2 * (stats->in_flight + stats->unanswered) >= pipeline->slot_count) {
        int rc = grow(pipeline);
        if (rc < 0)
            return rc;
    }
    do {
        pipeline->seqid = pipeline->seqid == INT32_MAX ? 1 : pipeline->seqid + 1;
    } while (pipeline_slot_of(pipeline, pipeline->seqid)->seqid != 0);
    return pipeline->seqid;
}

/* -------------------------------------------------------------------------------------- room -- */

static bool has_room(const coil_thrift_pipeline *pipeline)
{
    return pipeline->stats.in_flight + pipeline->oneways_due < pipeline->options.calls_max &&
           pipeline->begun_bytes - pipeline->written_bytes < pipeline->options.unsent_bytes_max;
}

bool coil_thrift_pipeline_has_room(const coil_thrift_pipeline *pipeline)
{
    return pipeline->error == 0 && !pipeline->is_finishing && coil_list_empty(&pipeline->waiting) &&
           has_room(pipeline);
}

void pipeline_take_room(pipeline_call *call)
{
    coil_thrift_pipeline *pipeline = call->pipeline;
    pipeline->stats.in_flight++;
    coil_list_append(&pipeline->calls, &call->link);
}

bool pipeline_is_empty(const coil_thrift_pipeline *pipeline)
{
    return coil_list_empty(&pipeline->calls) && coil_list_empty(&pipeline->waiting) &&
           coil_list_empty(&pipeline->oneways) && pipeline->oneways_due == 0;
}

/* Room may have become free: who waits first has it, and goes on in his own task. */
void pipeline_admit(coil_thrift_pipeline *pipeline)
{
    while (!coil_list_empty(&pipeline->waiting) && has_room(pipeline)) {
        coil_list *first = coil_list_take_first(&pipeline->waiting);
        pipeline_call *call = coil_container_of(first, pipeline_call, link);
        pipeline->stats.waiting--;
        call->is_waiting = false;
        pipeline_take_room(call);
        coil_waiter_grant_all(&call->waiter, 0);
    }
    if (pipeline->is_finishing && pipeline_is_empty(pipeline))
        coil_waiter_grant_all(&pipeline->writer, 0);
}

/* -------------------------------------------------------------------------------- outcomes -- */

static void leave(pipeline_call *call, int outcome)
{
    coil_list_remove(&call->link);
    call->outcome = outcome;
    call->pipeline = NULL;
}

void pipeline_settle_oneway(pipeline_call *call)
{
    leave(call, 0);
    coil_waiter_grant_all(&call->waiter, 0);
}

void pipeline_settle(pipeline_call *call, int outcome)
{
    coil_thrift_pipeline *pipeline = call->pipeline;

    pipeline->stats.in_flight--;
    leave(call, outcome);
    coil_waiter_grant_all(&call->waiter, outcome);
    pipeline_admit(pipeline);
}

/* All calls of a list fail with the connection. */
static void fail_all(coil_thrift_pipeline *pipeline, coil_list *calls, int error)
{
    coil_list *link;

    while ((link = coil_list_take_first(calls)) != NULL) {
        pipeline_call *call = coil_container_of(link, pipeline_call, link);
        if (call->seqid != 0)
            pipeline->stats.failed++;
        call->invocation->was_sent =
                call->end_bytes > 0 && call->begin_bytes < pipeline->handed_bytes;
        leave(call, error);
        coil_waiter_grant_all(&call->waiter, error);
    }
}

int pipeline_fail(coil_thrift_pipeline *pipeline, int error, const char *what)
{
    if (pipeline->error != 0)
        return error;
    pipeline->error = error;
    (void)snprintf(pipeline->what, sizeof(pipeline->what), "%s", what);
    fail_all(pipeline, &pipeline->calls, error);
    fail_all(pipeline, &pipeline->oneways, error);
    fail_all(pipeline, &pipeline->waiting, error);
    pipeline->stats.in_flight = 0;
    pipeline->stats.waiting = 0;
    coil_waiter_grant_all(&pipeline->writer, error);
    return error;
}

int pipeline_use_up(coil_thrift_pipeline *pipeline, const char *what)
{
    const uint64_t failed = pipeline->stats.failed;

    const int rc = pipeline_fail(pipeline, -ENOTCONN, what);
    pipeline->is_used_up = pipeline->stats.failed == failed;
    return rc;
}

/* Nobody waits for the reply any more, which is still to come. */
static void abandon_reply(pipeline_call *call)
{
    coil_thrift_pipeline *pipeline = call->pipeline;
    coil_thrift_pipeline_stats *stats = &pipeline->stats;

    stats->in_flight--;
    leave(call, -ECANCELED);
    if (call->seqid == 0)
        return;
    call->invocation->was_sent = true; /* Or will be. */
    pipeline_slot_of(pipeline, call->seqid)->call = NULL;
    stats->abandoned++;
    if (++stats->unanswered < pipeline->options.unanswered_max)
        return;
    (void)pipeline_fail(pipeline, -ETIMEDOUT, "the server has left too many calls unanswered");
    coil_receiver_fail(pipeline->stream, -ETIMEDOUT); /* For those who read and write. */
}

/* Its task is being cancelled. */
static void abandon(pipeline_call *call)
{
    coil_thrift_pipeline *pipeline = call->pipeline;

    if (pipeline == NULL)
        return;
    if (call->end_bytes > 0 && call->seqid == 0) {
        call->invocation->was_sent = true; /* A oneway call is on its way out. */
        leave(call, -ECANCELED);
    } else if (call->is_waiting) {
        pipeline->stats.waiting--;
        leave(call, -ECANCELED);
    } else {
        abandon_reply(call);
    }
    pipeline_admit(pipeline);
}

static coil_turn sleep_step(coil_task *task, coil_frame *leaf)
{
    pipeline_call *call = coil_arguments(pipeline_sleep, leaf)->call;

    if (leaf->at != NULL)
        return coil_waiter_step(task, leaf);
    if (coil_task_refuses(task)) {
        abandon(call);
        return coil_leave(task, leaf);
    }
    coil_waiter *waiter = coil_push(task, sizeof(*waiter));
    return coil_waiter_suspend(waiter, &call->waiter, task, leaf);
}

static void sleep_cancel(coil_task *task, coil_frame *leaf)
{
    (void)task;
    if (coil_waiter_withdraw(leaf))
        abandon(coil_arguments(pipeline_sleep, leaf)->call);
}

coil_define_leaf(pipeline_sleep, sleep_step, sleep_cancel);
