/* SPDX-License-Identifier: MIT */
/* What the two sides of peer_glib.c have in common. */
#ifndef PEER_GLIB_H
#define PEER_GLIB_H

#include "gen-c_glib/t_test_thrift_test_types.h"

#include <glib.h>

typedef struct options {
    const char *role, *host, *place, *transport, *protocol;
    const char *keys; /* NULL: without TLS. */
    gboolean is_multiplexed, is_zlib;
} options;

/* The place is a path, and not a port. */
gboolean is_path(const options *it);

/* Say what was going on, and exit, if there is an error. */
void die_of(GError *error, const char *what);

TTestXtruct *xtruct(const char *text, int i8, int i32, gint64 i64);

/* In maps everything is a pointer. */
gpointer boxed_i32(gint32 number);
gpointer boxed_i64(gint64 number);
GHashTable *new_i32_map(void);

/* The exit status. */
int call_everything(const options *it);

/* Does not return but after an error. */
void serve(const options *it);

#endif
