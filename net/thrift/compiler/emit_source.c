/* SPDX-License-Identifier: MIT */
/* The schemas of a document's types, and its constants. */
#include "emit.h"
#include "layout.h"
#include "memory.h"
#include "names.h"

#include <string.h>

/* Types that have no name get numbers. */
typedef struct numbered numbered;
struct numbered {
    numbered *next;
    const char *text; /* Tells whether two are the same. */
    unsigned number;
};

typedef struct source_emitter {
    idl_type_visitor visitor;
    FILE *file;
    numbered *types;
} source_emitter;

/* 0: it has none yet. */
static unsigned number_of(const source_emitter *self, const char *text)
{
    for (const numbered *it = self->types; it != NULL; it = it->next) {
        if (strcmp(it->text, text) == 0)
            return it->number;
    }
    return 0;
}

static unsigned add_number(source_emitter *self, const char *text)
{
    numbered *added = IDL_NEW(numbered);

    added->text = text;
    added->number = self->types == NULL ? 1 : self->types->number + 1;
    added->next = self->types;
    self->types = added;
    return added->number;
}

/* Types of one text have one schema: typedefs are looked behind, but binary is not string. */
static const char *key_of(const idl_type *type)
{
    type = idl_type_behind(type);
    switch (type->kind) {
    case IDL_LIST:
        return idl_format("list<%s>", key_of(type->element));
    case IDL_SET:
        return idl_format("set<%s>", key_of(type->element));
    case IDL_MAP:
        return idl_format("map<%s,%s>", key_of(type->key), key_of(type->element));
    case IDL_NAMED:
        return idl_definition_name(type->definition);
    default:
        return idl_type_text(type);
    }
}

static const char *schema_of(source_emitter *self, const idl_type *type)
{
    type = idl_type_behind(type);
    if (type->element != NULL)
        return idl_format("&type_%u", number_of(self, key_of(type)));
    if (type->kind == IDL_NAMED)
        return idl_format("&%s_type", idl_definition_name(type->definition));
    return idl_format("&coil_thrift_%s_type", idl_type_text(type));
}

static void emit_container(idl_type_visitor *visitor, const idl_type *type)
{
    static const char *const words[] = {[IDL_LIST] = "LIST", [IDL_SET] = "SET", [IDL_MAP] = "MAP"};
    source_emitter *self = (source_emitter *)visitor;
    const char *key = key_of(type);

    if (number_of(self, key) != 0)
        return;
    fprintf(self->file,
            "\n/* %s */\nstatic const coil_thrift_type_schema __attribute__((unused)) type_%u = {\n"
            "        .type = COIL_THRIFT_%s,\n        .size_bytes = sizeof(coil_thrift_items),\n",
            key, add_number(self, key), words[type->kind]);
    if (type->kind == IDL_MAP) {
        const char *item = idl_item_name(type);
        fprintf(self->file,
                "        .key = %s,\n        .item_bytes = sizeof(%s),\n"
                "        .value_offset = offsetof(%s, value),\n",
                schema_of(self, type->key), item, item);
    } else {
        fprintf(self->file, "        .item_bytes = sizeof(%s),\n", idl_type_name(type->element));
    }
    fprintf(self->file, "        .element = %s,\n};\n", schema_of(self, type->element));
}

static void emit_enum(const idl_definition *definition, FILE *file)
{
    const char *name = idl_definition_name(definition);
    unsigned count = 0;

    fprintf(file, "\nstatic const coil_thrift_enum_value %s_values[] = {\n", name);
    for (const idl_enumerator *it = definition->enumerators; it != NULL; it = it->next) {
        fprintf(file, "        {\"%s\", %d},\n", it->name, it->value);
        count++;
    }
    if (count == 0)
        fputs("        {NULL, 0},\n", file);
    fprintf(file, "};\n\nconst coil_thrift_enum_schema %s_schema = {\"%s\", %s_values, %u};\n",
            name, definition->name, name, count);
    fprintf(file,
            "\nconst coil_thrift_type_schema %s_type = {\n        .type = COIL_THRIFT_I32,\n"
            "        .size_bytes = sizeof(%s),\n        .enumeration = &%s_schema,\n};\n",
            name, name, name);
}

/* Pointers to structs, which a struct's fields need. */
static void emit_pointers(source_emitter *self, const idl_definition *definition)
{
    for (const idl_field *field = definition->fields; field != NULL; field = field->next) {
        if (!idl_is_pointer(definition, field))
            continue;
        const char *name = idl_definition_name(idl_struct_of(field->type));
        const char *key = idl_format("%s *", name);
        if (number_of(self, key) != 0)
            continue;
        fprintf(self->file,
                "\n/* %s */\nstatic const coil_thrift_type_schema __attribute__((unused)) type_%u "
                "= {\n"
                "        .type = COIL_THRIFT_STRUCT,\n        .is_reference = true,\n"
                "        .size_bytes = sizeof(%s),\n        .structure = &%s_schema,\n};\n",
                key, add_number(self, key), key, name);
    }
}

static const char *field_schema(
        source_emitter *self, const idl_definition *definition, const idl_field *field)
{
    if (!idl_is_pointer(definition, field))
        return schema_of(self, field->type);
    const char *name = idl_definition_name(idl_struct_of(field->type));
    return idl_format("&type_%u", number_of(self, idl_format("%s *", name)));
}

/* How many there are. */
static unsigned emit_fields(source_emitter *self, const idl_definition *definition)
{
    static const char *const words[] = {
            [IDL_DEFAULT] = "DEFAULT", [IDL_REQUIRED] = "REQUIRED", [IDL_OPTIONAL] = "OPTIONAL"};
    const char *name = idl_definition_name(definition);
    unsigned count = 0;

    fprintf(self->file, "\nstatic const coil_thrift_field_schema %s_fields[] = {\n", name);
    for (const idl_field **it = idl_sort_fields(definition->fields); *it != NULL; it++) {
        fprintf(self->file, "        {\"%s\", %s, offsetof(%s, %s), %d, COIL_THRIFT_%s},\n",
                (*it)->name, field_schema(self, definition, *it), name, idl_member_name(*it),
                (*it)->id, words[(*it)->requiredness]);
        count++;
    }
    fputs("};\n", self->file);
    return count;
}

/* Whether there are any. */
static bool emit_required(const idl_definition *definition, FILE *file)
{
    const idl_field **fields = idl_sort_fields(definition->fields);
    uint32_t bits = 0;
    bool has_some = false;

    for (size_t i = 0; fields[i] != NULL; i++)
        has_some = has_some || fields[i]->requiredness == IDL_REQUIRED;
    if (!has_some)
        return false;
    fprintf(file, "\nstatic const uint32_t %s_required[] = {", idl_definition_name(definition));
    for (size_t i = 0; fields[i] != NULL; i++) {
        if (fields[i]->requiredness == IDL_REQUIRED)
            bits |= 1u << i % 32;
        if (i % 32 == 31 || fields[i + 1] == NULL) {
            fprintf(file, "%s0x%x", i < 32 ? "" : ", ", bits);
            bits = 0;
        }
    }
    fputs("};\n", file);
    return true;
}

static void emit_struct(source_emitter *self, const idl_definition *definition)
{
    const char *name = idl_definition_name(definition);
    const bool is_union = definition->kind == IDL_UNION;
    FILE *file = self->file;

    emit_pointers(self, definition);
    const unsigned count = definition->fields == NULL ? 0 : emit_fields(self, definition);
    const bool has_required = emit_required(definition, file);
    fprintf(file, "\nconst %s %s_default = ", name, name);
    idl_emit_defaults(definition, file);
    fprintf(file,
            ";\n\nconst coil_thrift_struct_schema %s_schema = {\n        .name = \"%s\",\n"
            "        .size_bytes = sizeof(%s),\n        .field_count = %u,\n",
            name, definition->name, name, count);
    if (is_union) {
        fprintf(file, "        .is_union = true,\n        .which_offset = offsetof(%s, which),\n",
                name);
    }
    if (definition->kind == IDL_EXCEPTION)
        fputs("        .is_exception = true,\n", file);
    if (!is_union && count > 0)
        fprintf(file, "        .has_offset = offsetof(%s, has),\n", name);
    if (has_required)
        fprintf(file, "        .required = %s_required,\n", name);
    if (count > 0)
        fprintf(file, "        .fields = %s_fields,\n", name);
    if (idl_has_defaults(definition))
        fprintf(file, "        .initial = &%s_default,\n", name);
    fprintf(file,
            "};\n\nconst coil_thrift_type_schema %s_type = {\n        .type = COIL_THRIFT_STRUCT,\n"
            "        .size_bytes = sizeof(%s),\n        .structure = &%s_schema,\n};\n",
            name, name, name);
}

static void emit_constant(const idl_definition *constant, FILE *file)
{
    const idl_type *behind = idl_type_behind(constant->type);

    if (behind->kind <= IDL_DOUBLE ||
            (behind->kind == IDL_NAMED && behind->definition->kind == IDL_ENUM))
        return;
    fprintf(file, "\nconst %s %s = ", idl_type_name(constant->type), idl_definition_name(constant));
    idl_emit_value(constant->type, constant->value, file);
    fputs(";\n", file);
}

void idl_emit_source(const idl_document *document, FILE *file)
{
    source_emitter self = {{emit_container}, file, NULL};

    fprintf(file,
            "/* Made by coil-thrift from %s.thrift: changes here are lost. */\n#include \"%s\"\n\n"
            "#include <stddef.h>\n",
            document->name, idl_header_name(document));
    idl_visit_containers(document, &self.visitor);
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (it->kind == IDL_ENUM) {
            emit_enum(it, file);
        } else if (idl_is_struct(it)) {
            emit_struct(&self, it);
        } else if (it->kind == IDL_CONST) {
            emit_constant(it, file);
        }
    }
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (it->kind == IDL_SERVICE)
            idl_emit_service_source(it, file);
    }
}
