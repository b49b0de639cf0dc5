/* SPDX-License-Identifier: MIT */
/*
 * fb303_default.h - what a Thrift server says about itself unless it is told not to: fb303, where
 * it has none among its services, and its metrics, where nobody measures it.
 */
#ifndef COIL_FB303_DEFAULT_H
#define COIL_FB303_DEFAULT_H

#include <coil/fb303_service.h>
#include <coil/loop_metrics.h>
#include <coil/thrift_metrics.h>

enum { FB303_DEFAULT_SERVICE_COUNT = 2 };

struct coil_fb303_default {
    unsigned serving_count; /* A server may serve several listeners. */
    coil_metrics metrics;
    coil_thrift_metrics measured;
    coil_loop_metrics lag;
    coil_fb303_service own;
    coil_fb303_service *asked; /* Who answers fb303: the server's own, or ours. */

    /* Looked through after those of the server, if it has no fb303. */
    coil_thrift_service *services[FB303_DEFAULT_SERVICE_COUNT];
    size_t service_count;
};

/*
 * Somebody begins to serve, and ends, at a time of his own. What is measured is kept from the first
 * to the last, and while there are connections: sessions (coil_thrift_serve_session()) may have
 * calls of it under way when nobody else serves any more. Without memory the server is one without
 * fb303.
 */
void fb303_default_begin(coil_thrift_server *server);
void fb303_default_end(coil_thrift_server *server);

/* The server has no connection any more. */
void fb303_default_let_go(coil_thrift_server *server);

/*
 * What `service` tells when this server is asked: the metrics that it was given, or those that the
 * server measures by default, as long as it has a connection; NULL: none. (Other servers may have
 * the same service, and each tells its own.)
 */
coil_metrics *fb303_metrics_of(const coil_fb303_service *service, const coil_thrift_server *server);

/* What it measures, or what measures of yours its fb303 has. The server has begun to serve. */
coil_metrics *fb303_default_metrics(const coil_thrift_server *server);

/* The fb303 that this is a face of; NULL: it is another service. */
coil_fb303_service *fb303_service_of(coil_thrift_service *service);

/* Is this observer a coil_thrift_metrics? */
bool thrift_metrics_observes(const coil_thrift_observer *observer);

#endif
