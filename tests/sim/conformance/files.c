/* SPDX-License-Identifier: MIT */
/* Regular files. They lie in the current directory and are called like their program. */
#include "programs.h"

#include <fcntl.h>
#include <poll.h>

static const uint64_t POSITION = UINT64_MAX;

static int create(struct stage *stage, const char *path, int flags)
{
    (void)coil_kernel_unlink(path);
    return stage_open_file(stage, path, O_RDWR | O_CREAT | O_EXCL | flags);
}

static void ask_open(struct stage *stage, const char *name, const char *path, int flags)
{
    io_uring_prep_openat(stage_ask(stage, name), AT_FDCWD, path, flags | O_CLOEXEC, 0600);
    stage_do(stage, 1);
    stage_say_fd(stage, name, stage_result(stage, name));
    if (stage_result(stage, name) >= 0)
        stage_close(stage, stage_result(stage, name));
}

static void write_at(
        struct stage *stage, const char *name, int fd, const char *text, uint64_t offset)
{
    io_uring_prep_write(stage_ask(stage, name), fd, text, (unsigned)strlen(text), offset);
    stage_expect(stage, 1);
}

static void read_at(
        struct stage *stage, const char *name, int fd, unsigned size_bytes, uint64_t offset)
{
    char *bytes = stage_memory(stage, size_bytes + 1);
    io_uring_prep_read(stage_ask(stage, name), fd, bytes, size_bytes, offset);
    stage_expect(stage, 1);
    if (stage_result(stage, name) > 0)
        stage_say(stage, "bytes: %s", bytes);
}

void play_file_read(struct stage *stage)
{
    int fd = create(stage, "file_read", 0);
    write_at(stage, "write", fd, "0123456789", 0);
    read_at(stage, "read", fd, 4, 2);
    read_at(stage, "read across the end", fd, 100, 7);
    read_at(stage, "read at the end", fd, 100, 10);
    read_at(stage, "read behind the end", fd, 100, 1000);
    read_at(stage, "read of none", fd, 0, 0);
    read_at(stage, "negative offset", fd, 4, (uint64_t)-2);
    char byte;
    stage_say_result(stage, "pread now", coil_kernel_pread_now(fd, &byte, 1, 3));
    stage_say_result(stage, "pread now at the end", coil_kernel_pread_now(fd, &byte, 1, 10));
    stage_say_result(stage, "pread now, negative offset", coil_kernel_pread_now(fd, &byte, 1, -1));
    stage_say_result(stage, "pread", coil_kernel_pread(fd, &byte, 1, 3));
    stage_say_result(stage, "pread, negative offset", coil_kernel_pread(fd, &byte, 1, -1));
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_read"));
    stage_close(stage, fd);
}

/* To the ring, offset -1 is the position, which it moves. */
void play_file_position(struct stage *stage)
{
    int fd = create(stage, "file_position", 0);
    write_at(stage, "write", fd, "abc", POSITION);
    write_at(stage, "write", fd, "def", POSITION);
    read_at(stage, "read", fd, 10, POSITION);
    read_at(stage, "read", fd, 10, 0);
    read_at(stage, "the position has not moved", fd, 10, POSITION);
    write_at(stage, "write at an offset", fd, "B", 1);
    write_at(stage, "write", fd, "g", POSITION);
    read_at(stage, "read", fd, 10, 0);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_position"));
    stage_close(stage, fd);
}

/* O_APPEND wins over any offset. */
void play_file_append(struct stage *stage)
{
    int fd = create(stage, "file_append", O_APPEND);
    write_at(stage, "write", fd, "abc", 0);
    write_at(stage, "write at 0", fd, "def", 0);
    read_at(stage, "read", fd, 10, 0);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_append"));
    stage_close(stage, fd);
}

/* What lies between the end and a write behind it reads as zeros. */
void play_file_hole(struct stage *stage)
{
    int fd = create(stage, "file_hole", 0);
    write_at(stage, "write", fd, "abc", 0);
    write_at(stage, "write behind the end", fd, "xyz", 5);
    char *bytes = stage_memory(stage, 16);
    io_uring_prep_read(stage_ask(stage, "read"), fd, bytes, 16, 0);
    stage_expect(stage, 1);
    stage_say(stage, "zeros: %d", bytes[3] == 0 && bytes[4] == 0);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_hole"));
    stage_close(stage, fd);
}

void play_file_truncated(struct stage *stage)
{
    int fd = create(stage, "file_truncated", 0);
    write_at(stage, "write", fd, "0123456789", 0);
    stage_close(stage, stage_open_file(stage, "file_truncated", O_WRONLY | O_TRUNC));
    read_at(stage, "read", fd, 16, 0);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_truncated"));
    stage_close(stage, fd);
}

/* A name ends before its file does. */
void play_file_unlinked(struct stage *stage)
{
    int fd = create(stage, "file_unlinked", 0);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_unlinked"));
    ask_open(stage, "open", "file_unlinked", O_RDONLY);
    write_at(stage, "write", fd, "still here", 0);
    read_at(stage, "read", fd, 16, 0);
    io_uring_prep_fsync(stage_ask(stage, "fsync"), fd, 0);
    stage_expect(stage, 1);
    stage_close(stage, fd);
}

/* Who has the old file open keeps it. */
void play_file_renamed_over(struct stage *stage)
{
    int old = create(stage, "file_renamed_over", 0);
    int new = create(stage, "file_renamed_over.new", 0);
    write_at(stage, "write of the old", old, "old", 0);
    write_at(stage, "write of the new", new, "new", 0);
    io_uring_prep_renameat(stage_ask(stage, "rename"), AT_FDCWD, "file_renamed_over.new", AT_FDCWD,
            "file_renamed_over", 0);
    stage_expect(stage, 1);
    read_at(stage, "read of the old", old, 16, 0);
    int fd = stage_open_file(stage, "file_renamed_over", O_RDONLY);
    read_at(stage, "read by name", fd, 16, 0);
    ask_open(stage, "open of the name before", "file_renamed_over.new", O_RDONLY);
    io_uring_prep_renameat(stage_ask(stage, "rename of nothing"), AT_FDCWD, "file_renamed_over.new",
            AT_FDCWD, "file_renamed_over", 0);
    stage_expect(stage, 1);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_renamed_over"));
    stage_close(stage, fd);
    stage_close(stage, new);
    stage_close(stage, old);
}

void play_file_statx(struct stage *stage)
{
    struct statx *status = stage_memory(stage, sizeof(*status));
    int fd = create(stage, "file_statx", 0);
    write_at(stage, "write", fd, "0123456789", 0);
    io_uring_prep_statx(
            stage_ask(stage, "statx"), AT_FDCWD, "file_statx", 0, STATX_BASIC_STATS, status);
    stage_expect(stage, 1);
    stage_say(stage, "size: %llu", (unsigned long long)status->stx_size);
    stage_say(stage, "regular: %d", S_ISREG(status->stx_mode));
    stage_say(stage, "permissions: %o", status->stx_mode & 07777U);
    stage_say(stage, "links: %u", status->stx_nlink);
    memset(status, 0, sizeof(*status));
    io_uring_prep_statx(stage_ask(stage, "statx of fd"), fd, "", AT_EMPTY_PATH, STATX_SIZE, status);
    stage_expect(stage, 1);
    stage_say(stage, "size: %llu", (unsigned long long)status->stx_size);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_statx"));
    io_uring_prep_statx(
            stage_ask(stage, "statx of fd"), fd, "", AT_EMPTY_PATH, STATX_NLINK, status);
    stage_expect(stage, 1);
    stage_say(stage, "links: %u", status->stx_nlink);
    io_uring_prep_statx(
            stage_ask(stage, "statx of nothing"), AT_FDCWD, "file_statx", 0, STATX_SIZE, status);
    stage_expect(stage, 1);
    io_uring_prep_statx(stage_ask(stage, "statx of ."), AT_FDCWD, ".", 0, STATX_TYPE, status);
    stage_expect(stage, 1);
    stage_say(stage, "directory: %d", S_ISDIR(status->stx_mode));
    stage_close(stage, fd);
}

void play_file_open_errors(struct stage *stage)
{
    int fd = create(stage, "file_open_errors", 0);
    ask_open(stage, "exists", "file_open_errors", O_RDWR | O_CREAT | O_EXCL);
    ask_open(stage, "exists, which is fine", "file_open_errors", O_RDWR | O_CREAT);
    ask_open(stage, "is missing", "file_open_errors.missing", O_RDONLY);
    ask_open(stage, "its directory is missing", "file_open_errors.missing/x", O_RDWR | O_CREAT);
    ask_open(stage, "its directory is a file", "file_open_errors/x", O_RDONLY);
    ask_open(stage, "is no directory", "file_open_errors", O_RDONLY | O_DIRECTORY);
    ask_open(stage, "is a directory", ".", O_RDWR);
    ask_open(stage, "no path", "", O_RDONLY);
    char *long_name = stage_memory(stage, 300);
    memset(long_name, 'x', 299);
    ask_open(stage, "is too long", long_name, O_RDONLY);
    io_uring_prep_openat(stage_ask(stage, "relative to no fd"), 4000, "x", O_RDONLY, 0);
    stage_expect(stage, 1);
    io_uring_prep_openat(stage_ask(stage, "relative to a file"), fd, "x", O_RDONLY, 0);
    stage_expect(stage, 1);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_open_errors"));
    stage_say_result(stage, "unlink of nothing", coil_kernel_unlink("file_open_errors"));
    stage_say_result(stage, "unlink of a directory", coil_kernel_unlink("."));
    stage_close(stage, fd);
}

void play_file_access(struct stage *stage)
{
    (void)coil_kernel_unlink("file_access");
    int fd = create(stage, "file_access", 0);
    int reader = stage_open_file(stage, "file_access", O_RDONLY);
    int writer = stage_open_file(stage, "file_access", O_WRONLY);
    write_at(stage, "write of a reader", reader, "x", 0);
    read_at(stage, "read of a writer", writer, 1, 0);
    int directory = stage_open_file(stage, ".", O_RDONLY | O_DIRECTORY);
    read_at(stage, "read of a directory", directory, 1, 0);
    read_at(stage, "read of no file", 4000, 1, 0);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), fd, POLLIN);
    stage_expect(stage, 1);
    io_uring_prep_recv(stage_ask(stage, "recv"), fd, stage_memory(stage, 8), 8, 0);
    stage_expect(stage, 1);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_access"));
    stage_close(stage, directory);
    stage_close(stage, writer);
    stage_close(stage, reader);
    stage_close(stage, fd);
}

void play_file_fsync(struct stage *stage)
{
    int fd = create(stage, "file_fsync", 0);
    stage_ends ends = stage_pipe(stage);
    write_at(stage, "write", fd, "kept", 0);
    io_uring_prep_fsync(stage_ask(stage, "fsync"), fd, 0);
    stage_expect(stage, 1);
    io_uring_prep_fsync(stage_ask(stage, "fdatasync"), fd, IORING_FSYNC_DATASYNC);
    stage_expect(stage, 1);
    io_uring_prep_fsync(stage_ask(stage, "of a pipe"), ends.in, 0);
    stage_expect(stage, 1);
    io_uring_prep_fsync(stage_ask(stage, "of no file"), 4000, 0);
    stage_expect(stage, 1);
    io_uring_prep_fsync(stage_ask(stage, "with an unknown flag"), fd, 64);
    stage_expect(stage, 1);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_fsync"));
    stage_close_ends(stage, ends);
    stage_close(stage, fd);
}

void play_file_splice(struct stage *stage)
{
    int fd = create(stage, "file_splice", 0);
    stage_ends ends = stage_pipe(stage);
    char *bytes = stage_memory(stage, 16);
    write_at(stage, "write", fd, "0123456789", 0);
    io_uring_prep_splice(stage_ask(stage, "file to pipe"), fd, 2, ends.in, -1, 4, 0);
    stage_expect(stage, 1);
    io_uring_prep_read(stage_ask(stage, "read"), ends.out, bytes, 16, POSITION);
    stage_expect(stage, 1);
    stage_say(stage, "bytes: %s", bytes);
    io_uring_prep_splice(stage_ask(stage, "at the end"), fd, 10, ends.in, -1, 4, 0);
    stage_expect(stage, 1);
    stage_put(stage, ends.in, "AB");
    io_uring_prep_splice(stage_ask(stage, "pipe to file"), ends.out, -1, fd, 0, 16, 0);
    stage_expect(stage, 1);
    read_at(stage, "read of the file", fd, 16, 0);
    io_uring_prep_splice(stage_ask(stage, "file to file"), fd, 0, fd, 5, 4, 0);
    stage_expect(stage, 1);
    stage_close(stage, ends.in);
    io_uring_prep_splice(stage_ask(stage, "of a pipe that has ended"), ends.out, -1, fd, 0, 16, 0);
    stage_expect(stage, 1);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_splice"));
    stage_close(stage, ends.out);
    stage_close(stage, fd);
}

void play_file_vectors(struct stage *stage)
{
    int fd = create(stage, "file_vectors", 0);
    char *bytes = stage_memory(stage, 32);
    struct iovec *parts = stage_memory(stage, 3 * sizeof(*parts));
    memcpy(bytes, "helloworld", 10);
    parts[0] = (struct iovec){bytes, 5};
    parts[1] = (struct iovec){bytes + 5, 0};
    parts[2] = (struct iovec){bytes + 5, 5};
    io_uring_prep_writev(stage_ask(stage, "writev"), fd, parts, 3, 0);
    stage_expect(stage, 1);
    memset(bytes, 0, 32);
    parts[0].iov_len = 7;
    parts[2] = (struct iovec){bytes + 16, 16};
    io_uring_prep_readv(stage_ask(stage, "readv"), fd, parts, 3, 0);
    stage_expect(stage, 1);
    stage_say(stage, "bytes: %s %s", bytes, bytes + 16);
    io_uring_prep_readv(stage_ask(stage, "readv of no parts"), fd, parts, 0, 0);
    stage_expect(stage, 1);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_vectors"));
    stage_close(stage, fd);
}

/* Two closes: the second finds nothing. */
void play_close_twice(struct stage *stage)
{
    int fd = coil_kernel_eventfd();
    io_uring_prep_close(stage_ask(stage, "close"), fd);
    stage_expect(stage, 1);
    io_uring_prep_close(stage_ask(stage, "close again"), fd);
    stage_expect(stage, 1);
    stage_say_result(stage, "close", coil_kernel_close(fd));
    int other = coil_kernel_eventfd();
    stage_say(stage, "the lowest free number: %d", other == fd);
    stage_close(stage, other);
}

/* The direct calls of the seam. */
void play_file_seam(struct stage *stage)
{
    struct stat status;
    struct statvfs file_system;
    int fd = create(stage, "file_seam", 0);
    int fds[2];
    write_at(stage, "write", fd, "0123456789", 0);
    stage_say_result(stage, "fstatat", coil_kernel_fstatat(AT_FDCWD, "file_seam", &status));
    stage_say(stage, "size: %lld, regular: %d", (long long)status.st_size, S_ISREG(status.st_mode));
    stage_say_result(stage, "fstatat of nothing",
            coil_kernel_fstatat(AT_FDCWD, "file_seam.missing", &status));
    stage_say_result(stage, "fstatvfs", coil_kernel_fstatvfs(fd, &file_system));
    stage_say_result(stage, "access", coil_kernel_faccessat(AT_FDCWD, "file_seam", 0));
    stage_say_result(
            stage, "access of nothing", coil_kernel_faccessat(AT_FDCWD, "file_seam.missing", 0));
    int again = coil_kernel_openat(AT_FDCWD, "file_seam", O_RDONLY);
    stage_say_fd(stage, "openat", again);
    stage_say_fd(stage, "openat of nothing",
            coil_kernel_openat(AT_FDCWD, "file_seam.missing", O_RDONLY));
    int above = coil_kernel_dup_above(fd, 500);
    stage_say(stage, "dup above 500: %d", above >= 500);
    stage_say_result(stage, "is device", coil_kernel_is_device(fd));
    stage_say_result(stage, "is device of nothing", coil_kernel_is_device(4000));
    stage_say_result(stage, "is TCP of a file", coil_kernel_is_tcp(fd));
    stage_say_result(stage, "pair", coil_kernel_socketpair(AF_UNIX, SOCK_STREAM, fds));
    stage_say_result(stage, "is TCP of a unix socket", coil_kernel_is_tcp(fds[0]));
    stage_say_result(stage, "write", coil_kernel_write(fds[0], "x", 1));
    stage_say_result(stage, "pread of a socket", coil_kernel_pread(fds[1], &status, 1, 0));
    stage_say_result(stage, "pread now of a socket", coil_kernel_pread_now(fds[1], &status, 1, 0));
    stage_say_result(stage, "send now to a file", coil_kernel_send_now(fd, "x", 1));
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_seam"));
    stage_close(stage, above);
    stage_close(stage, again);
    stage_close(stage, fd);
    stage_close(stage, fds[0]);
    stage_close(stage, fds[1]);
}

void play_file_of_faulty_memory(struct stage *stage)
{
    int fd = create(stage, "file_of_faulty_memory", 0);
    write_at(stage, "write", fd, "text", 0);
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): nothing is there, which is the point. */
    io_uring_prep_read(stage_ask(stage, "read"), fd, (void *)8, 4, 0);
    stage_expect(stage, 1);
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    io_uring_prep_write(stage_ask(stage, "write"), fd, (const void *)8, 4, 0);
    stage_expect(stage, 1);
    stage_say_result(stage, "unlink", coil_kernel_unlink("file_of_faulty_memory"));
    stage_close(stage, fd);
}
