/* SPDX-License-Identifier: MIT */
/*
 * memory.h - memory for what lives as long as the compiler runs: nothing is freed one by one.
 *
 * The compiler reads a few files, writes a few and ends; a document points to others freely. So all
 * of it lies in one arena. Out of memory is the end of the program, with a message.
 */
#ifndef IDL_MEMORY_H
#define IDL_MEMORY_H

#include <coil/base.h>

#include <stdarg.h>
#include <stddef.h>

/* Zeroed, aligned for everything. */
void *idl_allocate(size_t size_bytes);

/* A zeroed object of the type. */
#define IDL_NEW(type) ((type *)idl_allocate(sizeof(type)))

/* A copy of `size` characters, terminated. */
char *idl_copy(const char *text, size_t size);

/* printf into memory of the arena. */
char *idl_format(const char *format, ...) COIL_PRINTF(1, 2);
char *idl_format_list(const char *format, va_list values) COIL_PRINTF(1, 0);

/* Give everything back, before the program ends. */
void idl_free_all(void);

#endif
