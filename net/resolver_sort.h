/* SPDX-License-Identifier: MIT */
/* resolver_sort.h - the order in which addresses (RFC 6724) and services (RFC 2782) are tried. */
#ifndef RESOLVER_SORT_H
#define RESOLVER_SORT_H

#include "dns_message.h"

/* A destination, and where we would come from; that is what the kernel says, or there is no way. */
typedef struct sort_candidate {
    dns_address address;
    dns_address source;
    bool has_source;
} sort_candidate;

/* Best first. Stable. */
void sort_candidates(sort_candidate *candidates, unsigned count);

/* The same for addresses, for which the kernel is asked. Without memory they stay as they are. */
void sort_addresses(dns_address *addresses, unsigned count);

/*
 * The indices of the services in the order in which they are to be used. `random` are `count`
 * numbers.
 */
void sort_services(const dns_service *services, unsigned count, const uint32_t *random,
        unsigned out_order[COIL_RESOLVER_SERVICES_MAX]);

#endif
