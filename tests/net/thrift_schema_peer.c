/* SPDX-License-Identifier: MIT */
/*
 * Reads structs as Coil does and writes them again: for thrift_schema_apache_test.py.
 *
 * In: a line with the name of a struct and two of protocols, then a message behind its length in
 * the first of them, again and again. Out: the same struct in a message in the second, behind its
 * length; or the length 0 if it was not understood.
 */
#include <coil/thrift_schema.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "everything_thrift.h"

static const coil_thrift_struct_schema *find_schema(const char *name)
{
    static const coil_thrift_struct_schema *const schemas[] = {&everything_of_it_Leaf_schema,
            &everything_of_it_Node_schema, &everything_of_it_Choice_schema, &parts_Part_schema,
            &everything_of_it_Trouble_schema};

    for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
        if (strcmp(schemas[i]->name, name) == 0)
            return schemas[i];
    }
    fprintf(stderr, "no struct '%s'\n", name);
    exit(1);
}

static enum coil_thrift_protocol find_protocol(const char *name)
{
    if (strcmp(name, "compact") == 0)
        return COIL_THRIFT_PROTOCOL_COMPACT;
    return strcmp(name, "json") == 0 ? COIL_THRIFT_PROTOCOL_JSON : COIL_THRIFT_PROTOCOL_BINARY;
}

/* What a line asks for. */
typedef struct request {
    const coil_thrift_struct_schema *schema;
    enum coil_thrift_protocol come;
    enum coil_thrift_protocol go;
} request;

static bool read_request(request *out_request)
{
    char line[128];
    char name[64];
    char come[16];
    char go[16];

    if (fgets(line, sizeof(line), stdin) == NULL ||
            sscanf(line, "%63s %15s %15s", name, come, go) != 3)
        return false;
    *out_request = (request){find_schema(name), find_protocol(come), find_protocol(go)};
    return true;
}

/* False if it was not understood. */
static bool translate(const request *asked, const uint8_t *bytes, uint32_t size, coil_arena *arena,
        coil_thrift_writer *writer)
{
    const coil_thrift_struct_schema *schema = asked->schema;
    void *value = coil_arena_take(arena, schema->size_bytes, 16);
    coil_thrift_reader reader;
    coil_thrift_message message;

    coil_thrift_reader_init_as(&reader, asked->come, bytes, size, NULL, arena);
    coil_thrift_writer_set_protocol(writer, asked->go);
    if (value == NULL || !coil_thrift_read_message(&reader, &message) ||
            !coil_thrift_read_fields(&reader, arena, schema, value) ||
            coil_thrift_reader_finish(&reader) < 0)
        return false;
    coil_thrift_writer_begin(writer, &message);
    coil_thrift_write_fields(writer, schema, value);
    return coil_thrift_writer_finish(writer) > 0;
}

int main(void)
{
    static uint8_t bytes[1 << 20];
    static const uint8_t not_understood[COIL_THRIFT_LENGTH_BYTES];
    request asked;
    uint8_t length[COIL_THRIFT_LENGTH_BYTES];
    coil_thrift_writer writer;
    coil_arena arena;

    coil_thrift_writer_init(&writer, NULL);
    coil_arena_init(&arena, 1 << 24);
    while (read_request(&asked)) {
        if (fread(length, sizeof(length), 1, stdin) != 1)
            return 1;
        const int size = coil_thrift_frame_size(length, NULL);
        if (size < 0 || size > (int)sizeof(bytes) || fread(bytes, (size_t)size, 1, stdin) != 1)
            return 1;
        coil_arena_reset(&arena);
        coil_thrift_writer_reset(&writer);
        if (translate(&asked, bytes, (uint32_t)size, &arena, &writer)) {
            fwrite(writer.bytes, writer.size, 1, stdout);
        } else {
            fwrite(not_understood, sizeof(not_understood), 1, stdout);
        }
    }
    coil_arena_fini(&arena);
    coil_thrift_writer_fini(&writer);
    return fflush(stdout) != 0;
}
