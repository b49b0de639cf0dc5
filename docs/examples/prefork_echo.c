/* SPDX-License-Identifier: MIT */
/*
 * prefork_echo - an echo server of several processes.
 *
 *     kill -HUP MASTER       new workers, when they are ready the old ones go
 *     kill -TTIN, -TTOU      one more, one less
 *     kill -USR2             another master, with what is in the file of this program by then
 *     kill -TERM             let the connections end, and end
 */
#include <coil/coil.h>
#include <coil/sugar.h>

#include <stdio.h>

#include "options.h"

async(int, echo, (coil_session *) session)
{
    vars(coil_slice bytes; int rc);

    for (;;) {
        attempt(my->bytes, coil_read_some(session->stream));
        if (coil_slice_empty(&my->bytes))
            return 0;
        await(my->rc, coil_write_all(session->stream, my->bytes));
        coil_slice_release(&my->bytes);
        if (my->rc < 0)
            return my->rc;
    }
}

async(int, step_down, (coil_seat *) seat, (coil_server *) server)
{
    vars();

    int rc = coil_seat_ready(seat);
    if (rc < 0)
        return rc;
    attempt(coil_seat_leaving(seat));
    coil_server_drain(server, coil_s(30));
    return 0;
}

async(int, serve, (coil_seat *) seat)
{
    vars(coil_server server; coil_group group; coil_listener *listener);

    coil_server_init(&my->server, coil_handler(echo, coil_session *));
    defer(coil_server_fini(&my->server));
    int rc = coil_listen_fd(coil_seat_socket(seat, "echo"), NULL, &my->listener);
    if (rc < 0)
        return rc;
    coil_server_add(&my->server, my->listener);
    coil_open_group(&my->group);
    coil_spawn(&my->group, step_down(seat, &my->server));
    attempt(coil_server_serve(&my->server));
    return 0;
}

async(int, master, (char **) argv, (unsigned) port)
{
    vars(coil_prefork *prefork; coil_spawn_plan next; char address[32]);

    my->next = (coil_spawn_plan){.program = argv[0], .argv = (const char *const *)argv};
    const coil_prefork_options options = {.successor = &my->next, .heartbeat_limit = coil_s(10)};
    int rc = coil_prefork_create(&options, &my->prefork);
    if (rc < 0)
        return rc;
    defer(coil_prefork_destroy(my->prefork));

    (void)snprintf(my->address, sizeof(my->address), "*:%u", port);
    int fd = coil_prefork_passed(my->prefork, "echo");
    if (fd < 0)
        fd = coil_listen_socket(my->address, NULL, NULL);
    rc = fd < 0 ? fd : coil_prefork_share(my->prefork, "echo", fd);
    if (rc < 0) {
        (void)fprintf(stderr, "prefork_echo: cannot listen at %s: %s\n", my->address,
                coil_error_text(rc));
        return rc;
    }
    attempt(coil_prefork_serve(my->prefork));
    return 0;
}

static int work(coil_seat *seat)
{
    const int rc = coil_run(serve(seat));
    coil_seat_release(seat);
    return rc < 0;
}

int main(int argc, char **argv)
{
    coil_seat *seat;

    const int rc = coil_seat_take(&seat);
    if (rc < 0)
        (void)fprintf(stderr, "prefork_echo: no seat: %s\n", coil_error_text(rc));
    if (rc != 0)
        return rc < 0 ? 1 : work(seat);
    const struct options options = read_options(argc, argv,
            "prefork_echo --port N\n\nSend back whatever arrives at port N, by several "
            "processes.\n");
    return coil_run(master(argv, options.port)) < 0;
}
