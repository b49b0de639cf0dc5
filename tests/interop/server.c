/* SPDX-License-Identifier: MIT */
/*
 * interop_server <address> - Interop (interop.thrift) and fb303, served by Coil. Says "port N" when
 * it listens; ends when a peer calls fb303's shutdown.
 */
#include "thrift_walk.h"

#include <coil/event.h>
#include <coil/fb303_service.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <coil/sugar.h>

enum { TOLD_MAX = 100, WORD_BYTES = 64 };

struct interop {
    coil_thrift_service thrift;
    coil_fb303_service fb303;
    coil_event stopped;
    uint32_t told_count;
    char told[TOLD_MAX][WORD_BYTES];
};

static struct interop *interop_of(const coil_thrift_call *call)
{
    return coil_container_of(call->service, struct interop, thrift);
}

/* Everything echo(1: Everything value): by the types on the wire. */
async(int, echo, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_field field;
    thrift_walk walk = {.reader = &call->arguments};

    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id != 1 || !coil_thrift_field_is(&call->arguments, COIL_THRIFT_STRUCT))
            continue;
        walk.writer = coil_thrift_reply(call);
        coil_thrift_write_field(walk.writer, COIL_THRIFT_STRUCT, 0);
        thrift_walk_value(&walk, COIL_THRIFT_STRUCT);
    }
    return walk.error;
}

struct scalars {
    bool yes;
    int8_t tiny;
    int16_t small;
    int32_t medium;
    int64_t large;
    double real;
    coil_thrift_text text;
    coil_thrift_text bytes;
    int32_t colour;
};

static void read_scalars(coil_thrift_reader *reader, struct scalars *scalars)
{
    coil_thrift_field field;

    while (coil_thrift_read_field(reader, &field)) {
        switch (field.id) {
        case 1:
            coil_thrift_get_bool(reader, &scalars->yes);
            break;
        case 2:
            coil_thrift_get_i8(reader, &scalars->tiny);
            break;
        case 3:
            coil_thrift_get_i16(reader, &scalars->small);
            break;
        case 4:
            coil_thrift_get_i32(reader, &scalars->medium);
            break;
        case 5:
            coil_thrift_get_i64(reader, &scalars->large);
            break;
        case 6:
            coil_thrift_get_double(reader, &scalars->real);
            break;
        case 7:
            coil_thrift_get_string(reader, &scalars->text);
            break;
        case 8:
            coil_thrift_get_string(reader, &scalars->bytes);
            break;
        case 9:
            coil_thrift_get_i32(reader, &scalars->colour);
            break;
        }
    }
}

/* string describe(1: Everything value) */
async(int, describe, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_field field;
    struct scalars scalars = {.text = {"", 0}};
    char words[400];

    while (coil_thrift_read_field(&call->arguments, &field)) {
        if (field.id == 1 && coil_thrift_get_struct(&call->arguments))
            read_scalars(&call->arguments, &scalars);
    }
    (void)snprintf(words, sizeof(words),
            "%s %d %d %" PRId32 " %" PRId64 " %.17g %.*s %" PRIu32 " bytes colour %" PRId32,
            scalars.yes ? "true" : "false", scalars.tiny, scalars.small, scalars.medium,
            scalars.large, scalars.real, (int)scalars.text.size, scalars.text.bytes,
            scalars.bytes.size, scalars.colour);
    coil_thrift_put_string(coil_thrift_reply(call), 0, coil_thrift_text_of(words));
    return 0;
}

/* i64 sum(1: list<i64> numbers, 2: set<i32> more, 3: map<string, i16> named) */
async(int, sum, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_reader *arguments = &call->arguments;
    coil_thrift_field field;
    uint32_t left;
    int64_t total = 0;

    while (coil_thrift_read_field(arguments, &field)) {
        if (field.id == 1 && coil_thrift_get_list(arguments, COIL_THRIFT_I64, &left)) {
            while (coil_thrift_read_element(arguments, &left))
                total += coil_thrift_read_i64(arguments);
        } else if (field.id == 2 && coil_thrift_get_set(arguments, COIL_THRIFT_I32, &left)) {
            while (coil_thrift_read_element(arguments, &left))
                total += coil_thrift_read_i32(arguments);
        } else if (field.id == 3 &&
                   coil_thrift_get_map(arguments, COIL_THRIFT_STRING, COIL_THRIFT_I16, &left)) {
            while (coil_thrift_read_element(arguments, &left)) {
                (void)coil_thrift_read_string(arguments);
                total += coil_thrift_read_i16(arguments);
            }
        }
    }
    coil_thrift_put_i64(coil_thrift_reply(call), 0, total);
    return 0;
}

static coil_thrift_text only_string(coil_thrift_reader *arguments)
{
    coil_thrift_text text = {"", 0};
    coil_thrift_field field;

    while (coil_thrift_read_field(arguments, &field)) {
        if (field.id == 1)
            coil_thrift_get_string(arguments, &text);
    }
    return text;
}

/* void check(1: string how) throws (1: Failure failure) */
async(int, check, (coil_thrift_call *) call)
{
    vars();
    coil_thrift_text how = only_string(&call->arguments);

    if (coil_thrift_text_is(how, "undeclared"))
        return -EIO;
    if (!coil_thrift_text_is(how, "declared"))
        return 0;
    coil_thrift_writer *reply = coil_thrift_reply(call);
    coil_thrift_put_struct(reply, 1);
    coil_thrift_put_i32(reply, 1, 1001);
    coil_thrift_put_string(reply, 2, how);
    coil_thrift_write_stop(reply);
    return 0;
}

/* oneway void tell(1: string word) */
async(int, tell, (coil_thrift_call *) call)
{
    vars();
    struct interop *interop = interop_of(call);
    coil_thrift_text word = only_string(&call->arguments);

    coil_thrift_no_reply(call);
    if (interop->told_count == TOLD_MAX || word.size >= WORD_BYTES)
        return -ENOSPC;
    (void)snprintf(
            interop->told[interop->told_count++], WORD_BYTES, "%.*s", (int)word.size, word.bytes);
    return 0;
}

/* list<string> told() */
async(int, told, (coil_thrift_call *) call)
{
    vars();
    struct interop *interop = interop_of(call);
    coil_thrift_writer *reply = coil_thrift_reply(call);

    coil_thrift_put_list(reply, 0, COIL_THRIFT_STRING, interop->told_count);
    for (uint32_t i = 0; i < interop->told_count; i++)
        coil_thrift_write_string(reply, coil_thrift_text_of(interop->told[i]));
    return 0;
}

static void shut_down(coil_fb303_service *fb303)
{
    coil_event_set(&coil_container_of(fb303, struct interop, fb303)->stopped);
}

async(int, serve, (struct interop *) interop, (const char *) address)
{
    vars(coil_listener *listener; coil_thrift_service *services[2]; coil_thrift_server server;
            coil_group group);

    int rc = coil_listen(address, NULL, &my->listener);
    if (rc < 0)
        return rc;
    defer(coil_listener_close(my->listener));
    printf("port %u\n", coil_address_port(coil_listener_address(my->listener)));
    (void)fflush(stdout);

    my->services[0] = &interop->thrift;
    my->services[1] = &interop->fb303.thrift;
    my->server.services = my->services;
    my->server.service_count = 2;
    interop->fb303.server = &my->server;
    open_group(&my->group);
    spawn(&my->group, coil_thrift_serve(my->listener, &my->server));
    await(coil_event_wait(&interop->stopped));
    return 0;
}

int main(int argc, char **argv)
{
    static const coil_thrift_method methods[] = {
            {"echo", coil_handler(echo, coil_thrift_call *), NULL},
            {"describe", coil_handler(describe, coil_thrift_call *), NULL},
            {"sum", coil_handler(sum, coil_thrift_call *), NULL},
            {"check", coil_handler(check, coil_thrift_call *), NULL},
            {"tell", coil_handler(tell, coil_thrift_call *), NULL},
            {"told", coil_handler(told, coil_thrift_call *), NULL},
    };
    static struct interop interop = {
            .thrift = {"Interop", methods, sizeof(methods) / sizeof(methods[0])}};

    if (argc != 2) {
        fprintf(stderr, "usage: %s <address>\n", argv[0]);
        return 2;
    }
    coil_event_init(&interop.stopped);
    coil_fb303_service_init(&interop.fb303, "interop", "1.0");
    interop.fb303.shutdown = shut_down;
    (void)coil_fb303_service_set_counter(&interop.fb303, "answers", 42);
    int rc = coil_run(serve(&interop, argv[1]));
    coil_fb303_service_fini(&interop.fb303);
    return rc < 0;
}
