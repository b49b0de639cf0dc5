/* SPDX-License-Identifier: MIT */
/*
 * coil/file_watch.h - what happens to files and directories: inotify(7).
 *
 *     coil_file_watch_create(loop, &watch)
 *     coil_file_watch_add(watch, "/etc/service", IN_CLOSE_WRITE | IN_MOVED_TO)
 *     coil_attempt(my->rc, coil_file_watch_next(watch, &my->event));    again and again
 *     coil_file_watch_close(watch)
 *
 * For configurations that are read again, spool directories, logs that are followed. Whoever
 * replaces a file (coil_replace_file(), editors) gives a new one the old name: watch the directory,
 * not the file, and look for IN_MOVED_TO.
 *
 * Invariants
 *   - Events come in the order in which things happened, each once. A cancelled wait loses none.
 *   - Nothing tells what happened before the watch was added, or what happens deeper in the tree.
 *   - The kernel keeps so many events for us (max_queued_events). What it had to drop is one event
 *     with IN_Q_OVERFLOW, whose `watch` is -1: look at everything again.
 *
 * One task at a time waits. On the loop's thread only. asyncio has none, libuv: uv_fs_event_t.
 */
#ifndef COIL_FILE_WATCH_H
#define COIL_FILE_WATCH_H

#include <coil/coro.h>
#include <coil/loop.h>

#include <stdint.h>
#include <sys/inotify.h>

COIL_BEGIN_DECLS

typedef struct coil_file_watch coil_file_watch;

typedef struct coil_file_event {
    int watch;        /* What coil_file_watch_add() said. */
    uint32_t mask;    /* IN_CREATE, ...; IN_ISDIR; IN_IGNORED: the watch has ended. */
    uint32_t cookie;  /* The same in IN_MOVED_FROM and IN_MOVED_TO of one rename. */
    const char *name; /* In the watched directory, until the next event; "": the file itself. */
} coil_file_event;

/* -EMFILE: also if the user has too many of them; -ENOMEM. */
COIL_API int coil_file_watch_create(coil_loop *loop, coil_file_watch **out_watch);

/*
 * Watch a path for the events of `mask`, with the flags of inotify_add_watch(2). Result: its
 * number in the events. The same file again: the same number, and the new mask in place of the old
 * one, unless there is IN_MASK_ADD. -ENOENT, -EACCES, -ENOSPC: the user has too many.
 */
COIL_API int coil_file_watch_add(coil_file_watch *watch, const char *path, uint32_t mask);

/* End it: an IN_IGNORED follows what has happened before. -EINVAL: there is no such number. */
COIL_API int coil_file_watch_remove(coil_file_watch *watch, int number);

/* The next event. 0, or an error of read(2). */
coil_declare(int, coil_file_watch_next, (coil_file_watch *) watch, (coil_file_event *) out_event);

/* Does not wait. Nobody may be waiting. Takes NULL. */
COIL_API void coil_file_watch_close(coil_file_watch *watch);

COIL_END_DECLS

#endif
