/* SPDX-License-Identifier: MIT */
#include "calls.h"

#include "memory.h"
#include "names.h"

#include <string.h>

static idl_field *copy_field(const idl_field *field)
{
    idl_field *copy = IDL_NEW(idl_field);

    *copy = *field;
    copy->next = NULL;
    return copy;
}

static idl_field *new_success(const idl_function *function)
{
    idl_field *success = IDL_NEW(idl_field);

    success->place = function->place;
    success->name = "success";
    success->requiredness = IDL_OPTIONAL;
    success->type = function->result;
    return success;
}

static idl_definition *new_struct(
        const idl_definition *service, const idl_function *function, const char *what)
{
    idl_definition *made = IDL_NEW(idl_definition);

    made->kind = IDL_STRUCT;
    made->place = function->place;
    made->name = idl_format("%s_%s_%s", service->name, function->name, what);
    made->document = service->document;
    return made;
}

static idl_definition *new_arguments(const idl_definition *service, const idl_function *function)
{
    idl_definition *made = new_struct(service, function, "arguments");

    made->fields = function->parameters;
    return made;
}

/* A result has a member `failure` of its own. */
static idl_annotation *rename_to(const char *name)
{
    idl_annotation *made = IDL_NEW(idl_annotation);

    made->key = "c.name";
    made->value = name;
    return made;
}

static idl_definition *new_result(const idl_definition *service, const idl_function *function)
{
    idl_definition *made = new_struct(service, function, "result");
    idl_field **end = &made->fields;

    made->is_result = true;
    if (function->result->kind != IDL_VOID) {
        *end = new_success(function);
        end = &(*end)->next;
    }
    for (const idl_field *field = function->exceptions; field != NULL; field = field->next) {
        *end = copy_field(field);
        (*end)->requiredness = IDL_OPTIONAL;
        if (strcmp(idl_member_name(*end), "failure") == 0)
            (*end)->annotations = rename_to("failure_");
        end = &(*end)->next;
    }
    return made;
}

/* Names in C
 * ---------- */

const char *idl_function_name(const idl_definition *service, const idl_function *function)
{
    return idl_format("%s_%s", idl_definition_name(service), function->name);
}

const char *idl_handler_name(const idl_function *function)
{
    return idl_member(function->name);
}

/* What has this name in the C of the document, and is no service; NULL. */
static const idl_definition *find_named(const idl_document *document, const char *name)
{
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (it->kind != IDL_SERVICE && strcmp(idl_definition_name(it), name) == 0)
            return it;
    }
    return NULL;
}

static void check_free(const idl_document *document, idl_place place, const char *name)
{
    const idl_definition *other = find_named(document, name);

    if (other == NULL)
        return;
    idl_error(place, "needs the name '%s' in C", name);
    idl_remark(other->place, "which is that of this %s", idl_definition_kind_name(other->kind));
}

static void check_names(const idl_definition *service)
{
    static const char *const of_service[] = {"", "_handlers", "_init", "_schema"};
    static const char *const of_function[] = {"", "_arguments", "_call", "_handler", "_result"};
    const idl_document *document = service->document;

    for (size_t i = 0; i < sizeof(of_service) / sizeof(of_service[0]); i++) {
        const char *name = idl_format("%s%s", idl_definition_name(service), of_service[i]);
        check_free(document, service->place, name);
    }
    for (const idl_function *it = service->functions; it != NULL; it = it->next) {
        for (size_t i = 0; i < sizeof(of_function) / sizeof(of_function[0]); i++) {
            const char *name = idl_format("%s%s", idl_function_name(service, it), of_function[i]);
            check_free(document, it->place, name);
        }
    }
}

void idl_add_calls(idl_document *document)
{
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (it->kind == IDL_SERVICE)
            check_names(it);
    }
    idl_definition **at = &document->definitions;
    for (; *at != NULL; at = &(*at)->next) {
        const idl_definition *service = *at;
        if (service->kind != IDL_SERVICE)
            continue;
        for (idl_function *it = service->functions; it != NULL; it = it->next) {
            it->arguments = new_arguments(service, it);
            it->arguments->next = *at;
            *at = it->arguments;
            at = &it->arguments->next;
            if (it->is_oneway)
                continue;
            it->outcome = new_result(service, it);
            it->outcome->next = *at;
            *at = it->outcome;
            at = &it->outcome->next;
        }
    }
}
