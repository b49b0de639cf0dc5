/* SPDX-License-Identifier: MIT */
/* Certificates as they lie in a directory of Apache Thrift's cross tests. */
#include "cross_options.h"

#include <stdio.h>

enum { PATH_BYTES = 512 };

static int create(coil_tls_side side, const char *name, const cross_options *options,
        coil_tls_context **out_context)
{
    char chain[PATH_BYTES];
    char key[PATH_BYTES];
    char authority[PATH_BYTES];
    coil_tls_failure failure;

    (void)snprintf(chain, sizeof(chain), "%s/%s.crt", options->keys, name);
    (void)snprintf(key, sizeof(key), "%s/%s.key", options->keys, name);
    (void)snprintf(authority, sizeof(authority), "%s/CA.pem", options->keys);
    const coil_tls_certificate certificate = {.chain_file = chain, .key_file = key};
    const coil_tls_options wanted = {
            .certificates = &certificate,
            .certificate_count = 1,
            .ca_file = side == COIL_TLS_CLIENT ? authority : NULL,
    };
    const int rc = coil_tls_context_create(side, &wanted, out_context, &failure);
    if (rc < 0)
        fprintf(stderr, "%s\n", failure.text);
    return rc;
}

int cross_tls_server(const cross_options *options, coil_tls_context **out_context)
{
    return create(COIL_TLS_SERVER, "server", options, out_context);
}

int cross_tls_client(const cross_options *options, coil_tls_context **out_context)
{
    return create(COIL_TLS_CLIENT, "client", options, out_context);
}
