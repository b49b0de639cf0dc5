/* SPDX-License-Identifier: MIT */
#include "layout.h"

#include "memory.h"

#include <stdlib.h>

idl_definition *idl_struct_of(const idl_type *type)
{
    type = idl_type_behind(type);
    return type->kind == IDL_NAMED && idl_is_struct(type->definition) ? type->definition : NULL;
}

/* Structs on the way to one. */
typedef struct way way;
struct way {
    const way *before;
    const idl_definition *definition;
};

static bool is_on(const way *at, const idl_definition *definition)
{
    for (; at != NULL; at = at->before) {
        if (at->definition == definition)
            return true;
    }
    return false;
}

/* Whether `from` holds a `to`, in itself or in what it holds. */
static bool leads_to(const idl_definition *from, const idl_definition *to, const way *before)
{
    const way here = {before, from};

    if (from == to)
        return true;
    for (const idl_field *field = from->fields; field != NULL; field = field->next) {
        const idl_definition *next = field->is_reference ? NULL : idl_struct_of(field->type);
        if (next != NULL && !is_on(&here, next) && leads_to(next, to, &here))
            return true;
    }
    return false;
}

bool idl_is_pointer(const idl_definition *owner, const idl_field *field)
{
    const idl_definition *target = idl_struct_of(field->type);

    return target != NULL && (field->is_reference || leads_to(target, owner, NULL));
}

static void visit_type(const idl_type *type, idl_type_visitor *visitor)
{
    if (type->kind == IDL_NAMED) {
        const idl_definition *definition = type->definition;
        if (definition->kind == IDL_TYPEDEF)
            visit_type(definition->type, visitor);
        return;
    }
    if (type->key != NULL)
        visit_type(type->key, visitor);
    if (type->element != NULL) {
        visit_type(type->element, visitor);
        visitor->see(visitor, type);
    }
}

static void visit_fields(const idl_field *fields, idl_type_visitor *visitor)
{
    for (; fields != NULL; fields = fields->next)
        visit_type(fields->type, visitor);
}

void idl_visit_containers(const idl_document *document, idl_type_visitor *visitor)
{
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (it->type != NULL)
            visit_type(it->type, visitor);
        visit_fields(it->fields, visitor);
        for (const idl_function *function = it->functions; function != NULL;
                function = function->next) {
            visit_type(function->result, visitor);
            visit_fields(function->parameters, visitor);
        }
    }
}

/* Depth first; `seen` are those that are done or under way. */
static void visit_struct(const idl_definition *definition, idl_struct_visitor *visitor, way **seen)
{
    if (is_on(*seen, definition))
        return;
    way *here = IDL_NEW(way);
    here->before = *seen;
    here->definition = definition;
    *seen = here;
    for (const idl_field *field = definition->fields; field != NULL; field = field->next) {
        const idl_definition *inner = idl_struct_of(field->type);
        if (inner != NULL && inner->document == definition->document &&
                !idl_is_pointer(definition, field))
            visit_struct(inner, visitor, seen);
    }
    visitor->see(visitor, definition);
}

void idl_visit_structs(const idl_document *document, idl_struct_visitor *visitor)
{
    way *seen = NULL;

    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (idl_is_struct(it))
            visit_struct(it, visitor, &seen);
    }
}

static int compare_fields(const void *one, const void *other)
{
    const idl_field *const *first = one;
    const idl_field *const *second = other;

    return (*first)->id - (*second)->id;
}

const idl_field **idl_sort_fields(const idl_field *fields)
{
    size_t count = 0;

    for (const idl_field *field = fields; field != NULL; field = field->next)
        count++;
    const idl_field **sorted = idl_allocate((count + 1) * sizeof(sorted[0]));
    for (size_t i = 0; i < count; i++) {
        sorted[i] = fields;
        fields = fields->next;
    }
    qsort(sorted, count, sizeof(sorted[0]), compare_fields);
    return sorted;
}

bool idl_has_defaults(const idl_definition *definition)
{
    if (definition->kind == IDL_UNION)
        return false;
    for (const idl_field *field = definition->fields; field != NULL; field = field->next) {
        const idl_definition *inner = idl_struct_of(field->type);
        if (field->value != NULL)
            return true;
        if (inner != NULL && !idl_is_pointer(definition, field) && idl_has_defaults(inner))
            return true;
    }
    return false;
}
