/* SPDX-License-Identifier: MIT */
/*
 * coil/kernel.h - the system calls that have no io_uring operation, or are made outside of a loop.
 *
 * This is the public half of the seam to the kernel: every system call that Coil makes is behind it
 * (or behind its private half, the ring), in files of its own, so that a simulated kernel can be
 * linked in their place. Nothing else in the library enters the kernel by itself (tests/lint/seam),
 * but for two: a spawned child between coil_kernel_clone() and its exec, which may call nothing
 * else (proc/spawn_child.c), and stdio, for lines that are meant for people.
 *
 * All of them return 0, a descriptor or a count, or a negative errno; errno itself is not part of
 * the contract. Descriptors are close-on-exec. Any thread. Each is otherwise what its man page
 * says.
 */
#ifndef COIL_KERNEL_H
#define COIL_KERNEL_H

#include <coil/base.h>
#include <coil/time.h>

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <termios.h>

COIL_BEGIN_DECLS

struct addrinfo; /* <netdb.h> */
struct mmsghdr;  /* <sys/socket.h> */

/* CLOCK_MONOTONIC. */
COIL_API coil_time coil_kernel_now(void);

/* CLOCK_REALTIME, in seconds since 1970: a date, to be shown. It may jump. */
COIL_API int64_t coil_kernel_time_s(void);

/* The same clock, in microseconds. */
COIL_API int64_t coil_kernel_time_us(void);

/* getrandom(2): bytes that nobody can guess. Always all of them. */
COIL_API void coil_kernel_random(void *bytes, size_t size_bytes);

/*
 * socket(2), bind(2), listen(2), connect(2), setsockopt(2), getsockopt(2), getsockname(2),
 * getpeername(2)
 */
COIL_API int coil_kernel_socket(int family, int type, int protocol);
COIL_API int coil_kernel_bind(int fd, const struct sockaddr *address, socklen_t size_bytes);
COIL_API int coil_kernel_listen(int fd, int backlog);
COIL_API int coil_kernel_connect_now(int fd, const struct sockaddr *address, socklen_t size_bytes);
COIL_API int coil_kernel_setsockopt(
        int fd, int level, int option, const void *value, socklen_t size_bytes);
COIL_API int coil_kernel_getsockopt(
        int fd, int level, int option, void *value, socklen_t *size_bytes);
COIL_API int coil_kernel_getsockname(int fd, struct sockaddr *address, socklen_t *size_bytes);
COIL_API int coil_kernel_getpeername(int fd, struct sockaddr *address, socklen_t *size_bytes);

/* if_nametoindex(3): the number of a network interface, from 1. -ENODEV: there is none. */
COIL_API int coil_kernel_interface(const char *name);

/* shutdown(2), which does not wait. */
COIL_API int coil_kernel_shutdown(int fd, int how);

/* socketpair(2) */
COIL_API int coil_kernel_socketpair(int family, int type, int out_fds[2]);

/* send(2) with MSG_DONTWAIT and MSG_NOSIGNAL: as much as fits now. -EAGAIN: nothing does. */
COIL_API ssize_t coil_kernel_send_now(int fd, const void *bytes, size_t size_bytes);

/* sendmsg(2) with MSG_DONTWAIT and MSG_NOSIGNAL, the same. */
COIL_API ssize_t coil_kernel_sendmsg_now(int fd, const struct msghdr *message);

/* sendmmsg(2), the same: how many of the messages have been sent; -EAGAIN: none can be. */
COIL_API int coil_kernel_sendmmsg_now(int fd, struct mmsghdr *messages, unsigned count);

/* recv(2) with MSG_DONTWAIT: as much as is there now. 0: the end. -EAGAIN: nothing is there. */
COIL_API ssize_t coil_kernel_recv_now(int fd, void *bytes, size_t size_bytes);

/* recv(2) with MSG_PEEK and MSG_DONTWAIT of one byte: 1 if one is there; else as above. */
COIL_API int coil_kernel_recv_peek(int fd);

/* tcgetattr(3), tcsetattr(3) with TCSADRAIN or TCSAFLUSH, ioctl_tty(2) with TIOCGWINSZ */
COIL_API int coil_kernel_terminal_get(int fd, struct termios *out_modes);
COIL_API int coil_kernel_terminal_set(int fd, int when, const struct termios *modes);
COIL_API int coil_kernel_terminal_size(int fd, struct winsize *out_size);
COIL_API int coil_kernel_terminal_resize(int fd, const struct winsize *size); /* TIOCSWINSZ */

/* A pseudo terminal, pty(7): our side and the other; neither is below `lowest`. */
COIL_API int coil_kernel_terminal_open(int lowest, const struct winsize *size, int out_sides[2]);

/* getsockopt(2) with SO_PROTOCOL: 1 if it is a TCP socket. */
COIL_API int coil_kernel_is_tcp(int fd);

/* getsockopt(2) with TCP_INFO: what the peer has acknowledged. A negative errno: it is not TCP. */
COIL_API int64_t coil_kernel_bytes_acknowledged(int fd);

/*
 * Why a TCP connection was lost, also if its error has been told already: it is closed, and its
 * peer has never ended it (TCP_INFO; no FIN, by TCP_INQ). SO_ERROR, which this takes, or else
 * -ECONNRESET. 0: it was not lost, or nobody knows.
 */
COIL_API int coil_kernel_loss(int fd);

/*
 * getaddrinfo(3), which blocks, and freeaddrinfo(3). -ENOENT EAI_NONAME, -ENODATA EAI_NODATA,
 * -EAGAIN, -ENOMEM, -EIO whatever else it says.
 */
COIL_API int coil_kernel_getaddrinfo(
        const char *name, const struct addrinfo *hints, struct addrinfo **out_list);
COIL_API void coil_kernel_freeaddrinfo(struct addrinfo *list);

/* close(2), pipe2(2), unlink(2), and eventfd(2) with its write */
COIL_API int coil_kernel_close(int fd);
COIL_API int coil_kernel_pipe(int out_fds[2]);
COIL_API int coil_kernel_unlink(const char *path);
COIL_API int coil_kernel_eventfd(void);
COIL_API int coil_kernel_eventfd_add(int fd, uint64_t count);

/* mkdir(2) with mode 0755, rmdir(2) */
COIL_API int coil_kernel_mkdir(const char *path);
COIL_API int coil_kernel_rmdir(const char *path);

/*
 * Memory with a descriptor, to be shared with other processes: memfd_create(2) of this name, which
 * /proc shows, and of a size that never changes (F_SEAL_SHRINK, F_SEAL_GROW); zeroes, to be filled
 * by coil_kernel_write() or by a mapping. Seal: from here on nobody writes to it (F_SEAL_WRITE);
 * -EBUSY while a writable mapping is left. Size: of memory that somebody else has made; -EPERM: its
 * size may change, or, if `is_sealed` is asked for, its contents; -EINVAL: it is no such memory.
 */
COIL_API int coil_kernel_memory(const char *name, size_t size_bytes);
COIL_API int coil_kernel_memory_seal(int fd);
COIL_API ssize_t coil_kernel_memory_size(int fd, bool is_sealed);

/*
 * mmap(2) of such memory from its beginning, at most its size; munmap(2); madvise(2) with
 * MADV_REMOVE of whole pages: zeroes again, for all who see them.
 */
typedef enum coil_kernel_mapping {
    COIL_KERNEL_READS,  /* MAP_PRIVATE, PROT_READ: of what is sealed. */
    COIL_KERNEL_SHARES, /* MAP_SHARED, to be written to. */
    COIL_KERNEL_SPARSE, /* The same, with pages only where it has been. */
} coil_kernel_mapping;
COIL_API int coil_kernel_memory_map(
        int fd, size_t size_bytes, coil_kernel_mapping mapping, void **out_memory);
COIL_API void coil_kernel_memory_unmap(void *memory, size_t size_bytes);
COIL_API void coil_kernel_memory_forget(void *memory, size_t size_bytes);

/* lstat(2): 1 if there is a socket at the path, 0 if something else is. */
COIL_API int coil_kernel_is_socket(const char *path);

/* fstat(2): 1 if it is a character device, such as a terminal. */
COIL_API int coil_kernel_is_device(int fd);

/* fstat(2), fstatfs(2): 1 if it is a FIFO with a name, rather than a pipe of pipe(2). */
COIL_API int coil_kernel_is_fifo(int fd);

/* fcntl(2) with F_SETFD and FD_CLOEXEC, for a descriptor that we were given */
COIL_API int coil_kernel_close_on_exec(int fd);

/* fcntl(2) with F_DUPFD_CLOEXEC */
COIL_API int coil_kernel_dup_above(int fd, int lowest);

/*
 * For a program that becomes another: dup2(2), of which the copy is not close-on-exec; and
 * execve(2) with the environment as it is, which returns an error only.
 */
COIL_API int coil_kernel_dup_to_pass(int fd, int number);
COIL_API int coil_kernel_exec(const char *path, char *const arguments[]);
/* flock(2) with LOCK_EX and LOCK_NB. -EWOULDBLOCK: somebody else has it. */
COIL_API int coil_kernel_lock(int fd);

/* write(2), pwrite(2) */
COIL_API ssize_t coil_kernel_write(int fd, const void *bytes, size_t size_bytes);
COIL_API ssize_t coil_kernel_pwrite(int fd, const void *bytes, size_t size_bytes, off_t offset);

/* ftruncate(2) */
COIL_API int coil_kernel_ftruncate(int fd, off_t size_bytes);

/*
 * preadv2(2) with RWF_NOWAIT, at the position of the file: what a pipe, a terminal or the like has
 * now, for its only reader. 0: the end. -EAGAIN: nothing is there.
 */
COIL_API ssize_t coil_kernel_read_now(int fd, void *bytes, size_t size_bytes);

/* splice(2) from pipe to pipe with SPLICE_F_NONBLOCK; ioctl(2) with FIONREAD: what a pipe holds. */
COIL_API ssize_t coil_kernel_splice_now(int from, int to, size_t size_bytes);
COIL_API int coil_kernel_pipe_held(int fd);

/* fstat(2): the number of the inode. */
COIL_API int coil_kernel_inode(int fd, uint64_t *out_inode);

/* fcntl(2) with F_SETPIPE_SZ: how many bytes the pipe can hold now. -EPERM: too many, or -EBUSY. */
COIL_API int coil_kernel_pipe_resize(int fd, int size_bytes);

/* preadv2(2) with RWF_NOWAIT: what is cached. -EAGAIN: nothing is. -EOPNOTSUPP: nobody knows. */
COIL_API ssize_t coil_kernel_pread_now(int fd, void *bytes, size_t size_bytes, off_t offset);

/*
 * openat(2) with O_CLOEXEC (what it creates is its owner's alone), pread(2), fstatat(2),
 * fstatvfs(2); faccessat(2) with AT_EACCESS
 */
COIL_API int coil_kernel_openat(int directory, const char *path, int flags);
COIL_API ssize_t coil_kernel_pread(int fd, void *bytes, size_t size_bytes, off_t offset);
COIL_API int coil_kernel_fstatat(int directory, const char *path, struct stat *out_status);
COIL_API int coil_kernel_fstatvfs(int fd, struct statvfs *out_status);
COIL_API int coil_kernel_faccessat(int directory, const char *path, int mode);

/* getdents64(2): whole entries (struct dirent64), 0 at the end. */
COIL_API ssize_t coil_kernel_getdents(int fd, void *entries, size_t size_bytes);

/* copy_file_range(2) from and to the positions of the files. */
COIL_API ssize_t coil_kernel_copy_file_range(int from, int to, size_t size_bytes);

/* inotify_init1(2), inotify_add_watch(2), inotify_rm_watch(2) */
COIL_API int coil_kernel_inotify(void);
COIL_API int coil_kernel_inotify_add(int fd, const char *path, uint32_t mask);
COIL_API int coil_kernel_inotify_remove(int fd, int watch);

/* pthread_sigmask(3), sigpending(2) and signalfd(2) */
COIL_API int coil_kernel_sigmask(int how, const sigset_t *set, sigset_t *out_before);
COIL_API int coil_kernel_sigpending(sigset_t *out_pending);
COIL_API int coil_kernel_signalfd(const sigset_t *set);

/* sigtimedwait(2) that does not wait: take a pending signal. Its number, or -EAGAIN. */
COIL_API int coil_kernel_sigtake(const sigset_t *set);

/* sigaction(2), raise(3) */
COIL_API int coil_kernel_sigaction(
        int signo, const struct sigaction *action, struct sigaction *out_before);
COIL_API int coil_kernel_raise(int signo);

/*
 * rt_sigprocmask(2): block every signal, also those by which libc talks to its threads, and set the
 * mask that was there before. Bit n - 1 is signal n.
 */
COIL_API uint64_t coil_kernel_block_signals(void);
COIL_API void coil_kernel_restore_signals(uint64_t before);

/*
 * /proc/self/statm: memory of this process that is really there; a negative errno if nobody says.
 */
COIL_API int64_t coil_kernel_resident_bytes(void);

/* getrusage(2): how often the calling thread has gone to sleep in the kernel by itself. */
COIL_API uint64_t coil_kernel_sleep_count(void);

/* gettid(2); tgkill(2) for a thread of this process */
COIL_API pid_t coil_kernel_thread_id(void);
COIL_API int coil_kernel_thread_signal(pid_t thread, int signo);

/*
 * A thread of our own: `run` is all that it does. Signals are for the threads of the program, so
 * all are blocked in it but those that a fault raises: blocked, they would kill the process past
 * every handler.
 */
typedef struct coil_kernel_thread coil_kernel_thread;
struct coil_kernel_thread {
    void (*run)(coil_kernel_thread *thread);
    const char *name;   /* At most 15 bytes of it are shown. NULL: that of its creator. */
    size_t stack_bytes; /* 0: what pthread_create(3) takes. */
    pthread_t id;       /* Private. */
};

/*
 * pthread_create(3) with the members above, of which `name` must stay until `run` is called;
 * pthread_join(3); pthread_detach(3).
 */
COIL_API int coil_kernel_thread_start(coil_kernel_thread *thread);
COIL_API void coil_kernel_thread_join(coil_kernel_thread *thread);
COIL_API void coil_kernel_thread_detach(coil_kernel_thread *thread);

/*
 * futex(2): wait until `*word` is not `value`, somebody wakes us, or `limit` is over, whichever is
 * first; wake all who wait. Waking may be done in a signal handler.
 */
COIL_API void coil_kernel_word_wait(const uint32_t *word, uint32_t value, coil_duration limit);
COIL_API void coil_kernel_word_wake(const uint32_t *word);

/*
 * pthread_cond_wait(3) until `deadline`, a time of coil_kernel_now() or COIL_NEVER: false if that
 * has passed. `cond` needs no attributes for this. pthread_cond_signal(3),
 * pthread_cond_broadcast(3).
 */
COIL_API bool coil_kernel_cond_wait(
        pthread_cond_t *cond, pthread_mutex_t *mutex, coil_time deadline);
COIL_API void coil_kernel_cond_signal(pthread_cond_t *cond);
COIL_API void coil_kernel_cond_broadcast(pthread_cond_t *cond);

/* process_vm_readv(2) of our own memory: `from` may be anything. The whole size, or an error. */
COIL_API int coil_kernel_peek(void *copy, const void *from, size_t size_bytes);

/* backtrace(3). Fit for a signal handler once it has been called. The number of addresses. */
COIL_API int coil_kernel_backtrace(void **out_addresses, int address_count_max);

/* dlopen(3) and dlsym(3). NULL: there is none. */
COIL_API void *coil_kernel_library(const char *name);
COIL_API void *coil_kernel_library_symbol(void *library, const char *name);

/*
 * sched_getaffinity(2) and sched_setaffinity(2) of the calling thread: the numbers of the CPUs that
 * it may run on, at most `limit` of them, and how many; run on this one only.
 */
COIL_API int coil_kernel_cpus(int *out_cpus, int limit);
COIL_API int coil_kernel_pin(int cpu);

/*
 * geteuid(2), getegid(2); getpid(2); whether gettid(2) is the same; prctl(2) with PR_GET_DUMPABLE
 * and PR_SET_DUMPABLE
 */
COIL_API uid_t coil_kernel_geteuid(void);
COIL_API gid_t coil_kernel_getegid(void);
COIL_API pid_t coil_kernel_getpid(void);
COIL_API bool coil_kernel_is_main_thread(void);
COIL_API int coil_kernel_dumpable(void);
COIL_API int coil_kernel_set_dumpable(int dumpable);

/*
 * pthread_atfork(3): what the process has one of, a forked child has a copy of, in whatever state
 * other threads were just leaving it. `before` is called before each fork(2), and behind it `after`
 * in the parent, `in_child` in the child, in the thread that forks. To be called by a constructor:
 * before there is a second thread, which could fork meanwhile. Of all that `before` locks, nothing
 * may be locked while something else of it is: the order is that of linking. 0, or -ENOMEM.
 */
COIL_API int coil_kernel_at_fork(void (*before)(void), void (*after)(void), void (*in_child)(void));

/*
 * What a child does on our memory: `run` ends in exec or exit, and does not return. It and all that
 * it calls are COIL_UNINSTRUMENTED.
 */
typedef struct coil_kernel_child coil_kernel_child;
struct coil_kernel_child {
    void (*run)(coil_kernel_child *child);
    unsigned namespaces; /* CLONE_NEWPID, ...; 0: those of the caller. */
};

/*
 * clone(2) with CLONE_VM, CLONE_VFORK and CLONE_PIDFD: the calling thread waits until the child has
 * called exec or has ended. The pid.
 */
COIL_API pid_t coil_kernel_clone(coil_kernel_child *child, int *out_pidfd);

#ifdef COIL_SIMULATION
/* What the child has in place of syscall(2), with six arguments always; -1, and errno. */
COIL_API long coil_sim_child_syscall(long number, ...);
#endif

/*
 * pidfd_send_signal(2), pidfd_open(2); waitid(2) by pidfd, of a child that has ended (si_pid is 0
 * if it has not) and, waiting, of one that is about to.
 */
COIL_API int coil_kernel_pidfd_signal(int pidfd, int signo);
COIL_API int coil_kernel_pidfd_open(pid_t pid);
COIL_API int coil_kernel_reap(int pidfd, siginfo_t *out_status);
COIL_API int coil_kernel_reap_soon(int pidfd, siginfo_t *out_status);

/* The same as coil_kernel_reap(), with what the child and those it has waited for have used. */
COIL_API int coil_kernel_reap_usage(int pidfd, siginfo_t *out_status, struct rusage *out_usage);

/*
 * Of any process, not only a child. ioctl_pidfd(2) with PIDFD_GET_INFO and PIDFD_INFO_EXIT: 0 and
 * the status as wait(2) has it, once it has been reaped; -EAGAIN: it has not; -ESRCH: nobody had it
 * open when it was; -EOPNOTSUPP before Linux 6.15. fstat(2): the number that no other process has
 * or will have until the next boot; -EOPNOTSUPP before Linux 6.9.
 */
COIL_API int coil_kernel_pidfd_exit(int pidfd, int *out_wait_status);
COIL_API int coil_kernel_pidfd_identity(int pidfd, uint64_t *out_identity);

/*
 * pidfd_send_signal(2) with PIDFD_SIGNAL_PROCESS_GROUP: to all of the group that this process leads
 * or has led. -ESRCH: the group is empty. -EINVAL before Linux 6.9.
 */
COIL_API int coil_kernel_pidfd_signal_group(int pidfd, int signo);

/* Of a process, from /proc/<pid>/stat; see proc_pid_stat(5). */
typedef struct coil_kernel_process {
    pid_t pid;
    pid_t parent;
    pid_t group;
    pid_t session;
    char state;          /* Of its main thread: 'R', 'S', ...; 'Z': that has ended. */
    bool has_ended;      /* All its threads have; it has not been reaped. */
    uint64_t start_time; /* Together with the pid: which process it is. */
} coil_kernel_process;

/*
 * The processes of this pid namespace, and the children of one of them (/proc/<pid>/task/<tid>/
 * children): at most `limit` of their numbers, and how many. What is known of one: 0; -ESRCH.
 * -ENOENT without /proc, or without such files in it.
 */
COIL_API int coil_kernel_processes(pid_t *out_pids, int limit);
COIL_API int coil_kernel_process_children(pid_t pid, pid_t *out_pids, int limit);
COIL_API int coil_kernel_process_look(pid_t pid, coil_kernel_process *out_process);

/* prctl(2) with PR_SET_CHILD_SUBREAPER */
COIL_API int coil_kernel_set_subreaper(bool subreaper);

COIL_END_DECLS

#endif
