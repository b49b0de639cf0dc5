/* SPDX-License-Identifier: MIT */
#include <coil/thrift_service.h>

const coil_thrift_method_schema *coil_thrift_find_method(
        const coil_thrift_service_schema *schema, coil_thrift_text name)
{
    for (; schema != NULL; schema = schema->parent) {
        for (uint32_t i = 0; i < schema->method_count; i++) {
            if (coil_thrift_text_is(name, schema->methods[i].name))
                return &schema->methods[i];
        }
    }
    return NULL;
}

const coil_thrift_field_schema *coil_thrift_declared_exception(
        const coil_thrift_method_schema *method, const void *result)
{
    const coil_thrift_struct_schema *schema = method->result;

    if (schema == NULL)
        return NULL;
    const uint32_t *has = (const void *)((const char *)result + schema->has_offset);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (schema->fields[i].id != 0 && (has[i / 32] & 1u << i % 32) != 0)
            return &schema->fields[i];
    }
    return NULL;
}

coil_define(int, coil_thrift_invoke, (coil_thrift_channel *) channel,
        (coil_thrift_invocation *) invocation)
{
    coil_vars(int rc);

    invocation->channel = channel;
    coil_await(my->rc, coil_handler_call(channel->invoke, invocation));
    return my->rc;
}

coil_async(int, name_service, (coil_thrift_invocation *) invocation)
{
    coil_vars(int rc);
    const coil_thrift_multiplexed *self =
            coil_container_of(invocation->channel, coil_thrift_multiplexed, channel);

    invocation->service = self->service;
    coil_await(my->rc, coil_thrift_invoke(self->next, invocation));
    return my->rc;
}

void coil_thrift_multiplex(
        coil_thrift_multiplexed *multiplexed, coil_thrift_channel *next, const char *service)
{
    multiplexed->channel.invoke = coil_handler(name_service, coil_thrift_invocation *);
    multiplexed->next = next;
    multiplexed->service = service;
}
