/* SPDX-License-Identifier: MIT */
/*
 * coil-thrift - check files of Thrift's interface definition language, and say what is in them.
 */
#include "dump.h"
#include "load.h"
#include "memory.h"
#include "resolve.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { DIRECTORIES_MAX = 64 };

typedef struct arguments {
    const char *directories[DIRECTORIES_MAX];
    size_t directory_count;
    bool dump;
    const char *path;
} arguments;

static const char usage[] =
        "usage: coil-thrift [-I DIRECTORY]... [--dump] [--quiet] FILE\n"
        "\n"
        "Check FILE, which is in Thrift's interface definition language, and all that it\n"
        "includes.\n"
        "\n"
        "  -I, --include DIRECTORY   search included files there, after the directory of the\n"
        "                            file that includes them; may be repeated\n"
        "      --dump                print what was understood, as JSON\n"
        "  -q, --quiet               no warnings\n"
        "  -h, --help                this\n"
        "\n"
        "Exit status: 0; 1 for a mistake in the files; 2 for one in the arguments.\n";

/* 0; else the exit status plus one. */
static int read_arguments(int argc, char **argv, arguments *out_arguments)
{
    static const struct option names[] = {
            {"include", required_argument, NULL, 'I'},
            {"dump", no_argument, NULL, 'd'},
            {"quiet", no_argument, NULL, 'q'},
            {"help", no_argument, NULL, 'h'},
            {NULL, 0, NULL, 0},
    };
    int name;

    while ((name = getopt_long(argc, argv, "I:qh", names, NULL)) != -1) {
        switch (name) {
        case 'I':
            if (out_arguments->directory_count == DIRECTORIES_MAX) {
                fprintf(stderr, "coil-thrift: more than %d directories\n", DIRECTORIES_MAX);
                return 3;
            }
            out_arguments->directories[out_arguments->directory_count++] = optarg;
            break;
        case 'd':
            out_arguments->dump = true;
            break;
        case 'q':
            idl_set_quiet(true);
            break;
        case 'h':
            fputs(usage, stdout);
            return 1;
        default:
            fputs(usage, stderr);
            return 3;
        }
    }
    if (argc - optind != 1) {
        fputs(usage, stderr);
        return 3;
    }
    out_arguments->path = argv[optind];
    return 0;
}

/* The exit status. */
static int compile(const arguments *given)
{
    const idl_search_path search = {given->directories, given->directory_count};
    idl_document *documents = idl_load(given->path, &search);

    if (documents == NULL || idl_error_count() > 0)
        return 1;
    for (idl_document *it = documents; it != NULL; it = it->next)
        idl_resolve(it);
    if (idl_error_count() > 0)
        return 1;
    if (!given->dump)
        return 0;
    const int rc = idl_dump(documents, stdout);
    if (rc < 0 || fflush(stdout) != 0) {
        fprintf(stderr, "coil-thrift: cannot write: %s\n", strerror(rc < 0 ? -rc : errno));
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    arguments given = {0};
    const int stop = read_arguments(argc, argv, &given);

    if (stop != 0)
        return stop - 1;
    const int status = compile(&given);
    idl_free_all();
    return status;
}
