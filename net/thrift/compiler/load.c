/* SPDX-License-Identifier: MIT */
#include "load.h"

#include "memory.h"
#include "parser.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct loader {
    const idl_search_path *search;
    idl_document *documents; /* All, the last one read first. */
    idl_document *finished;  /* Those whose includes are read as well, in that order. */
    idl_document **finished_end;
} loader;

static void load_includes(loader *self, idl_document *document);

/* "shop" of "goods/shop.thrift". */
static const char *document_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(name, '.');

    return idl_copy(name, dot == NULL ? strlen(name) : (size_t)(dot - name));
}

static idl_document *find_document(const loader *self, const char *real_path)
{
    for (idl_document *document = self->documents; document != NULL; document = document->next) {
        if (strcmp(document->real_path, real_path) == 0)
            return document;
    }
    return NULL;
}

/* NULL with an error: negative errno. */
static idl_document *read_document(loader *self, const char *path, int *out_error)
{
    char real_path[PATH_MAX];

    if (realpath(path, real_path) == NULL) {
        *out_error = -errno;
        return NULL;
    }
    idl_document *document = find_document(self, real_path);
    if (document != NULL)
        return document;
    document = IDL_NEW(idl_document);
    *out_error = idl_source_read(path, &document->source);
    if (*out_error < 0)
        return NULL;
    document->real_path = idl_copy(real_path, strlen(real_path));
    document->name = document_name(path);
    document->next = self->documents;
    self->documents = document;
    idl_parse(document);
    return document;
}

/* The path of the include: beside the including file, or in the search path; NULL. */
static const char *find_include(
        const loader *self, const idl_document *document, const idl_include *include)
{
    const char *own_path = document->source.path;
    const char *slash = strrchr(own_path, '/');

    if (*include->path == '/')
        return access(include->path, R_OK) == 0 ? include->path : NULL;
    const char *path =
            slash == NULL ? include->path
                          : idl_format("%.*s/%s", (int)(slash - own_path), own_path, include->path);
    if (access(path, R_OK) == 0)
        return path;
    for (size_t i = 0; i < self->search->directory_count; i++) {
        path = idl_format("%s/%s", self->search->directories[i], include->path);
        if (access(path, R_OK) == 0)
            return path;
    }
    return NULL;
}

static void load_include(loader *self, const idl_document *document, idl_include *include)
{
    const char *path = find_include(self, document, include);

    if (path == NULL) {
        idl_error(include->place, "cannot find '%s' beside this file or in the search path",
                include->path);
        return;
    }
    int error = 0;
    include->document = read_document(self, path, &error);
    if (include->document == NULL) {
        idl_error(include->place, "cannot read '%s': %s", path, strerror(-error));
        return;
    }
    if (include->document->progress == IDL_UNDER_WAY) {
        idl_error(include->place, "'%s' includes itself, by way of this line", path);
        include->document = NULL;
    } else if (include->document->progress == IDL_UNTOUCHED) {
        load_includes(self, include->document);
    }
}

static void load_includes(loader *self, idl_document *document)
{
    document->progress = IDL_UNDER_WAY;
    for (idl_include *include = document->includes; include != NULL; include = include->next) {
        if (include->path != NULL)
            load_include(self, document, include);
    }
    document->progress = IDL_FINISHED;
}

/* Take it over to the finished ones, after its includes. */
static void finish(loader *self, idl_document *document)
{
    if (document == NULL || document->progress != IDL_FINISHED)
        return;
    document->progress = IDL_UNTOUCHED;
    for (idl_include *include = document->includes; include != NULL; include = include->next)
        finish(self, include->document);
    document->next = NULL;
    *self->finished_end = document;
    self->finished_end = &document->next;
}

idl_document *idl_load(const char *path, const idl_search_path *search)
{
    loader self = {.search = search};
    int error = 0;

    idl_document *root = read_document(&self, path, &error);
    if (root == NULL) {
        fprintf(stderr, "coil-thrift: cannot read '%s': %s\n", path, strerror(-error));
        return NULL;
    }
    load_includes(&self, root);
    self.finished_end = &self.finished;
    finish(&self, root);
    return self.finished;
}
