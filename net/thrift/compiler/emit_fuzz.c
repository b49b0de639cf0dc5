/* SPDX-License-Identifier: MIT */
/* A target for libFuzzer: every struct of a document, in every protocol. */
#include "emit.h"
#include "memory.h"
#include "names.h"

const char *idl_fuzz_name(const idl_document *document)
{
    return idl_format("%s_fuzz.c", document->name);
}

static const char before[] = "/*\n"
                             " * A target for libFuzzer: clang -fsanitize=fuzzer,address ... . An "
                             "input is the number of a\n"
                             " * struct, that of a protocol, and bytes. What is read of them can "
                             "be printed, copied and\n"
                             " * written, and reads as an equal struct again.\n"
                             " */\n";

static const char after[] =
        "enum { TYPE_COUNT = sizeof(types) / sizeof(types[0]), PROTOCOL_COUNT = 3 };\n"
        "\n"
        "/* As a message, which is the unit of what is written. */\n"
        "static void write_it(coil_thrift_writer *writer, const coil_thrift_type_schema *type,\n"
        "        const void *value)\n"
        "{\n"
        "    const coil_thrift_message message = {.type = COIL_THRIFT_CALL, .seqid = 1};\n"
        "\n"
        "    coil_thrift_writer_begin(writer, &message);\n"
        "    coil_thrift_write_fields(writer, type->structure, value);\n"
        "    COIL_CHECK(coil_thrift_writer_finish(writer) > 0);\n"
        "}\n"
        "\n"
        "static void read_it(coil_thrift_reader *reader, const coil_thrift_writer *writer,\n"
        "        enum coil_thrift_protocol protocol, coil_arena *arena)\n"
        "{\n"
        "    coil_thrift_message message;\n"
        "\n"
        "    coil_thrift_reader_init_as(reader, protocol, writer->bytes + "
        "COIL_THRIFT_LENGTH_BYTES,\n"
        "            writer->size - COIL_THRIFT_LENGTH_BYTES, NULL, arena);\n"
        "    COIL_CHECK(coil_thrift_read_message(reader, &message));\n"
        "}\n"
        "\n"
        "/* What was read of the bytes is as good as what any program makes. */\n"
        "static void check_value(enum coil_thrift_protocol protocol, coil_arena *arena,\n"
        "        const coil_thrift_type_schema *type, const void *value)\n"
        "{\n"
        "    void *copy = coil_arena_take(arena, type->size_bytes, 16);\n"
        "    void *again = coil_arena_take(arena, type->size_bytes, 16);\n"
        "    coil_thrift_writer writer;\n"
        "    coil_thrift_reader reader;\n"
        "\n"
        "    if (again == NULL || coil_thrift_copy(arena, type, value, copy) < 0)\n"
        "        return;\n"
        "    COIL_CHECK(coil_thrift_equal(type, value, copy));\n"
        "    COIL_CHECK(coil_thrift_print(type, copy, NULL, 0) > 0);\n"
        "    coil_thrift_writer_init(&writer, NULL);\n"
        "    coil_thrift_writer_set_protocol(&writer, protocol);\n"
        "    write_it(&writer, type, copy);\n"
        "    read_it(&reader, &writer, protocol, arena);\n"
        "    if (coil_thrift_read_fields(&reader, arena, type->structure, again))\n"
        "        COIL_CHECK(coil_thrift_equal(type, value, again));\n"
        "    else\n"
        "        COIL_CHECK(reader.error == -ENOBUFS); /* The arena's limit. */\n"
        "    coil_thrift_writer_fini(&writer);\n"
        "}\n"
        "\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);\n"
        "\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)\n"
        "{\n"
        "    if (size < 2 || size > 1 << 20)\n"
        "        return 0;\n"
        "    const coil_thrift_type_schema *type = types[bytes[0] % TYPE_COUNT];\n"
        "    const enum coil_thrift_protocol protocol =\n"
        "            (enum coil_thrift_protocol)(bytes[1] % PROTOCOL_COUNT);\n"
        "    coil_thrift_reader reader;\n"
        "    coil_arena arena;\n"
        "\n"
        "    coil_arena_init(&arena, 64 << 20);\n"
        "    void *value = coil_arena_take(&arena, type->size_bytes, 16);\n"
        "    coil_thrift_reader_init_as(\n"
        "            &reader, protocol, bytes + 2, (uint32_t)size - 2, NULL, &arena);\n"
        "    if (value != NULL && coil_thrift_read_value(&reader, &arena, type, value))\n"
        "        check_value(protocol, &arena, type, value);\n"
        "    coil_arena_fini(&arena);\n"
        "    return 0;\n"
        "}\n";

void idl_emit_fuzz(const idl_document *document, FILE *file)
{
    fprintf(file, "/* Made by coil-thrift from %s.thrift: changes here are lost. */\n%s",
            document->name, before);
    fprintf(file, "#include \"%s\"\n\n#include <errno.h>\n\n", idl_header_name(document));
    fputs("static const coil_thrift_type_schema *const types[] = {\n", file);
    for (const idl_definition *it = document->definitions; it != NULL; it = it->next) {
        if (idl_is_struct(it))
            fprintf(file, "        &%s_type,\n", idl_definition_name(it));
    }
    fprintf(file, "};\n%s", after);
}
