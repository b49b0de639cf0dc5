/* SPDX-License-Identifier: MIT */
#include "resolver_sort.h"

#include "address_private.h"

#include <coil/kernel.h>

#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

/* ------------------------------------------------------------------------------- RFC 6724 -- */

typedef struct policy {
    uint8_t prefix[16];
    uint8_t prefix_bits;
    uint8_t precedence;
    uint8_t label;
} policy;

/* RFC 6724 2.1, the longest prefix first. */
static const policy policies[] = {
        {{[15] = 1}, 128, 50, 0},
        {{[10] = 0xff, [11] = 0xff}, 96, 35, 4},
        {{0}, 96, 1, 3},
        {{0x20, 0x01}, 32, 5, 5},
        {{0x20, 0x02}, 16, 30, 2},
        {{0x3f, 0xfe}, 16, 1, 12},
        {{0xfe, 0xc0}, 10, 1, 11},
        {{0xfc}, 7, 3, 13},
        {{0}, 0, 40, 1},
};

enum { SCOPE_LINK = 2, SCOPE_SITE = 5, SCOPE_GLOBAL = 14 };

/* IPv4 as ::ffff:a.b.c.d (RFC 6724 3.2). */
static void widen(const dns_address *address, uint8_t out_bytes[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (address->is_v6) {
        memcpy(out_bytes, address->bytes, 16);
    } else {
        memcpy(out_bytes, mapped, sizeof(mapped));
        memcpy(out_bytes + sizeof(mapped), address->bytes, 4);
    }
}

static unsigned common_bits(const uint8_t one[16], const uint8_t other[16])
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned difference = one[i] ^ other[i];
        if (difference != 0)
            return 8 * i + (unsigned)__builtin_clz(difference) - 24;
    }
    return 128;
}

static const policy *policy_of(const dns_address *address)
{
    uint8_t bytes[16];
    const policy *each = policies;
    widen(address, bytes);
    while (common_bits(bytes, each->prefix) < each->prefix_bits)
        each++;
    return each;
}

static unsigned scope_of(const dns_address *address)
{
    const uint8_t *bytes = address->bytes;
    if (!address->is_v6) {
        bool is_near = bytes[0] == 127 || (bytes[0] == 169 && bytes[1] == 254);
        return is_near ? SCOPE_LINK : SCOPE_GLOBAL;
    }
    if (bytes[0] == 0xff)
        return bytes[1] & 0x0f;
    if (policy_of(address)->prefix_bits == 128 || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80))
        return SCOPE_LINK;
    return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0xc0 ? SCOPE_SITE : SCOPE_GLOBAL;
}

/* The bits of a source's own network do not count beyond 64. */
static unsigned match(const sort_candidate *candidate)
{
    unsigned bits = common_bits(candidate->address.bytes, candidate->source.bytes);
    return bits < 64 ? bits : 64;
}

/*
 * Section 6. Rules 3, 4 and 7 are about what the kernel does not tell. Rule 9 is not for IPv4: with
 * it, the servers of a name would not get equal shares.
 */
static bool is_better(const sort_candidate *one, const sort_candidate *other)
{
    if (one->has_source != other->has_source)
        return one->has_source;
    unsigned one_scope = scope_of(&one->address);
    unsigned other_scope = scope_of(&other->address);
    const policy *one_policy = policy_of(&one->address);
    const policy *other_policy = policy_of(&other->address);
    if (one->has_source) {
        bool one_matches = one_scope == scope_of(&one->source);
        if (one_matches != (other_scope == scope_of(&other->source)))
            return one_matches;
        bool one_labelled = one_policy->label == policy_of(&one->source)->label;
        if (one_labelled != (other_policy->label == policy_of(&other->source)->label))
            return one_labelled;
    }
    if (one_policy->precedence != other_policy->precedence)
        return one_policy->precedence > other_policy->precedence;
    if (one_scope != other_scope)
        return one_scope < other_scope;
    return one->has_source && one->address.is_v6 && other->address.is_v6 &&
           match(one) > match(other);
}

void sort_candidates(sort_candidate *candidates, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        sort_candidate moved = candidates[i];
        unsigned to = i;
        for (; to > 0 && is_better(&moved, &candidates[to - 1]); to--)
            candidates[to] = candidates[to - 1];
        candidates[to] = moved;
    }
}

/* ------------------------------------------------------------------------- from the kernel -- */

static void take_source(const coil_address *own, sort_candidate *candidate)
{
    const void *storage = &own->storage;
    candidate->source.is_v6 = candidate->address.is_v6;
    if (candidate->address.is_v6) {
        memcpy(candidate->source.bytes, &((const struct sockaddr_in6 *)storage)->sin6_addr, 16);
    } else {
        memcpy(candidate->source.bytes, &((const struct sockaddr_in *)storage)->sin_addr, 4);
    }
}

/* A connected datagram socket sends nothing, and knows the way. */
static bool find_source(int fd, sort_candidate *candidate)
{
    enum { DISCARD_PORT = 9 };
    coil_address to;
    coil_address own = {.size_bytes = sizeof(own.storage)};

    address_set(&to, candidate->address.is_v6 ? AF_INET6 : AF_INET, candidate->address.bytes,
            DISCARD_PORT);
    if (coil_kernel_connect_now(fd, &to.socket, to.size_bytes) < 0 ||
            coil_kernel_getsockname(fd, &own.socket, &own.size_bytes) < 0)
        return false;
    take_source(&own, candidate);
    return true;
}

static void ask_kernel(sort_candidate *candidate)
{
    int fd = coil_kernel_socket(candidate->address.is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return;
    candidate->has_source = find_source(fd, candidate);
    (void)coil_kernel_close(fd);
}

void sort_addresses(dns_address *addresses, unsigned count)
{
    if (count < 2)
        return;
    sort_candidate *candidates = calloc(count, sizeof(*candidates));
    if (candidates == NULL)
        return;
    for (unsigned i = 0; i < count; i++) {
        candidates[i].address = addresses[i];
        ask_kernel(&candidates[i]);
    }
    sort_candidates(candidates, count);
    for (unsigned i = 0; i < count; i++)
        addresses[i] = candidates[i].address;
    free(candidates);
}

/* -------------------------------------------------------------------------------- RFC 2782 -- */

/* By priority; within one, those of weight 0 first. */
static bool comes_before(const dns_service *one, const dns_service *other)
{
    if (one->priority != other->priority)
        return one->priority < other->priority;
    return one->weight == 0 && other->weight != 0;
}

static void move_first(unsigned *order, unsigned index)
{
    unsigned chosen = order[index];
    memmove(order + 1, order, index * sizeof(*order));
    order[0] = chosen;
}

/* Which of the `count` that are left of a priority is next. */
static unsigned choose(
        const dns_service *services, const unsigned *order, unsigned count, uint32_t random)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += services[order[i]].weight;
    uint32_t wanted = random % (sum + 1);
    sum = 0;
    for (unsigned i = 0; i < count; i++) {
        sum += services[order[i]].weight;
        if (sum >= wanted)
            return i;
    }
    return count - 1;
}

void sort_services(const dns_service *services, unsigned count, const uint32_t *random,
        unsigned out_order[COIL_RESOLVER_SERVICES_MAX])
{
    for (unsigned i = 0; i < count; i++) {
        unsigned to = i;
        for (; to > 0 && comes_before(&services[i], &services[out_order[to - 1]]); to--)
            out_order[to] = out_order[to - 1];
        out_order[to] = i;
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned end = i;
        while (end < count && services[out_order[end]].priority == services[out_order[i]].priority)
            end++;
        move_first(out_order + i, choose(services, out_order + i, end - i, random[i]));
    }
}
