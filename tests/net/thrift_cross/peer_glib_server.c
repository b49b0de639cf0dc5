/* SPDX-License-Identifier: MIT */
/* ThriftTest, served by Apache Thrift's C library on GLib. */
#include "peer_glib.h"

#include "gen-c_glib/t_test_second_service.h"
#include "gen-c_glib/t_test_thrift_test.h"

#include <thrift/c_glib/processor/thrift_multiplexed_processor.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol_factory.h>
#include <thrift/c_glib/protocol/thrift_compact_protocol_factory.h>
#include <thrift/c_glib/server/thrift_simple_server.h>
#include <thrift/c_glib/transport/thrift_buffered_transport_factory.h>
#include <thrift/c_glib/transport/thrift_framed_transport_factory.h>
#include <thrift/c_glib/transport/thrift_server_socket.h>
#include <thrift/c_glib/transport/thrift_zlib_transport_factory.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void serve(const options *it)
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
