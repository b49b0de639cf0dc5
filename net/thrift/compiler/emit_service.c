/* SPDX-License-Identifier: MIT */
/* The services of a document: coroutines that call their functions, tables of those who serve. */
#include "calls.h"
#include "emit.h"
#include "memory.h"
#include "names.h"

#include <string.h>

/* What a service has, what it extends first. */
typedef void function_emitter(
        const idl_definition *service, const idl_function *function, unsigned index, FILE *file);

static void visit_functions(const idl_definition *service, function_emitter *emit, FILE *file)
{
    unsigned index = 0;

    if (service->parent != NULL)
        visit_functions(service->parent, emit, file);
    for (const idl_function *it = service->functions; it != NULL; it = it->next)
        emit(service, it, index++, file);
}

static unsigned count_functions(const idl_definition *service)
{
    unsigned count = 0;

    for (; service != NULL; service = service->parent) {
        for (const idl_function *it = service->functions; it != NULL; it = it->next)
            count++;
    }
    return count;
}

/* Header
 * ------ */

/* "(coil_thrift_channel *) channel, (shop_Shop_buy_arguments) arguments, ..." */
static const char *parameters_of(const idl_definition *service, const idl_function *function)
{
    const char *name = idl_function_name(service, function);
    const char *text = "(coil_thrift_channel *) channel";

    if (function->parameters != NULL)
        text = idl_format("%s,\n        (%s_arguments) arguments", text, name);
    if (function->outcome != NULL) {
        text = idl_format(
                "%s,\n        (coil_arena *) arena, (%s_result *) out_result", text, name);
    }
    return text;
}

static void emit_call(const idl_definition *service, const idl_function *function, FILE *file)
{
    const char *name = idl_function_name(service, function);

    fprintf(file, "\n/* %s.%s */\n", service->name, function->name);
    idl_emit_doc(function->doc, "", file);
    fprintf(file, "typedef struct %s_call {\n    coil_thrift_call *context;\n", name);
    fprintf(file, "    %s_arguments arguments;\n", name);
    if (function->outcome != NULL)
        fprintf(file, "    %s_result result;\n", name);
    fprintf(file, "} %s_call;\n", name);
    fprintf(file, "typedef struct %s_handler {\n    coil_handler handler;\n} %s_handler;\n", name,
            name);
    fprintf(file,
            "#define %s_handler(name) \\\n    ((%s_handler){coil_handler_init(name, %s_call *)})\n",
            name, name, name);
    fprintf(file, "coil_declare(int, %s,\n        %s);\n", name, parameters_of(service, function));
}

static void emit_slot(
        const idl_definition *service, const idl_function *function, unsigned index, FILE *file)
{
    (void)index;
    fprintf(file, "    %s_handler %s;\n", idl_function_name(service, function),
            idl_handler_name(function));
}

void idl_emit_service_header(const idl_definition *service, FILE *file)
{
    const char *name = idl_definition_name(service);
    const unsigned count = count_functions(service);

    fprintf(file, "\n/* service %s */\n", service->name);
    idl_emit_doc(service->doc, "", file);
    fprintf(file, "extern const coil_thrift_service_schema %s_schema;\n", name);
    for (const idl_function *it = service->functions; it != NULL; it = it->next)
        emit_call(service, it, file);
    fprintf(file, "\n/* Who serves %s: functions that are left out are unknown to callers. */\n",
            service->name);
    fprintf(file, "typedef struct %s_handlers {\n", name);
    visit_functions(service, emit_slot, file);
    if (count == 0)
        fputs("    char nothing;\n", file);
    fprintf(file, "} %s_handlers;\n\n", name);
    fprintf(file,
            "typedef struct %s {\n    coil_thrift_service service;\n"
            "    coil_thrift_method methods[%u];\n} %s;\n\n",
            name, count == 0 ? 1 : count, name);
    fprintf(file, "void %s_init(%s *service, const %s_handlers *handlers);\n", name, name, name);
}

/* Source
 * ------ */

static bool is_idempotent(const idl_function *function)
{
    const char *value = idl_annotation_value(function->annotations, "idempotent");

    return value != NULL && strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

static void emit_method(const idl_definition *service, const idl_function *function, FILE *file)
{
    const char *name = idl_function_name(service, function);

    fprintf(file, "        {\n            .name = \"%s\",\n", function->name);
    fprintf(file, "            .arguments = &%s_arguments_schema,\n", name);
    if (function->outcome == NULL) {
        fputs("            .is_oneway = true,\n", file);
    } else {
        fprintf(file, "            .result = &%s_result_schema,\n", name);
        fprintf(file, "            .result_offset = offsetof(%s_call, result),\n", name);
    }
    if (is_idempotent(function))
        fputs("            .is_idempotent = true,\n", file);
    fprintf(file, "            .call_bytes = sizeof(%s_call),\n", name);
    fprintf(file, "            .arguments_offset = offsetof(%s_call, arguments),\n        },\n",
            name);
}

static void emit_schema(const idl_definition *service, FILE *file)
{
    const char *name = idl_definition_name(service);
    unsigned count = 0;

    if (service->functions != NULL)
        fprintf(file, "\nstatic const coil_thrift_method_schema %s_methods[] = {\n", name);
    for (const idl_function *it = service->functions; it != NULL; it = it->next) {
        emit_method(service, it, file);
        count++;
    }
    if (service->functions != NULL)
        fputs("};\n", file);
    fprintf(file, "\nconst coil_thrift_service_schema %s_schema = {\n        .name = \"%s\",\n",
            name, service->name);
    if (service->parent != NULL)
        fprintf(file, "        .parent = &%s_schema,\n", idl_definition_name(service->parent));
    if (count > 0)
        fprintf(file, "        .methods = %s_methods,\n        .method_count = %u,\n", name, count);
    fputs("};\n", file);
}

static void emit_coroutine(
        const idl_definition *service, const idl_function *function, unsigned index, FILE *file)
{
    const char *name = idl_function_name(service, function);
    const bool has_parameters = function->parameters != NULL;

    fprintf(file, "\ncoil_define(int, %s,\n        %s)\n{\n", name,
            parameters_of(service, function));
    fprintf(file, "    coil_vars(coil_thrift_invocation invocation; ");
    if (has_parameters)
        fprintf(file, "%s_arguments arguments; ", name);
    fputs("int rc);\n\n", file);
    if (has_parameters)
        fputs("    my->arguments = arguments;\n", file);
    fputs("    my->invocation = (coil_thrift_invocation){\n", file);
    fprintf(file, "            .method = &%s_methods[%u],\n", idl_definition_name(service), index);
    if (has_parameters)
        fputs("            .arguments = &my->arguments,\n", file);
    if (function->outcome != NULL)
        fputs("            .arena = arena,\n            .result = out_result,\n", file);
    fputs("    };\n", file);
    if (function->outcome != NULL) {
        fprintf(file, "    if (out_result != NULL)\n        *out_result = %s_result_default;\n",
                name);
    }
    fputs("    coil_await(my->rc, coil_thrift_invoke(channel, &my->invocation));\n", file);
    if (function->outcome != NULL) {
        fputs("    if (out_result != NULL)\n"
              "        out_result->failure = my->invocation.exception;\n",
                file);
    }
    fputs("    return my->rc;\n}\n", file);
}

static void emit_row(
        const idl_definition *service, const idl_function *function, unsigned index, FILE *file)
{
    fprintf(file,
            "            {.name = \"%s\", .handler = handlers->%s.handler,\n"
            "                    .schema = &%s_schema.methods[%u]},\n",
            function->name, idl_handler_name(function), idl_definition_name(service), index);
}

static void emit_init(const idl_definition *service, FILE *file)
{
    const char *name = idl_definition_name(service);
    const unsigned count = count_functions(service);

    fprintf(file, "\nvoid %s_init(%s *service, const %s_handlers *handlers)\n{\n", name, name,
            name);
    if (count == 0) {
        fputs("    (void)handlers;\n", file);
    } else {
        fputs("    const coil_thrift_method methods[] = {\n", file);
        visit_functions(service, emit_row, file);
        fputs("    };\n", file);
    }
    fputs("    size_t count = 0;\n\n", file);
    if (count > 0) {
        fprintf(file, "    for (size_t i = 0; i < %u; i++) {\n", count);
        fputs("        if (methods[i].handler.fn != NULL)\n"
              "            service->methods[count++] = methods[i];\n    }\n",
                file);
    }
    fprintf(file,
            "    service->service = (coil_thrift_service){\n            .name = \"%s\",\n"
            "            .methods = service->methods,\n            .method_count = count,\n"
            "    };\n}\n",
            service->name);
}

void idl_emit_service_source(const idl_definition *service, FILE *file)
{
    unsigned index = 0;

    emit_schema(service, file);
    for (const idl_function *it = service->functions; it != NULL; it = it->next)
        emit_coroutine(service, it, index++, file);
    emit_init(service, file);
}
