/* SPDX-License-Identifier: MIT */
/*
 * coil/arena.h - memory that is taken piece by piece and given back all at once.
 *
 *     coil_arena_init(&arena, 1 << 20)                       at most a megabyte
 *     text = coil_arena_take(&arena, size, 1)                NULL: the limit, or no memory
 *     coil_arena_reset(&arena)                               everything is free again
 *     coil_arena_fini(&arena)
 *
 * For what lives as long as one request: what is decoded has no free() anywhere, and nothing can be
 * forgotten. In the steady state an arena allocates nothing: a reset keeps the largest of its
 * blocks.
 *
 * Invariants:
 *   - between two resets no more than the limit is taken, counted with the gaps for alignment;
 *   - what was taken stays where it is until the reset.
 *
 * Not thread safe: one arena, one thread at a time.
 */
#ifndef COIL_ARENA_H
#define COIL_ARENA_H

#include <coil/base.h>

#include <stddef.h>
#include <stdint.h>

COIL_BEGIN_DECLS

typedef struct coil_arena coil_arena;
typedef struct coil_arena_block coil_arena_block;

struct coil_arena {
    size_t limit_bytes;

    /* Private. */
    char *at;                 /* Where the next piece begins, */
    char *end;                /* and how far it may go: of the block, or of the limit. */
    coil_arena_block *blocks; /* The newest first. */
    size_t full_bytes;        /* Taken of the blocks before the newest. */
};

/* An empty arena, without memory yet. No limit is SIZE_MAX. */
COIL_API void coil_arena_init(coil_arena *arena, size_t limit_bytes);

/* Give all memory back. Fine on NULL, on zeros, and twice. */
COIL_API void coil_arena_fini(coil_arena *arena);

/* All pieces are gone, and the limit holds anew. One block is kept. */
COIL_API void coil_arena_reset(coil_arena *arena);

/*
 * Another limit, at any time: lower for a part of the work, then as it was. Nothing is given back;
 * below what has been taken, nothing more can be.
 */
COIL_API void coil_arena_set_limit(coil_arena *arena, size_t limit_bytes);

/* How much was taken since the reset, with gaps. */
COIL_API size_t coil_arena_taken(const coil_arena *arena);

/* Private: the same, where the newest block has no room. */
COIL_API void *coil_arena_take_more(coil_arena *arena, size_t size_bytes, size_t alignment)
        __attribute__((cold));

/*
 * A piece of `size_bytes`, not initialised, at a multiple of `alignment`, a power of two and at
 * most 16. NULL if the limit does not allow it, or there is no memory: coil_arena_taken() tells
 * which. A piece of no bytes is not NULL.
 */
static inline void *coil_arena_take(coil_arena *arena, size_t size_bytes, size_t alignment)
{
    const size_t gap_bytes = -(uintptr_t)arena->at & (alignment - 1);
    const size_t room_bytes = (size_t)(arena->end - arena->at);

    if (coil_unlikely(
                room_bytes < gap_bytes || room_bytes - gap_bytes < size_bytes || arena->at == NULL))
        return coil_arena_take_more(arena, size_bytes, alignment);
    char *piece = arena->at + gap_bytes;
    arena->at = piece + size_bytes;
    return piece;
}

COIL_END_DECLS

#endif
