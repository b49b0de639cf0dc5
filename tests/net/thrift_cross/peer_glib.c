/* SPDX-License-Identifier: MIT */
/*
 * ThriftTest by Apache Thrift's C library on GLib, as a client or as a server:
 *
 *     cross_peer_glib client|server HOST PORT|PATH TRANSPORT PROTOCOL [multiplexed] [ssl=DIRECTORY]
 *     [zlib]
 *
 * TRANSPORT is buffered or framed, PROTOCOL binary or compact; more the library does not have, nor
 * a server with TLS. A client calls everything once and exits with 0 if all results are right. A
 * server says its port on a line of its own and serves until it is killed.
 */
#include "peer_glib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static options read_options(int argc, char **argv)
{
    options it = {0};

    if (argc < 6) {
        fputs("usage: see the head of peer_glib.c\n", stderr);
        exit(2);
    }
    it.role = argv[1];
    it.host = argv[2];
    it.place = argv[3];
    it.transport = argv[4];
    it.protocol = argv[5];
    for (int i = 6; i < argc; i++) {
        it.is_multiplexed |= strcmp(argv[i], "multiplexed") == 0;
        it.is_zlib |= strcmp(argv[i], "zlib") == 0;
        if (strncmp(argv[i], "ssl=", 4) == 0)
            it.keys = argv[i] + 4;
    }
    return it;
}

gboolean is_path(const options *it)
{
    return it->place[strspn(it->place, "0123456789")] != '\0';
}

void die_of(GError *error, const char *what)
{
    if (error == NULL)
        return;
    fprintf(stderr, "cross_peer_glib: %s: %s\n", what, error->message);
    exit(1);
}

TTestXtruct *xtruct(const char *text, int i8, int i32, gint64 i64)
{
    return g_object_new(T_TEST_TYPE_XTRUCT, "string_thing", text, "byte_thing", i8, "i32_thing",
            i32, "i64_thing", i64, NULL);
}

gpointer boxed_i32(gint32 number)
{
    return g_memdup2(&number, sizeof(number));
}

gpointer boxed_i64(gint64 number)
{
    return g_memdup2(&number, sizeof(number));
}

GHashTable *new_i32_map(void)
{
    return g_hash_table_new_full(g_int_hash, g_int_equal, g_free, g_free);
}

int main(int argc, char **argv)
{
    const options it = read_options(argc, argv);

    if (strcmp(it.role, "client") == 0)
        return call_everything(&it);
    serve(&it);
    return 0;
}
