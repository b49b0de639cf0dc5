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
 * Everybody who knows fb303 is answered, whether he speaks of FacebookService or of BaseService:
 * all 19 methods are there under both names (with `&fb303.base` among the services, also for those
 * who name it: "BaseService:getCounters").
 *
 * The methods answer as those of Apache's FacebookBase do: a counter, an option or an exported
 * value that nobody has set is 0 or empty, there is no CPU profile, and setOption, which has no
 * exception of its own, fails with an INTERNAL_ERROR when the table is full. What a peer can store
 * is bounded, and so is what he can make us do:
 *
 *   - A pattern (getRegexCounters) has to match the whole name, as in facebook/fb303. It is of a
 *     subset of Perl's that needs no backtracking (groups, choices, sets, classes, counts), at most
 *     512 bytes and 1024 steps; one that is not fails with an INTERNAL_ERROR. The work of a call is
 *     bounded too, and is done in pieces of a fraction of a millisecond, between which other tasks
 *     run.
 *   - getSelectedCounters takes at most 1024 keys.
 *   - Of a connection, one answer with counters or exported values is made at a time, and not
 *     before it can leave. Behind a call that takes its time it waits; calls behind it are read
 *     meanwhile.
 *   - shutdown and reinitialize do nothing, unless you set a hook.
 *
 * Nothing here is thread safe: on the thread of the loop that serves.
 */
#ifndef COIL_FB303_SERVICE_H
#define COIL_FB303_SERVICE_H

#include <coil/fb303.h>
#include <coil/metrics.h>
#include <coil/thrift_client.h>
#include <coil/thrift_server.h>

COIL_BEGIN_DECLS

enum {
    COIL_FB303_COUNTER_COUNT_MAX = 256,
    COIL_FB303_OPTION_COUNT_MAX = 64,
    COIL_FB303_VALUE_COUNT_MAX = 256,
    COIL_FB303_KEY_COUNT_MAX = 1024,  /* In one call. */
    COIL_FB303_TEXT_BYTES_MAX = 4096, /* Of a name, and of the value of an option. */
};

typedef struct coil_fb303_service coil_fb303_service;

/* Private: counters, options or exported values, in the order in which they were first set. */
typedef struct coil_fb303_table {
    coil_fb303_pair *pairs;
    char **strings; /* The memory of a pair: its name, and behind it its text. */
    uint32_t count;
    uint32_t count_max;
} coil_fb303_table;

struct coil_fb303_service {
    coil_thrift_service thrift;    /* What a server is given. Named "FacebookService". */
    coil_thrift_service base;      /* The same, named "BaseService". */
    enum coil_fb303_status status; /* Set it at any time; ALIVE after init. */
    const char *status_details;    /* For humans; "" after init. Borrowed. */

    /*
     * Hooks: a peer asks for it. Both calls are oneway. Called from the connection's task; they
     * must not free the service. NULL, as after init: it is refused, and counted as an exception
     * of the server's.
     */
    void (*shutdown)(coil_fb303_service *service);
    void (*reinitialize)(coil_fb303_service *service);

    /*
     * The numbers of this server are given as counters, too: thrift.connections,
     * thrift.open_connections, thrift.calls, thrift.exceptions, thrift.protocol_errors. Or NULL.
     */
    const coil_thrift_server *server;

    /*
     * All values of these metrics are counters, too, by their flat names (coil/metrics_flat.h).
     * Borrowed. NULL: those that the server which is asked measures by default, if it does.
     */
    coil_metrics *metrics;

    /* Private. */
    const char *name;
    const char *version;
    int64_t alive_since_s;
    coil_fb303_table counters;
    coil_fb303_table options;
    coil_fb303_table values;
    coil_thrift_method methods[COIL_FB303_METHOD_COUNT];
    coil_thrift_method base_methods[COIL_FB303_METHOD_COUNT];
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

/* Set an option, as setOption does. -ENOSPC too many, or too long; -ENOMEM. */
COIL_API int coil_fb303_service_set_option(
        coil_fb303_service *service, const char *option, const char *value);

/* The value of an option, good until it is set again; NULL if nobody has set it. */
COIL_API const char *coil_fb303_service_option(
        const coil_fb303_service *service, const char *option);

/* Set an exported value: a text about the service. -ENOSPC too many, or too long; -ENOMEM. */
COIL_API int coil_fb303_service_set_value(
        coil_fb303_service *service, const char *name, const char *value);

/*
 * Call any method of fb303. The texts of the result are good until the client's next call. A oneway
 * method has no result: `out_result` is empty then. The errors of coil_thrift_client_call(), and
 * -ENOMSG a reply without the result.
 */
coil_declare(int, coil_fb303_ask, (coil_thrift_client *) client, (const coil_fb303_call *) call,
        (coil_fb303_result *) out_result);

/* The status of a service: not negative, but maybe none of ours. Errors as above. */
coil_declare(int, coil_fb303_get_status, (coil_thrift_client *) client);

/* The value of a counter, 0 for one that there is not. Errors as above. */
coil_declare(int, coil_fb303_get_counter, (coil_thrift_client *) client, (const char *) name,
        (int64_t *) out_value);

COIL_END_DECLS

#endif
