/* SPDX-License-Identifier: MIT */
/*
 * Coil's echo server on several loops, which counts what each of them does.
 *
 *     loops --port N --loops N --share by-turns|least-busy|by-kernel
 *
 * At its end, by SIGTERM, one JSON line: the connections and the requests (reads) of each loop.
 */
#include <coil/shared_listener.h>

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOPS_MAX = 256, LINE_BYTES = 64 };

/* In a cache line of its own. */
typedef struct count {
    uint64_t requests;
} __attribute__((aligned(LINE_BYTES))) count;

static count counts[LOOPS_MAX];
static __thread count *mine; /* Of the loop of this thread. */

coil_async(int, echo, (coil_stream *) peer)
{
    coil_vars(coil_slice in);

    coil_defer(coil_stream_close(peer));
    coil_defer(coil_slice_release(&my->in));
    for (;;) {
        coil_attempt(my->in, coil_read_some(peer));
        if (coil_slice_empty(&my->in))
            return 0;
        mine->requests++;
        coil_attempt(coil_write_all(peer, my->in));
        coil_slice_release(&my->in);
    }
}

coil_async(int, serve, (coil_worker *) worker)
{
    coil_vars(coil_listener *listener; int rc);

    mine = &counts[worker->index];
    my->rc = coil_shared_listener_open(worker->argument, worker, &my->listener);
    if (my->rc < 0)
        return my->rc;
    coil_defer(coil_listener_close(my->listener));
    coil_attempt(coil_serve_gracefully(my->listener, coil_handler(echo, coil_stream *)));
    return 0;
}

static void print_counts(const coil_shared_listener *shared)
{
    unsigned loop_count = coil_shared_listener_count(shared);

    printf("{\"connections\":[");
    for (unsigned i = 0; i < loop_count; i++)
        printf("%s%" PRIu64, i > 0 ? "," : "", coil_shared_listener_given(shared, i));
    printf("],\"requests\":[");
    for (unsigned i = 0; i < loop_count; i++)
        printf("%s%" PRIu64, i > 0 ? "," : "", counts[i].requests);
    printf("]}\n");
}

static coil_share read_share(const char *text)
{
    static const char *const names[] = {"by-turns", "least-busy", "by-kernel"};

    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0)
            return (coil_share)i;
    }
    fprintf(stderr, "loops: no such share: %s\n", text);
    exit(2);
}

static void read_options(
        int argc, char **argv, char address[static 64], coil_share_options *options)
{
    static const struct option known[] = {
            {"port", required_argument, NULL, 'p'},
            {"loops", required_argument, NULL, 'l'},
            {"share", required_argument, NULL, 's'},
            {NULL, 0, NULL, 0},
    };

    for (int letter; (letter = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (letter == 'p')
            (void)snprintf(address, 64, "127.0.0.1:%s", optarg);
        if (letter == 'l')
            options->loop_count = (unsigned)strtoul(optarg, NULL, 10);
        if (letter == 's')
            options->share = read_share(optarg);
    }
    if (address[0] == '\0' || options->loop_count == 0 || options->loop_count > LOOPS_MAX) {
        fputs("usage: loops --port N --loops N [--share by-turns|least-busy|by-kernel]\n", stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    char address[64] = "";
    coil_share_options options = {.share = COIL_SHARE_BY_TURNS};
    coil_shared_listener *shared;

    read_options(argc, argv, address, &options);
    int rc = coil_shared_listener_create(address, &options, &shared);
    if (rc < 0) {
        fprintf(stderr, "loops: cannot listen at %s: %s\n", address, coil_error_text(rc));
        return 1;
    }
    const coil_runtime_options all = {.loop_count = options.loop_count,
            .main = coil_handler(serve, coil_worker *),
            .argument = shared,
            .grace = coil_ms(100)};
    rc = coil_runtime_run_with(&all);
    print_counts(shared);
    coil_shared_listener_destroy(shared);
    return rc < 0;
}
