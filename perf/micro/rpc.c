/* SPDX-License-Identifier: MIT */
/*
 * What Thrift's binary protocol costs, framed, without any I/O: a call decoded and its reply
 * encoded, as a server does it.
 *
 *     rpc_status    getStatus: no arguments, a number as result
 *     rpc_decode    a call whose argument is a struct of ten fields, a list and a map among them
 *     rpc_encode    the reply that carries the same struct back
 */
#include "measure.h"

#include <coil/fb303.h>
#include <coil/thrift.h>

#include <errno.h>

enum { NUMBERS = 8, LABELS = 4, TEXT_BYTES = 16 };

/* What an application would keep. */
typedef struct order {
    bool paid;
    int8_t priority;
    int16_t region;
    int32_t customer;
    int64_t placed_at;
    double price;
    coil_thrift_text name;
    coil_thrift_text note;
    int32_t numbers[NUMBERS];
    uint32_t number_count;
    coil_thrift_text labels[LABELS];
    int64_t values[LABELS];
    uint32_t label_count;
} order;

static const order example = {
        .paid = true,
        .priority = 3,
        .region = 44,
        .customer = 123456,
        .placed_at = INT64_C(1700000000000),
        .price = 99.5,
        .name = {"sixteen letters.", TEXT_BYTES},
        .note = {"and one more few", TEXT_BYTES},
        .numbers = {1, 2, 3, 4, 5, 6, 7, 8},
        .number_count = NUMBERS,
        .labels = {{"colour", 6}, {"weight", 6}, {"height", 6}, {"length", 6}},
        .values = {1, 2, 3, 4},
        .label_count = LABELS,
};

/* ---- Encoding ---- */

static void put_order(coil_thrift_writer *writer, int16_t id, const order *self)
{
    coil_thrift_put_struct(writer, id);
    coil_thrift_put_bool(writer, 1, self->paid);
    coil_thrift_put_i8(writer, 2, self->priority);
    coil_thrift_put_i16(writer, 3, self->region);
    coil_thrift_put_i32(writer, 4, self->customer);
    coil_thrift_put_i64(writer, 5, self->placed_at);
    coil_thrift_put_double(writer, 6, self->price);
    coil_thrift_put_string(writer, 7, self->name);
    coil_thrift_put_string(writer, 8, self->note);
    coil_thrift_put_list(writer, 9, COIL_THRIFT_I32, self->number_count);
    for (uint32_t i = 0; i < self->number_count; i++)
        coil_thrift_write_i32(writer, self->numbers[i]);
    coil_thrift_put_map(writer, 10, COIL_THRIFT_STRING, COIL_THRIFT_I64, self->label_count);
    for (uint32_t i = 0; i < self->label_count; i++) {
        coil_thrift_write_string(writer, self->labels[i]);
        coil_thrift_write_i64(writer, self->values[i]);
    }
    coil_thrift_write_stop(writer);
}

/* A message whose only field has the order; returns its size with its length. */
static int encode(coil_thrift_writer *writer, enum coil_thrift_message_type type, const order *self)
{
    const coil_thrift_message message = {.name = {"placeOrder", 10}, .type = type, .seqid = 1};

    coil_thrift_writer_reset(writer);
    coil_thrift_writer_begin(writer, &message);
    put_order(writer, type == COIL_THRIFT_CALL, self);
    coil_thrift_write_stop(writer);
    return coil_thrift_writer_finish(writer);
}

/* ---- Decoding ---- */

static void get_numbers(coil_thrift_reader *reader, order *out)
{
    uint32_t left;

    if (!coil_thrift_get_list(reader, COIL_THRIFT_I32, &left))
        return;
    while (coil_thrift_read_element(reader, &left)) {
        int32_t number = coil_thrift_read_i32(reader);
        if (out->number_count < NUMBERS)
            out->numbers[out->number_count++] = number;
    }
}

static void get_labels(coil_thrift_reader *reader, order *out)
{
    uint32_t left;

    if (!coil_thrift_get_map(reader, COIL_THRIFT_STRING, COIL_THRIFT_I64, &left))
        return;
    while (coil_thrift_read_element(reader, &left)) {
        coil_thrift_text label = coil_thrift_read_string(reader);
        int64_t value = coil_thrift_read_i64(reader);
        if (out->label_count == LABELS)
            continue;
        out->labels[out->label_count] = label;
        out->values[out->label_count++] = value;
    }
}

static void get_field(coil_thrift_reader *reader, int16_t id, order *out)
{
    switch (id) {
    case 1:
        coil_thrift_get_bool(reader, &out->paid);
        break;
    case 2:
        coil_thrift_get_i8(reader, &out->priority);
        break;
    case 3:
        coil_thrift_get_i16(reader, &out->region);
        break;
    case 4:
        coil_thrift_get_i32(reader, &out->customer);
        break;
    case 5:
        coil_thrift_get_i64(reader, &out->placed_at);
        break;
    case 6:
        coil_thrift_get_double(reader, &out->price);
        break;
    case 7:
        coil_thrift_get_string(reader, &out->name);
        break;
    case 8:
        coil_thrift_get_string(reader, &out->note);
        break;
    case 9:
        get_numbers(reader, out);
        break;
    case 10:
        get_labels(reader, out);
        break;
    }
}

static int decode(const uint8_t *frame, uint32_t size, order *out)
{
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_thrift_field field;

    coil_thrift_reader_init(&reader, frame, size, NULL);
    if (!coil_thrift_read_message(&reader, &message))
        return coil_thrift_reader_finish(&reader);
    while (coil_thrift_read_field(&reader, &field)) {
        if (field.id != 1 || !coil_thrift_get_struct(&reader))
            continue;
        while (coil_thrift_read_field(&reader, &field))
            get_field(&reader, field.id, out);
    }
    return coil_thrift_reader_finish(&reader);
}

/* ---- The subjects ---- */

static double run_decode(int64_t count)
{
    coil_thrift_writer writer;
    coil_thrift_writer_init(&writer, NULL);
    int size = encode(&writer, COIL_THRIFT_CALL, &example);
    COIL_CHECK(size > 0);
    const uint8_t *frame = writer.bytes + COIL_THRIFT_LENGTH_BYTES;

    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        order got = {0};
        MEASURE_OPAQUE(frame);
        int frame_bytes = coil_thrift_frame_size(writer.bytes, NULL);
        COIL_CHECK(decode(frame, (uint32_t)frame_bytes, &got) == 0);
        COIL_CHECK(got.label_count == LABELS && got.values[3] == 4);
    }
    double took_ns = measure_now_ns() - start_ns;
    coil_thrift_writer_fini(&writer);
    return took_ns;
}

static double run_encode(int64_t count)
{
    coil_thrift_writer writer;
    const order *source = &example;
    coil_thrift_writer_init(&writer, NULL);

    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        MEASURE_OPAQUE(source);
        COIL_CHECK(encode(&writer, COIL_THRIFT_REPLY, source) > 0);
    }
    double took_ns = measure_now_ns() - start_ns;
    coil_thrift_writer_fini(&writer);
    return took_ns;
}

/* What a server does with one call: read it, find the method, write the result. */
static void answer_status(const uint8_t *frame, uint32_t size, coil_thrift_writer *writer)
{
    const coil_fb303_result alive = {.number = COIL_FB303_ALIVE};
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_fb303_call call;

    coil_thrift_reader_init(&reader, frame, size, NULL);
    COIL_CHECK(coil_thrift_read_message(&reader, &message));
    COIL_CHECK(coil_fb303_read_call(&reader, &message, &call) == 0);
    coil_thrift_writer_reset(writer);
    COIL_CHECK(coil_fb303_write_result(writer, &message, call.method, &alive) > 0);
}

static double run_status(int64_t count)
{
    const coil_fb303_call status = {.method = COIL_FB303_GET_STATUS};
    coil_thrift_writer asked;
    coil_thrift_writer answered;
    coil_thrift_writer_init(&asked, NULL);
    coil_thrift_writer_init(&answered, NULL);
    COIL_CHECK(coil_fb303_write_call(&asked, 1, &status) > 0);
    const uint8_t *frame = asked.bytes + COIL_THRIFT_LENGTH_BYTES;

    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        MEASURE_OPAQUE(frame);
        answer_status(frame, (uint32_t)coil_thrift_frame_size(asked.bytes, NULL), &answered);
    }
    double took_ns = measure_now_ns() - start_ns;
    coil_thrift_writer_fini(&asked);
    coil_thrift_writer_fini(&answered);
    return took_ns;
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"rpc_status", "coil", run_status, 0, MEASURE_NS},
            {"rpc_decode", "coil", run_decode, 0, MEASURE_NS},
            {"rpc_encode", "coil", run_encode, 0, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
