/* SPDX-License-Identifier: MIT */
#include "pattern.h"

#include <errno.h>
#include <string.h>

enum {
    ATOM_COUNT_MAX = 4096, /* Read, copies included: bounds what (((){9}){9}){9} costs. */
    UNLIMITED = -1,
};

/* ---------------------------------------------------------------------------------- reading -- */

typedef struct reading {
    pattern *to;
    const char *at;
    const char *end;
    uint32_t atom_count;
    uint32_t depth;
    int error;
} reading;

static bool fail(reading *in, int error)
{
    if (in->error == 0)
        in->error = error;
    return false;
}

static bool is_next(const reading *in, char byte)
{
    return in->at < in->end && *in->at == byte;
}

static bool take(reading *in, char byte)
{
    if (!is_next(in, byte))
        return false;
    in->at++;
    return true;
}

/* Put a step before those at `place` and behind. */
static bool insert(reading *in, uint16_t place, pattern_step step)
{
    pattern *to = in->to;

    if (to->step_count == PATTERN_STEP_COUNT_MAX)
        return fail(in, -E2BIG);
    memmove(&to->steps[place + 1], &to->steps[place],
            (size_t)(to->step_count - place) * sizeof(to->steps[0]));
    to->steps[place] = step;
    to->step_count++;
    return true;
}

static bool append(reading *in, enum pattern_step_kind kind, uint8_t byte)
{
    return insert(in, in->to->step_count, (pattern_step){.kind = (uint8_t)kind, .byte = byte});
}

static int16_t length_from(const reading *in, uint16_t place)
{
    return (int16_t)(in->to->step_count - place);
}

/* ------------------------------------------------------------------------------------- sets -- */

static void set_add(uint8_t set[32], unsigned int byte)
{
    set[byte / 8] |= (uint8_t)(1U << byte % 8);
}

static bool is_in_class(char name, unsigned int byte)
{
    const bool is_digit = byte >= '0' && byte <= '9';

    switch (name) {
    case 'd':
        return is_digit;
    case 'w':
        return is_digit || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
               byte == '_';
    default: /* s */
        return byte == ' ' || (byte >= '\t' && byte <= '\r');
    }
}

/* Add the bytes of \d, \w, \s, or of \D, \W, \S those that are not. False: no such class. */
static bool add_class(uint8_t set[32], char name)
{
    const bool is_opposite = name >= 'A' && name <= 'Z';
    const char lower = (char)(name | 0x20);

    if (lower != 'd' && lower != 'w' && lower != 's')
        return false;
    for (unsigned int byte = 0; byte < 256; byte++) {
        if (is_in_class(lower, byte) != is_opposite)
            set_add(set, byte);
    }
    return true;
}

/* The byte for which the letter or sign behind a backslash stands; -1: none. */
static int escaped_byte(char sign)
{
    switch (sign) {
    case 't':
        return '\t';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    default:
        return sign > ' ' && sign < 0x7f && !is_in_class('w', (unsigned char)sign) ? sign : -1;
    }
}

static uint8_t *new_set(reading *in)
{
    pattern *to = in->to;

    if (to->set_count == PATTERN_SET_COUNT_MAX) {
        (void)fail(in, -E2BIG);
        return NULL;
    }
    uint8_t *set = to->sets[to->set_count];
    memset(set, 0, 32);
    return append(in, PATTERN_STEP_SET, to->set_count++) ? set : NULL;
}

/* What may be an end of a range: one byte, or -1 for a class that has been added, or an error. */
static int read_set_byte(reading *in, uint8_t set[32])
{
    if (in->at == in->end)
        return fail(in, -EINVAL) ? 0 : -1;
    if (*in->at == '[' && in->end - in->at > 1 && strchr(":.=", in->at[1]) != NULL)
        return fail(in, -EINVAL) ? 0 : -1; /* [:alpha:] and its like. */
    if (!take(in, '\\'))
        return (unsigned char)*in->at++;
    if (in->at == in->end)
        return fail(in, -EINVAL) ? 0 : -1;
    const char sign = *in->at++;
    if (add_class(set, sign))
        return -1;
    const int byte = escaped_byte(sign);
    if (byte < 0)
        (void)fail(in, -EINVAL);
    return byte;
}

/* One byte, a range or a class. */
static bool read_set_part(reading *in, uint8_t set[32])
{
    const int first = read_set_byte(in, set);
    if (in->error != 0)
        return false;
    if (first < 0)
        return true;
    int last = first;
    if (is_next(in, '-') && in->end - in->at > 1 && in->at[1] != ']') {
        in->at++;
        last = read_set_byte(in, set);
        if (in->error != 0)
            return false;
        if (last < first)
            return fail(in, -EINVAL);
    }
    for (int byte = first; byte <= last; byte++)
        set_add(set, (unsigned int)byte);
    return true;
}

/* Behind a '['. A ']' at the beginning is one of the bytes. */
static bool read_set(reading *in)
{
    uint8_t *set = new_set(in);
    if (set == NULL)
        return false;
    const bool is_opposite = take(in, '^');
    bool is_first = true;

    for (; is_first || !is_next(in, ']'); is_first = false) {
        if (!read_set_part(in, set))
            return false;
    }
    in->at++;
    for (int i = 0; is_opposite && i < 32; i++)
        set[i] = (uint8_t)~set[i];
    return true;
}

static bool read_escape(reading *in)
{
    if (in->at == in->end)
        return fail(in, -EINVAL);
    const char sign = *in->at++;
    const int byte = escaped_byte(sign);
    if (byte >= 0)
        return append(in, PATTERN_STEP_BYTE, (uint8_t)byte);
    uint8_t *set = new_set(in);
    if (set == NULL)
        return false;
    return add_class(set, sign) ? true : fail(in, -EINVAL);
}

/* ---------------------------------------------------------------------------------- grammar -- */

static bool read_choice(reading *in);

/* Behind a '('. */
static bool read_group(reading *in)
{
    if (take(in, '?') && !take(in, ':'))
        return fail(in, -EINVAL);
    if (in->depth == PATTERN_DEPTH_MAX)
        return fail(in, -E2BIG);
    in->depth++;
    if (!read_choice(in))
        return false;
    in->depth--;
    return take(in, ')') ? true : fail(in, -EINVAL);
}

/* What can be repeated. */
static bool read_atom(reading *in)
{
    const char byte = *in->at++;

    if (++in->atom_count > ATOM_COUNT_MAX)
        return fail(in, -E2BIG);
    switch (byte) {
    case '(':
        return read_group(in);
    case '[':
        return read_set(in);
    case '\\':
        return read_escape(in);
    case '.':
        return append(in, PATTERN_STEP_ANY, 0);
    case '^':
        return append(in, PATTERN_STEP_BEGIN, 0);
    case '$':
        return append(in, PATTERN_STEP_END, 0);
    case '*':
    case '+':
    case '?':
    case '{':
        return fail(in, -EINVAL); /* Of nothing. */
    default:
        return append(in, PATTERN_STEP_BYTE, (uint8_t)byte);
    }
}

/* -1: no digit, or far too many. */
static int read_number(reading *in)
{
    int number = -1;

    while (in->at < in->end && *in->at >= '0' && *in->at <= '9' && number < 10000)
        number = (number < 0 ? 0 : number) * 10 + (*in->at++ - '0');
    return number;
}

/* How often: *, +, ?, {..}; once if there is nothing of that. */
static bool read_count(reading *in, int *out_least, int *out_most)
{
    *out_least = 1;
    *out_most = 1;
    if (take(in, '*')) {
        *out_least = 0;
        *out_most = UNLIMITED;
    } else if (take(in, '+')) {
        *out_most = UNLIMITED;
    } else if (take(in, '?')) {
        *out_least = 0;
    } else if (take(in, '{')) {
        *out_least = read_number(in);
        *out_most = *out_least;
        if (take(in, ','))
            *out_most = is_next(in, '}') ? UNLIMITED : read_number(in);
        if (!take(in, '}') || *out_least < 0 || (*out_most >= 0 && *out_most < *out_least))
            return fail(in, -EINVAL);
    } else {
        return true;
    }
    (void)take(in, '?'); /* Lazy: for who wants to know where, not whether. */
    return true;
}

/* Make what begins at `place` optional, or repeatable: x? or x*. */
static bool make_optional(reading *in, uint16_t place, bool is_repeated)
{
    const int16_t length = length_from(in, place);
    const pattern_step split = {.kind = PATTERN_STEP_SPLIT,
            .one = 1,
            .other = (int16_t)(length + (is_repeated ? 2 : 1))};
    const pattern_step back = {.kind = PATTERN_STEP_JUMP, .one = (int16_t) - (length + 1)};

    return insert(in, place, split) && (!is_repeated || insert(in, in->to->step_count, back));
}

static bool read_copy(reading *in, const char *atom)
{
    const char *at = in->at;

    in->at = atom;
    if (!read_atom(in))
        return false;
    in->at = at;
    return true;
}

/* The atom that begins at `place` once, and at `atom` in the text, so often as is asked. */
static bool repeat(reading *in, uint16_t place, const char *atom, int least, int most)
{
    if (most == 0) {
        in->to->step_count = place;
        return true;
    }
    if (least == 0 && !make_optional(in, place, most == UNLIMITED))
        return false;
    for (int i = 1; i < least; i++) {
        if (!read_copy(in, atom))
            return false;
    }
    if (most == UNLIMITED && least > 0) {
        place = in->to->step_count;
        return read_copy(in, atom) && make_optional(in, place, true);
    }
    for (int i = least > 0 ? least : 1; i < most; i++) {
        place = in->to->step_count;
        if (!read_copy(in, atom) || !make_optional(in, place, false))
            return false;
    }
    return true;
}

static bool read_sequence(reading *in)
{
    while (in->at < in->end && *in->at != '|' && *in->at != ')') {
        const uint16_t place = in->to->step_count;
        const char *atom = in->at;
        int least = 1;
        int most = 1;
        if (!read_atom(in) || !read_count(in, &least, &most) ||
                !repeat(in, place, atom, least, most))
            return false;
    }
    return true;
}

/* What has been read from `begin` on, or something else, which follows. */
static bool offer(reading *in, uint16_t begin)
{
    const int16_t length = length_from(in, begin);
    const pattern_step split = {
            .kind = PATTERN_STEP_SPLIT, .one = 1, .other = (int16_t)(length + 2)};

    return insert(in, begin, split) && append(in, PATTERN_STEP_JUMP, 0);
}

/* The jumps behind all but the last, each of which knows the one before, lead to the end. */
static void land(const reading *in, uint16_t jump)
{
    while (jump > 0) {
        pattern_step *step = &in->to->steps[jump];
        const uint16_t before = (uint16_t)step->other;
        step->one = length_from(in, jump);
        step->other = 0;
        jump = before;
    }
}

static bool read_choice(reading *in)
{
    uint16_t last_jump = 0; /* None: before the first there is a split. */

    for (;;) {
        const uint16_t begin = in->to->step_count;
        if (!read_sequence(in))
            return false;
        if (!take(in, '|'))
            break;
        if (!offer(in, begin))
            return false;
        const uint16_t jump = (uint16_t)(in->to->step_count - 1);
        in->to->steps[jump].other = (int16_t)last_jump;
        last_jump = jump;
    }
    land(in, last_jump);
    return true;
}

int pattern_init(pattern *self, const char *text, size_t size)
{
    reading in = {.to = self, .at = text, .end = text + size};

    memset(self, 0, sizeof(*self));
    if (size > PATTERN_BYTES_MAX)
        return -E2BIG;
    if (!read_choice(&in))
        return in.error;
    if (in.at < in.end)
        return -EINVAL; /* A ')' too many. */
    return append(&in, PATTERN_STEP_MATCH, 0) ? 0 : in.error;
}
