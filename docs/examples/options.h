/* SPDX-License-Identifier: MIT */
/* The command line that the examples have in common. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <coil/coil.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    unsigned port;
    unsigned count;
    unsigned interval; /* In seconds. */
    const char *self;  /* Our own name. */
    char **arguments;  /* What is left, up to a NULL. */
};

static inline unsigned read_number(const char *program, const char *text, unsigned long limit)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || number > limit) {
        fprintf(stderr, "%s: '%s' is not a number from 0 to %lu\n", program, text, limit);
        exit(2);
    }
    return (unsigned)number;
}

/* Since the first question. */
static inline double seconds(void)
{
    static coil_time start;

    if (start == 0)
        start = coil_now();
    return (double)(coil_now() - start) / 1e9;
}

/* Read --port, --count, --interval and --help; prints what is wrong, and exits with 2. */
static inline struct options read_options(int argc, char **argv, const char *usage)
{
    static const struct option known[] = {
            {"port", required_argument, NULL, 'p'},
            {"count", required_argument, NULL, 'c'},
            {"interval", required_argument, NULL, 'i'},
            {"help", no_argument, NULL, 'h'},
            {NULL, 0, NULL, 0},
    };
    struct options options = {.port = 9090, .count = 3, .interval = 1, .self = argv[0]};
    int letter;

    while ((letter = getopt_long(argc, argv, "p:c:i:h", known, NULL)) != -1) {
        switch (letter) {
        case 'p':
            options.port = read_number(argv[0], optarg, 65535);
            break;
        case 'c':
            options.count = read_number(argv[0], optarg, 1000);
            break;
        case 'i':
            options.interval = read_number(argv[0], optarg, 86400);
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    options.arguments = argv + optind;
    return options;
}

/* The program that the first argument names; if there is none, `usual` in our own directory. */
static inline const char *program_of(const struct options *options, const char *usual)
{
    static char path[4096];
    const char *slash = strrchr(options->self, '/');

    if (options->arguments[0] != NULL)
        return options->arguments[0];
    snprintf(path, sizeof(path), "%.*s%s", slash == NULL ? 0 : (int)(slash + 1 - options->self),
            options->self, usual);
    return path;
}

#endif
