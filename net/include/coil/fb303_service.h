/* SPDX-License-Identifier: MIT */
/*
 * coil/fb303_service.h - fb303 served and asked: what a service says about itself.
 *
 *     coil_fb303_service fb303;
 *     coil_fb303_service_init(&fb303, "publisher", "1.0");
 *     coil_thrift_service *services[] = {&mine, &fb303.thrift};
 *     ... serve them; meanwhile, for instance, fb303.status = COIL_FB303_STOPPING ...
 *     coil_fb303_service_fini(&fb303);
 *
 * and on the other side
 *
 *     coil_attempt(my->status, coil_within(coil_s(2), coil_fb303_get_status(my->client)));
 *
 * The thirteen methods answer as those of Apache's FacebookBase do: a counter or an option that
 * nobody has set is 0 or empty, there is no CPU profile, and setOption, which has no exception of
 * its own, fails with an INTERNAL_ERROR when the table is full. What a peer can store is bounded.
 *
 * Nothing here is thread safe: on the thread of the loop that serves.
 */
#ifndef COIL_FB303_SERVICE_H
#define COIL_FB303_SERVICE_H

#include <coil/fb303.h>
#include <coil/thrift_client.h>
#include <coil/thrift_server.h>

COIL_BEGIN_DECLS

enum {
    COIL_FB303_COUNTER_COUNT_MAX = 256,
    COIL_FB303_OPTION_COUNT_MAX = 64,
    COIL_FB303_TEXT_BYTES_MAX = 4096, /* Of a name, and of the value of an option. */
};

typedef struct coil_fb303_service coil_fb303_service;

/* Private: counters or options, in the order in which they were first set. */
typedef struct coil_fb303_table {
    coil_fb303_pair *pairs;
    char **strings; /* The memory of a pair: its name, and behind it its text. */
    uint32_t count;
    uint32_t count_max;
} coil_fb303_table;

struct coil_fb303_service {
    coil_thrift_service thrift;    /* What a server is given. Named "FacebookService". */
    enum coil_fb303_status status; /* Set it at any time; ALIVE after init. */
    const char *status_details;    /* For humans; "" after init. Borrowed. */

    /*
     * Hooks, or NULL: a peer asks for it. Both calls are oneway. Called from the connection's task;
     * they must not free the service.
     */
    void (*shutdown)(coil_fb303_service *service);
    void (*reinitialize)(coil_fb303_service *service);

    /*
     * The numbers of this server are given as counters, too: thrift.connections,
     * thrift.open_connections, thrift.calls, thrift.exceptions, thrift.protocol_errors. Or NULL.
     */
    const coil_thrift_server *server;

    /* Private. */
    const char *name;
    const char *version;
    int64_t alive_since_s;
    coil_fb303_table counters;
    coil_fb303_table options;
    coil_thrift_method methods[COIL_FB303_METHOD_COUNT];
};

/* Borrows the strings. The service is alive since now. It must stay where it is. */
COIL_API void coil_fb303_service_init(
        coil_fb303_service *service, const char *name, const char *version);

/* Release the counters and options. No server may be serving it. Fine on NULL, on zeros, twice. */
COIL_API void coil_fb303_service_fini(coil_fb303_service *service);

/*
 * Add to a counter, which stops at the ends of int64_t, or set it; it comes into being with that.
 * -ENOSPC there are COIL_FB303_COUNTER_COUNT_MAX, or the name is too long; -ENOMEM.
 */
COIL_API int coil_fb303_service_count(
        coil_fb303_service *service, const char *counter, int64_t delta);
COIL_API int coil_fb303_service_set_counter(
        coil_fb303_service *service, const char *counter, int64_t value);

/* The value of a counter. -ENOENT: nobody has set it. */
COIL_API int coil_fb303_service_counter(
        const coil_fb303_service *service, const char *counter, int64_t *out_value);

/* Set an option, as setOption does. -ENOSPC too many of them, or too long; -ENOMEM. */
COIL_API int coil_fb303_service_set_option(
        coil_fb303_service *service, const char *option, const char *value);

/* The value of an option, good until it is set again; NULL if nobody has set it. */
COIL_API const char *coil_fb303_service_option(
        const coil_fb303_service *service, const char *option);

/*
 * Call any method of fb303. The texts of the result are good until the client's next call. A oneway
 * method has no result: `out_result` is empty then. The errors of coil_thrift_client_call(), and
 * -ENOMSG a reply without the result.
 */
coil_declare(int, coil_fb303_ask, (coil_thrift_client *) client, (const coil_fb303_call *) call,
        (coil_fb303_result *) out_result);

/* The status of a service: not negative, but maybe none of ours. Errors as above. */
coil_declare(int, coil_fb303_get_status, (coil_thrift_client *) client);

COIL_END_DECLS

#endif
