/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of coil-thrift. An input is a file of Thrift's interface definition language. It is
 * understood, or there is an error; what is understood is dumped, and turned into C.
 */
#include "calls.h"
#include "clashes.h"
#include "dump.h"
#include "emit.h"
#include "load.h"
#include "memory.h"
#include "resolve.h"

#include <coil/check.h>

#include <stdlib.h>
#include <unistd.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char path[] = "/tmp/coil-idl-XXXXXX";
static FILE *nowhere;

static void remove_file(void)
{
    (void)unlink(path);
    (void)fclose(nowhere);
}

/* The file that all inputs are put into; and nobody reads the errors. */
static void prepare(void)
{
    const int fd = mkstemp(path);
    COIL_CHECK(fd >= 0);
    (void)close(fd);
    nowhere = fopen("/dev/null", "w");
    COIL_CHECK(nowhere != NULL);
    stderr = nowhere;
    COIL_CHECK(atexit(remove_file) == 0);
}

static void put_out(idl_document *documents)
{
    COIL_CHECK(idl_dump(documents, nowhere) == 0);
    for (idl_document *it = documents; it != NULL; it = it->next)
        idl_add_calls(it);
    idl_check_clashes(documents);
    for (idl_document *it = documents; it != NULL && idl_error_count() == 0; it = it->next) {
        idl_emit_header(it, nowhere);
        idl_emit_source(it, nowhere);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const idl_search_path nothing_else;

    if (nowhere == NULL)
        prepare();
    FILE *file = fopen(path, "wb");
    COIL_CHECK(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);

    idl_document *documents = idl_load(path, &nothing_else);
    COIL_CHECK(documents != NULL || idl_error_count() > 0);
    if (idl_error_count() == 0) {
        for (idl_document *it = documents; it != NULL; it = it->next)
            idl_resolve(it);
    }
    if (idl_error_count() == 0)
        put_out(documents);
    idl_errors_forget();
    idl_free_all();
    return 0;
}
