/* SPDX-License-Identifier: MIT */
#include "thrift_checks.h"

#include "thrift_walk.h"

#include <coil/check.h>

#include <errno.h>

enum { TEXT_BYTES = 128, NAME_BYTES = 4096, CUT_COUNT = 64 };

static void check_words(const coil_thrift_reader *reader)
{
    char text[TEXT_BYTES];

    coil_thrift_reader_what(reader, text, sizeof(text));
    COIL_CHECK(strlen(text) > 0);
    COIL_CHECK(strlen(text) < sizeof(text) - 1);
    COIL_CHECK((strcmp(text, "no error") == 0) == (reader->error == 0));
    COIL_CHECK(reader->position <= reader->size);
    COIL_CHECK(reader->fault_offset <= reader->size);
}

int thrift_check_skip(enum coil_thrift_protocol protocol, const uint8_t *bytes, uint32_t size)
{
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_arena names; /* What is skipped needs no memory, but a name in JSON may have escapes. */

    coil_arena_init(&names, NAME_BYTES);
    coil_thrift_reader_init_as(&reader, protocol, bytes, size, NULL, &names);
    if (coil_thrift_read_message(&reader, &message)) {
        COIL_CHECK(message.name.size <= size);
        reader.arena = NULL;
        coil_thrift_skip_fields(&reader);
    }
    const int rc = coil_thrift_reader_finish(&reader);
    check_words(&reader);
    coil_arena_fini(&names);
    return rc;
}

/* Take a message apart and put it together again. It never needs all of the arena. */
static int copy_message(enum coil_thrift_protocol protocol, const uint8_t *bytes, uint32_t size,
        coil_thrift_writer *writer)
{
    coil_thrift_reader reader;
    coil_arena arena;
    thrift_walk walk = {.reader = &reader, .writer = writer};

    coil_arena_init(&arena, size);
    coil_thrift_reader_init_as(&reader, protocol, bytes, size, NULL, &arena);
    coil_thrift_writer_init(writer, NULL);
    coil_thrift_writer_set_protocol(writer, protocol);
    coil_thrift_writer_set_envelope_room(writer, 0);
    const int rc = thrift_walk_message(&walk);
    check_words(&reader);
    coil_arena_fini(&arena);
    return rc;
}

void thrift_check_message(enum coil_thrift_protocol protocol, const uint8_t *bytes, uint32_t size)
{
    coil_thrift_writer once;
    coil_thrift_writer twice;

    const int rc = copy_message(protocol, bytes, size, &once);
    COIL_CHECK(thrift_check_skip(protocol, bytes, size) == rc);
    if (rc == 0) {
        COIL_CHECK(copy_message(protocol, once.bytes, once.size, &twice) == 0);
        COIL_CHECK(once.size == twice.size);
        COIL_CHECK(memcmp(once.bytes, twice.bytes, once.size) == 0);
        COIL_CHECK(protocol == COIL_THRIFT_PROTOCOL_JSON || once.size <= size);
        for (uint32_t cut = once.size > CUT_COUNT ? once.size - CUT_COUNT : 0; cut < once.size;
                cut++)
            COIL_CHECK(thrift_check_skip(protocol, once.bytes, cut) == -ENODATA);
        coil_thrift_writer_fini(&twice);
    }
    coil_thrift_writer_fini(&once);
}
