/* SPDX-License-Identifier: MIT */
/* A user's simulation: two programs on two hosts, one of which the other asks. */
#include <coil/coil.h>
#include <coil/sim_network.h>
#include <coil/sim_scenario.h>

#include <string.h>

#include <coil/sugar.h>

async(int, answer, (coil_stream *) peer)
{
    vars();
    defer(coil_stream_close(peer));
    attempt(coil_write_all(peer, coil_text("42")));
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

async(int, ask, (const char *) address)
{
    vars(coil_stream *peer; char text[3]; ssize_t count);
    attempt(my->peer, coil_connect(address));
    defer(coil_stream_close(my->peer));
    attempt(my->count, coil_read_exact(my->peer, my->text, 2));
    if (my->count > 0) /* Else the server had no memory for us. */
        coil_sim_expect(coil_sim_current(), memcmp(my->text, "42", 2) == 0);
    return 0;
}

static int server(int argc, char **argv)
{
    (void)argc, (void)argv;
    return coil_run(serve()) < 0;
}

static int client(int argc, char **argv)
{
    (void)argc;
    return coil_run(ask(argv[1])) < 0;
}

static void build(coil_sim *sim)
{
    char *arguments[] = {"client", "10.0.0.1:4242", NULL};

    coil_sim_program(sim, "/bin/server", server);
    coil_sim_program(sim, "/bin/client", client);
    coil_sim_start(sim, "one", "/bin/server", NULL);
    coil_sim_start(sim, "two", "/bin/client", arguments);
}

int main(int argc, char **argv)
{
    const coil_sim_scenario scenario = {
            .name = "answer", .build = build, .limit = coil_s(60), .may_be_late = true};
    return coil_sim_main(argc, argv, &scenario, 1);
}
