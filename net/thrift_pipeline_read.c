/* SPDX-License-Identifier: MIT */
#include "thrift_pipeline_private.h"

#include <errno.h>
#include <stdio.h>

enum { WHAT_BYTES = 160, NAME_SHOWN = 60 };

static const char last_words[] = "the server ends it with this reply"; /* So HTTP has said. */

/* ------------------------------------------------------------------------------ one outcome -- */

static int no_room_in(const coil_arena *arena, size_t size_bytes)
{
    const size_t taken_bytes = coil_arena_taken(arena);
    return size_bytes > arena->limit_bytes - taken_bytes ? -ENOBUFS : -ENOMEM;
}

/*
 * Read the message anew, from a copy in the arena: its texts are to stay when the bytes that have
 * arrived are gone. The first reader has seen that it has a header.
 */
static int keep(const thrift_envelope *envelope, const coil_thrift_limits *limits,
        coil_arena *arena, coil_thrift_reader *out_reader)
{
    coil_thrift_message ignored;

    char *copy = coil_arena_take(arena, envelope->size, 1);
    if (copy == NULL)
        return no_room_in(arena, envelope->size);
    memcpy(copy, envelope->message, envelope->size);
    coil_thrift_reader_init_as(
            out_reader, envelope->kind.protocol, copy, envelope->size, limits, arena);
    return coil_thrift_read_message(out_reader, &ignored) ? 0
                                                          : coil_thrift_reader_finish(out_reader);
}

/* The exception that all services have. Without an arena its text is lost. */
static int take_exception(coil_thrift_invocation *invocation, coil_thrift_reader *reader)
{
    coil_thrift_read_exception(reader, &invocation->exception);
    if (invocation->arena == NULL)
        invocation->exception.message = (coil_thrift_text){NULL, 0};
    int rc = coil_thrift_reader_finish(reader);
    return rc < 0 ? rc : -EREMOTEIO;
}

/* A method that is not void has the field 0. */
static const coil_thrift_field_schema *success_of(const coil_thrift_struct_schema *result)
{
    for (uint32_t i = 0; i < result->field_count; i++) {
        if (result->fields[i].id == 0)
            return &result->fields[i];
    }
    return NULL;
}

/* Nobody wants the result: all that is looked at is which field it has. */
static int skim_result(const coil_thrift_method_schema *method, coil_thrift_reader *reader)
{
    int rc = success_of(method->result) == NULL ? 0 : -ENOMSG;
    coil_thrift_field field;

    while (coil_thrift_read_field(reader, &field)) {
        if (rc != -EREMOTEIO)
            rc = field.id == 0 ? 0 : -EREMOTEIO;
    }
    int error = coil_thrift_reader_finish(reader);
    return error < 0 ? error : rc;
}

static int take_result(coil_thrift_invocation *invocation, coil_thrift_reader *reader)
{
    const coil_thrift_method_schema *method = invocation->method;
    const coil_thrift_struct_schema *schema = method->result;

    if (invocation->result == NULL)
        return skim_result(method, reader);
    (void)coil_thrift_read_fields(reader, invocation->arena, schema, invocation->result);
    int rc = coil_thrift_reader_finish(reader);
    if (rc < 0)
        return rc;
    if (coil_thrift_declared_exception(method, invocation->result) != NULL)
        return -EREMOTEIO;
    const coil_thrift_field_schema *success = success_of(schema);
    if (success == NULL)
        return 0;
    const uint32_t *has = (const void *)((const char *)invocation->result + schema->has_offset);
    const uint32_t index = (uint32_t)(success - schema->fields);
    return (has[index / 32] & 1u << index % 32) != 0 ? 0 : -ENOMSG;
}

static int take_outcome(coil_thrift_invocation *invocation, const thrift_envelope *envelope,
        coil_thrift_reader *reader, bool is_exception)
{
    const bool needs_arena = is_exception || (invocation->result != NULL &&
                                                     invocation->method->result->field_count > 0);

    COIL_CHECK(invocation->arena != NULL || invocation->result == NULL);
    if (needs_arena && invocation->arena != NULL) {
        int rc = keep(envelope, reader->limits, invocation->arena, reader);
        if (rc < 0)
            return rc;
    }
    return is_exception ? take_exception(invocation, reader) : take_result(invocation, reader);
}

/* ---------------------------------------------------------------------------- whose reply -- */

/* The methods of a service answer by their own name, whatever they were called. */
static bool is_of(const coil_thrift_message *reply, const coil_thrift_method_schema *method)
{
    coil_thrift_text name = reply->name;
    const char *colon = name.size == 0 ? NULL : memchr(name.bytes, ':', name.size);

    if (colon != NULL) {
        name.size -= (uint32_t)(colon + 1 - name.bytes);
        name.bytes = colon + 1;
    }
    return coil_thrift_text_is(name, method->name);
}

static int shown(coil_thrift_text text)
{
    return text.size > NAME_SHOWN ? NAME_SHOWN : (int)text.size;
}

static int refuse(coil_thrift_pipeline *pipeline, const coil_thrift_message *reply, const char *why)
{
    char what[WHAT_BYTES];

    (void)snprintf(what, sizeof(what), "a reply to call %d of '%.*s', %s", (int)reply->seqid,
            shown(reply->name), reply->name.bytes, why);
    return pipeline_fail(pipeline, -EBADMSG, what);
}

/* An exception without a number is about what came first. */
static struct coil_thrift_slot *slot_of(
        const coil_thrift_pipeline *pipeline, const coil_thrift_message *reply)
{
    if (reply->seqid != 0 || reply->type != COIL_THRIFT_EXCEPTION ||
            coil_list_empty(&pipeline->calls))
        return pipeline_find_slot(pipeline, reply->seqid);
    const pipeline_call *oldest = coil_container_of(pipeline->calls.next, pipeline_call, link);
    return pipeline_find_slot(pipeline, oldest->seqid);
}

/* The reply of a call that was abandoned: its number is free. */
static void drop_late(coil_thrift_pipeline *pipeline, struct coil_thrift_slot *slot)
{
    pipeline_free_slot(slot);
    pipeline->stats.unanswered--;
    pipeline->stats.late++;
}

/* The call has its reply, and its number is free. */
static inline void take_answered(
        coil_thrift_pipeline *pipeline, struct coil_thrift_slot *slot, const pipeline_call *call)
{
    pipeline_free_slot(slot);
    pipeline->stats.answered++;
    call->invocation->was_sent = true;
}

/* Give the reply to its call. 0, or what is wrong with the connection. */
static int deliver(coil_thrift_pipeline *pipeline, const thrift_envelope *envelope,
        coil_thrift_reader *reader, const coil_thrift_message *reply)
{
    const bool is_exception = reply->type == COIL_THRIFT_EXCEPTION;

    if (reply->type != COIL_THRIFT_REPLY && !is_exception)
        return refuse(pipeline, reply, "which is itself a call");
    struct coil_thrift_slot *slot = slot_of(pipeline, reply);
    if (slot == NULL)
        return refuse(pipeline, reply, "which was never made, or has had its reply");
    pipeline_call *call = slot->call;
    if (call == NULL) {
        drop_late(pipeline, slot);
        return 0;
    }
    coil_thrift_invocation *invocation = call->invocation;
    if (!is_exception && !is_of(reply, invocation->method))
        return refuse(pipeline, reply, "which was of another method");
    take_answered(pipeline, slot, call);
    pipeline_settle(call, take_outcome(invocation, envelope, reader, is_exception));
    return 0;
}

/* The call that has waited longest, as numbers are drawn; NULL: none. */
static struct coil_thrift_slot *oldest_slot(const coil_thrift_pipeline *pipeline)
{
    struct coil_thrift_slot *oldest = NULL;
    int32_t most_drawn_since = -1;

    for (uint32_t i = 0; i < pipeline->slot_count; i++) {
        struct coil_thrift_slot *slot = &pipeline->slots[i];
        if (slot->seqid == 0)
            continue;
        int32_t drawn_since = pipeline->seqid - slot->seqid;
        if (drawn_since < 0) /* They have begun again from 1. */
            drawn_since += INT32_MAX;
        if (drawn_since > most_drawn_since) {
            most_drawn_since = drawn_since;
            oldest = slot;
        }
    }
    return oldest;
}

/* HTTP answers oneway calls, too: with nothing. So may a server other calls, in their order. */
static int take_nothing(coil_thrift_pipeline *pipeline)
{
    if (pipeline->oneways_due > 0) {
        pipeline->oneways_due--;
        pipeline_admit(pipeline);
        return 0;
    }
    struct coil_thrift_slot *slot = oldest_slot(pipeline);
    if (slot == NULL)
        return 0;
    pipeline_call *call = slot->call;
    if (call == NULL) {
        drop_late(pipeline, slot);
        return 0;
    }
    take_answered(pipeline, slot, call);
    pipeline_settle(call, -ENOMSG);
    return 0;
}

static int take_message(coil_thrift_pipeline *pipeline, const thrift_envelope *envelope)
{
    coil_thrift_reader reader;
    coil_thrift_message reply;
    char what[WHAT_BYTES];

    if (envelope->size == 0)
        return take_nothing(pipeline);
    coil_thrift_reader_init_as(&reader, envelope->kind.protocol, envelope->message, envelope->size,
            pipeline->options.limits, NULL);
    if (coil_thrift_read_message(&reader, &reply))
        return deliver(pipeline, envelope, &reader, &reply);
    return pipeline_fail(pipeline, coil_thrift_reader_finish(&reader),
            coil_thrift_reader_what(&reader, what, sizeof(what)));
}

/* ---------------------------------------------------------------------------------- reading -- */

/*
 * Take all messages that are whole of what has come: how many bytes they are, or an error.
 * `*out_wanted_bytes`: so many from there on are needed to go on.
 */
static int64_t take_messages(
        coil_thrift_pipeline *pipeline, const coil_slice *seen, size_t *out_wanted_bytes)
{
    const uint8_t *bytes = (const uint8_t *)seen->bytes;
    const size_t size_bytes = (size_t)seen->size_bytes;
    thrift_transport *transport = &pipeline->wire->transport;
    thrift_envelope envelope;
    char what[WHAT_BYTES];
    size_t taken_bytes = 0;
    int rc;

    do {
        rc = thrift_transport_next(
                transport, bytes + taken_bytes, size_bytes - taken_bytes, &envelope);
        if (rc < 0) {
            return pipeline_fail(
                    pipeline, rc, thrift_transport_what(transport, what, sizeof(what)));
        }
        if (rc > 0 && take_message(pipeline, &envelope) < 0)
            return pipeline->error;
        if (rc > 0 && envelope.kind.last)
            return pipeline_use_up(pipeline, last_words);
        taken_bytes += transport->taken;
    } while (rc > 0);
    *out_wanted_bytes = transport->wanted > 0 ? transport->wanted : 1;
    thrift_transport_rest(transport);
    return (int64_t)taken_bytes;
}

/* Nothing more comes, and this is left: it may be the end of a message. */
static int end_with(coil_thrift_pipeline *pipeline, const coil_slice *rest)
{
    const size_t size_bytes = rest->size_bytes > 0 ? (size_t)rest->size_bytes : 0;
    thrift_envelope envelope;

    int rc = thrift_transport_end(
            &pipeline->wire->transport, (const uint8_t *)rest->bytes, size_bytes, &envelope);
    if (rc > 0) { /* A reply by HTTP/1.0, whose end was this. */
        rc = take_message(pipeline, &envelope);
        return rc < 0 ? pipeline->error : pipeline_use_up(pipeline, last_words);
    }
    if (rc < 0)
        return pipeline_fail(pipeline, rc, "the server has ended the connection within a reply");
    return pipeline_fail(pipeline, -ENOTCONN, "the server has ended the connection");
}

/* A read has had this result in place of bytes. */
coil_async(int, end_reading, (coil_thrift_pipeline *) pipeline, (int64_t) result)
{
    coil_vars(coil_slice rest);

    if (result < 0 && result != -ENODATA)
        return pipeline_fail(pipeline, (int)result, coil_error_text((int)result));
    if (result == -ENODATA)
        coil_await(my->rest, coil_peek(pipeline->stream, 1));
    int rc = end_with(pipeline, &my->rest);
    coil_slice_release(&my->rest);
    return rc;
}

coil_define(int, pipeline_read, (coil_thrift_pipeline *) pipeline)
{
    coil_vars(coil_slice seen; size_t wanted_bytes; int64_t taken_bytes; int rc);

    my->wanted_bytes = 1;
    for (;;) {
        coil_await(my->seen, coil_peek(pipeline->stream, my->wanted_bytes));
        if (my->seen.size_bytes <= 0) {
            coil_await(my->rc, end_reading(pipeline, my->seen.size_bytes));
            return pipeline->is_used_up ? 0 : my->rc;
        }
        my->taken_bytes = pipeline->error; /* Then its calls are gone. */
        if (pipeline->error == 0)
            my->taken_bytes = take_messages(pipeline, &my->seen, &my->wanted_bytes);
        coil_slice_release(&my->seen);
        if (my->taken_bytes < 0)
            return pipeline->is_used_up ? 0 : (int)my->taken_bytes;
        if (my->taken_bytes > 0) {
            coil_await(my->seen, coil_read_block(pipeline->stream, (size_t)my->taken_bytes));
            coil_slice_release(&my->seen);
        }
    }
}
