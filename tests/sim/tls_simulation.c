/* SPDX-License-Identifier: MIT */
/*
 * TLS over a simulated network: whatever happens to connections, nobody is given wrong bytes, a
 * half of an answer is never taken for all of it, and no fault of the network looks like a bad
 * certificate or a peer that breaks the protocol.
 *
 * OpenSSL is the real one: its memory, its random numbers and its calendar are not simulated. A run
 * depends on its seed all the same, because sizes do not depend on them: a signature of Ed25519
 * always has as many bytes.
 */
#include <coil/coil.h>
#include <coil/sim_network.h>
#include <coil/sim_scenario.h>
#include <coil/tls.h>

#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <coil/sugar.h>

enum { ROUNDS = 20, ANSWER_BYTES = 50000, PEM_BYTES = 4096 };

static char chain_pem[PEM_BYTES];
static char key_pem[PEM_BYTES];

/* ---------------------------------------------------------------------------- certificate -- */

static void keep(BIO *pem, char *text)
{
    int count = BIO_read(pem, text, PEM_BYTES - 1);
    COIL_CHECK(count > 0);
    text[count] = '\0';
    BIO_free(pem);
}

/* One that vouches for itself, made before the first run. */
static void make_certificate(void)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *made = X509_new();
    X509V3_CTX about;
    X509_gmtime_adj(X509_getm_notBefore(made), -86400);
    X509_gmtime_adj(X509_getm_notAfter(made), 86400);
    X509_set_version(made, 2);
    X509_set_pubkey(made, key);
    X509V3_set_ctx_nodb(&about);
    X509V3_set_ctx(&about, made, made, NULL, NULL, 0);
    X509_EXTENSION *names =
            X509V3_EXT_conf_nid(NULL, &about, NID_subject_alt_name, "DNS:server.test");
    X509_add_ext(made, names, -1);
    X509_EXTENSION_free(names);
    COIL_CHECK(X509_sign(made, key, NULL) > 0);
    BIO *pem = BIO_new(BIO_s_mem());
    COIL_CHECK(PEM_write_bio_X509(pem, made) == 1);
    keep(pem, chain_pem);
    pem = BIO_new(BIO_s_mem());
    COIL_CHECK(PEM_write_bio_PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL) == 1);
    keep(pem, key_pem);
    X509_free(made);
    EVP_PKEY_free(key);
}

/* --------------------------------------------------------------------------------- server -- */

static COIL_PROCESS_WIDE coil_tls_context *context;

static char letter_at(size_t at)
{
    return (char)('a' + at % 23);
}

async(int, answer, (coil_stream *) plain)
{
    vars(coil_stream *peer; coil_slice line; char *bytes; int rc);

    my->peer = plain;
    defer(coil_stream_close(my->peer));
    attempt(within(coil_s(10), coil_tls_accept(&my->peer, context, NULL)));
    attempt(my->line, within(coil_s(10), coil_read_until(my->peer, '\n', 100)));
    coil_slice_release(&my->line);
    my->bytes = malloc(ANSWER_BYTES);
    if (my->bytes == NULL)
        return -ENOMEM;
    defer(free(my->bytes));
    for (size_t i = 0; i < ANSWER_BYTES; i++)
        my->bytes[i] = letter_at(i);
    attempt(within(coil_s(10), coil_write_all(my->peer, coil_bytes(my->bytes, ANSWER_BYTES))));
    attempt(within(coil_s(10), coil_stream_shutdown(my->peer)));
    return 0;
}

async(int, serve)
{
    vars(coil_listener *listener; int rc);
    my->rc = coil_listen("*:4433", NULL, &my->listener);
    if (my->rc < 0)
        return my->rc;
    defer(coil_listener_close(my->listener));
    attempt(coil_serve(my->listener, coil_handler(answer, coil_stream *)));
    return 0;
}

static int server(int argc, char **argv)
{
    (void)argc, (void)argv;
    const coil_tls_certificate own = {.chain_pem = chain_pem, .key_pem = key_pem};
    const coil_tls_options options = {.certificates = &own, .certificate_count = 1};
    if (coil_tls_context_create(COIL_TLS_SERVER, &options, &context, NULL) < 0)
        return 1;
    int64_t rc = coil_run(serve());
    coil_tls_context_destroy(context);
    return rc < 0;
}

/* --------------------------------------------------------------------------------- client -- */

static bool is_of_the_network(coil_tls_reason reason)
{
    return reason == COIL_TLS_NO_FAILURE || reason == COIL_TLS_TRUNCATED ||
           reason == COIL_TLS_TRANSPORT;
}

/* The whole answer, and only then its end. */
async(int, hear, (coil_stream *) peer)
{
    vars(coil_slice in; size_t have_bytes);
    for (;;) {
        await(my->in, coil_read_some(peer));
        if (my->in.size_bytes <= 0)
            break;
        for (int64_t i = 0; i < my->in.size_bytes; i++) {
            coil_sim_expect(
                    coil_sim_current(), my->in.bytes[i] == letter_at(my->have_bytes + (size_t)i));
        }
        my->have_bytes += (size_t)my->in.size_bytes;
        coil_slice_release(&my->in);
    }
    if (my->in.size_bytes == 0)
        coil_sim_expect(coil_sim_current(), my->have_bytes == ANSWER_BYTES);
    coil_sim_expect(coil_sim_current(), is_of_the_network(coil_tls_failure_of(peer)->reason));
    return (int)my->in.size_bytes;
}

async(int, ask, (const char *) address)
{
    vars(coil_stream *peer; coil_tls_failure failure; int rc);
    attempt(my->peer, coil_connect(address));
    defer(coil_stream_close(my->peer));
    await(my->rc, coil_tls_connect(&my->peer, context, "server.test", &my->failure));
    if (my->rc < 0) {
        coil_sim_expect(
                coil_sim_current(), my->rc == -ENOMEM || is_of_the_network(my->failure.reason));
        return my->rc;
    }
    attempt(coil_write_all(my->peer, coil_text("tell me\n")));
    attempt(hear(my->peer));
    return 0;
}

async(int, ask_often, (const char *) address)
{
    vars(int i; int done; int rc);
    for (my->i = 0; my->i < ROUNDS; my->i++) {
        await(my->rc, within(coil_s(5), ask(address)));
        my->done += my->rc == 0;
        await(coil_sleep(coil_ms(200)));
    }
    return my->done;
}

static int client(int argc, char **argv)
{
    (void)argc;
    const coil_tls_options options = {.ca_pem = chain_pem};
    if (coil_tls_context_create(COIL_TLS_CLIENT, &options, &context, NULL) < 0)
        return 1;
    int64_t rc = coil_run(ask_often(argv[1]));
    coil_tls_context_destroy(context);
    return rc < 0;
}

static void build(coil_sim *sim)
{
    char name[] = "client";
    char address[] = "10.0.0.1:4433";
    char *arguments[] = {name, address, NULL};

    coil_sim_program(sim, "/bin/server", server);
    coil_sim_program(sim, "/bin/client", client);
    coil_sim_start(sim, "one", "/bin/server", NULL);
    coil_sim_start(sim, "two", "/bin/client", arguments);
}

int main(int argc, char **argv)
{
    const coil_sim_scenario scenario = {
            .name = "tls", .build = build, .limit = coil_s(300), .may_be_late = true};
    make_certificate();
    return coil_sim_main(argc, argv, &scenario, 1);
}
