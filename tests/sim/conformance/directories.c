/* SPDX-License-Identifier: MIT */
/* What getdents64(2) tells. The order of the names is the file system's, so they are sorted. */
#include "programs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAMES_MAX = 16, LIST_BYTES = 4096 };

static void make_directory(struct stage *stage, const char *path)
{
    io_uring_prep_mkdirat(stage_ask(stage, path), AT_FDCWD, path, 0755);
    stage_expect(stage, 1);
}

static void make_file(struct stage *stage, const char *path)
{
    stage_close(stage, stage_open_file(stage, path, O_RDWR | O_CREAT | O_EXCL));
}

static void remove_path(struct stage *stage, const char *path, int flags)
{
    io_uring_prep_unlinkat(stage_ask(stage, path), AT_FDCWD, path, flags);
    stage_expect(stage, 1);
}

static int by_name(const void *a, const void *b)
{
    const struct dirent64 *const *one = a;
    const struct dirent64 *const *other = b;
    return strcmp((*one)->d_name, (*other)->d_name);
}

static const char *type_text(unsigned char type)
{
    return type == DT_DIR ? "directory" : type == DT_REG ? "file" : "something";
}

/* All that one call tells. */
static void say_names(struct stage *stage, const char *what, int fd)
{
    _Alignas(struct dirent64) char list[LIST_BYTES];
    const struct dirent64 *entries[NAMES_MAX];
    size_t count = 0;

    const ssize_t size_bytes = coil_kernel_getdents(fd, list, sizeof(list));
    if (size_bytes <= 0) {
        stage_say_result(stage, what, size_bytes);
        return;
    }
    for (ssize_t at = 0; at < size_bytes && count < NAMES_MAX; count++) {
        entries[count] = (const struct dirent64 *)(const void *)(list + at);
        at += entries[count]->d_reclen;
    }
    qsort(entries, count, sizeof(entries[0]), by_name);
    stage_say(stage, "%s: %zu names", what, count);
    for (size_t i = 0; i < count; i++)
        stage_say(stage, "  %s: %s", entries[i]->d_name, type_text(entries[i]->d_type));
}

void play_directory_read(struct stage *stage)
{
    make_directory(stage, "directory_read");
    make_file(stage, "directory_read/one");
    make_file(stage, "directory_read/another");
    make_directory(stage, "directory_read/below");
    int fd = stage_open_file(stage, "directory_read", O_RDONLY | O_DIRECTORY);
    char little[8];
    stage_say_result(stage, "too little room", coil_kernel_getdents(fd, little, sizeof(little)));
    say_names(stage, "names", fd);
    say_names(stage, "names at the end", fd);
    stage_close(stage, fd);
    remove_path(stage, "directory_read/one", 0);
    remove_path(stage, "directory_read/another", 0);
    remove_path(stage, "directory_read/below", AT_REMOVEDIR);
    fd = stage_open_file(stage, "directory_read", O_RDONLY | O_DIRECTORY);
    say_names(stage, "names of the empty", fd);
    stage_close(stage, fd);
    fd = stage_open_file(stage, "directory_read", O_RDONLY | O_DIRECTORY);
    remove_path(stage, "directory_read", AT_REMOVEDIR);
    say_names(stage, "names of the removed", fd);
    stage_close(stage, fd);
}

void play_directory_misused(struct stage *stage)
{
    make_file(stage, "directory_misused");
    int fd = stage_open_file(stage, "directory_misused", O_RDONLY);
    say_names(stage, "names of a file", fd);
    stage_close(stage, fd);
    say_names(stage, "names of nothing", -1);
    remove_path(stage, "directory_misused", 0);
}
