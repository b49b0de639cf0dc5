/* SPDX-License-Identifier: MIT */
/*
 * cross_server - serves thrift_test.thrift as Apache Thrift's cross tests expect it, for clients
 * in other languages. It takes the options of Apache's test servers; protocol and transport are
 * told by what the clients send, whatever the options say.
 */
#include "cross_options.h"
#include "thrift_test_thrift.h"

#include <coil/coil.h>
#include <coil/thrift_server.h>
#ifdef CROSS_TLS
#include <coil/tls.h>
#endif

#include <inttypes.h>

#include <coil/sugar.h>

/* Give back the argument. */
#define ECHOES(method)                                           \
    async(int, method, (cross_ThriftTest_##method##_call *)call) \
    {                                                            \
        vars();                                                  \
        call->result.success = call->arguments.thing;            \
        return 0;                                                \
    }

ECHOES(testString)
ECHOES(testBool)
ECHOES(testByte)
ECHOES(testI32)
ECHOES(testI64)
ECHOES(testDouble)
ECHOES(testBinary)
ECHOES(testStruct)
ECHOES(testNest)
ECHOES(testMap)
ECHOES(testStringMap)
ECHOES(testSet)
ECHOES(testList)
ECHOES(testEnum)
ECHOES(testTypedef)

async(int, testVoid, (cross_ThriftTest_testVoid_call *) call)
{
    vars();
    (void)call;
    return 0;
}

/* {-4: {-4: -4, ...}, 4: {1: 1, ...}} */
async(int, testMapMap, (cross_ThriftTest_testMapMap_call *) call)
{
    vars();
    static coil_thrift_i32_to_coil_thrift_i32_map_item positive[] = {
            {1, 1}, {2, 2}, {3, 3}, {4, 4}};
    static coil_thrift_i32_to_coil_thrift_i32_map_item negative[] = {
            {-4, -4}, {-3, -3}, {-2, -2}, {-1, -1}};
    static coil_thrift_i32_to_coil_thrift_i32_to_coil_thrift_i32_map_map_item both[] = {
            {-4, {negative, 4}}, {4, {positive, 4}}};

    call->result.success.items = both;
    call->result.success.count = 2;
    return 0;
}

/* {1: {TWO: the argument, THREE: the argument}, 2: {SIX: an empty one}} */
async(int, testInsanity, (cross_ThriftTest_testInsanity_call *) call)
{
    vars();
    coil_arena *arena = call->context->arena;
    cross_Numberz_to_cross_Insanity_map_item *first = coil_arena_take(arena, 2 * sizeof(*first), 8);
    cross_Numberz_to_cross_Insanity_map_item *second = coil_arena_take(arena, sizeof(*second), 8);
    coil_thrift_i64_to_cross_Numberz_to_cross_Insanity_map_map_item *users =
            coil_arena_take(arena, 2 * sizeof(*users), 8);

    if (first == NULL || second == NULL || users == NULL)
        return -ENOMEM;
    first[0].key = cross_Numberz_TWO;
    first[1].key = cross_Numberz_THREE;
    first[0].value = first[1].value = call->arguments.argument;
    second->key = cross_Numberz_SIX;
    second->value = cross_Insanity_default;
    users[0].key = 1;
    users[0].value.items = first;
    users[0].value.count = 2;
    users[1].key = 2;
    users[1].value.items = second;
    users[1].value.count = 1;
    call->result.success.items = users;
    call->result.success.count = 2;
    return 0;
}

async(int, testMulti, (cross_ThriftTest_testMulti_call *) call)
{
    vars();
    call->result.success = (cross_Xtruct){
            .string_thing = coil_thrift_text_of("Hello2"),
            .byte_thing = call->arguments.arg0,
            .i32_thing = call->arguments.arg1,
            .i64_thing = call->arguments.arg2,
    };
    return 0;
}

async(int, testException, (cross_ThriftTest_testException_call *) call)
{
    vars();
    const coil_thrift_text wish = call->arguments.arg;

    if (coil_thrift_text_is(wish, "TException"))
        return -EREMOTEIO; /* What nobody has declared. */
    if (coil_thrift_text_is(wish, "Xception")) {
        call->result.err1 = (cross_Xception){.errorCode = 1001, .message = wish};
        call->result.has.err1 = 1;
    }
    return 0;
}

async(int, testMultiException, (cross_ThriftTest_testMultiException_call *) call)
{
    vars();
    const coil_thrift_text wish = call->arguments.arg0;

    if (coil_thrift_text_is(wish, "Xception")) {
        call->result.err1 = (cross_Xception){
                .errorCode = 1001, .message = coil_thrift_text_of("This is an Xception")};
        call->result.has.err1 = 1;
    } else if (coil_thrift_text_is(wish, "Xception2")) {
        call->result.err2 = (cross_Xception2){.errorCode = 2002,
                .struct_thing.string_thing = coil_thrift_text_of("This is an Xception2")};
        call->result.has.err2 = 1;
    } else {
        call->result.success.string_thing = call->arguments.arg1;
    }
    return 0;
}

async(int, testOneway, (cross_ThriftTest_testOneway_call *) call)
{
    vars();
    await(coil_sleep(coil_s(call->arguments.secondsToSleep)));
    return 0;
}

/* SecondService: testString("...") */
async(int, secondtestString, (cross_SecondService_secondtestString_call *) call)
{
    vars();
    const coil_thrift_text thing = call->arguments.thing;
    const uint32_t size = thing.size + (uint32_t)strlen("testString(\"\")");
    char *text = coil_arena_take(call->context->arena, (size_t)size + 1, 1);

    if (text == NULL)
        return -ENOMEM;
    (void)snprintf(text, (size_t)size + 1, "testString(\"%.*s\")", (int)thing.size, thing.bytes);
    call->result.success = (coil_thrift_text){text, size};
    return 0;
}

static const cross_ThriftTest_handlers first_handlers = {
        .testVoid = cross_ThriftTest_testVoid_handler(testVoid),
        .testString = cross_ThriftTest_testString_handler(testString),
        .testBool = cross_ThriftTest_testBool_handler(testBool),
        .testByte = cross_ThriftTest_testByte_handler(testByte),
        .testI32 = cross_ThriftTest_testI32_handler(testI32),
        .testI64 = cross_ThriftTest_testI64_handler(testI64),
        .testDouble = cross_ThriftTest_testDouble_handler(testDouble),
        .testBinary = cross_ThriftTest_testBinary_handler(testBinary),
        .testStruct = cross_ThriftTest_testStruct_handler(testStruct),
        .testNest = cross_ThriftTest_testNest_handler(testNest),
        .testMap = cross_ThriftTest_testMap_handler(testMap),
        .testStringMap = cross_ThriftTest_testStringMap_handler(testStringMap),
        .testSet = cross_ThriftTest_testSet_handler(testSet),
        .testList = cross_ThriftTest_testList_handler(testList),
        .testEnum = cross_ThriftTest_testEnum_handler(testEnum),
        .testTypedef = cross_ThriftTest_testTypedef_handler(testTypedef),
        .testMapMap = cross_ThriftTest_testMapMap_handler(testMapMap),
        .testInsanity = cross_ThriftTest_testInsanity_handler(testInsanity),
        .testMulti = cross_ThriftTest_testMulti_handler(testMulti),
        .testException = cross_ThriftTest_testException_handler(testException),
        .testMultiException = cross_ThriftTest_testMultiException_handler(testMultiException),
        .testOneway = cross_ThriftTest_testOneway_handler(testOneway),
};
static const cross_SecondService_handlers second_handlers = {
        .secondtestString = cross_SecondService_secondtestString_handler(secondtestString),
};

/* --------------------------------------------------------------------------------- serving -- */

typedef struct cross_server {
    coil_server server;
    coil_handover *handover; /* NULL: none. */
    coil_thrift_server thrift;
#ifdef CROSS_TLS
    coil_tls_context *tls; /* NULL: none. */
#endif
} cross_server;

#ifdef CROSS_TLS
async(int, secure, (coil_session *) session)
{
    vars(coil_tls_failure failure; int rc);
    const cross_server *self = coil_container_of(session->server, cross_server, server);

    if (self->tls == NULL)
        return 0;
    await(my->rc, within(coil_s(10), coil_tls_accept(&session->stream, self->tls, &my->failure)));
    if (my->rc < 0)
        fprintf(stderr, "cross_server: a handshake failed: %s\n", my->failure.text);
    return my->rc;
}
#endif

async(int, serve_session, (coil_session *) session)
{
    vars();

#ifdef CROSS_TLS
    attempt(secure(session));
#endif
    cross_server *self = coil_container_of(session->server, cross_server, server);
    attempt(coil_thrift_serve_session(session, &self->thrift));
    return 0;
}

/* From the predecessor, or a new one. */
async(int, take_over, (cross_server *) self, (const cross_options *) options)
{
    vars(char path[300]; char address[COIL_ADDRESS_TEXT_BYTES]; coil_listener *listener; int rc);

    (void)snprintf(my->path, sizeof(my->path), "unix:%s", options->handover_path);
    cross_address(options, "*", my->address, sizeof(my->address));
    attempt(coil_handover_open(my->path, &self->handover));
    my->rc = coil_handover_listen(self->handover, "thrift", my->address, NULL, &my->listener);
    if (my->rc < 0)
        return my->rc;
    coil_server_add(&self->server, my->listener);
    return 0;
}

async(int, step_down, (cross_server *) self)
{
    vars();

    attempt(coil_handover_ready(self->handover));
    attempt(coil_handover_requested(self->handover));
    coil_server_drain(&self->server, coil_s(10));
    return 0;
}

async(int, listen_there, (cross_server *) self, (const cross_options *) options)
{
    vars(char address[COIL_ADDRESS_TEXT_BYTES]; int rc);

    if (options->handover_path != NULL) {
        await(my->rc, take_over(self, options));
    } else {
        cross_address(options, "*", my->address, sizeof(my->address));
        my->rc = coil_server_listen(&self->server, my->address, NULL);
    }
    if (my->rc < 0) {
        fprintf(stderr, "cross_server: cannot listen: %s\n", coil_error_text(my->rc));
        return my->rc;
    }
    (void)coil_address_format(coil_server_address(&self->server, 0), my->address);
    printf("cross_server: at %s\n", my->address);
    fflush(stdout);
    return 0;
}

async(int, serve, (const cross_options *) options)
{
    vars(cross_server self; cross_ThriftTest first; cross_SecondService second;
            coil_thrift_service *services[2]; coil_group group);

    cross_ThriftTest_init(&my->first, &first_handlers);
    cross_SecondService_init(&my->second, &second_handlers);
    my->services[0] = &my->first.service;
    my->services[1] = &my->second.service;
    my->self.thrift.services = my->services;
    my->self.thrift.service_count = 2;
#ifdef CROSS_TLS
    if (options->ssl && cross_tls_server(options, &my->self.tls) < 0)
        return -EINVAL;
    defer(coil_tls_context_destroy(my->self.tls));
#endif
    coil_server_init(&my->self.server, coil_handler(serve_session, coil_session *));
    defer(coil_server_fini(&my->self.server));
    defer(coil_handover_close(my->self.handover));
    attempt(listen_there(&my->self, options));
    open_group(&my->group);
    if (my->self.handover != NULL)
        spawn(&my->group, step_down(&my->self));
    attempt(coil_server_serve(&my->self.server));
    return 0;
}

int main(int argc, char **argv)
{
    cross_options options;
    const int stop = cross_read_options(argc, argv, &options);

    return stop != 0 ? stop - 1 : coil_run(serve(&options)) < 0;
}
