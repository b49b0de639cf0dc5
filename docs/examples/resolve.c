/* SPDX-License-Identifier: MIT */
/* resolve - the addresses of names, all asked for at once; getent ahosts, and services, too. */
#include <coil/coil.h>
#include <coil/sugar.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TARGETS_MAX = 64, TARGET_BYTES = 300 };

static const char usage[] =
        "resolve [--server ADDRESS] [--search DOMAINS] TARGET...\n\n"
        "Print the addresses of each target, best first: of a name, a name:port, or a service\n"
        "\"srv:_service._proto.name\"; up to 64 targets. The servers are those of "
        "/etc/resolv.conf, "
        "or\nADDRESS, an IP address with or without a port; DOMAINS are separated by blanks.\n";

/* What was asked for, and what is known. */
typedef struct lookup {
    const char *target;
    int rc;
    coil_addresses addresses;
} lookup;

static bool has_port(const char *target)
{
    const char *colon = strrchr(target, ':');
    return colon != NULL && strspn(colon + 1, "0123456789") == strlen(colon + 1);
}

/* (Services have a colon, too, and may have another one before a port.) */
static bool is_bare_ipv6(const char *target)
{
    return strncmp(target, "srv:", 4) != 0 && target[0] != '[' &&
           strchr(target, ':') != strrchr(target, ':');
}

/* How a target is asked for: a name or address alone is one with port 0. False: it is too long. */
static bool complete(const char *target, char text[TARGET_BYTES])
{
    const bool is_bare = is_bare_ipv6(target);
    const bool is_whole = !is_bare && (strncmp(target, "srv:", 4) == 0 || has_port(target));
    return snprintf(text, TARGET_BYTES, "%s%s%s%s", is_bare ? "[" : "", target, is_bare ? "]" : "",
                   is_whole ? "" : ":0") < TARGET_BYTES;
}

async(int, look_up, (coil_resolver *) resolver, (lookup *) result)
{
    vars(char target[TARGET_BYTES]);

    if (!complete(result->target, my->target)) {
        result->rc = -ENAMETOOLONG;
        return 0;
    }
    await(result->rc, within(coil_s(15), coil_resolve(resolver, my->target, &result->addresses)));
    return 0;
}

static void print_address(const coil_address *address)
{
    char text[COIL_ADDRESS_TEXT_BYTES];
    coil_address_format(address, text);
    if (coil_address_port(address) == 0 && coil_address_path(address) == NULL)
        *strrchr(text, ':') = '\0';
    printf("    %s\n", text);
}

static void print_result(const lookup *result)
{
    printf("%s", result->target);
    if (result->rc < 0) {
        printf(": %s\n",
                result->rc == -ENOENT ? "there is no such name" : coil_error_text(result->rc));
        return;
    }
    if (result->addresses.ttl == COIL_FOREVER) {
        printf("\n");
    } else {
        printf(" (%d s)\n", (int)(result->addresses.ttl / coil_s(1)));
    }
    for (unsigned i = 0; i < result->addresses.count; i++)
        print_address(&result->addresses.items[i]);
}

async(int, look_up_all, (const coil_resolver_options *) options, (char **) targets, (int) count)
{
    vars(coil_group group; coil_resolver *resolver; lookup results[TARGETS_MAX]; int error);

    int rc = coil_resolver_create(coil_loop_of(coil_self), options, &my->resolver);
    if (rc < 0) {
        fprintf(stderr, "resolve: %s\n", coil_error_text(rc));
        return rc;
    }
    defer(coil_resolver_destroy(my->resolver));
    open_group(&my->group);
    for (int i = 0; i < count; i++) {
        my->results[i].target = targets[i];
        spawn(&my->group, look_up(my->resolver, &my->results[i]));
    }
    attempt(coil_group_join(&my->group));
    for (int i = 0; i < count; i++) {
        print_result(&my->results[i]);
        if (my->results[i].rc < 0)
            my->error = my->results[i].rc;
        coil_addresses_release(&my->results[i].addresses);
    }
    return my->error;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
            {"server", required_argument, NULL, 's'},
            {"search", required_argument, NULL, 'd'},
            {"help", no_argument, NULL, 'h'},
            {NULL, 0, NULL, 0},
    };
    coil_resolver_options options = {.servers = NULL};
    for (int c = 0; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 's') {
            options.servers = optarg;
        } else if (c == 'd') {
            options.search = optarg;
        } else {
            fputs(usage, c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    const int count = argc - optind;
    if (count == 0 || count > TARGETS_MAX) {
        fputs(usage, stderr);
        return 2;
    }
    return coil_run(look_up_all(&options, argv + optind, count)) < 0;
}
