/* SPDX-License-Identifier: MIT */
/*
 * switch.h - what sanitizers have to be told when the stack changes under them; nothing without.
 *
 *     switch_begin(&shadow, stack, bytes) -> swapcontext -> switch_end(shadow, ...) over there
 *
 * AddressSanitizer is looked for when it runs, not when this is compiled: a program with it may be
 * linked with an installed library without.
 */
#ifndef SIM_SWITCH_H
#define SIM_SWITCH_H

#include "world.h"

#if defined __SANITIZE_THREAD__
#define SWITCH_THREAD 1
#elif defined __has_feature
#define SWITCH_THREAD __has_feature(thread_sanitizer)
#else
#define SWITCH_THREAD 0
#endif

#if SWITCH_THREAD
#include <sanitizer/tsan_interface.h>
#endif

/* As <sanitizer/...> has them. NULL: nobody has to be told. */
/* NOLINTBEGIN: the names are theirs. */
__attribute__((weak)) void __sanitizer_start_switch_fiber(
        void **out_shadow, const void *stack, size_t stack_bytes);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(
        void *shadow, const void **out_stack, size_t *out_stack_bytes);
__attribute__((weak)) void __asan_unpoison_memory_region(
        const volatile void *memory, size_t size_bytes);
/* NOLINTEND */

/* About to go to `stack`. NULL for `out_shadow`: never to come back. */
static inline void switch_begin(void **out_shadow, const void *stack, size_t stack_bytes)
{
    if (__sanitizer_start_switch_fiber != NULL)
        __sanitizer_start_switch_fiber(out_shadow, stack, stack_bytes);
}

/* Arrived. `shadow` is what switch_begin() gave when this stack was left; the rest: whence. */
static inline void switch_end(void *shadow, const void **out_stack, size_t *out_stack_bytes)
{
    if (__sanitizer_finish_switch_fiber != NULL)
        __sanitizer_finish_switch_fiber(shadow, out_stack, out_stack_bytes);
}

/* A stack whose memory will be something else. */
static inline void switch_forget(void *stack, size_t stack_bytes)
{
    if (__asan_unpoison_memory_region != NULL)
        __asan_unpoison_memory_region(stack, stack_bytes);
}

static inline void *switch_new_thread(void)
{
#if SWITCH_THREAD
    return __tsan_create_fiber(0);
#else
    return NULL;
#endif
}

static inline void *switch_this_thread(void)
{
#if SWITCH_THREAD
    return __tsan_get_current_fiber();
#else
    return NULL;
#endif
}

static inline void switch_thread(void *thread)
{
#if SWITCH_THREAD
    __tsan_switch_to_fiber(thread, 0);
#else
    (void)thread;
#endif
}

static inline void switch_destroy_thread(void *thread)
{
#if SWITCH_THREAD
    if (thread != NULL)
        __tsan_destroy_fiber(thread);
#else
    (void)thread;
#endif
}

#endif
