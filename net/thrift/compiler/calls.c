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

void idl_add_calls(idl_document *document)
{
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
