/* SPDX-License-Identifier: MIT */
#include <coil/resolver.h>

#include "resolver_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NDOTS_MAX = 15, ATTEMPTS_MAX = 100 };

static int copy_path(const char *path, const char *usual, char **out_copy)
{
    if (path == NULL)
        path = usual;
    if (*path == '\0')
        return 0;
    size_t size_bytes = strlen(path) + 1;
    *out_copy = malloc(size_bytes);
    if (*out_copy == NULL)
        return -ENOMEM;
    memcpy(*out_copy, path, size_bytes);
    return 0;
}

static void set_defaults(coil_resolver_options *options)
{
    if (options->cache_count_max == 0)
        options->cache_count_max = COIL_RESOLVER_CACHE_COUNT;
    if (options->cache_bytes_max == 0)
        options->cache_bytes_max = COIL_RESOLVER_CACHE_BYTES;
    if (options->ttl_max == 0)
        options->ttl_max = coil_s(COIL_RESOLVER_TTL_MAX_S);
    if (options->negative_ttl_max == 0)
        options->negative_ttl_max = coil_s(COIL_RESOLVER_NEGATIVE_TTL_MAX_S);
}

static int check_numbers(const coil_resolver_options *options)
{
    bool is_wrong = options->ndots < -1 || options->ndots > NDOTS_MAX ||
                    options->attempts > ATTEMPTS_MAX || options->timeout < 0 ||
                    options->ttl_min < 0 || options->ttl_max < 0 || options->negative_ttl_max < 0;
    return is_wrong ? -EINVAL : 0;
}

static int take_options(coil_resolver *resolver, const coil_resolver_options *options)
{
    static const coil_resolver_options usual = {.servers = NULL};
    if (options == NULL)
        options = &usual;
    resolver->options = *options;
    resolver->says_servers = options->servers != NULL;
    resolver->says_search = options->search != NULL;
    set_defaults(&resolver->options);
    resolver_config_init(&resolver->config);
    resolver_config_init(&resolver->said);
    int rc = check_numbers(options);
    if (rc == 0 && resolver->says_servers)
        rc = resolver_config_set_servers(&resolver->said, options->servers);
    if (rc == 0 && resolver->says_search)
        rc = resolver_config_set_search(&resolver->said, options->search);
    if (rc == 0)
        rc = copy_path(options->hosts_path, "/etc/hosts", &resolver->hosts_file.path);
    if (rc == 0)
        rc = copy_path(options->resolv_conf_path, "/etc/resolv.conf", &resolver->conf_file.path);
    return rc;
}

int coil_resolver_create(
        coil_loop *loop, const coil_resolver_options *options, coil_resolver **out_resolver)
{
    coil_resolver *resolver = calloc(1, sizeof(*resolver));
    if (resolver == NULL)
        return -ENOMEM;
    resolver->loop = loop;
    cache_init(resolver);
    coil_kernel_random(&resolver->seed, sizeof(resolver->seed));
    int rc = take_options(resolver, options);
    if (rc < 0) {
        coil_resolver_destroy(resolver);
        return rc;
    }
    files_merge(resolver);
    files_review(resolver, true);
    *out_resolver = resolver;
    return 0;
}

static void destroy(coil_resolver *resolver)
{
    hosts_table_fini(&resolver->hosts);
    free(resolver->hosts_file.path);
    free(resolver->conf_file.path);
    free(resolver);
}

void resolver_leave(coil_resolver *resolver)
{
    if (resolver != NULL && --resolver->use_count == 0 && resolver->is_ended)
        destroy(resolver);
}

/* Tasks that have been told so still look at it: the last of them frees it. */
void coil_resolver_destroy(coil_resolver *resolver)
{
    if (resolver == NULL)
        return;
    resolver->is_ended = true;
    cache_abandon(resolver, -ESHUTDOWN);
    cache_flush(resolver);
    if (resolver->use_count == 0)
        destroy(resolver);
}

static void end_of_loop(coil_loop_extra *extra)
{
    coil_resolver_destroy(coil_container_of(extra, coil_resolver, extra));
}

coil_resolver *coil_resolver_of(coil_loop *loop)
{
    coil_loop_extra *extra = coil_loop_extra_of(loop, end_of_loop);
    coil_resolver *resolver;
    if (extra != NULL)
        return coil_container_of(extra, coil_resolver, extra);
    if (coil_resolver_create(loop, NULL, &resolver) < 0)
        return NULL;
    coil_loop_extra_add(loop, &resolver->extra, end_of_loop);
    return resolver;
}

void coil_resolver_flush(coil_resolver *resolver)
{
    cache_flush(resolver);
    files_review(resolver, true);
}

coil_resolver_stats coil_resolver_statistics(const coil_resolver *resolver)
{
    static const coil_resolver_stats none = {.lookups = 0};
    return resolver != NULL ? resolver->stats : none;
}

void coil_addresses_release(coil_addresses *addresses)
{
    free(addresses->items);
    free(addresses->priorities);
    *addresses = (coil_addresses){.items = NULL};
}
