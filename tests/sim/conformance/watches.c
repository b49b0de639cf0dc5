/* SPDX-License-Identifier: MIT */
/* inotify(7): what is told of files and directories, in which order, and what is not. */
#include "programs.h"

#include <coil/check.h>

#include <fcntl.h>
#include <unistd.h>

#include <linux/fs.h>
#include <sys/inotify.h>

enum { BATCH_BYTES = 4096 };

typedef struct watcher {
    struct stage *stage;
    int fd;
    uint32_t cookie; /* Of the last rename. */
} watcher;

/* ---------------------------------------------------------------------------------- telling -- */

static const struct {
    uint32_t bit;
    const char *name;
} bits[] = {
        {IN_ACCESS, "ACCESS"},
        {IN_MODIFY, "MODIFY"},
        {IN_ATTRIB, "ATTRIB"},
        {IN_CLOSE_WRITE, "CLOSE_WRITE"},
        {IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"},
        {IN_OPEN, "OPEN"},
        {IN_MOVED_FROM, "MOVED_FROM"},
        {IN_MOVED_TO, "MOVED_TO"},
        {IN_CREATE, "CREATE"},
        {IN_DELETE, "DELETE"},
        {IN_DELETE_SELF, "DELETE_SELF"},
        {IN_MOVE_SELF, "MOVE_SELF"},
        {IN_Q_OVERFLOW, "Q_OVERFLOW"},
        {IN_IGNORED, "IGNORED"},
        {IN_ISDIR, "ISDIR"},
};

static void say_event(watcher *w, const struct inotify_event *event)
{
    char text[200] = "";
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        if ((event->mask & bits[i].bit) == 0)
            continue;
        strcat(text, " ");
        strcat(text, bits[i].name);
    }
    const char *cookie = event->cookie == 0 ? "" : ", a cookie";
    if (event->cookie != 0 && event->cookie == w->cookie)
        cookie = ", the same cookie";
    w->cookie = event->cookie;
    stage_say(w->stage, "  %d:%s %s (%u)%s", event->wd, text, event->len > 0 ? event->name : "-",
            event->len, cookie);
}

/* What one read gets. */
static void say_events(watcher *w, const char *what)
{
    char *batch = stage_memory(w->stage, BATCH_BYTES);
    io_uring_prep_read(stage_ask(w->stage, "read"), w->fd, batch, BATCH_BYTES, 0);
    stage_do(w->stage, 1);
    const int32_t size_bytes = stage_result(w->stage, "read");
    stage_say(w->stage, "%s:", what);
    if (size_bytes < 0)
        stage_say_result(w->stage, "read", size_bytes);
    for (int32_t at = 0; at < size_bytes;) {
        const struct inotify_event *event =
                (const struct inotify_event *)(const void *)(batch + at);
        say_event(w, event);
        at += (int32_t)(sizeof(*event) + event->len);
    }
}

static watcher watcher_of(struct stage *stage)
{
    return (watcher){.stage = stage, .fd = coil_kernel_inotify()};
}

static int add(watcher *w, const char *path, uint32_t mask)
{
    const int number = coil_kernel_inotify_add(w->fd, path, mask);
    stage_say_result(w->stage, "watch", number);
    return number;
}

/* ----------------------------------------------------------------------------------- deeds -- */

static int opened(struct stage *stage, const char *path, int flags)
{
    io_uring_prep_openat(stage_ask(stage, "open"), AT_FDCWD, path, flags | O_CLOEXEC, 0600);
    stage_do(stage, 1);
    return stage_result(stage, "open");
}

/* These two without the ring, in which something may be waiting. */
static void touch(const char *path)
{
    const int fd = coil_kernel_openat(AT_FDCWD, path, O_RDWR | O_CREAT);
    COIL_CHECK(fd >= 0 && coil_kernel_close(fd) == 0);
}

static void unlink_path(const char *path)
{
    COIL_CHECK(coil_kernel_unlink(path) == 0);
}

static void make_directory(struct stage *stage, const char *path)
{
    io_uring_prep_mkdirat(stage_ask(stage, "mkdir"), AT_FDCWD, path, 0755);
    stage_do(stage, 1);
}

static void remove_directory(struct stage *stage, const char *path)
{
    io_uring_prep_unlinkat(stage_ask(stage, "rmdir"), AT_FDCWD, path, AT_REMOVEDIR);
    stage_do(stage, 1);
}

static void move(struct stage *stage, const char *from, const char *to, unsigned flags)
{
    io_uring_prep_renameat(stage_ask(stage, "rename"), AT_FDCWD, from, AT_FDCWD, to, flags);
    stage_do(stage, 1);
}

/* -------------------------------------------------------------------------------- programs -- */

void play_watch_directory(struct stage *stage)
{
    make_directory(stage, "watch_directory");
    watcher w = watcher_of(stage);
    (void)add(&w, "watch_directory", IN_ALL_EVENTS);
    int fd = opened(stage, "watch_directory/file", O_RDWR | O_CREAT);
    stage_put(stage, fd, "abc");
    say_events(&w, "made and written");
    stage_put(stage, fd, "def");
    stage_put(stage, fd, "ghi");
    stage_close(stage, fd);
    say_events(&w, "twice the same is told once");
    char *bytes = stage_memory(stage, 16);
    fd = opened(stage, "watch_directory/file", O_RDONLY);
    io_uring_prep_read(stage_ask(stage, "pread"), fd, bytes, 4, 0);
    stage_do(stage, 1);
    stage_close(stage, fd);
    say_events(&w, "read");
    stage_close(stage, opened(stage, "watch_directory/file", O_WRONLY | O_TRUNC));
    say_events(&w, "cut by open");
    make_directory(stage, "watch_directory/below");
    touch("watch_directory/below/deeper");
    unlink_path("watch_directory/below/deeper");
    remove_directory(stage, "watch_directory/below");
    unlink_path("watch_directory/file");
    say_events(&w, "a directory comes and goes, then the file");
    remove_directory(stage, "watch_directory");
    say_events(&w, "and the directory itself");
    stage_close(stage, w.fd);
}

void play_watch_file(struct stage *stage)
{
    touch("watch_file");
    watcher w = watcher_of(stage);
    (void)add(&w, "watch_file", IN_ALL_EVENTS);
    int fd = opened(stage, "watch_file", O_RDWR);
    stage_put(stage, fd, "abc");
    io_uring_prep_ftruncate(stage_ask(stage, "ftruncate"), fd, 1);
    stage_do(stage, 1);
    io_uring_prep_fallocate(stage_ask(stage, "fallocate"), fd, 0, 0, 100);
    stage_do(stage, 1);
    say_events(&w, "written, cut, grown");
    io_uring_prep_linkat(
            stage_ask(stage, "link"), AT_FDCWD, "watch_file", AT_FDCWD, "watch_file.too", 0);
    stage_do(stage, 1);
    say_events(&w, "linked");
    unlink_path("watch_file.too");
    unlink_path("watch_file");
    say_events(&w, "both names are gone, and it is open");
    stage_close(stage, fd);
    say_events(&w, "closed");
    stage_say_result(stage, "remove", coil_kernel_inotify_remove(w.fd, 1));
    stage_close(stage, w.fd);
}

void play_watch_rename(struct stage *stage)
{
    make_directory(stage, "watch_rename");
    make_directory(stage, "watch_rename/a");
    make_directory(stage, "watch_rename/b");
    touch("watch_rename/a/x");
    touch("watch_rename/b/y");
    watcher w = watcher_of(stage);
    (void)add(&w, "watch_rename/a", IN_ALL_EVENTS);
    (void)add(&w, "watch_rename/b", IN_ALL_EVENTS);
    (void)add(&w, "watch_rename/a/x", IN_ALL_EVENTS);
    (void)add(&w, "watch_rename/b/y", IN_ALL_EVENTS);
    move(stage, "watch_rename/a/x", "watch_rename/a/z", 0);
    say_events(&w, "within a directory");
    move(stage, "watch_rename/a/z", "watch_rename/b/y", 0);
    say_events(&w, "over another one");
    int fd = opened(stage, "watch_rename/b/y", O_WRONLY);
    move(stage, "watch_rename/b/y", "watch_rename/a/w", 0);
    stage_put(stage, fd, "abc");
    stage_close(stage, fd);
    say_events(&w, "while it is open");
    touch("watch_rename/b/v");
    move(stage, "watch_rename/a/w", "watch_rename/b/v", RENAME_EXCHANGE);
    say_events(&w, "exchanged");
    move(stage, "watch_rename/b", "watch_rename/a/c", 0);
    say_events(&w, "a directory");
    unlink_path("watch_rename/a/c/v");
    unlink_path("watch_rename/a/w");
    say_events(&w, "removed");
    remove_directory(stage, "watch_rename/a/c");
    remove_directory(stage, "watch_rename/a");
    remove_directory(stage, "watch_rename");
    stage_close(stage, w.fd);
}

void play_watch_misused(struct stage *stage)
{
    stage_ends ends = stage_pipe(stage);
    touch("watch_misused");
    watcher w = watcher_of(stage);
    (void)add(&w, "watch_misused", 0);
    (void)add(&w, "watch_misused", 1U << 20);
    (void)add(&w, "watch_misused.none", IN_MODIFY);
    (void)add(&w, "watch_misused/x", IN_MODIFY);
    (void)add(&w, "watch_misused", IN_MODIFY | IN_ONLYDIR);
    (void)add(&w, "watch_misused", IN_MODIFY | IN_MASK_ADD | IN_MASK_CREATE);
    (void)add(&w, "watch_misused", IN_MODIFY);
    (void)add(&w, "watch_misused", IN_MODIFY | IN_MASK_CREATE);
    (void)add(&w, "watch_misused", IN_OPEN | IN_MASK_ADD);
    stage_say_result(stage, "of a pipe", coil_kernel_inotify_add(ends.out, ".", IN_MODIFY));
    stage_say_result(stage, "of nothing", coil_kernel_inotify_add(-1, ".", IN_MODIFY));
    stage_say_result(stage, "remove of a pipe", coil_kernel_inotify_remove(ends.out, 1));
    stage_say_result(stage, "remove of nothing", coil_kernel_inotify_remove(-1, 1));
    stage_say_result(stage, "remove of another", coil_kernel_inotify_remove(w.fd, 7));
    char *bytes = stage_memory(stage, 64);
    io_uring_prep_write(stage_ask(stage, "write"), w.fd, bytes, 64, 0);
    stage_expect(stage, 1);
    int fd = opened(stage, "watch_misused", O_WRONLY);
    stage_put(stage, fd, "abc");
    io_uring_prep_read(stage_ask(stage, "read of 15"), w.fd, bytes, 15, 0);
    stage_expect(stage, 1);
    io_uring_prep_read(stage_ask(stage, "read of 16"), w.fd, bytes, 16, 0);
    stage_expect(stage, 1);
    say_events(&w, "both masks");
    (void)add(&w, "watch_misused", IN_CLOSE_WRITE);
    stage_put(stage, fd, "abc");
    stage_close(stage, fd);
    say_events(&w, "the last mask");
    unlink_path("watch_misused");
    stage_close(stage, w.fd);
    stage_close_ends(stage, ends);
}

void play_watch_ends(struct stage *stage)
{
    make_directory(stage, "watch_ends");
    watcher w = watcher_of(stage);
    (void)add(&w, "watch_ends", IN_CREATE);
    touch("watch_ends/before");
    stage_say_result(stage, "remove", coil_kernel_inotify_remove(w.fd, 1));
    touch("watch_ends/after");
    say_events(&w, "removed");
    stage_say_result(stage, "remove", coil_kernel_inotify_remove(w.fd, 1));
    (void)add(&w, "watch_ends", IN_DELETE | IN_ONESHOT);
    unlink_path("watch_ends/before");
    unlink_path("watch_ends/after");
    say_events(&w, "once");
    char *bytes = stage_memory(stage, 64);
    (void)add(&w, "watch_ends", IN_CREATE);
    io_uring_prep_read(stage_ask(stage, "read"), w.fd, bytes, 64, 0);
    stage_expect_nothing(stage);
    touch("watch_ends/x");
    stage_expect(stage, 1);
    stage_ask_poll(stage, "poll", w.fd);
    stage_expect_nothing(stage);
    unlink_path("watch_ends/x");
    touch("watch_ends/a-name-of-sixteen");
    stage_expect(stage, 1);
    say_events(&w, "after the poll");
    unlink_path("watch_ends/a-name-of-sixteen");
    int fd = opened(stage, "watch_ends", O_RDONLY | O_DIRECTORY);
    remove_directory(stage, "watch_ends");
    stage_close(stage, fd);
    say_events(&w, "with its directory");
    stage_close(stage, w.fd);
}

/* What comes after the queue is full is lost, and one event says so: the last. */
void play_watch_overflow(struct stage *stage)
{
    enum { FILES = 10000, BYTES = 1 << 20 };
    int lost_count = 0;
    watcher w = watcher_of(stage);
    touch("watch_overflow");
    (void)add(&w, ".", IN_OPEN | IN_CLOSE_NOWRITE);
    for (int i = 0; i < FILES; i++) {
        const int fd = coil_kernel_openat(AT_FDCWD, "watch_overflow", O_RDONLY);
        COIL_CHECK(fd >= 0);
        (void)coil_kernel_close(fd);
    }
    char *batch = stage_memory(stage, BYTES);
    io_uring_prep_read(stage_ask(stage, "read"), w.fd, batch, BYTES, 0);
    stage_do(stage, 1);
    const int32_t size_bytes = stage_result(stage, "read");
    for (int32_t at = 0; at < size_bytes;) {
        const struct inotify_event *event =
                (const struct inotify_event *)(const void *)(batch + at);
        at += (int32_t)(sizeof(*event) + event->len);
        lost_count += (event->mask & IN_Q_OVERFLOW) != 0;
        if (at == size_bytes)
            say_event(&w, event);
    }
    stage_say(stage, "overflows: %d", lost_count);
    stage_close(stage, coil_kernel_openat(AT_FDCWD, "watch_overflow", O_RDONLY));
    say_events(&w, "afterwards");
    stage_close(stage, w.fd);
    unlink_path("watch_overflow");
}
