/* SPDX-License-Identifier: MIT */
/*
 * Certificates for tests, made when they run: an authority, and what it issues, good and bad.
 */
#ifndef TLS_AUTHORITY_H
#define TLS_AUTHORITY_H

#include <coil/tls.h>

#include <gtest/gtest.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <unistd.h>

/* A certificate with those above it, and its key, as PEM. */
struct Issued {
    std::string chain;
    std::string key;

    coil_tls_certificate certificate() const
    {
        coil_tls_certificate source = {};
        source.chain_pem = chain.c_str();
        source.key_pem = key.c_str();
        return source;
    }
};

/* What is asked for. The days count from now. */
struct Request {
    std::string names = "DNS:localhost,IP:127.0.0.1";
    std::string subject = "a test";
    int from_days = -1;
    int to_days = 1;
    bool has_rsa_key = false;
};

class Authority
{
public:
    explicit Authority(const char *name)
        : key(new_key(), EVP_PKEY_free), certificate(make(name), X509_free)
    {
        pem = text_of(certificate.get());
    }

    Issued issue(const Request &request = {}) const
    {
        const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY *)> own(
                request.has_rsa_key ? EVP_RSA_gen(2048) : new_key(), EVP_PKEY_free);
        const std::unique_ptr<X509, void (*)(X509 *)> made(
                blank(request.subject.c_str(), own.get(), request.from_days, request.to_days),
                X509_free);
        extend(made.get(), certificate.get(), NID_subject_alt_name, request.names.c_str());
        sign(made.get(), certificate.get(), key.get());
        return {text_of(made.get()), text_of(own.get())};
    }

    static Issued self_signed(const Request &request = {})
    {
        const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY *)> own(new_key(), EVP_PKEY_free);
        const std::unique_ptr<X509, void (*)(X509 *)> made(
                blank(request.subject.c_str(), own.get(), request.from_days, request.to_days),
                X509_free);
        extend(made.get(), made.get(), NID_subject_alt_name, request.names.c_str());
        sign(made.get(), made.get(), own.get());
        return {text_of(made.get()), text_of(own.get())};
    }

    std::string pem;

private:
    static EVP_PKEY *new_key()
    {
        char curve[] = "P-256"; /* The macro casts a const away. */
        return EVP_EC_gen(curve);
    }

    static X509 *blank(const char *subject, EVP_PKEY *own, int from_days, int to_days)
    {
        static long serial = 1;
        X509 *made = X509_new();
        X509_set_version(made, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(made), serial++);
        X509_gmtime_adj(X509_getm_notBefore(made), from_days * 86400L);
        X509_gmtime_adj(X509_getm_notAfter(made), to_days * 86400L);
        X509_set_pubkey(made, own);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                reinterpret_cast<const unsigned char *>(subject), -1, -1, 0);
        return made;
    }

    static void extend(X509 *made, X509 *issuer, int nid, const char *value)
    {
        X509V3_CTX context;
        X509V3_set_ctx_nodb(&context);
        X509V3_set_ctx(&context, issuer, made, nullptr, nullptr, 0);
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
        EXPECT_NE(nullptr, extension) << value;
        X509_add_ext(made, extension, -1);
        X509_EXTENSION_free(extension);
    }

    static void sign(X509 *made, const X509 *issuer, EVP_PKEY *with)
    {
        X509_set_issuer_name(made, X509_get_subject_name(issuer));
        EXPECT_GT(X509_sign(made, with, EVP_sha256()), 0);
    }

    X509 *make(const char *name)
    {
        X509 *made = blank(name, key.get(), -1, 10);
        extend(made, made, NID_basic_constraints, "critical,CA:TRUE");
        extend(made, made, NID_key_usage, "critical,keyCertSign,cRLSign");
        extend(made, made, NID_subject_key_identifier, "hash");
        sign(made, made, key.get());
        return made;
    }

    static std::string taken(BIO *out)
    {
        char *bytes = nullptr;
        const long size = BIO_get_mem_data(out, &bytes);
        std::string text(bytes, static_cast<size_t>(size));
        BIO_free(out);
        return text;
    }

    static std::string text_of(X509 *one)
    {
        BIO *out = BIO_new(BIO_s_mem());
        PEM_write_bio_X509(out, one);
        return taken(out);
    }

    static std::string text_of(EVP_PKEY *one)
    {
        BIO *out = BIO_new(BIO_s_mem());
        PEM_write_bio_PrivateKey(out, one, nullptr, nullptr, 0, nullptr, nullptr);
        return taken(out);
    }

    std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY *)> key;
    std::unique_ptr<X509, void (*)(X509 *)> certificate;
};

/* A context that goes with its scope. */
class Context
{
public:
    Context(coil_tls_side side, const coil_tls_options &options)
    {
        coil_tls_failure failure = {};
        EXPECT_EQ(0, coil_tls_context_create(side, &options, &context, &failure)) << failure.text;
    }

    ~Context()
    {
        coil_tls_context_destroy(context);
    }

    Context(const Context &) = delete;
    Context &operator=(const Context &) = delete;

    operator coil_tls_context *() const
    {
        return context;
    }

    static coil_tls_context *server(const Issued &issued, coil_tls_options options = {})
    {
        const coil_tls_certificate certificate = issued.certificate();
        coil_tls_context *made = nullptr;
        options.certificates = &certificate;
        options.certificate_count = 1;
        coil_tls_failure failure = {};
        EXPECT_EQ(0, coil_tls_context_create(COIL_TLS_SERVER, &options, &made, &failure))
                << failure.text;
        return made;
    }

    static coil_tls_context *client(const Authority &authority, coil_tls_options options = {})
    {
        coil_tls_context *made = nullptr;
        options.ca_pem = authority.pem.c_str();
        coil_tls_failure failure = {};
        EXPECT_EQ(0, coil_tls_context_create(COIL_TLS_CLIENT, &options, &made, &failure))
                << failure.text;
        return made;
    }

private:
    coil_tls_context *context = nullptr;
};

/* A file that goes with its scope. */
class TemporaryFile
{
public:
    explicit TemporaryFile(const std::string &contents)
    {
        char name[] = "/tmp/coil_tls_XXXXXX";
        close(mkstemp(name));
        path = name;
        std::ofstream(path) << contents;
    }

    ~TemporaryFile()
    {
        unlink(path.c_str());
    }

    TemporaryFile(const TemporaryFile &) = delete;
    TemporaryFile &operator=(const TemporaryFile &) = delete;

    std::string path;
};

#endif
