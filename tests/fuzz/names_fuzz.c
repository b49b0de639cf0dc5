/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of what the resolver reads. The first byte says which parser the rest is for:
 *
 *   0, 1, 2   an answer of a name server to a question for A, AAAA, SRV of host.test
 *   3         resolv.conf
 *   4         the hosts file
 *   5         a target of coil_resolve(): an address, or a name
 *   6         servers and search list of the options
 *
 * Beside not crashing it must hold that what is given is within its bounds, that names which were
 * read are read again as the same, and that a name of the hosts file is found.
 */
#include "address_private.h"
#include "resolver_config.h"
#include "resolver_sort.h"

#include <coil/check.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_name(const dns_name *name)
{
    dns_name again;
    COIL_CHECK(name->length < COIL_RESOLVER_NAME_BYTES);
    COIL_CHECK(strlen(name->text) == name->length);
    COIL_CHECK(dns_name_read(name->text, name->length, &again, NULL) == 0);
    COIL_CHECK(dns_name_equal(name, &again));
}

static void check_services(const dns_records *records)
{
    uint32_t random[COIL_RESOLVER_SERVICES_MAX];
    unsigned order[COIL_RESOLVER_SERVICES_MAX];
    bool seen[COIL_RESOLVER_SERVICES_MAX] = {false};
    for (unsigned i = 0; i < records->service_count; i++) {
        COIL_CHECK(strlen(records->services[i].target.text) == records->services[i].target.length);
        random[i] = i * 2654435761U;
    }
    sort_services(records->services, records->service_count, random, order);
    for (unsigned i = 0; i < records->service_count; i++) {
        COIL_CHECK(order[i] < records->service_count && !seen[order[i]]);
        seen[order[i]] = true;
    }
}

static void read_message(const uint8_t *bytes, size_t size, uint16_t type)
{
    static const dns_name asked = {9, "host.test"};
    dns_records *records = malloc(sizeof(*records));
    COIL_CHECK(records != NULL);
    dns_records_init(records);
    int rc = dns_message_read(bytes, size, type, &asked, records);
    COIL_CHECK(rc == 0 || rc == -EBADMSG || rc == -EREMOTEIO);
    COIL_CHECK(records->address_count <= COIL_RESOLVER_ADDRESSES_MAX);
    COIL_CHECK(records->service_count <= COIL_RESOLVER_SERVICES_MAX);
    COIL_CHECK(rc < 0 || records->status == 0 || records->status == -ENOENT ||
               records->status == -ENODATA);
    COIL_CHECK(rc < 0 ||
               (records->status == 0) == (records->address_count + records->service_count > 0));
    check_services(records);
    free(records);
}

static void check_config(const resolver_config *config)
{
    COIL_CHECK(config->server_count <= COIL_RESOLVER_SERVERS_MAX);
    COIL_CHECK(config->search_count <= COIL_RESOLVER_SEARCH_MAX);
    COIL_CHECK(config->attempts > 0 && config->timeout > 0 && config->ndots <= 15);
    for (unsigned i = 0; i < config->server_count; i++)
        COIL_CHECK(coil_address_port(&config->servers[i]) > 0);
    for (unsigned i = 0; i < config->search_count; i++)
        check_name(&config->search[i]);
}

static void read_conf(const char *text, size_t size)
{
    resolver_config config;
    resolver_config_init(&config);
    resolver_config_read(&config, text, size);
    check_config(&config);
}

static void read_hosts(const char *text, size_t size)
{
    hosts_table table = {.count = 0};
    size_t count;
    COIL_CHECK(hosts_table_read(&table, text, size) == 0);
    for (size_t i = 0; i < table.count; i++) {
        dns_name name = {.length = table.entries[i].name_length};
        memcpy(name.text, table.names + table.entries[i].name_at, name.length);
        check_name(&name);
        COIL_CHECK(hosts_table_find(&table, &name, &count) != NULL && count > 0);
    }
    hosts_table_fini(&table);
}

/* What is written of an address is read as the same. */
static void check_literal(const coil_address *literal)
{
    char text[COIL_ADDRESS_TEXT_BYTES];
    coil_address again;
    COIL_CHECK(coil_address_parse(coil_address_format(literal, text), &again) == 0);
    COIL_CHECK(address_equal(literal, &again));
}

static void read_target(const char *text)
{
    resolver_target target;
    int rc = resolver_target_read(text, &target);
    COIL_CHECK(rc == 0 || rc == -EINVAL || rc == -ERANGE || rc == -ENAMETOOLONG || rc == -ENODEV);
    if (rc < 0)
        return;
    if (target.kind == RESOLVER_TARGET_LITERAL) {
        check_literal(&target.literal);
    } else {
        check_name(&target.name);
    }
}

static void read_options(const char *text)
{
    resolver_config config;
    resolver_config_init(&config);
    (void)resolver_config_set_servers(&config, text);
    (void)resolver_config_set_search(&config, text);
    check_config(&config);
}

static void read_text(const char *text, size_t size, uint8_t which)
{
    if (which == 3) {
        read_conf(text, size);
    } else if (which == 4) {
        read_hosts(text, size);
    } else if (which == 5) {
        read_target(text);
    } else if (which == 6) {
        read_options(text);
    }
}

/* A copy of its own, so that what is read beyond its end is seen. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const uint16_t types[] = {DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_SRV};
    if (size == 0)
        return 0;
    if (bytes[0] < 3) {
        read_message(bytes + 1, size - 1, types[bytes[0]]);
        return 0;
    }
    char *text = malloc(size);
    COIL_CHECK(text != NULL);
    memcpy(text, bytes + 1, size - 1);
    text[size - 1] = '\0';
    read_text(text, size - 1, bytes[0]);
    free(text);
    return 0;
}
