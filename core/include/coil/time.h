/* SPDX-License-Identifier: MIT */
/*
 * coil/time.h - points in time and lengths of time.
 *
 * Both are int64 nanoseconds: a coil_time on CLOCK_MONOTONIC, a coil_duration between two of them.
 * Arithmetic saturates: what lies beyond COIL_NEVER is COIL_NEVER, which never comes. Any thread.
 */
#ifndef COIL_TIME_H
#define COIL_TIME_H

#include <coil/base.h>

#include <stdint.h>

COIL_BEGIN_DECLS

typedef int64_t coil_time;
typedef int64_t coil_duration;

#define COIL_NEVER INT64_MAX   /* As a time: not in this life. */
#define COIL_FOREVER INT64_MAX /* As a duration: no limit. */

/* `count` times a unit; the end of the range if that overflows. */
static inline coil_duration coil_duration_of(int64_t count, int64_t unit_ns)
{
    int64_t ns;
    if (__builtin_mul_overflow(count, unit_ns, &ns))
        return count < 0 ? INT64_MIN : COIL_FOREVER;
    return ns;
}

/* Nanoseconds, microseconds, milliseconds, seconds. */
static inline coil_duration coil_ns(int64_t count)
{
    return count;
}

static inline coil_duration coil_us(int64_t count)
{
    return coil_duration_of(count, 1000);
}

static inline coil_duration coil_ms(int64_t count)
{
    return coil_duration_of(count, 1000000);
}

static inline coil_duration coil_s(int64_t count)
{
    return coil_duration_of(count, 1000000000);
}

/* `duration` after `start`; COIL_NEVER if that overflows or either of them never ends. */
static inline coil_time coil_time_after(coil_time start, coil_duration duration)
{
    coil_time sum;
    if (start == COIL_NEVER || duration == COIL_FOREVER)
        return COIL_NEVER;
    if (__builtin_add_overflow(start, duration, &sum))
        return duration < 0 ? INT64_MIN : COIL_NEVER;
    return sum;
}

COIL_END_DECLS

#endif
