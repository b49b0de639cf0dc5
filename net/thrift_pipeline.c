/* SPDX-License-Identifier: MIT */
#include "defaults.h"
#include "thrift_pipeline_private.h"

#include <coil/waiter.h>

#include <errno.h>
#include <stdlib.h>

enum {
    CALLS_MAX = 1024, /* The defaults. */
    UNANSWERED_MAX = 1024,
    UNSENT_BYTES_MAX = 1024 * 1024,
    KEEP_BYTES = 256 * 1024, /* Memory for frames that is kept for later ones. */
    ONEWAY_ANSWER_S = 1,
};

/* ------------------------------------------------------------------------------------ calls -- */

/* Put the frame of a call that has room behind the others. 0, or why it cannot be sent. */
static int dispatch(pipeline_call *call, coil_time deadline)
{
    coil_thrift_pipeline *pipeline = call->pipeline;

    const int32_t seqid = pipeline_draw_seqid(pipeline);
    if (seqid < 0)
        return seqid;
    const int size = pipeline_encode(pipeline, call->invocation, seqid, deadline);
    if (size < 0)
        return size;
    call->begin_bytes = pipeline->begun_bytes;
    pipeline->begun_bytes += (uint64_t)size;
    call->end_bytes = pipeline->begun_bytes;
    if (call->invocation->method->is_oneway) {
        pipeline->stats.oneways++;
        pipeline->stats.in_flight--;
        pipeline->oneways_due += pipeline->options.transport == COIL_THRIFT_TRANSPORT_HTTP;
        coil_list_remove(&call->link);
        coil_list_append(&pipeline->oneways, &call->link);
    } else {
        pipeline->stats.calls++;
        call->seqid = seqid;
        *pipeline_slot_of(pipeline, seqid) = (struct coil_thrift_slot){call, seqid};
    }
    coil_waiter_grant_all(&pipeline->writer, 0);
    return 0;
}

/* It cannot be sent; and none behind it, if it was a part of what they refer to. */
static void give_up(pipeline_call *call, int error)
{
    coil_thrift_pipeline *pipeline = call->pipeline;

    pipeline_settle(call, error);
    if (!pipeline->wire->transport.is_torn)
        return;
    (void)pipeline_fail(pipeline, error, "the compressed stream has lost a call");
    coil_receiver_fail(pipeline->stream, error); /* For those who read and write. */
}

/* What the server can be told of the time that there is. */
static coil_time deadline_of(const coil_thrift_pipeline *pipeline, const coil_task *task)
{
    const bool tells = pipeline->options.transport == COIL_THRIFT_TRANSPORT_HEADER;
    return tells ? coil_task_deadline(task) : COIL_NEVER;
}

/* Why no call can be made, or 0. */
static int refusal_of(const coil_thrift_pipeline *pipeline)
{
    if (pipeline->error != 0)
        return -ENOTCONN;
    return pipeline->is_finishing ? -ESHUTDOWN : 0;
}

static void begin(
        pipeline_call *call, coil_thrift_pipeline *pipeline, coil_thrift_invocation *invocation)
{
    *call = (pipeline_call){.pipeline = pipeline, .invocation = invocation};
    coil_list_init(&call->link);
    coil_list_init(&call->waiter);
    if (coil_thrift_pipeline_has_room(pipeline)) {
        pipeline_take_room(call);
    } else {
        call->is_waiting = true;
        pipeline->stats.waiting++;
        coil_list_append(&pipeline->waiting, &call->link);
    }
}

coil_define(int, pipeline_exchange, (coil_thrift_pipeline *) pipeline,
        (coil_thrift_invocation *) invocation)
{
    coil_vars(pipeline_call call; int rc);

    my->rc = refusal_of(pipeline);
    if (my->rc < 0)
        return my->rc;
    begin(&my->call, pipeline, invocation);
    if (my->call.is_waiting)
        coil_attempt(pipeline_sleep(&my->call));
    if (my->call.pipeline == NULL)
        return my->call.outcome; /* The connection has failed since there was room. */
    if (!coil_task_cancelling(coil_self)) {
        my->rc = dispatch(&my->call, deadline_of(pipeline, coil_self));
        if (my->rc < 0) {
            give_up(&my->call, my->rc);
            return my->rc;
        }
    }
    coil_await(my->rc, pipeline_sleep(&my->call));
    return my->rc;
}

coil_duration pipeline_limit_of(
        const coil_thrift_pipeline_options *options, const coil_thrift_invocation *invocation)
{
    const coil_thrift_timeout *timeouts = options->timeouts;
    coil_duration limit = COIL_FOREVER;

    if (invocation->timeout > 0)
        return invocation->timeout;
    for (uint32_t i = 0; i < options->timeout_count; i++) {
        if (timeouts[i].method == NULL) {
            limit = timeouts[i].limit;
        } else if (strcmp(timeouts[i].method, invocation->method->name) == 0) {
            return timeouts[i].limit;
        }
    }
    return limit;
}

coil_async(int, invoke, (coil_thrift_invocation *) invocation)
{
    coil_vars(int rc);
    coil_thrift_pipeline *pipeline =
            coil_container_of(invocation->channel, coil_thrift_pipeline, channel);
    const coil_duration limit = pipeline_limit_of(&pipeline->options, invocation);

    invocation->was_sent = false;
    if (limit == COIL_FOREVER) {
        coil_await(my->rc, pipeline_exchange(pipeline, invocation));
    } else {
        coil_await(my->rc, coil_within(limit, pipeline_exchange(pipeline, invocation)));
    }
    return my->rc;
}

/* ---------------------------------------------------------------------------------- writing -- */

/* What was called since the last time is to leave now. An error is in size_bytes. */
static coil_slice take_frames(coil_thrift_pipeline *pipeline)
{
    const coil_thrift_writer empty = pipeline->leaving;
    coil_thrift_text bytes;

    pipeline->leaving = pipeline->filling;
    pipeline->filling = empty;
    pipeline->handed_bytes = pipeline->begun_bytes;
    bytes = (coil_thrift_text){(const char *)pipeline->leaving.bytes, pipeline->leaving.size};
    const int rc = thrift_transport_pack(&pipeline->wire->transport, bytes, &bytes);
    return rc < 0 ? (coil_slice){rc, NULL, NULL} : coil_bytes(bytes.bytes, bytes.size);
}

static void have_written(coil_thrift_pipeline *pipeline)
{
    coil_list *oneways = &pipeline->oneways;

    pipeline->written_bytes = pipeline->handed_bytes;
    if (pipeline->leaving.size > KEEP_BYTES)
        coil_thrift_writer_fini(&pipeline->leaving);
    coil_thrift_writer_reset(&pipeline->leaving);
    while (!coil_list_empty(oneways)) {
        pipeline_call *first = coil_container_of(oneways->next, pipeline_call, link);
        if (first->end_bytes > pipeline->written_bytes)
            break;
        pipeline_settle_oneway(first);
    }
    pipeline_admit(pipeline);
}

/* Nothing is to be written for now. */
coil_async(int, wait_for_calls, (coil_thrift_pipeline *) pipeline)
{
    coil_vars(int rc);

    if (pipeline->oneways_due == 0) {
        coil_ignore(coil_waiter_wait(&pipeline->writer));
        return 0;
    }
    coil_await(my->rc, coil_within(pipeline->options.oneway_answer_limit,
                               coil_waiter_wait(&pipeline->writer)));
    if (my->rc == -ETIME && pipeline->oneways_due > 0)
        (void)pipeline_use_up(pipeline, "the server has not answered a oneway call");
    return 0;
}

coil_async(int, write_calls, (coil_thrift_pipeline *) pipeline)
{
    coil_vars(coil_slice frames; int rc);

    for (;;) {
        while (pipeline->filling.size == 0) {
            if (pipeline->error != 0)
                return pipeline->error;
            if (pipeline->is_finishing && pipeline_is_empty(pipeline))
                return 0;
            coil_ignore(wait_for_calls(pipeline));
        }
        my->frames = take_frames(pipeline);
        if (my->frames.size_bytes < 0)
            return pipeline_fail(pipeline, (int)my->frames.size_bytes, "calls cannot be packed");
        coil_await(my->rc, coil_write_all(pipeline->stream, my->frames));
        if (my->rc < 0)
            return pipeline_fail(pipeline, my->rc, "the server does not take calls any more");
        have_written(pipeline);
    }
}

/* -------------------------------------------------------------------------------- lifecycle -- */

static int open_wire(coil_thrift_pipeline *pipeline)
{
    const coil_thrift_pipeline_options *options = &pipeline->options;
    const bool is_header = options->transport == COIL_THRIFT_TRANSPORT_HEADER;
    struct coil_thrift_wire *wire = calloc(1, sizeof(*wire));

    if (wire == NULL)
        return -ENOMEM;
    wire->dialect = (thrift_dialect){
            .transport = options->transport,
            .protocol = options->protocol,
            .zlib = options->zlib && !is_header,
            .zlib_inside = options->zlib_inside,
            .zlib_alone = options->zlib && is_header,
            .host = options->http_host == NULL ? "localhost" : options->http_host,
            .path = options->http_path,
    };
    wire->is_plain = options->transport == COIL_THRIFT_TRANSPORT_FRAMED && !options->zlib_inside;
    thrift_transport_init_client(&wire->transport, &wire->dialect, options->limits);
    pipeline->wire = wire;
    return 0;
}

static void set_defaults(coil_thrift_pipeline_options *options)
{
    const bool is_http = options->transport == COIL_THRIFT_TRANSPORT_HTTP;

    set_default(&options->calls_max, is_http ? 1 : CALLS_MAX);
    set_default(&options->unanswered_max, UNANSWERED_MAX);
    set_default_duration(&options->oneway_answer_limit, coil_s(ONEWAY_ANSWER_S));
    if (options->unsent_bytes_max == 0)
        options->unsent_bytes_max = UNSENT_BYTES_MAX;
}

static void open_writer(coil_thrift_writer *writer, const coil_thrift_pipeline_options *options)
{
    coil_thrift_writer_init(writer, options->limits);
    coil_thrift_writer_set_protocol(writer, options->protocol);
}

int coil_thrift_pipeline_init(coil_thrift_pipeline *pipeline, coil_stream *stream,
        const coil_thrift_pipeline_options *options)
{
    *pipeline = (coil_thrift_pipeline){
            .channel = {coil_handler(invoke, coil_thrift_invocation *)},
            .stream = stream,
    };
    if (options != NULL)
        pipeline->options = *options;
    set_defaults(&pipeline->options);
    open_writer(&pipeline->filling, &pipeline->options);
    open_writer(&pipeline->leaving, &pipeline->options);
    coil_list_init(&pipeline->waiting);
    coil_list_init(&pipeline->calls);
    coil_list_init(&pipeline->oneways);
    coil_list_init(&pipeline->writer);
    return open_wire(pipeline);
}

void coil_thrift_pipeline_fini(coil_thrift_pipeline *pipeline)
{
    if (pipeline->wire == NULL)
        return;
    (void)pipeline_fail(pipeline, -ESHUTDOWN, "it was closed");
    thrift_transport_fini(&pipeline->wire->transport);
    free(pipeline->wire);
    pipeline->wire = NULL;
    coil_thrift_writer_fini(&pipeline->filling);
    coil_thrift_writer_fini(&pipeline->leaving);
    free(pipeline->slots);
    pipeline->slots = NULL;
    pipeline->slot_count = 0;
}

void coil_thrift_pipeline_finish(coil_thrift_pipeline *pipeline)
{
    pipeline->is_finishing = true;
    pipeline_admit(pipeline);
}

const char *coil_thrift_pipeline_what(const coil_thrift_pipeline *pipeline)
{
    return pipeline->what;
}

/* Whichever direction fails first ends the other, and says why. */
coil_define(int, coil_thrift_pipeline_run, (coil_thrift_pipeline *) pipeline)
{
    coil_vars(coil_group reader; int rc);

    coil_defer((void)pipeline_fail(pipeline, -ESHUTDOWN, "it was closed"));
    coil_open_group(&my->reader);
    coil_spawn(&my->reader, pipeline_read(pipeline));
    coil_await(my->rc, write_calls(pipeline));
    return pipeline->is_used_up ? 0 : my->rc;
}
