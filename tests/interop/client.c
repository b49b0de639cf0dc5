/* SPDX-License-Identifier: MIT */
/* interop_client <address> - calls what interop.thrift has, and says what is wrong. */
#include <coil/fb303_service.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <coil/sugar.h>

static int wrong_count;

static void expect(bool right, const char *what)
{
    if (right)
        return;
    wrong_count++;
    fprintf(stderr, "not so: %s\n", what);
}

#define EXPECT(condition) expect((condition), #condition)

static const char everything_in_words[] =
        "true -128 -32768 -2147483648 -9223372036854775808 0.5 gr\xc3\xbc\xc3\x9f dich 5 bytes "
        "colour 40";

/* ------------------------------------------------------------------------------ Everything -- */

static void write_point(coil_thrift_writer *writer, int32_t x, int32_t y)
{
    coil_thrift_put_i32(writer, 1, x);
    coil_thrift_put_i32(writer, 2, y);
    coil_thrift_write_stop(writer);
}

static void write_scalars(coil_thrift_writer *writer)
{
    coil_thrift_put_bool(writer, 1, true);
    coil_thrift_put_i8(writer, 2, INT8_MIN);
    coil_thrift_put_i16(writer, 3, INT16_MIN);
    coil_thrift_put_i32(writer, 4, INT32_MIN);
    coil_thrift_put_i64(writer, 5, INT64_MIN);
    coil_thrift_put_double(writer, 6, 0.5);
    coil_thrift_put_string(writer, 7, coil_thrift_text_of("gr\xc3\xbc\xc3\x9f dich"));
    coil_thrift_put_string(writer, 8, (coil_thrift_text){"\0\1\2\377\376", 5});
    coil_thrift_put_i32(writer, 9, 40);
}

/* Sets and maps have one element each, so that their order is no question. */
static void write_containers(coil_thrift_writer *writer)
{
    coil_thrift_put_list(writer, 10, COIL_THRIFT_STRING, 3);
    coil_thrift_write_string(writer, coil_thrift_text_of("one"));
    coil_thrift_write_string(writer, coil_thrift_text_of(""));
    coil_thrift_write_string(writer, coil_thrift_text_of("three"));
    coil_thrift_put_set(writer, 11, COIL_THRIFT_I32, 1);
    coil_thrift_write_i32(writer, -7);
    coil_thrift_put_map(writer, 12, COIL_THRIFT_STRING, COIL_THRIFT_I64, 1);
    coil_thrift_write_string(writer, coil_thrift_text_of("egg"));
    coil_thrift_write_i64(writer, INT64_MAX);
    coil_thrift_put_list(writer, 13, COIL_THRIFT_STRUCT, 2);
    write_point(writer, 1, 2);
    write_point(writer, 3, 4);
    coil_thrift_put_map(writer, 14, COIL_THRIFT_I32, COIL_THRIFT_LIST, 1);
    coil_thrift_write_i32(writer, 5);
    coil_thrift_write_list(writer, COIL_THRIFT_STRUCT, 1);
    write_point(writer, 6, 7);
    coil_thrift_put_struct(writer, 15);
    write_point(writer, 8, 9);
    coil_thrift_put_list(writer, 16, COIL_THRIFT_BOOL, 2);
    coil_thrift_write_bool(writer, false);
    coil_thrift_write_bool(writer, true);
    coil_thrift_put_map(writer, 17, COIL_THRIFT_STRING, COIL_THRIFT_MAP, 1);
    coil_thrift_write_string(writer, coil_thrift_text_of("a"));
    coil_thrift_write_map(writer, COIL_THRIFT_STRING, COIL_THRIFT_LIST, 1);
    coil_thrift_write_string(writer, coil_thrift_text_of("b"));
    coil_thrift_write_list(writer, COIL_THRIFT_DOUBLE, 1);
    coil_thrift_write_double(writer, 1e-292);
}

/* The fields that a reply with Everything in it has to have, in the order of their numbers. */
static void expect_everything(coil_thrift_reader *reply)
{
    coil_thrift_writer expected;
    coil_thrift_message message = {.type = COIL_THRIFT_REPLY};
    uint32_t before = reply->position;

    coil_thrift_skip_fields(reply);
    int rc = coil_thrift_reader_finish(reply);
    EXPECT(rc == 0);

    coil_thrift_writer_init(&expected, NULL);
    coil_thrift_writer_begin(&expected, &message);
    uint32_t header = expected.size;
    coil_thrift_put_struct(&expected, 0);
    write_scalars(&expected);
    write_containers(&expected);
    coil_thrift_write_stop(&expected);
    coil_thrift_write_stop(&expected);
    rc = coil_thrift_writer_finish(&expected);
    EXPECT(rc > 0);
    EXPECT(expected.size - header == reply->size - before);
    EXPECT(expected.size - header != reply->size - before ||
            memcmp(expected.bytes + header, reply->bytes + before, expected.size - header) == 0);
    coil_thrift_writer_fini(&expected);
}

static void begin_with_everything(coil_thrift_client *client, const char *method)
{
    coil_thrift_writer *writer = coil_thrift_client_begin(client, method);
    coil_thrift_put_struct(writer, 1);
    write_scalars(writer);
    write_containers(writer);
    coil_thrift_write_stop(writer);
}

/* ----------------------------------------------------------------------------------- calls -- */

static bool reply_has_text(coil_thrift_client *client, const char *expected)
{
    coil_thrift_reader *reply = coil_thrift_client_reply(client);
    coil_thrift_field field;
    coil_thrift_text text = {"", 0};

    while (coil_thrift_read_field(reply, &field)) {
        if (field.id == 0)
            coil_thrift_get_string(reply, &text);
    }
    return coil_thrift_reader_finish(reply) == 0 && coil_thrift_text_is(text, expected);
}

static bool reply_has_number(coil_thrift_client *client, int64_t expected)
{
    coil_thrift_reader *reply = coil_thrift_client_reply(client);
    coil_thrift_field field;
    int64_t number = 0;

    while (coil_thrift_read_field(reply, &field)) {
        if (field.id == 0)
            coil_thrift_get_i64(reply, &number);
    }
    return coil_thrift_reader_finish(reply) == 0 && number == expected;
}

async(int, call_types, (coil_thrift_client *) client)
{
    vars();
    coil_thrift_writer *writer;

    begin_with_everything(client, "echo");
    attempt(coil_thrift_client_call(client));
    expect_everything(coil_thrift_client_reply(client));

    begin_with_everything(client, "describe");
    attempt(coil_thrift_client_call(client));
    EXPECT(reply_has_text(client, everything_in_words));

    writer = coil_thrift_client_begin(client, "sum");
    coil_thrift_put_list(writer, 1, COIL_THRIFT_I64, 2);
    coil_thrift_write_i64(writer, 1000000000000);
    coil_thrift_write_i64(writer, -1);
    coil_thrift_put_set(writer, 2, COIL_THRIFT_I32, 2);
    coil_thrift_write_i32(writer, 10);
    coil_thrift_write_i32(writer, 20);
    coil_thrift_put_map(writer, 3, COIL_THRIFT_STRING, COIL_THRIFT_I16, 1);
    coil_thrift_write_string(writer, coil_thrift_text_of("x"));
    coil_thrift_write_i16(writer, -300);
    attempt(coil_thrift_client_call(client));
    EXPECT(reply_has_number(client, 999999999729));
    return 0;
}

/* The code of the Failure in field 1. */
static int32_t failure_code(coil_thrift_reader *reply)
{
    coil_thrift_field field;
    int32_t code = 0;

    while (coil_thrift_read_field(reply, &field)) {
        if (field.id != 1 || !coil_thrift_get_struct(reply))
            continue;
        while (coil_thrift_read_field(reply, &field)) {
            if (field.id == 1)
                coil_thrift_get_i32(reply, &code);
        }
    }
    return coil_thrift_reader_finish(reply) == 0 ? code : -1;
}

static void begin_with_text(coil_thrift_client *client, const char *method, const char *text)
{
    coil_thrift_put_string(coil_thrift_client_begin(client, method), 1, coil_thrift_text_of(text));
}

async(int, call_exceptions, (coil_thrift_client *) client)
{
    vars(int rc);

    begin_with_text(client, "check", "fine");
    attempt(coil_thrift_client_call(client));
    EXPECT(failure_code(coil_thrift_client_reply(client)) == 0);
    begin_with_text(client, "check", "declared");
    attempt(coil_thrift_client_call(client));
    EXPECT(failure_code(coil_thrift_client_reply(client)) == 1001);
    begin_with_text(client, "check", "undeclared");
    await(my->rc, coil_thrift_client_call(client));
    EXPECT(my->rc == -EREMOTEIO);
    (void)coil_thrift_client_begin(client, "noSuchMethod");
    await(my->rc, coil_thrift_client_call(client));
    EXPECT(my->rc == -EREMOTEIO);
    EXPECT(coil_thrift_client_exception(client)->type == COIL_THRIFT_UNKNOWN_METHOD);
    return 0;
}

/* How often the list of strings has `word`. */
static int count_word(coil_thrift_reader *reply, const char *word)
{
    coil_thrift_field field;
    uint32_t left;
    int count = 0;

    while (coil_thrift_read_field(reply, &field)) {
        if (field.id != 0 || !coil_thrift_get_list(reply, COIL_THRIFT_STRING, &left))
            continue;
        while (coil_thrift_read_element(reply, &left))
            count += coil_thrift_text_is(coil_thrift_read_string(reply), word);
    }
    return coil_thrift_reader_finish(reply) == 0 ? count : -1;
}

async(int, call_oneway, (coil_thrift_client *) client)
{
    vars();

    begin_with_text(client, "tell", "from C");
    attempt(coil_thrift_client_send(client));
    begin_with_text(client, "tell", "from C");
    attempt(coil_thrift_client_send(client));
    (void)coil_thrift_client_begin(client, "told");
    attempt(coil_thrift_client_call(client));
    EXPECT(count_word(coil_thrift_client_reply(client), "from C") == 2);
    return 0;
}

/* ----------------------------------------------------------------------------------- fb303 -- */

static const struct question {
    coil_fb303_call call;
    const char *text; /* The answer, */
    int64_t number;
} questions[] = {
        {{.method = COIL_FB303_GET_NAME}, "interop", 0},
        {{.method = COIL_FB303_GET_VERSION}, "1.0", 0},
        {{.method = COIL_FB303_GET_STATUS}, "", COIL_FB303_ALIVE},
        {{.method = COIL_FB303_GET_STATUS_DETAILS}, "", 0},
        {{.method = COIL_FB303_GET_COUNTER, .key = {"answers", 7}}, "", 42},
        {{.method = COIL_FB303_GET_COUNTER, .key = {"nothing", 7}}, "", 0},
        {{.method = COIL_FB303_SET_OPTION, .key = {"colour", 6}, .value = {"red", 3}}, "", 0},
        {{.method = COIL_FB303_GET_OPTION, .key = {"colour", 6}}, "red", 0},
        {{.method = COIL_FB303_GET_CPU_PROFILE, .duration_s = 1}, "", 0},
        {{.method = COIL_FB303_REINITIALIZE}, "", 0},
};

async(int, ask_pairs, (coil_thrift_client *) client)
{
    vars(coil_fb303_result result);
    static const coil_fb303_call counters = {.method = COIL_FB303_GET_COUNTERS};
    static const coil_fb303_call options = {.method = COIL_FB303_GET_OPTIONS};
    coil_fb303_pair pair;
    int found_count;

    attempt(coil_fb303_ask(client, &counters, &my->result));
    found_count = 0;
    while (coil_fb303_next_pair(&my->result, &pair))
        found_count += coil_thrift_text_is(pair.name, "answers") && pair.number == 42;
    EXPECT(found_count == 1);

    attempt(coil_fb303_ask(client, &options, &my->result));
    EXPECT(my->result.pair_count == 1);
    EXPECT(coil_fb303_next_pair(&my->result, &pair));
    EXPECT(coil_thrift_text_is(pair.name, "colour"));
    EXPECT(coil_thrift_text_is(pair.text, "red"));
    return 0;
}

async(int, ask_fb303, (coil_thrift_client *) client)
{
    vars(size_t i; coil_fb303_result result);
    static const coil_fb303_call alive_since = {.method = COIL_FB303_ALIVE_SINCE};

    for (my->i = 0; my->i < sizeof(questions) / sizeof(questions[0]); my->i++) {
        attempt(coil_fb303_ask(client, &questions[my->i].call, &my->result));
        expect(coil_thrift_text_is(my->result.text, questions[my->i].text) &&
                        my->result.number == questions[my->i].number,
                coil_fb303_method_name(questions[my->i].call.method));
    }
    attempt(ask_pairs(client));
    attempt(coil_fb303_ask(client, &alive_since, &my->result));
    EXPECT(my->result.number > 1700000000);
    return 0;
}

async(int, call_all, (const char *) address)
{
    vars(coil_thrift_client *client; coil_fb303_result result);
    static const coil_fb303_call shut_down = {.method = COIL_FB303_SHUTDOWN};

    attempt(my->client, coil_thrift_connect(address));
    defer(coil_thrift_client_close(my->client));
    attempt(ask_fb303(my->client));
    attempt(call_types(my->client));
    attempt(call_exceptions(my->client));
    attempt(call_oneway(my->client));
    attempt(coil_fb303_ask(my->client, &shut_down, &my->result));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s <address>\n", argv[0]);
        return 2;
    }
    int rc = coil_run(within(coil_s(20), call_all(argv[1])));
    if (rc < 0)
        fprintf(stderr, "the calls end with %s\n", coil_error_name(rc));
    return rc < 0 || wrong_count > 0;
}
