/* SPDX-License-Identifier: MIT */
/*
 * load.h - a file and all that it includes, each once.
 */
#ifndef IDL_LOAD_H
#define IDL_LOAD_H

#include "syntax.h"

/* Where includes are searched: beside the file that includes, then in these. */
typedef struct idl_search_path {
    const char *const *directories;
    size_t directory_count;
} idl_search_path;

/*
 * All documents that `path` needs, each after those that it includes, so that its own is the last;
 * NULL if there is no such file, which has been said. Mistakes in the texts
 * are counted: idl_error_count().
 */
idl_document *idl_load(const char *path, const idl_search_path *search);

#endif
