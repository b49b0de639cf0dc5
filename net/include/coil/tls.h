/* SPDX-License-Identifier: MIT */
/*
 * coil/tls.h - streams that are encrypted, and whose peer is who it says: TLS 1.2 and 1.3.
 *
 *     coil_tls_options trust = {0};                             the system's authorities
 *     coil_tls_context_create(COIL_TLS_CLIENT, &trust, &context, NULL);
 *     ...
 *     coil_attempt(my->peer, coil_connect("192.0.2.1:443"));
 *     coil_defer(coil_stream_close(my->peer));
 *     coil_attempt(coil_tls_connect(&my->peer, context, "example.org", &my->failure));
 *     coil_attempt(coil_write_all(my->peer, coil_text("GET / HTTP/1.0\r\n\r\n")));
 *
 *     plain --coil_tls_connect(), coil_tls_accept()--> TLS --coil_stream_shutdown()--> half closed
 *       |                    | failed or cancelled     |                                    |
 *       |                    v                         |                                    |
 *       +-------------> closed, NULL <----coil_stream_close(): the connection below, too----+
 *
 * The stream that results is like any other: everything in coil/stream.h works on it, with the same
 * meanings. It owns the plain one, which may have been used before (STARTTLS): what that has
 * received and nobody has taken is read as TLS. What TLS adds:
 *
 *   - coil_stream_shutdown() writes what tells the peer that nothing is missing (close_notify),
 *     behind all other writes, and then shuts the connection down for writing. It does not wait for
 *     the peer's. coil_stream_close() without it is an abort, which a peer can tell.
 *   - At the end of a read: empty, the peer has said that this is the end; -ECONNABORTED, the
 *     connection ended and it has not said so: there may be more that somebody has cut off.
 *   - An error is a number, and a failure that says more (coil_tls_failure).
 *   - A write that was cancelled after it had begun leaves whole records, but half of a message:
 *     other writes are -EPIPE, and there will be no close_notify.
 *
 * What is checked: a client's peer has to show a certificate for the name that was asked for, from
 * an authority that is trusted; unless `verify` says otherwise. Renegotiation ends a connection.
 * There is no compression, no early data, and nothing older than TLS 1.2.
 *
 * Encryption is done on the loop's thread: some 4 us for 16 KiB, and 0.1 to 2 ms for a handshake.
 * Bytes go by the ring, or by the socket at once, as with a plain stream. The kernel's own TLS is
 * not used; coil_tls_facts tells whether this one would have it.
 *
 * Cancellation and deadlines: any wait may be cancelled; put coil_within() around a handshake.
 *
 * A target of its own, coil::tls, which links OpenSSL 3. RFC 8446, RFC 5246, RFC 7301 (ALPN),
 * RFC 6066 (SNI), RFC 6125 and RFC 9525 (names).
 */
#ifndef COIL_TLS_H
#define COIL_TLS_H

#include <coil/stream.h>

COIL_BEGIN_DECLS

/* ------------------------------------------------------------------------------- failures -- */

/* Why, in a word. */
typedef enum coil_tls_reason {
    COIL_TLS_NO_FAILURE,

    /* The certificate is not accepted: -EKEYREJECTED. */
    COIL_TLS_EXPIRED,
    COIL_TLS_NOT_YET_VALID,
    COIL_TLS_WRONG_NAME,  /* It is for somebody else. */
    COIL_TLS_SELF_SIGNED, /* Nobody but itself vouches for it. */
    COIL_TLS_UNKNOWN_CA,  /* Somebody does whom we do not know. */
    COIL_TLS_REVOKED,
    COIL_TLS_NO_CERTIFICATE,  /* One was required. */
    COIL_TLS_BAD_CERTIFICATE, /* Anything else: its purpose, its signature, its key ... */

    /* No agreement: -EPROTONOSUPPORT. */
    COIL_TLS_VERSION,      /* The other side's newest is too old, or the other way round. */
    COIL_TLS_CIPHER,       /* Or group, or kind of signature. */
    COIL_TLS_PROTOCOL,     /* ALPN: none in common. */
    COIL_TLS_UNKNOWN_NAME, /* SNI: the server has no such name. */

    /* Not what the protocol allows: -EPROTO. */
    COIL_TLS_NOT_TLS, /* Plain HTTP, for instance. */
    COIL_TLS_RENEGOTIATION,
    COIL_TLS_MALFORMED, /* Changed on its way, or made up. */

    COIL_TLS_TRUNCATED, /* The end came without a word: -ECONNABORTED. */
    COIL_TLS_TRANSPORT, /* The connection below: its error, such as -ECONNRESET. */
    COIL_TLS_FILE,      /* A certificate, key or list cannot be read: -ENOENT, -EINVAL ... */
    COIL_TLS_OTHER,     /* -EPROTO, -ENOMEM */
} coil_tls_reason;

enum { COIL_TLS_TEXT_BYTES = 160 };

/* What went wrong. Zeroed: nothing. */
typedef struct coil_tls_failure {
    coil_tls_reason reason;
    bool is_peers;                  /* The peer has said so, of us: it was an alert. */
    char text[COIL_TLS_TEXT_BYTES]; /* For people, in one line. */
} coil_tls_failure;

/* The reason in a few words. */
COIL_API const char *coil_tls_reason_text(coil_tls_reason reason);

/* ------------------------------------------------------------------------------- contexts -- */
/*
 * What connections have in common: certificates, whom to trust, sessions to resume. Any thread may
 * use one, and many at a time. Connections of before a change go on as they were.
 */
typedef struct coil_tls_context coil_tls_context;

typedef enum coil_tls_side { COIL_TLS_CLIENT, COIL_TLS_SERVER } coil_tls_side;

typedef enum coil_tls_verify {
    COIL_TLS_VERIFY_DEFAULT,  /* A client: REQUIRED. A server: that if a CA is named, else NONE. */
    COIL_TLS_VERIFY_NONE,     /* A client is then safe from listeners, not from impostors. */
    COIL_TLS_VERIFY_IF_GIVEN, /* Servers: a client without a certificate is accepted. */
    COIL_TLS_VERIFY_REQUIRED,
} coil_tls_verify;

typedef enum coil_tls_version {
    COIL_TLS_DEFAULT_VERSION, /* From 1.2 to the newest. */
    COIL_TLS_1_2,
    COIL_TLS_1_3,
} coil_tls_version;

/* A certificate, those that lead from it to a root, and its key; in files or as text, all PEM. */
typedef struct coil_tls_certificate {
    const char *chain_file;
    const char *key_file; /* NULL: it is in `chain_file`, too. */
    const char *chain_pem;
    const char *key_pem; /* NULL: it is in `chain_pem`, too. */
} coil_tls_certificate;

/*
 * What a server seals session tickets with, which clients bring back: random bytes, that must stay
 * as secret as the key of a certificate. Whoever has the same one resumes the same sessions.
 */
enum { COIL_TLS_TICKET_KEY_BYTES = 80, COIL_TLS_TICKET_KEYS_MAX = 16 };
typedef struct coil_tls_ticket_key {
    unsigned char bytes[COIL_TLS_TICKET_KEY_BYTES];
} coil_tls_ticket_key;

/* One by chance. -EIO: the system has no random numbers. Any thread. */
COIL_API int coil_tls_ticket_key_make(coil_tls_ticket_key *out_key);

/* Zeroed is fine for a client. Read while the call lasts; of the strings nothing is kept. */
typedef struct coil_tls_options {
    /*
     * A server's, at least one; a client's own, at most one, for servers that ask. A server takes
     * those which are for the name that the client asks for (SNI), of each kind of key the first;
     * if there is none, the first of all.
     */
    const coil_tls_certificate *certificates;
    size_t certificate_count;

    /* Who vouches for peers. All NULL: those whom the system trusts. */
    const char *ca_file;
    const char *ca_directory; /* Of files named by hash, c_rehash(1). Read when needed. */
    const char *ca_pem;

    coil_tls_verify verify;
    coil_tls_version oldest;
    coil_tls_version newest;
    const char *protocols;      /* ALPN, the best first: "h2,http/1.1". NULL: none. */
    const char *ciphers;        /* Of TLS 1.2, as in openssl-ciphers(1). NULL: OpenSSL's. */
    unsigned session_names;     /* Clients: names of which sessions are kept. 0: 64. */
    bool refuses_unknown_names; /* Servers: rather than to show the first certificate. */
    bool refuses_resumption;    /* Every handshake is a whole one. */

    /*
     * Servers: keys of tickets that others have as well, workers or who comes after us. The first
     * seals, all of them open. 0: one of its own, which nobody else has, and a reload makes anew.
     */
    const coil_tls_ticket_key *ticket_keys;
    size_t ticket_key_count;
} coil_tls_options;

/*
 * Reads files, which may take some 50 ms: before the loop runs, or in a blocking call.
 * `out_failure` may be NULL. -EINVAL: a list that is none, a key that does not fit, a server
 * without certificate; -ENOENT, -EACCES ...: a file; -ENOMEM.
 */
COIL_API int coil_tls_context_create(coil_tls_side side, const coil_tls_options *options,
        coil_tls_context **out_context, coil_tls_failure *out_failure);

/*
 * The same for a context in use: certificates were renewed. All of the options count anew.
 * Handshakes that begin from now on take the new options; sessions of before are not resumed, but
 * by a server that has their `ticket_keys` still, and verifies clients by the same authorities. If
 * it fails, everything is as it was.
 */
COIL_API int coil_tls_context_reload(
        coil_tls_context *context, const coil_tls_options *options, coil_tls_failure *out_failure);

/*
 * Other keys for the tickets of a server, from the next handshake on, and nothing else changes. For
 * a rotation that loses no session, in all processes that share them:
 *
 *     {now}           {now, next}           {next, now}           {next}
 *              all can open `next`     it seals everywhere    no ticket of `now` is alive
 *
 * -EINVAL: none, more than COIL_TLS_TICKET_KEYS_MAX, or a client; -ENOMEM. They are copied. Any
 * thread.
 */
COIL_API int coil_tls_context_set_ticket_keys(
        coil_tls_context *context, const coil_tls_ticket_key *keys, size_t count);

/* Connections may still use it. Takes NULL. */
COIL_API void coil_tls_context_destroy(coil_tls_context *context);

/* ----------------------------------------------------------------------------- handshakes -- */
/*
 * Make of `*stream`, a plain one (or again one with TLS), one with TLS. Nobody may be reading or
 * writing it. If that fails or is cancelled, the connection is closed, and `*stream` is NULL, which
 * coil_stream_close() takes. `out_failure` may be NULL.
 *
 * Result: 0, -EKEYREJECTED, -EPROTONOSUPPORT, -EPROTO, -ECONNABORTED (see coil_tls_reason),
 * -ENOMEM, an error of the stream. The side of `context` has to be the right one (COIL_CHECK).
 */

/*
 * As a client of `server_name`: a host name (with or without the last dot of an absolute one),
 * which is also told to the server (SNI), or the text of an IP address. NULL is -EINVAL, unless the
 * context verifies nothing; so is a name of more than 255 bytes.
 */
coil_declare(int, coil_tls_connect, (coil_stream **) stream, (coil_tls_context *) context,
        (const char *) server_name, (coil_tls_failure *) out_failure);

/* As a server. */
coil_declare(int, coil_tls_accept, (coil_stream **) stream, (coil_tls_context *) context,
        (coil_tls_failure *) out_failure);

/* ------------------------------------------------------------------- what a connection has -- */

/* The strings are the stream's. */
typedef struct coil_tls_facts {
    const char *version;     /* "TLSv1.3" */
    const char *cipher;      /* "TLS_AES_256_GCM_SHA384" */
    const char *protocol;    /* ALPN, or "". */
    const char *server_name; /* What the client asked for, or "". */
    bool is_resumed;
    bool is_verified;       /* The peer has shown a certificate, and it has been accepted. */
    bool kernel_offers_tls; /* The kernel has TLS of its own (not used). */
} coil_tls_facts;

/* Is `stream` one of these? */
COIL_API bool coil_tls_is_tls(const coil_stream *stream);

/* -EINVAL: it is not. */
COIL_API int coil_tls_facts_of(const coil_stream *stream, coil_tls_facts *out_facts);

/*
 * Whom the peer's certificate is for: its subject ("CN = example.org, O = Example") and, by number
 * from 0, its other names ("DNS:example.org", "IP:192.0.2.1", "URI:spiffe://...", "email:...").
 * Terminated, and cut to the memory that there is; the length as it would be. -ENOENT: no (more)
 * names, no certificate; -ENOMEM. Not verified: somebody's claim.
 */
COIL_API ssize_t coil_tls_peer_subject(const coil_stream *stream, char *text, size_t text_bytes);
COIL_API ssize_t coil_tls_peer_name(
        const coil_stream *stream, unsigned index, char *text, size_t text_bytes);

/* Why a read or write of `stream` has failed. Its reason is COIL_TLS_NO_FAILURE if none has. */
COIL_API const coil_tls_failure *coil_tls_failure_of(const coil_stream *stream);

COIL_END_DECLS

#endif
