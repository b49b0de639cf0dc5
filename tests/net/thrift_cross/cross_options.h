/* SPDX-License-Identifier: MIT */
/* cross_options.h - the command line that Apache Thrift's cross test programs have in common. */
#ifndef CROSS_OPTIONS_H
#define CROSS_OPTIONS_H

#include <coil/thrift.h>

typedef struct cross_options {
    const char *host; /* "localhost" */
    unsigned port;
    const char *socket_path; /* NULL: none. */
    bool abstract;           /* It is a name of the abstract name space. */
    bool ssl;
    const char *keys; /* The directory with server.crt, server.key, CA.pem, client.crt, ... */
    bool zlib;
    bool zlib_around; /* Client: of frames, not of what is in them. */
    bool multiplexed;
    enum coil_thrift_protocol protocol;
    enum coil_thrift_transport transport;
    unsigned string_limit;     /* Client: binaries are not larger. */
    unsigned count;            /* Client: how often everything. */
    const char *handover_path; /* Server: of the socket where it takes over, and is; NULL: none. */
} cross_options;

/* 0; else 1 + the status to exit with: help, or a mistake, has been printed. */
int cross_read_options(int argc, char **argv, cross_options *out_options);

/* Where to listen at, or to connect to. */
void cross_address(const cross_options *options, const char *host, char *text, size_t text_size);

#ifdef CROSS_TLS
#include <coil/tls.h>

/* The contexts of both sides, with what is in `keys`. Negative errno, which has been said. */
int cross_tls_server(const cross_options *options, coil_tls_context **out_context);
int cross_tls_client(const cross_options *options, coil_tls_context **out_context);
#endif

#endif
