/* SPDX-License-Identifier: MIT */
/* Names of files: made, moved, linked, removed; and files that are cut and grown. */
#include "programs.h"

#include <fcntl.h>
#include <unistd.h>

#include <linux/fs.h>

static int create(struct stage *stage, const char *path)
{
    (void)coil_kernel_unlink(path);
    return stage_open_file(stage, path, O_RDWR | O_CREAT | O_EXCL);
}

static void make_directory(struct stage *stage, const char *path)
{
    io_uring_prep_mkdirat(stage_ask(stage, "mkdir"), AT_FDCWD, path, 0755);
    stage_expect(stage, 1);
}

static void remove_as(struct stage *stage, const char *name, const char *path, int flags)
{
    io_uring_prep_unlinkat(stage_ask(stage, name), AT_FDCWD, path, flags);
    stage_expect(stage, 1);
}

static void move(
        struct stage *stage, const char *name, const char *from, const char *to, unsigned flags)
{
    io_uring_prep_renameat(stage_ask(stage, name), AT_FDCWD, from, AT_FDCWD, to, flags);
    stage_expect(stage, 1);
}

static void say_status(struct stage *stage, const char *path)
{
    struct stat status;
    const int rc = coil_kernel_fstatat(AT_FDCWD, path, &status);
    if (rc < 0) {
        stage_say_result(stage, path, rc);
        return;
    }
    stage_say(stage, "%s: %s of %u links", path, S_ISDIR(status.st_mode) ? "a directory" : "a file",
            (unsigned)status.st_nlink);
}

void play_name_of_directory(struct stage *stage)
{
    make_directory(stage, "name_of_directory");
    make_directory(stage, "name_of_directory");
    make_directory(stage, "name_of_directory/below/below");
    make_directory(stage, "name_of_directory/below/");
    say_status(stage, "name_of_directory");
    remove_as(stage, "unlink", "name_of_directory", 0);
    remove_as(stage, "rmdir of the full", "name_of_directory", AT_REMOVEDIR);
    remove_as(stage, "rmdir of .", "name_of_directory/.", AT_REMOVEDIR);
    remove_as(stage, "rmdir of ..", "name_of_directory/below/..", AT_REMOVEDIR);
    remove_as(stage, "unknown flag", "name_of_directory", 1);
    remove_as(stage, "rmdir", "name_of_directory/below", AT_REMOVEDIR);
    int fd = stage_open_file(stage, "name_of_directory", O_RDONLY | O_DIRECTORY);
    remove_as(stage, "rmdir while it is open", "name_of_directory", AT_REMOVEDIR);
    io_uring_prep_openat(
            stage_ask(stage, "open in the removed"), fd, "x", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    stage_expect(stage, 1);
    remove_as(stage, "rmdir of nothing", "name_of_directory", AT_REMOVEDIR);
    stage_close(stage, fd);
    fd = create(stage, "name_of_directory.file");
    remove_as(stage, "rmdir of a file", "name_of_directory.file", AT_REMOVEDIR);
    remove_as(stage, "unlink of a file", "name_of_directory.file", 0);
    stage_close(stage, fd);
}

void play_name_is_moved(struct stage *stage)
{
    stage_close(stage, create(stage, "name_is_moved"));
    make_directory(stage, "name_is_moved.full");
    make_directory(stage, "name_is_moved.full/x");
    make_directory(stage, "name_is_moved.empty");
    move(stage, "file to directory", "name_is_moved", "name_is_moved.empty", 0);
    move(stage, "directory to file", "name_is_moved.empty", "name_is_moved", 0);
    move(stage, "directory to a full one", "name_is_moved.empty", "name_is_moved.full", 0);
    move(stage, "directory into itself", "name_is_moved.full", "name_is_moved.full/x/y", 0);
    move(stage, "to where nothing is", "name_is_moved", "name_is_moved.none/x", 0);
    move(stage, "not to what is there", "name_is_moved.full", "name_is_moved.empty",
            RENAME_NOREPLACE);
    move(stage, "to itself", "name_is_moved", "name_is_moved", 0);
    move(stage, "exchange", "name_is_moved", "name_is_moved.full", RENAME_EXCHANGE);
    say_status(stage, "name_is_moved");
    say_status(stage, "name_is_moved.full");
    move(stage, "exchange with nothing", "name_is_moved", "name_is_moved.none", RENAME_EXCHANGE);
    move(stage, "both flags", "name_is_moved", "name_is_moved.full",
            RENAME_EXCHANGE | RENAME_NOREPLACE);
    move(stage, "directory to an empty one", "name_is_moved", "name_is_moved.empty", 0);
    say_status(stage, "name_is_moved.empty");
    remove_as(stage, "rmdir", "name_is_moved.empty/x", AT_REMOVEDIR);
    remove_as(stage, "rmdir", "name_is_moved.empty", AT_REMOVEDIR);
    remove_as(stage, "unlink", "name_is_moved.full", 0);
}

static void link_as(struct stage *stage, const char *name, const char *from, const char *to)
{
    io_uring_prep_linkat(stage_ask(stage, name), AT_FDCWD, from, AT_FDCWD, to, 0);
    stage_expect(stage, 1);
}

static void symlink_as(struct stage *stage, const char *name, const char *target, const char *path)
{
    io_uring_prep_symlinkat(stage_ask(stage, name), target, AT_FDCWD, path);
    stage_expect(stage, 1);
}

static void open_as(struct stage *stage, const char *name, const char *path, int flags)
{
    io_uring_prep_openat(stage_ask(stage, name), AT_FDCWD, path, flags | O_CLOEXEC, 0600);
    stage_expect(stage, 1);
}

void play_name_is_linked(struct stage *stage)
{
    int fd = create(stage, "name_is_linked");
    (void)coil_kernel_unlink("name_is_linked.too");
    link_as(stage, "link", "name_is_linked", "name_is_linked.too");
    say_status(stage, "name_is_linked");
    link_as(stage, "link again", "name_is_linked", "name_is_linked.too");
    link_as(stage, "link of nothing", "name_is_linked.none", "name_is_linked.new");
    link_as(stage, "link of a directory", ".", "name_is_linked.new");
    move(stage, "rename to another of its names", "name_is_linked", "name_is_linked.too", 0);
    say_status(stage, "name_is_linked");
    remove_as(stage, "unlink", "name_is_linked", 0);
    say_status(stage, "name_is_linked.too");
    remove_as(stage, "unlink", "name_is_linked.too", 0);
    link_as(stage, "link", "name_is_linked", "name_is_linked.too");
    stage_close(stage, fd);
}

void play_name_is_symbolic(struct stage *stage)
{
    int fd = create(stage, "name_is_symbolic");
    symlink_as(stage, "symlink", "name_is_symbolic", "name_is_symbolic.to");
    symlink_as(stage, "symlink again", "name_is_symbolic", "name_is_symbolic.to");
    symlink_as(stage, "symlink to nothing", "", "name_is_symbolic.empty");
    open_as(stage, "open", "name_is_symbolic.to", O_RDONLY);
    open_as(stage, "open of itself", "name_is_symbolic.to", O_RDONLY | O_NOFOLLOW);
    open_as(stage, "open anew", "name_is_symbolic.to", O_RDWR | O_CREAT | O_EXCL);
    remove_as(stage, "unlink of the file", "name_is_symbolic", 0);
    open_as(stage, "open of what is missing", "name_is_symbolic.to", O_RDONLY);
    open_as(stage, "open, which makes it", "name_is_symbolic.to", O_RDWR | O_CREAT);
    say_status(stage, "name_is_symbolic");
    symlink_as(stage, "a circle", "name_is_symbolic.b", "name_is_symbolic.a");
    symlink_as(stage, "a circle", "name_is_symbolic.a", "name_is_symbolic.b");
    open_as(stage, "open of a circle", "name_is_symbolic.a", O_RDONLY);
    move(stage, "rename of the symlink", "name_is_symbolic.to", "name_is_symbolic.a", 0);
    open_as(stage, "open", "name_is_symbolic.a", O_RDONLY);
    remove_as(stage, "unlink", "name_is_symbolic.a", 0);
    remove_as(stage, "unlink", "name_is_symbolic.b", 0);
    remove_as(stage, "unlink", "name_is_symbolic", 0);
    stage_close(stage, fd);
}

static void resize(struct stage *stage, const char *name, int fd, int64_t size_bytes)
{
    io_uring_prep_ftruncate(stage_ask(stage, name), fd, size_bytes);
    stage_expect(stage, 1);
}

static void allocate(
        struct stage *stage, const char *name, int fd, int mode, int64_t offset, int64_t size_bytes)
{
    io_uring_prep_fallocate(
            stage_ask(stage, name), fd, mode, (uint64_t)offset, (uint64_t)size_bytes);
    stage_expect(stage, 1);
}

static void say_size(struct stage *stage, const char *path)
{
    struct stat status;
    if (coil_kernel_fstatat(AT_FDCWD, path, &status) == 0)
        stage_say(stage, "size: %lld", (long long)status.st_size);
}

void play_file_resized(struct stage *stage)
{
    int fd = create(stage, "file_resized");
    int reader = stage_open_file(stage, "file_resized", O_RDONLY);
    stage_ends ends = stage_pipe(stage);
    stage_put(stage, fd, "0123456789");
    resize(stage, "cut", fd, 4);
    say_size(stage, "file_resized");
    resize(stage, "grown", fd, 8);
    char *bytes = stage_memory(stage, 16);
    io_uring_prep_read(stage_ask(stage, "read"), fd, bytes, 16, 0);
    stage_expect(stage, 1);
    stage_say(stage, "zeros: %d", bytes[3] == '3' && bytes[4] == 0 && bytes[7] == 0);
    resize(stage, "to less than nothing", fd, -1);
    resize(stage, "of a reader", reader, 1);
    resize(stage, "of a pipe", ends.in, 1);
    allocate(stage, "allocate", fd, 0, 0, 100);
    say_size(stage, "file_resized");
    allocate(stage, "allocate, and keep the size", fd, FALLOC_FL_KEEP_SIZE, 0, 1000);
    say_size(stage, "file_resized");
    allocate(stage, "allocate nothing", fd, 0, 0, 0);
    allocate(stage, "allocate of a reader", reader, 0, 0, 10);
    allocate(stage, "allocate of a pipe", ends.in, 0, 0, 10);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_resized"));
    stage_close_ends(stage, ends);
    stage_close(stage, reader);
    stage_close(stage, fd);
}
