/* SPDX-License-Identifier: MIT */
/*
 * coil/resolver.h - names become addresses.
 *
 *     coil_vars (coil_addresses addresses);
 *
 *     coil_attempt (coil_resolve(NULL, "db.internal:5432", &my->addresses));
 *     coil_defer (coil_addresses_release(&my->addresses));
 *     ... my->addresses.items[0 .. count), best first
 *
 * What can be resolved, a *target*:
 *
 *     127.0.0.1:80  [::1]:80  *:80  unix:/path     all that coil_address_parse() takes: the answer
 *     name:port                                    A and AAAA; a port is a number
 *     srv:_service._proto.name                     SRV (RFC 2782), then A and AAAA of its targets;
 *                                                  the ports are theirs, and none is written here
 *
 * Where a name is looked for, in this order
 *   1. "localhost" and all below it are the loopback addresses, "invalid" and all below it do not
 *      exist: nobody is asked (RFC 6761).
 *   2. The hosts file. It is read again when it has changed; as long as it cannot be read for want
 *      of memory or descriptors, what it said before holds.
 *   3. The name, and the name with each domain of the search list behind it: first as it is if it
 *      has `ndots` dots or more, else last. With a dot at its end it is taken as it is only.
 *      For each: the cache, a question that is on its way already, the servers.
 *
 *     coil_resolve --+                                        +--> cached, for its time to live
 *     coil_resolve --+--> one question --try, try again-----> +
 *     coil_resolve --+          |                             +--> failed: not cached
 *                               +--the last who asked has been cancelled--> nobody hears the answer
 *
 * Invariants
 *   - Equal questions are asked once. Who is cancelled leaves alone, the others do not notice.
 *   - Each try asks one server and comes from a new port with a new random id; what does not come
 *     from that server, with that id and that question, is not looked at (RFC 5452). An answer that
 *     was cut off is asked for again by TCP.
 *   - Answers are kept as long as they say, at least `ttl_min`, at most `ttl_max`; that there is no
 *     such name or address as long as the zone's SOA record says (RFC 2308), at most
 *     `negative_ttl_max`. What servers fail at is not kept. The cache has bounds; beyond them the
 *     one not used for longest goes.
 *   - What a hostile server may cause is bounded: 64 KiB, 256 addresses and 64 services per answer
 *     (and an answer for each service), 16 aliases in a row, and the time of all tries.
 *   - Names are bytes as they are in DNS, compared without regard to ASCII case. Those with letters
 *     of other alphabets have to be in their ASCII form ("xn--..."), else -EINVAL.
 *
 * The servers are asked through c-ares. Where Coil was built without it (coil_resolver_asks_dns()),
 * steps 1 and 2 and the cache are the same, and step 3 is getaddrinfo(3) on a thread of the default
 * pool (coil/blocking.h): there are no "srv:" targets, an answer counts for `ttl_min` or 5 s, and
 * options about servers do not matter. A lookup that runs in its thread when the last who asked is
 * cancelled goes on there, and nobody waits for it.
 *
 * On the loop's thread only. asyncio: loop.getaddrinfo(). (Go: net.Resolver.)
 */
#ifndef COIL_RESOLVER_H
#define COIL_RESOLVER_H

#include <coil/address.h>
#include <coil/coro.h>
#include <coil/loop.h>

COIL_BEGIN_DECLS

typedef struct coil_resolver coil_resolver;

enum {
    COIL_RESOLVER_NAME_BYTES = 254,     /* Of a name as text, its NUL included (RFC 1035). */
    COIL_RESOLVER_ADDRESSES_MAX = 256,  /* In an answer. What is more is not looked at. */
    COIL_RESOLVER_SERVICES_MAX = 64,    /* SRV records in an answer. */
    COIL_RESOLVER_SERVERS_MAX = 8,      /* Those behind them are not asked. */
    COIL_RESOLVER_SEARCH_MAX = 16,      /* Domains of the search list, the same. */
    COIL_RESOLVER_QUESTIONS_MAX = 1024, /* On their way at the same time. */

    /* What 0 means in the options. */
    COIL_RESOLVER_CACHE_COUNT = 4096,
    COIL_RESOLVER_CACHE_BYTES = 1 << 20,
    COIL_RESOLVER_TTL_MAX_S = 86400,
    COIL_RESOLVER_NEGATIVE_TTL_MAX_S = 300,
};

/* Zero is a good choice for every member. Texts are copied. */
typedef struct coil_resolver_options {
    /*
     * Name servers, separated by blanks: "10.0.0.53 [fd00::53]:5353". Port 53 if none is said.
     * NULL: those of resolv.conf; without any, 127.0.0.1.
     */
    const char *servers;
    const char *search;           /* Domains, separated by blanks; "": none. NULL: resolv.conf's. */
    const char *hosts_path;       /* NULL: /etc/hosts. "": none. */
    const char *resolv_conf_path; /* NULL: /etc/resolv.conf. "": none. Read again when changed. */
    int ndots;                    /* At most 15. 0: as in resolv.conf, else 1. -1: 0. */
    unsigned attempts;            /* How often each server is asked. 0: resolv.conf, else 2. */
    coil_duration timeout;        /* Of one try. 0: resolv.conf, else 5 s. */
    bool rotate;                  /* Begin with another server each time. */
    size_t cache_count_max;       /* Names. */
    size_t cache_bytes_max;
    coil_duration ttl_min; /* Only of what may be kept at all: TTL 0 stays 0. */
    coil_duration ttl_max;
    coil_duration negative_ttl_max;
} coil_resolver_options;

/* Zeroed: none. */
typedef struct coil_addresses {
    coil_address *items;  /* Best first. */
    uint16_t *priorities; /* Of "srv:": that of each item, lower ones first. NULL: all are equal. */
    unsigned count;
    coil_duration ttl; /* How long they count from now; COIL_FOREVER for literals and hosts. */
} coil_addresses;

/* Counters since the creation of the resolver; the last three are as of now. */
typedef struct coil_resolver_stats {
    uint64_t lookups;      /* Of names, each domain of the search list counted. */
    uint64_t hosts_hits;   /* Answered by the hosts file, or by RFC 6761. */
    uint64_t cache_hits;   /* By the cache, that there is none included. */
    uint64_t joins;        /* By a question that was on its way already. */
    uint64_t questions;    /* By the servers, or not at all. */
    uint64_t tries;        /* Sent to servers. */
    uint64_t timeouts;     /* Of those, without an answer in time. */
    uint64_t bad_answers;  /* And those whose answer was broken, or a failure of the server. */
    uint64_t abandoned;    /* Questions whose askers have all gone. */
    uint64_t evicted;      /* From the cache, because of its bounds. */
    uint64_t reloads;      /* Times that hosts file or resolv.conf have been read. */
    size_t question_count; /* On their way. */
    size_t cached_count;
    size_t cached_bytes;
} coil_resolver_stats;

/* Give back what coil_resolve() has set. Zeroed ones, too; they are zeroed afterwards. */
COIL_API void coil_addresses_release(coil_addresses *addresses);

/*
 * The addresses of `target`, by `resolver`; NULL: that of this loop, which is made at first use and
 * gone with the loop. They are sorted by RFC 6724; those of "srv:" by priority, and among equals at
 * random by weight (RFC 2782), each service's own by RFC 6724. `out_addresses` is set on success
 * only, which means at least one; release them. `target` must stay until the call is done.
 *
 *     -EINVAL      `target` is none; there are bytes in its name that no host name has; an empty
 *                  label, or one of more than 63 bytes
 *     -ERANGE      a port above 65535
 *     -ENODEV      a link-local address on an interface that there is not
 *     -ENAMETOOLONG   a name of more than 253 bytes; a path that is too long for a unix socket
 *     -ENOENT      there is no such name
 *     -ENODATA     there is, but it has no address; or the service is decidedly not offered (".")
 *     -EAGAIN      no server has given an answer, or one that makes sense: try again later
 *     -ENOBUFS     COIL_RESOLVER_QUESTIONS_MAX questions are on their way
 *     -EOPNOTSUPP  "srv:", and Coil was built without c-ares
 *     -ESHUTDOWN   the resolver has been destroyed meanwhile
 *     -ENOMEM; -ETIME under within() and until()
 */
coil_declare(int, coil_resolve, (coil_resolver *) resolver, (const char *) target,
        (coil_addresses *) out_addresses);

/*
 * The same for those who can begin with a part (RFC 8305, section 3): it is done as soon as there
 * are IPv6 addresses; or IPv4 ones, and in the next COIL_RESOLVER_DELAY_MS no answer has come about
 * IPv6; or all is known, as it always is of literals, hosts, services and without c-ares. Where
 * `*out_is_all` is false, `ttl` is 0, and coil_resolve() waits for the rest without asking again.
 */
enum { COIL_RESOLVER_DELAY_MS = 50 };
coil_declare(int, coil_resolve_early, (coil_resolver *) resolver, (const char *) target,
        (coil_addresses *) out_addresses, (bool *) out_is_all);

/*
 * Create a resolver of this loop. `options` may be NULL. -EINVAL a server, a domain or a number is
 * none, -ENODEV, -ENAMETOOLONG, -ENOMEM. That a file cannot be read is no error: it is as if empty.
 */
COIL_API COIL_MUST_USE int coil_resolver_create(
        coil_loop *loop, const coil_resolver_options *options, coil_resolver **out_resolver);

/*
 * End it, before its loop. Whoever waits gets -ESHUTDOWN; nothing is waited for, and nothing is
 * asked any more. Takes NULL.
 */
COIL_API void coil_resolver_destroy(coil_resolver *resolver);

/* That of the loop, made if there is none; never to be destroyed by the caller. NULL: no memory. */
COIL_API coil_resolver *coil_resolver_of(coil_loop *loop);

/*
 * Forget all answers, and look at once whether hosts file and resolv.conf have changed, which
 * lookups do no more than once a second. Questions that are on their way still answer those who
 * wait for them.
 */
COIL_API void coil_resolver_flush(coil_resolver *resolver);

/* The counters as they are now. NULL: all zero. */
COIL_API coil_resolver_stats coil_resolver_statistics(const coil_resolver *resolver);

/* Whether Coil was built with c-ares. */
COIL_API bool coil_resolver_asks_dns(void);

COIL_END_DECLS

#endif
