/* SPDX-License-Identifier: MIT */
/*
 * A coroutine of each type that a result can have: one that returns at once, one that waits, and
 * may be ended by a deadline. C and C++ include this alike, as what a suspended body returns is not
 * the same in both.
 */
#ifndef RESULT_TYPES_H
#define RESULT_TYPES_H

#include <coil/sched.h>

COIL_BEGIN_DECLS

/* 0, or the line of what is wrong. */
coil_declare(int, result_types_of_c);

COIL_END_DECLS

#ifdef RESULT_TYPES_BODIES

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <coil/sugar.h>

#ifdef __cplusplus
enum result_color : int { RESULT_RED, RESULT_GREEN };
#else
typedef enum result_color { RESULT_RED, RESULT_GREEN } result_color;
#endif
typedef const int *result_pointer;

static const int result_target = 5;

/* What lies on the frame stack then: no type should mind. */
async(int, result_litter)
{
    vars(unsigned char bytes[400]);
    memset(my->bytes, 0xbe, sizeof(my->bytes));
    await(coil_yield());
    return my->bytes[0];
}

#define RESULT_TYPE(T, name, wanted)                                   \
    async(T, name##_at_once)                                           \
    {                                                                  \
        vars();                                                        \
        return wanted;                                                 \
    }                                                                  \
    async(T, name##_later, (coil_duration)after)                       \
    {                                                                  \
        vars(T value);                                                 \
        await(coil_yield());                                           \
        await(coil_sleep(after));                                      \
        await(my->value, name##_at_once());                            \
        return my->value;                                              \
    }                                                                  \
    async(int, name##_check)                                           \
    {                                                                  \
        vars(T value; int rc);                                         \
        await(my->rc, result_litter());                                \
        await(my->value, name##_at_once());                            \
        if (my->value != (wanted))                                     \
            return __LINE__;                                           \
        await(my->rc, result_litter());                                \
        await(my->value, name##_later(coil_ms(1)));                    \
        if (my->value != (wanted))                                     \
            return __LINE__;                                           \
        await(my->rc, result_litter());                                \
        await(my->value, within(coil_s(1), name##_later(coil_ms(1)))); \
        return my->value == (wanted) ? 0 : __LINE__;                   \
    }

RESULT_TYPE(bool, boolean, true)
RESULT_TYPE(char, plain_char, 'c')
RESULT_TYPE(signed char, signed_char, -5)
RESULT_TYPE(unsigned char, unsigned_char, 250)
RESULT_TYPE(short, half, -30000)
RESULT_TYPE(unsigned short, unsigned_half, 60000)
RESULT_TYPE(int, word, INT_MIN)
RESULT_TYPE(unsigned, unsigned_word, UINT_MAX)
RESULT_TYPE(long, wide, LONG_MIN)
RESULT_TYPE(unsigned long, unsigned_wide, ULONG_MAX)
RESULT_TYPE(long long, widest, LLONG_MAX)
RESULT_TYPE(unsigned long long, unsigned_widest, ULLONG_MAX)
RESULT_TYPE(result_color, color, RESULT_GREEN)
RESULT_TYPE(result_pointer, pointer, &result_target)
RESULT_TYPE(float, single, 0.5F)
RESULT_TYPE(double, twofold, -0.25)
RESULT_TYPE(long double, extended, 0.125L)

/* What is read of a coroutine that a deadline has ended: its error, where there is room for one. */
async(int, result_overdue)
{
    vars(bool flag; unsigned char byte; short half; int64_t wide; double real);

    my->flag = true;
    await(my->flag, within(coil_ms(1), boolean_later(coil_s(1))));
    if (my->flag)
        return __LINE__;
    await(my->byte, within(coil_ms(1), unsigned_char_later(coil_s(1))));
    if (my->byte != 0)
        return __LINE__;
    await(my->half, within(coil_ms(1), half_later(coil_s(1))));
    if (my->half != -ETIME)
        return __LINE__;
    await(my->wide, within(coil_ms(1), wide_later(coil_s(1))));
    if (my->wide != -ETIME)
        return __LINE__;
    await(my->real, within(coil_ms(1), twofold_later(coil_s(1))));
    return my->real == 0.0 ? 0 : __LINE__;
}

#define RESULT_CHECK(name)         \
    await(my->rc, name##_check()); \
    if (my->rc != 0)               \
    return my->rc

/* Each has its line above: which one it was, that says. */
async(int, result_all)
{
    vars(int rc);

    RESULT_CHECK(boolean);
    RESULT_CHECK(plain_char);
    RESULT_CHECK(signed_char);
    RESULT_CHECK(unsigned_char);
    RESULT_CHECK(half);
    RESULT_CHECK(unsigned_half);
    RESULT_CHECK(word);
    RESULT_CHECK(unsigned_word);
    RESULT_CHECK(wide);
    RESULT_CHECK(unsigned_wide);
    RESULT_CHECK(widest);
    RESULT_CHECK(unsigned_widest);
    RESULT_CHECK(color);
    RESULT_CHECK(pointer);
    RESULT_CHECK(single);
    RESULT_CHECK(twofold);
    RESULT_CHECK(extended);
    await(my->rc, result_overdue());
    return my->rc;
}

#endif
#endif
