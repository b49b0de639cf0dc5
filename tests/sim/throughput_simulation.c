/* SPDX-License-Identifier: MIT */
/*
 * How many operations of simulated rings a core carries out in a second: clients on one host talk
 * to an echo server on another. Its summary says it; docs/testing.md has the figure.
 */
#include <coil/coil.h>
#include <coil/sim_scenario.h>

#include <coil/sugar.h>

enum { CLIENT_COUNT = 16, ROUND_COUNT = 250 };

async(int, echo, (coil_stream *) peer)
{
    vars(coil_slice in);
    defer(coil_stream_close(peer));
    defer(coil_slice_release(&my->in));
    for (;;) {
        attempt(my->in, coil_read_some(peer));
        if (coil_slice_empty(&my->in))
            return 0;
        attempt(coil_write_all(peer, my->in));
        coil_slice_release(&my->in);
    }
}

async(int, serve)
{
    vars(coil_listener *listener; int rc);
    my->rc = coil_listen("*:7000", NULL, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    attempt(coil_serve(my->listener, coil_handler(echo, coil_stream *)));
    return 0;
}

async(int, talk)
{
    vars(coil_stream *peer; int i; char text[6]; ssize_t count);
    attempt(my->peer, coil_connect("10.0.0.1:7000"));
    defer(coil_stream_close(my->peer));
    for (my->i = 0; my->i < ROUND_COUNT; my->i++) {
        attempt(coil_write_all(my->peer, coil_text("hello")));
        attempt(my->count, coil_read_exact(my->peer, my->text, 5));
    }
    return 0;
}

async(int, talk_all)
{
    vars(coil_group group; int i);
    await(coil_sleep(coil_ms(100))); /* The server is there by now. */
    open_group(&my->group);
    for (my->i = 0; my->i < CLIENT_COUNT; my->i++)
        spawn(&my->group, talk());
    attempt(coil_group_join(&my->group));
    return 0;
}

static int server(int argc, char **argv)
{
    (void)argc, (void)argv;
    return coil_run(serve()) < 0;
}

static int clients(int argc, char **argv)
{
    (void)argc, (void)argv;
    return coil_run(talk_all()) < 0;
}

static void build(coil_sim *sim)
{
    coil_sim_program(sim, "/bin/server", server);
    coil_sim_program(sim, "/bin/clients", clients);
    coil_sim_start(sim, "one", "/bin/server", NULL);
    coil_sim_start(sim, "two", "/bin/clients", NULL);
}

static void check(coil_sim *sim)
{
    const uint64_t least = (uint64_t)CLIENT_COUNT * ROUND_COUNT * 2;
    coil_sim_expect(sim, coil_sim_operations(sim) > least);
}

int main(int argc, char **argv)
{
    const coil_sim_scenario scenario = {.name = "echo",
            .build = build,
            .check = check,
            .limit = coil_s(60),
            .may_be_late = true};
    return coil_sim_main(argc, argv, &scenario, 1);
}
