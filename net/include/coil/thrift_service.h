/* SPDX-License-Identifier: MIT */
/*
 * coil/thrift_service.h - what generated code says of services, and how calls of their methods go
 * out, whatever carries them.
 *
 * coil-thrift turns `service Shop` into a schema of its methods, a coroutine for each to call it,
 * and a table of handlers to serve it (coil/thrift_server.h):
 *
 *     shop_Shop_buy_result result;
 *     coil_attempt(shop_Shop_buy(channel, (shop_Shop_buy_arguments){.item = 7}, &arena, &result));
 *
 * All that the coroutine knows is the method's schema. It fills in an invocation, and gives that to
 * a channel: one connection, a pool of them, one of several servers, or any of these behind
 * retries. Channels are stacked; each sees every invocation on its way out and its outcome.
 *
 * Schemas are constant: any thread. The rest is on the loop's thread only.
 */
#ifndef COIL_THRIFT_SERVICE_H
#define COIL_THRIFT_SERVICE_H

#include <coil/coro.h>
#include <coil/thrift_headers.h>
#include <coil/thrift_schema.h>
#include <coil/time.h>

COIL_BEGIN_DECLS

typedef struct coil_thrift_method_schema coil_thrift_method_schema;
typedef struct coil_thrift_service_schema coil_thrift_service_schema;
typedef struct coil_thrift_invocation coil_thrift_invocation;
typedef struct coil_thrift_channel coil_thrift_channel;

/*
 * A method. Arguments and result are structs that the wire has and the interface does not name. The
 * result's field 0 is `success`, which a void method lacks; its other fields are the exceptions
 * that the method declares.
 */
struct coil_thrift_method_schema {
    const char *name;
    const coil_thrift_struct_schema *arguments;
    const coil_thrift_struct_schema *result; /* NULL: oneway. */
    bool is_oneway;
    bool is_idempotent; /* (idempotent) in the interface: may be tried again, or twice at once. */

    /* In memory, what a generated handler takes: the call, its arguments, its result. */
    uint32_t call_bytes;
    uint32_t arguments_offset;
    uint32_t result_offset;
};

struct coil_thrift_service_schema {
    const char *name;                         /* "Shop" */
    const coil_thrift_service_schema *parent; /* What it extends; NULL. */
    const coil_thrift_method_schema *methods; /* Its own, in the order of the interface. */
    uint32_t method_count;
};

/* The method of that name, of the service or what it extends; NULL. */
COIL_API const coil_thrift_method_schema *coil_thrift_find_method(
        const coil_thrift_service_schema *schema, coil_thrift_text name);

/* One call on its way. Lives until coil_thrift_invoke() returns. */
struct coil_thrift_invocation {
    const coil_thrift_method_schema *method;
    const void *arguments; /* Of method->arguments; NULL: all defaults. */
    coil_arena *arena;     /* What the result needs besides itself, texts included. Not owned. */
    void *result;          /* Of method->result; NULL: nobody wants it. */

    /* Zero is the usual choice. */

    coil_duration timeout;             /* 0: the channel's for this method. Then -ETIME. */
    const char *service;               /* Stands before the method: multiplexed. NULL: no. */
    const coil_thrift_header *headers; /* Dropped where the transport has no place for them. */
    uint32_t header_count;

    /* After -EREMOTEIO, unless the result has an exception: what the server said, in the arena. */
    coil_thrift_exception exception;

    /* After an error: some of it may have reached the server. Else it was not carried out. */
    bool was_sent;

    /* Private. */
    coil_thrift_channel *channel; /* Who has it. */
    uint32_t via;                 /* The connection of a pool that it has taken; 0: none, */
    uint32_t avoid;               /* and one that it does not take if there is another. */
};

/*
 * Embed it in what carries calls. `invoke` is a coroutine `int invoke(coil_thrift_invocation *)`,
 * which finds its channel in invocation->channel.
 */
struct coil_thrift_channel {
    coil_handler invoke;
};

/*
 * Send a call and await its result. 0: invocation->result has been filled in, or it was a oneway
 * call and has been sent. Else
 *
 *     -EREMOTEIO  the server answered with an exception. One that the method declares is in the
 *                 result, and its bit in `has` is set; any other is in invocation->exception
 *     -ENOMSG     the reply has neither a result nor an exception; or it is empty: what
 *                 HTTP brings when the handler has called coil_thrift_no_reply()
 *     -ETIME      the timeout is over
 *     -EBADMSG, -EMSGSIZE, -ELOOP, -ENODATA, -ENOBUFS, -ENOMEM
 *                 the reply is malformed, or above a limit; or the arguments are
 *
 * or what the channel says of its connections. Cancellation reaches whatever is waited for; a reply
 * that comes later is dropped.
 */
coil_declare(int, coil_thrift_invoke, (coil_thrift_channel *) channel,
        (coil_thrift_invocation *) invocation);

/*
 * A channel to one of several services behind one port: the server is told which by its name, in
 * front of the method's ("Shop:buy", TMultiplexedProtocol elsewhere). A server of Coil needs no
 * such name unless two services have methods of one name.
 */
typedef struct coil_thrift_multiplexed {
    coil_thrift_channel channel;
    coil_thrift_channel *next;
    const char *service;
} coil_thrift_multiplexed;

/* `next` and `service` have to stay. There is nothing to undo. */
COIL_API void coil_thrift_multiplex(
        coil_thrift_multiplexed *multiplexed, coil_thrift_channel *next, const char *service);

/*
 * The exception in a result, as the field that is set, for channels and servers, which do not know
 * the types; of several the one with the lowest number. NULL: there is none.
 */
COIL_API const coil_thrift_field_schema *coil_thrift_declared_exception(
        const coil_thrift_method_schema *method, const void *result);

COIL_END_DECLS

#endif
