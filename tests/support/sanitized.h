/* SPDX-License-Identifier: MIT */
/*
 * sanitized.h - is this build watched by AddressSanitizer, or by ThreadSanitizer? gcc and clang say
 * it differently. COIL_TESTS_ASAN and COIL_TESTS_TSAN are 0 or 1.
 */
#ifndef COIL_TESTS_SANITIZED_H
#define COIL_TESTS_SANITIZED_H

#ifdef __has_feature
#define COIL_TESTS_ASAN __has_feature(address_sanitizer)
#define COIL_TESTS_TSAN __has_feature(thread_sanitizer)
#else
#ifdef __SANITIZE_ADDRESS__
#define COIL_TESTS_ASAN 1
#else
#define COIL_TESTS_ASAN 0
#endif
#ifdef __SANITIZE_THREAD__
#define COIL_TESTS_TSAN 1
#else
#define COIL_TESTS_TSAN 0
#endif
#endif

#endif
