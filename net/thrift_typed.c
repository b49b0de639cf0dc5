/* SPDX-License-Identifier: MIT */
#include "thrift_server_private.h"

#include <errno.h>

enum {
    ALIGNMENT = 16,
    DECODE_BYTES = 40 * 1024,   /* What a message may become, */
    DECODE_FACTOR = 6,          /* and so much for each of its bytes. */
    INFLATED_BYTES = 16 * 1024, /* Compressed ones count as if they had been at most so large, */
    INFLATED_FACTOR = 8,        /* and so much more for each byte that came. */
    ARENA_BYTES = 64 * 1024 * 1024,
};

size_t thrift_arena_max(const coil_thrift_server *server)
{
    return server->arena_max > 0 ? server->arena_max : ARENA_BYTES;
}

static void *at(void *typed, uint32_t offset)
{
    return (char *)typed + offset;
}

uint32_t thrift_charge_copied(const thrift_envelope *envelope)
{
    const uint64_t inflated_max =
            INFLATED_BYTES + (uint64_t)INFLATED_FACTOR * envelope->deflated_size;

    if (!envelope->inflated)
        return envelope->size - envelope->size / DECODE_FACTOR; /* The copy is the rest. */
    return envelope->size < inflated_max ? envelope->size : (uint32_t)inflated_max;
}

/*
 * The arguments may take so much, and then the handler the rest. What a peer sends can cost many
 * times its size: an empty struct is one byte on the wire. With what it takes to receive a message,
 * at most twice its size, it is no more than 64 KiB and 8 times as much as was sent.
 */
static int read_arguments(coil_thrift_call *call, size_t charged_bytes, void *arguments)
{
    coil_arena *arena = call->arena;
    const size_t whole_max = arena->limit_bytes;
    size_t decode_max = call->server->decode_max;

    if (decode_max == 0)
        decode_max = DECODE_BYTES + DECODE_FACTOR * charged_bytes;
    decode_max += coil_arena_taken(arena);
    if (decode_max < whole_max)
        coil_arena_set_limit(arena, decode_max);
    (void)coil_thrift_read_fields(
            &call->arguments, arena, call->method->schema->arguments, arguments);
    coil_arena_set_limit(arena, whole_max);
    return coil_thrift_reader_finish(&call->arguments);
}

int thrift_typed_begin(coil_thrift_call *call, size_t charged_bytes, void **out_typed)
{
    const coil_thrift_method_schema *schema = call->method->schema;

    void *typed = coil_arena_take(call->arena, schema->call_bytes, ALIGNMENT);
    if (typed == NULL)
        return -ENOMEM;
    memcpy(typed, &call, sizeof(call));
    int rc = read_arguments(call, charged_bytes, at(typed, schema->arguments_offset));
    if (rc < 0)
        return rc;
    if (schema->result != NULL)
        coil_thrift_init_value(schema->result, at(typed, schema->result_offset));
    if (schema->is_oneway)
        coil_thrift_no_reply(call);
    *out_typed = typed;
    return 0;
}

/* There is a result, or an exception; but not both, whatever the handler has set. */
static void set_success(const coil_thrift_struct_schema *schema, uint32_t *has, bool has_failed)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (schema->fields[i].id != 0)
            continue;
        if (has_failed) {
            has[i / 32] &= ~(1u << i % 32);
        } else {
            has[i / 32] |= 1u << i % 32;
        }
        return;
    }
}

const coil_thrift_field_schema *thrift_typed_end(
        const coil_thrift_call *call, coil_thrift_writer *writer, void *typed)
{
    const coil_thrift_method_schema *method = call->method->schema;
    const coil_thrift_struct_schema *schema = method->result;
    void *result = at(typed, method->result_offset);

    if (schema == NULL) {
        coil_thrift_write_stop(writer);
        return NULL;
    }
    const coil_thrift_field_schema *declared = coil_thrift_declared_exception(method, result);
    set_success(schema, at(result, schema->has_offset), declared != NULL);
    coil_thrift_write_fields(writer, schema, result);
    return declared;
}
