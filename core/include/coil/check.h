/* SPDX-License-Identifier: MIT */
/*
 * coil/check.h - assertions for programming errors. Never for errors that the world can cause.
 *
 * COIL_CHECK stays on in release builds; keep its condition cheap. COIL_CHECK_SLOW may walk a whole
 * structure and is compiled only when COIL_SLOW_CHECKS is 1.
 *
 * A failed check prints the condition and its place to stderr and aborts. Any thread.
 */
#ifndef COIL_CHECK_H
#define COIL_CHECK_H

#include <coil/base.h>

#include <assert.h> /* static_assert, for C. */

COIL_BEGIN_DECLS

/* Private: say so and abort. */
COIL_API void coil_check_failed(const char *condition, const char *file, int line)
        __attribute__((noreturn, cold));

COIL_END_DECLS

/* Abort unless the condition holds. */
#define COIL_CHECK(condition) \
    (coil_likely(condition) ? (void)0 : coil_check_failed(#condition, __FILE__, __LINE__))

/* The same; only with COIL_SLOW_CHECKS is the condition evaluated. */
#if defined COIL_SLOW_CHECKS && COIL_SLOW_CHECKS
#define COIL_CHECK_SLOW(condition) COIL_CHECK(condition)
#else
#define COIL_CHECK_SLOW(condition) ((void)sizeof(condition))
#endif

#endif
