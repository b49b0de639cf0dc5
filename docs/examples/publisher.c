/* SPDX-License-Identifier: MIT */
/* publisher - a Thrift server: fb303, and a PublisherService of its own (publisher.thrift). */
#include <coil/coil.h>
#include <coil/sugar.h>

#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

#include "options.h"

struct publisher {
    coil_thrift_service thrift; /* PublisherService */
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

/* Field 1 of the result is the exception that startPublishers declares. */
static void throw_bad_source(coil_thrift_call *call, coil_thrift_text name)
{
    char text[160];
    int size = snprintf(text, sizeof(text), "bad data source '%.*s'",
            name.size > 100 ? 100 : (int)name.size, name.bytes);
    coil_thrift_writer *reply = coil_thrift_reply(call);

    coil_thrift_put_struct(reply, 1);
    coil_thrift_put_string(reply, 1, (coil_thrift_text){text, (uint32_t)size});
    coil_thrift_write_stop(reply);
}

/* i32 startPublishers(1: list<string> data_sources) throws (1: PublisherServiceException error) */
async(int, start_publishers, (coil_thrift_call *) call)
{
    vars(uint32_t left; int32_t started);
    struct publisher *publisher = coil_container_of(call->service, struct publisher, thrift);
    coil_thrift_reader *arguments = &call->arguments;
    coil_thrift_field field;

    while (coil_thrift_read_field(arguments, &field)) {
        if (field.id != 1 || !coil_thrift_field_is(arguments, COIL_THRIFT_LIST))
            continue;
        if (!coil_thrift_read_list_of(arguments, COIL_THRIFT_STRING, &my->left))
            continue;
        while (coil_thrift_read_element(arguments, &my->left)) {
            coil_thrift_text name = coil_thrift_read_string(arguments);
            if (call->replying || is_data_source(name)) {
                my->started++;
            } else {
                throw_bad_source(call, name);
            }
        }
    }
    if (call->replying)
        return 0;
    publisher->publisher_count += my->started;
    fprintf(stderr, "started %d publishers, %d now run\n", my->started, publisher->publisher_count);
    (void)coil_fb303_service_set_counter(
            &publisher->fb303, "publishers", publisher->publisher_count);
    coil_thrift_put_i32(coil_thrift_reply(call), 0, publisher->publisher_count);
    return 0;
}

static void shut_down(coil_fb303_service *fb303)
{
    coil_event_set(&coil_container_of(fb303, struct publisher, fb303)->stopped);
}

async(int, stop_on_signal, (struct publisher *) publisher)
{
    vars();
    attempt(coil_signal_wait(COIL_SIGNALS(SIGINT, SIGTERM)));
    coil_event_set(&publisher->stopped);
    return 0;
}

async(int, publish, (struct publisher *) publisher, (const char *) address)
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

    my->services[0] = &publisher->thrift;
    my->services[1] = &publisher->fb303.thrift;
    my->server.services = my->services;
    my->server.service_count = 2;
    open_group(&my->group);
    spawn(&my->group, coil_thrift_serve(my->listener, &my->server));
    spawn(&my->group, stop_on_signal(publisher));
    await(coil_event_wait(&publisher->stopped));
    fprintf(stderr, "stopping after %lu calls\n", (unsigned long)my->server.stats.calls);
    return 0;
}

int main(int argc, char **argv)
{
    static const coil_thrift_method methods[] = {
            {"startPublishers", coil_handler(start_publishers, coil_thrift_call *), NULL},
    };
    struct publisher publisher = {.thrift = {"PublisherService", methods, 1}};
    char address[64];
    const struct options options = read_options(argc, argv,
            "publisher --port N\n\n"
            "Serve PublisherService and fb303 on 127.0.0.1:N, until SIGINT or SIGTERM.\n");

    snprintf(address, sizeof(address), "127.0.0.1:%u", options.port);
    coil_event_init(&publisher.stopped);
    coil_fb303_service_init(&publisher.fb303, "publisher", "1.0");
    publisher.fb303.shutdown = shut_down;
    int rc = coil_run(publish(&publisher, address));
    coil_fb303_service_fini(&publisher.fb303);
    return rc < 0;
}
