/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of a TLS connection: what our layer makes of the records of a peer, however they are
 * cut, changed, mixed with others or held back, and of what our own side does meanwhile.
 *
 * An input is who we are (its first byte: server or client, which version, whether sessions are
 * resumed) and what happens next, one step after the other, see take_step(). The peer is OpenSSL,
 * on memory of ours: what it has to say is fed to our socket when the input says so. Beside not
 * crashing, not leaking and not hanging it must hold that
 *
 *   - what our reader gets is what the peer has written, from its start, without a gap; and the
 *     other way round
 *   - the stream ends properly only if the peer has said so, and all of it has come
 *   - an error that a handshake ends with has a reason
 */
#include <coil/check.h>
#include <coil/loop.h>
#include <coil/stream.h>
#include <coil/test_loop.h>
#include <coil/tls.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { WRITE_LIMIT = 1 << 16, STEP_LIMIT = 300, PIECE = 4096 };

/* Both sides write 0, 1, 2 ... 250, 0 ...: what has come tells where it belongs. */
enum { CYCLE = 251 };

typedef struct script {
    const uint8_t *next;
    size_t left;
} script;

typedef struct scene {
    int fd;
    coil_stream *stream; /* Ours. */
    coil_tls_context *context;
    bool is_client;
    coil_task *session;
    coil_group *writers;
    int rc; /* 1: it goes on. */
    int shaken;
    coil_tls_failure failure;
    uint64_t read_bytes;
    uint64_t written_bytes; /* That writers were given. */

    SSL *peer;
    BIO *to_peer, *from_peer;
    int peer_fd;
    uint64_t peer_read_bytes;
    uint64_t peer_written_bytes;
    bool peer_has_ended;
    bool was_changed; /* What the peer has said is not what we were given. */
} scene;

static char server_name[] = "localhost"; /* (OpenSSL casts a const away.) */
static coil_loop *loop;
static coil_tls_context *contexts[2][2]; /* By side, by version. */
static SSL_CTX *peers[2];                /* By our side. */

/* ------------------------------------------------------------------------------------ bytes -- */

static uint8_t byte_at(uint64_t position)
{
    return (uint8_t)(position % CYCLE);
}

static void check_bytes(const void *bytes, size_t size_bytes, uint64_t *position)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size_bytes; i++)
        COIL_CHECK(at[i] == byte_at(*position + i));
    *position += size_bytes;
}

static uint8_t take(script *from)
{
    if (from->left == 0)
        return 0;
    from->left--;
    return *from->next++;
}

/* ---------------------------------------------------------------------------------- our side -- */

coil_async(int, write_some, (scene *) self, (size_t) size_bytes)
{
    coil_vars(uint8_t *bytes);

    my->bytes = malloc(size_bytes);
    coil_defer(free(my->bytes));
    if (my->bytes == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < size_bytes; i++)
        my->bytes[i] = byte_at(self->written_bytes + i);
    self->written_bytes += size_bytes;
    coil_ignore(coil_write_all(self->stream, coil_bytes(my->bytes, size_bytes)));
    return 0;
}

coil_async(int, say_end, (scene *) self)
{
    coil_vars();
    coil_ignore(coil_stream_shutdown(self->stream));
    return 0;
}

coil_async(int, read_on, (scene *) self)
{
    coil_vars(coil_slice in);

    coil_defer(coil_slice_release(&my->in));
    for (;;) {
        coil_attempt(my->in, coil_read_some(self->stream));
        if (coil_slice_empty(&my->in))
            return 0;
        check_bytes(my->in.bytes, (size_t)my->in.size_bytes, &self->read_bytes);
        coil_slice_release(&my->in);
    }
}

coil_async(int, live, (scene *) self)
{
    coil_vars(coil_group writers; int rc);

    if (self->is_client) {
        coil_await(my->rc,
                coil_tls_connect(&self->stream, self->context, server_name, &self->failure));
    } else {
        coil_await(my->rc, coil_tls_accept(&self->stream, self->context, &self->failure));
    }
    self->shaken = my->rc;
    if (my->rc < 0) {
        COIL_CHECK(self->stream == NULL && self->failure.reason != COIL_TLS_NO_FAILURE);
        return my->rc;
    }
    coil_defer(self->writers = NULL);
    coil_open_group(&my->writers);
    my->writers.keep_going = true;
    self->writers = &my->writers;
    coil_await(my->rc, read_on(self));
    return my->rc;
}

coil_async(int, session, (scene *) self)
{
    coil_vars();

    self->rc = -ECANCELED;
    coil_defer(self->session = NULL);
    COIL_CHECK(coil_stream_create(self->fd, COIL_TRANSPORT_SOCKET, &self->stream) == 0);
    coil_defer({
        coil_stream_close(self->stream);
        self->stream = NULL;
    });
    coil_await(self->rc, live(self));
    return 0;
}

/* ---------------------------------------------------------------------------------- the peer -- */

/* What of ours has come to the peer, who reads it, and answers. */
static void let_peer_act(scene *self)
{
    uint8_t bytes[PIECE];
    ssize_t count;
    int size_bytes;

    ERR_clear_error();
    while ((count = recv(self->peer_fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        BIO_write(self->to_peer, bytes, (int)count);
    if (!SSL_is_init_finished(self->peer) && SSL_do_handshake(self->peer) != 1)
        return;
    while ((size_bytes = SSL_read(self->peer, bytes, sizeof(bytes))) > 0)
        check_bytes(bytes, (size_t)size_bytes, &self->peer_read_bytes);
}

static void settle(scene *self)
{
    coil_test_settle(loop);
    let_peer_act(self);
    coil_test_settle(loop);
}

static void send_to_us(scene *self, const uint8_t *bytes, size_t size_bytes)
{
    if (send(self->peer_fd, bytes, size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)size_bytes)
        self->was_changed = true; /* It is gone, or takes no more. */
}

/* So many of the bytes that the peer has said, one of them changed if `change` is not 0. */
static void deliver(scene *self, size_t limit_bytes, uint8_t change)
{
    uint8_t bytes[PIECE];
    const size_t room_bytes = limit_bytes < sizeof(bytes) ? limit_bytes : sizeof(bytes);
    const int size_bytes = BIO_read(self->from_peer, bytes, (int)room_bytes);

    if (size_bytes <= 0)
        return;
    bytes[size_bytes / 2] ^= change;
    self->was_changed |= change != 0;
    send_to_us(self, bytes, (size_t)size_bytes);
}

static void peer_writes(scene *self, size_t size_bytes)
{
    uint8_t bytes[PIECE];

    if (!SSL_is_init_finished(self->peer) || self->peer_has_ended)
        return;
    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = byte_at(self->peer_written_bytes + i);
    if (SSL_write(self->peer, bytes, (int)size_bytes) == (int)size_bytes)
        self->peer_written_bytes += size_bytes;
}

static void peer_wants_new_keys(scene *self, bool wants_ours)
{
    if (!SSL_is_init_finished(self->peer))
        return;
    if (SSL_version(self->peer) == TLS1_3_VERSION)
        (void)SSL_key_update(
                self->peer, wants_ours ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    else
        (void)SSL_renegotiate(self->peer);
    (void)SSL_do_handshake(self->peer);
}

static void peer_ends(scene *self)
{
    if (!SSL_is_init_finished(self->peer))
        return;
    (void)SSL_shutdown(self->peer);
    self->peer_has_ended = true;
}

/* ---------------------------------------------------------------------------------- an input -- */

static void inject(scene *self, script *from)
{
    size_t size_bytes = take(from);
    if (size_bytes > from->left)
        size_bytes = from->left;
    send_to_us(self, from->next, size_bytes);
    self->was_changed |= size_bytes > 0;
    from->next += size_bytes;
    from->left -= size_bytes;
}

static void write_ours(scene *self, size_t size_bytes)
{
    if (self->writers != NULL && size_bytes > 0 && self->written_bytes < WRITE_LIMIT)
        (void)coil_spawn(self->writers, write_some(self, size_bytes));
}

/* The connection ends without a word; or nothing comes from us any more. */
static void reset_us(const scene *self, bool is_both)
{
    (void)shutdown(self->peer_fd, is_both ? SHUT_RDWR : SHUT_RD);
}

static void take_step(scene *self, script *from)
{
    const uint8_t step = take(from);

    switch (step & 15) {
    case 0:
    case 1:
        deliver(self, PIECE, 0);
        break;
    case 2:
        deliver(self, 1 + take(from), 0);
        break;
    case 3:
        for (int i = step >> 4; i >= 0; i--) {
            deliver(self, 1, 0);
            settle(self);
        }
        break;
    case 4:
        deliver(self, 1 + take(from), (uint8_t)(1 << (step >> 5)));
        break;
    case 5:
        inject(self, from);
        break;
    case 6:
        self->was_changed |= BIO_pending(self->from_peer) > 0;
        (void)BIO_reset(self->from_peer);
        break;
    case 7:
        peer_writes(self, 1 + 16U * take(from));
        break;
    case 8:
        peer_wants_new_keys(self, step >> 7);
        break;
    case 9:
        peer_ends(self);
        break;
    case 10:
        write_ours(self, 1 + 64U * take(from));
        break;
    case 11:
        if (self->writers != NULL)
            (void)coil_spawn(self->writers, say_end(self));
        break;
    case 12:
        if (self->session != NULL && step >> 7)
            coil_task_cancel(self->session);
        break;
    case 13:
        reset_us(self, step >> 7);
        break;
    case 14: /* Nothing is waited for: the next step comes in the same turn. */
        return;
    default:
        let_peer_act(self);
        return;
    }
    settle(self);
}

static void open_scene(scene *self, uint8_t kind)
{
    int fds[2];

    *self = (scene){.rc = 1, .shaken = 1, .is_client = kind & 1};
    COIL_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    self->fd = fds[0];
    self->peer_fd = fds[1];
    self->context = contexts[self->is_client][kind >> 1 & 1];
    self->peer = SSL_new(peers[self->is_client]);
    self->to_peer = BIO_new(BIO_s_mem());
    self->from_peer = BIO_new(BIO_s_mem());
    SSL_set_bio(self->peer, self->to_peer, self->from_peer);
    if (self->is_client) {
        SSL_set_accept_state(self->peer);
    } else {
        SSL_set_connect_state(self->peer);
        (void)SSL_set_tlsext_host_name(self->peer, server_name);
    }
    self->session = coil_spawn(coil_loop_root(loop), session(self));
    COIL_CHECK(self->session != NULL);
}

/* The connection ends, if it has not before: so does everything on it. */
static void close_scene(scene *self)
{
    (void)close(self->peer_fd);
    coil_test_settle(loop);
    COIL_CHECK(self->session == NULL && self->rc != 1);
    COIL_CHECK(self->read_bytes <= self->peer_written_bytes);
    COIL_CHECK(self->peer_read_bytes <= self->written_bytes);
    if (self->rc == 0) {
        COIL_CHECK(self->peer_has_ended && self->read_bytes == self->peer_written_bytes);
    }
    SSL_free(self->peer);
    ERR_clear_error();
}

/* ---------------------------------------------------------------------------- certificates -- */

static char *text_of(BIO *from)
{
    char *bytes = NULL;
    const long size_bytes = BIO_get_mem_data(from, &bytes);
    char *text = calloc(1, (size_t)size_bytes + 1);
    COIL_CHECK(text != NULL);
    memcpy(text, bytes, (size_t)size_bytes);
    BIO_free(from);
    return text;
}

static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *made = X509_new();
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    const unsigned char name[] = "a test";

    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), -86400L);
    X509_gmtime_adj(X509_getm_notAfter(made), 86400L);
    X509_set_pubkey(made, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC, name, -1, -1, 0);
    X509_set_issuer_name(made, X509_get_subject_name(made));
    X509_add_ext(made, names, -1);
    X509_EXTENSION_free(names);
    COIL_CHECK(X509_sign(made, key, EVP_sha256()) > 0);
    return made;
}

static void make_contexts(const coil_tls_certificate *identity)
{
    coil_tls_options serving = {.certificates = identity, .certificate_count = 1};
    coil_tls_options trusting = {.ca_pem = identity->chain_pem};
    coil_tls_failure failure;

    for (int version = 0; version < 2; version++) {
        serving.newest = trusting.newest = version == 0 ? COIL_TLS_DEFAULT_VERSION : COIL_TLS_1_2;
        COIL_CHECK(coil_tls_context_create(
                           COIL_TLS_SERVER, &serving, &contexts[0][version], &failure) == 0);
        COIL_CHECK(coil_tls_context_create(
                           COIL_TLS_CLIENT, &trusting, &contexts[1][version], &failure) == 0);
    }
}

static void set_up(void)
{
    char curve[] = "P-256"; /* The macro casts a const away. */
    EVP_PKEY *key = EVP_EC_gen(curve);
    X509 *certificate = make_certificate(key);
    BIO *chain_text = BIO_new(BIO_s_mem());
    BIO *key_text = BIO_new(BIO_s_mem());

    PEM_write_bio_X509(chain_text, certificate);
    PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL);
    char *chain_pem = text_of(chain_text);
    char *key_pem = text_of(key_text);
    make_contexts(&(coil_tls_certificate){.chain_pem = chain_pem, .key_pem = key_pem});
    free(chain_pem);
    free(key_pem);
    peers[0] = SSL_CTX_new(TLS_client_method());
    peers[1] = SSL_CTX_new(TLS_server_method());
    COIL_CHECK(SSL_CTX_use_certificate(peers[1], certificate) == 1);
    COIL_CHECK(SSL_CTX_use_PrivateKey(peers[1], key) == 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    COIL_CHECK(coil_test_loop_create(&loop, NULL) == 0);
}

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static scene self;
    script from = {bytes, size};

    if (loop == NULL)
        set_up();
    open_scene(&self, take(&from));
    settle(&self);
    for (int i = 0; i < STEP_LIMIT && from.left > 0; i++)
        take_step(&self, &from);
    close_scene(&self);
    return 0;
}
