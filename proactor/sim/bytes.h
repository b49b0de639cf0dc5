/* SPDX-License-Identifier: MIT */
/*
 * bytes.h - a queue of bytes that lie in one piece: what is in a buffer of the kernel.
 */
#ifndef SIM_BYTES_H
#define SIM_BYTES_H

#include <stddef.h>

/* Zeroed memory is an empty one. */
typedef struct sim_bytes {
    char *memory;
    size_t room;
    size_t first;
    size_t count;
} sim_bytes;

/* Where the next `size_bytes` go, which sim_bytes_added() then makes part of it. */
char *sim_bytes_room(sim_bytes *bytes, size_t size_bytes);
void sim_bytes_added(sim_bytes *bytes, size_t size_bytes);

/* The bytes from `offset` on. */
const char *sim_bytes_at(const sim_bytes *bytes, size_t offset);

/* Without the first `size_bytes`. */
void sim_bytes_drop(sim_bytes *bytes, size_t size_bytes);

void sim_bytes_fini(sim_bytes *bytes);

#endif
