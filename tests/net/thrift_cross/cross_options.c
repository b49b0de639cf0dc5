/* SPDX-License-Identifier: MIT */
#include "cross_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    OPTION_HOST = 256,
    OPTION_PORT,
    OPTION_SOCKET,
    OPTION_ABSTRACT,
    OPTION_SSL,
    OPTION_KEYS,
    OPTION_ZLIB,
    OPTION_ZLIB_AROUND,
    OPTION_HANDOVER,
    OPTION_PROTOCOL,
    OPTION_TRANSPORT,
    OPTION_STRING_LIMIT,
    OPTION_COUNT,
    OPTION_HELP,
    OPTION_IGNORED,
};

static const struct option known[] = {
        {"host", required_argument, NULL, OPTION_HOST},
        {"port", required_argument, NULL, OPTION_PORT},
        {"domain-socket", required_argument, NULL, OPTION_SOCKET},
        {"abstract-namespace", no_argument, NULL, OPTION_ABSTRACT},
        {"ssl", no_argument, NULL, OPTION_SSL},
        {"keys", required_argument, NULL, OPTION_KEYS},
        {"zlib", no_argument, NULL, OPTION_ZLIB},
        {"zlib-around", no_argument, NULL, OPTION_ZLIB_AROUND},
        {"handover", required_argument, NULL, OPTION_HANDOVER},
        {"protocol", required_argument, NULL, OPTION_PROTOCOL},
        {"transport", required_argument, NULL, OPTION_TRANSPORT},
        {"testloops", required_argument, NULL, OPTION_COUNT},
        {"help", no_argument, NULL, OPTION_HELP},
        {"server-type", required_argument, NULL, OPTION_IGNORED},
        {"workers", required_argument, NULL, OPTION_IGNORED},
        {"string-limit", required_argument, NULL, OPTION_STRING_LIMIT},
        {"container-limit", required_argument, NULL, OPTION_IGNORED},
        {"threads", required_argument, NULL, OPTION_IGNORED},
        {"processor-events", no_argument, NULL, OPTION_IGNORED},
        {NULL, 0, NULL, 0},
};

static void print_usage(FILE *file)
{
    fputs("[--host H] [--port N] [--domain-socket PATH [--abstract-namespace]] [--ssl]\n"
          "[--keys DIRECTORY] [--zlib|--zlib-around] [--transport "
          "buffered|framed|http|header|zlib]\n"
          "[--protocol binary|compact|json|header|multi|multic|multij|multih] [--testloops N]\n"
          "[--string-limit BYTES] [--handover PATH]\n\n"
          "Options of servers with threads are taken and mean nothing.\n",
            file);
}

/* multic: a name before each method, with the compact protocol. */
static int read_protocol(const char *text, cross_options *options)
{
    static const struct {
        const char *name;
        enum coil_thrift_protocol protocol;
        bool is_header;
        bool multiplexed;
    } names[] = {
            {"binary", COIL_THRIFT_PROTOCOL_BINARY, false, false},
            {"compact", COIL_THRIFT_PROTOCOL_COMPACT, false, false},
            {"json", COIL_THRIFT_PROTOCOL_JSON, false, false},
            {"header", COIL_THRIFT_PROTOCOL_BINARY, true, false},
            {"multi", COIL_THRIFT_PROTOCOL_BINARY, false, true},
            {"multic", COIL_THRIFT_PROTOCOL_COMPACT, false, true},
            {"multij", COIL_THRIFT_PROTOCOL_JSON, false, true},
            {"multih", COIL_THRIFT_PROTOCOL_BINARY, true, true},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i].name, text) != 0)
            continue;
        options->protocol = names[i].protocol;
        options->multiplexed = names[i].multiplexed;
        if (names[i].is_header)
            options->transport = COIL_THRIFT_TRANSPORT_HEADER;
        return 0;
    }
    fprintf(stderr, "no protocol '%s'\n", text);
    return -EINVAL;
}

static int read_transport(const char *text, cross_options *options)
{
    if (strcmp(text, "buffered") == 0 || strcmp(text, "raw") == 0) {
        options->transport = COIL_THRIFT_TRANSPORT_UNFRAMED;
    } else if (strcmp(text, "zlib") == 0) {
        options->transport = COIL_THRIFT_TRANSPORT_UNFRAMED;
        options->zlib = true;
    } else if (strcmp(text, "framed") == 0) {
        options->transport = COIL_THRIFT_TRANSPORT_FRAMED;
    } else if (strcmp(text, "http") == 0) {
        options->transport = COIL_THRIFT_TRANSPORT_HTTP;
    } else if (strcmp(text, "header") == 0) {
        options->transport = COIL_THRIFT_TRANSPORT_HEADER;
    } else {
        fprintf(stderr, "no transport '%s'\n", text);
        return -EINVAL;
    }
    return 0;
}

static int read_number(const char *text, unsigned limit, unsigned *out_number)
{
    char *end;
    const unsigned long number = strtoul(text, &end, 10);

    if (end == text || *end != '\0' || *text == '-' || number > limit) {
        fprintf(stderr, "'%s' is not a number from 0 to %u\n", text, limit);
        return -EINVAL;
    }
    *out_number = (unsigned)number;
    return 0;
}

/* 0; -EINVAL, which has been said. */
static int take(int option, cross_options *options)
{
    switch (option) {
    case OPTION_HOST:
        options->host = optarg;
        return 0;
    case OPTION_PORT:
        return read_number(optarg, 65535, &options->port);
    case OPTION_SOCKET:
        options->socket_path = optarg;
        return 0;
    case OPTION_ABSTRACT:
        options->abstract = true;
        return 0;
    case OPTION_SSL:
        options->ssl = true;
        return 0;
    case OPTION_KEYS:
        options->keys = optarg;
        return 0;
    case OPTION_ZLIB:
        options->zlib = true;
        return 0;
    case OPTION_ZLIB_AROUND:
        options->zlib = true;
        options->zlib_around = true;
        return 0;
    case OPTION_HANDOVER:
        options->handover_path = optarg;
        return 0;
    case OPTION_PROTOCOL:
        return 0; /* Has the last word about the transport: see below. */
    case OPTION_TRANSPORT:
        return read_transport(optarg, options);
    case OPTION_COUNT:
        return read_number(optarg, 1000000, &options->count);
    case OPTION_STRING_LIMIT:
        return read_number(optarg, 1 << 30, &options->string_limit);
    case OPTION_IGNORED:
        return 0;
    default:
        return -EINVAL;
    }
}

int cross_read_options(int argc, char **argv, cross_options *out_options)
{
    const char *protocol = "binary";
    int option;

    *out_options = (cross_options){
            .host = "localhost",
            .port = 9090,
            .keys = "../keys",
            .count = 1,
            .string_limit = UINT_MAX,
            .transport = COIL_THRIFT_TRANSPORT_UNFRAMED,
    };
    while ((option = getopt_long(argc, argv, "n:", known, NULL)) != -1) {
        if (option == OPTION_HELP) {
            print_usage(stdout);
            return 1;
        }
        if (option == OPTION_PROTOCOL) {
            protocol = optarg;
        } else if (option != 'n' && take(option, out_options) < 0) {
            print_usage(stderr);
            return 3;
        }
    }
    if (read_protocol(protocol, out_options) < 0)
        return 3;
    return 0;
}

void cross_address(const cross_options *options, const char *host, char *text, size_t text_size)
{
    if (options->socket_path != NULL) {
        (void)snprintf(
                text, text_size, "unix:%s%s", options->abstract ? "@" : "", options->socket_path);
    } else {
        (void)snprintf(text, text_size, "%s:%u", host, options->port);
    }
}
