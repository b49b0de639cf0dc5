/* SPDX-License-Identifier: MIT */
/* The command line that the examples have in common. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct options {
    unsigned port;
    unsigned count;
    unsigned interval; /* In seconds. */
    char **arguments; /* What is left, up to a NULL. */
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
    struct options options = {.port = 9090, .count = 3, .interval = 1};
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

#endif
