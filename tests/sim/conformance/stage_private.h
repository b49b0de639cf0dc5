/* SPDX-License-Identifier: MIT */
/* stage_private.h - what the files of a stage share. */
#ifndef STAGE_PRIVATE_H
#define STAGE_PRIVATE_H

#include "stage.h"

enum {
    TEXT_BYTES = 64 * 1024,
    MEMORY_BYTES = 4 << 20,
    ASKED_MAX = 1024,
    DESCRIPTORS_MAX = 64,
    LINE_BYTES = 160,
    LINES_MAX = 256,
};

typedef enum stage_kind { NUMBER, DESCRIPTOR, MASK } stage_kind; /* Of a result. */

typedef struct stage_asked {
    const char *name;
    stage_kind kind;
    int32_t result;
    uint32_t flags;
} stage_asked;

struct stage {
    struct io_uring ring;
    struct io_uring_reg_wait *region;
    unsigned submitted;
    unsigned asked_count;
    unsigned pending_count; /* Submitted, without their last completion. */
    size_t text_bytes;
    size_t memory_bytes;
    char *memory;
    stage_asked asked[ASKED_MAX]; /* user_data is an index, counted from 1. */
    unsigned descriptor_count;
    int descriptors[DESCRIPTORS_MAX]; /* That completions have brought, and are still open. */
    unsigned line_count;              /* Of completions that are not told yet. */
    char lines[LINES_MAX][LINE_BYTES];
    char *text;
};

/* stage_transcript.c: "-EPIPE", "3", "fd", "IN|OUT". `text` itself. */
const char *stage_format(char *text, size_t size_bytes, stage_kind kind, int64_t result);

#endif
