/* SPDX-License-Identifier: MIT */
/*
 * fb303_table.h - what an fb303 service keeps by name (fb303_table.c), and how it gathers what it
 * is asked for (fb303_gather.c).
 */
#ifndef COIL_FB303_TABLE_H
#define COIL_FB303_TABLE_H

#include <coil/fb303_service.h>

enum { FB303_PAIRS_AT_ONCE = 32 };

/* The pair of that name, or NULL. */
coil_fb303_pair *fb303_table_find(const coil_fb303_table *table, coil_thrift_text name);

/*
 * Find the pair of that name, or add it, and give it the text. -ENOSPC the table is full, or one of
 * them is too long; -ENOMEM.
 */
int fb303_table_put(coil_fb303_table *table, coil_thrift_text name, coil_thrift_text text,
        coil_fb303_pair **out_pair);

void fb303_table_release(coil_fb303_table *table);

/* Pairs that were gathered, some at a time: nothing is moved, nor twice as large as it need be. */
typedef struct fb303_pairs fb303_pairs;
struct fb303_pairs {
    fb303_pairs *next;
    uint32_t count;
    coil_fb303_pair pairs[FB303_PAIRS_AT_ONCE];
};

typedef struct fb303_gathered {
    fb303_pairs *first;
    uint32_t count; /* In all. */
} fb303_gathered;

/* What a service is asked about: `metrics` may be NULL. */
typedef struct fb303_subject {
    coil_fb303_service *service;
    coil_metrics *metrics;
} fb303_subject;

/*
 * Gather the counters or exported values that `call`, which has been read, asks for: all, those of
 * a pattern, or those with the given keys. The pairs are copies in `arena`. Pauses now and then, so
 * that other tasks run. -EINVAL the pattern is none; -E2BIG it is too large or too much work, or
 * there are too many keys; -ENOBUFS, -ENOMEM the arena.
 */
coil_declare_private(int, fb303_gather, (fb303_subject)subject, (coil_fb303_call *)call,
        (coil_arena *)arena, (fb303_gathered *)out_gathered);

/* Put them as the result of the method that has asked for them. */
void fb303_put_gathered(
        coil_thrift_writer *writer, enum coil_fb303_method method, const fb303_gathered *gathered);

/* Set the counters that are the server's own, and let the sources of the metrics set theirs. */
void fb303_refresh(fb303_subject subject);

/* The value of one counter, -ENOENT if there is none. */
int fb303_counter_value(fb303_subject subject, coil_thrift_text name, int64_t *out_value);

#endif
