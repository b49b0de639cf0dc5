/* SPDX-License-Identifier: MIT */
/*
 * wrapped.h - the functions of libc (and one of Coil) that have another body in a simulation.
 *
 * By --wrap of the linker (coil_simulated() in deploy/cmake/functions.cmake has the same list),
 * what is linked statically calls __wrap_x() where it says x(); __real_x() is x() itself.
 */
#ifndef SIM_WRAPPED_H
#define SIM_WRAPPED_H

#include <pthread.h>
#include <stddef.h>

/* NOLINTBEGIN(readability-identifier-naming): the linker makes these names. */

/* allocate.c */
void *__real_malloc(size_t size_bytes);
void *__real_calloc(size_t count, size_t size_bytes);
void *__real_realloc(void *memory, size_t size_bytes);
void *__real_aligned_alloc(size_t alignment_bytes, size_t size_bytes);
void __real_free(void *memory);

void *__wrap_malloc(size_t size_bytes);
void *__wrap_calloc(size_t count, size_t size_bytes);
void *__wrap_realloc(void *memory, size_t size_bytes);
void *__wrap_aligned_alloc(size_t alignment_bytes, size_t size_bytes);
void __wrap_free(void *memory);

/* meet.c */
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);

/* ending.c */
_Noreturn void __real_exit(int status);
_Noreturn void __real__exit(int status);
_Noreturn void __real__Exit(int status);
_Noreturn void __real_quick_exit(int status);
_Noreturn void __real_abort(void);
_Noreturn void __real_coil_check_failed(const char *condition, const char *file, int line);
_Noreturn void __real___assert_fail(
        const char *assertion, const char *file, unsigned line, const char *function);

_Noreturn void __wrap_exit(int status);
_Noreturn void __wrap__exit(int status);
_Noreturn void __wrap__Exit(int status);
_Noreturn void __wrap_quick_exit(int status);
_Noreturn void __wrap_abort(void);
_Noreturn void __wrap_coil_check_failed(const char *condition, const char *file, int line);
_Noreturn void __wrap___assert_fail(
        const char *assertion, const char *file, unsigned line, const char *function);

/* NOLINTEND(readability-identifier-naming) */

#endif
