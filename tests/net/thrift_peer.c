/* SPDX-License-Identifier: MIT */
/*
 * The other side of thrift_apache_test.py. For every frame on stdin, with its length: takes it
 * apart, and prints what was in it as a line of words and, behind it, as a frame that Coil has
 * written; a frame that is refused gives a line "error ..." and no frame.
 */
#include "thrift_walk.h"

#include <coil/error.h>

#include <stdlib.h>

static int read_frame(uint8_t **out_bytes, uint32_t *out_size)
{
    uint8_t first[4];

    if (fread(first, 1, sizeof(first), stdin) != sizeof(first))
        return 0;
    int size = coil_thrift_frame_size(first, NULL);
    if (size < 0)
        exit(2);
    uint8_t *bytes = malloc((size_t)size);
    if (bytes == NULL || fread(bytes, 1, (size_t)size, stdin) != (size_t)size)
        exit(2);
    *out_bytes = bytes;
    *out_size = (uint32_t)size;
    return 1;
}

static void answer(const uint8_t *bytes, uint32_t size, coil_thrift_writer *writer)
{
    coil_thrift_reader reader;
    char *words;
    size_t words_size;
    char what[128];
    thrift_walk walk = {.reader = &reader, .writer = writer};

    coil_thrift_reader_init(&reader, bytes, size, NULL);
    coil_thrift_writer_reset(writer);
    walk.dump = open_memstream(&words, &words_size);
    int rc = thrift_walk_message(&walk);
    fclose(walk.dump);
    if (rc < 0) {
        printf("error %s %s\n", coil_error_name(rc),
                coil_thrift_reader_what(&reader, what, sizeof(what)));
    } else {
        printf("%s\n", words);
        fwrite(writer->bytes, 1, writer->size, stdout);
    }
    fflush(stdout); /* The other side waits for it before it sends the next. */
    free(words);
}

int main(void)
{
    coil_thrift_writer writer;
    uint8_t *bytes;
    uint32_t size;

    coil_thrift_writer_init(&writer, NULL);
    while (read_frame(&bytes, &size)) {
        answer(bytes, size, &writer);
        free(bytes);
    }
    coil_thrift_writer_fini(&writer);
    return 0;
}
