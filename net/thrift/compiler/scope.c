/* SPDX-License-Identifier: MIT */
#include "scope.h"

#include "memory.h"

#include <string.h>

idl_name_space idl_name_space_of(idl_definition_kind kind)
{
    if (kind == IDL_CONST)
        return IDL_CONSTANTS;
    return kind == IDL_SERVICE ? IDL_SERVICES : IDL_TYPES;
}

static bool is_name(const char *name, const char *text, size_t size)
{
    return strlen(name) == size && memcmp(name, text, size) == 0;
}

idl_definition *idl_find_own(
        const idl_document *document, idl_name_space space, const char *name, size_t name_size)
{
    for (idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (idl_name_space_of(it->kind) == space && is_name(it->name, name, name_size))
            return it;
    }
    return NULL;
}

/* What follows the document's name and a dot; NULL if the name does not begin so. */
static const char *name_within(const idl_document *document, const char *name, size_t name_size)
{
    const size_t prefix_size = strlen(document->name);

    if (name_size <= prefix_size || name[prefix_size] != '.' ||
            memcmp(name, document->name, prefix_size) != 0)
        return NULL;
    return name + prefix_size + 1;
}

/*
 * Look in the document, by its own name, too, and in the includes with whose name `name` begins: a
 * file's name may have dots. How many there are; the first one in *out_found.
 */
static unsigned find_all(const idl_document *document, idl_name_space space, const char *name,
        size_t name_size, idl_definition **out_found)
{
    const char *end = name + name_size;
    const char *rest = name_within(document, name, name_size);
    unsigned count = 0;

    *out_found = idl_find_own(document, space, name, name_size);
    if (*out_found == NULL && rest != NULL)
        *out_found = idl_find_own(document, space, rest, (size_t)(end - rest));
    if (*out_found != NULL)
        return 1;
    for (const idl_include *it = document->includes; it != NULL; it = it->next) {
        rest = it->document == NULL ? NULL : name_within(it->document, name, name_size);
        if (rest == NULL)
            continue;
        idl_definition *found = idl_find_own(it->document, space, rest, (size_t)(end - rest));
        if (found == NULL || found == *out_found)
            continue;
        if (*out_found == NULL)
            *out_found = found;
        count++;
    }
    return count;
}

/* How many characters have to be changed, added or left out; more than `limit` is not counted. */
static unsigned distance(const char *one, const char *other, unsigned limit)
{
    while (*one != '\0' && *one == *other) {
        one++;
        other++;
    }
    if (*one == '\0' || *other == '\0' || limit == 0) {
        const size_t rest = strlen(one) + strlen(other);
        return rest > limit ? limit + 1 : (unsigned)rest;
    }
    unsigned least = distance(one + 1, other + 1, limit - 1);
    const unsigned left_out = distance(one + 1, other, limit - 1);
    const unsigned added = distance(one, other + 1, limit - 1);
    least = left_out < least ? left_out : least;
    least = added < least ? added : least;
    return least + 1;
}

/* The own name that is most like `name`; NULL. */
static const idl_definition *find_similar(
        const idl_document *document, idl_name_space space, const char *name)
{
    const idl_definition *best = NULL;
    unsigned best_distance = strlen(name) > 4 ? 3 : 2;

    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (idl_name_space_of(it->kind) != space)
            continue;
        const unsigned found = distance(name, it->name, best_distance);
        if (found < best_distance) {
            best = it;
            best_distance = found;
        }
    }
    return best;
}

/* Whether `name` can be of an included file. */
static bool has_include(const idl_document *document, const char *name)
{
    for (const idl_include *it = document->includes; it != NULL; it = it->next) {
        if (it->document != NULL && name_within(it->document, name, strlen(name)) != NULL)
            return true;
    }
    return false;
}

static void report_missing(
        const idl_document *document, idl_name_space space, const char *name, idl_place place)
{
    static const char *const nouns[] = {"type", "constant or value of an enum", "service"};
    const char *dot = strchr(name, '.');
    const idl_definition *similar = find_similar(document, space, name);

    if (dot != NULL && space != IDL_CONSTANTS && !has_include(document, name)) {
        idl_error(place, "no file of the name '%.*s' is included", (int)(dot - name), name);
    } else if (similar != NULL) {
        idl_error(place, "no %s of the name '%s'; is it '%s'?", nouns[space], name, similar->name);
    } else {
        idl_error(place, "no %s of the name '%s'", nouns[space], name);
    }
}

idl_definition *idl_find(
        const idl_document *document, idl_name_space space, const char *name, idl_place place)
{
    idl_definition *found;
    const unsigned count = find_all(document, space, name, strlen(name), &found);

    if (count == 0) {
        report_missing(document, space, name, place);
        return NULL;
    }
    if (count > 1) {
        idl_error(place, "'%s' is in several of the included files of that name", name);
        idl_remark(found->place, "one of them");
        return NULL;
    }
    return found;
}

idl_enumerator *idl_find_enumerator(const idl_document *document, const char *name)
{
    const char *dot = strrchr(name, '.');
    idl_definition *owner;

    if (dot == NULL)
        return NULL;
    if (find_all(document, IDL_TYPES, name, (size_t)(dot - name), &owner) != 1)
        return NULL;
    while (owner->kind == IDL_TYPEDEF && owner->type->kind == IDL_NAMED &&
            owner->type->definition != NULL) {
        owner = owner->type->definition;
    }
    for (idl_enumerator *it = owner->enumerators; it != NULL; it = it->next) {
        if (strcmp(it->name, dot + 1) == 0)
            return it;
    }
    return NULL;
}
