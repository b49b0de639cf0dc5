/* SPDX-License-Identifier: MIT */
/* A user of coil::tls. */
#include <coil/coil.h>
#include <coil/tls.h>

int main(void)
{
    const coil_tls_options options = {.protocols = "h2"};
    coil_tls_context *context;
    coil_tls_failure failure;

    if (coil_tls_context_create(COIL_TLS_CLIENT, &options, &context, &failure) < 0)
        return 1;
    coil_tls_context_destroy(context);
    return 0;
}
