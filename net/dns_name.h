/* SPDX-License-Identifier: MIT */
/* dns_name.h - host names as text, the way in which they are compared (RFC 1035, RFC 1123). */
#ifndef DNS_NAME_H
#define DNS_NAME_H

#include <coil/resolver.h>

/* In lower case, without a dot at its end: so equal names are equal bytes. The root is "". */
typedef struct dns_name {
    unsigned length;
    char text[COIL_RESOLVER_NAME_BYTES];
} dns_name;

/*
 * Read `length` bytes at `text`. `out_is_absolute`, unless NULL: whether it ends with a dot.
 * -EINVAL, -ENAMETOOLONG as for coil_resolve(); the root alone is -EINVAL, too.
 */
int dns_name_read(const char *text, size_t length, dns_name *out_name, bool *out_is_absolute);

/* `first` within the domain `second`. -ENAMETOOLONG. */
int dns_name_join(const dns_name *first, const dns_name *second, dns_name *out_name);

bool dns_name_equal(const dns_name *name, const dns_name *other);

unsigned dns_name_dots(const dns_name *name);

/* Whether it is the domain `domain`, as "localhost", or is below it. */
bool dns_name_is_below(const dns_name *name, const char *domain);

#endif
