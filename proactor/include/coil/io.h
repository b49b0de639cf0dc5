/* SPDX-License-Identifier: MIT */
/*
 * coil/io.h - the operations of the kernel, to be awaited: files, pipes, sockets, terminals alike.
 *
 *     coil_attempt(my->size_bytes, coil_read(fd, my->bytes, sizeof(my->bytes)));
 *     coil_await(my->rc, coil_within(coil_s(2), coil_connect_fd(fd, address, address_bytes)));
 *
 * Each is what its man page says, done by io_uring, in one operation; only coil_pread() of what the
 * page cache has does not take the way through the ring. These rules are for all:
 *
 *   - Results are 0 or a count, or a negative errno; -EINTR does not happen.
 *   - What a pointer names is lent to the kernel until the await ends, so it must not be a local
 *     variable of the coroutine: put it into its vars.
 *   - Cancellation loses nothing: an operation that succeeded all the same delivers its success,
 *     and the cancellation hits the next await.
 *   - Ordinary descriptors should be blocking ones; waiting is the ring's business.
 *   - A descriptor with the bit COIL_DIRECT is a slot of the loop's table of direct descriptors.
 *     Every operation here takes both kinds; nobody else does.
 *   - On the loop's thread only.
 */
#ifndef COIL_IO_H
#define COIL_IO_H

#include <coil/coro.h>
#include <coil/loop.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>

COIL_BEGIN_DECLS

enum {
    COIL_DIRECT = 1 << 30, /* A bit of a descriptor: it is a direct one. */
};

/* Is it a direct descriptor? Any thread. */
static inline bool coil_fd_is_direct(int fd)
{
    return fd >= 0 && (fd & COIL_DIRECT) != 0;
}

/* ------------------------------------------------------------------------ any descriptor -- */

/*
 * read(2), write(2): at the file position, if there is one. May transfer less than asked for.
 * -EPIPE: nobody reads the pipe any more; there is no signal (coil/loop.h).
 */
coil_declare(ssize_t, coil_read, (int) fd, (void *) bytes, (size_t) size_bytes);
coil_declare(ssize_t, coil_write, (int) fd, (const void *) bytes, (size_t) size_bytes);

/*
 * pread(2), pwrite(2). A read of what is cached is done at once, without the ring; but not so many
 * in one turn of the loop that others would have to wait. -EINVAL: the offset is negative; -1 is
 * not the file position here. On pipes, sockets and terminals the offset is ignored, as if it were
 * coil_read() or coil_write(); there is no -ESPIPE.
 */
coil_declare(ssize_t, coil_pread, (int) fd, (void *) bytes, (size_t) size_bytes, (off_t) offset);
coil_declare(ssize_t, coil_pwrite, (int) fd, (const void *) bytes, (size_t) size_bytes, (off_t) offset);

/* preadv2(2), pwritev2(2): offset -1 is the file position. */
coil_declare(
        ssize_t, coil_readv, (int) fd, (const struct iovec *) parts, (unsigned) count, (off_t) offset);
coil_declare(
        ssize_t, coil_writev, (int) fd, (const struct iovec *) parts, (unsigned) count, (off_t) offset);

/*
 * poll(2) for one descriptor. Result: the events that have happened. That a socket may have urgent
 * data (POLLPRI) is also said when bytes come that are not: io_uring tells what the socket has
 * announced, and announced are both together. recv(2) with MSG_OOB then says that there is none.
 */
coil_declare(int, coil_poll, (int) fd, (short) events);

/* splice(2): offsets -1 are file positions; one of the two is a pipe. */
coil_declare(ssize_t, coil_splice, (int) from, (off_t) from_offset, (int) to, (off_t) to_offset,
        (size_t) size_bytes, (unsigned) flags);

/* close(2), in a cancelled task, too: the descriptor is gone then, whatever this returns. */
coil_declare(int, coil_close, (int) fd);

/* The same without waiting for it, from anywhere on the loop's thread. */
COIL_API void coil_close_later(coil_loop *loop, int fd);

/* An ordinary descriptor for a direct one; both are open then. Since Linux 6.8, else -EINVAL. */
coil_declare(int, coil_install, (int) direct);

/* ------------------------------------------------------------------------------- sockets -- */

/*
 * recv(2), send(2); send never raises SIGPIPE. A datagram that has to wait for room in the queue of
 * a unix socket goes out empty, with the result 0 (Linux 6.18, when io_uring sends it): poll first.
 */
coil_declare(ssize_t, coil_recv, (int) fd, (void *) bytes, (size_t) size_bytes, (int) flags);
coil_declare(ssize_t, coil_send, (int) fd, (const void *) bytes, (size_t) size_bytes, (int) flags);

/* recvmsg(2), sendmsg(2) */
coil_declare(ssize_t, coil_recvmsg, (int) fd, (struct msghdr *) message, (int) flags);
coil_declare(ssize_t, coil_sendmsg, (int) fd, (const struct msghdr *) message, (int) flags);

/* accept4(2) with SOCK_CLOEXEC; the pointers may be NULL. Result: the descriptor. */
coil_declare(int, coil_accept_fd, (int) fd, (struct sockaddr *) address, (socklen_t *) address_bytes);

/* connect(2). -ETIMEDOUT: the network gave up. */
coil_declare(
        int, coil_connect_fd, (int) fd, (const struct sockaddr *) address, (socklen_t) address_bytes);

/* shutdown(2) */
coil_declare(int, coil_shutdown, (int) fd, (int) how);

/* --------------------------------------------------------------------------------- files -- */

/*
 * openat(2) with O_CLOEXEC. AT_FDCWD: relative to the working directory. Result: the descriptor.
 * A FIFO need not wait for its other end: the kernel may open it as if with O_NONBLOCK.
 */
coil_declare(int, coil_openat, (int) directory, (const char *) path, (int) flags, (mode_t) mode);

/* fsync(2), or fdatasync(2) if `data_only`. */
coil_declare(int, coil_fsync, (int) fd, (bool) data_only);

/* statx(2). The struct and its constants need _GNU_SOURCE, defined before the first header. */
coil_declare(int, coil_statx, (int) directory, (const char *) path, (int) flags, (unsigned) mask,
        (struct statx *) out_status);

/* fallocate(2); a `mode` of 0 makes room, and the file larger if it was not so large. */
coil_declare(int, coil_fallocate, (int) fd, (int) mode, (off_t) offset, (off_t) size_bytes);

/* ftruncate(2). Since Linux 6.9, else -EINVAL. */
coil_declare(int, coil_ftruncate, (int) fd, (off_t) size_bytes);

/*
 * renameat2(2), linkat(2), symlinkat(2), unlinkat(2), mkdirat(2). AT_FDCWD: relative to the working
 * directory. Names are on the disk when the directories that have them have been synced:
 * coil_fsync().
 */
coil_declare(int, coil_renameat, (int) from_directory, (const char *) from, (int) to_directory,
        (const char *) to, (unsigned) flags);
coil_declare(int, coil_linkat, (int) from_directory, (const char *) from, (int) to_directory,
        (const char *) to, (int) flags);
coil_declare(int, coil_symlinkat, (const char *) target, (int) directory, (const char *) path);
coil_declare(int, coil_unlinkat, (int) directory, (const char *) path, (int) flags);
coil_declare(int, coil_mkdirat, (int) directory, (const char *) path, (mode_t) mode);

/*
 * What the disk has to be waited for is done by threads of the kernel. All loops of a thread share
 * them, and there are at most four for each processor (io_uring_register_iowq_max_workers(3)): if
 * so many are held up by a disk that hangs, the files of others have to wait as well. Who has a
 * file of which that may be feared, and at most one operation on it at a time, adds one thread to
 * the limit for as long as it is used. It exists while it is needed. RLIMIT_NPROC is the bound.
 */
COIL_API void coil_io_worker_add(coil_loop *loop);
COIL_API void coil_io_worker_remove(coil_loop *loop);

/* ----------------------------------------------------------------------------- processes -- */

/*
 * waitid(2). With WNOWAIT in `options` the child stays to be reaped (coil_kernel_reap), so that a
 * cancellation cannot swallow its status. `out_status` is written when the await ends, not before;
 * NULL if only the end is wanted.
 */
coil_declare(int, coil_waitid, (idtype_t) type, (id_t) id, (siginfo_t *) out_status, (int) options);

COIL_END_DECLS

#endif
