/* SPDX-License-Identifier: MIT */
/*
 * resolver_config.h - what is written in resolv.conf(5), in hosts(5), and in targets.
 *
 * Pure functions on text that need not end with a NUL. What is wrong in a file is passed over, as
 * libc does; what is wrong in what a caller says is an error.
 */
#ifndef RESOLVER_CONFIG_H
#define RESOLVER_CONFIG_H

#include "dns_message.h"

#include <coil/time.h>

typedef struct resolver_config {
    unsigned server_count;
    unsigned search_count;
    coil_address servers[COIL_RESOLVER_SERVERS_MAX];
    dns_name search[COIL_RESOLVER_SEARCH_MAX];
    unsigned ndots;
    unsigned attempts;
    coil_duration timeout;
    bool rotate;
} resolver_config;

/* The values that are meant when nothing is written. No server. */
void resolver_config_init(resolver_config *config);

/* Add what a resolv.conf says. */
void resolver_config_read(resolver_config *config, const char *text, size_t size_bytes);

/* Instead of those that it has. -EINVAL, -ERANGE: one of them is none. Then it is as before. */
int resolver_config_set_servers(resolver_config *config, const char *servers);

/* The same with domains. -EINVAL, -ENAMETOOLONG. */
int resolver_config_set_search(resolver_config *config, const char *domains);

/* ------------------------------------------------------------------------------------- hosts -- */

typedef struct hosts_entry {
    unsigned name_at; /* In `names`. */
    unsigned name_length;
    unsigned line; /* Entries of a name keep the order of the file. */
    dns_address address;
} hosts_entry;

/* Sorted by name. Zeroed: empty. */
typedef struct hosts_table {
    char *names;
    hosts_entry *entries;
    size_t count;
} hosts_table;

/* Replace what is in the table. -ENOMEM: it is as before. */
int hosts_table_read(hosts_table *table, const char *text, size_t size_bytes);

void hosts_table_fini(hosts_table *table);

/* The first entry of the name, and how many there are. */
const hosts_entry *hosts_table_find(
        const hosts_table *table, const dns_name *name, size_t *out_count);

/* ----------------------------------------------------------------------------------- targets -- */

typedef enum resolver_target_kind {
    RESOLVER_TARGET_LITERAL,
    RESOLVER_TARGET_HOST,
    RESOLVER_TARGET_SERVICE,
} resolver_target_kind;

typedef struct resolver_target {
    resolver_target_kind kind;
    coil_address literal;
    dns_name name;
    bool is_absolute;
    uint16_t port;
} resolver_target;

/* Read what coil_resolve() takes; its errors. */
int resolver_target_read(const char *text, resolver_target *out_target);

/*
 * Is it one, for those who ask for its addresses later? The same errors, but that an interface that
 * there is not may come.
 */
int resolver_target_check(const char *text);

#endif
