/* SPDX-License-Identifier: MIT */
#include "clashes.h"

#include "calls.h"
#include "memory.h"
#include "names.h"

#include <stdlib.h>
#include <string.h>

/* A name that C gets, and whose it is. */
typedef struct entry entry;
struct entry {
    entry *next;
    const char *name;
    idl_place place;
    size_t number; /* The first one may keep it. */
};

typedef struct collection {
    entry *entries; /* The last one first. */
    size_t count;
} collection;

static void add(collection *self, const char *name, idl_place place)
{
    entry *added = IDL_NEW(entry);

    added->name = name;
    added->place = place;
    added->number = self->count++;
    added->next = self->entries;
    self->entries = added;
}

/* `name` with each of the suffixes, up to a NULL. */
static void add_all(
        collection *self, const char *name, const char *const *suffixes, idl_place place)
{
    for (; *suffixes != NULL; suffixes++)
        add(self, idl_format("%s%s", name, *suffixes), place);
}

static int compare_entries(const void *one, const void *other)
{
    const entry *const *first = one;
    const entry *const *second = other;
    const int order = strcmp((*first)->name, (*second)->name);

    if (order != 0)
        return order;
    return (*first)->number < (*second)->number ? -1 : 1;
}

static bool is_same_place(idl_place one, idl_place other)
{
    return one.source == other.source && one.offset == other.offset;
}

/* Each name that several have: one error is enough for a place. */
static void report(const collection *self)
{
    const entry **sorted = idl_allocate((self->count + 1) * sizeof(sorted[0]));
    const entry *reported = NULL;
    size_t count = 0;

    for (const entry *it = self->entries; it != NULL; it = it->next)
        sorted[count++] = it;
    qsort(sorted, count, sizeof(sorted[0]), compare_entries);
    for (size_t i = 1; i < count; i++) {
        const entry *first = sorted[i - 1];
        const entry *second = sorted[i];
        if (strcmp(first->name, second->name) != 0 ||
                (reported != NULL && is_same_place(reported->place, second->place)))
            continue;
        idl_error(second->place, "needs the name '%s' in C, which is taken", second->name);
        idl_remark(first->place, "by this");
        reported = second;
    }
}

/* What all of a document share
 * ---------------------------- */

static void add_enum(collection *self, const idl_definition *definition)
{
    for (const idl_enumerator *it = definition->enumerators; it != NULL; it = it->next)
        add(self, idl_enumerator_name(it), it->place);
}

static void add_union(collection *self, const idl_definition *definition)
{
    const char *name = idl_definition_name(definition);

    for (const idl_field *it = definition->fields; it != NULL; it = it->next)
        add(self, idl_format("%s_%s", name, idl_member_name(it)), it->place);
}

/* (Arguments and results are definitions of their own.) */
static void add_service(collection *self, const idl_definition *service)
{
    static const char *const suffixes[] = {"", "_call", "_handler", NULL};

    for (const idl_function *it = service->functions; it != NULL; it = it->next)
        add_all(self, idl_function_name(service, it), suffixes, it->place);
}

static void add_definition(collection *self, const idl_definition *definition)
{
    static const char *const alone[] = {"", NULL};
    static const char *const of_enum[] = {"", "_schema", "_type", "_values", NULL};
    static const char *const of_struct[] = {
            "", "_default", "_fields", "_required", "_schema", "_type", NULL};
    static const char *const of_service[] = {"", "_handlers", "_init", "_methods", "_schema", NULL};
    static const char *const *const suffixes[] = {
            [IDL_TYPEDEF] = alone,
            [IDL_ENUM] = of_enum,
            [IDL_CONST] = alone,
            [IDL_STRUCT] = of_struct,
            [IDL_UNION] = of_struct,
            [IDL_EXCEPTION] = of_struct,
            [IDL_SERVICE] = of_service,
    };

    add_all(self, idl_definition_name(definition), suffixes[definition->kind], definition->place);
    if (definition->kind == IDL_ENUM)
        add_enum(self, definition);
    if (definition->kind == IDL_UNION)
        add_union(self, definition);
    if (definition->kind == IDL_SERVICE)
        add_service(self, definition);
}

/* Members
 * ------- */

static void check_members(const idl_definition *definition)
{
    collection members = {NULL, 0};

    for (const idl_field *it = definition->fields; it != NULL; it = it->next)
        add(&members, idl_member_name(it), it->place);
    report(&members);
}

static void add_handlers(collection *self, const idl_definition *service)
{
    if (service->parent != NULL)
        add_handlers(self, service->parent);
    for (const idl_function *it = service->functions; it != NULL; it = it->next)
        add(self, idl_handler_name(it), it->place);
}

static void check_handlers(const idl_definition *service)
{
    collection handlers = {NULL, 0};

    add_handlers(&handlers, service);
    report(&handlers);
}

/* Files
 * ----- */

/* Another one before it, whose files have the same names; NULL. */
static const idl_document *find_namesake(const idl_document *first, const idl_document *document)
{
    for (; first != document; first = first->next) {
        if (strcmp(first->name, document->name) == 0)
            return first;
    }
    return NULL;
}

static void check_files(const idl_document *documents)
{
    for (const idl_document *it = documents; it != NULL; it = it->next) {
        const idl_document *other = find_namesake(documents, it);
        const idl_place start = {&it->source, 0, 0};
        if (other == NULL)
            continue;
        idl_error(
                start, "a second '%s.thrift', which would be turned into the same files", it->name);
        idl_remark((idl_place){&other->source, 0, 0}, "the first");
    }
}

void idl_check_clashes(const idl_document *documents)
{
    collection names = {NULL, 0};

    check_files(documents);
    for (const idl_document *document = documents; document != NULL; document = document->next) {
        for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
            add_definition(&names, it);
            if (idl_is_struct(it))
                check_members(it);
            if (it->kind == IDL_SERVICE)
                check_handlers(it);
        }
    }
    report(&names);
}
