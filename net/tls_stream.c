/* SPDX-License-Identifier: MIT */
#include "tls_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* ----------------------------------------------------------------- what is below, to OpenSSL -- */

/* From the slices of the receiver below: nothing is waited for, and no system call is made. */
static int below_read(BIO *bio, char *bytes, size_t size_bytes, size_t *out_count)
{
    tls_connection *tls = BIO_get_data(bio);
    coil_receiver *below = tls->layer.below;

    BIO_clear_retry_flags(bio);
    tls->below_rc = coil_receiver_look(below, tls->task);
    if (tls->below_rc <= 0) {
        if (tls->below_rc == -EAGAIN)
            BIO_set_retry_read(bio);
        return tls->below_rc == 0 ? 0 : -1;
    }
    coil_slice *front = coil_receiver_front(below);
    size_t count = (size_t)front->size_bytes < size_bytes ? (size_t)front->size_bytes : size_bytes;
    memcpy(bytes, front->bytes, count);
    coil_slice_consume(front, (int64_t)count);
    coil_receiver_head_of(below)->taken_bytes += count;
    if (front->size_bytes == 0)
        coil_slice_release(front);
    *out_count = count;
    return 1;
}

static int below_write(BIO *bio, const char *bytes, size_t size_bytes, size_t *out_count)
{
    tls_connection *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    int rc = coil_layer_put(&tls->layer, bytes, size_bytes);
    if (rc < 0) {
        tls->below_rc = rc;
        return -1;
    }
    tls->has_put = true;
    *out_count = size_bytes;
    return 1;
}

static long below_control(BIO *bio, int command, long number, void *pointer)
{
    const tls_connection *tls = BIO_get_data(bio);
    (void)number, (void)pointer;
    if (command == BIO_CTRL_EOF)
        return tls->below_rc == 0;
    return command == BIO_CTRL_FLUSH; /* Nothing is held back here. */
}

static BIO_METHOD *below_method;
static pthread_once_t below_method_once = PTHREAD_ONCE_INIT;

static void make_below_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "coil_stream");
    if (method == NULL)
        return;
    BIO_meth_set_read_ex(method, below_read);
    BIO_meth_set_write_ex(method, below_write);
    BIO_meth_set_ctrl(method, below_control);
    below_method = method;
}

/* ---------------------------------------------------------------------------------- layer -- */

static tls_connection *owner_of(coil_layer *layer)
{
    return coil_container_of(layer, tls_connection, layer);
}

/* What the protocol wants to say by itself: alerts, tickets, new keys. */
static void flush(tls_connection *tls)
{
    if (!tls->has_put)
        return;
    tls->has_put = false;
    coil_layer_flush(&tls->layer);
}

static int fail(tls_connection *tls)
{
    return tls_failure_of_connection(tls, &tls->failure);
}

static int tls_look(coil_layer *layer, coil_task *task)
{
    tls_connection *tls = owner_of(layer);
    char first;

    if (SSL_pending(tls->ssl) > 0)
        return 1;
    tls->task = task;
    ERR_clear_error();
    /* (Only peeked at: the memory that it is to lie in is not there yet.) */
    int count = SSL_peek(tls->ssl, &first, 1);
    tls->task = NULL;
    if (coil_likely(count > 0 && !tls->is_refusing)) {
        flush(tls);
        return 1;
    }
    int error = SSL_get_error(tls->ssl, count);
    int rc = -EAGAIN;
    if (error == SSL_ERROR_ZERO_RETURN && !tls->is_refusing) {
        rc = 0;
    } else if (error != SSL_ERROR_WANT_READ || tls->is_refusing) {
        rc = fail(tls);
    }
    flush(tls);
    return rc;
}

static size_t tls_take(coil_layer *layer, char *bytes, size_t size_bytes)
{
    tls_connection *tls = owner_of(layer);
    int count = SSL_read(tls->ssl, bytes, size_bytes < INT32_MAX ? (int)size_bytes : INT32_MAX);
    COIL_CHECK(count > 0); /* It has been decrypted before. */
    return (size_t)count;
}

static int tls_seal(coil_layer *layer, const char *bytes, size_t size_bytes)
{
    tls_connection *tls = owner_of(layer);
    ERR_clear_error();
    int count = SSL_write(tls->ssl, bytes, (int)size_bytes);
    tls->has_put = false; /* It leaves with the rest. */
    if (coil_likely(count == (int)size_bytes))
        return 0;
    if (tls->failure.reason != COIL_TLS_NO_FAILURE) { /* The reader has met it first. */
        ERR_clear_error();
        return -EPIPE;
    }
    return fail(tls);
}

static int tls_finish(coil_layer *layer)
{
    tls_connection *tls = owner_of(layer);
    ERR_clear_error();
    int rc = SSL_shutdown(tls->ssl);
    tls->has_put = false;
    ERR_clear_error();
    return rc < 0 ? -EPIPE : 0;
}

static void destroy(coil_layer *layer)
{
    tls_connection *tls = owner_of(layer);
    SSL_free(tls->ssl);
    tls_context_release(tls->context);
    free(tls);
}

static const coil_layer_kind tls_kind = {.name = "TLS",
        .look = tls_look,
        .take = tls_take,
        .seal = tls_seal,
        .finish = tls_finish,
        .destroy = destroy};

/* ------------------------------------------------------------------------------ handshakes -- */

/* OpenSSL answers a wish to renegotiate with a warning, and would go on. */
static void watch_alerts(const SSL *ssl, int where, int what)
{
    tls_connection *tls = SSL_get_app_data(ssl);
    if (where == SSL_CB_WRITE_ALERT && (what & 0xff) == SSL_AD_NO_RENEGOTIATION)
        tls->is_refusing = true;
}

static bool is_ip(const char *name)
{
    struct in6_addr ignored;
    return inet_pton(AF_INET, name, &ignored) == 1 || inet_pton(AF_INET6, name, &ignored) == 1;
}

/* Tell the server whom we want, and have that checked. */
static bool expects(SSL *ssl, char *server_name)
{
    X509_VERIFY_PARAM *wanted = SSL_get0_param(ssl);

    if (is_ip(server_name))
        return X509_VERIFY_PARAM_set1_ip_asc(wanted, server_name) == 1;
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, server_name) == 1 &&
           X509_VERIFY_PARAM_set1_host(wanted, server_name, 0) == 1;
}

static int start_client(tls_connection *tls)
{
    SSL_set_connect_state(tls->ssl);
    if (tls->server_name[0] == '\0')
        return SSL_get_verify_mode(tls->ssl) == SSL_VERIFY_NONE ? 0 : -EINVAL;
    return expects(tls->ssl, tls->server_name) ? 0 : -EINVAL;
}

static int start(tls_connection *tls, coil_tls_context *context)
{
    (void)pthread_once(&below_method_once, make_below_method);
    tls->ssl = tls_context_start(context, tls);
    BIO *bio = tls->ssl != NULL && below_method != NULL ? BIO_new(below_method) : NULL;
    if (bio == NULL)
        return -ENOMEM;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_info_callback(tls->ssl, watch_alerts);
    if (tls_context_side(context) == COIL_TLS_CLIENT)
        return start_client(tls);
    SSL_set_accept_state(tls->ssl);
    return 0;
}

/* The dot of an absolute name is in no certificate, and must not be said (RFC 6066, 3). */
static void set_server_name(tls_connection *tls, const char *name)
{
    size_t length = strlen(name);
    if (length > 1 && name[length - 1] == '.')
        length--;
    memcpy(tls->server_name, name, length); /* There is room; the rest is zeros. */
}

/* What makes of `below` the stream `*out_above`, which owns it. Or `below` is as it was. */
static int create(coil_stream *below, coil_tls_context *context, const char *server_name,
        tls_connection **out_tls, coil_stream **out_above)
{
    if (server_name != NULL && strlen(server_name) >= TLS_NAME_BYTES)
        return -EINVAL;
    tls_connection *tls = calloc(1, sizeof(*tls));
    if (tls == NULL)
        return -ENOMEM;
    tls->layer.kind = &tls_kind;
    tls->below_rc = -EAGAIN;
    if (server_name != NULL)
        set_server_name(tls, server_name);
    int rc = start(tls, context);
    if (rc == 0)
        rc = coil_layer_attach(&tls->layer, below, out_above);
    if (rc < 0) {
        ERR_clear_error();
        destroy(&tls->layer);
        return rc;
    }
    *out_tls = tls;
    return 0;
}

static tls_connection *connection_of(const coil_stream *stream)
{
    coil_layer *layer = coil_layer_of(stream);
    return layer != NULL && layer->kind == &tls_kind ? owner_of(layer) : NULL;
}

coil_leaf(int, shake_hands, (tls_connection *) tls);

static coil_turn shake_hands_step(coil_task *task, coil_frame *leaf)
{
    tls_connection *tls = coil_arguments(shake_hands, leaf)->tls;

    if (leaf->at == NULL && coil_task_refuses(task))
        return coil_leave(task, leaf);
    if (leaf->at != NULL)
        (void)coil_receiver_look(tls->layer.below, task); /* It does not wait any more. */
    tls->task = task;
    ERR_clear_error();
    int done = SSL_do_handshake(tls->ssl);
    tls->task = NULL;
    if (done != 1 && SSL_get_error(tls->ssl, done) == SSL_ERROR_WANT_READ) {
        flush(tls);
        if (leaf->at != NULL && coil_task_unwind_here(task))
            return coil_leave(task, leaf);
        coil_layer_wait(&tls->layer, task);
        return coil_leaf_suspend(leaf);
    }
    coil_result(shake_hands, leaf) = done == 1 ? 0 : fail(tls);
    flush(tls);
    return coil_leave(task, leaf);
}

coil_leaf_fn(shake_hands, shake_hands_step, coil_leaf_wake);

/* It has come to nothing: neither of the two is of use any more. */
static void abandon(coil_stream **stream, coil_stream *above)
{
    coil_stream_close(above != NULL ? above : *stream);
    *stream = NULL;
}

coil_async(int, secure, (coil_stream **) stream, (coil_tls_context *) context,
        (const char *) server_name, (coil_tls_failure *) out_failure)
{
    coil_vars(coil_stream *above; tls_connection *tls; int rc; bool is_done);
    coil_defer(if (!my->is_done) abandon(stream, my->above));

    if (out_failure != NULL)
        *out_failure = (coil_tls_failure){.reason = COIL_TLS_NO_FAILURE};
    my->rc = create(*stream, context, server_name, &my->tls, &my->above);
    if (my->rc < 0) {
        if (out_failure != NULL)
            (void)tls_fail(out_failure, COIL_TLS_OTHER);
        return my->rc;
    }
    coil_await(my->rc, shake_hands(my->tls));
    if (my->rc < 0) {
        if (out_failure != NULL)
            *out_failure = my->tls->failure;
        return my->rc;
    }
    my->is_done = true;
    *stream = my->above;
    return 0;
}

coil_define(int, coil_tls_connect, (coil_stream **) stream, (coil_tls_context *) context,
        (const char *) server_name, (coil_tls_failure *) out_failure)
{
    coil_vars(int rc);
    COIL_CHECK(tls_context_side(context) == COIL_TLS_CLIENT);
    coil_await(my->rc, secure(stream, context, server_name, out_failure));
    return my->rc;
}

coil_define(int, coil_tls_accept, (coil_stream **) stream, (coil_tls_context *) context,
        (coil_tls_failure *) out_failure)
{
    coil_vars(int rc);
    COIL_CHECK(tls_context_side(context) == COIL_TLS_SERVER);
    coil_await(my->rc, secure(stream, context, NULL, out_failure));
    return my->rc;
}

/* ---------------------------------------------------------------------------------- facts -- */

typedef enum answer { NOT_ASKED, NO, YES } answer;

/* A socket that is not connected refuses it with another number than an unknown name. */
static answer ask_kernel_for_tls(void)
{
    int fd = coil_kernel_socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return NOT_ASKED;
    int rc = coil_kernel_setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls"));
    (void)coil_kernel_close(fd);
    return rc == 0 || rc == -ENOTCONN ? YES : NO;
}

static bool kernel_offers_tls(void)
{
    static COIL_PROCESS_WIDE atomic_int known = NOT_ASKED; /* (Two who ask hear the same.) */
    if (atomic_load(&known) == NOT_ASKED) {
        answer heard = ask_kernel_for_tls();
        atomic_store(&known, (int)heard);
    }
    return atomic_load(&known) == YES;
}

bool coil_tls_is_tls(const coil_stream *stream)
{
    return connection_of(stream) != NULL;
}

int coil_tls_facts_of(const coil_stream *stream, coil_tls_facts *out_facts)
{
    tls_connection *tls = connection_of(stream);
    if (tls == NULL)
        return -EINVAL;
    const unsigned char *protocol = NULL;
    unsigned protocol_bytes = 0;
    const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
    SSL_get0_alpn_selected(tls->ssl, &protocol, &protocol_bytes);
    memcpy(tls->protocol, protocol != NULL ? protocol : (const unsigned char *)"", protocol_bytes);
    tls->protocol[protocol_bytes] = '\0';
    *out_facts = (coil_tls_facts){
            .version = SSL_get_version(tls->ssl),
            .cipher = SSL_get_cipher_name(tls->ssl),
            .protocol = tls->protocol,
            .server_name = name != NULL ? name : "",
            .is_resumed = SSL_session_reused(tls->ssl) == 1,
            .is_verified = SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE &&
                           SSL_get0_peer_certificate(tls->ssl) != NULL &&
                           SSL_get_verify_result(tls->ssl) == X509_V_OK,
            .kernel_offers_tls = kernel_offers_tls(),
    };
    return 0;
}

const coil_tls_failure *coil_tls_failure_of(const coil_stream *stream)
{
    static const coil_tls_failure none = {.reason = COIL_TLS_NO_FAILURE};
    const tls_connection *tls = connection_of(stream);
    return tls != NULL ? &tls->failure : &none;
}

/* As much of `from` as fits, terminated. */
static ssize_t copy_text(BIO *from, char *text, size_t text_bytes)
{
    char *bytes = NULL;
    long size_bytes = BIO_get_mem_data(from, &bytes);
    if (text_bytes > 0) {
        size_t fits = (size_t)size_bytes < text_bytes - 1 ? (size_t)size_bytes : text_bytes - 1;
        memcpy(text, bytes, fits);
        text[fits] = '\0';
    }
    BIO_free(from);
    return size_bytes;
}

static const X509 *certificate_of_peer(const coil_stream *stream)
{
    const tls_connection *tls = connection_of(stream);
    return tls != NULL ? SSL_get0_peer_certificate(tls->ssl) : NULL;
}

ssize_t coil_tls_peer_subject(const coil_stream *stream, char *text, size_t text_bytes)
{
    const X509 *certificate = certificate_of_peer(stream);
    if (certificate == NULL)
        return -ENOENT;
    BIO *out = BIO_new(BIO_s_mem());
    if (out == NULL)
        return -ENOMEM;
    (void)X509_NAME_print_ex(out, X509_get_subject_name(certificate), 0, XN_FLAG_ONELINE);
    return copy_text(out, text, text_bytes);
}

ssize_t coil_tls_peer_name(const coil_stream *stream, unsigned index, char *text, size_t text_bytes)
{
    const X509 *certificate = certificate_of_peer(stream);
    GENERAL_NAMES *names = certificate != NULL
                                   ? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL)
                                   : NULL;
    ssize_t rc = -ENOENT;
    if (names != NULL && index < (unsigned)sk_GENERAL_NAME_num(names)) {
        BIO *out = BIO_new(BIO_s_mem());
        rc = -ENOMEM;
        if (out != NULL) {
            (void)GENERAL_NAME_print(out, sk_GENERAL_NAME_value(names, (int)index));
            rc = copy_text(out, text, text_bytes);
        }
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return rc;
}
