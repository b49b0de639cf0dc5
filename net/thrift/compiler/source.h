/* SPDX-License-Identifier: MIT */
/*
 * source.h - the text of a file, places in it, and what is said of them.
 *
 *     shop.thrift:12:8: error: no type of the name 'Prize'
 *        12 |     3: Prize price,
 *           |        ^~~~~
 */
#ifndef IDL_SOURCE_H
#define IDL_SOURCE_H

#include <coil/base.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct idl_source {
    const char *path; /* As it is shown. */
    const char *text; /* Terminated; `size` tells where, for it may contain zeros. */
    size_t size;
} idl_source;

/* Some characters of a source. */
typedef struct idl_place {
    const idl_source *source;
    uint32_t offset;
    uint32_t size;
} idl_place;

enum { IDL_SOURCE_BYTES_MAX = 16 * 1024 * 1024 };

/* Read a file. 0, or negative errno; -EFBIG beyond IDL_SOURCE_BYTES_MAX. */
int idl_source_read(const char *path, idl_source *out_source);

/* From 1 on. The column counts bytes. */
unsigned idl_place_line(idl_place place);
unsigned idl_place_column(idl_place place);

/* Say it on stderr. Errors are counted: with one, nothing is generated. */
void idl_error(idl_place place, const char *format, ...) COIL_PRINTF(2, 3);
void idl_warning(idl_place place, const char *format, ...) COIL_PRINTF(2, 3);

/* To explain the error before: where the other one is. */
void idl_remark(idl_place place, const char *format, ...) COIL_PRINTF(2, 3);

unsigned idl_error_count(void);

/* Count anew, for another file. */
void idl_errors_forget(void);

/* Say no warnings. */
void idl_set_quiet(bool quiet);

#endif
