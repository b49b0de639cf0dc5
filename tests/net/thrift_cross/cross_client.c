/* SPDX-License-Identifier: MIT */
/*
 * cross_client - calls what Apache Thrift's cross tests call, and exits with 0 if all results are
 * right. It takes the options of Apache's test clients.
 */
#include "cross_calls.h"
#include "cross_options.h"

#include <coil/coil.h>
#include <coil/thrift_pool.h>

#include <stdio.h>

#include <coil/sugar.h>

typedef struct cross_client {
    const cross_options *options;
    coil_stream *stream;
    coil_pool_hooks hooks;
    coil_thrift_pipeline pipeline;
    coil_thrift_multiplexed first;
    coil_thrift_multiplexed second;
} cross_client;

#ifdef CROSS_TLS
async(int, secure, (const cross_options *) options, (coil_stream **) stream)
{
    vars(coil_tls_context *tls; coil_tls_failure failure; int rc);

    if (!options->ssl)
        return 0;
    if (cross_tls_client(options, &my->tls) < 0)
        return -EINVAL;
    defer(coil_tls_context_destroy(my->tls));
    await(my->rc, coil_tls_connect(stream, my->tls, options->host, &my->failure));
    if (my->rc < 0)
        fprintf(stderr, "cross_client: the handshake failed: %s\n", my->failure.text);
    return my->rc;
}

async(int, secure_pooled, (coil_pooled *) pooled)
{
    vars();
    const cross_client *self = coil_container_of(pooled->hooks, cross_client, hooks);
    attempt(secure(self->options, &pooled->stream));
    return 0;
}
#endif

/* How many results were not as they should be. */
async(int, call, (cross_client *) self, (coil_thrift_channel *) channel)
{
    vars(unsigned i; int failures; int rc);

    coil_thrift_multiplex(&self->first, channel, "ThriftTest");
    coil_thrift_multiplex(&self->second, channel, "SecondService");
    for (my->i = 0; my->i < self->options->count; my->i++) {
        attempt(my->rc,
                cross_call_everything(self->options->multiplexed ? &self->first.channel : channel,
                        self->options->string_limit));
        my->failures += my->rc;
        if (!self->options->multiplexed)
            continue;
        attempt(my->rc, cross_call_second_service(&self->second.channel));
        my->failures += my->rc;
    }
    return my->failures;
}

/* With frames and HTTP, Apache's programs compress what is inside; but not those in Python. */
static coil_thrift_pipeline_options wanted(const cross_options *options)
{
    const bool has_inside =
            !options->zlib_around && (options->transport == COIL_THRIFT_TRANSPORT_FRAMED ||
                                             options->transport == COIL_THRIFT_TRANSPORT_HTTP);

    return (coil_thrift_pipeline_options){
            .protocol = options->protocol,
            .transport = options->transport,
            .zlib = options->zlib && !has_inside,
            .zlib_inside = options->zlib && has_inside,
            .http_host = options->host,
            .http_path = "/service",
    };
}

/* Over one connection. */
async(int, call_one, (cross_client *) self, (const char *) address)
{
    vars(coil_group group; coil_task *running; int rc);

    attempt(self->stream, coil_connect(address));
    defer(coil_stream_close(self->stream));
#ifdef CROSS_TLS
    attempt(secure(self->options, &self->stream));
#endif
    const coil_thrift_pipeline_options options = wanted(self->options);
    if (coil_thrift_pipeline_init(&self->pipeline, self->stream, &options) < 0)
        return -ENOMEM;
    defer(coil_thrift_pipeline_fini(&self->pipeline));
    open_group(&my->group);
    my->running = spawn(&my->group, coil_thrift_pipeline_run(&self->pipeline));
    if (my->running == NULL)
        return -ENOMEM;
    await(my->rc, call(self, &self->pipeline.channel));
    coil_thrift_pipeline_finish(&self->pipeline);
    return my->rc;
}

/* Over as many as it takes: HTTP servers may end a connection after each answer. */
async(int, call_pool, (cross_client *) self, (const char *) address)
{
    vars(coil_thrift_pool *pool; int rc);
    const coil_thrift_pool_options options = {
            .pipeline = wanted(self->options), .balancer.pool.hooks = &self->hooks};

#ifdef CROSS_TLS
    self->hooks.prepare = coil_handler(secure_pooled, coil_pooled *);
#endif
    if (coil_thrift_pool_create(coil_loop_current(), address, &options, &my->pool) < 0)
        return -EINVAL;
    defer(coil_thrift_pool_destroy(my->pool));
    await(my->rc, call(self, coil_thrift_pool_channel(my->pool)));
    return my->rc;
}

/* (Tasks of the pool end behind the task that has destroyed it, and know its hooks.) */
static cross_client client;

async(int, run, (const cross_options *) options)
{
    vars(char address[300]; int rc);

    client.options = options;
    cross_address(options, options->host, my->address, sizeof(my->address));
    if (options->transport == COIL_THRIFT_TRANSPORT_HTTP) {
        await(my->rc, call_pool(&client, my->address));
    } else {
        await(my->rc, call_one(&client, my->address));
    }
    return my->rc;
}

int main(int argc, char **argv)
{
    cross_options options;
    const int stop = cross_read_options(argc, argv, &options);

    if (stop != 0)
        return stop - 1;
    const int64_t rc = coil_run(run(&options));
    if (rc < 0)
        fprintf(stderr, "cross_client: %s\n", coil_error_text((int)rc));
    return rc != 0;
}
