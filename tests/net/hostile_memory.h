/* SPDX-License-Identifier: MIT */
/*
 * What the library has taken from the system: malloc, and the pages of its pools. For programs that
 * are linked with
 *
 *     --wrap=malloc,calloc,realloc,free,coil_kernel_pages,coil_kernel_pages_release
 */
#ifndef HOSTILE_MEMORY_H
#define HOSTILE_MEMORY_H

#include <cstdint>

/* This thread is the peer, not the server. */
void memory_of_this_thread_is_not_counted();

/* So many bytes are taken now. From here on the peak is watched. */
int64_t memory_mark();
int64_t memory_peak();

#endif
