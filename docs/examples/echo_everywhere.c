/* SPDX-License-Identifier: MIT */
/* echo_everywhere - the echo server on all processors: one call instead of a main coroutine. */
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

/* The one word that may follow the options. */
static coil_share read_share(char **words)
{
    static const char *const names[] = {"by-turns", "least-busy", "by-kernel"};

    if (words[0] == NULL)
        return COIL_SHARE_BY_TURNS;
    for (int i = 0; i < 3 && words[1] == NULL; i++) {
        if (strcmp(words[0], names[i]) == 0)
            return (coil_share)i;
    }
    fprintf(stderr, "echo_everywhere: '%s' is none of by-turns, least-busy, by-kernel\n",
            words[1] == NULL ? words[0] : words[1]);
    exit(2);
}

int main(int argc, char **argv)
{
    char address[64];
    const struct options options = read_options(argc, argv,
            "echo_everywhere --port N [--count LOOPS] [by-turns|least-busy|by-kernel]\n\n"
            "Send back whatever arrives on 127.0.0.1:N, on as many loops, each on a processor of\n"
            "its own, until SIGINT or SIGTERM.\n");
    const coil_share_options shares = {
            .share = read_share(options.arguments), .loop_count = options.count};

    snprintf(address, sizeof(address), "127.0.0.1:%u", options.port);
    return coil_serve_everywhere(address, &shares, coil_handler(echo, coil_stream *)) < 0;
}
