/* SPDX-License-Identifier: MIT */
/* Until the resolver is there: literals and localhost. To be removed. */
#include <coil/resolver.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void coil_addresses_release(coil_addresses *addresses)
{
    free(addresses->items);
    *addresses = (coil_addresses){0};
}

static int add(coil_addresses *addresses, const char *text)
{
    return coil_address_parse(text, &addresses->items[addresses->count++]);
}

coil_define(int, coil_resolve, (coil_resolver *) resolver, (const char *) target,
        (coil_addresses *) out_addresses)
{
    coil_vars();
    coil_addresses found = {calloc(2, sizeof(coil_address)), 0, COIL_FOREVER};
    (void)resolver;
    if (found.items == NULL)
        return -ENOMEM;
    int rc = add(&found, target);
    if (rc == -EINVAL && strncmp(target, "localhost:", 10) == 0) {
        char text[64];
        found.count = 0;
        snprintf(text, sizeof(text), "[::1]:%s", target + 10);
        rc = add(&found, text);
        snprintf(text, sizeof(text), "127.0.0.1:%s", target + 10);
        rc = rc < 0 ? rc : add(&found, text);
    }
    if (rc < 0) {
        coil_addresses_release(&found);
        return strchr(target, ':') != NULL && rc == -EINVAL ? -ENOENT : rc;
    }
    *out_addresses = found;
    return 0;
}
