/* SPDX-License-Identifier: MIT */
#include <coil/address.h>

#include "address_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static const char unix_prefix[] = "unix:";

static int parse_unix(const char *path, coil_address *out_address)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size_bytes = strlen(path);
    bool abstract = path[0] == '@';

    if (size_bytes == 0 || (abstract && size_bytes == 1))
        return -EINVAL;
    if (size_bytes >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, size_bytes);
    if (abstract)
        address.sun_path[0] = '\0';
    memset(out_address, 0, sizeof(*out_address));
    memcpy(&out_address->storage, &address, sizeof(address));
    /* The length is part of an abstract name; a path ends with its NUL. */
    out_address->size_bytes =
            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size_bytes + (abstract ? 0 : 1));
    return 0;
}

int address_parse_port(const char *text, uint16_t *out_port)
{
    unsigned port = 0;
    if (*text == '\0')
        return -EINVAL;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        port = port * 10 + (unsigned)(*text - '0');
        if (port > UINT16_MAX)
            return -ERANGE;
    }
    *out_port = (uint16_t)port;
    return 0;
}

void address_set(coil_address *address, sa_family_t family, const void *host, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    memset(address, 0, sizeof(*address));
    if (family == AF_INET6) {
        memcpy(&v6.sin6_addr, host, sizeof(v6.sin6_addr));
        memcpy(&address->storage, &v6, sizeof(v6));
        address->size_bytes = sizeof(v6);
    } else {
        memcpy(&v4.sin_addr, host, sizeof(v4.sin_addr));
        memcpy(&address->storage, &v4, sizeof(v4));
        address->size_bytes = sizeof(v4);
    }
}

bool address_equal(const coil_address *one, const coil_address *other)
{
    return one->size_bytes == other->size_bytes &&
           memcmp(&one->storage, &other->storage, one->size_bytes) == 0;
}

int coil_address_parse(const char *text, coil_address *out_address)
{
    if (strncmp(text, unix_prefix, sizeof(unix_prefix) - 1) == 0)
        return parse_unix(text + sizeof(unix_prefix) - 1, out_address);

    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN + 2];
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
        return -EINVAL;
    size_t host_bytes = (size_t)(colon - text);
    memcpy(host, text, host_bytes);
    host[host_bytes] = '\0';

    uint16_t port;
    struct in_addr v4;
    struct in6_addr v6;
    int rc = address_parse_port(colon + 1, &port);
    if (rc < 0)
        return rc;
    if (strcmp(host, "*") == 0) {
        address_set(out_address, AF_INET6, &in6addr_any, port);
    } else if (host[0] == '[' && host_bytes > 2 && host[host_bytes - 1] == ']') {
        host[host_bytes - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &v6) != 1)
            return -EINVAL;
        address_set(out_address, AF_INET6, &v6, port);
    } else if (inet_pton(AF_INET, host, &v4) == 1) {
        address_set(out_address, AF_INET, &v4, port);
    } else {
        return -EINVAL;
    }
    return 0;
}

static void format_unix(const coil_address *address, char *text)
{
    const void *storage = &address->storage;
    const struct sockaddr_un *local = storage;
    size_t size_bytes = address->size_bytes - offsetof(struct sockaddr_un, sun_path);
    int shown = (int)strnlen(local->sun_path, size_bytes);

    if (size_bytes > 1 && local->sun_path[0] == '\0') {
        (void)snprintf(text, COIL_ADDRESS_TEXT_BYTES, "unix:@%.*s", (int)size_bytes - 1,
                local->sun_path + 1);
    } else {
        (void)snprintf(text, COIL_ADDRESS_TEXT_BYTES, "unix:%.*s", shown, local->sun_path);
    }
}

const char *coil_address_format(const coil_address *address, char text[COIL_ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "";
    const void *storage = &address->storage;

    switch (address->storage.ss_family) {
    case AF_UNIX:
        format_unix(address, text);
        break;
    case AF_INET:
        (void)inet_ntop(
                AF_INET, &((const struct sockaddr_in *)storage)->sin_addr, host, sizeof(host));
        (void)snprintf(
                text, COIL_ADDRESS_TEXT_BYTES, "%s:%u", host, (unsigned)coil_address_port(address));
        break;
    case AF_INET6:
        (void)inet_ntop(
                AF_INET6, &((const struct sockaddr_in6 *)storage)->sin6_addr, host, sizeof(host));
        (void)snprintf(text, COIL_ADDRESS_TEXT_BYTES, "[%s]:%u", host,
                (unsigned)coil_address_port(address));
        break;
    default:
        (void)snprintf(text, COIL_ADDRESS_TEXT_BYTES, "(no address)");
    }
    return text;
}

uint16_t coil_address_port(const coil_address *address)
{
    const void *storage = &address->storage;
    switch (address->storage.ss_family) {
    case AF_INET:
        return ntohs(((const struct sockaddr_in *)storage)->sin_port);
    case AF_INET6:
        return ntohs(((const struct sockaddr_in6 *)storage)->sin6_port);
    default:
        return 0;
    }
}

const char *coil_address_path(const coil_address *address)
{
    const void *storage = &address->storage;
    const struct sockaddr_un *local = storage;
    bool is_path = address->storage.ss_family == AF_UNIX && local->sun_path[0] != '\0';
    return is_path ? local->sun_path : NULL;
}
