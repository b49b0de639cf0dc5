/* SPDX-License-Identifier: MIT */
/*
 * coil/file.h - whole files and trees of them: read, replace, copy, make, remove.
 *
 *     coil_attempt(my->text, coil_read_file("/etc/service.conf", 64 * 1024));
 *     coil_defer(coil_slice_release(&my->text));
 *     coil_attempt(coil_replace_file("state.json", my->state, 0600));
 *
 * Each is made of the operations of coil/io.h, directories of coil/directory.h. What an await has
 * begun when it is cancelled is undone, but where it says otherwise; descriptors are closed. Paths
 * are relative to the working directory. Errors are those of the system calls that are named.
 *
 * On the loop's thread only.
 */
#ifndef COIL_FILE_H
#define COIL_FILE_H

#include <coil/buffer.h>
#include <coil/coro.h>

#include <sys/types.h>

COIL_BEGIN_DECLS

/*
 * All that a file holds, as one slice, to be released. -EFBIG: more than `limit_bytes`. Memory
 * grows with what has been read, so files without a size, as in proc(5), can be read as well. The
 * errors of openat(2), statx(2) and read(2); -ENOMEM.
 */
coil_declare(coil_slice, coil_read_file, (const char *) path, (size_t) limit_bytes);

/*
 * Have the file at `path` hold `bytes`, with the permissions `mode` less the umask: all of it or,
 * after an error, a cancellation or a power loss, what it held before; readers never see a part.
 * When this returns 0, it is on the disk. `bytes` must stay until then.
 *
 * A new file is written beside the old one, synced and given its name: rename(2). So owner, links
 * and extended attributes are those of a new file, and a symbolic link is replaced itself. The
 * errors of openat(2), write(2), fsync(2), renameat2(2); after one of the sync of the directory the
 * new file is there, but a power loss might bring back the old one. -ENOENT: `path` is empty;
 * -EISDIR: it ends with a slash; -ENAMETOOLONG; -EEXIST: no luck in a hundred tries at a name;
 * if `bytes` is the error of a read, that error, and nothing is written.
 */
coil_declare(int, coil_replace_file, (const char *) path, (coil_slice) bytes, (mode_t) mode);

/*
 * Copy the bytes of a file, from its start, and its permissions (less the umask) into a new one.
 * Result: how many bytes. -EEXIST: there is something at `to`; -EISDIR: `from` is a directory. The
 * file systems do it by themselves where they can (copy_file_range(2): a reflink, or on the
 * server). If it fails or is cancelled, the copy is removed. Not synced.
 */
coil_declare(int64_t, coil_copy_file, (const char *) from, (const char *) to);

/*
 * pread(2) and pwrite(2) until all of it has been transferred. coil_pread_all() ends early at the
 * end of the file: the result is how many bytes. coil_pwrite_all(): 0, or the error that came when
 * maybe a part of it was written already. Cancelled: as much as was.
 */
coil_declare(ssize_t, coil_pread_all, (int) fd, (void *) bytes, (size_t) size_bytes, (off_t) offset);
coil_declare(int, coil_pwrite_all, (int) fd, (const void *) bytes, (size_t) size_bytes, (off_t) offset);

/*
 * An open file in `directory` that has no name, and is gone when it is closed: O_TMPFILE; on file
 * systems that do not know this, a file whose name is removed at once. Result: the descriptor, for
 * reading and writing, or an error of openat(2).
 */
coil_declare(int, coil_open_temporary, (const char *) directory);

/*
 * The same with a name: the XXXXXX at the end of `path`, which lies in memory of the caller's,
 * becomes something that did not exist, for this user only: mkostemp(3), mkdtemp(3). Result: the
 * descriptor, 0; -EINVAL: `path` has no such end, -EEXIST: no luck in a hundred tries.
 */
coil_declare(int, coil_make_temporary, (char *) path);
coil_declare(int, coil_make_temporary_directory, (char *) path);

/*
 * Make a directory, and those above it that do not exist, with `mode` less the umask: mkdir -p.
 * One that exists is fine. What was made before a failure stays. -ENOTDIR: something else is in the
 * way. The errors of mkdirat(2).
 */
coil_declare(int, coil_make_directories, (const char *) path, (mode_t) mode);

/*
 * Remove what is at `path`: rm -r. Symbolic links are removed, never followed, also if somebody
 * puts them there meanwhile. Goes on after a failure; the first error is the result. -ENOENT:
 * there was nothing; of several who remove it at the same time, each succeeds who has seen it.
 * Cancelled: what has been removed is gone. It needs some thirty descriptors, however deep the tree
 * is: what lies deeper is moved to the top before it is removed.
 */
coil_declare(int, coil_remove_tree, (const char *) path);

COIL_END_DECLS

#endif
