/* SPDX-License-Identifier: MIT */
/*
 * tls_echo - an echo server with TLS, which takes a new certificate when SIGHUP tells it to, and
 * shares the keys of its session tickets with others.
 */
#include <coil/coil.h>
#include <coil/tls.h>

#include <stdio.h>

#include "options.h"

#include <coil/sugar.h>

static coil_tls_context *context;
static coil_tls_certificate certificate;
static const char *ticket_file; /* NULL: the keys are its own. */

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

/* The keys of a file, one behind the other. How many there are; 0, and a word, if it has none. */
static size_t read_ticket_keys(const char *path, coil_tls_ticket_key *keys, size_t limit)
{
    FILE *file = fopen(path, "r");
    size_t count = file != NULL ? fread(keys, sizeof(*keys), limit, file) : 0;
    if (count == 0)
        fprintf(stderr, "tls_echo: no key of tickets in %s\n", path);
    if (file != NULL)
        fclose(file);
    return count;
}

/* What the files say now, for a context that is to be made; or, if there is one, for that. */
static int load(coil_tls_failure *failure)
{
    coil_tls_ticket_key keys[COIL_TLS_TICKET_KEYS_MAX];
    coil_tls_options options = {.certificates = &certificate, .certificate_count = 1};

    if (ticket_file != NULL) {
        options.ticket_keys = keys;
        options.ticket_key_count = read_ticket_keys(ticket_file, keys, COIL_TLS_TICKET_KEYS_MAX);
    }
    if (context != NULL)
        return coil_tls_context_reload(context, &options, failure);
    return coil_tls_context_create(COIL_TLS_SERVER, &options, &context, failure);
}

/* Connections go on as they are; those to come see the new certificate. */
static void reload(void)
{
    coil_tls_failure failure;

    if (load(&failure) < 0)
        fprintf(stderr, "tls_echo: the certificate stays as it is: %s\n", failure.text);
}

/* Until we are told to end. What arrives during a reload waits for the next turn. */
async(int, follow, (coil_signals *) signals)
{
    vars(int signo);

    for (;;) {
        attempt(my->signo, coil_signals_next(signals));
        if (my->signo != SIGHUP)
            return 0;
        reload();
    }
}

async(int, serve, (const char *) address)
{
    vars(coil_signals *signals; coil_group group; coil_listener *listener);

    int rc = coil_signals_open(COIL_SIGNALS(SIGHUP, SIGINT, SIGTERM), &my->signals);
    if (rc < 0)
        return rc;
    defer(coil_signals_close(my->signals));
    rc = coil_listen(address, NULL, &my->listener);
    if (rc < 0) {
        fprintf(stderr, "tls_echo: cannot listen at %s: %s\n", address, coil_error_text(rc));
        return rc;
    }
    defer(coil_listener_close(my->listener));

    open_group(&my->group);
    spawn(&my->group, coil_serve(my->listener, coil_handler(echo, coil_stream *)));
    attempt(follow(my->signals));
    return 0;
}

int main(int argc, char **argv)
{
    static const char usage[] =
            "tls_echo --port N CHAIN.pem KEY.pem [TICKETS]\n\nSend back whatever arrives on "
            "127.0.0.1:N by TLS, until SIGINT or SIGTERM. SIGHUP: read\nthe files again. TICKETS "
            "has keys of 80 random bytes each: all who have the first one\nresume each other's "
            "sessions, and those of the others.\n";
    const struct options options = read_options(argc, argv, usage);
    char address[64];
    coil_tls_failure failure;

    if (options.arguments[0] == NULL || options.arguments[1] == NULL) {
        fputs(usage, stderr);
        return 2;
    }
    certificate = (coil_tls_certificate){
            .chain_file = options.arguments[0], .key_file = options.arguments[1]};
    ticket_file = options.arguments[2];
    if (load(&failure) < 0) {
        fprintf(stderr, "tls_echo: %s\n", failure.text);
        return 1;
    }
    snprintf(address, sizeof(address), "127.0.0.1:%u", options.port);
    int64_t rc = coil_run(serve(address));
    coil_tls_context_destroy(context);
    return rc < 0;
}
