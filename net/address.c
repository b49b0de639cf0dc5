/* SPDX-License-Identifier: MIT */
#include <coil/address.h>

#include "address_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

static const char unix_prefix[] = "unix:";

enum { HOST_BYTES = INET6_ADDRSTRLEN + 1 + IF_NAMESIZE + 2 /* [host%interface] */ };

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

void address_unmap(coil_address *address)
{
    const void *storage = &address->storage;
    const struct sockaddr_in6 *v6 = storage;

    if (address->size_bytes < sizeof(*v6) || address->storage.ss_family != AF_INET6 ||
            !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        return;
    struct in_addr v4;
    memcpy(&v4, &v6->sin6_addr.s6_addr[12], sizeof(v4));
    address_set(address, AF_INET, &v4, ntohs(v6->sin6_port));
}

bool address_equal(const coil_address *one, const coil_address *other)
{
    return one->size_bytes == other->size_bytes &&
           memcmp(&one->storage, &other->storage, one->size_bytes) == 0;
}

/* ---------------------------------------------------------------------------------- scopes -- */

/* Does the address mean something else on each interface? */
static bool is_scoped(const struct in6_addr *host)
{
    return IN6_IS_ADDR_LINKLOCAL(host) || IN6_IS_ADDR_MC_NODELOCAL(host) ||
           IN6_IS_ADDR_MC_LINKLOCAL(host);
}

/* An interface, by its number or its name. */
static int parse_scope(const char *text, uint32_t *out_scope)
{
    uint64_t number = 0;
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || text[digits] != '\0') {
        int rc = *text == '\0' ? -EINVAL : coil_kernel_interface(text);
        if (rc > 0)
            *out_scope = (uint32_t)rc;
        return rc < 0 ? rc : 0;
    }
    for (; *text != '\0' && number <= INT32_MAX; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    if (number == 0 || number > INT32_MAX)
        return -ENODEV;
    *out_scope = (uint32_t)number;
    return 0;
}

/* What stands in the brackets: "fe80::1%eth0". */
static int parse_v6(char *host, uint16_t port, coil_address *out_address)
{
    struct in6_addr v6;
    uint32_t scope = 0;

    char *percent = strchr(host, '%');
    if (percent != NULL)
        *percent = '\0';
    if (inet_pton(AF_INET6, host, &v6) != 1 || (percent != NULL && !is_scoped(&v6)))
        return -EINVAL;
    int rc = percent == NULL ? 0 : parse_scope(percent + 1, &scope);
    if (rc < 0)
        return rc;
    address_set(out_address, AF_INET6, &v6, port);
    void *storage = &out_address->storage;
    ((struct sockaddr_in6 *)storage)->sin6_scope_id = scope;
    return 0;
}

int coil_address_parse(const char *text, coil_address *out_address)
{
    if (strncmp(text, unix_prefix, sizeof(unix_prefix) - 1) == 0)
        return parse_unix(text + sizeof(unix_prefix) - 1, out_address);

    const char *colon = strrchr(text, ':');
    char host[HOST_BYTES];
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
        return -EINVAL;
    size_t host_bytes = (size_t)(colon - text);
    memcpy(host, text, host_bytes);
    host[host_bytes] = '\0';

    uint16_t port;
    struct in_addr v4;
    int rc = address_parse_port(colon + 1, &port);
    if (rc < 0)
        return rc;
    if (strcmp(host, "*") == 0) {
        address_set(out_address, AF_INET6, &in6addr_any, port);
    } else if (host[0] == '[' && host_bytes > 2 && host[host_bytes - 1] == ']') {
        host[host_bytes - 1] = '\0';
        rc = parse_v6(host + 1, port, out_address);
    } else if (inet_pton(AF_INET, host, &v4) == 1) {
        address_set(out_address, AF_INET, &v4, port);
    } else {
        rc = -EINVAL;
    }
    return rc;
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

/* The interface as a number: no kernel has to be asked for that, and it is read again. */
static void format_v6(const coil_address *address, char *text)
{
    const void *storage = &address->storage;
    const struct sockaddr_in6 *v6 = storage;
    char host[INET6_ADDRSTRLEN] = "";
    char scope[16] = "";

    (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
    if (v6->sin6_scope_id != 0 && is_scoped(&v6->sin6_addr))
        (void)snprintf(scope, sizeof(scope), "%%%" PRIu32, v6->sin6_scope_id);
    (void)snprintf(text, COIL_ADDRESS_TEXT_BYTES, "[%s%s]:%u", host, scope,
            (unsigned)coil_address_port(address));
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
        format_v6(address, text);
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
