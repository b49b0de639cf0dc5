/* SPDX-License-Identifier: MIT */
#include "counter.h"

#include <coil/sugar.h>

enum { ARENA_BYTES = 64 * 1024 /* What a reply may take. */ };

/* A channel with a connection for each call: a replica is often another process by the next one. */
typedef struct caller {
    coil_thrift_channel channel;
    const char *address;
    coil_arena arena;
} caller;

async(int, call_once, (coil_thrift_invocation *) invocation)
{
    vars(coil_stream *stream; coil_thrift_pipeline pipeline; coil_group group);

    const caller *self = coil_container_of(invocation->channel, caller, channel);
    attempt(my->stream, coil_connect(self->address));
    defer(coil_stream_close(my->stream));
    const int rc = coil_thrift_pipeline_init(&my->pipeline, my->stream, NULL);
    if (rc < 0)
        return rc;
    defer(coil_thrift_pipeline_fini(&my->pipeline));
    open_group(&my->group);
    my->group.keep_going = true; /* What ends the connection is the error of the call, too. */
    spawn(&my->group, coil_thrift_pipeline_run(&my->pipeline));
    attempt(coil_thrift_invoke(&my->pipeline.channel, invocation));
    return 0;
}

static void caller_init(caller *self, const char *address)
{
    self->channel.invoke = coil_handler(call_once, coil_thrift_invocation *);
    self->address = address;
    coil_arena_init(&self->arena, ARENA_BYTES);
}

coil_define(int, counter_increment, (const char *) address, (int64_t) client, (int64_t) number)
{
    vars(caller replica; counter_Counter_increment_result result);

    caller_init(&my->replica, address);
    defer(coil_arena_fini(&my->replica.arena));
    attempt(counter_Counter_increment(&my->replica.channel,
            (counter_Counter_increment_arguments){.client = client, .number = number},
            &my->replica.arena, &my->result));
    return 0;
}

coil_define(int64_t, counter_value, (const char *) address)
{
    vars(caller replica; counter_Counter_value_result result);

    caller_init(&my->replica, address);
    defer(coil_arena_fini(&my->replica.arena));
    attempt(counter_Counter_value(&my->replica.channel, &my->replica.arena, &my->result));
    return my->result.success;
}

coil_define(int, counter_merge, (const char *) address, (const counter_table *) table,
        (counter_table *) answer)
{
    vars(caller replica; counter_Counter_merge_arguments arguments;
            counter_Counter_merge_result result);

    caller_init(&my->replica, address);
    defer(coil_arena_fini(&my->replica.arena));
    const int rc = counter_list(table, &my->replica.arena, &my->arguments.entries);
    if (rc < 0)
        return rc;
    attempt(counter_Counter_merge(
            &my->replica.channel, my->arguments, &my->replica.arena, &my->result));
    return counter_raise_all(answer, my->result.success);
}
