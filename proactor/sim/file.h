/* SPDX-License-Identifier: MIT */
/*
 * file.h - an open file description: whatever a descriptor may stand for.
 *
 * Each type of file is a `sim_file` as the first member of its own struct, and a constant
 * `sim_file_type` whose functions do what the system calls of the same names do, at once, or return
 * -EAGAIN. No function of a type waits, none completes requests, none knows io_uring: the ring and
 * the direct calls of the seam try, wait for sim_file_changed(), and try again. Nor does a type
 * simulate short transfers, interruptions or latency of requests, which is done once for all in
 * request.c; a type has the faults that only it can have (a reset, a full disk).
 *
 * When a transfer is tried is when memory is touched: sim_io names the memory of the process
 * itself, and the type copies from or to it by sim_io_put() and sim_io_take().
 *
 * Files are counted: each descriptor, direct descriptor and request in flight holds one reference.
 */
#ifndef SIM_FILE_H
#define SIM_FILE_H

#include "world.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

typedef struct sim_file sim_file;
typedef struct sim_file_type sim_file_type;

/* One transfer: what read(2), pread(2), recvmsg(2) ... are told. */
typedef struct sim_io {
    const struct iovec *parts; /* Memory of the process. */
    unsigned part_count;
    size_t size_bytes;      /* All parts; less, if it is to be a short transfer. */
    size_t done_bytes;      /* So far; sim_io_put() and sim_io_take() count. */
    int64_t offset;         /* Where in the file; -1: at its position, which moves. */
    int flags;              /* MSG_... of recv(2) and send(2); RWF_... of preadv2(2). */
    struct msghdr *message; /* recvmsg(2), sendmsg(2): name, control, msg_flags. Else NULL. */
    sim_process *process;   /* Who asks; it may not be the current one. */
    bool is_spent;          /* With -EAGAIN: the next attempt has no bytes any more (Linux). */
} sim_io;

/* Memory that is only read, as an iovec has it, which knows no const. */
static inline struct iovec sim_part_of(const void *bytes, size_t size_bytes)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    return (struct iovec){(char *)(uintptr_t)bytes, size_bytes};
}

/* How many bytes are still to be transferred. */
static inline size_t sim_io_left(const sim_io *io)
{
    return io->size_bytes - io->done_bytes;
}

/* Copy to the memory of the process, at most what is left. The number of bytes copied. */
size_t sim_io_put(sim_io *io, const void *bytes, size_t size_bytes);

/* Copy from the memory of the process, at most what is left. The number of bytes copied. */
size_t sim_io_take(sim_io *io, void *bytes, size_t size_bytes);

/*
 * What a file can do. NULL: it cannot, and the caller gets the error in brackets. Results are those
 * of the man pages, errors negative. -EAGAIN (and for connect -EINPROGRESS, again and again until
 * it is decided): tried again after a sim_file_changed() after which `poll` says that it may
 * succeed.
 */
struct sim_file_type {
    const char *name;

    /* What poll(2) would report of all that it knows. [POLLIN | POLLOUT, as for regular files] */
    short (*poll)(sim_file *file);

    /* read(2), write(2) and their kin. 0 from read is the end. [-EINVAL] */
    ssize_t (*read)(sim_file *file, sim_io *io);
    ssize_t (*write)(sim_file *file, sim_io *io);
    bool has_messages; /* Counters, signals, datagrams: no transfer is made shorter than it is. */
    bool has_offset;   /* pread(2) works; else -ESPIPE if io->offset is not -1. */

    /*
     * recv(2) and send(2), with or without a message. MSG_DONTWAIT, MSG_NOSIGNAL and MSG_WAITALL
     * are seen to by the caller; MSG_PEEK, MSG_TRUNC and the like are the type's. [-ENOTSOCK] A
     * socket without read and write has these called instead.
     */
    ssize_t (*recv)(sim_file *file, sim_io *io);
    ssize_t (*send)(sim_file *file, sim_io *io);

    /* [-ENOTSOCK] */
    int (*bind)(sim_file *file, const struct sockaddr *address, socklen_t size_bytes);
    int (*listen)(sim_file *file, int backlog);
    int (*connect)(sim_file *file, const struct sockaddr *address, socklen_t size_bytes);
    int (*shutdown)(sim_file *file, int how);
    int (*getsockname)(sim_file *file, struct sockaddr *address, socklen_t *size_bytes);
    int (*setsockopt)(
            sim_file *file, int level, int option, const void *value, socklen_t size_bytes);
    int (*getsockopt)(sim_file *file, int level, int option, void *value, socklen_t *size_bytes);

    /* The next connection, whose first reference is the caller's. `address` may be NULL. */
    int (*accept)(
            sim_file *file, struct sockaddr *address, socklen_t *size_bytes, sim_file **out_file);

    /* fstat(2) [-EBADF]; fsync(2), fdatasync(2) [-EINVAL] */
    int (*stat)(sim_file *file, struct stat *out_status);
    int (*sync)(sim_file *file, bool data_only);

    /*
     * What is left to be received or accepted, as far as the kernel tells (msghdr.msg_inq, what
     * IORING_CQE_F_SOCK_NONEMPTY is made of). [not known]
     */
    size_t (*queued)(sim_file *file);

    /* A descriptor of it in `process` is closed; it may have others. [nothing to do] */
    void (*closed)(sim_file *file, sim_process *process);

    /* The last reference has gone: free it. Nothing waits for it any more. Never NULL. */
    void (*release)(sim_file *file);
};

struct sim_file {
    const sim_file_type *type;
    sim_world *world;
    unsigned reference_count;
    bool is_nonblocking; /* O_NONBLOCK */
    sim_waiters waiters; /* For changes of what `poll` says. */
    short announced;     /* While waiters are told: with which events. 0: with none. */
    uint64_t id;         /* In order of creation: for traces. */
};

/* With one reference, that of the caller. The rest of the memory is the type's. */
void sim_file_init(sim_file *file, const sim_file_type *type, sim_world *world);

sim_file *sim_file_hold(sim_file *file);

/* Takes NULL. With the last reference it is freed. */
void sim_file_drop(sim_file *file);

/* Something that `poll` looks at has changed, or an error has come: those who wait try again. */
void sim_file_changed(sim_file *file);

/*
 * Somebody has connected to a listening socket: of those who accept there, the first is told alone,
 * until it waits no more (observed: accept_of_two).
 */
void sim_file_connected(sim_file *file);

/*
 * The same, and say what has happened, as the kernel does where it wakes with a mask: a poll that
 * is woken so tells these events without looking whether they are still so (observed:
 * poll_is_woken, poll_of_urgent_data).
 */
void sim_file_announce(sim_file *file, short events);

/* type->poll */
short sim_file_poll(sim_file *file);

/*
 * The current fiber waits until one of `events` is so, or POLLERR or POLLHUP; and until `deadline`.
 * 0, or -ETIME. For calls that block, outside of a ring.
 */
int sim_file_wait(sim_file *file, short events, coil_time deadline);

/* As those of the type, with the errors in brackets; never waiting. */
ssize_t sim_file_read(sim_file *file, sim_io *io);
ssize_t sim_file_write(sim_file *file, sim_io *io);
ssize_t sim_file_recv(sim_file *file, sim_io *io);
ssize_t sim_file_send(sim_file *file, sim_io *io);

/* eventfd(2) */
extern const sim_file_type sim_eventfd_type;
sim_file *sim_eventfd_create(sim_world *world);

#endif
