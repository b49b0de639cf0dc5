/* SPDX-License-Identifier: MIT */
/* coil/base.h - the few words of C that we add to C. Includes nothing of ours. */
#ifndef COIL_BASE_H
#define COIL_BASE_H

#include <stddef.h>

/*
 * COIL_API: exported from libcoil. COIL_MUST_USE: ignoring the result is a warning. COIL_PRINTF:
 * the format is parameter `format_at`, its values begin at `first`; both count from 1.
 */
#if defined __STRICT_ANSI__ && !(defined __clang__ && defined __cplusplus)
#error "Coil is written in the GNU dialects: -std=gnu17 and gnu++17, not -std=c17 and c++17."
#endif

#define COIL_API __attribute__((visibility("default")))
#define COIL_MUST_USE __attribute__((warn_unused_result))
/*
 * COIL_THREAD_LOCAL: a variable per thread that is reached without a call, it lies in the static
 * TLS block. COIL_PROCESS_WIDE: what is one per process, and is written. In a simulation
 * (coil/sim.h) many threads and processes share one real thread, which exchanges the contents of
 * these sections.
 */
#ifdef COIL_SIMULATION
#define COIL_THREAD_LOCAL __attribute__((section("coil_fiber")))
#define COIL_PROCESS_WIDE __attribute__((section("coil_process")))
#else
#define COIL_THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))
#define COIL_PROCESS_WIDE
#endif
#define COIL_COLD __attribute__((cold, noinline))
#define COIL_HOT __attribute__((hot)) /* The linker puts such functions together. */
#define COIL_NOINLINE __attribute__((noinline))
#define COIL_PRINTF(format_at, first) __attribute__((format(printf, format_at, first)))

/* No sanitizer puts anything into such a function. */
#if defined __clang__ && __has_attribute(disable_sanitizer_instrumentation)
#define COIL_UNINSTRUMENTED \
    __attribute__((disable_sanitizer_instrumentation, no_sanitize("address", "undefined")))
#else
#define COIL_UNINSTRUMENTED __attribute__((no_sanitize("address", "thread", "undefined")))
#endif

/* The condition, with a hint to the compiler how it usually turns out. */
#define coil_likely(condition) __builtin_expect(!!(condition), 1)
#define coil_unlikely(condition) __builtin_expect(!!(condition), 0)

#ifdef __cplusplus
#define COIL_BEGIN_DECLS extern "C" {
#define COIL_END_DECLS }
#else
#define COIL_BEGIN_DECLS
#define COIL_END_DECLS
#endif

/* The `type` whose field `field` is at `pointer`. Does not compile if the types disagree. */
#define coil_container_of(pointer, type, field)                        \
    __extension__({                                                    \
        __typeof__(((type *)0)->field) *coil_field_ = (pointer);       \
        (type *)(void *)((char *)coil_field_ - offsetof(type, field)); \
    })

#endif
