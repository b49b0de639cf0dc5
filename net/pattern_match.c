/* SPDX-License-Identifier: MIT */
/*
 * Of pattern.h: whether a text is what a pattern says. All the steps at which one may be are gone
 * through side by side, byte after byte (Thompson's construction): so no step is taken twice for a
 * byte, however ambiguous the pattern is.
 */
#include "pattern.h"

#include <string.h>

static bool set_has(const uint8_t set[32], unsigned int byte)
{
    return (set[byte / 8] >> byte % 8 & 1U) != 0;
}

static void reach(pattern *self, uint16_t *stack_count, int step)
{
    if (self->marks[step] == self->round)
        return;
    self->marks[step] = self->round;
    self->stack[(*stack_count)++] = (uint16_t)step;
}

/* Put all the steps at which one is that come next when `step` is reached. */
static void add_threads(pattern *self, pattern_threads *to, int step, bool is_begin, bool is_end)
{
    uint16_t stack_count = 0;

    reach(self, &stack_count, step);
    while (stack_count > 0) {
        const int at = self->stack[--stack_count];
        const pattern_step *here = &self->steps[at];
        self->work++;
        switch ((enum pattern_step_kind)here->kind) {
        case PATTERN_STEP_SPLIT:
            reach(self, &stack_count, at + here->one);
            reach(self, &stack_count, at + here->other);
            break;
        case PATTERN_STEP_JUMP:
            reach(self, &stack_count, at + here->one);
            break;
        case PATTERN_STEP_BEGIN:
            if (is_begin)
                reach(self, &stack_count, at + 1);
            break;
        case PATTERN_STEP_END:
            if (is_end)
                reach(self, &stack_count, at + 1);
            break;
        case PATTERN_STEP_BYTE:
        case PATTERN_STEP_ANY:
        case PATTERN_STEP_SET:
        case PATTERN_STEP_MATCH:
            to->steps[to->count++] = (uint16_t)at;
            break;
        }
    }
}

static bool takes(const pattern *self, const pattern_step *step, uint8_t byte)
{
    switch ((enum pattern_step_kind)step->kind) {
    case PATTERN_STEP_BYTE:
        return step->byte == byte;
    case PATTERN_STEP_ANY:
        return true;
    case PATTERN_STEP_SET:
        return set_has(self->sets[step->byte], byte);
    default:
        return false;
    }
}

static void begin_round(pattern *self, pattern_threads *to)
{
    to->count = 0;
    if (++self->round == 0) {
        memset(self->marks, 0, sizeof(self->marks));
        self->round = 1;
    }
}

bool pattern_matches(pattern *self, const char *text, size_t size)
{
    pattern_threads *now = &self->threads[0];
    pattern_threads *next = &self->threads[1];

    begin_round(self, now);
    add_threads(self, now, 0, true, size == 0);
    for (size_t i = 0; i < size && now->count > 0; i++) {
        begin_round(self, next);
        for (uint16_t t = 0; t < now->count; t++) {
            const uint16_t step = now->steps[t];
            self->work++;
            if (takes(self, &self->steps[step], (uint8_t)text[i]))
                add_threads(self, next, step + 1, false, i + 1 == size);
        }
        pattern_threads *before = now;
        now = next;
        next = before;
    }
    for (uint16_t t = 0; t < now->count; t++) {
        if (self->steps[now->steps[t]].kind == PATTERN_STEP_MATCH)
            return true;
    }
    return false;
}
