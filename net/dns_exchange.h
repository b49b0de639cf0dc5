/* SPDX-License-Identifier: MIT */
/*
 * dns_exchange.h - one server is asked once about one name, for records of one type or of two.
 *
 * A channel of c-ares of its own for each: so each has a port of its own, and can be ended by
 * itself. c-ares finds out what is an answer to the question, and asks again by TCP when it was cut
 * off. It has no say about time, of which it would ask the real clock: when to give up is the
 * business of who has started it. Its sockets are of coil/kernel.h, and wait in the ring.
 */
#ifndef DNS_EXCHANGE_H
#define DNS_EXCHANGE_H

#include <coil/address.h>
#include <coil/loop.h>

enum { DNS_EXCHANGE_PARTS = 2 };

typedef struct dns_exchange dns_exchange;
typedef struct dns_exchange_hook dns_exchange_hook;

struct dns_exchange_hook {
    /* What has come for a part; NULL: nothing will. The exchange must not be ended here. */
    void (*answered)(
            dns_exchange_hook *hook, unsigned part, const uint8_t *bytes, size_t size_bytes);
    /* Called later, after one or more of that: here it may be ended. */
    void (*progressed)(dns_exchange_hook *hook);
};

/* What is asked. Must stay until the start has returned. */
typedef struct dns_exchange_question {
    const coil_address *server;
    const char *name;
    unsigned part_count;
    uint16_t types[DNS_EXCHANGE_PARTS];
} dns_exchange_question;

/* -ENOMEM; -EINVAL: c-ares finds that the name is none. */
int dns_exchange_start(coil_loop *loop, const dns_exchange_question *question,
        dns_exchange_hook *hook, dns_exchange **out_exchange);

/* End it. Its hook is not called any more. Takes NULL. */
void dns_exchange_stop(dns_exchange *exchange);

#endif
