/* SPDX-License-Identifier: MIT */
/* echo - an echo server: every connection is a task, and reads like a loop. */
#include <coil/coil.h>
#include <coil/sugar.h>

#include <stdio.h>

#include "options.h"

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

async(int, serve, (const char *) address)
{
    vars(coil_group group; coil_listener *listener);

    int rc = coil_listen(address, NULL, &my->listener);
    if (rc < 0) {
        fprintf(stderr, "echo: cannot listen at %s: %s\n", address, coil_error_text(rc));
        return rc;
    }
    defer(coil_listener_close(my->listener));

    open_group(&my->group);
    spawn(&my->group, coil_serve(my->listener, coil_handler(echo, coil_stream *)));
    attempt(coil_signal_wait(COIL_SIGNALS(SIGINT, SIGTERM)));
    return 0;
}

int main(int argc, char **argv)
{
    char address[64];
    const struct options options = read_options(argc, argv,
            "echo --port N\n\nSend back whatever arrives on 127.0.0.1:N, until SIGINT or "
            "SIGTERM.\n");
    snprintf(address, sizeof(address), "127.0.0.1:%u", options.port);
    return coil_run(serve(address)) < 0;
}
