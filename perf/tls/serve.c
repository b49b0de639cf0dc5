/* SPDX-License-Identifier: MIT */
/* serve - a TLS server on Coil that answers GET /small and GET /large, on one loop. */
#include <coil/coil.h>
#include <coil/tls.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <coil/sugar.h>

enum { LARGE_BYTES = 4 * 1024 * 1024 };

static coil_tls_context *context;
static coil_slice small;
static coil_slice large;

/* Requests are lines up to an empty one. */
async(int, answer, (coil_stream *) plain)
{
    vars(coil_stream *peer; coil_slice line; bool is_large);

    my->peer = plain;
    defer(coil_stream_close(my->peer));
    attempt(within(coil_s(10), coil_tls_accept(&my->peer, context, NULL)));
    for (;;) {
        attempt(my->line, coil_read_until(my->peer, '\n', 4096));
        if (coil_slice_empty(&my->line))
            break;
        if (memcmp(my->line.bytes, "GET ", 4) == 0)
            my->is_large = my->line.bytes[5] == 'l';
        bool is_end = my->line.size_bytes <= 2;
        coil_slice_release(&my->line);
        if (is_end)
            attempt(coil_write_all(my->peer, my->is_large ? large : small));
    }
    attempt(coil_stream_shutdown(my->peer));
    return 0;
}

async(int, serve, (const char *) address)
{
    vars(coil_group group; coil_listener *listener);

    int rc = coil_listen(address, NULL, &my->listener);
    if (rc < 0)
        return rc;
    defer(coil_listener_close(my->listener));
    open_group(&my->group);
    spawn(&my->group, coil_serve(my->listener, coil_handler(answer, coil_stream *)));
    attempt(coil_signal_wait(COIL_SIGNALS(SIGINT, SIGTERM)));
    return 0;
}

static coil_slice make_answer(size_t body_bytes)
{
    char *bytes = malloc(body_bytes + 256);
    if (bytes == NULL)
        exit(1);
    int head_bytes = snprintf(bytes, 256,
            "HTTP/1.1 200 OK\r\nServer: coil\r\nContent-Type: text/plain\r\n"
            "Content-Length: %zu\r\nConnection: keep-alive\r\n\r\n",
            body_bytes);
    memset(bytes + head_bytes, 'x', body_bytes);
    return coil_bytes(bytes, (size_t)head_bytes + body_bytes);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {{"port", 1, NULL, 'p'}, {"chain", 1, NULL, 'c'},
            {"key", 1, NULL, 'k'}, {NULL, 0, NULL, 0}};
    coil_tls_certificate certificate = {.chain_file = NULL};
    coil_tls_options options = {.certificates = &certificate, .certificate_count = 1};
    coil_tls_failure failure;
    char address[64] = "";

    for (int letter; (letter = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (letter) {
        case 'p':
            snprintf(address, sizeof(address), "127.0.0.1:%s", optarg);
            break;
        case 'c':
            certificate.chain_file = optarg;
            break;
        case 'k':
            certificate.key_file = optarg;
            break;
        default:
            return 2;
        }
    }
    if (coil_tls_context_create(COIL_TLS_SERVER, &options, &context, &failure) < 0) {
        fprintf(stderr, "serve: %s\n", failure.text);
        return 1;
    }
    small = make_answer(16);
    large = make_answer(LARGE_BYTES);
    return coil_run(serve(address)) < 0;
}
