/* SPDX-License-Identifier: MIT */
/* dns_message.h - what an answer of a name server says (RFC 1035 4, RFC 2782, RFC 3596). */
#ifndef DNS_MESSAGE_H
#define DNS_MESSAGE_H

#include "dns_name.h"

enum {
    DNS_TYPE_A = 1,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_SOA = 6,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_SRV = 33,
};

/* Without a port. */
typedef struct dns_address {
    bool is_v6;
    uint8_t service_index; /* Whose it is, if it came along with services. */
    uint8_t bytes[16];
} dns_address;

typedef struct dns_service {
    uint16_t priority;
    uint16_t weight;
    uint16_t port;
    dns_name target;
} dns_service;

/* What is known of a name. Large: for memory that is used again. */
typedef struct dns_records {
    int status;     /* 0 there are some; -ENOENT there is no such name, -ENODATA no such record. */
    uint32_t ttl_s; /* How long that may be kept. 0: it may not. */
    bool is_unwanted; /* Of services: "." alone, decidedly not offered. */
    unsigned service_count;
    unsigned address_count;
    dns_service services[COIL_RESOLVER_SERVICES_MAX];
    dns_address addresses[COIL_RESOLVER_ADDRESSES_MAX];
} dns_records;

/* Make it empty: no record, to be kept for ever. */
void dns_records_init(dns_records *records);

/*
 * Read the answer to the question for records of `type` of `name`, and add what it says to
 * `records`. `status` and `ttl_s` are then those of this answer. -EBADMSG it is broken, or answers
 * another question; -EREMOTEIO the server has failed, or refuses. Then nothing is to be used.
 */
int dns_message_read(const uint8_t *bytes, size_t size_bytes, uint16_t type, const dns_name *name,
        dns_records *records);

#endif
