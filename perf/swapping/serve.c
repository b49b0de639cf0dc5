/* SPDX-License-Identifier: MIT */
/*
 * A prefork server that answers each connection with a short page, and closes it: what perf/prefork
 * reloads and replaces. SIGHUP, SIGUSR2: coil/prefork.h.
 *
 *     swap_serve PORT WORKERS
 */
#include <coil/coil.h>

#include <stdio.h>
#include <stdlib.h>

#include <coil/sugar.h>

#define PAGE                    \
    "HTTP/1.0 200 OK\r\n"       \
    "Content-Length: 5\r\n"     \
    "Connection: close\r\n\r\n" \
    "coil\n"

async(int, answer, (coil_session *) session)
{
    vars(coil_slice line);

    do { /* Up to the empty line. */
        coil_slice_release(&my->line);
        attempt(my->line, coil_read_until(session->stream, '\n', 4096));
    } while (my->line.size_bytes > 2);
    coil_slice_release(&my->line);
    attempt(coil_write_all(session->stream, coil_text(PAGE)));
    return 0;
}

async(int, step_down, (coil_seat *) seat, (coil_server *) server)
{
    vars();

    const int rc = coil_seat_ready(seat);
    if (rc < 0)
        return rc;
    attempt(coil_seat_leaving(seat));
    coil_server_drain(server, coil_s(10));
    return 0;
}

async(int, serve, (coil_seat *) seat)
{
    vars(coil_server server; coil_group group; coil_listener *listener);

    coil_server_init(&my->server, coil_handler(answer, coil_session *));
    defer(coil_server_fini(&my->server));
    const int rc = coil_listen_fd(coil_seat_socket(seat, "http"), NULL, &my->listener);
    if (rc < 0)
        return rc;
    coil_server_add(&my->server, my->listener);
    open_group(&my->group);
    spawn(&my->group, step_down(seat, &my->server));
    attempt(coil_server_serve(&my->server));
    return 0;
}

async(int, master, (char **) argv)
{
    vars(coil_prefork *prefork; coil_spawn_plan next; char address[32]);

    my->next = (coil_spawn_plan){.program = argv[0], .argv = (const char *const *)argv};
    const coil_prefork_options options = {
            .successor = &my->next, .workers = (unsigned)strtoul(argv[2], NULL, 10)};
    int rc = coil_prefork_create(&options, &my->prefork);
    if (rc < 0)
        return rc;
    defer(coil_prefork_destroy(my->prefork));
    (void)snprintf(my->address, sizeof(my->address), "127.0.0.1:%s", argv[1]);
    int fd = coil_prefork_passed(my->prefork, "http");
    if (fd < 0)
        fd = coil_listen_socket(my->address, NULL, NULL);
    rc = fd < 0 ? fd : coil_prefork_share(my->prefork, "http", fd);
    if (rc < 0)
        return rc;
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
    if (rc != 0)
        return rc < 0 ? 1 : work(seat);
    if (argc != 3) {
        (void)fprintf(stderr, "usage: swap_serve PORT WORKERS\n");
        return 2;
    }
    return coil_run(master(argv)) < 0;
}
