/* SPDX-License-Identifier: MIT */
#include <coil/proxy_protocol.h>

#include "address_private.h"
#include "proxy_protocol_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

/* doc/proxy-protocol.txt, 2.1 and 2.2. */
static const char v1_prefix[] = "PROXY ";
static const uint8_t v2_signature[] = "\r\n\r\n\0\r\nQUIT\n";

enum {
    PREFIX_BYTES = sizeof(v1_prefix) - 1,
    V2_REST_LIMIT = 65535, /* What that length can say. */
    VALUE_BYTES = 3,       /* Type and length of a value. */
    CRC_BYTES = 4,
    PATH_BYTES = 108,
    LOCAL = 0x20,
    PROXY = 0x21,
    STREAM = 1,
    DATAGRAM = 2,
};

static_assert(PROXY_SIGNATURE_BYTES == sizeof(v2_signature) - 1, "all of it");

/* Families of version 2. */
enum { UNSPECIFIED, INET, INET6, UNIX, FAMILIES };

static uint16_t get_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void put_u16(uint8_t *bytes, unsigned number)
{
    bytes[0] = (uint8_t)(number >> 8);
    bytes[1] = (uint8_t)number;
}

/* ------------------------------------------------------------------------------ addresses -- */

/* A path, an abstract name (with the NULs behind it cut off), or none. */
static void set_unix(coil_address *address, const uint8_t *path)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    size_t size_bytes = PATH_BYTES;

    while (size_bytes > 0 && path[size_bytes - 1] == 0)
        size_bytes--;
    if (size_bytes > 0 && path[0] != 0)
        size_bytes = strnlen((const char *)path, PATH_BYTES) + 1; /* With its NUL, if it has one. */
    memcpy(local.sun_path, path, size_bytes < PATH_BYTES ? size_bytes : PATH_BYTES);
    memcpy(&address->storage, &local, sizeof(local));
    address->size_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size_bytes);
}

/* As version 2 numbers them. -1: neither of them can be sent. */
static int family_of(const coil_proxy_header *header)
{
    if (header->source.size_bytes == 0 && header->destination.size_bytes == 0)
        return UNSPECIFIED;
    if (header->source.storage.ss_family != header->destination.storage.ss_family)
        return -1;
    switch (header->source.storage.ss_family) {
    case AF_INET:
        return INET;
    case AF_INET6:
        return INET6;
    case AF_UNIX:
        return UNIX;
    default:
        return -1;
    }
}

/* ------------------------------------------------------------------------------ version 1 -- */

/* The line without its end, word by word. */
typedef struct words {
    char *next; /* NULL: no more. */
} words;

static const char *take_word(words *line)
{
    char *word = line->next;
    if (word == NULL)
        return "";
    char *space = strchr(word, ' ');
    line->next = space == NULL ? NULL : space + 1;
    if (space != NULL)
        *space = '\0';
    return word;
}

/* A decimal number as it is written, without leading zeros; -1: it is none. */
static int read_port(const char *word)
{
    int port = 0;
    if (word[0] == '\0' || (word[0] == '0' && word[1] != '\0'))
        return -1;
    for (; *word != '\0'; word++) {
        if (*word < '0' || *word > '9')
            return -1;
        port = port * 10 + (*word - '0');
        if (port > UINT16_MAX)
            return -1;
    }
    return port;
}

static bool read_v1_addresses(sa_family_t family, words *line, coil_proxy_header *header)
{
    struct in6_addr hosts[2];
    if (inet_pton(family, take_word(line), &hosts[0]) != 1 ||
            inet_pton(family, take_word(line), &hosts[1]) != 1)
        return false;
    int source_port = read_port(take_word(line));
    int destination_port = read_port(take_word(line));
    if (source_port < 0 || destination_port < 0 || line->next != NULL)
        return false;
    address_set(&header->source, family, &hosts[0], (uint16_t)source_port);
    address_set(&header->destination, family, &hosts[1], (uint16_t)destination_port);
    return true;
}

static ssize_t parse_v1(const char *text, size_t size_bytes, coil_proxy_header *out_header)
{
    char copy[COIL_PROXY_V1_BYTES + 1];
    size_t look_bytes = size_bytes < COIL_PROXY_V1_BYTES ? size_bytes : COIL_PROXY_V1_BYTES;
    const char *end = memchr(text, '\n', look_bytes);

    if (end == NULL)
        return size_bytes < COIL_PROXY_V1_BYTES ? -EAGAIN : -EBADMSG;
    size_t line_bytes = (size_t)(end - text) + 1;
    if (text[line_bytes - 2] != '\r')
        return -EBADMSG;
    memcpy(copy, text, line_bytes - 2);
    copy[line_bytes - 2] = '\0';
    if (strlen(copy) != line_bytes - 2)
        return -EBADMSG;

    coil_proxy_header header = {.version = 1};
    words line = {copy + PREFIX_BYTES};
    const char *protocol = take_word(&line);
    bool is_right = false;
    if (strcmp(protocol, "TCP4") == 0) {
        is_right = read_v1_addresses(AF_INET, &line, &header);
    } else if (strcmp(protocol, "TCP6") == 0) {
        is_right = read_v1_addresses(AF_INET6, &line, &header);
    } else if (strcmp(protocol, "UNKNOWN") == 0) {
        is_right = true; /* Whatever follows is to be ignored. */
    }
    if (!is_right)
        return -EBADMSG;
    *out_header = header;
    return (ssize_t)line_bytes;
}

static void print_host(const coil_address *address, char text[INET6_ADDRSTRLEN])
{
    const void *storage = &address->storage;
    const sa_family_t family = address->storage.ss_family;
    const void *host = &((const struct sockaddr_in6 *)storage)->sin6_addr;

    if (family == AF_INET)
        host = &((const struct sockaddr_in *)storage)->sin_addr;
    (void)inet_ntop(family, host, text, INET6_ADDRSTRLEN);
}

/* Its size, or -EINVAL. */
static int print_v1(const coil_proxy_header *header, char line[COIL_PROXY_V1_BYTES + 1])
{
    char source[INET6_ADDRSTRLEN];
    char destination[INET6_ADDRSTRLEN];
    const int family = family_of(header);

    if (family == UNSPECIFIED)
        return snprintf(line, COIL_PROXY_V1_BYTES + 1, "PROXY UNKNOWN\r\n");
    if (family != INET && family != INET6)
        return -EINVAL;
    print_host(&header->source, source);
    print_host(&header->destination, destination);
    return snprintf(line, COIL_PROXY_V1_BYTES + 1, "PROXY TCP%c %s %s %u %u\r\n",
            family == INET ? '4' : '6', source, destination,
            (unsigned)coil_address_port(&header->source),
            (unsigned)coil_address_port(&header->destination));
}

static ssize_t write_v1(const coil_proxy_header *header, char *bytes, size_t size_bytes)
{
    char line[COIL_PROXY_V1_BYTES + 1];

    if (header->values_bytes > 0 || header->is_local || header->is_datagram)
        return -EINVAL;
    int line_bytes = print_v1(header, line);
    if (line_bytes < 0)
        return line_bytes;
    if ((size_t)line_bytes > size_bytes)
        return -EMSGSIZE;
    memcpy(bytes, line, (size_t)line_bytes);
    return line_bytes;
}

/* ------------------------------------------------------------------------------ version 2 -- */

static const uint16_t family_bytes[FAMILIES] = {
        [INET] = 2 * 4 + 2 * 2, [INET6] = 2 * 16 + 2 * 2, [UNIX] = 2 * PATH_BYTES};

static void read_v2_addresses(int family, const uint8_t *bytes, coil_proxy_header *header)
{
    switch (family) {
    case INET:
        address_set(&header->source, AF_INET, bytes, get_u16(bytes + 8));
        address_set(&header->destination, AF_INET, bytes + 4, get_u16(bytes + 10));
        break;
    case INET6:
        address_set(&header->source, AF_INET6, bytes, get_u16(bytes + 32));
        address_set(&header->destination, AF_INET6, bytes + 16, get_u16(bytes + 34));
        break;
    case UNIX:
        set_unix(&header->source, bytes);
        set_unix(&header->destination, bytes + PATH_BYTES);
        break;
    default:
        break;
    }
}

bool coil_proxy_next(const coil_proxy_header *header, coil_proxy_value *value)
{
    if (header->values_bytes == 0)
        return false;
    const uint8_t *end = header->values + header->values_bytes;
    const uint8_t *next = value->bytes == NULL ? header->values : value->bytes + value->size_bytes;
    if (end - next < VALUE_BYTES)
        return false;
    uint16_t size_bytes = get_u16(next + 1);
    if (end - next - VALUE_BYTES < size_bytes)
        return false;
    *value = (coil_proxy_value){next[0], size_bytes, next + VALUE_BYTES};
    return true;
}

/* RFC 3720, B.4: of the bytes, with four of them taken as zeros. */
static uint32_t crc32c(const uint8_t *bytes, size_t size_bytes, const uint8_t *zeros)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size_bytes; i++) {
        bool is_zero = bytes + i >= zeros && bytes + i < zeros + CRC_BYTES;
        crc ^= is_zero ? 0 : bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

/*
 * The values fill their place, and at most one of them is a checksum: each costs a walk over the
 * whole header, so that thousands would cost seconds. `*out_checksum` is it, or NULL.
 */
static bool values_are_values(const coil_proxy_header *header, const uint8_t **out_checksum)
{
    coil_proxy_value value = {0};
    size_t seen_bytes = 0;

    *out_checksum = NULL;
    while (coil_proxy_next(header, &value)) {
        seen_bytes += VALUE_BYTES + value.size_bytes;
        if (value.type != COIL_PROXY_CRC32C)
            continue;
        if (value.size_bytes != CRC_BYTES || *out_checksum != NULL)
            return false;
        *out_checksum = value.bytes;
    }
    return seen_bytes == header->values_bytes;
}

/* And a checksum among them is right. */
static bool values_are_right(
        const coil_proxy_header *header, const uint8_t *bytes, size_t size_bytes)
{
    const uint8_t *checksum;
    uint32_t crc;

    if (!values_are_values(header, &checksum))
        return false;
    if (checksum == NULL)
        return true;
    memcpy(&crc, checksum, CRC_BYTES);
    return ntohl(crc) == crc32c(bytes, size_bytes, checksum);
}

ssize_t proxy_v2_size(const uint8_t *bytes)
{
    bool is_right = (bytes[12] == LOCAL || bytes[12] == PROXY) && bytes[13] >> 4 < FAMILIES &&
                    (bytes[13] & 15) <= DATAGRAM;
    return is_right ? PROXY_V2_BYTES + get_u16(bytes + 14) : -EBADMSG;
}

static ssize_t parse_v2(const uint8_t *bytes, size_t size_bytes, coil_proxy_header *out_header)
{
    if (size_bytes < PROXY_V2_BYTES)
        return -EAGAIN;
    ssize_t all_bytes = proxy_v2_size(bytes);
    if (all_bytes < 0)
        return all_bytes;
    if (size_bytes < (size_t)all_bytes)
        return -EAGAIN;

    int family = bytes[13] >> 4;
    coil_proxy_header header = {.version = 2,
            .is_local = bytes[12] == LOCAL,
            .is_datagram = (bytes[13] & 15) == DATAGRAM};
    if (!header.is_local && family != UNSPECIFIED) {
        size_t rest_bytes = (size_t)all_bytes - PROXY_V2_BYTES;
        if (rest_bytes < family_bytes[family])
            return -EBADMSG;
        read_v2_addresses(family, bytes + PROXY_V2_BYTES, &header);
        header.values = bytes + PROXY_V2_BYTES + family_bytes[family];
        header.values_bytes = rest_bytes - family_bytes[family];
        if (!values_are_right(&header, bytes, (size_t)all_bytes))
            return -EBADMSG;
    }
    *out_header = header;
    return all_bytes;
}

static void put_unix(uint8_t *bytes, const coil_address *address)
{
    const void *storage = &address->storage;
    const struct sockaddr_un *local = storage;
    size_t size_bytes = address->size_bytes - offsetof(struct sockaddr_un, sun_path);
    memset(bytes, 0, PATH_BYTES);
    memcpy(bytes, local->sun_path, size_bytes < PATH_BYTES ? size_bytes : PATH_BYTES);
}

static void put_v2_addresses(int family, uint8_t *bytes, const coil_proxy_header *header)
{
    const void *source = &header->source.storage;
    const void *destination = &header->destination.storage;
    const struct sockaddr_in *from_v4 = source;
    const struct sockaddr_in *to_v4 = destination;
    const struct sockaddr_in6 *from_v6 = source;
    const struct sockaddr_in6 *to_v6 = destination;

    switch (family) {
    case INET:
        memcpy(bytes, &from_v4->sin_addr, 4);
        memcpy(bytes + 4, &to_v4->sin_addr, 4);
        put_u16(bytes + 8, coil_address_port(&header->source));
        put_u16(bytes + 10, coil_address_port(&header->destination));
        break;
    case INET6:
        memcpy(bytes, &from_v6->sin6_addr, 16);
        memcpy(bytes + 16, &to_v6->sin6_addr, 16);
        put_u16(bytes + 32, coil_address_port(&header->source));
        put_u16(bytes + 34, coil_address_port(&header->destination));
        break;
    case UNIX:
        put_unix(bytes, &header->source);
        put_unix(bytes + PATH_BYTES, &header->destination);
        break;
    default:
        break;
    }
}

/* Our checksum, at its place among the values; `place` is NULL if there is none. */
static void put_checksum(
        const coil_proxy_header *header, const uint8_t *place, uint8_t *bytes, size_t size_bytes)
{
    if (place == NULL)
        return;
    uint8_t *written = bytes + (size_bytes - header->values_bytes) + (place - header->values);
    uint32_t crc = htonl(crc32c(bytes, size_bytes, written));
    memcpy(written, &crc, CRC_BYTES);
}

static ssize_t write_v2(const coil_proxy_header *header, uint8_t *bytes, size_t size_bytes)
{
    int family = header->is_local ? UNSPECIFIED : family_of(header);
    const uint8_t *checksum;

    if (family < 0 || !values_are_values(header, &checksum) ||
            (family == UNSPECIFIED && header->values_bytes > 0))
        return -EINVAL;
    size_t rest_bytes = family_bytes[family] + header->values_bytes;
    if (rest_bytes > V2_REST_LIMIT || PROXY_V2_BYTES + rest_bytes > size_bytes)
        return -EMSGSIZE;
    int transport = header->is_datagram ? DATAGRAM : STREAM;
    memcpy(bytes, v2_signature, PROXY_SIGNATURE_BYTES);
    bytes[12] = header->is_local ? LOCAL : PROXY;
    bytes[13] = (uint8_t)(family == UNSPECIFIED ? 0 : family << 4 | transport);
    put_u16(bytes + 14, (unsigned)rest_bytes);
    put_v2_addresses(family, bytes + PROXY_V2_BYTES, header);
    if (header->values_bytes > 0)
        memcpy(bytes + PROXY_V2_BYTES + family_bytes[family], header->values, header->values_bytes);
    put_checksum(header, checksum, bytes, PROXY_V2_BYTES + rest_bytes);
    return (ssize_t)(PROXY_V2_BYTES + rest_bytes);
}

/* --------------------------------------------------------------------------------- either -- */

int proxy_version_of(const char *start)
{
    if (memcmp(start, v2_signature, PROXY_SIGNATURE_BYTES) == 0)
        return 2;
    return memcmp(start, v1_prefix, PREFIX_BYTES) == 0 ? 1 : -EBADMSG;
}

ssize_t coil_proxy_parse(const void *bytes, size_t size_bytes, coil_proxy_header *out_header)
{
    size_t prefix_bytes = size_bytes < PREFIX_BYTES ? size_bytes : PREFIX_BYTES;
    size_t signature_bytes =
            size_bytes < PROXY_SIGNATURE_BYTES ? size_bytes : PROXY_SIGNATURE_BYTES;

    if (size_bytes == 0)
        return -EAGAIN;
    if (memcmp(bytes, v1_prefix, prefix_bytes) == 0)
        return size_bytes <= PREFIX_BYTES ? -EAGAIN : parse_v1(bytes, size_bytes, out_header);
    if (memcmp(bytes, v2_signature, signature_bytes) == 0)
        return parse_v2(bytes, size_bytes, out_header);
    return -EBADMSG;
}

/* IPv4 by an IPv6 socket is IPv4, unless the other end is not. */
static coil_proxy_header unmapped(const coil_proxy_header *header)
{
    coil_proxy_header plain = *header;

    address_unmap(&plain.source);
    address_unmap(&plain.destination);
    return family_of(&plain) >= 0 ? plain : *header;
}

ssize_t coil_proxy_write(const coil_proxy_header *header, void *bytes, size_t size_bytes)
{
    const coil_proxy_header plain = unmapped(header);

    switch (header->version) {
    case 1:
        return write_v1(&plain, bytes, size_bytes);
    case 2:
        return write_v2(&plain, bytes, size_bytes);
    default:
        return -EINVAL;
    }
}
