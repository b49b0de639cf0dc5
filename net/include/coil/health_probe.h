/* SPDX-License-Identifier: MIT */
/*
 * coil/health_probe.h - ask a service over the network how it is: by TCP, HTTP and Thrift.
 *
 *     coil_network_probe probe;
 *     coil_fb303_probe_init(&probe, "127.0.0.1:9090");
 *     coil_await(my->health, coil_within(coil_s(2), coil_health_ask(&probe.probe)));
 *
 * or hand &probe.probe to a supervisor (coil/supervisor.h). Each question is a connection of its
 * own, closed whatever happens. What does not answer is an error, not a health; deadlines are the
 * asker's.
 */
#ifndef COIL_HEALTH_PROBE_H
#define COIL_HEALTH_PROBE_H

#include <coil/health.h>

COIL_BEGIN_DECLS

typedef struct coil_network_probe coil_network_probe;

enum { COIL_PROBE_ADDRESS_BYTES = 128 };

/*
 * The address is copied; with one that does not fit, all questions are -ENAMETOOLONG. The path is
 * borrowed.
 */
struct coil_network_probe {
    coil_health_probe probe;
    char address[COIL_PROBE_ADDRESS_BYTES]; /* As coil_connect() takes it. */
    const char *path;                       /* HTTP only. */
};

/* READY when a connection is accepted. Errors: of coil_connect(). */
COIL_API void coil_tcp_probe_init(coil_network_probe *probe, const char *address);

/*
 * GET `path` by HTTP/1.1. A status of 2xx and 3xx is READY, 429 WARNING, 503 STARTING, any other
 * DEAD. Errors: of coil_connect(), coil_write_all() and coil_read_until(), such as -EMSGSIZE, a
 * first line of more than 1024 bytes; -EPROTO, that is no HTTP; -ENODATA, it closes without an
 * answer; -ENAMETOOLONG, `path` makes a request of more than 511 bytes.
 */
COIL_API void coil_http_probe_init(
        coil_network_probe *probe, const char *address, const char *path);

/*
 * getStatus() of fb303. ALIVE is READY, WARNING itself, STARTING and STOPPING themselves, DEAD and
 * STOPPED are DEAD. Errors: of coil_thrift_connect() and coil_fb303_get_status(); -EPROTO, another
 * status.
 */
COIL_API void coil_fb303_probe_init(coil_network_probe *probe, const char *address);

/* Ask any probe, whatever its kind. Result: a coil_health, or an error. */
coil_declare(int, coil_health_ask, (coil_health_probe *) probe);

COIL_END_DECLS

#endif
