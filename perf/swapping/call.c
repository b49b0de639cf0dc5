/* SPDX-License-Identifier: MIT */
/*
 * Callers of a web server: each connects, asks, reads the page to its end, connects again, until
 * SIGUSR1. Then one line of JSON: how many calls there were, and what became of them.
 *
 *     swap_call PORT CALLERS
 */
#include <coil/coil.h>
#include <coil/kernel.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <coil/sugar.h>

#define QUESTION "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"

static struct {
    char address[32];
    bool is_over;
    unsigned long calls;
    unsigned long refused; /* No connection. */
    unsigned long failed;  /* One that was cut, or without a whole page. */
    coil_duration longest;
    int error; /* The last of them. */
} tally;

/* 0, once all of the page has come. */
async(int, ask, (coil_stream *) peer)
{
    vars(coil_slice piece; size_t size_bytes; char status[12]); /* "HTTP/1.x 200" */

    attempt(coil_write_all(peer, coil_text(QUESTION)));
    do {
        attempt(my->piece, coil_read_some(peer));
        const size_t got_bytes = (size_t)my->piece.size_bytes;
        for (size_t i = 0; i < got_bytes && my->size_bytes + i < sizeof(my->status); i++)
            my->status[my->size_bytes + i] = my->piece.bytes[i];
        my->size_bytes += got_bytes;
        coil_slice_release(&my->piece);
        if (got_bytes == 0)
            break;
    } while (true);
    return memcmp(my->status + 8, " 200", 4) == 0 ? 0 : -ENODATA;
}

async(int, call)
{
    vars(coil_stream *peer; int rc);

    await(my->peer, coil_connect(tally.address));
    const int error = coil_pointer_error(my->peer);
    if (error < 0) {
        tally.refused++;
        tally.error = error;
        return 0;
    }
    defer(coil_stream_close(my->peer));
    await(my->rc, ask(my->peer));
    tally.failed += my->rc < 0;
    if (my->rc < 0)
        tally.error = my->rc;
    return 0;
}

async(int, be_caller)
{
    vars(coil_time begun);

    while (!tally.is_over) {
        my->begun = coil_kernel_now();
        attempt(call());
        const coil_duration took = coil_kernel_now() - my->begun;
        tally.longest = took > tally.longest ? took : tally.longest;
        tally.calls++;
    }
    return 0;
}

async(int, wait_for_the_end)
{
    vars();

    ignore(coil_signal_wait(COIL_SIGNALS(SIGUSR1)));
    tally.is_over = true;
    return 0;
}

async(int, call_all, (unsigned) callers)
{
    vars(coil_group group; unsigned i);

    open_group(&my->group);
    spawn(&my->group, wait_for_the_end());
    for (my->i = 0; my->i < callers; my->i++)
        spawn(&my->group, be_caller());
    attempt(coil_group_join(&my->group));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fprintf(stderr, "usage: swap_call PORT CALLERS\n");
        return 2;
    }
    (void)snprintf(tally.address, sizeof(tally.address), "127.0.0.1:%s", argv[1]);
    const int rc = coil_run(call_all((unsigned)strtoul(argv[2], NULL, 10)));
    printf("{\"calls\": %lu, \"refused\": %lu, \"failed\": %lu, \"longest_ms\": %.1f, "
           "\"error\": \"%s\"}\n",
            tally.calls, tally.refused, tally.failed, (double)tally.longest / 1e6,
            tally.error < 0 ? coil_error_name(tally.error) : "");
    return rc < 0;
}
