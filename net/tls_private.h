/* SPDX-License-Identifier: MIT */
/*
 * tls_private.h - contexts, connections and failures, to each other.
 */
#ifndef TLS_PRIVATE_H
#define TLS_PRIVATE_H

#include <coil/layer.h>
#include <coil/tls.h>

#include <openssl/ssl.h>

enum { TLS_NAME_BYTES = 256 }; /* Of a host name, with its end. */

/* A connection: a layer with the state of OpenSSL. */
typedef struct tls_connection {
    coil_layer layer;
    SSL *ssl;
    coil_tls_context *context;
    coil_task *task;                  /* In whose name we look below, while we do. */
    int below_rc;                     /* What has ended that; -EAGAIN: nothing has. */
    bool has_put;                     /* Something is to be flushed. */
    bool is_refusing;                 /* The peer wants to renegotiate. */
    char server_name[TLS_NAME_BYTES]; /* A client's, or "". */
    char protocol[TLS_NAME_BYTES];    /* ALPN, once somebody has asked. */
    coil_tls_failure failure;
} tls_connection;

/* ------------------------------------------------------------------------------- failures -- */

/* What is in OpenSSL's queue, which is emptied, as a failure of a connection. The errno of it. */
int tls_failure_of_connection(tls_connection *tls, coil_tls_failure *out_failure);

/* The same, of loading `what`. */
int tls_failure_of_loading(const char *what, coil_tls_failure *out_failure);

/* Set the reason, its own words as the text. The errno of it. */
int tls_fail(coil_tls_failure *out_failure, coil_tls_reason reason);

/* ------------------------------------------------------------------------------- contexts -- */

/* A connection's state for one more handshake; the context is held by it. NULL without memory. */
SSL *tls_context_start(coil_tls_context *context, tls_connection *tls);

coil_tls_side tls_context_side(const coil_tls_context *context);
void tls_context_release(coil_tls_context *context);

/* A generation of options: what connections that began with it go by. */
int tls_generation_create(coil_tls_side side, const coil_tls_options *options, SSL_CTX **out_ctx,
        coil_tls_failure *out_failure);

/* ------------------------------------------------------------------------------ tickets -- */

/* The keys of a server. */
typedef struct tls_tickets tls_tickets;

/* 0 keys: one of our own, by chance. -EINVAL too many; -ENOMEM, -EIO. */
int tls_tickets_create(const coil_tls_ticket_key *keys, size_t count, tls_tickets **out_tickets);
void tls_tickets_destroy(tls_tickets *tickets);

/* A copy of the key of that name, NULL: of the one that seals. Its index, or -ENOENT. */
int tls_tickets_find(
        const tls_tickets *tickets, const unsigned char *name, coil_tls_ticket_key *out_key);
int tls_context_ticket_key(
        coil_tls_context *context, const unsigned char *name, coil_tls_ticket_key *out_key);

/* What OpenSSL asks for each ticket: SSL_CTX_set_tlsext_ticket_key_evp_cb(3). */
int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
        EVP_MAC_CTX *mac, int seals);

/* ------------------------------------------------------------------------------- sessions -- */

/* What clients have been given to come back with, by name. Not thread safe. */
typedef struct tls_sessions tls_sessions;

tls_sessions *tls_sessions_create(unsigned name_count); /* NULL without memory. */
void tls_sessions_destroy(tls_sessions *sessions);
void tls_sessions_clear(tls_sessions *sessions);

/* Takes over `session`, of which the newest few of a name are kept. */
void tls_sessions_add(tls_sessions *sessions, const char *text, SSL_SESSION *session);

/* One to resume, the caller's from here on, or NULL. One of TLS 1.3 is given once. */
SSL_SESSION *tls_sessions_take(tls_sessions *sessions, const char *text);

#endif
