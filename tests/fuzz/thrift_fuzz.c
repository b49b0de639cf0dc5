/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the Thrift codec. An input is what a connection receives: the length of a frame,
 * then the frame (the length need not be right). Beside not crashing it must hold that
 *
 *   - skipping a message and taking it apart agree about the error, and about the end
 *   - what was taken apart can be written, has the same size, and reads as the same bytes again
 *   - the first bytes of a message that is correct are reported as cut
 *   - every error has words
 *   - a call or result of fb303 that was read is the same after it was written and read again
 */
#include "thrift_walk.h"

#include <coil/check.h>
#include <coil/fb303.h>
#include <coil/thrift.h>

#include <errno.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { TEXT_BYTES = 128 };

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

static void check_length(const uint8_t *bytes)
{
    char text[TEXT_BYTES];
    int rc = coil_thrift_frame_size(bytes, NULL);

    coil_thrift_frame_what(bytes, NULL, text, sizeof(text));
    COIL_CHECK(strlen(text) < sizeof(text) - 1);
    COIL_CHECK(rc > 0 || rc == -EBADMSG || rc == -EMSGSIZE);
    COIL_CHECK(rc <= 16384000);
}

/* The result of reading a message without looking at what is inside. */
static int skip_message(const uint8_t *bytes, uint32_t size)
{
    coil_thrift_reader reader;
    coil_thrift_message message;

    coil_thrift_reader_init(&reader, bytes, size, NULL);
    if (coil_thrift_read_message(&reader, &message)) {
        COIL_CHECK(message.name.size <= size);
        coil_thrift_skip_fields(&reader);
    }
    int rc = coil_thrift_reader_finish(&reader);
    check_words(&reader);
    return rc;
}

/* Take a message apart and put it together again. */
static int copy_message(const uint8_t *bytes, uint32_t size, coil_thrift_writer *writer)
{
    coil_thrift_reader reader;
    thrift_walk walk = {.reader = &reader, .writer = writer};

    coil_thrift_reader_init(&reader, bytes, size, NULL);
    int rc = thrift_walk_message(&walk);
    check_words(&reader);
    return rc;
}

static void check_message(const uint8_t *bytes, uint32_t size)
{
    coil_thrift_writer once;
    coil_thrift_writer twice;

    coil_thrift_writer_init(&once, NULL);
    coil_thrift_writer_init(&twice, NULL);
    int rc = copy_message(bytes, size, &once);
    COIL_CHECK(skip_message(bytes, size) == rc);
    if (rc == 0) {
        COIL_CHECK(once.size == size + 4);
        COIL_CHECK(copy_message(once.bytes + 4, once.size - 4, &twice) == 0);
        COIL_CHECK(once.size == twice.size);
        COIL_CHECK(memcmp(once.bytes, twice.bytes, once.size) == 0);
        for (uint32_t cut = size > 64 ? size - 64 : 0; cut < size; cut++)
            COIL_CHECK(skip_message(bytes, cut) == -ENODATA);
    }
    coil_thrift_writer_fini(&once);
    coil_thrift_writer_fini(&twice);
}

static bool texts_equal(coil_thrift_text left, coil_thrift_text right)
{
    return left.size == right.size &&
           (left.size == 0 || memcmp(left.bytes, right.bytes, left.size) == 0);
}

/* Begin to read a message; false if it is none. */
static bool open_message(coil_thrift_reader *reader, const uint8_t *bytes, uint32_t size,
        coil_thrift_message *out_message)
{
    coil_thrift_reader_init(reader, bytes, size, NULL);
    return coil_thrift_read_message(reader, out_message);
}

static void check_call(const uint8_t *bytes, uint32_t size)
{
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_fb303_call call;
    coil_fb303_call again;
    coil_thrift_writer writer;

    if (!open_message(&reader, bytes, size, &message) ||
            coil_fb303_read_call(&reader, &message, &call) != 0)
        return;

    coil_thrift_writer_init(&writer, NULL);
    COIL_CHECK(coil_fb303_write_call(&writer, message.seqid, &call) > 0);
    COIL_CHECK(open_message(&reader, writer.bytes + 4, writer.size - 4, &message));
    COIL_CHECK(coil_fb303_read_call(&reader, &message, &again) == 0);
    COIL_CHECK(again.method == call.method);
    COIL_CHECK(again.duration_s == call.duration_s);
    COIL_CHECK(texts_equal(again.key, call.key));
    COIL_CHECK(texts_equal(again.value, call.value));
    coil_thrift_writer_fini(&writer);
}

static void check_pairs(coil_fb303_result *result)
{
    coil_fb303_pair pair;
    uint32_t promised = result->pair_count;
    uint32_t found = 0;

    while (coil_fb303_next_pair(result, &pair))
        found++;
    COIL_CHECK(found == promised);
    COIL_CHECK(promised == 0 || result->packed.error == 0);
}

static void check_result(const uint8_t *bytes, uint32_t size, enum coil_fb303_method method)
{
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_fb303_result result;
    coil_fb303_result again;
    coil_thrift_writer writer;

    if (!open_message(&reader, bytes, size, &message) ||
            coil_fb303_read_result(&reader, method, &result) != 0)
        return;
    check_pairs(&result);

    coil_thrift_writer_init(&writer, NULL);
    if (coil_fb303_write_result(&writer, &message, method, &result) > 0) {
        COIL_CHECK(open_message(&reader, writer.bytes + 4, writer.size - 4, &message));
        COIL_CHECK(coil_fb303_read_result(&reader, method, &again) == 0);
        COIL_CHECK(again.number == result.number);
        COIL_CHECK(texts_equal(again.text, result.text));
    }
    coil_thrift_writer_fini(&writer);
}

static void check_exception(const uint8_t *bytes, uint32_t size)
{
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_thrift_exception exception;

    if (!open_message(&reader, bytes, size, &message))
        return;
    coil_thrift_read_exception(&reader, &exception);
    COIL_CHECK(exception.message.size <= size);
    COIL_CHECK(coil_thrift_exception_name(exception.type) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 4 || size > UINT32_MAX)
        return 0;
    check_length(bytes);

    const uint8_t *frame = bytes + 4;
    uint32_t frame_size = (uint32_t)size - 4;
    check_message(frame, frame_size);
    check_exception(frame, frame_size);
    check_call(frame, frame_size);
    for (int i = 0; i < COIL_FB303_METHOD_COUNT; i++)
        check_result(frame, frame_size, (enum coil_fb303_method)i);
    return 0;
}
