/* SPDX-License-Identifier: MIT */
/*
 * coil/directory.h - the names in a directory, one after the other.
 *
 *     coil_attempt(my->directory, coil_directory_open(AT_FDCWD, "/var/spool"));
 *     coil_defer(coil_directory_close(my->directory));
 *     for (;;) {
 *         coil_attempt(my->rc, coil_directory_next(my->directory, &my->entry));
 *         if (my->rc == 0)
 *             return 0;
 *         use my->entry.name
 *     }
 *
 * io_uring has no operation for it, so getdents64(2) is called on a thread of the default pool
 * (coil/blocking.h), once for some hundred names. In which order they come, and whether one that
 * comes or goes meanwhile is among them, is the file system's business; "." and ".." never are.
 *
 * One task at a time. On the loop's thread only.
 */
#ifndef COIL_DIRECTORY_H
#define COIL_DIRECTORY_H

#include <coil/coro.h>
#include <coil/loop.h>

#include <sys/types.h>

COIL_BEGIN_DECLS

typedef struct coil_directory coil_directory;

typedef struct coil_directory_entry {
    const char *name;   /* Until the next entry, or the close. */
    ino_t inode;        /* Its number. */
    unsigned char type; /* DT_REG, DT_DIR ... of readdir(3); DT_UNKNOWN: ask coil_statx(). */
} coil_directory_entry;

/*
 * Open the directory at `path`, relative to the descriptor `at`, or AT_FDCWD. A failure is an error
 * pointer (coil_pointer_error()): those of openat(2), above all -ENOENT, -ENOTDIR, -EACCES; or
 * -ENOMEM.
 */
coil_declare(coil_directory *, coil_directory_open, (int) at, (const char *) path);

/* The same for an open directory, which belongs to it from here on, also if it fails. -ENOMEM. */
COIL_API int coil_directory_create(coil_loop *loop, int fd, coil_directory **out_directory);

/*
 * 1: the next entry; 0: there are no more; or an error of getdents64(2), of which -ENOENT says that
 * the directory has been removed, or one of coil_blocking(). Cancelled: nothing is lost.
 */
coil_declare(
        int, coil_directory_next, (coil_directory *) directory, (coil_directory_entry *) out_entry);

/* For the calls with a descriptor in coil/io.h: coil_unlinkat(fd, entry.name, 0). Still its. */
COIL_API int coil_directory_fd(const coil_directory *directory);

/*
 * Have the disk know the names in a directory: what was made, renamed or removed there before this
 * stays so after a power loss, which fsync(2) of the files themselves does not promise. `path` as
 * in coil_directory_open(); or "", for the open directory `at` itself. 0, or the errors of
 * openat(2) and fsync(2): after -EIO the names may be lost, also if it succeeds the next time;
 * -EINVAL the file system cannot.
 */
coil_declare(int, coil_directory_sync, (int) at, (const char *) path);

/* Does not wait: the loop closes the descriptor. Nobody may be using it. Takes NULL. */
COIL_API void coil_directory_close(coil_directory *directory);

COIL_END_DECLS

#endif
