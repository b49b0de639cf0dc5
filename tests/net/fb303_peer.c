/* SPDX-License-Identifier: MIT */
/*
 * What fb303_apache_test.py talks to.
 *
 *     fb303_peer serve            prints its port; serves until a client asks for a shutdown, and
 *                                 then prints its metrics as OpenMetrics
 *     fb303_peer ask ADDRESS      asks everything there is to ask, and prints the answers; but not
 *                                 the oneway methods, of which a server that does not know them
 *                                 complains, though nobody waits for it
 *     fb303_peer tell ADDRESS     calls the oneway methods
 */
#include <coil/fb303_service.h>
#include <coil/loop.h>
#include <coil/open_metrics.h>
#include <coil/thrift_metrics.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <coil/sugar.h>

enum { TEXT_BYTES = 256 * 1024 };

/* ---------------------------------------------------------------------------------- serving -- */

typedef struct peer {
    coil_fb303_service fb303;
    coil_thrift_server server;
    coil_task *serving;
} peer;

static void stop(coil_fb303_service *fb303)
{
    coil_task_cancel(coil_container_of(fb303, peer, fb303)->serving);
}

async(int, print_and_serve, (coil_listener *) listener, (peer *) self)
{
    vars(int rc);

    printf("%u\n", coil_address_port(coil_listener_address(listener)));
    (void)fflush(stdout);
    await(my->rc, coil_thrift_serve(listener, &self->server));
    return my->rc == -ECANCELED ? 0 : my->rc;
}

/* Once nobody is served any more: the metrics are the peer's own, so they are still there. */
static int print_metrics(coil_metrics *metrics)
{
    static char text[TEXT_BYTES];

    coil_metrics_refresh(metrics, coil_now());
    const size_t size = coil_open_metrics_format(metrics, coil_now(), text, sizeof(text));
    if (size >= sizeof(text))
        return -ENOBUFS;
    (void)fputs(text, stdout);
    return 0;
}

async(int, serve, (peer *) self)
{
    vars(coil_listener *listener; coil_metrics metrics; coil_thrift_metrics measured;
            coil_group group);

    int rc = coil_listen("127.0.0.1:0", NULL, &my->listener);
    if (rc < 0)
        return rc;
    defer(coil_listener_close(my->listener));
    coil_metrics_init(&my->metrics, coil_now());
    defer(coil_metrics_fini(&my->metrics));
    coil_thrift_metrics_init(&my->measured, &my->metrics, &self->server);
    defer(coil_thrift_metrics_fini(&my->measured));
    self->fb303.metrics = &my->metrics;
    open_group(&my->group);
    self->serving = spawn(&my->group, print_and_serve(my->listener, self));
    ignore(coil_group_join(&my->group));
    return print_metrics(&my->metrics);
}

static int run_server(void)
{
    peer self = {.serving = NULL};
    coil_thrift_service *services[] = {&self.fb303.thrift};

    coil_fb303_service_init(&self.fb303, "peer", "1.0");
    self.fb303.status_details = "as it should be";
    self.fb303.shutdown = stop;
    (void)coil_fb303_service_count(&self.fb303, "eggs", 3);
    (void)coil_fb303_service_set_value(&self.fb303, "build", "abc");
    self.server = (coil_thrift_server){.services = services, .service_count = 1};
    const int rc = coil_run(serve(&self));
    coil_fb303_service_fini(&self.fb303);
    return rc < 0;
}

/* ----------------------------------------------------------------------------------- asking -- */

static void print_result(enum coil_fb303_method method, int rc, coil_fb303_result *result)
{
    coil_fb303_pair pair;

    printf("%s: ", coil_fb303_method_name(method));
    if (rc < 0) {
        printf("%s\n", coil_error_name(rc));
        return;
    }
    printf("%" PRId64 " \"%.*s\"", result->number, (int)result->text.size, result->text.bytes);
    while (coil_fb303_next_pair(result, &pair)) {
        printf(" %.*s=%" PRId64 "\"%.*s\"", (int)pair.name.size, pair.name.bytes, pair.number,
                (int)pair.text.size, pair.text.bytes);
    }
    printf("\n");
}

async(int, ask, (const char *) address, (bool) oneway)
{
    vars(coil_thrift_client *client; int method; int rc; coil_fb303_result result;
            coil_fb303_call call; coil_thrift_text keys[2]);

    attempt(my->client, coil_thrift_connect(address));
    defer(coil_thrift_client_close(my->client));
    my->keys[0] = coil_thrift_text_of("eggs");
    my->keys[1] = coil_thrift_text_of("build");
    for (my->method = 0; my->method < COIL_FB303_METHOD_COUNT; my->method++) {
        if (coil_fb303_method_is_oneway((enum coil_fb303_method)my->method) != oneway)
            continue;
        my->call = (coil_fb303_call){.method = (enum coil_fb303_method)my->method,
                .key = coil_thrift_text_of("eggs"),
                .value = coil_thrift_text_of("green"),
                .duration_s = 1,
                .keys = my->keys,
                .key_count = 2};
        await(my->rc, coil_fb303_ask(my->client, &my->call, &my->result));
        print_result(my->call.method, my->rc, &my->result);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        return run_server();
    if (argc == 3 && strcmp(argv[1], "ask") == 0)
        return coil_run(ask(argv[2], false)) < 0;
    if (argc == 3 && strcmp(argv[1], "tell") == 0)
        return coil_run(ask(argv[2], true)) < 0;
    (void)fprintf(stderr, "usage: %s serve | ask ADDRESS | tell ADDRESS\n", argv[0]);
    return EXIT_FAILURE;
}
