/* SPDX-License-Identifier: MIT */
/*
 * fb303_table.h - what an fb303 service keeps by name (fb303_table.c), and how it gathers what it
 * is asked for (fb303_gather.c).
 */
#ifndef COIL_FB303_TABLE_H
#define COIL_FB303_TABLE_H

#include <coil/fb303_service.h>

/* The pair of that name, or NULL. */
coil_fb303_pair *fb303_table_find(const coil_fb303_table *table, coil_thrift_text name);

/*
 * Find the pair of that name, or add it, and give it the text. -ENOSPC the table is full, or one of
 * them is too long; -ENOMEM.
 */
int fb303_table_put(coil_fb303_table *table, coil_thrift_text name, coil_thrift_text text,
        coil_fb303_pair **out_pair);

void fb303_table_release(coil_fb303_table *table);

/*
 * Gather the counters or exported values that `call`, which has been read, asks for: all, those of
 * a pattern, or those with the given keys. The pairs are copies in `arena`. Pauses now and then, so
 * that other tasks run. -EINVAL the pattern is none; -E2BIG it is too large or too much work, or
 * there are too many keys; -ENOBUFS, -ENOMEM the arena.
 */
coil_declare_private(int, fb303_gather, (coil_fb303_service *)service, (coil_fb303_call *)call,
        (coil_arena *)arena, (coil_fb303_result *)out_result);

/* Set the counters that are the server's own, and let the sources of the metrics set theirs. */
void fb303_refresh(coil_fb303_service *service);

/* The value of one counter, -ENOENT if there is none. */
int fb303_counter_value(coil_fb303_service *service, coil_thrift_text name, int64_t *out_value);

#endif
