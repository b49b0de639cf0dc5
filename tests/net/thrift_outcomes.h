/* SPDX-License-Identifier: MIT */
/* What a server makes of a message, in any protocol. The bytes end at a page without access. */
#ifndef THRIFT_OUTCOMES_H
#define THRIFT_OUTCOMES_H

#include "guarded_bytes.h"
#include "thrift_walk.h"

#include <coil/thrift.h>

#include <cstdlib>
#include <string>

namespace outcome
{

struct Outcome {
    int rc;
    std::string words; /* Of the error. */
    std::string dump;  /* The values, if they were taken apart. */
    std::string again; /* The message that was written of them. */
};

inline std::string what(const coil_thrift_reader &reader)
{
    char words[128];
    return coil_thrift_reader_what(&reader, words, sizeof(words));
}

/* As one whose method nobody knows. */
inline Outcome skip(coil_thrift_protocol protocol, const GuardedBytes &frame,
        const coil_thrift_limits *limits = nullptr)
{
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_arena name; /* Only that: what is skipped needs no memory. */

    coil_arena_init(&name, 4096);
    coil_thrift_reader_init_as(&reader, protocol, frame.bytes(), frame.size(), limits, &name);
    if (coil_thrift_read_message(&reader, &message)) {
        reader.arena = nullptr;
        coil_thrift_skip_fields(&reader);
    }
    int rc = coil_thrift_reader_finish(&reader);
    coil_arena_fini(&name);
    return {rc, what(reader), "", ""};
}

/* Every value is taken, and written in `to`. */
inline Outcome translate(coil_thrift_protocol protocol, const GuardedBytes &frame,
        coil_thrift_protocol to, const coil_thrift_limits *limits = nullptr)
{
    coil_thrift_reader reader;
    coil_thrift_writer writer;
    coil_arena arena;
    thrift_walk walk = {};
    char *dump = nullptr;
    size_t dump_size = 0;

    coil_arena_init(&arena, 1 << 24);
    coil_thrift_reader_init_as(&reader, protocol, frame.bytes(), frame.size(), limits, &arena);
    coil_thrift_writer_init(&writer, nullptr);
    coil_thrift_writer_set_protocol(&writer, to);
    coil_thrift_writer_set_envelope_room(&writer, 0);
    walk.reader = &reader;
    walk.writer = &writer;
    walk.dump = open_memstream(&dump, &dump_size);
    int rc = thrift_walk_message(&walk);
    fclose(walk.dump);
    Outcome outcome = {rc, what(reader), std::string(dump, dump_size), ""};
    if (rc == 0)
        outcome.again.assign(reinterpret_cast<char *>(writer.bytes), writer.size);
    free(dump);
    coil_thrift_writer_fini(&writer);
    coil_arena_fini(&arena);
    return outcome;
}

inline Outcome take_apart(coil_thrift_protocol protocol, const GuardedBytes &frame)
{
    return translate(protocol, frame, protocol);
}

inline std::string written(const coil_thrift_writer &writer)
{
    return {reinterpret_cast<const char *>(writer.bytes), writer.size};
}

} // namespace outcome

#endif
