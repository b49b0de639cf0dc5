/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift.h - Thrift's protocols between bytes and values. No I/O and no clock.
 *
 * A reader (coil/thrift_reader.h) takes values out of one complete frame, a writer
 * (coil/thrift_writer.h) appends frames to a buffer, in the binary, the compact or the JSON
 * protocol: the calls are the same. Both keep their first error and go on harmlessly: after it a
 * reader gives zeros and no further fields, a writer drops what it is given. So code that decodes
 * or encodes has no error paths; it asks once, at the end. Decoding the arguments of
 * `i64 add(1: i32 left, 2: i32 right)` and replying:
 *
 *     coil_thrift_field field;
 *     int32_t left = 0;
 *     int32_t right = 0;
 *
 *     while (coil_thrift_read_field(reader, &field)) {
 *         switch (field.id) {
 *         case 1:
 *             coil_thrift_get_i32(reader, &left);
 *             break;
 *         case 2:
 *             coil_thrift_get_i32(reader, &right);
 *             break;
 *         }
 *     }
 *     rc = coil_thrift_reader_finish(reader);
 *     ...
 *     coil_thrift_writer_begin(writer, &reply);
 *     coil_thrift_put_i64(writer, 0, (int64_t)left + right);
 *     coil_thrift_write_stop(writer);
 *     rc = coil_thrift_writer_finish(writer);
 *
 * A field that the code does not know, or that has another type than the code expects, is skipped
 * by the next coil_thrift_read_field(): it needs no `default`, and nothing can be forgotten.
 *
 * Invariants, whatever the bytes are:
 *   - A reader neither allocates nor recurses. It touches nothing outside the frame. (What of JSON
 *     cannot be a slice of the frame lies in an arena, and is smaller than there.)
 *   - A count that a reader returns is at most the number of bytes left: every element costs at
 *     least one byte. The same holds for the size of a string, which is a slice of the frame.
 *   - Structs are nested at most `depth_max` deep, read and skipped ones together. In JSON
 *     containers count as well, as they do everywhere when they are skipped.
 *   - The work of a reader is linear in the size of the frame.
 *
 * Wire formats: Apache Thrift, doc/specs/thrift-binary-protocol.md, thrift-compact-protocol.md and
 * thrift-rpc.md; of JSON, lib/cpp/src/thrift/protocol/TJSONProtocol.h.
 * Nothing here is thread safe; two readers of the same frame do not disturb each other.
 */
#ifndef COIL_THRIFT_H
#define COIL_THRIFT_H

#include <coil/thrift_reader.h>
#include <coil/thrift_writer.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_exception coil_thrift_exception;

/*
 * Exceptions that every service has
 * ---------------------------------
 * The body of a message of type EXCEPTION; "TApplicationException" elsewhere. The numbers are
 * those of Apache Thrift.
 */
enum coil_thrift_exception_type {
    COIL_THRIFT_UNKNOWN = 0,
    COIL_THRIFT_UNKNOWN_METHOD = 1,
    COIL_THRIFT_INVALID_MESSAGE_TYPE = 2,
    COIL_THRIFT_WRONG_METHOD_NAME = 3,
    COIL_THRIFT_BAD_SEQUENCE_ID = 4,
    COIL_THRIFT_MISSING_RESULT = 5,
    COIL_THRIFT_INTERNAL_ERROR = 6,
    COIL_THRIFT_PROTOCOL_ERROR = 7,
    COIL_THRIFT_INVALID_TRANSFORM = 8,
    COIL_THRIFT_INVALID_PROTOCOL = 9,
    COIL_THRIFT_UNSUPPORTED_CLIENT_TYPE = 10,
    /* Of fbthrift: not started, and may be tried again; its time was over. */
    COIL_THRIFT_LOADSHEDDING = 11,
    COIL_THRIFT_TIMEOUT = 12,
};

struct coil_thrift_exception {
    int32_t type; /* enum coil_thrift_exception_type, or what a peer may send. */
    coil_thrift_text message;
};

/* "unknown method" for COIL_THRIFT_UNKNOWN_METHOD, "unknown exception" for what has no name. */
COIL_API const char *coil_thrift_exception_name(int32_t type);

/* Take the rest of an EXCEPTION message. What it does not say is 0 and empty. */
COIL_API void coil_thrift_read_exception(
        coil_thrift_reader *reader, coil_thrift_exception *out_exception);

/* Write the body of an EXCEPTION message that was begun. */
COIL_API void coil_thrift_write_exception(
        coil_thrift_writer *writer, const coil_thrift_exception *exception);

/*
 * Write a whole frame that answers `call` with an exception. Returns as
 * coil_thrift_writer_finish().
 */
COIL_API COIL_MUST_USE int coil_thrift_reply_exception(coil_thrift_writer *writer,
        const coil_thrift_message *call, enum coil_thrift_exception_type type,
        coil_thrift_text text);

COIL_END_DECLS

#endif
