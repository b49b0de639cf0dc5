/* SPDX-License-Identifier: MIT */
#include "cross_calls.h"

#include "thrift_test_thrift.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <coil/sugar.h>

/* What is known about the calls of one round. */
typedef struct round {
    coil_thrift_channel *channel;
    coil_arena arena;
    unsigned binary_max; /* Bytes. */
    int failures;
} round;

static void expect(round *self, bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "cross_client: %s\n", what);
    self->failures++;
}

/* Whether some item of a set or map is the same. */
static bool has_item(
        const coil_thrift_type_schema *type, const coil_thrift_items *items, const char *item)
{
    const char *at = items->items;

    for (uint32_t i = 0; i < items->count; i++, at += type->item_bytes) {
        if (coil_thrift_equal(type->element, at + type->value_offset, item + type->value_offset) &&
                (type->key == NULL || coil_thrift_equal(type->key, at, item)))
            return true;
    }
    return false;
}

/* Whether it is the same value: others give the items of sets and maps in an order of theirs. */
static bool is_same(const coil_thrift_type_schema *type, const void *one, const void *other)
{
    if (type->type != COIL_THRIFT_SET && type->type != COIL_THRIFT_MAP)
        return coil_thrift_equal(type, one, other);
    const coil_thrift_items *items = one;
    const coil_thrift_items *others = other;
    const char *item = items->items;
    for (uint32_t i = 0; i < items->count; i++, item += type->item_bytes) {
        if (!has_item(type, others, item))
            return false;
    }
    return items->count == others->count;
}

/* Whether it is an outcome of the connection rather than of the call. */
static bool is_over(int rc)
{
    return rc < 0 && rc != -EREMOTEIO;
}

/* Call `method`, and expect its argument back. */
#define ECHOES(method, kind)                                                           \
    async(int, echo_##method, (round *)self, (kind)thing)                              \
    {                                                                                  \
        vars(cross_ThriftTest_##method##_result result; int rc);                       \
        await(my->rc, cross_ThriftTest_##method(self->channel,                         \
                              (cross_ThriftTest_##method##_arguments){.thing = thing}, \
                              &self->arena, &my->result));                             \
        const coil_thrift_field_schema *success =                                      \
                &cross_ThriftTest_##method##_result_schema.fields[0];                  \
        expect(self, my->rc == 0 && my->result.has.success, #method);                  \
        expect(self, is_same(success->type, &thing, &my->result.success), #method);    \
        return is_over(my->rc) ? my->rc : 0; /* The others fare no better then. */     \
    }

ECHOES(testString, coil_thrift_text)
ECHOES(testBool, bool)
ECHOES(testByte, int8_t)
ECHOES(testI32, int32_t)
ECHOES(testI64, int64_t)
ECHOES(testDouble, double)
ECHOES(testBinary, coil_thrift_text)
ECHOES(testStruct, cross_Xtruct)
ECHOES(testNest, cross_Xtruct2)
ECHOES(testMap, coil_thrift_i32_to_coil_thrift_i32_map)
ECHOES(testStringMap, coil_thrift_text_to_coil_thrift_text_map)
ECHOES(testSet, coil_thrift_i32_set)
ECHOES(testList, coil_thrift_i32_list)
ECHOES(testEnum, cross_Numberz)
ECHOES(testTypedef, cross_UserId)

/* Values
 * ------ */

/* Every script has its own digits, letters and directions; and then there is JSON. */
static const char *const texts[] = {
        "",
        "Test",
        "quote \" backslash \\ slash / \b\f\n\r\t",
        "]] \"]] \\\" \\\" \\\\ /",
        "Afrikaans, Alemannisch, Aragonés, العربية, مصرى, Asturianu, Aymar aru, Azərbaycan, "
        "Башҡорт, Boarisch, Žemaitėška, Беларуская, Български, বাংলা, Brezhoneg, Bosanski, Català, "
        "Нохчийн, ᏣᎳᎩ, Čeština, Словѣ́ньскъ, Чӑвашла, Cymraeg, Dansk, Deutsch, Ελληνικά, "
        "Español, Eesti, فارسی, Suomi, Võro, Føroyskt, Français, Frysk, Gaeilge, 贛語, Gàidhlig, "
        "Galego, ગુજરાતી, עברית, हिन्दी, Hrvatski, Magyar, Հայերեն, Íslenska, 日本語, ქართული, "
        "Қазақша, ಕನ್ನಡ, 한국어, Kurdî, Кыргызча, Latviešu, മലയാളം, मराठी, မြန်မာဘာသာ, नेपाली, "
        "Polski, پنجابی, Română, Русский, සිංහල, தமிழ், తెలుగు, Тоҷикӣ, ไทย, Türkçe, Українська, "
        "اردو, "
        "Tiếng Việt, 吴语, ייִדיש, 中文, 粵語, and 😀🎉𝄞 beyond the first plane",
};
static const double doubles[] = {0.0, -1.0, -5.2098523, -0.000341012439638598279,
        9007199254740991.0, 1e307, 1e-292, 0.1, 3.141592653589793, -1.7976931348623157e308};
static const int64_t integers[] = {0, 1, -1, 127, -128, 255, 32767, -32768, 2147483647, -2147483648,
        4294967296, -34359738481, INT64_MAX, INT64_MIN};
static const uint32_t binary_sizes[] = {0, 1, 2, 4, 6, 16, 33, 255, 1024, 65537, 131072};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

async(int, call_with_scalars, (round *) self)
{
    vars(size_t i);

    attempt(echo_testBool(self, true));
    attempt(echo_testBool(self, false));
    for (my->i = 0; my->i < COUNT_OF(texts); my->i++)
        attempt(echo_testString(self, coil_thrift_text_of(texts[my->i])));
    for (my->i = 0; my->i < COUNT_OF(doubles); my->i++)
        attempt(echo_testDouble(self, doubles[my->i]));
    for (my->i = 0; my->i < COUNT_OF(integers); my->i++) {
        attempt(echo_testByte(self, (int8_t)integers[my->i]));
        attempt(echo_testI32(self, (int32_t)integers[my->i]));
        attempt(echo_testI64(self, integers[my->i]));
        attempt(echo_testTypedef(self, integers[my->i]));
    }
    attempt(echo_testEnum(self, cross_Numberz_ONE));
    attempt(echo_testEnum(self, cross_Numberz_EIGHT));
    return 0;
}

/* All values of a byte, over and over. */
async(int, call_with_binaries, (round *) self)
{
    vars(size_t i; char *bytes);
    enum { BYTES_MAX = 131072 };

    my->bytes = malloc(BYTES_MAX);
    if (my->bytes == NULL)
        return -ENOMEM;
    defer(free(my->bytes));
    for (my->i = 0; my->i < BYTES_MAX; my->i++)
        my->bytes[my->i] = (char)my->i;
    for (my->i = 0; my->i < COUNT_OF(binary_sizes); my->i++) {
        if (binary_sizes[my->i] > self->binary_max)
            break;
        attempt(echo_testBinary(self, (coil_thrift_text){my->bytes, binary_sizes[my->i]}));
        coil_arena_reset(&self->arena);
    }
    return 0;
}

async(int, call_with_structs, (round *) self)
{
    vars(cross_Xtruct some);

    my->some = (cross_Xtruct){
            .string_thing = coil_thrift_text_of("Zero"),
            .byte_thing = 1,
            .i32_thing = -3,
            .i64_thing = -5,
            .has = {1, 1, 1, 1},
    };
    attempt(echo_testStruct(self, my->some));
    attempt(echo_testNest(self,
            (cross_Xtruct2){
                    .byte_thing = 1, .struct_thing = my->some, .i32_thing = 5, .has = {1, 1, 1}}));
    return 0;
}

async(int, call_with_containers, (round *) self)
{
    vars(int32_t numbers[5]; coil_thrift_i32_to_coil_thrift_i32_map_item pairs[5];
            coil_thrift_text_to_coil_thrift_text_map_item words[4]; int i);

    for (my->i = 0; my->i < 5; my->i++) {
        my->numbers[my->i] = my->i - 2;
        my->pairs[my->i].key = my->i;
        my->pairs[my->i].value = my->i - 10;
    }
    my->words[0].key = coil_thrift_text_of("a");
    my->words[0].value = coil_thrift_text_of("2");
    my->words[1].key = coil_thrift_text_of("b");
    my->words[1].value = coil_thrift_text_of("blah");
    my->words[2].key = coil_thrift_text_of("some");
    my->words[2].value = coil_thrift_text_of("thing");
    my->words[3].key = coil_thrift_text_of("");
    my->words[3].value = coil_thrift_text_of("key \"\\\" of nothing");
    attempt(echo_testList(self, (coil_thrift_i32_list){my->numbers, 5}));
    attempt(echo_testList(self, (coil_thrift_i32_list){NULL, 0}));
    attempt(echo_testSet(self, (coil_thrift_i32_set){my->numbers, 5}));
    attempt(echo_testMap(self, (coil_thrift_i32_to_coil_thrift_i32_map){my->pairs, 5}));
    attempt(echo_testMap(self, (coil_thrift_i32_to_coil_thrift_i32_map){NULL, 0}));
    attempt(echo_testStringMap(
            self, (coil_thrift_text_to_coil_thrift_text_map){my->words, COUNT_OF(my->words)}));
    return 0;
}

/* {-4: {-4: -4, -3: -3, -2: -2, -1: -1}, 4: {1: 1, 2: 2, 3: 3, 4: 4}}, in whatever order */
static bool is_map_of_maps(const cross_ThriftTest_testMapMap_result *result)
{
    if (result->success.count != 2)
        return false;
    for (uint32_t i = 0; i < 2; i++) {
        const int32_t sign = result->success.items[i].key < 0 ? -1 : 1;
        const coil_thrift_i32_to_coil_thrift_i32_map *inner = &result->success.items[i].value;
        if (result->success.items[i].key != 4 * sign || inner->count != 4)
            return false;
        for (uint32_t k = 0; k < 4; k++) {
            const int32_t key = inner->items[k].key;
            if (key != inner->items[k].value || key * sign < 1 || key * sign > 4)
                return false;
        }
    }
    return result->success.items[0].key == -result->success.items[1].key;
}

async(int, call_map_map, (round *) self)
{
    vars(cross_ThriftTest_testMapMap_result result; int rc);

    await(my->rc, cross_ThriftTest_testMapMap(self->channel,
                          (cross_ThriftTest_testMapMap_arguments){.hello = 1}, &self->arena,
                          &my->result));
    expect(self, my->rc == 0 && is_map_of_maps(&my->result), "testMapMap");
    return 0;
}

/* {1: {TWO: argument, THREE: argument}, 2: {SIX: an empty one}}, in whatever order */
static bool is_insane(
        const cross_ThriftTest_testInsanity_result *result, const cross_Insanity *argument)
{
    uint32_t same_count = 0;
    uint32_t empty_count = 0;

    for (uint32_t i = 0; i < result->success.count; i++) {
        const cross_Numberz_to_cross_Insanity_map *inner = &result->success.items[i].value;
        for (uint32_t k = 0; k < inner->count; k++) {
            const cross_Numberz key = inner->items[k].key;
            const cross_Insanity *value = &inner->items[k].value;
            if (result->success.items[i].key == 1) {
                same_count += (key == cross_Numberz_TWO || key == cross_Numberz_THREE) &&
                              coil_thrift_equal(&cross_Insanity_type, argument, value);
            } else {
                empty_count += result->success.items[i].key == 2 && key == cross_Numberz_SIX &&
                               value->userMap.count == 0 && value->xtructs.count == 0;
            }
        }
    }
    return result->success.count == 2 && same_count == 2 && empty_count == 1;
}

async(int, call_insanity, (round *) self)
{
    vars(cross_ThriftTest_testInsanity_result result; cross_Insanity argument;
            cross_Numberz_to_coil_thrift_i64_map_item users[2]; cross_Xtruct structs[2]; int rc);

    my->users[0].key = cross_Numberz_FIVE;
    my->users[0].value = 5;
    my->users[1].key = cross_Numberz_EIGHT;
    my->users[1].value = 8;
    my->structs[0] = (cross_Xtruct){.string_thing = coil_thrift_text_of("Goodbye4"),
            .byte_thing = 4,
            .i32_thing = 4,
            .i64_thing = 4,
            .has = {1, 1, 1, 1}};
    my->structs[1] = (cross_Xtruct){.string_thing = coil_thrift_text_of("Hello2"),
            .byte_thing = 2,
            .i32_thing = 2,
            .i64_thing = 2,
            .has = {1, 1, 1, 1}};
    my->argument.userMap.items = my->users;
    my->argument.userMap.count = 1;
    my->argument.xtructs.items = my->structs;
    my->argument.xtructs.count = 2;
    await(my->rc, cross_ThriftTest_testInsanity(self->channel,
                          (cross_ThriftTest_testInsanity_arguments){.argument = my->argument},
                          &self->arena, &my->result));
    expect(self, my->rc == 0 && is_insane(&my->result, &my->argument), "testInsanity");
    return 0;
}

async(int, call_multi, (round *) self)
{
    vars(cross_ThriftTest_testMulti_result result;
            coil_thrift_i16_to_coil_thrift_text_map_item some; int rc);

    my->some.key = 1;
    my->some.value = coil_thrift_text_of("abc");
    await(my->rc, cross_ThriftTest_testMulti(self->channel,
                          (cross_ThriftTest_testMulti_arguments){
                                  .arg0 = 42,
                                  .arg1 = 4242,
                                  .arg2 = 424242,
                                  .arg3 = {&my->some, 1},
                                  .arg4 = cross_Numberz_FIVE,
                                  .arg5 = 0xf0f0f0,
                          },
                          &self->arena, &my->result));
    const cross_Xtruct *back = &my->result.success;
    expect(self,
            my->rc == 0 && coil_thrift_text_is(back->string_thing, "Hello2") &&
                    back->byte_thing == 42 && back->i32_thing == 4242 && back->i64_thing == 424242,
            "testMulti");
    return 0;
}

/* Exceptions
 * ---------- */

async(int, call_exceptions, (round *) self)
{
    vars(cross_ThriftTest_testException_result result; int rc);

    await(my->rc, cross_ThriftTest_testException(self->channel,
                          (cross_ThriftTest_testException_arguments){
                                  .arg = coil_thrift_text_of("Xception")},
                          &self->arena, &my->result));
    expect(self,
            my->rc == -EREMOTEIO && my->result.has.err1 && my->result.err1.errorCode == 1001 &&
                    coil_thrift_text_is(my->result.err1.message, "Xception"),
            "testException: Xception");
    await(my->rc, cross_ThriftTest_testException(self->channel,
                          (cross_ThriftTest_testException_arguments){
                                  .arg = coil_thrift_text_of("TException")},
                          &self->arena, &my->result));
    expect(self, my->rc == -EREMOTEIO && !my->result.has.err1, "testException: TException");
    await(my->rc, cross_ThriftTest_testException(self->channel,
                          (cross_ThriftTest_testException_arguments){
                                  .arg = coil_thrift_text_of("success")},
                          &self->arena, &my->result));
    expect(self, my->rc == 0 && !my->result.has.err1, "testException: success");
    return 0;
}

async(int, call_multi_exceptions, (round *) self)
{
    vars(cross_ThriftTest_testMultiException_result result; int rc);

    await(my->rc, cross_ThriftTest_testMultiException(self->channel,
                          (cross_ThriftTest_testMultiException_arguments){
                                  .arg0 = coil_thrift_text_of("Xception"),
                                  .arg1 = coil_thrift_text_of("test 1")},
                          &self->arena, &my->result));
    expect(self,
            my->rc == -EREMOTEIO && my->result.has.err1 && my->result.err1.errorCode == 1001 &&
                    coil_thrift_text_is(my->result.err1.message, "This is an Xception"),
            "testMultiException: Xception");
    await(my->rc, cross_ThriftTest_testMultiException(self->channel,
                          (cross_ThriftTest_testMultiException_arguments){
                                  .arg0 = coil_thrift_text_of("Xception2"),
                                  .arg1 = coil_thrift_text_of("test 2")},
                          &self->arena, &my->result));
    expect(self,
            my->rc == -EREMOTEIO && my->result.has.err2 && my->result.err2.errorCode == 2002 &&
                    coil_thrift_text_is(
                            my->result.err2.struct_thing.string_thing, "This is an Xception2"),
            "testMultiException: Xception2");
    await(my->rc, cross_ThriftTest_testMultiException(self->channel,
                          (cross_ThriftTest_testMultiException_arguments){
                                  .arg0 = coil_thrift_text_of("success"),
                                  .arg1 = coil_thrift_text_of("test 3")},
                          &self->arena, &my->result));
    expect(self, my->rc == 0 && coil_thrift_text_is(my->result.success.string_thing, "test 3"),
            "testMultiException: success");
    return 0;
}

/* Rounds
 * ------ */

/* What follows a oneway call gets its own answer. */
async(int, call_oneway, (round *) self)
{
    vars(int rc);

    await(my->rc, cross_ThriftTest_testOneway(self->channel,
                          (cross_ThriftTest_testOneway_arguments){.secondsToSleep = 0}));
    expect(self, my->rc == 0, "testOneway");
    attempt(echo_testI32(self, -1));
    return 0;
}

async(int, call_void, (round *) self)
{
    vars(int rc);

    await(my->rc, cross_ThriftTest_testVoid(self->channel, &self->arena, NULL));
    expect(self, my->rc == 0, "testVoid");
    return is_over(my->rc) ? my->rc : 0;
}

coil_define(int, cross_call_everything, (coil_thrift_channel *) channel, (unsigned) binary_max)
{
    vars(round self);

    my->self.channel = channel;
    my->self.binary_max = binary_max;
    coil_arena_init(&my->self.arena, 16 << 20);
    defer(coil_arena_fini(&my->self.arena));
    attempt(call_void(&my->self));
    attempt(call_with_scalars(&my->self));
    attempt(call_with_binaries(&my->self));
    attempt(call_with_structs(&my->self));
    attempt(call_with_containers(&my->self));
    attempt(call_map_map(&my->self));
    attempt(call_insanity(&my->self));
    attempt(call_multi(&my->self));
    attempt(call_exceptions(&my->self));
    attempt(call_multi_exceptions(&my->self));
    attempt(call_oneway(&my->self));
    return my->self.failures;
}

coil_define(int, cross_call_second_service, (coil_thrift_channel *) channel)
{
    vars(round self; cross_SecondService_secondtestString_result result; int rc);

    my->self.channel = channel;
    coil_arena_init(&my->self.arena, 1 << 16);
    defer(coil_arena_fini(&my->self.arena));
    await(my->rc, cross_SecondService_secondtestString(channel,
                          (cross_SecondService_secondtestString_arguments){
                                  .thing = coil_thrift_text_of("2nd")},
                          &my->self.arena, &my->result));
    expect(&my->self, my->rc == 0 && coil_thrift_text_is(my->result.success, "testString(\"2nd\")"),
            "secondtestString");
    return my->self.failures;
}
