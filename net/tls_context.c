/* SPDX-License-Identifier: MIT */
#include "tls_private.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/err.h>

struct coil_tls_context {
    coil_tls_side side;
    atomic_uint holder_count; /* The owner, and each connection. */
    pthread_mutex_t lock;     /* Of what follows. Held for moments only. */
    SSL_CTX *current;
    tls_sessions *sessions; /* A client's. */
    tls_tickets *tickets;   /* A server's. */
};

/* ------------------------------------------------------------------------------- sessions -- */

/* The server has given us something to come back with. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    const tls_connection *tls = SSL_get_app_data(ssl);
    coil_tls_context *context = tls->context;

    if (tls->server_name[0] == '\0')
        return 0;
    (void)pthread_mutex_lock(&context->lock);
    /* What was agreed on under options of before is not to be found by those of today. */
    bool is_current = SSL_get_SSL_CTX(ssl) == context->current;
    if (is_current)
        tls_sessions_add(context->sessions, tls->server_name, session);
    (void)pthread_mutex_unlock(&context->lock);
    return is_current;
}

int tls_context_ticket_key(
        coil_tls_context *context, const unsigned char *name, coil_tls_ticket_key *out_key)
{
    (void)pthread_mutex_lock(&context->lock);
    int index = tls_tickets_find(context->tickets, name, out_key);
    (void)pthread_mutex_unlock(&context->lock);
    return index;
}

static void use_tickets(coil_tls_context *context, tls_tickets *tickets)
{
    (void)pthread_mutex_lock(&context->lock);
    tls_tickets *before = context->tickets;
    context->tickets = tickets;
    (void)pthread_mutex_unlock(&context->lock);
    tls_tickets_destroy(before);
}

int coil_tls_context_set_ticket_keys(
        coil_tls_context *context, const coil_tls_ticket_key *keys, size_t count)
{
    tls_tickets *tickets;

    if (context->side != COIL_TLS_SERVER || count == 0)
        return -EINVAL;
    int rc = tls_tickets_create(keys, count, &tickets);
    if (rc == 0)
        use_tickets(context, tickets);
    return rc;
}

/* ------------------------------------------------------------------------------- lifecycle -- */

static void destroy(coil_tls_context *context)
{
    tls_sessions_destroy(context->sessions);
    tls_tickets_destroy(context->tickets);
    SSL_CTX_free(context->current);
    (void)pthread_mutex_destroy(&context->lock);
    free(context);
}

void tls_context_release(coil_tls_context *context)
{
    if (context != NULL && atomic_fetch_sub(&context->holder_count, 1) == 1)
        destroy(context);
}

/* What connections share under these options. Of tickets, servers only. */
static int load(coil_tls_side side, const coil_tls_options *options, SSL_CTX **out_ctx,
        tls_tickets **out_tickets, coil_tls_failure *out_failure)
{
    SSL_CTX *ctx = NULL;
    int rc = tls_generation_create(side, options, &ctx, out_failure);
    if (rc < 0)
        return rc;
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    if (side == COIL_TLS_SERVER) {
        rc = tls_tickets_create(options->ticket_keys, options->ticket_key_count, out_tickets);
        (void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, tls_ticket_key);
    }
    if (rc < 0) {
        SSL_CTX_free(ctx);
        return rc == -EINVAL ? tls_failure_of_loading("too many ticket keys", out_failure) : rc;
    }
    *out_ctx = ctx;
    return 0;
}

static int create(coil_tls_side side, const coil_tls_options *options,
        coil_tls_context **out_context, coil_tls_failure *out_failure)
{
    SSL_CTX *ctx = NULL;
    tls_tickets *tickets = NULL;
    int rc = load(side, options, &ctx, &tickets, out_failure);
    if (rc < 0)
        return rc;
    coil_tls_context *context = calloc(1, sizeof(*context));
    tls_sessions *sessions = tls_sessions_create(options->session_names);
    if (context == NULL || sessions == NULL) {
        free(context);
        tls_sessions_destroy(sessions);
        tls_tickets_destroy(tickets);
        SSL_CTX_free(ctx);
        return -ENOMEM;
    }
    context->side = side;
    context->current = ctx;
    context->sessions = sessions;
    context->tickets = tickets;
    atomic_init(&context->holder_count, 1);
    (void)pthread_mutex_init(&context->lock, NULL);
    *out_context = context;
    return 0;
}

int coil_tls_context_create(coil_tls_side side, const coil_tls_options *options,
        coil_tls_context **out_context, coil_tls_failure *out_failure)
{
    coil_tls_failure ignored;
    coil_tls_failure *failure = out_failure != NULL ? out_failure : &ignored;

    *failure = (coil_tls_failure){.reason = COIL_TLS_NO_FAILURE};
    int rc = create(side, options, out_context, failure);
    if (rc < 0 && failure->reason == COIL_TLS_NO_FAILURE)
        (void)tls_fail(failure, COIL_TLS_OTHER);
    return rc;
}

int coil_tls_context_reload(
        coil_tls_context *context, const coil_tls_options *options, coil_tls_failure *out_failure)
{
    coil_tls_failure ignored;
    coil_tls_failure *failure = out_failure != NULL ? out_failure : &ignored;
    SSL_CTX *next = NULL;
    tls_tickets *tickets = NULL;

    *failure = (coil_tls_failure){.reason = COIL_TLS_NO_FAILURE};
    int rc = load(context->side, options, &next, &tickets, failure);
    if (rc < 0) {
        if (failure->reason == COIL_TLS_NO_FAILURE)
            (void)tls_fail(failure, COIL_TLS_OTHER);
        return rc;
    }
    use_tickets(context, tickets);
    (void)pthread_mutex_lock(&context->lock);
    SSL_CTX *before = context->current;
    context->current = next;
    tls_sessions_clear(context->sessions);
    (void)pthread_mutex_unlock(&context->lock);
    SSL_CTX_free(before);
    return 0;
}

void coil_tls_context_destroy(coil_tls_context *context)
{
    tls_context_release(context);
}

coil_tls_side tls_context_side(const coil_tls_context *context)
{
    return context->side;
}

SSL *tls_context_start(coil_tls_context *context, tls_connection *tls)
{
    (void)pthread_mutex_lock(&context->lock);
    SSL *ssl = SSL_new(context->current);
    SSL_SESSION *session = ssl != NULL && tls->server_name[0] != '\0'
                                   ? tls_sessions_take(context->sessions, tls->server_name)
                                   : NULL;
    (void)pthread_mutex_unlock(&context->lock);
    if (session != NULL) {
        (void)SSL_set_session(ssl, session); /* Else it is a whole handshake. */
        SSL_SESSION_free(session);
    }
    if (ssl == NULL)
        return NULL;
    (void)SSL_set_app_data(ssl, tls);
    atomic_fetch_add(&context->holder_count, 1);
    tls->context = context;
    return ssl;
}
