/* SPDX-License-Identifier: MIT */
/* A user of the installed library. */
#include <coil/coil.h>

#include <errno.h>
#include <stdio.h>

/* Names need what Coil was built with, c-ares: it has to be found again. */
static int look_around(void)
{
    return puts(coil_resolver_asks_dns() ? "asks name servers" : "asks libc");
}

int main(void)
{
    if (look_around() < 0)
        return 1;
    return puts(coil_error_text(-ECANCELED)) < 0;
}
