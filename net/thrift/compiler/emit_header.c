/* SPDX-License-Identifier: MIT */
/* The types of a document. */
#include "emit.h"
#include "layout.h"
#include "memory.h"
#include "names.h"

#include <string.h>

const char *idl_header_name(const idl_document *document)
{
    return idl_format("%s_thrift.h", document->name);
}

const char *idl_source_name(const idl_document *document)
{
    return idl_format("%s_thrift.c", document->name);
}

/* What both compilers of comments would end at. */
static const char *harmless(const char *text)
{
    char *copy = idl_copy(text, strlen(text));

    for (char *at = copy; *at != '\0'; at++) {
        if ((at[0] == '*' && at[1] == '/') || (at[0] == '/' && at[1] == '*'))
            at[0] = ' ';
    }
    return copy;
}

/* A comment of its own, a line for a line. */
void idl_emit_doc(const char *doc, const char *indent, FILE *file)
{
    if (doc == NULL || *doc == '\0')
        return;
    doc = harmless(doc);
    if (strchr(doc, '\n') == NULL) {
        fprintf(file, "%s/* %s */\n", indent, doc);
        return;
    }
    fprintf(file, "%s/*\n", indent);
    while (*doc != '\0') {
        const size_t size = strcspn(doc, "\n");
        fprintf(file, "%s *%s%.*s\n", indent, size == 0 ? "" : " ", (int)size, doc);
        doc += size + (doc[size] == '\n');
    }
    fprintf(file, "%s */\n", indent);
}

static bool has_services(const idl_document *document)
{
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (it->kind == IDL_SERVICE)
            return true;
    }
    return false;
}

static void emit_begin(const idl_document *document, FILE *file)
{
    const char *guard = idl_upper_case(idl_header_name(document));

    fprintf(file, "/* Made by coil-thrift from %s.thrift: changes here are lost. */\n",
            document->name);
    idl_emit_doc(document->doc, "", file);
    fprintf(file, "#ifndef %s\n#define %s\n\n#include <coil/thrift_%s.h>\n", guard, guard,
            has_services(document) ? "server" : "schema");
    for (const idl_include *it = document->includes; it != NULL; it = it->next)
        fprintf(file, "#include \"%s\"\n", idl_header_name(it->document));
    fputs("\nCOIL_BEGIN_DECLS\n\n", file);
}

static void emit_struct_names(const idl_document *document, FILE *file)
{
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        const char *name = idl_definition_name(it);
        if (idl_is_struct(it))
            fprintf(file, "typedef struct %s %s;\n", name, name);
    }
}

static void emit_enum(const idl_definition *definition, FILE *file)
{
    const char *name = idl_definition_name(definition);

    fputc('\n', file);
    idl_emit_doc(definition->doc, "", file);
    fprintf(file, "typedef enum %s {\n", name);
    for (const idl_enumerator *it = definition->enumerators; it != NULL; it = it->next) {
        idl_emit_doc(it->doc, "    ", file);
        fprintf(file, "    %s = %d,\n", idl_enumerator_name(it), it->value);
    }
    if (definition->enumerators == NULL)
        fprintf(file, "    %s_NOTHING,\n", name);
    fprintf(file, "} %s;\n", name);
}

/* Containers
 * ----------
 * The same container may be needed in several headers: it is declared in the first one, and hence
 * knows nothing of typedefs. A map's items come after the structs, which they may hold.
 */

typedef struct container_emitter {
    idl_type_visitor visitor;
    FILE *file;
    bool items; /* What is emitted: the items of maps, or the containers. */
} container_emitter;

static void emit_container(idl_type_visitor *visitor, const idl_type *type)
{
    const container_emitter *self = (const container_emitter *)visitor;
    const char *name = idl_type_name(type);
    const char *element = idl_type_name(idl_type_behind(type->element));
    const char *item = type->kind == IDL_MAP ? idl_item_name(type) : element;
    const char *guard = idl_upper_case(idl_format("%s%s", name, self->items ? "_item" : ""));

    if (self->items && type->kind != IDL_MAP)
        return;
    fprintf(self->file, "\n#ifndef HAS_%s\n#define HAS_%s\n", guard, guard);
    if (self->items) {
        fprintf(self->file, "struct %s {\n    %s key;\n    %s value;\n};\n", item,
                idl_type_name(idl_type_behind(type->key)), element);
    } else {
        if (type->kind == IDL_MAP)
            fprintf(self->file, "typedef struct %s %s;\n", item, item);
        fprintf(self->file, "typedef struct %s {\n    %s *items;\n    uint32_t count;\n} %s;\n",
                name, item, name);
    }
    fputs("#endif\n", self->file);
}

static void emit_containers(const idl_document *document, bool items, FILE *file)
{
    container_emitter emitter = {{emit_container}, file, items};

    idl_visit_containers(document, &emitter.visitor);
}

/* One that is defined further down is not known yet, but what is behind it is. */
static const char *target_name(const idl_definition *definition)
{
    for (const idl_definition *it = definition->next; it != NULL; it = it->next) {
        if (it == definition->type->definition && it->kind == IDL_TYPEDEF)
            return idl_type_name(idl_type_behind(it->type));
    }
    return idl_type_name(definition->type);
}

static void emit_typedefs(const idl_document *document, FILE *file)
{
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (it->kind != IDL_TYPEDEF)
            continue;
        fputc('\n', file);
        idl_emit_doc(it->doc, "", file);
        fprintf(file, "typedef %s %s;\n", target_name(it), idl_definition_name(it));
    }
}

/* Structs
 * ------- */

typedef struct struct_emitter {
    idl_struct_visitor visitor;
    FILE *file;
} struct_emitter;

static void emit_member(
        const idl_definition *definition, const idl_field *field, const char *indent, FILE *file)
{
    idl_emit_doc(field->doc, indent, file);
    fprintf(file, "%s%s %s%s;\n", indent, idl_type_name(field->type),
            idl_is_pointer(definition, field) ? "*" : "", idl_member_name(field));
}

static void emit_union(const idl_definition *definition, FILE *file)
{
    const char *name = idl_definition_name(definition);

    fprintf(file, "struct %s {\n", name);
    fprintf(file, "    int16_t which; /* 0: none of them. */\n    union {\n");
    for (const idl_field *field = definition->fields; field != NULL; field = field->next)
        emit_member(definition, field, "        ", file);
    if (definition->fields == NULL)
        fputs("        char nothing;\n", file);
    fputs("    };\n};\n", file);
    if (definition->fields == NULL)
        return;
    fprintf(file, "enum { /* %s.which */\n", name);
    for (const idl_field *field = definition->fields; field != NULL; field = field->next)
        fprintf(file, "    %s_%s = %d,\n", name, idl_member_name(field), field->id);
    fputs("};\n", file);
}

static void emit_struct(idl_struct_visitor *visitor, const idl_definition *definition)
{
    FILE *file = ((const struct_emitter *)visitor)->file;

    fputc('\n', file);
    idl_emit_doc(definition->doc, "", file);
    if (definition->kind == IDL_UNION) {
        emit_union(definition, file);
        return;
    }
    fprintf(file, "struct %s {\n", idl_definition_name(definition));
    for (const idl_field *field = definition->fields; field != NULL; field = field->next)
        emit_member(definition, field, "    ", file);
    if (definition->is_result)
        fputs("    coil_thrift_exception failure; /* What the server says instead. */\n", file);
    if (definition->fields != NULL) {
        fputs("    struct {\n", file);
        for (const idl_field **it = idl_sort_fields(definition->fields); *it != NULL; it++)
            fprintf(file, "        unsigned %s : 1;\n", idl_member_name(*it));
        fputs("    } has;\n", file);
    } else if (!definition->is_result) {
        fputs("    uint32_t nothing;\n", file);
    }
    fputs("};\n", file);
}

static void emit_schemas(const idl_document *document, FILE *file)
{
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        const char *name = idl_definition_name(it);
        if (it->kind == IDL_ENUM) {
            fprintf(file, "\nextern const coil_thrift_enum_schema %s_schema;\n", name);
        } else if (idl_is_struct(it)) {
            fprintf(file, "\nextern const %s %s_default;\n", name, name);
            fprintf(file, "extern const coil_thrift_struct_schema %s_schema;\n", name);
        } else {
            continue;
        }
        fprintf(file, "extern const coil_thrift_type_schema %s_type;\n", name);
    }
}

/* Scalars are macros, to be used in constant expressions. */
static void emit_constant(const idl_definition *constant, FILE *file)
{
    const idl_type *behind = idl_type_behind(constant->type);
    const char *name = idl_definition_name(constant);
    const char *type = idl_type_name(constant->type);

    fputc('\n', file);
    idl_emit_doc(constant->doc, "", file);
    if (behind->kind <= IDL_DOUBLE ||
            (behind->kind == IDL_NAMED && behind->definition->kind == IDL_ENUM)) {
        fprintf(file, "#define %s ((%s)", name, type);
        idl_emit_value(constant->type, constant->value, file);
        fputs(")\n", file);
    } else {
        fprintf(file, "extern const %s %s;\n", type, name);
    }
}

void idl_emit_header(const idl_document *document, FILE *file)
{
    struct_emitter structs = {{emit_struct}, file};

    emit_begin(document, file);
    emit_struct_names(document, file);
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (it->kind == IDL_ENUM)
            emit_enum(it, file);
    }
    emit_containers(document, false, file);
    emit_typedefs(document, file);
    idl_visit_structs(document, &structs.visitor);
    emit_containers(document, true, file);
    emit_schemas(document, file);
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (it->kind == IDL_CONST)
            emit_constant(it, file);
    }
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (it->kind == IDL_SERVICE)
            idl_emit_service_header(it, file);
    }
    fputs("\nCOIL_END_DECLS\n\n#endif\n", file);
}
