/* SPDX-License-Identifier: MIT */
#include "fb303_default.h"

#include <coil/loop.h>

#include <stdlib.h>

static coil_fb303_service *fb303_of(const coil_thrift_server *server)
{
    for (size_t i = 0; i < server->service_count; i++) {
        coil_fb303_service *fb303 = fb303_service_of(server->services[i]);
        if (fb303 != NULL)
            return fb303;
    }
    return NULL;
}

/* Answer in the name of the first service. */
static void serve_own(struct coil_fb303_default *self, const coil_thrift_server *server)
{
    const char *name = server->service_count > 0 ? server->services[0]->name : "";

    coil_fb303_service_init(&self->own, name, "");
    self->own.server = server;
    self->services[0] = &self->own.thrift;
    self->services[1] = &self->own.base;
    self->service_count = FB303_DEFAULT_SERVICE_COUNT;
}

static void create(coil_thrift_server *server)
{
    struct coil_fb303_default *self = calloc(1, sizeof(*self));
    if (self == NULL)
        return;
    coil_fb303_service *fb303 = fb303_of(server);

    coil_metrics_init(&self->metrics, coil_now());
    if (!thrift_metrics_observes(server->observer))
        coil_thrift_metrics_init(&self->measured, &self->metrics, server);
    if (server->measures_loop)
        coil_loop_metrics_init(&self->lag, &self->metrics, coil_loop_current());
    if (fb303 == NULL) {
        serve_own(self, server);
        fb303 = &self->own;
    }
    self->asked = fb303;
    server->fb303 = self;
}

static void destroy(struct coil_fb303_default *self)
{
    coil_loop_metrics_fini(&self->lag);
    coil_thrift_metrics_fini(&self->measured);
    if (self->service_count > 0)
        coil_fb303_service_fini(&self->own);
    coil_metrics_fini(&self->metrics);
    free(self);
}

void fb303_default_begin(coil_thrift_server *server)
{
    if (server->without_fb303)
        return;
    if (server->fb303 == NULL)
        create(server);
    if (server->fb303 != NULL)
        server->fb303->serving_count++;
}

void fb303_default_end(coil_thrift_server *server)
{
    if (server->fb303 == NULL)
        return;
    server->fb303->serving_count--;
    fb303_default_let_go(server);
}

void fb303_default_let_go(coil_thrift_server *server)
{
    struct coil_fb303_default *self = server->fb303;

    if (self == NULL || self->serving_count > 0 || server->state != NULL)
        return;
    server->fb303 = NULL;
    destroy(self);
}

coil_metrics *fb303_metrics_of(const coil_fb303_service *service, const coil_thrift_server *server)
{
    if (service->metrics != NULL || server->fb303 == NULL)
        return service->metrics;
    return &server->fb303->metrics;
}

coil_metrics *fb303_default_metrics(const coil_thrift_server *server)
{
    return fb303_metrics_of(server->fb303->asked, server);
}

coil_metrics *coil_thrift_server_metrics(const coil_thrift_server *server)
{
    return server->fb303 == NULL ? NULL : &server->fb303->metrics;
}
