/* SPDX-License-Identifier: MIT */
/*
 * A server that is started by its sockets, for activation_test.py:
 *
 *     activated_peer <connections>     serve so many, saying the name of the socket, then end
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
    coil_server_add(&my->self.server, my->listener);
    attempt(coil_server_serve(&my->self.server));
    return 0;
}

int main(int argc, char **argv)
{
    coil_activation passed;
    int rc = coil_activation_take(&passed);

    if (rc <= 0 || argc != 2) {
        fprintf(stderr, "activated_peer: no socket was passed: %s\n", coil_error_text(rc));
        return 3;
    }
    rc = coil_run(serve(&passed, strtoul(argv[1], NULL, 10)));
    coil_activation_release(&passed);
    return rc < 0;
}
