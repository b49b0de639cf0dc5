/* SPDX-License-Identifier: MIT */
#include <coil/arena.h>
#include <coil/check.h>

#include <stdlib.h>

enum {
    BLOCK_BYTES = 4096, /* The first; each further one is twice as large as the one before. */
    BLOCK_BYTES_MAX = 1 << 20,
    SLACK_PART = 16, /* Of a large piece: what follows it is mostly small. */
    ALIGNMENT_MAX = 16,
};

struct coil_arena_block {
    coil_arena_block *next;
    size_t size_bytes;
    _Alignas(ALIGNMENT_MAX) char bytes[];
};

void coil_arena_init(coil_arena *arena, size_t limit_bytes)
{
    const coil_arena empty = {.limit_bytes = limit_bytes};
    *arena = empty;
}

static void free_blocks(coil_arena_block *block)
{
    while (block != NULL) {
        coil_arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void coil_arena_fini(coil_arena *arena)
{
    if (arena == NULL)
        return;
    free_blocks(arena->blocks);
    coil_arena_init(arena, arena->limit_bytes);
}

size_t coil_arena_taken(const coil_arena *arena)
{
    return arena->blocks == NULL ? 0
                                 : arena->full_bytes + (size_t)(arena->at - arena->blocks->bytes);
}

/* How far the newest block may be used. */
static void set_end(coil_arena *arena)
{
    coil_arena_block *block = arena->blocks;
    size_t left_bytes = 0;

    if (arena->limit_bytes > arena->full_bytes)
        left_bytes = arena->limit_bytes - arena->full_bytes;
    arena->end = block->bytes + (block->size_bytes < left_bytes ? block->size_bytes : left_bytes);
    if (arena->end < arena->at)
        arena->end = arena->at;
}

/* Go on in the newest block, whose bytes are all free. */
static void enter_block(coil_arena *arena)
{
    arena->at = arena->blocks->bytes;
    set_end(arena);
}

void coil_arena_set_limit(coil_arena *arena, size_t limit_bytes)
{
    arena->limit_bytes = limit_bytes;
    if (arena->blocks != NULL)
        set_end(arena);
}

/* Of several blocks only the largest stays. */
static COIL_COLD void keep_largest(coil_arena *arena)
{
    coil_arena_block **largest = &arena->blocks;

    for (coil_arena_block **at = largest; *at != NULL; at = &(*at)->next) {
        if ((*at)->size_bytes > (*largest)->size_bytes)
            largest = at;
    }
    coil_arena_block *kept = *largest;
    *largest = kept->next;
    free_blocks(arena->blocks);
    kept->next = NULL;
    arena->blocks = kept;
}

void coil_arena_reset(coil_arena *arena)
{
    if (arena->blocks == NULL)
        return;
    if (coil_unlikely(arena->blocks->next != NULL))
        keep_largest(arena);
    arena->full_bytes = 0;
    enter_block(arena);
}

/*
 * Blocks double, unless a piece needs one of its own size. None is larger than what may still be
 * taken.
 */
static size_t next_size(const coil_arena *arena, size_t size_bytes, size_t left_bytes)
{
    size_t next_bytes = arena->blocks == NULL ? BLOCK_BYTES : 2 * arena->blocks->size_bytes;

    if (next_bytes > BLOCK_BYTES_MAX)
        next_bytes = BLOCK_BYTES_MAX;
    if (next_bytes < size_bytes)
        next_bytes = size_bytes;
    if (next_bytes == size_bytes && left_bytes - size_bytes > size_bytes / SLACK_PART)
        next_bytes += size_bytes / SLACK_PART;
    return next_bytes < left_bytes ? next_bytes : left_bytes;
}

void *coil_arena_take_more(coil_arena *arena, size_t size_bytes, size_t alignment)
{
    COIL_CHECK(alignment > 0 && alignment <= ALIGNMENT_MAX && (alignment & (alignment - 1)) == 0);
    const size_t taken_bytes = coil_arena_taken(arena);
    if (taken_bytes > arena->limit_bytes || size_bytes > arena->limit_bytes - taken_bytes)
        return NULL;

    const size_t block_bytes = next_size(arena, size_bytes, arena->limit_bytes - taken_bytes);
    coil_arena_block *block = malloc(sizeof(*block) + block_bytes);
    if (block == NULL)
        return NULL;
    block->size_bytes = block_bytes;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->full_bytes = taken_bytes;
    enter_block(arena);
    char *piece = arena->at;
    arena->at += size_bytes;
    return piece;
}
