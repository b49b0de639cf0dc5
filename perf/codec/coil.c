/* SPDX-License-Identifier: MIT */
/* A struct of a kilobyte, encoded and decoded by generated code of Coil: perf/thrift_codec. */
#include "../micro/measure.h"

#include <coil/thrift_schema.h>

#include "order_thrift.h"

enum { NUMBERS = 40, LABELS = 10, LINES = 8, ARENA_BYTES = 1 << 20 };

static order_Order example;

static void fill_example(void)
{
    static int32_t numbers[NUMBERS];
    static coil_thrift_text_to_coil_thrift_i64_map_item labels[LABELS];
    static order_Line lines[LINES];
    static char names[LABELS][16];

    for (int i = 0; i < NUMBERS; i++)
        numbers[i] = i * i * 100;
    for (int i = 0; i < LABELS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "label %d", i);
        labels[i].key = coil_thrift_text_of(names[i]);
        labels[i].value = i * INT64_C(1000000);
    }
    for (int i = 0; i < LINES; i++) {
        lines[i] = order_Line_default;
        lines[i].article = 1000 + i;
        lines[i].name = coil_thrift_text_of("sixteen letters.");
        lines[i].count = i;
        lines[i].price = 1.25 * i;
    }
    example = order_Order_default;
    example.paid = true;
    example.priority = 3;
    example.region = 44;
    example.customer = 123456;
    example.placed_at = INT64_C(1700000000000);
    example.total = 99.5;
    example.name = coil_thrift_text_of("a name that is as long as those are");
    example.note = coil_thrift_text_of("to be delivered on a Thursday in spring");
    example.address.street = coil_thrift_text_of("Ada Lovelace Street 12");
    example.address.city = coil_thrift_text_of("Sevenoaks");
    example.address.code = 13999;
    example.numbers.items = numbers;
    example.numbers.count = NUMBERS;
    example.labels.items = labels;
    example.labels.count = LABELS;
    example.lines.items = lines;
    example.lines.count = LINES;
}

static int encode(coil_thrift_writer *writer)
{
    static const coil_thrift_message message = {{"put", 3}, COIL_THRIFT_CALL, 1, false};

    coil_thrift_writer_reset(writer);
    coil_thrift_writer_begin(writer, &message);
    coil_thrift_write_fields(writer, &order_Order_schema, &example);
    return coil_thrift_writer_finish(writer);
}

static void open_writer(coil_thrift_writer *writer, enum coil_thrift_protocol protocol)
{
    fill_example();
    coil_thrift_writer_init(writer, NULL);
    coil_thrift_writer_set_protocol(writer, protocol);
}

static double run_encode(int64_t count, enum coil_thrift_protocol protocol)
{
    coil_thrift_writer writer;
    const order_Order *source = &example;
    open_writer(&writer, protocol);

    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        MEASURE_OPAQUE(source);
        COIL_CHECK(encode(&writer) > 0);
    }
    double took_ns = measure_now_ns() - start_ns;
    coil_thrift_writer_fini(&writer);
    return took_ns;
}

static double run_decode(int64_t count, enum coil_thrift_protocol protocol)
{
    coil_thrift_writer writer;
    coil_thrift_reader reader;
    coil_thrift_message message;
    coil_arena arena;
    order_Order got;
    open_writer(&writer, protocol);
    coil_arena_init(&arena, ARENA_BYTES);
    COIL_CHECK(encode(&writer) > 0);
    const uint8_t *frame = writer.bytes + COIL_THRIFT_LENGTH_BYTES;
    const uint32_t size = writer.size - COIL_THRIFT_LENGTH_BYTES;

    double start_ns = measure_now_ns();
    for (int64_t i = 0; i < count; i++) {
        MEASURE_OPAQUE(frame);
        coil_arena_reset(&arena);
        coil_thrift_reader_init_as(&reader, protocol, frame, size, NULL, &arena);
        COIL_CHECK(coil_thrift_read_message(&reader, &message));
        (void)coil_thrift_read_fields(&reader, &arena, &order_Order_schema, &got);
        COIL_CHECK(coil_thrift_reader_finish(&reader) == 0);
        COIL_CHECK(got.lines.count == LINES && got.lines.items[LINES - 1].count == LINES - 1);
    }
    double took_ns = measure_now_ns() - start_ns;
    coil_arena_fini(&arena);
    coil_thrift_writer_fini(&writer);
    return took_ns;
}

static double encode_binary(int64_t count)
{
    return run_encode(count, COIL_THRIFT_PROTOCOL_BINARY);
}

static double decode_binary(int64_t count)
{
    return run_decode(count, COIL_THRIFT_PROTOCOL_BINARY);
}

static double encode_compact(int64_t count)
{
    return run_encode(count, COIL_THRIFT_PROTOCOL_COMPACT);
}

static double decode_compact(int64_t count)
{
    return run_decode(count, COIL_THRIFT_PROTOCOL_COMPACT);
}

static double encode_json(int64_t count)
{
    return run_encode(count, COIL_THRIFT_PROTOCOL_JSON);
}

static double decode_json(int64_t count)
{
    return run_decode(count, COIL_THRIFT_PROTOCOL_JSON);
}

int main(int argc, char **argv)
{
    static const measure_subject subjects[] = {
            {"binary_encode", "coil", encode_binary, 0, MEASURE_NS},
            {"binary_decode", "coil", decode_binary, 0, MEASURE_NS},
            {"compact_encode", "coil", encode_compact, 0, MEASURE_NS},
            {"compact_decode", "coil", decode_compact, 0, MEASURE_NS},
            {"json_encode", "coil", encode_json, 0, MEASURE_NS},
            {"json_decode", "coil", decode_json, 0, MEASURE_NS},
    };
    return measure_main(subjects, sizeof(subjects) / sizeof(subjects[0]), argc, argv);
}
