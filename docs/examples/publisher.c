/* SPDX-License-Identifier: MIT */
/* publisher - a Thrift server: the PublisherService of publisher.thrift, which extends fb303. */
#include <coil/coil.h>
#include <coil/sugar.h>

#include <ctype.h>
#include <stdio.h>

#include "options.h"
#include "publisher_thrift.h"

struct publisher {
    publisher_PublisherService thrift;
    coil_fb303_service fb303;
    int32_t publisher_count;
    coil_event stopped;
};

static bool is_data_source(coil_thrift_text name)
{
    for (uint32_t i = 0; i < name.size; i++) {
        if (!isalnum((unsigned char)name.bytes[i]) && strchr(".-_", name.bytes[i]) == NULL)
            return false;
    }
    return name.size > 0;
}

async(int, start_publishers, (publisher_PublisherService_startPublishers_call *) call)
{
    vars();
    struct publisher *self =
            coil_container_of(call->context->service, struct publisher, thrift.service);
    const coil_thrift_text_list names = call->arguments.data_sources;

    for (uint32_t i = 0; i < names.count; i++) {
        if (is_data_source(names.items[i]))
            continue;
        call->result.error.message = coil_thrift_format(call->context->arena,
                "bad data source '%.*s'", (int)names.items[i].size, names.items[i].bytes);
        call->result.has.error = true;
        return 0;
    }
    self->publisher_count += (int32_t)names.count;
    fprintf(stderr, "started %u publishers, %d now run\n", names.count, self->publisher_count);
    (void)coil_fb303_service_set_counter(&self->fb303, "publishers", self->publisher_count);
    call->result.success = self->publisher_count;
    return 0;
}

static void shut_down(coil_fb303_service *fb303)
{
    coil_event_set(&coil_container_of(fb303, struct publisher, fb303)->stopped);
}

async(int, stop_on_signal, (struct publisher *) self)
{
    vars();
    attempt(coil_signal_wait(COIL_SIGNALS(SIGINT, SIGTERM)));
    coil_event_set(&self->stopped);
    return 0;
}

async(int, publish, (struct publisher *) self, (const char *) address)
{
    vars(coil_listener *listener; coil_thrift_service *services[2]; coil_thrift_server server;
            coil_group group);

    int rc = coil_listen(address, NULL, &my->listener);
    if (rc < 0) {
        fprintf(stderr, "publisher: cannot listen at %s: %s\n", address, coil_error_text(rc));
        return rc;
    }
    defer(coil_listener_close(my->listener));
    fprintf(stderr, "listening at %s\n", address);

    my->services[0] = &self->thrift.service;
    my->services[1] = &self->fb303.thrift; /* What the first has no handlers for. */
    my->server.services = my->services;
    my->server.service_count = 2;
    open_group(&my->group);
    spawn(&my->group, coil_thrift_serve(my->listener, &my->server));
    spawn(&my->group, stop_on_signal(self));
    await(coil_event_wait(&self->stopped));
    fprintf(stderr, "stopping after %lu calls\n", (unsigned long)my->server.stats.calls);
    return 0;
}

int main(int argc, char **argv)
{
    static const publisher_PublisherService_handlers handlers = {
            .startPublishers = publisher_PublisherService_startPublishers_handler(start_publishers),
    };
    struct publisher publisher = {.publisher_count = 0};
    char address[64];
    const struct options options = read_options(argc, argv,
            "publisher --port N\n\n"
            "Serve PublisherService and fb303 on 127.0.0.1:N, until SIGINT or SIGTERM.\n");

    snprintf(address, sizeof(address), "127.0.0.1:%u", options.port);
    coil_event_init(&publisher.stopped);
    publisher_PublisherService_init(&publisher.thrift, &handlers);
    coil_fb303_service_init(&publisher.fb303, "publisher", "1.0");
    publisher.fb303.shutdown = shut_down;
    int rc = coil_run(publish(&publisher, address));
    coil_fb303_service_fini(&publisher.fb303);
    return rc < 0;
}
