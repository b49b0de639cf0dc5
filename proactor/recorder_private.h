/* SPDX-License-Identifier: MIT */
/*
 * What is recorded, and how it lies in memory.
 *
 * The recorder stands between the ring and the kernel (coil_ring.enter): before each enter it looks
 * at the entries that have been filled since the last one, after it at the completions that have
 * come. So the paths of operations know nothing of it.
 *
 * An operation is known by the number of the entry that has submitted it. While the op is in
 * flight, its `result` has that number, so a completion finds its submission without a search; when
 * that is about to be overwritten and has not completed, what counts of it is carried along.
 */
#ifndef RECORDER_PRIVATE_H
#define RECORDER_PRIVATE_H

#include "loop_private.h"

#include <coil/recorder.h>

enum {
    RECORD_COMPLETION = 1 << 0, /* Else a submission. */
    RECORD_DIRECT = 1 << 1,     /* Its descriptor is a direct one. */
    RECORD_OVER = 1 << 2,       /* A submission: nothing more comes of it. */
    RECORD_UNKNOWN = 1 << 3,    /* What it is of was not recorded. */
};

typedef struct recorder_entry {
    uint64_t time_ns : 56; /* Since the start. */
    uint64_t opcode : 8;
    uint32_t turn : 24;
    uint32_t marks : 8;
    uint32_t key; /* Submission: of its user_data. Completion: the number of its submission. */
    int32_t fd;
    union {
        uint32_t size;
        int32_t result;
    };
    union {
        uint64_t detail; /* Offset, flags, or the number of what is to be cancelled. */
        uint32_t flags;  /* Of a completion. */
    };
} recorder_entry;

static_assert(sizeof(recorder_entry) == 32, "two of them share a cache line");

/* Of a submission that is overwritten, but not over. */
typedef struct recorder_carried {
    uint32_t number; /* 0: this place is free. */
    uint32_t key;
    int32_t fd;
    uint8_t opcode;
    uint8_t marks;
} recorder_carried;

typedef struct coil_recorder {
    const coil_loop *loop;
    coil_time start;
    uint64_t count;              /* Entries so far: the number of the last one. */
    uint64_t submission_count;   /* How many of them are submissions, ... */
    uint64_t lost_count;         /* ... and of these, how many are overwritten. */
    unsigned submissions_before; /* The start: of this ring. */
    unsigned completions_before;
    size_t mask;
    unsigned seen_submissions; /* The tails of the queues, as far as we have looked. */
    unsigned seen_completions;
    recorder_carried *carried; /* By a hash of the number, the next free place if it is taken. */
    size_t carried_count;
    size_t carried_mask;
    recorder_entry entries[];
} coil_recorder;

/* The entry of that number, one of the last `mask + 1`. */
static inline recorder_entry *recorder_entry_at(coil_recorder *recorder, uint64_t number)
{
    return &recorder->entries[(number - 1) & recorder->mask];
}

/* Is the offset of such an entry one, and not an address, or nothing? */
static inline bool recorder_has_offset(unsigned opcode)
{
    switch (opcode) {
    case IORING_OP_READ:
    case IORING_OP_WRITE:
    case IORING_OP_READV:
    case IORING_OP_WRITEV:
    case IORING_OP_FTRUNCATE:
    case IORING_OP_FALLOCATE:
        return true;
    default:
        return false;
    }
}

/* If COIL_RECORDER in the environment asks for it: 0 or -errno. */
int recorder_from_environment(coil_loop *loop);

/*
 * What a dump adds for its loop: the recording goes to the file that is set, or its last lines to
 * `out`.
 */
void recorder_dump(const coil_loop *loop, FILE *out);

/* Those that a crash finds, from the one to the other. There is room for 64. */
void recorder_enlist(coil_recorder *recorder);
void recorder_delist(coil_recorder *recorder);

#endif
