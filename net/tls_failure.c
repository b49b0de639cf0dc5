/* SPDX-License-Identifier: MIT */
#include "tls_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509_vfy.h>

const char *coil_tls_reason_text(coil_tls_reason reason)
{
    switch (reason) {
    case COIL_TLS_NO_FAILURE:
        return "no failure";
    case COIL_TLS_EXPIRED:
        return "the certificate has expired";
    case COIL_TLS_NOT_YET_VALID:
        return "the certificate is not valid yet";
    case COIL_TLS_WRONG_NAME:
        return "the certificate is for another name";
    case COIL_TLS_SELF_SIGNED:
        return "the certificate is self-signed";
    case COIL_TLS_UNKNOWN_CA:
        return "the certificate is from an unknown authority";
    case COIL_TLS_REVOKED:
        return "the certificate has been revoked";
    case COIL_TLS_NO_CERTIFICATE:
        return "a certificate is required";
    case COIL_TLS_BAD_CERTIFICATE:
        return "the certificate is not acceptable";
    case COIL_TLS_VERSION:
        return "no version of TLS in common";
    case COIL_TLS_CIPHER:
        return "no cipher in common";
    case COIL_TLS_PROTOCOL:
        return "no application protocol in common";
    case COIL_TLS_UNKNOWN_NAME:
        return "the server does not know the name";
    case COIL_TLS_NOT_TLS:
        return "the peer does not speak TLS";
    case COIL_TLS_RENEGOTIATION:
        return "the peer wants to renegotiate";
    case COIL_TLS_MALFORMED:
        return "what has come is not valid TLS";
    case COIL_TLS_TRUNCATED:
        return "the connection ended without a close_notify";
    case COIL_TLS_TRANSPORT:
        return "the connection has failed";
    case COIL_TLS_FILE:
        return "a file cannot be loaded";
    case COIL_TLS_OTHER:
        break;
    }
    return "TLS has failed";
}

static int errno_of(coil_tls_reason reason)
{
    if (reason >= COIL_TLS_EXPIRED && reason <= COIL_TLS_BAD_CERTIFICATE)
        return -EKEYREJECTED;
    if (reason >= COIL_TLS_VERSION && reason <= COIL_TLS_UNKNOWN_NAME)
        return -EPROTONOSUPPORT;
    return reason == COIL_TLS_TRUNCATED ? -ECONNABORTED : -EPROTO;
}

static void set_text(coil_tls_failure *failure, const char *text)
{
    (void)snprintf(failure->text, sizeof(failure->text), "%s", text);
}

int tls_fail(coil_tls_failure *out_failure, coil_tls_reason reason)
{
    out_failure->reason = reason;
    set_text(out_failure, coil_tls_reason_text(reason));
    return errno_of(reason);
}

/* What is wrong with a certificate, X509_verify_cert_error_string(3). */
static coil_tls_reason reason_of_certificate(long error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return COIL_TLS_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return COIL_TLS_NOT_YET_VALID;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return COIL_TLS_WRONG_NAME;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return COIL_TLS_SELF_SIGNED;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return COIL_TLS_UNKNOWN_CA;
    case X509_V_ERR_CERT_REVOKED:
        return COIL_TLS_REVOKED;
    default:
        return COIL_TLS_BAD_CERTIFICATE;
    }
}

/* What the peer says is wrong: RFC 8446, section 6. */
static coil_tls_reason reason_of_alert(int alert)
{
    switch (alert) {
    case SSL_AD_CERTIFICATE_EXPIRED:
        return COIL_TLS_EXPIRED;
    case SSL_AD_CERTIFICATE_REVOKED:
        return COIL_TLS_REVOKED;
    case SSL_AD_UNKNOWN_CA:
        return COIL_TLS_UNKNOWN_CA;
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_ACCESS_DENIED:
        return COIL_TLS_BAD_CERTIFICATE;
    case SSL_AD_CERTIFICATE_REQUIRED:
        return COIL_TLS_NO_CERTIFICATE;
    case SSL_AD_PROTOCOL_VERSION:
        return COIL_TLS_VERSION;
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_INSUFFICIENT_SECURITY:
        return COIL_TLS_CIPHER;
    case SSL_AD_NO_APPLICATION_PROTOCOL:
        return COIL_TLS_PROTOCOL;
    case SSL_AD_UNRECOGNIZED_NAME:
        return COIL_TLS_UNKNOWN_NAME;
    case SSL_AD_NO_RENEGOTIATION:
        return COIL_TLS_RENEGOTIATION;
    case SSL_AD_BAD_RECORD_MAC:
    case SSL_AD_RECORD_OVERFLOW:
    case SSL_AD_DECODE_ERROR:
    case SSL_AD_DECRYPT_ERROR:
    case SSL_AD_ILLEGAL_PARAMETER:
    case SSL_AD_UNEXPECTED_MESSAGE:
        return COIL_TLS_MALFORMED;
    default:
        return COIL_TLS_OTHER;
    }
}

/* What we say is wrong. */
static coil_tls_reason reason_of_error(int error)
{
    switch (error) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return COIL_TLS_NO_CERTIFICATE;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_INAPPROPRIATE_FALLBACK:
    case SSL_R_WRONG_SSL_VERSION:
        return COIL_TLS_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_WRONG_CIPHER_RETURNED:
        return COIL_TLS_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return COIL_TLS_PROTOCOL;
    case SSL_R_CALLBACK_FAILED:
        return COIL_TLS_UNKNOWN_NAME;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
        return COIL_TLS_NOT_TLS;
    case SSL_R_NO_RENEGOTIATION:
        return COIL_TLS_RENEGOTIATION;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return COIL_TLS_TRUNCATED;
    case ERR_R_MALLOC_FAILURE:
    case ERR_R_INTERNAL_ERROR:
        return COIL_TLS_OTHER;
    default:
        return COIL_TLS_MALFORMED;
    }
}

/* What is in the queue first is the cause; what follows, its consequences. */
static void explain(const tls_connection *tls, unsigned long error, coil_tls_failure *failure)
{
    int reason = ERR_GET_REASON(error);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        long verdict = SSL_get_verify_result(tls->ssl);
        failure->reason = reason_of_certificate(verdict);
        set_text(failure, X509_verify_cert_error_string(verdict));
        return;
    }
    failure->is_peers = reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255;
    failure->reason = failure->is_peers ? reason_of_alert(reason - SSL_AD_REASON_OFFSET)
                                        : reason_of_error(reason);
    const char *text = ERR_reason_error_string(error);
    set_text(failure, text != NULL ? text : coil_tls_reason_text(failure->reason));
}

static bool is_about_memory(unsigned long error)
{
    return ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
}

int tls_failure_of_connection(tls_connection *tls, coil_tls_failure *out_failure)
{
    unsigned long error = ERR_peek_error();
    bool lacks_memory = is_about_memory(error) || is_about_memory(ERR_peek_last_error());

    *out_failure = (coil_tls_failure){.reason = COIL_TLS_NO_FAILURE};
    if (tls->is_refusing) {
        (void)tls_fail(out_failure, COIL_TLS_RENEGOTIATION);
    } else if (tls->below_rc < 0 && tls->below_rc != -EAGAIN) {
        (void)tls_fail(out_failure, COIL_TLS_TRANSPORT);
        ERR_clear_error();
        return tls->below_rc;
    } else if (error != 0) {
        explain(tls, error, out_failure);
    } else {
        (void)tls_fail(out_failure, tls->below_rc == 0 ? COIL_TLS_TRUNCATED : COIL_TLS_OTHER);
    }
    ERR_clear_error();
    return lacks_memory ? -ENOMEM : errno_of(out_failure->reason);
}

/* A number of errno that a file was refused with, or -EINVAL: its contents are no good. */
int tls_failure_of_loading(const char *what, coil_tls_failure *out_failure)
{
    unsigned long error = ERR_peek_error();
    unsigned long last = ERR_peek_last_error();
    const char *why = error != 0 ? ERR_reason_error_string(error) : NULL;
    int rc = is_about_memory(error) || is_about_memory(last) ? -ENOMEM : -EINVAL;

    if (ERR_SYSTEM_ERROR(error)) {
        rc = -ERR_GET_REASON(error);
        why = strerror(-rc);
    }
    out_failure->reason = rc == -ENOMEM ? COIL_TLS_OTHER : COIL_TLS_FILE;
    (void)snprintf(out_failure->text, sizeof(out_failure->text), "%s: %s", what,
            why != NULL ? why : "cannot be used");
    ERR_clear_error();
    return rc;
}
