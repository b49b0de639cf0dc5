/* SPDX-License-Identifier: MIT */
/* A user's simulation with TLS: a client that finds a server which speaks none. */
#include <coil/coil.h>
#include <coil/sim_scenario.h>
#include <coil/tls.h>

#include <coil/sugar.h>

async(int, answer, (coil_stream *) peer)
{
    vars();
    defer(coil_stream_close(peer));
    attempt(coil_write_all(peer, coil_text("no TLS here\n")));
    return 0;
}

async(int, serve)
{
    vars(coil_listener *listener; int rc);
    my->rc = coil_listen("*:4242", NULL, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    attempt(coil_serve(my->listener, coil_handler(answer, coil_stream *)));
    return 0;
}

async(int, ask, (coil_tls_context *) context)
{
    vars(coil_stream *peer; coil_tls_failure failure; int rc);
    attempt(my->peer, coil_connect("10.0.0.1:4242"));
    defer(coil_stream_close(my->peer));
    await(my->rc, coil_tls_connect(&my->peer, context, "server.test", &my->failure));
    coil_sim_expect(coil_sim_current(), my->rc < 0);
    coil_sim_expect(
            coil_sim_current(), my->failure.reason == COIL_TLS_NOT_TLS, "%s", my->failure.text);
    return 0;
}

static int server(int argc, char **argv)
{
    (void)argc, (void)argv;
    return coil_run(serve()) < 0;
}

static int client(int argc, char **argv)
{
    (void)argc, (void)argv;
    const coil_tls_options options = {.protocols = "h2"};
    coil_tls_context *context;
    if (coil_tls_context_create(COIL_TLS_CLIENT, &options, &context, NULL) < 0)
        return 1;
    const bool has_failed = coil_run(ask(context)) < 0;
    coil_tls_context_destroy(context);
    return has_failed;
}

static void build(coil_sim *sim)
{
    coil_sim_program(sim, "/bin/server", server);
    coil_sim_program(sim, "/bin/client", client);
    coil_sim_start(sim, "one", "/bin/server", NULL);
    coil_sim_start(sim, "two", "/bin/client", NULL);
}

int main(int argc, char **argv)
{
    const coil_sim_scenario scenario = {
            .name = "no-tls", .build = build, .limit = coil_s(60), .may_be_late = true};
    return coil_sim_main(argc, argv, &scenario, 1);
}
