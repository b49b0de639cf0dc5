/* SPDX-License-Identifier: MIT */
/* tls_echo - an echo server with TLS, which takes a new certificate when SIGHUP tells it to. */
#include <coil/coil.h>
#include <coil/tls.h>

#include <stdio.h>

#include "options.h"

#include <coil/sugar.h>

static coil_tls_context *context;
static coil_tls_certificate certificate;

async(int, echo, (coil_stream *) plain)
{
    vars(coil_stream *peer; coil_slice in; coil_tls_failure failure; int rc);

    my->peer = plain;
    defer(coil_stream_close(my->peer));
    await(my->rc, within(coil_s(10), coil_tls_accept(&my->peer, context, &my->failure)));
    if (my->rc < 0) {
        fprintf(stderr, "tls_echo: a handshake failed: %s\n", my->failure.text);
        return my->rc;
    }
    defer(coil_slice_release(&my->in));
    for (;;) {
        attempt(my->in, coil_read_some(my->peer));
        if (coil_slice_empty(&my->in))
            break;
        attempt(coil_write_all(my->peer, my->in));
        coil_slice_release(&my->in);
    }
    attempt(coil_stream_shutdown(my->peer)); /* We have said everything, too. */
    return 0;
}

/* Connections go on as they are; those to come see the new certificate. */
static void reload(void)
{
    const coil_tls_options options = {.certificates = &certificate, .certificate_count = 1};
    coil_tls_failure failure;

    if (coil_tls_context_reload(context, &options, &failure) < 0)
        fprintf(stderr, "tls_echo: the certificate stays as it is: %s\n", failure.text);
}

async(int, serve, (const char *) address)
{
    vars(coil_group group; coil_listener *listener; int signo);

    int rc = coil_listen(address, NULL, &my->listener);
    if (rc < 0) {
        fprintf(stderr, "tls_echo: cannot listen at %s: %s\n", address, coil_error_text(rc));
        return rc;
    }
    defer(coil_listener_close(my->listener));

    open_group(&my->group);
    spawn(&my->group, coil_serve(my->listener, coil_handler(echo, coil_stream *)));
    for (;;) {
        attempt(my->signo, coil_signal_wait(COIL_SIGNALS(SIGHUP, SIGINT, SIGTERM)));
        if (my->signo != SIGHUP)
            return 0;
        reload();
    }
}

int main(int argc, char **argv)
{
    static const char usage[] =
            "tls_echo --port N CHAIN.pem KEY.pem\n\nSend back whatever arrives on 127.0.0.1:N by "
            "TLS, until SIGINT or SIGTERM. SIGHUP: read the\ncertificate again.\n";
    const struct options options = read_options(argc, argv, usage);
    char address[64];
    coil_tls_failure failure;

    if (options.arguments[0] == NULL || options.arguments[1] == NULL) {
        fputs(usage, stderr);
        return 2;
    }
    certificate = (coil_tls_certificate){
            .chain_file = options.arguments[0], .key_file = options.arguments[1]};
    const coil_tls_options serving = {.certificates = &certificate, .certificate_count = 1};
    if (coil_tls_context_create(COIL_TLS_SERVER, &serving, &context, &failure) < 0) {
        fprintf(stderr, "tls_echo: %s\n", failure.text);
        return 1;
    }
    snprintf(address, sizeof(address), "127.0.0.1:%u", options.port);
    int64_t rc = coil_run(serve(address));
    coil_tls_context_destroy(context);
    return rc < 0;
}
