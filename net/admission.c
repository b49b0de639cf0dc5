/* SPDX-License-Identifier: MIT */
#include <coil/admission.h>

#include <coil/check.h>
#include <coil/kernel.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

enum { FIRST_BUCKETS = 64, V4_BITS = 32, V6_BITS = 128, V4_OFFSET_BITS = 96, DEFAULT_V6_BITS = 64 };

/* A network: the bits of its prefix, the others are 0. IPv4 as it is written in IPv6 (::ffff:). */
typedef struct network {
    uint64_t words[2];
} network;

typedef struct entry entry;
struct entry {
    entry *next;
    network peer;
    unsigned count;
};

struct coil_admission {
    pthread_mutex_t lock;
    coil_admission_options options;
    uint64_t key[2];
    unsigned total;
    unsigned entry_count;
    unsigned bucket_count; /* A power of two. */
    entry **buckets;
};

/* ------------------------------------------------------------------------------- networks -- */

static void clear_bits(uint8_t *bytes, unsigned from_bit)
{
    for (unsigned bit = from_bit; bit < V6_BITS; bit++)
        bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

/* False: what peers there have is not an address. */
static bool network_of(
        const coil_admission_options *options, const coil_address *peer, network *out_network)
{
    struct in6_addr address = {0};
    const void *storage = &peer->storage;

    if (peer->size_bytes == 0)
        return false;
    if (peer->storage.ss_family == AF_INET6) {
        address = ((const struct sockaddr_in6 *)storage)->sin6_addr;
    } else if (peer->storage.ss_family == AF_INET) {
        address.s6_addr[10] = 0xff;
        address.s6_addr[11] = 0xff;
        memcpy(&address.s6_addr[12], &((const struct sockaddr_in *)storage)->sin_addr, 4);
    } else {
        return false;
    }
    bool is_v4 = IN6_IS_ADDR_V4MAPPED(&address);
    clear_bits(address.s6_addr,
            is_v4 ? V4_OFFSET_BITS + options->ipv4_prefix_bits : options->ipv6_prefix_bits);
    memcpy(out_network, &address, sizeof(*out_network));
    return true;
}

static bool is_same(const network *one, const network *other)
{
    return one->words[0] == other->words[0] && one->words[1] == other->words[1];
}

static void stir(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = (v[1] << 13 | v[1] >> 51) ^ v[0];
    v[0] = v[0] << 32 | v[0] >> 32;
    v[2] += v[3];
    v[3] = (v[3] << 16 | v[3] >> 48) ^ v[2];
    v[0] += v[3];
    v[3] = (v[3] << 21 | v[3] >> 43) ^ v[0];
    v[2] += v[1];
    v[1] = (v[1] << 17 | v[1] >> 47) ^ v[2];
    v[2] = v[2] << 32 | v[2] >> 32;
}

/*
 * SipHash-1-3 (Aumasson, Bernstein 2012) of the two words: whoever does not know the key cannot
 * choose addresses that all lie in one bucket, also if he sees how long things take.
 */
static uint64_t hash_of(const uint64_t key[2], const network *peer)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
            key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    const uint64_t words[] = {peer->words[0], peer->words[1], (uint64_t)sizeof(*peer) << 56};

    for (unsigned i = 0; i < 3; i++) {
        v[3] ^= words[i];
        stir(v);
        v[0] ^= words[i];
    }
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 3; i++)
        stir(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static entry **bucket_of(const coil_admission *admission, const network *peer)
{
    return &admission->buckets[hash_of(admission->key, peer) & (admission->bucket_count - 1)];
}

/* The link that points to its entry, or the end of the bucket. */
static entry **find(const coil_admission *admission, const network *peer)
{
    entry **link = bucket_of(admission, peer);
    while (*link != NULL && !is_same(&(*link)->peer, peer))
        link = &(*link)->next;
    return link;
}

/* Without memory the buckets stay as they are, and become longer. */
static void grow(coil_admission *admission)
{
    unsigned before_count = admission->bucket_count;
    entry **before = admission->buckets;
    entry **larger = calloc(2 * (size_t)before_count, sizeof(entry *));

    if (larger == NULL)
        return;
    admission->buckets = larger;
    admission->bucket_count = 2 * before_count;
    for (unsigned i = 0; i < before_count; i++) {
        entry *next;
        for (entry *each = before[i]; each != NULL; each = next) {
            next = each->next;
            entry **bucket = bucket_of(admission, &each->peer);
            each->next = *bucket;
            *bucket = each;
        }
    }
    free(before);
}

/* -------------------------------------------------------------------- entering and leaving -- */

static int count_peer(coil_admission *admission, const network *peer)
{
    unsigned limit = admission->options.max_per_peer;
    entry **link = find(admission, peer);

    if (*link != NULL) {
        if (limit > 0 && (*link)->count >= limit)
            return -EDQUOT;
        (*link)->count++;
        return 0;
    }
    entry *added = malloc(sizeof(*added));
    if (added == NULL)
        return -ENOMEM;
    *added = (entry){.peer = *peer, .count = 1};
    *link = added;
    if (++admission->entry_count > admission->bucket_count)
        grow(admission);
    return 0;
}

static int enter(coil_admission *admission, const coil_address *peer)
{
    network from;
    int rc = 0;

    if (admission->options.max_total > 0 && admission->total >= admission->options.max_total)
        return -EUSERS;
    if (network_of(&admission->options, peer, &from))
        rc = count_peer(admission, &from);
    if (rc == 0)
        admission->total++;
    return rc;
}

int coil_admission_enter(coil_admission *admission, const coil_address *peer)
{
    pthread_mutex_lock(&admission->lock);
    int rc = enter(admission, peer);
    pthread_mutex_unlock(&admission->lock);
    return rc;
}

static void discount_peer(coil_admission *admission, const network *peer)
{
    entry **link = find(admission, peer);
    entry *found = *link;

    COIL_CHECK(found != NULL);
    if (--found->count > 0)
        return;
    *link = found->next;
    admission->entry_count--;
    free(found);
}

void coil_admission_leave(coil_admission *admission, const coil_address *peer)
{
    network from;

    pthread_mutex_lock(&admission->lock);
    COIL_CHECK(admission->total > 0);
    admission->total--;
    if (network_of(&admission->options, peer, &from))
        discount_peer(admission, &from);
    pthread_mutex_unlock(&admission->lock);
}

unsigned coil_admission_total(coil_admission *admission)
{
    pthread_mutex_lock(&admission->lock);
    unsigned total = admission->total;
    pthread_mutex_unlock(&admission->lock);
    return total;
}

unsigned coil_admission_of_peer(coil_admission *admission, const coil_address *peer)
{
    network from;
    unsigned count = 0;

    pthread_mutex_lock(&admission->lock);
    if (network_of(&admission->options, peer, &from)) {
        entry *found = *find(admission, &from);
        count = found == NULL ? 0 : found->count;
    }
    pthread_mutex_unlock(&admission->lock);
    return count;
}

/* ------------------------------------------------------------------------------ lifecycle -- */

int coil_admission_create(const coil_admission_options *options, coil_admission **out_admission)
{
    if (options->ipv4_prefix_bits > V4_BITS || options->ipv6_prefix_bits > V6_BITS)
        return -EINVAL;
    coil_admission *admission = calloc(1, sizeof(*admission));
    if (admission != NULL)
        admission->buckets = calloc(FIRST_BUCKETS, sizeof(entry *));
    if (admission == NULL || admission->buckets == NULL) {
        free(admission);
        return -ENOMEM;
    }
    admission->options = *options;
    if (options->ipv4_prefix_bits == 0)
        admission->options.ipv4_prefix_bits = V4_BITS;
    if (options->ipv6_prefix_bits == 0)
        admission->options.ipv6_prefix_bits = DEFAULT_V6_BITS;
    admission->bucket_count = FIRST_BUCKETS;
    coil_kernel_random(admission->key, sizeof(admission->key));
    admission->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    *out_admission = admission;
    return 0;
}

void coil_admission_destroy(coil_admission *admission)
{
    if (admission == NULL)
        return;
    COIL_CHECK(admission->total == 0);
    free(admission->buckets);
    free(admission);
}
