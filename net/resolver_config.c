/* SPDX-License-Identifier: MIT */
#include "resolver_config.h"

#include "address_private.h"

#include <coil/check.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

enum {
    DNS_PORT = 53,
    NDOTS_MAX = 15,
    ATTEMPTS_MAX = 5,
    TIMEOUT_MAX_S = 30,
    SERVER_TEXT_BYTES = 64, /* "[v6]:port", and to spare. */
};

/* ------------------------------------------------------------------------------------- words -- */

/* What is left to read. */
typedef struct span {
    const char *at;
    size_t left;
} span;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static span take_line(span *text)
{
    const char *end = memchr(text->at, '\n', text->left);
    span line = {text->at, end != NULL ? (size_t)(end - text->at) : text->left};
    size_t taken = line.left + (end != NULL ? 1 : 0);
    text->at += taken;
    text->left -= taken;
    return line;
}

/* Up to what begins a remark. */
static span without_remark(span line, const char *marks)
{
    for (size_t i = 0; i < line.left; i++) {
        if (line.at[i] != '\0' && strchr(marks, line.at[i]) != NULL)
            line.left = i;
    }
    return line;
}

/* An empty one: there are no more. */
static span take_word(span *line)
{
    while (line->left > 0 && is_blank(*line->at)) {
        line->at++;
        line->left--;
    }
    span word = {line->at, 0};
    while (line->left > 0 && !is_blank(*line->at)) {
        line->at++;
        line->left--;
        word.left++;
    }
    return word;
}

static bool is_word(span word, const char *text)
{
    return word.left == strlen(text) && memcmp(word.at, text, word.left) == 0;
}

/* A text of its own, with a NUL. False: it does not fit. */
static bool copy_word(span word, char *text, size_t size_bytes)
{
    if (word.left >= size_bytes || memchr(word.at, '\0', word.left) != NULL)
        return false;
    memcpy(text, word.at, word.left);
    text[word.left] = '\0';
    return true;
}

/* "name:<number>", as options are written. */
static bool read_option(span word, const char *name, unsigned limit, unsigned *out_value)
{
    size_t length = strlen(name);
    unsigned value = 0;
    if (word.left <= length || memcmp(word.at, name, length) != 0)
        return false;
    for (size_t i = length; i < word.left; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return false;
        value = value * 10 + (unsigned)(word.at[i] - '0');
        if (value > limit)
            value = limit;
    }
    *out_value = value;
    return true;
}

/* --------------------------------------------------------------------------------- addresses -- */

static bool read_address(const char *text, dns_address *out_address)
{
    dns_address address = {.is_v6 = strchr(text, ':') != NULL};
    if (inet_pton(address.is_v6 ? AF_INET6 : AF_INET, text, address.bytes) != 1)
        return false;
    *out_address = address;
    return true;
}

static int read_server(span word, coil_address *out_server)
{
    char text[SERVER_TEXT_BYTES];
    dns_address address;

    if (!copy_word(word, text, sizeof(text)) || text[0] == '*')
        return -EINVAL;
    if (read_address(text, &address)) {
        address_set(out_server, address.is_v6 ? AF_INET6 : AF_INET, address.bytes, DNS_PORT);
        return 0;
    }
    if (text[0] != '[' && strchr(text, '%') != NULL) { /* fe80::1%eth0 */
        char full[SERVER_TEXT_BYTES + sizeof("[]:53")];
        (void)snprintf(full, sizeof(full), "[%s]:%d", text, DNS_PORT);
        return coil_address_parse(full, out_server);
    }
    int rc = coil_address_parse(text, out_server);
    if (rc == 0 && coil_address_port(out_server) == 0)
        return -EINVAL; /* A unix socket, or nowhere. */
    return rc;
}

/* ------------------------------------------------------------------------------- resolv.conf -- */

void resolver_config_init(resolver_config *config)
{
    config->server_count = 0;
    config->search_count = 0;
    config->ndots = 1;
    config->attempts = 2;
    config->timeout = coil_s(5);
    config->rotate = false;
}

static void read_search(resolver_config *config, span line)
{
    config->search_count = 0; /* The last line counts. */
    for (span word = take_word(&line); word.left > 0; word = take_word(&line)) {
        if (config->search_count < COIL_RESOLVER_SEARCH_MAX &&
                dns_name_read(word.at, word.left, &config->search[config->search_count], NULL) == 0)
            config->search_count++;
    }
}

static void read_options(resolver_config *config, span line)
{
    unsigned value;
    for (span word = take_word(&line); word.left > 0; word = take_word(&line)) {
        if (read_option(word, "ndots:", NDOTS_MAX, &value)) {
            config->ndots = value;
        } else if (read_option(word, "timeout:", TIMEOUT_MAX_S, &value)) {
            config->timeout = coil_s(value > 0 ? value : 1);
        } else if (read_option(word, "attempts:", ATTEMPTS_MAX, &value)) {
            config->attempts = value > 0 ? value : 1;
        } else if (is_word(word, "rotate")) {
            config->rotate = true;
        }
    }
}

void resolver_config_read(resolver_config *config, const char *text, size_t size_bytes)
{
    span rest = {text, size_bytes};
    while (rest.left > 0) {
        span line = without_remark(take_line(&rest), "#;");
        span word = take_word(&line);
        if (is_word(word, "nameserver")) {
            if (config->server_count < COIL_RESOLVER_SERVERS_MAX &&
                    read_server(take_word(&line), &config->servers[config->server_count]) == 0)
                config->server_count++;
        } else if (is_word(word, "search") || is_word(word, "domain")) {
            read_search(config, line);
        } else if (is_word(word, "options")) {
            read_options(config, line);
        }
    }
}

int resolver_config_set_servers(resolver_config *config, const char *servers)
{
    coil_address read[COIL_RESOLVER_SERVERS_MAX];
    coil_address unused;
    unsigned count = 0;
    span line = {servers, strlen(servers)};
    for (span word = take_word(&line); word.left > 0; word = take_word(&line)) {
        bool has_room = count < COIL_RESOLVER_SERVERS_MAX;
        int rc = read_server(word, has_room ? &read[count] : &unused);
        if (rc < 0)
            return rc;
        count += has_room;
    }
    if (count == 0)
        return -EINVAL;
    memcpy(config->servers, read, count * sizeof(read[0]));
    config->server_count = count;
    return 0;
}

int resolver_config_set_search(resolver_config *config, const char *domains)
{
    dns_name name;
    unsigned count = 0;
    span check = {domains, strlen(domains)};
    for (span word = take_word(&check); word.left > 0; word = take_word(&check)) {
        int rc = dns_name_read(word.at, word.left, &name, NULL);
        if (rc < 0)
            return rc;
        count++;
    }
    read_search(config, (span){domains, strlen(domains)});
    COIL_CHECK(config->search_count <= count);
    return 0;
}

/* ------------------------------------------------------------------------------------- hosts -- */

/* Room that is filled while the file is read. */
typedef struct hosts_filling {
    hosts_table table;
    size_t names_bytes;
    size_t room_count;
    unsigned line;
} hosts_filling;

static bool has_room(hosts_filling *filling)
{
    if (filling->table.count < filling->room_count)
        return true;
    size_t count = filling->room_count == 0 ? 16 : 2 * filling->room_count;
    hosts_entry *entries = realloc(filling->table.entries, count * sizeof(*entries));
    if (entries == NULL)
        return false;
    filling->table.entries = entries;
    filling->room_count = count;
    return true;
}

/* `names` has room for all of the file's text. */
static int add_host(hosts_filling *filling, const dns_address *address, span word)
{
    dns_name name;
    if (dns_name_read(word.at, word.left, &name, NULL) < 0)
        return 0;
    if (!has_room(filling))
        return -ENOMEM;
    filling->table.entries[filling->table.count++] = (hosts_entry){
            .name_at = (unsigned)filling->names_bytes,
            .name_length = name.length,
            .line = filling->line,
            .address = *address,
    };
    memcpy(filling->table.names + filling->names_bytes, name.text, name.length);
    filling->names_bytes += name.length;
    return 0;
}

static int read_hosts_line(hosts_filling *filling, span line)
{
    char text[INET6_ADDRSTRLEN];
    dns_address address;
    if (!copy_word(take_word(&line), text, sizeof(text)) || !read_address(text, &address))
        return 0;
    for (span word = take_word(&line); word.left > 0; word = take_word(&line)) {
        int rc = add_host(filling, &address, word);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int compare_names(const char *one, size_t one_length, const char *other, size_t other_length)
{
    size_t length = one_length < other_length ? one_length : other_length;
    int order = memcmp(one, other, length);
    if (order != 0)
        return order;
    return one_length < other_length ? -1 : one_length > other_length;
}

/* An insertion would take a day for a list of a million names; so by merging, which is stable. */
static void merge(
        const hosts_table *table, hosts_entry *spare, size_t from, size_t middle, size_t to)
{
    size_t left = from;
    size_t right = middle;
    for (size_t i = from; i < to; i++) {
        const hosts_entry *one = &table->entries[left];
        const hosts_entry *other = &table->entries[right];
        bool takes_left =
                right == to ||
                (left < middle && compare_names(table->names + one->name_at, one->name_length,
                                          table->names + other->name_at, other->name_length) <= 0);
        spare[i] = takes_left ? table->entries[left++] : table->entries[right++];
    }
    memcpy(&table->entries[from], &spare[from], (to - from) * sizeof(*spare));
}

static int sort_hosts(hosts_table *table)
{
    hosts_entry *spare = malloc((table->count + 1) * sizeof(*spare));
    if (spare == NULL)
        return -ENOMEM;
    for (size_t width = 1; width < table->count; width *= 2) {
        for (size_t from = 0; from + width < table->count; from += 2 * width) {
            size_t to = from + 2 * width;
            merge(table, spare, from, from + width, to < table->count ? to : table->count);
        }
    }
    free(spare);
    return 0;
}

int hosts_table_read(hosts_table *table, const char *text, size_t size_bytes)
{
    hosts_filling filling = {.table.names = malloc(size_bytes + 1)};
    span rest = {text, size_bytes};
    int rc = filling.table.names != NULL ? 0 : -ENOMEM;

    while (rc == 0 && rest.left > 0) {
        filling.line++;
        rc = read_hosts_line(&filling, without_remark(take_line(&rest), "#"));
    }
    if (rc == 0)
        rc = sort_hosts(&filling.table);
    if (rc < 0) {
        hosts_table_fini(&filling.table);
        return rc;
    }
    hosts_table_fini(table);
    *table = filling.table;
    return 0;
}

void hosts_table_fini(hosts_table *table)
{
    free(table->names);
    free(table->entries);
    *table = (hosts_table){.names = NULL};
}

static int compare_entry(const hosts_table *table, size_t index, const dns_name *name)
{
    const hosts_entry *entry = &table->entries[index];
    return compare_names(
            table->names + entry->name_at, entry->name_length, name->text, name->length);
}

const hosts_entry *hosts_table_find(
        const hosts_table *table, const dns_name *name, size_t *out_count)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_entry(table, middle, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    size_t end = low;
    while (end < table->count && compare_entry(table, end, name) == 0)
        end++;
    *out_count = end - low;
    return end > low ? &table->entries[low] : NULL;
}

/* ----------------------------------------------------------------------------------- targets -- */

static const char unix_prefix[] = "unix:";
static const char service_prefix[] = "srv:";

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int read_name(const char *text, size_t length, resolver_target *target)
{
    return dns_name_read(text, length, &target->name, &target->is_absolute);
}

int resolver_target_read(const char *text, resolver_target *out_target)
{
    int rc = coil_address_parse(text, &out_target->literal);
    out_target->kind = RESOLVER_TARGET_LITERAL;
    if (rc != -EINVAL || begins_with(text, unix_prefix))
        return rc;
    if (begins_with(text, service_prefix)) {
        out_target->kind = RESOLVER_TARGET_SERVICE;
        text += strlen(service_prefix);
        return read_name(text, strlen(text), out_target);
    }
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return -EINVAL;
    out_target->kind = RESOLVER_TARGET_HOST;
    rc = address_parse_port(colon + 1, &out_target->port);
    return rc < 0 ? rc : read_name(text, (size_t)(colon - text), out_target);
}

int resolver_target_check(const char *text)
{
    resolver_target target;
    int rc = resolver_target_read(text, &target);
    return rc == -ENODEV ? 0 : rc;
}
