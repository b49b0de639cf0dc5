/* SPDX-License-Identifier: MIT */
/*
 * pattern.h - regular expressions that strangers send.
 *
 * The subset of Perl's that a machine without a memory can decide, as RE2 has it: there is no
 * backtracking, so the work for a text is at most its size times the steps of the pattern, whatever
 * the two are. `work` counts it, for who must not work for long without a pause.
 *
 *     abc  .  [a-z_]  [^0-9]  \d \w \s \D \W \S  \. \t \n \r     one byte of the text
 *     x* x+ x? x{3} x{2,} x{2,5}                                 how often; a '?' behind is ignored
 *     xy  x|y  (x)  (?:x)                                        together
 *     ^ $                                                        the beginning and the end of all
 *
 * A pattern matches a text if it matches all of it. Bytes are bytes: a '.' is one of several in a
 * UTF-8 character. Everything else (back references, look around, \b, [:alpha:], flags) is refused.
 *
 * Nothing allocates. One thread at a time.
 */
#ifndef COIL_PATTERN_H
#define COIL_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pattern pattern;

enum {
    PATTERN_BYTES_MAX = 512,
    PATTERN_STEP_COUNT_MAX = 1024, /* A byte, a set, a choice; x{5} is five times x. */
    PATTERN_SET_COUNT_MAX = 64,
    PATTERN_DEPTH_MAX = 32, /* Groups in groups. */
};

/* Private: what pattern.c makes of a text, and pattern_match.c goes through. */
enum pattern_step_kind {
    PATTERN_STEP_BYTE,
    PATTERN_STEP_ANY,
    PATTERN_STEP_SET,
    PATTERN_STEP_SPLIT, /* On to `one`, and to `other`. */
    PATTERN_STEP_JUMP,  /* On to `one`. */
    PATTERN_STEP_BEGIN,
    PATTERN_STEP_END,
    PATTERN_STEP_MATCH,
};

/* Targets are relative, so that steps can be moved together. */
typedef struct pattern_step {
    uint8_t kind; /* A pattern_step_kind. */
    uint8_t byte; /* Or the number of a set. */
    int16_t one;
    int16_t other;
} pattern_step;

typedef struct pattern_threads {
    uint16_t count;
    uint16_t steps[PATTERN_STEP_COUNT_MAX];
} pattern_threads;

struct pattern {
    uint64_t work; /* Steps taken in all matches. */

    /* Private. */
    uint16_t step_count;
    uint8_t set_count;
    pattern_step steps[PATTERN_STEP_COUNT_MAX];
    uint8_t sets[PATTERN_SET_COUNT_MAX][32]; /* A bit for each byte. */
    pattern_threads threads[2];
    uint16_t stack[PATTERN_STEP_COUNT_MAX];
    uint32_t marks[PATTERN_STEP_COUNT_MAX]; /* In which round a step was last reached. */
    uint32_t round;
};

/*
 * Make a pattern of `size` bytes of text. -EINVAL it is malformed, or wants what there is not;
 * -E2BIG it is too large. What the pattern was is lost then.
 */
int pattern_init(pattern *self, const char *text, size_t size);

/* Is all of this text what the pattern says? */
bool pattern_matches(pattern *self, const char *text, size_t size);

#endif
