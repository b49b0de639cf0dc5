/* SPDX-License-Identifier: MIT */
#include "resolve.h"

#include "scope.h"
#include "values.h"

#include <string.h>

/* Types
 * ----- */

static bool resolve_definition_type(idl_definition *definition);

/* False after an error: the type must not be looked at. */
static bool resolve_type(const idl_document *document, idl_type *type)
{
    bool is_good = true;

    if (type->key != NULL)
        is_good = resolve_type(document, type->key);
    if (type->element != NULL)
        is_good = resolve_type(document, type->element) && is_good;
    if (type->kind != IDL_NAMED)
        return is_good;
    type->definition = idl_find(document, IDL_TYPES, type->name, type->place);
    if (type->definition == NULL)
        return false;
    if (type->definition->progress == IDL_UNDER_WAY) {
        idl_error(type->place, "the type '%s' contains itself", type->name);
        type->definition = NULL;
        return false;
    }
    if (resolve_definition_type(type->definition))
        return true;
    type->definition = NULL;
    return false;
}

/* A typedef's type, before anything looks behind it. Structs may be in cycles: by pointer. */
static bool resolve_definition_type(idl_definition *definition)
{
    if (definition->kind != IDL_TYPEDEF)
        return true;
    if (definition->progress == IDL_UNTOUCHED) {
        definition->progress = IDL_UNDER_WAY;
        if (!resolve_type(definition->document, definition->type))
            definition->type = NULL;
        definition->progress = IDL_FINISHED;
    }
    return definition->type != NULL;
}

/* Fields
 * ------ */

static void check_names(const idl_field *fields)
{
    for (const idl_field *field = fields; field != NULL; field = field->next) {
        for (const idl_field *other = fields; other != field; other = other->next) {
            if (strcmp(field->name, other->name) == 0) {
                idl_error(field->place, "there is a field '%s' already", field->name);
                idl_remark(other->place, "here");
            } else if (field->id == other->id) {
                idl_error(field->place, "the number %d is that of '%s' already", field->id,
                        other->name);
                idl_remark(other->place, "here");
            } else {
                continue;
            }
            break;
        }
    }
}

/* Without a number, or with a negative one: -1, -2, ... , which is what other compilers do. */
static void number_fields(idl_field *fields)
{
    int32_t next_id = -1;

    for (idl_field *field = fields; field != NULL; field = field->next) {
        if (field->has_id && field->id == 0)
            idl_error(field->place, "0 is not the number of a field");
        if (field->has_id && field->id >= 0)
            continue;
        field->id = next_id--;
        idl_warning(field->place,
                "the field '%s' has no number above 0; it gets %d, which changes with its "
                "neighbours",
                field->name, field->id);
    }
}

static void resolve_fields(const idl_document *document, idl_field *fields)
{
    number_fields(fields);
    check_names(fields);
    for (idl_field *field = fields; field != NULL; field = field->next) {
        if (!resolve_type(document, field->type))
            field->value = NULL; /* One error is enough. */
    }
}

/* After all types of all documents are known. */
static void check_defaults(const idl_document *document, const idl_field *fields)
{
    for (const idl_field *field = fields; field != NULL; field = field->next) {
        if (field->value != NULL)
            idl_check_value(document, field->type, field->value);
    }
}

/* Definitions
 * ----------- */

static void check_enum(const idl_definition *definition)
{
    for (const idl_enumerator *it = definition->enumerators; it != NULL; it = it->next) {
        for (const idl_enumerator *other = definition->enumerators; other != it;
                other = other->next) {
            if (strcmp(it->name, other->name) == 0) {
                idl_error(it->place, "there is a value '%s' already", it->name);
                idl_remark(other->place, "here");
                break;
            }
        }
    }
}

static void resolve_union(const idl_definition *definition)
{
    const idl_field *with_default = NULL;

    for (idl_field *field = definition->fields; field != NULL; field = field->next) {
        if (field->requiredness == IDL_REQUIRED)
            idl_warning(field->place, "the fields of a union are optional");
        field->requiredness = IDL_OPTIONAL;
        if (field->value == NULL)
            continue;
        if (with_default != NULL) {
            idl_error(field->place, "a second default in a union");
            idl_remark(with_default->place, "the first");
        }
        with_default = field;
    }
}

static void resolve_parameters(const idl_document *document, const idl_function *function)
{
    resolve_fields(document, function->parameters);
    for (idl_field *field = function->parameters; field != NULL; field = field->next) {
        if (field->requiredness == IDL_OPTIONAL) {
            idl_warning(field->place, "parameters are never optional");
            field->requiredness = IDL_DEFAULT;
        }
    }
}

static void resolve_exceptions(const idl_document *document, const idl_function *function)
{
    resolve_fields(document, function->exceptions);
    for (const idl_field *field = function->exceptions; field != NULL; field = field->next) {
        if (field->type->kind == IDL_NAMED && field->type->definition == NULL)
            continue; /* Has been reported. */
        const idl_type *behind = idl_type_behind(field->type);
        if (behind->kind != IDL_NAMED || behind->definition->kind != IDL_EXCEPTION)
            idl_error(field->type->place, "%s is not an exception", idl_type_text(field->type));
    }
}

static void resolve_function(const idl_document *document, const idl_function *function)
{
    resolve_type(document, function->result);
    resolve_parameters(document, function);
    resolve_exceptions(document, function);
    if (!function->is_oneway)
        return;
    if (function->result->kind != IDL_VOID)
        idl_error(function->result->place, "a oneway function has no result");
    if (function->exceptions != NULL)
        idl_error(function->exceptions->place, "a oneway function throws nothing");
}

static const idl_function *find_function(const idl_definition *service, const char *name)
{
    for (const idl_function *it = service->functions; it != NULL; it = it->next) {
        if (strcmp(it->name, name) == 0)
            return it;
    }
    return NULL;
}

/* A function of the parent would never be called: it has one name for both on the wire. */
static void check_function_names(const idl_definition *service)
{
    for (const idl_function *it = service->functions; it != NULL; it = it->next) {
        const idl_function *other = find_function(service, it->name);
        if (other == it)
            other = NULL;
        for (const idl_definition *parent = service->parent; other == NULL && parent != NULL;
                parent = parent->parent) {
            other = find_function(parent, it->name);
        }
        if (other != NULL) {
            idl_error(it->place, "there is a function '%s' already", it->name);
            idl_remark(other->place, "here");
        }
    }
}

static void resolve_parent(idl_definition *service)
{
    if (service->parent_name == NULL)
        return;
    service->parent =
            idl_find(service->document, IDL_SERVICES, service->parent_name, service->parent_place);
    for (const idl_definition *it = service->parent; it != NULL; it = it->parent) {
        if (it == service) {
            idl_error(service->parent_place, "the service '%s' extends itself", service->name);
            service->parent = NULL;
            return;
        }
    }
}

static void check_unique(const idl_document *document, const idl_definition *definition)
{
    const idl_definition *first = idl_find_own(document, idl_name_space_of(definition->kind),
            definition->name, strlen(definition->name));

    if (first != definition) {
        idl_error(definition->place, "there is a %s '%s' already",
                idl_definition_kind_name(first->kind), first->name);
        idl_remark(first->place, "here");
    }
}

static void resolve_types(idl_document *document, idl_definition *definition)
{
    check_unique(document, definition);
    switch (definition->kind) {
    case IDL_TYPEDEF:
        resolve_definition_type(definition);
        break;
    case IDL_ENUM:
        check_enum(definition);
        break;
    case IDL_CONST:
        if (!resolve_type(document, definition->type))
            definition->progress = IDL_FINISHED; /* Its value is of no type. */
        break;
    case IDL_STRUCT:
    case IDL_UNION:
    case IDL_EXCEPTION:
        resolve_fields(document, definition->fields);
        if (definition->kind == IDL_UNION)
            resolve_union(definition);
        break;
    case IDL_SERVICE:
        resolve_parent(definition);
        for (const idl_function *it = definition->functions; it != NULL; it = it->next)
            resolve_function(document, it);
        break;
    }
}

static void check_values(idl_document *document, idl_definition *definition)
{
    check_defaults(document, definition->fields);
    if (definition->kind == IDL_CONST)
        idl_check_constant(definition);
    if (definition->kind != IDL_SERVICE)
        return;
    check_function_names(definition);
    for (const idl_function *it = definition->functions; it != NULL; it = it->next)
        check_defaults(document, it->parameters);
}

void idl_resolve(idl_document *document)
{
    for (idl_definition *it = document->definitions; it != NULL; it = it->next)
        resolve_types(document, it);
    if (idl_error_count() > 0)
        return;
    for (idl_definition *it = document->definitions; it != NULL; it = it->next)
        check_values(document, it);
}
