/* SPDX-License-Identifier: MIT */
/* tcp_proxy - hand connections on to another address; half-closes, too, and idle ones end. */
#include <coil/coil.h>
#include <coil/sugar.h>

#include <stdio.h>

#include "options.h"

static const char *server_address;
static bool splices;

async(int, pass_on, (coil_stream *) client)
{
    vars(coil_stream *server; coil_relay_options options; coil_relay_counts counts; int rc);

    defer(coil_stream_close(client));
    await(my->server, within(coil_s(5), coil_connect(server_address)));
    if (coil_pointer_error(my->server) < 0) {
        coil_stream_abort(client); /* Nobody there: say so at once. */
        return coil_pointer_error(my->server);
    }
    defer(coil_stream_close(my->server));
    my->options = (coil_relay_options){.idle_limit = coil_s(300), .splices = splices};
    await(my->rc, coil_relay(client, my->server, &my->options, &my->counts));
    fprintf(stderr, "%llu bytes there, %llu back: %s\n", (unsigned long long)my->counts.forth_bytes,
            (unsigned long long)my->counts.back_bytes,
            my->rc < 0 ? coil_error_text(my->rc) : "both sides have ended");
    return 0;
}

async(int, serve, (const char *) address)
{
    vars(coil_group group; coil_listener *listener; char bound[COIL_ADDRESS_TEXT_BYTES]);

    const int rc = coil_listen(address, NULL, &my->listener);
    if (rc < 0) {
        fprintf(stderr, "tcp_proxy: cannot listen at %s: %s\n", address, coil_error_text(rc));
        return rc;
    }
    defer(coil_listener_close(my->listener));
    printf("%s\n", coil_address_format(coil_listener_address(my->listener), my->bound));
    (void)fflush(stdout);
    open_group(&my->group);
    spawn(&my->group, coil_serve(my->listener, coil_handler(pass_on, coil_stream *)));
    attempt(coil_signal_wait(COIL_SIGNALS(SIGINT, SIGTERM)));
    return 0;
}

int main(int argc, char **argv)
{
    char address[64];
    static const char usage[] =
            "tcp_proxy --port N SERVER [splice]\n\nHand connections to 127.0.0.1:N on to SERVER, "
            "such as 127.0.0.1:8080, until SIGINT or SIGTERM;\nwith `splice`, without looking at "
            "the bytes.\n";
    const struct options options = read_options(argc, argv, usage);

    server_address = options.arguments[0];
    if (server_address == NULL) {
        fputs(usage, stderr);
        return 2;
    }
    splices = options.arguments[1] != NULL;
    snprintf(address, sizeof(address), "127.0.0.1:%u", options.port);
    return coil_run(serve(address)) < 0;
}
