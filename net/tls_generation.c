/* SPDX-License-Identifier: MIT */
#include "tls_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { PROTOCOL_BYTES_MAX = 255 };

/* A certificate that can be shown. */
typedef struct identity {
    X509 *certificate;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
} identity;

/* What belongs to an SSL_CTX, and goes with it. */
typedef struct generation {
    identity *identities;
    size_t identity_count;
    unsigned char *protocols; /* As on the wire: each behind its length. */
    unsigned protocols_bytes;
    bool refuses_unknown_names;
} generation;

/* -------------------------------------------------------------------------------- loading -- */

/* Nobody is asked for the password of a key: it would be by the terminal, and block. */
/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL has it so. */
static int no_password(char *buffer, int size_bytes, int is_writing, void *user)
{
    (void)buffer, (void)size_bytes, (void)is_writing, (void)user;
    return -1;
}

static BIO *open_pem(const char *file, const char *text)
{
    ERR_clear_error();
    return text != NULL ? BIO_new_mem_buf(text, -1) : BIO_new_file(file, "r");
}

/* The end of a file, as PEM_read_bio() has it, is none of our errors. */
static bool is_at_end(void)
{
    unsigned long error = ERR_peek_last_error();
    if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
        return false;
    ERR_clear_error();
    return true;
}

static bool read_chain(BIO *pem, identity *out_identity)
{
    out_identity->certificate = PEM_read_bio_X509_AUX(pem, NULL, no_password, NULL);
    out_identity->chain = sk_X509_new_null();
    if (out_identity->certificate == NULL || out_identity->chain == NULL)
        return false;
    for (;;) {
        X509 *next = PEM_read_bio_X509(pem, NULL, no_password, NULL);
        if (next == NULL)
            return is_at_end();
        if (sk_X509_push(out_identity->chain, next) == 0) {
            X509_free(next);
            return false;
        }
    }
}

static int failure_of_pair(
        const char *key_name, const char *chain_name, coil_tls_failure *out_failure)
{
    char what[sizeof(out_failure->text)];
    (void)snprintf(what, sizeof(what), "%s is not the key of %s", key_name, chain_name);
    return tls_failure_of_loading(what, out_failure);
}

static int load_identity(
        const coil_tls_certificate *source, identity *out_identity, coil_tls_failure *out_failure)
{
    const char *key_file = source->key_file != NULL ? source->key_file : source->chain_file;
    const char *key_pem = source->key_pem != NULL ? source->key_pem : source->chain_pem;
    const char *chain_name = source->chain_pem != NULL ? "certificate" : source->chain_file;
    if (source->chain_file == NULL && source->chain_pem == NULL)
        return tls_failure_of_loading("a certificate without a chain", out_failure);

    BIO *pem = open_pem(source->chain_file, source->chain_pem);
    bool is_read = pem != NULL && read_chain(pem, out_identity);
    BIO_free(pem);
    if (!is_read)
        return tls_failure_of_loading(chain_name, out_failure);
    const bool is_text = source->key_file == NULL && key_pem != NULL;
    pem = open_pem(key_file, is_text ? key_pem : NULL);
    out_identity->key = pem != NULL ? PEM_read_bio_PrivateKey(pem, NULL, no_password, NULL) : NULL;
    BIO_free(pem);
    const char *key_name = is_text ? "key" : key_file;
    if (out_identity->key == NULL)
        return tls_failure_of_loading(key_name, out_failure);
    if (X509_check_private_key(out_identity->certificate, out_identity->key) != 1)
        return failure_of_pair(key_name, chain_name, out_failure);
    return 0;
}

static void generation_destroy(generation *old)
{
    if (old == NULL)
        return;
    for (size_t i = 0; i < old->identity_count; i++) {
        X509_free(old->identities[i].certificate);
        sk_X509_pop_free(old->identities[i].chain, X509_free);
        EVP_PKEY_free(old->identities[i].key);
    }
    free(old->identities);
    free(old->protocols);
    free(old);
}

static int load_identities(
        generation *made, const coil_tls_options *options, coil_tls_failure *out_failure)
{
    size_t count = options->certificate_count;
    made->identities = calloc(count > 0 ? count : 1, sizeof(made->identities[0]));
    if (made->identities == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        made->identity_count++;
        int rc = load_identity(&options->certificates[i], &made->identities[i], out_failure);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* "h2,http/1.1" as 2 h2 8 http/1.1 */
static int load_protocols(generation *made, const char *list, coil_tls_failure *out_failure)
{
    if (list == NULL)
        return 0;
    size_t list_bytes = strlen(list);
    made->protocols = malloc(list_bytes + 1);
    if (made->protocols == NULL)
        return -ENOMEM;
    for (const char *name = list;; name += strcspn(name, ",") + 1) {
        size_t name_bytes = strcspn(name, ",");
        if (name_bytes == 0 || name_bytes > PROTOCOL_BYTES_MAX)
            return tls_failure_of_loading("the list of protocols", out_failure);
        made->protocols[made->protocols_bytes++] = (unsigned char)name_bytes;
        memcpy(made->protocols + made->protocols_bytes, name, name_bytes);
        made->protocols_bytes += (unsigned)name_bytes;
        if (name[name_bytes] == '\0')
            return 0;
    }
}

/* ------------------------------------------------------------------------------- choosing -- */

static bool uses(SSL *ssl, const identity *one)
{
    return SSL_use_cert_and_key(ssl, one->certificate, one->key, one->chain, 1) == 1;
}

/*
 * Those for the name that was asked for; of those with the same kind of key, the first. Not the one
 * that is shown where no name is known, too: it may have another kind of key, which a client may
 * prefer.
 */
static int choose_identity(SSL *ssl, void *user)
{
    const generation *now = user;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    bool is_known = false;

    for (size_t i = name != NULL ? now->identity_count : 0; i > 0; i--) {
        const identity *one = &now->identities[i - 1];
        if (X509_check_host(one->certificate, name, 0, 0, NULL) != 1)
            continue;
        if (!is_known)
            SSL_certs_clear(ssl);
        if (!uses(ssl, one))
            return 0;
        is_known = true;
    }
    return is_known || name == NULL || !now->refuses_unknown_names;
}

/* The same, early enough for an alert of its own. */
static int refuse_unknown_name(SSL *ssl, int *out_alert, void *user)
{
    const generation *now = user;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL || !now->refuses_unknown_names)
        return SSL_TLSEXT_ERR_OK;
    for (size_t i = 0; i < now->identity_count; i++) {
        if (X509_check_host(now->identities[i].certificate, name, 0, 0, NULL) == 1)
            return SSL_TLSEXT_ERR_OK;
    }
    *out_alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int choose_protocol(SSL *ssl, const unsigned char **out_chosen, unsigned char *out_bytes,
        const unsigned char *offered, unsigned offered_bytes, void *user)
{
    (void)ssl;
    const generation *now = user;
    unsigned char *chosen = NULL;
    int rc = SSL_select_next_proto(
            &chosen, out_bytes, now->protocols, now->protocols_bytes, offered, offered_bytes);
    *out_chosen = chosen;
    return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ------------------------------------------------------------------------------- settings -- */

static int tls_version_of(coil_tls_version version, int otherwise)
{
    if (version == COIL_TLS_DEFAULT_VERSION)
        return otherwise;
    return version == COIL_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

static bool names_ca(const coil_tls_options *options)
{
    return options->ca_file != NULL || options->ca_directory != NULL || options->ca_pem != NULL;
}

static int verify_mode(coil_tls_side side, const coil_tls_options *options)
{
    switch (options->verify) {
    case COIL_TLS_VERIFY_NONE:
        return SSL_VERIFY_NONE;
    case COIL_TLS_VERIFY_IF_GIVEN:
        return SSL_VERIFY_PEER;
    case COIL_TLS_VERIFY_DEFAULT:
        if (side == COIL_TLS_SERVER && !names_ca(options))
            return SSL_VERIFY_NONE;
        break;
    case COIL_TLS_VERIFY_REQUIRED:
        break;
    }
    return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

static bool adds_ca(SSL_CTX *ctx, X509 *authority)
{
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), authority) == 1 &&
           SSL_CTX_add_client_CA(ctx, authority) == 1;
}

static bool reads_ca(SSL_CTX *ctx, const char *file, const char *text)
{
    BIO *pem = open_pem(file, text);
    size_t count = 0;
    bool is_good = pem != NULL;

    while (is_good) {
        X509 *authority = PEM_read_bio_X509_AUX(pem, NULL, no_password, NULL);
        if (authority == NULL) {
            is_good = is_at_end() && count > 0;
            break;
        }
        is_good = adds_ca(ctx, authority);
        X509_free(authority);
        count++;
    }
    BIO_free(pem);
    return is_good;
}

static int load_authorities(
        SSL_CTX *ctx, const coil_tls_options *options, coil_tls_failure *out_failure)
{
    if (options->ca_file != NULL && !reads_ca(ctx, options->ca_file, NULL))
        return tls_failure_of_loading(options->ca_file, out_failure);
    if (options->ca_pem != NULL && !reads_ca(ctx, NULL, options->ca_pem))
        return tls_failure_of_loading("authorities", out_failure);
    if (options->ca_directory != NULL && SSL_CTX_load_verify_dir(ctx, options->ca_directory) != 1)
        return tls_failure_of_loading(options->ca_directory, out_failure);
    if (!names_ca(options) && SSL_CTX_get_verify_mode(ctx) != SSL_VERIFY_NONE &&
            SSL_CTX_set_default_verify_paths(ctx) != 1)
        return tls_failure_of_loading("the system's authorities", out_failure);
    ERR_clear_error();
    return 0;
}

static bool digests_authorities(EVP_MD_CTX *sum, X509_STORE *store)
{
    STACK_OF(X509) *all = X509_STORE_get1_all_certs(store);
    bool is_good = all != NULL;

    for (int i = 0; is_good && i < sk_X509_num(all); i++) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned digest_bytes = 0;
        is_good = X509_digest(sk_X509_value(all, i), EVP_sha256(), digest, &digest_bytes) == 1 &&
                  EVP_DigestUpdate(sum, digest, digest_bytes) == 1;
    }
    sk_X509_pop_free(all, X509_free);
    return is_good;
}

/*
 * A session says whom we have verified, and by what: it is not to be resumed by who demands
 * something else of clients, though it has the key of the ticket. So that is what makes the
 * context of sessions.
 */
static bool sets_session_context(SSL_CTX *ctx, const coil_tls_options *options)
{
    const int mode = SSL_CTX_get_verify_mode(ctx);
    const char *directory = options->ca_directory != NULL ? options->ca_directory : "";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_bytes = 0;

    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    bool is_good = sum != NULL && EVP_DigestInit_ex(sum, EVP_sha256(), NULL) == 1 &&
                   EVP_DigestUpdate(sum, &mode, sizeof(mode)) == 1;
    if (is_good && mode != SSL_VERIFY_NONE) {
        is_good = EVP_DigestUpdate(sum, directory, strlen(directory) + 1) == 1 &&
                  digests_authorities(sum, SSL_CTX_get_cert_store(ctx));
    }
    is_good = is_good && EVP_DigestFinal_ex(sum, digest, &digest_bytes) == 1 &&
              SSL_CTX_set_session_id_context(ctx, digest, digest_bytes) == 1;
    EVP_MD_CTX_free(sum);
    return is_good;
}

static int set_up(SSL_CTX *ctx, coil_tls_side side, const coil_tls_options *options,
        coil_tls_failure *out_failure)
{
    bool is_good =
            SSL_CTX_set_min_proto_version(ctx, tls_version_of(options->oldest, TLS1_2_VERSION)) &&
            SSL_CTX_set_max_proto_version(ctx, tls_version_of(options->newest, 0));

    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, side == COIL_TLS_CLIENT && !options->refuses_resumption
                                                ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
                                                : SSL_SESS_CACHE_OFF);
    if (options->refuses_resumption) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        is_good = is_good && SSL_CTX_set_num_tickets(ctx, 0);
    }
    SSL_CTX_set_verify(ctx, verify_mode(side, options), NULL);
    if (!is_good)
        return tls_failure_of_loading("versions", out_failure);
    if (options->ciphers != NULL && SSL_CTX_set_cipher_list(ctx, options->ciphers) != 1)
        return tls_failure_of_loading("ciphers", out_failure);
    int rc = load_authorities(ctx, options, out_failure);
    if (rc == 0 && side == COIL_TLS_SERVER && !sets_session_context(ctx, options))
        return -ENOMEM;
    return rc;
}

/* ------------------------------------------------------------------------------- lifecycle -- */

static void generation_left(
        void *parent, void *user, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    generation_destroy(user);
}

static int extra_index;
static pthread_once_t extra_index_once = PTHREAD_ONCE_INIT;

static void make_extra_index(void)
{
    extra_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, generation_left);
}

static int use_generation(SSL_CTX *ctx, coil_tls_side side, generation *made,
        const coil_tls_options *options, coil_tls_failure *out_failure)
{
    made->refuses_unknown_names = options->refuses_unknown_names;
    int rc = load_identities(made, options, out_failure);
    if (rc == 0)
        rc = load_protocols(made, options->protocols, out_failure);
    if (rc < 0)
        return rc;
    if (made->identity_count > 0) {
        const identity *first = &made->identities[0];
        if (SSL_CTX_use_cert_and_key(ctx, first->certificate, first->key, first->chain, 1) != 1)
            return tls_failure_of_loading("certificate", out_failure);
    }
    if (side == COIL_TLS_CLIENT) {
        rc = made->protocols_bytes > 0
                     ? SSL_CTX_set_alpn_protos(ctx, made->protocols, made->protocols_bytes)
                     : 0;
        return rc == 0 ? 0 : -ENOMEM;
    }
    SSL_CTX_set_cert_cb(ctx, choose_identity, made);
    SSL_CTX_set_tlsext_servername_callback(ctx, refuse_unknown_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, made);
    if (made->protocols_bytes > 0)
        SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, made);
    return 0;
}

int tls_generation_create(coil_tls_side side, const coil_tls_options *options, SSL_CTX **out_ctx,
        coil_tls_failure *out_failure)
{
    if (side == COIL_TLS_SERVER && options->certificate_count == 0)
        return tls_failure_of_loading("a server without certificate", out_failure);
    (void)pthread_once(&extra_index_once, make_extra_index);
    SSL_CTX *ctx = SSL_CTX_new(side == COIL_TLS_SERVER ? TLS_server_method() : TLS_client_method());
    generation *made = calloc(1, sizeof(*made));
    if (ctx == NULL || made == NULL || SSL_CTX_set_ex_data(ctx, extra_index, made) != 1) {
        SSL_CTX_free(ctx);
        free(made);
        ERR_clear_error();
        return -ENOMEM;
    }
    int rc = set_up(ctx, side, options, out_failure);
    if (rc == 0)
        rc = use_generation(ctx, side, made, options, out_failure);
    if (rc < 0) {
        SSL_CTX_free(ctx);
        return rc;
    }
    *out_ctx = ctx;
    return 0;
}
