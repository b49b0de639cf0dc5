/* SPDX-License-Identifier: MIT */
/* Session tickets of a server: RFC 5077, section 4, with AES-256-CBC and HMAC-SHA-256. */
#include "tls_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

enum { NAME_BYTES = 16, MAC_KEY_BYTES = 32, CIPHER_KEY_BYTES = 32, IV_BYTES = 16 };

/* What the bytes of a key are. The name is in each ticket, in the clear. */
typedef struct key_parts {
    unsigned char name[NAME_BYTES];
    unsigned char mac[MAC_KEY_BYTES];
    unsigned char cipher[CIPHER_KEY_BYTES];
} key_parts;

static_assert(sizeof(key_parts) == COIL_TLS_TICKET_KEY_BYTES, "nothing is left over");

struct tls_tickets {
    size_t count;
    coil_tls_ticket_key keys[]; /* The first seals. */
};

int coil_tls_ticket_key_make(coil_tls_ticket_key *out_key)
{
    if (RAND_priv_bytes(out_key->bytes, sizeof(out_key->bytes)) == 1)
        return 0;
    ERR_clear_error();
    return -EIO;
}

int tls_tickets_create(const coil_tls_ticket_key *keys, size_t count, tls_tickets **out_tickets)
{
    const size_t have = count > 0 ? count : 1;

    if (count > COIL_TLS_TICKET_KEYS_MAX)
        return -EINVAL;
    tls_tickets *tickets = malloc(sizeof(*tickets) + have * sizeof(tickets->keys[0]));
    if (tickets == NULL)
        return -ENOMEM;
    tickets->count = have;
    int rc = 0;
    if (count > 0) {
        memcpy(tickets->keys, keys, count * sizeof(*keys));
    } else {
        rc = coil_tls_ticket_key_make(&tickets->keys[0]);
    }
    if (rc < 0) {
        tls_tickets_destroy(tickets);
        return rc;
    }
    *out_tickets = tickets;
    return 0;
}

void tls_tickets_destroy(tls_tickets *tickets)
{
    if (tickets == NULL)
        return;
    OPENSSL_cleanse(tickets->keys, tickets->count * sizeof(tickets->keys[0]));
    free(tickets);
}

int tls_tickets_find(
        const tls_tickets *tickets, const unsigned char *name, coil_tls_ticket_key *out_key)
{
    for (size_t i = 0; i < tickets->count; i++) {
        if (name == NULL || memcmp(tickets->keys[i].bytes, name, NAME_BYTES) == 0) {
            *out_key = tickets->keys[i];
            return (int)i;
        }
    }
    return -ENOENT;
}

/* ------------------------------------------------------------------------ sealing, opening -- */

static bool sets_mac(EVP_MAC_CTX *mac, key_parts *key)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
            OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
            OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* What OpenSSL's callback says. A ticket to be replaced is good; its client gets another one. */
enum { FAILED = -1, NOT_OURS = 0, GOOD = 1, TO_BE_REPLACED = 2 };

/* Those of TLS 1.3 are used once (RFC 8446, C.4), others as long as their key is the first. */
static bool is_good_again(const SSL *ssl, int key_index)
{
    return key_index == 0 && SSL_version(ssl) < TLS1_3_VERSION;
}

int tls_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
        EVP_MAC_CTX *mac, int seals)
{
    const tls_connection *tls = SSL_get_app_data(ssl);
    coil_tls_ticket_key found;
    key_parts key;

    const int index = tls_context_ticket_key(tls->context, seals ? NULL : name, &found);
    if (index < 0)
        return NOT_OURS;
    memcpy(&key, found.bytes, sizeof(key));
    bool is_set = sets_mac(mac, &key);
    if (seals) {
        memcpy(name, key.name, sizeof(key.name));
        is_set = is_set && RAND_bytes(iv, IV_BYTES) == 1 &&
                 EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), key.cipher, iv, NULL) == 1;
    } else {
        is_set =
                is_set && EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key.cipher, iv, NULL) == 1;
    }
    OPENSSL_cleanse(&found, sizeof(found));
    OPENSSL_cleanse(&key, sizeof(key));
    if (!is_set)
        return FAILED;
    return seals || is_good_again(ssl, index) ? GOOD : TO_BE_REPLACED;
}
