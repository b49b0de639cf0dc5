/* SPDX-License-Identifier: MIT */
/* Everything is called by Apache Thrift's C library on GLib, once, and each result looked at. */
#include "peer_glib.h"

#include "gen-c_glib/t_test_second_service.h"
#include "gen-c_glib/t_test_thrift_test.h"

#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol.h>
#include <thrift/c_glib/protocol/thrift_multiplexed_protocol.h>
#include <thrift/c_glib/transport/thrift_buffered_transport.h>
#include <thrift/c_glib/transport/thrift_framed_transport.h>
#include <thrift/c_glib/transport/thrift_socket.h>
#include <thrift/c_glib/transport/thrift_ssl_socket.h>
#include <thrift/c_glib/transport/thrift_zlib_transport.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ThriftTransport *open_socket(const options *it)
{
    GError *error = NULL;

    if (it->keys != NULL) {
        char *authority = g_strdup_printf("%s/CA.pem", it->keys);
        thrift_ssl_socket_initialize_openssl();
        ThriftSSLSocket *socket = thrift_ssl_socket_new_with_host(
                SSLTLS, (gchar *)it->host, (guint)atoi(it->place), &error);
        die_of(error, "TLS");
        if (!thrift_ssl_load_cert_from_file(socket, authority))
            exit(1);
        return THRIFT_TRANSPORT(socket);
    }
    if (is_path(it))
        return g_object_new(THRIFT_TYPE_SOCKET, "path", it->place, NULL);
    return g_object_new(
            THRIFT_TYPE_SOCKET, "hostname", it->host, "port", (guint)atoi(it->place), NULL);
}

static ThriftProtocol *open_protocol(const options *it)
{
    const gboolean is_framed = strcmp(it->transport, "framed") == 0;
    const gboolean is_compact = strcmp(it->protocol, "compact") == 0;
    GError *error = NULL;

    ThriftTransport *transport =
            g_object_new(is_framed ? THRIFT_TYPE_FRAMED_TRANSPORT : THRIFT_TYPE_BUFFERED_TRANSPORT,
                    "transport", open_socket(it), NULL);
    if (it->is_zlib)
        transport = g_object_new(THRIFT_TYPE_ZLIB_TRANSPORT, "transport", transport, NULL);
    thrift_transport_open(transport, &error);
    die_of(error, "connecting");
    return g_object_new(is_compact ? THRIFT_TYPE_COMPACT_PROTOCOL : THRIFT_TYPE_BINARY_PROTOCOL,
            "transport", transport, NULL);
}

static ThriftProtocol *named(const options *it, ThriftProtocol *protocol, const char *service)
{
    if (!it->is_multiplexed)
        return protocol;
    return g_object_new(THRIFT_TYPE_MULTIPLEXED_PROTOCOL, "transport", protocol->transport,
            "protocol", protocol, "service-name", service, NULL);
}

static TTestThriftTestIf *caller;
static GError *failure;
static int failures;

static void expect(gboolean is_right, const char *what)
{
    if (is_right && failure == NULL)
        return;
    fprintf(stderr, "cross_peer_glib: %s: %s\n", what,
            failure == NULL ? "not what was expected" : failure->message);
    g_clear_error(&failure);
    failures++;
}

#define CALL(method, ...) t_test_thrift_test_client_##method(caller, ##__VA_ARGS__, &failure)

/* It comes back as it went. */
#define EXPECT_ECHO(method, type, value)                                        \
    do {                                                                        \
        type back = 0;                                                          \
        expect(CALL(method, &back, (value)) && back == (type)(value), #method); \
    } while (0)

static void call_with_scalars(void)
{
    static const gint64 numbers[] = {0, 1, -1, 127, -128, 32767, -32768, G_MAXINT32, G_MININT32,
            4294967296, G_MAXINT64, G_MININT64};
    static const double doubles[] = {0.0, -1.0, -5.2098523, -0.000341012439638598279,
            9007199254740991.0, 1e307, 1e-292, 0.1};

    expect(CALL(test_void), "test_void");
    EXPECT_ECHO(test_bool, gboolean, TRUE);
    EXPECT_ECHO(test_bool, gboolean, FALSE);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        EXPECT_ECHO(test_byte, gint8, (gint8)numbers[i]);
        EXPECT_ECHO(test_i32, gint32, (gint32)numbers[i]);
        EXPECT_ECHO(test_i64, gint64, numbers[i]);
        EXPECT_ECHO(test_typedef, TTestUserId, numbers[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(doubles); i++)
        EXPECT_ECHO(test_double, gdouble, doubles[i]);
    EXPECT_ECHO(test_enum, TTestNumberz, T_TEST_NUMBERZ_FIVE);
}

static void call_with_texts(void)
{
    static const char *const texts[] = {"", "Test", "quote \" backslash \\ slash / \b\f\n\r\t",
            "Ελληνικά, עברית, العربية, 中文, 日本語, 한국어, 😀🎉𝄞"};
    static const size_t sizes[] = {0, 1, 2, 4, 6, 16, 33, 255, 1024, 65537, 131072};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        gchar *back = NULL;
        expect(CALL(test_string, &back, texts[i]) && strcmp(back, texts[i]) == 0, "test_string");
        g_free(back);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        GByteArray *bytes = g_byte_array_new();
        GByteArray *back = NULL;
        g_byte_array_set_size(bytes, (guint)sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            bytes->data[k] = (guint8)k;
        expect(CALL(test_binary, &back, bytes) && back->len == sizes[i] &&
                        (sizes[i] == 0 || memcmp(back->data, bytes->data, sizes[i]) == 0),
                "test_binary");
        g_byte_array_unref(bytes);
        if (back != NULL)
            g_byte_array_unref(back);
    }
}

static gboolean is_xtruct(const TTestXtruct *it, const char *text, int i8, int i32, gint64 i64)
{
    return g_strcmp0(it->string_thing, text) == 0 && it->byte_thing == i8 && it->i32_thing == i32 &&
           it->i64_thing == i64;
}

static void call_with_structs(void)
{
    TTestXtruct *back = g_object_new(T_TEST_TYPE_XTRUCT, NULL);
    TTestXtruct2 *nest = g_object_new(T_TEST_TYPE_XTRUCT2, NULL);
    TTestXtruct *some = xtruct("Zero", 1, -3, -5);
    GHashTable *map = g_hash_table_new_full(g_int_hash, g_int_equal, g_free, g_free);

    expect(CALL(test_struct, &back, some) && is_xtruct(back, "Zero", 1, -3, -5), "test_struct");
    TTestXtruct2 *outer = g_object_new(
            T_TEST_TYPE_XTRUCT2, "byte_thing", 1, "struct_thing", some, "i32_thing", 5, NULL);
    expect(CALL(test_nest, &nest, outer) && nest->byte_thing == 1 && nest->i32_thing == 5 &&
                    is_xtruct(nest->struct_thing, "Zero", 1, -3, -5),
            "test_nest");
    expect(CALL(test_multi, &back, 42, 4242, 424242, map, T_TEST_NUMBERZ_FIVE, 0xf0f0f0) &&
                    is_xtruct(back, "Hello2", 42, 4242, 424242),
            "test_multi");
}

/* Keys and values on the heap, as the generated code wants them. */
static void call_with_maps(void)
{
    GHashTable *map = new_i32_map();
    GHashTable *back = new_i32_map();
    GHashTable *words = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTable *words_back = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (gint32 i = 0; i < 5; i++)
        g_hash_table_insert(map, boxed_i32(i), boxed_i32(i - 10));
    expect(CALL(test_map, &back, map) && g_hash_table_size(back) == 5, "test_map");
    for (gint32 i = 0; i < 5; i++) {
        const gint32 *found = g_hash_table_lookup(back, &i);
        expect(found != NULL && *found == i - 10, "test_map");
    }
    g_hash_table_insert(words, "a", "2");
    g_hash_table_insert(words, "some", "thing");
    g_hash_table_insert(words, "", "\"\\");
    expect(CALL(test_string_map, &words_back, words) && g_hash_table_size(words_back) == 3 &&
                    g_strcmp0(g_hash_table_lookup(words_back, ""), "\"\\") == 0,
            "test_string_map");
    GHashTable *maps = g_hash_table_new_full(g_int_hash, g_int_equal, g_free, NULL);
    const gint32 four = 4;
    const gint32 minus_three = -3;
    const gint32 minus_four = -4;
    expect(CALL(test_map_map, &maps, 1) && g_hash_table_size(maps) == 2, "test_map_map");
    expect(g_hash_table_size(g_hash_table_lookup(maps, &four)) == 4, "test_map_map: 4");
    const gint32 *found = g_hash_table_lookup(g_hash_table_lookup(maps, &minus_four), &minus_three);
    expect(found != NULL && *found == -3, "test_map_map: -3");
}

static void call_with_lists(void)
{
    static const gint32 numbers[] = {1, 4, 9, -42};
    GArray *list = g_array_new(FALSE, FALSE, sizeof(gint32));
    GArray *back = g_array_new(FALSE, TRUE, sizeof(gint32));
    GHashTable *set = g_hash_table_new_full(g_int_hash, g_int_equal, g_free, NULL);
    GHashTable *set_back = g_hash_table_new_full(g_int_hash, g_int_equal, g_free, NULL);

    g_array_append_vals(list, numbers, G_N_ELEMENTS(numbers));
    expect(CALL(test_list, &back, list) && back->len == 4 &&
                    memcmp(back->data, numbers, sizeof(numbers)) == 0,
            "test_list");
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        g_hash_table_insert(set, boxed_i32(numbers[i]), GINT_TO_POINTER(1));
    expect(CALL(test_set, &set_back, set) && g_hash_table_size(set_back) == 4 &&
                    g_hash_table_contains(set_back, &numbers[3]),
            "test_set");
}

static gboolean is_argument(const TTestInsanity *it)
{
    const gint64 *eight = g_hash_table_lookup(it->userMap, GINT_TO_POINTER(T_TEST_NUMBERZ_EIGHT));
    return eight != NULL && *eight == 8 && it->xtructs->len == 1 &&
           is_xtruct(it->xtructs->pdata[0], "Hello2", 2, 2, 2);
}

static void call_insanity(void)
{
    TTestInsanity *argument = g_object_new(T_TEST_TYPE_INSANITY, NULL);
    GHashTable *users = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    const gint64 one = 1;
    const gint64 two = 2;

    argument->__isset_userMap = argument->__isset_xtructs = TRUE;
    g_hash_table_insert(argument->userMap, GINT_TO_POINTER(T_TEST_NUMBERZ_EIGHT), boxed_i64(8));
    g_ptr_array_add(argument->xtructs, xtruct("Hello2", 2, 2, 2));
    expect(CALL(test_insanity, &users, argument) && g_hash_table_size(users) == 2, "test_insanity");
    GHashTable *first = g_hash_table_lookup(users, &one);
    GHashTable *second = g_hash_table_lookup(users, &two);
    expect(first != NULL && second != NULL && g_hash_table_size(second) == 1,
            "test_insanity: users");
    expect(is_argument(g_hash_table_lookup(first, GINT_TO_POINTER(T_TEST_NUMBERZ_TWO))) &&
                    is_argument(g_hash_table_lookup(first, GINT_TO_POINTER(T_TEST_NUMBERZ_THREE))),
            "test_insanity: 1");
}

/* It is one that the method declares: the library says so twice. */
static void expect_raised(gboolean is_right, const char *what)
{
    g_clear_error(&failure);
    expect(is_right, what);
}

static void call_exceptions(void)
{
    TTestXtruct *back = g_object_new(T_TEST_TYPE_XTRUCT, NULL);
    TTestXception *first = NULL;
    TTestXception2 *second = NULL;

    expect_raised(!CALL(test_exception, "Xception", &first) && first != NULL &&
                          first->errorCode == 1001 && g_strcmp0(first->message, "Xception") == 0,
            "test_exception: Xception");
    g_clear_object(&first);
    expect_raised(!CALL(test_exception, "TException", &first) && first == NULL && failure != NULL,
            "test_exception: TException");
    expect(CALL(test_exception, "success", &first), "test_exception: success");
    expect_raised(!CALL(test_multi_exception, &back, "Xception", "1", &first, &second) &&
                          first != NULL && g_strcmp0(first->message, "This is an Xception") == 0,
            "test_multi_exception: Xception");
    g_clear_object(&first);
    expect_raised(
            !CALL(test_multi_exception, &back, "Xception2", "2", &first, &second) &&
                    second != NULL && second->errorCode == 2002 &&
                    g_strcmp0(second->struct_thing->string_thing, "This is an Xception2") == 0,
            "test_multi_exception: Xception2");
    g_clear_object(&second);
    expect(CALL(test_multi_exception, &back, "success", "3", &first, &second) &&
                    g_strcmp0(back->string_thing, "3") == 0,
            "test_multi_exception: success");
}

static void call_second_service(const options *it, ThriftProtocol *protocol)
{
    ThriftProtocol *second = named(it, protocol, "SecondService");
    gpointer client = g_object_new(T_TEST_TYPE_SECOND_SERVICE_CLIENT, "input_protocol", second,
            "output_protocol", second, NULL);
    gchar *back = NULL;

    expect(t_test_second_service_client_secondtest_string(client, &back, "2nd", &failure) &&
                    g_strcmp0(back, "testString(\"2nd\")") == 0,
            "secondtest_string");
}

int call_everything(const options *it)
{
    ThriftProtocol *protocol = open_protocol(it);
    ThriftProtocol *first = named(it, protocol, "ThriftTest");

    caller = g_object_new(T_TEST_TYPE_THRIFT_TEST_CLIENT, "input_protocol", first,
            "output_protocol", first, NULL);
    call_with_scalars();
    call_with_texts();
    call_with_structs();
    call_with_maps();
    call_with_lists();
    call_insanity();
    call_exceptions();
    expect(CALL(test_oneway, 0), "test_oneway");
    EXPECT_ECHO(test_i32, gint32, -1);
    if (it->is_multiplexed)
        call_second_service(it, protocol);
    return failures != 0;
}
