/* SPDX-License-Identifier: MIT */
#include "thrift_pipeline_private.h"

#include <errno.h>
#include <stdio.h>

enum { WHAT_BYTES = 160, NAME_SHOWN = 60 };

/* ------------------------------------------------------------------------------ one outcome -- */

static int no_room_in(const coil_arena *arena, size_t size_bytes)
{
    const size_t taken_bytes = coil_arena_taken(arena);
    return size_bytes > arena->limit_bytes - taken_bytes ? -ENOBUFS : -ENOMEM;
}

/* From here on the texts of the message lie in the arena, as long as that. */
static int keep(coil_thrift_reader *reader, coil_arena *arena)
{
    char *copy = coil_arena_take(arena, reader->size, 1);
    if (copy == NULL)
        return no_room_in(arena, reader->size);
    memcpy(copy + reader->position, reader->bytes + reader->position,
            reader->size - reader->position);
    reader->bytes = (const uint8_t *)copy;
    return 0;
}

/* The exception that all services have. Without an arena its text is lost. */
static int take_exception(coil_thrift_invocation *invocation, coil_thrift_reader *reader)
{
    if (invocation->arena != NULL) {
        int rc = keep(reader, invocation->arena);
        if (rc < 0)
            return rc;
    }
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
    COIL_CHECK(invocation->arena != NULL);
    if (schema->field_count > 0) {
        int rc = keep(reader, invocation->arena);
        if (rc < 0)
            return rc;
    }
    (void)coil_thrift_read_fields(reader, invocation->arena, schema, invocation->result);
    int rc = coil_thrift_reader_finish(reader);
    if (rc < 0)
        return rc;
    if (coil_thrift_declared_exception(method, invocation->result) != NULL)
        return -EREMOTEIO;
    const coil_thrift_field_schema *success = success_of(schema);
    if (success == NULL)
        return 0;
    const uint32_t *has =
            (const void *)((const char *)invocation->result + schema->has_offset);
    const uint32_t index = (uint32_t)(success - schema->fields);
    return (has[index / 32] & 1u << index % 32) != 0 ? 0 : -ENOMSG;
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

/* Give the reply to its call. 0, or what is wrong with the connection. */
static int deliver(coil_thrift_pipeline *pipeline, coil_thrift_reader *reader,
        const coil_thrift_message *reply)
{
    if (reply->type != COIL_THRIFT_REPLY && reply->type != COIL_THRIFT_EXCEPTION)
        return refuse(pipeline, reply, "which is itself a call");
    struct coil_thrift_slot *slot = slot_of(pipeline, reply);
    if (slot == NULL)
        return refuse(pipeline, reply, "which was never made, or has had its reply");
    pipeline_call *call = slot->call;
    if (call == NULL) {
        pipeline_free_slot(slot);
        pipeline->stats.unanswered--;
        pipeline->stats.late++;
        return 0;
    }
    coil_thrift_invocation *invocation = call->invocation;
    if (reply->type == COIL_THRIFT_REPLY && !is_of(reply, invocation->method))
        return refuse(pipeline, reply, "which was of another method");
    pipeline_free_slot(slot);
    pipeline->stats.answered++;
    invocation->was_sent = true;
    pipeline_settle(call, reply->type == COIL_THRIFT_REPLY ? take_result(invocation, reader)
                                                           : take_exception(invocation, reader));
    return 0;
}

static int take_message(coil_thrift_pipeline *pipeline, const uint8_t *bytes, uint32_t size)
{
    coil_thrift_reader reader;
    coil_thrift_message reply;
    char what[WHAT_BYTES];

    coil_thrift_reader_init(&reader, bytes, size, pipeline->options.limits);
    if (coil_thrift_read_message(&reader, &reply))
        return deliver(pipeline, &reader, &reply);
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
    int64_t taken_bytes = 0;
    char what[WHAT_BYTES];

    *out_wanted_bytes = COIL_THRIFT_LENGTH_BYTES;
    while (seen->size_bytes - taken_bytes >= COIL_THRIFT_LENGTH_BYTES) {
        const uint8_t *frame = bytes + taken_bytes;
        const int size = coil_thrift_frame_size(frame, pipeline->options.limits);
        if (size < 0) {
            return pipeline_fail(pipeline, size,
                    coil_thrift_frame_what(frame, pipeline->options.limits, what, sizeof(what)));
        }
        if (seen->size_bytes - taken_bytes < COIL_THRIFT_LENGTH_BYTES + (int64_t)size) {
            *out_wanted_bytes = COIL_THRIFT_LENGTH_BYTES + (size_t)size;
            break;
        }
        const int rc = take_message(pipeline, frame + COIL_THRIFT_LENGTH_BYTES, (uint32_t)size);
        if (rc < 0)
            return rc;
        taken_bytes += COIL_THRIFT_LENGTH_BYTES + (int64_t)size;
    }
    return taken_bytes;
}

/* Nothing more comes: the words for it. */
static int end_of(coil_thrift_pipeline *pipeline, int64_t rc)
{
    if (rc == 0)
        return pipeline_fail(pipeline, -ENOTCONN, "the server has ended the connection");
    if (rc == -ENODATA)
        return pipeline_fail(pipeline, -ENODATA, "the server has ended it within a reply");
    return pipeline_fail(pipeline, (int)rc, coil_error_text((int)rc));
}

coil_define(int, pipeline_read, (coil_thrift_pipeline *) pipeline)
{
    coil_vars(coil_slice seen; size_t wanted_bytes; int64_t taken_bytes);

    my->wanted_bytes = COIL_THRIFT_LENGTH_BYTES;
    for (;;) {
        coil_await(my->seen, coil_peek(pipeline->stream, my->wanted_bytes));
        if (my->seen.size_bytes <= 0)
            return end_of(pipeline, my->seen.size_bytes);
        if (pipeline->error == 0) {
            my->taken_bytes = take_messages(pipeline, &my->seen, &my->wanted_bytes);
        } else {
            my->taken_bytes = pipeline->error; /* Its calls are gone. */
        }
        coil_slice_release(&my->seen);
        if (my->taken_bytes < 0)
            return (int)my->taken_bytes;
        if (my->taken_bytes > 0) {
            coil_await(my->seen, coil_read_block(pipeline->stream, (size_t)my->taken_bytes));
            coil_slice_release(&my->seen);
        }
    }
}
