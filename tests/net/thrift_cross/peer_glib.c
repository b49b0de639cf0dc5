/* SPDX-License-Identifier: MIT */
/*
 * ThriftTest by Apache Thrift's C library on GLib, as a client or as a server:
 *
 *     cross_peer_glib client|server HOST PORT|PATH TRANSPORT PROTOCOL [multiplexed] [ssl=DIRECTORY]
 *     [zlib]
 *
 * TRANSPORT is buffered or framed, PROTOCOL binary or compact; more the library does not have, nor
 * a server with TLS. A client calls everything once and exits with 0 if all results are right. A
 * server says its port on a line of its own and serves until it is killed.
 */
#include "gen-c_glib/t_test_second_service.h"
#include "gen-c_glib/t_test_thrift_test.h"

#include <thrift/c_glib/processor/thrift_multiplexed_processor.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol_factory.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol_factory.h>
#include <thrift/c_glib/protocol/thrift_multiplexed_protocol.h>
#include <thrift/c_glib/server/thrift_simple_server.h>
#include <thrift/c_glib/transport/thrift_buffered_transport.h>
#include <thrift/c_glib/transport/thrift_buffered_transport_factory.h>
#include <thrift/c_glib/transport/thrift_framed_transport.h>
#include <thrift/c_glib/transport/thrift_framed_transport_factory.h>
#include <thrift/c_glib/transport/thrift_server_socket.h>
#include <thrift/c_glib/transport/thrift_socket.h>
#include <thrift/c_glib/transport/thrift_ssl_socket.h>
#include <thrift/c_glib/transport/thrift_zlib_transport.h>
#include <thrift/c_glib/transport/thrift_zlib_transport_factory.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *role, *host, *place, *transport, *protocol;
    const char *keys; /* NULL: without TLS. */
    gboolean is_multiplexed, is_zlib;
} options;

static options read_options(int argc, char **argv)
{
    options it = {0};

    if (argc < 6) {
        fputs("usage: see the head of peer_glib.c\n", stderr);
        exit(2);
    }
    it.role = argv[1];
    it.host = argv[2];
    it.place = argv[3];
    it.transport = argv[4];
    it.protocol = argv[5];
    for (int i = 6; i < argc; i++) {
        it.is_multiplexed |= strcmp(argv[i], "multiplexed") == 0;
        it.is_zlib |= strcmp(argv[i], "zlib") == 0;
        if (strncmp(argv[i], "ssl=", 4) == 0)
            it.keys = argv[i] + 4;
    }
    return it;
}

static gboolean is_path(const options *it)
{
    return it->place[strspn(it->place, "0123456789")] != '\0';
}

static void die_of(GError *error, const char *what)
{
    if (error == NULL)
        return;
    fprintf(stderr, "cross_peer_glib: %s: %s\n", what, error->message);
    exit(1);
}

/* ---------------------------------------------------------------------------------- client -- */

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

static TTestXtruct *xtruct(const char *text, int i8, int i32, gint64 i64)
{
    return g_object_new(T_TEST_TYPE_XTRUCT, "string_thing", text, "byte_thing", i8, "i32_thing",
            i32, "i64_thing", i64, NULL);
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
static gpointer boxed_i32(gint32 number)
{
    return g_memdup2(&number, sizeof(number));
}

static gpointer boxed_i64(gint64 number)
{
    return g_memdup2(&number, sizeof(number));
}

static GHashTable *new_i32_map(void)
{
    return g_hash_table_new_full(g_int_hash, g_int_equal, g_free, g_free);
}

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

static int call_everything(const options *it)
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

/* ---------------------------------------------------------------------------------- server -- */

static gboolean test_void(TTestThriftTestIf *self, GError **error)
{
    return TRUE;
}

#define DEFINE_ECHO(method, type, copied)                                                         \
    static gboolean method(TTestThriftTestIf *self, type *back, const type thing, GError **error) \
    {                                                                                             \
        *back = copied;                                                                           \
        return TRUE;                                                                              \
    }

/* `back` is NULL, or an empty one of the library's. */
#define DEFINE_OBJECT_ECHO(method, type, take, give_back)                            \
    static gboolean method(                                                          \
            TTestThriftTestIf *self, type **back, const type *thing, GError **error) \
    {                                                                                \
        if (*back != NULL)                                                           \
            give_back(*back);                                                        \
        *back = take((type *)thing);                                                 \
        return TRUE;                                                                 \
    }

DEFINE_ECHO(test_bool, gboolean, thing)
DEFINE_ECHO(test_byte, gint8, thing)
DEFINE_ECHO(test_i32, gint32, thing)
DEFINE_ECHO(test_i64, gint64, thing)
DEFINE_ECHO(test_double, gdouble, thing)
DEFINE_ECHO(test_enum, TTestNumberz, thing)
DEFINE_ECHO(test_typedef, TTestUserId, thing)
DEFINE_OBJECT_ECHO(test_string, gchar, g_strdup, g_free)
DEFINE_OBJECT_ECHO(test_binary, GByteArray, g_byte_array_ref, g_byte_array_unref)
DEFINE_OBJECT_ECHO(test_struct, TTestXtruct, g_object_ref, g_object_unref)
DEFINE_OBJECT_ECHO(test_nest, TTestXtruct2, g_object_ref, g_object_unref)
DEFINE_OBJECT_ECHO(test_map, GHashTable, g_hash_table_ref, g_hash_table_unref)
DEFINE_OBJECT_ECHO(test_string_map, GHashTable, g_hash_table_ref, g_hash_table_unref)
DEFINE_OBJECT_ECHO(test_set, GHashTable, g_hash_table_ref, g_hash_table_unref)
DEFINE_OBJECT_ECHO(test_list, GArray, g_array_ref, g_array_unref)

static gboolean test_map_map(
        TTestThriftTestIf *self, GHashTable **back, gint32 hello, GError **error)
{
    for (gint32 sign = -1; sign <= 1; sign += 2) {
        GHashTable *inner = new_i32_map();
        for (gint32 i = 1; i <= 4; i++)
            g_hash_table_insert(inner, boxed_i32(sign * i), boxed_i32(sign * i));
        g_hash_table_insert(*back, boxed_i32(sign * 4), inner);
    }
    return TRUE;
}

static gboolean test_insanity(
        TTestThriftTestIf *self, GHashTable **back, const TTestInsanity *argument, GError **error)
{
    GHashTable *first = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_object_unref);
    GHashTable *second = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_object_unref);

    g_hash_table_insert(
            first, GINT_TO_POINTER(T_TEST_NUMBERZ_TWO), g_object_ref((gpointer)argument));
    g_hash_table_insert(
            first, GINT_TO_POINTER(T_TEST_NUMBERZ_THREE), g_object_ref((gpointer)argument));
    g_hash_table_insert(
            second, GINT_TO_POINTER(T_TEST_NUMBERZ_SIX), g_object_new(T_TEST_TYPE_INSANITY, NULL));
    g_hash_table_insert(*back, boxed_i64(1), first);
    g_hash_table_insert(*back, boxed_i64(2), second);
    return TRUE;
}

static gboolean test_multi(TTestThriftTestIf *self, TTestXtruct **back, gint8 arg0, gint32 arg1,
        gint64 arg2, const GHashTable *arg3, TTestNumberz arg4, TTestUserId arg5, GError **error)
{
    *back = xtruct("Hello2", arg0, arg1, arg2);
    return TRUE;
}

static gboolean be_raised(TTestXception **back, const char *message)
{
    *back = g_object_new(T_TEST_TYPE_XCEPTION, "errorCode", 1001, "message", message, NULL);
    return FALSE;
}

static gboolean test_exception(
        TTestThriftTestIf *self, const gchar *arg, TTestXception **err1, GError **error)
{
    if (strcmp(arg, "Xception") == 0)
        return be_raised(err1, arg);
    if (strcmp(arg, "TException") != 0)
        return TRUE;
    g_set_error(error, g_quark_from_static_string("cross"), 0, "what nobody has declared");
    return FALSE;
}

static gboolean test_multi_exception(TTestThriftTestIf *self, TTestXtruct **back, const gchar *arg0,
        const gchar *arg1, TTestXception **err1, TTestXception2 **err2, GError **error)
{
    if (strcmp(arg0, "Xception") == 0)
        return be_raised(err1, "This is an Xception");
    if (strcmp(arg0, "Xception2") == 0) {
        *err2 = g_object_new(T_TEST_TYPE_XCEPTION2, "errorCode", 2002, "struct_thing",
                xtruct("This is an Xception2", 0, 0, 0), NULL);
        return FALSE;
    }
    *back = xtruct(arg1, 0, 0, 0);
    return TRUE;
}

static gboolean test_oneway(TTestThriftTestIf *self, gint32 seconds, GError **error)
{
    return TRUE;
}

static gboolean secondtest_string(
        TTestSecondServiceIf *self, gchar **back, const gchar *thing, GError **error)
{
    *back = g_strdup_printf("testString(\"%s\")", thing);
    return TRUE;
}

/* The methods of the generated class are ours, so that there need not be another one below it. */
static ThriftProcessor *make_first_processor(void)
{
    TTestThriftTestHandlerClass *methods = g_type_class_ref(T_TEST_TYPE_THRIFT_TEST_HANDLER);

#define HAVE(method) methods->method = method
    HAVE(test_void), HAVE(test_string), HAVE(test_bool), HAVE(test_byte), HAVE(test_i32);
    HAVE(test_i64), HAVE(test_double), HAVE(test_binary), HAVE(test_struct), HAVE(test_nest);
    HAVE(test_map), HAVE(test_string_map), HAVE(test_set), HAVE(test_list), HAVE(test_enum);
    HAVE(test_typedef), HAVE(test_map_map), HAVE(test_insanity), HAVE(test_multi);
    HAVE(test_exception), HAVE(test_multi_exception), HAVE(test_oneway);
#undef HAVE
    return g_object_new(T_TEST_TYPE_THRIFT_TEST_PROCESSOR, "handler",
            g_object_new(T_TEST_TYPE_THRIFT_TEST_HANDLER, NULL), NULL);
}

static ThriftProcessor *make_second_processor(void)
{
    TTestSecondServiceHandlerClass *methods = g_type_class_ref(T_TEST_TYPE_SECOND_SERVICE_HANDLER);

    methods->secondtest_string = secondtest_string;
    return g_object_new(T_TEST_TYPE_SECOND_SERVICE_PROCESSOR, "handler",
            g_object_new(T_TEST_TYPE_SECOND_SERVICE_HANDLER, NULL), NULL);
}

static ThriftProcessor *make_processor(const options *it)
{
    GError *error = NULL;

    if (!it->is_multiplexed)
        return make_first_processor();
    ThriftProcessor *both =
            g_object_new(THRIFT_TYPE_MULTIPLEXED_PROCESSOR, "default", "ThriftTest", NULL);
    thrift_multiplexed_processor_register_processor(
            both, "ThriftTest", make_first_processor(), &error);
    thrift_multiplexed_processor_register_processor(
            both, "SecondService", make_second_processor(), &error);
    die_of(error, "multiplexing");
    return both;
}

static gboolean (*listen_of_library)(ThriftServerTransport *, GError **);

/* The server listens when it begins to serve, and then does not return. */
static gboolean listen_and_say(ThriftServerTransport *transport, GError **error)
{
    struct sockaddr_in at = {0};
    socklen_t size = sizeof(at);

    if (!listen_of_library(transport, error))
        return FALSE;
    (void)getsockname(THRIFT_SERVER_SOCKET(transport)->sd, (struct sockaddr *)&at, &size);
    printf("%d\n", at.sin_family == AF_INET ? ntohs(at.sin_port) : 0);
    fflush(stdout);
    return TRUE;
}

static void serve(const options *it)
{
    const gboolean is_framed = strcmp(it->transport, "framed") == 0;
    const gboolean is_compact = strcmp(it->protocol, "compact") == 0;
    GError *error = NULL;

    gpointer listener = is_path(it)
                                ? g_object_new(THRIFT_TYPE_SERVER_SOCKET, "path", it->place, NULL)
                                : g_object_new(THRIFT_TYPE_SERVER_SOCKET, "port", 0, NULL);
    ThriftServerTransportClass *class = THRIFT_SERVER_TRANSPORT_GET_CLASS(listener);
    listen_of_library = class->listen;
    class->listen = listen_and_say;
    gpointer transports = g_object_new(is_framed ? THRIFT_TYPE_FRAMED_TRANSPORT_FACTORY
                                                 : THRIFT_TYPE_BUFFERED_TRANSPORT_FACTORY,
            NULL);
    if (it->is_zlib)
        transports = g_object_new(THRIFT_TYPE_ZLIB_TRANSPORT_FACTORY, NULL);
    gpointer protocols = g_object_new(
            is_compact ? THRIFT_TYPE_COMPACT_PROTOCOL_FACTORY : THRIFT_TYPE_BINARY_PROTOCOL_FACTORY,
            NULL);
    ThriftServer *server = g_object_new(THRIFT_TYPE_SIMPLE_SERVER, "processor", make_processor(it),
            "server_transport", listener, "input_transport_factory", transports,
            "output_transport_factory", transports, "input_protocol_factory", protocols,
            "output_protocol_factory", protocols, NULL);
    thrift_server_serve(server, &error);
    die_of(error, "serving");
}

int main(int argc, char **argv)
{
    const options it = read_options(argc, argv);

    if (strcmp(it.role, "client") == 0)
        return call_everything(&it);
    serve(&it);
    return 0;
}
