/* SPDX-License-Identifier: MIT */
/*
 * main() of a fuzz target without a fuzzer: feeds it the files named on the command line, and the
 * files in the directories named there. So the corpus is a test, with any compiler.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Every input has its own allocation of its own size, so that a sanitizer sees an overread. */
static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    long size;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    rewind(file);
    uint8_t *bytes = malloc(size > 0 ? (size_t)size : 1);
    if (bytes == NULL || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        fprintf(stderr, "%s: cannot read\n", path);
        exit(1);
    }
    fclose(file);

    LLVMFuzzerTestOneInput(bytes, (size_t)size);
    free(bytes);
    return 1;
}

static int replay(const char *path)
{
    DIR *directory = opendir(path);
    char child[PATH_MAX];
    int count = 0;

    if (directory == NULL)
        return replay_file(path);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
        count += replay_file(child);
    }
    closedir(directory);
    return count;
}

int main(int argument_count, char **arguments)
{
    int count = 0;

    for (int i = 1; i < argument_count; i++)
        count += replay(arguments[i]);
    printf("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
