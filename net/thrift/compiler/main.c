/* SPDX-License-Identifier: MIT */
/*
 * coil-thrift - Thrift's interface definition language to C.
 */
#include "calls.h"
#include "clashes.h"
#include "compatible.h"
#include "dump.h"
#include "emit.h"
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
    const char *out; /* Where to write; NULL: nowhere. */
    const char *depfile;
    const char *old; /* What FILE is compared with; NULL: nothing. */
    bool dump;
    bool fuzz;
    bool quiet;
    const char *path;
} arguments;

static const char usage[] =
        "usage: coil-thrift [-I DIRECTORY]... [-o DIRECTORY] [--dump] [--quiet]\n"
        "                   [--compatible-with OLD] FILE\n"
        "\n"
        "Check FILE, which is in Thrift's interface definition language, and all that it\n"
        "includes; and turn it into C.\n"
        "\n"
        "  -I, --include DIRECTORY   search included files there, after the directory of the\n"
        "                            file that includes them; may be repeated\n"
        "  -o, --out DIRECTORY       write FILE_thrift.h and FILE_thrift.c there; those of\n"
        "                            included files are made of these\n"
        "      --depfile FILE        write there, for make and ninja, what was read\n"
        "      --compatible-with OLD that programs of this older version and those of FILE\n"
        "                            understand each other: what has changed on the wire is\n"
        "                            an error, what only one side knows a warning\n"
        "      --fuzz                with --out: FILE_fuzz.c, too, a target for libFuzzer that\n"
        "                            reads and writes every struct in every protocol\n"
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
            {"out", required_argument, NULL, 'o'},
            {"depfile", required_argument, NULL, 'M'},
            {"compatible-with", required_argument, NULL, 'c'},
            {"dump", no_argument, NULL, 'd'},
            {"fuzz", no_argument, NULL, 'f'},
            {"quiet", no_argument, NULL, 'q'},
            {"help", no_argument, NULL, 'h'},
            {NULL, 0, NULL, 0},
    };
    int name;

    while ((name = getopt_long(argc, argv, "I:o:qh", names, NULL)) != -1) {
        switch (name) {
        case 'I':
            if (out_arguments->directory_count == DIRECTORIES_MAX) {
                fprintf(stderr, "coil-thrift: more than %d directories\n", DIRECTORIES_MAX);
                return 3;
            }
            out_arguments->directories[out_arguments->directory_count++] = optarg;
            break;
        case 'o':
            out_arguments->out = optarg;
            break;
        case 'M':
            out_arguments->depfile = optarg;
            break;
        case 'c':
            out_arguments->old = optarg;
            break;
        case 'd':
            out_arguments->dump = true;
            break;
        case 'f':
            out_arguments->fuzz = true;
            break;
        case 'q':
            out_arguments->quiet = true;
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

/* "shop_thrift.c: shop.thrift prices.thrift", with spaces escaped. */
static void emit_dependencies(const char *target, const idl_document *documents, FILE *file)
{
    fprintf(file, "%s:", target);
    for (; documents != NULL; documents = documents->next) {
        fputc(' ', file);
        for (const char *at = documents->real_path; *at != '\0'; at++)
            fprintf(file, "%s%c", *at == ' ' ? "\\" : "", *at);
    }
    fputc('\n', file);
}

typedef void emitter(const idl_document *document, FILE *file);

/* 0, or negative errno, which has been said. */
static int finish_file(FILE *file, const char *path)
{
    const bool is_bad = ferror(file) != 0;
    const int rc = fclose(file) != 0 || is_bad ? -EIO : 0;

    if (rc < 0)
        fprintf(stderr, "coil-thrift: cannot write '%s'\n", path);
    return rc;
}

/* NULL with an error, which has been said. */
static FILE *open_file(const char *path)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        fprintf(stderr, "coil-thrift: cannot write '%s': %s\n", path, strerror(errno));
    return file;
}

static int write_file(const char *path, emitter *emit, const idl_document *document)
{
    FILE *file = open_file(path);

    if (file == NULL)
        return -EIO;
    emit(document, file);
    return finish_file(file, path);
}

static int write_depfile(const char *path, const char *target, const idl_document *documents)
{
    FILE *file = open_file(path);

    if (file == NULL)
        return -EIO;
    emit_dependencies(target, documents, file);
    return finish_file(file, path);
}

/* The file that was asked for is the last: those that it includes come before. */
static const idl_document *root_of(const idl_document *documents)
{
    while (documents->next != NULL)
        documents = documents->next;
    return documents;
}

static bool has_structs(const idl_document *document)
{
    const idl_definition *it = document->definitions;

    while (it != NULL && !idl_is_struct(it))
        it = it->next;
    return it != NULL;
}

/* 0, or -EIO, which has been said. */
static int put_dump(const idl_document *documents)
{
    if (idl_dump(documents, stdout) == 0 && fflush(stdout) == 0)
        return 0;
    fputs("coil-thrift: cannot write to the standard output\n", stderr);
    return -EIO;
}

/* What is wanted of the files. 0, or negative errno, which has been said. */
static int put_out(const arguments *given, const idl_document *documents)
{
    const idl_document *root = root_of(documents);

    if (given->out == NULL)
        return 0;
    const char *source_path = idl_format("%s/%s", given->out, idl_source_name(root));
    int rc = write_file(
            idl_format("%s/%s", given->out, idl_header_name(root)), idl_emit_header, root);
    if (rc == 0)
        rc = write_file(source_path, idl_emit_source, root);
    if (rc == 0 && given->fuzz && has_structs(root))
        rc = write_file(idl_format("%s/%s", given->out, idl_fuzz_name(root)), idl_emit_fuzz, root);
    if (rc == 0 && given->depfile != NULL)
        rc = write_depfile(given->depfile, source_path, documents);
    return rc;
}

/* All that the file needs, understood; NULL after an error, which has been said. */
static idl_document *understand(const char *path, const idl_search_path *search)
{
    idl_document *documents = idl_load(path, search);

    if (documents == NULL || idl_error_count() > 0)
        return NULL;
    for (idl_document *it = documents; it != NULL; it = it->next)
        idl_resolve(it);
    return idl_error_count() == 0 ? documents : NULL;
}

static void add_calls(idl_document *documents)
{
    for (; documents != NULL; documents = documents->next)
        idl_add_calls(documents);
}

/* The exit status. */
static int compile(const arguments *given)
{
    const idl_search_path search = {given->directories, given->directory_count};
    idl_document *documents = understand(given->path, &search);
    idl_document *old = NULL;

    if (documents == NULL)
        return 1;
    if (given->dump && put_dump(documents) < 0)
        return 1;
    add_calls(documents);
    if (given->old != NULL) {
        idl_set_quiet(true); /* What there is to say of the old one is of yesterday. */
        old = understand(given->old, &search);
        idl_set_quiet(given->quiet);
        if (old == NULL)
            return 1;
        add_calls(old);
        idl_compare(root_of(old), root_of(documents));
    }
    if (!given->dump)
        idl_check_clashes(documents);
    if (idl_error_count() > 0)
        return 1;
    return put_out(given, documents) < 0;
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
