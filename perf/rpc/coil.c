/* SPDX-License-Identifier: MIT */
/* rpc.thrift by Coil: generated code, a coroutine for each call. */
#include "rpc_thrift.h"

#include <coil/coil.h>

#include "../../docs/examples/options.h"

#include <coil/sugar.h>

async(int, ping, (rpc_Rpc_ping_call *) call)
{
    vars();
    (void)call;
    return 0;
}

async(int, echo, (rpc_Rpc_echo_call *) call)
{
    vars();
    call->result.success = call->arguments.text;
    return 0;
}

static const rpc_Rpc_handlers handlers = {
        .ping = rpc_Rpc_ping_handler(ping),
        .echo = rpc_Rpc_echo_handler(echo),
};

async(int, serve, (const char *) address)
{
    vars(coil_group group; coil_listener *listener; rpc_Rpc rpc; coil_thrift_service *services[1];
            coil_thrift_server server);

    const int rc = coil_listen(address, NULL, &my->listener);
    if (rc < 0)
        return rc;
    defer(coil_listener_close(my->listener));
    rpc_Rpc_init(&my->rpc, &handlers);
    my->services[0] = &my->rpc.service;
    my->server.services = my->services;
    my->server.service_count = 1;
    open_group(&my->group);
    spawn(&my->group, coil_thrift_serve(my->listener, &my->server));
    attempt(coil_signal_wait(COIL_SIGNALS(SIGINT, SIGTERM)));
    return 0;
}

int main(int argc, char **argv)
{
    char address[64];
    const struct options options =
            read_options(argc, argv, "coil --port N\n\nServe rpc.thrift on 127.0.0.1:N.\n");

    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", options.port);
    return coil_run(serve(address)) < 0;
}
