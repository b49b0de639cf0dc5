/* SPDX-License-Identifier: MIT */
/*
 * A server that is started by its sockets, for activation_test.py:
 *
 *     activated_peer <connections>           serve so many, saying the name of the socket, then end
 *     activated_peer <connections> <times>   then become this program again, so often
 *
 * Without a passed socket: status 3.
 */
#include <coil/activation.h>
#include <coil/loop.h>
#include <coil/server.h>

#include <stdio.h>
#include <stdlib.h>

#include <coil/sugar.h>

typedef struct named_server {
    coil_server server;
    const char *name;
    unsigned long left;
    int kept_fd;
} named_server;

async(int, say_name, (coil_session *) session)
{
    vars(named_server *self);

    my->self = coil_container_of(session->server, named_server, server);
    attempt(coil_write_all(session->stream, coil_text(my->self->name)));
    if (--my->self->left == 0)
        coil_server_drain(session->server, coil_s(10));
    return 0;
}

/* Result: the socket, to be passed on. */
async(int, serve, (coil_activation *) passed, (unsigned long) count)
{
    vars(named_server self; coil_listener *listener; int rc);

    coil_server_init(&my->self.server, coil_handler(say_name, coil_session *));
    defer(coil_server_fini(&my->self.server));
    my->self.name = passed->items[0].name;
    my->self.left = count;
    my->rc = coil_activation_listen(passed, NULL, NULL, &my->listener);
    if (my->rc < 0)
        return my->rc;
    my->self.kept_fd = coil_listener_keep(my->listener);
    coil_server_add(&my->self.server, my->listener);
    attempt(coil_server_serve(&my->self.server));
    return my->self.kept_fd;
}

/* Does not return, unless it fails. */
static int become_again(int fd, const char *name, char **argv)
{
    char times[16];
    const coil_passed_fd sockets[] = {{fd, name}};

    snprintf(times, sizeof(times), "%lu", strtoul(argv[2], NULL, 10) - 1);
    char *const arguments[] = {argv[0], argv[1], times, NULL};
    return coil_activation_exec(sockets, 1, "/proc/self/exe", arguments);
}

int main(int argc, char **argv)
{
    coil_activation passed;
    int rc = coil_activation_take(&passed);

    if (rc <= 0 || argc < 2 || argc > 3) {
        fprintf(stderr, "activated_peer: no socket was passed: %s\n", coil_error_text(rc));
        return 3;
    }
    rc = coil_run(serve(&passed, strtoul(argv[1], NULL, 10)));
    if (rc >= 0 && argc == 3 && strtoul(argv[2], NULL, 10) > 0)
        rc = become_again(rc, passed.items[0].name, argv);
    coil_activation_release(&passed);
    return rc < 0;
}
