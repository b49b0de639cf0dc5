/* SPDX-License-Identifier: MIT */
#include <coil/kernel.h>

#include "kernel_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The result of a libc call as a negative errno. */
static int checked(long result)
{
    return result < 0 ? -errno : (int)result;
}

/* ----------------------------------------------------------------------------------- ring -- */

int coil_kernel_ring_setup(
        struct io_uring *ring, unsigned entries, struct io_uring_params *parameters)
{
    int rc = io_uring_queue_init_params(entries, ring, parameters);
    if (rc < 0)
        return rc;
    /*
     * All three are needed so that a forked child cannot keep the ring, and with it listening
     * sockets, alive: it would inherit the descriptor, and the mapping pins the ring just as well.
     */
    rc = io_uring_register_ring_fd(ring);
    if (rc == 1)
        rc = io_uring_close_ring_fd(ring);
    if (rc >= 0)
        rc = io_uring_ring_dontfork(ring);
    if (rc < 0)
        io_uring_queue_exit(ring);
    return rc < 0 ? rc : 0;
}

int coil_kernel_ring_enter(struct io_uring *ring, unsigned to_submit, unsigned min_complete,
        unsigned flags, void *argument, size_t argument_bytes)
{
    return io_uring_enter2((unsigned)ring->enter_ring_fd, to_submit, min_complete,
            flags | IORING_ENTER_REGISTERED_RING, argument, argument_bytes);
}

int coil_kernel_ring_register(
        struct io_uring *ring, unsigned opcode, const void *argument, unsigned count)
{
    return io_uring_register((unsigned)ring->enter_ring_fd,
            opcode | IORING_REGISTER_USE_REGISTERED_RING, argument, count);
}

void coil_kernel_ring_close(struct io_uring *ring)
{
    io_uring_queue_exit(ring);
}

int coil_kernel_ring_sysctl(void)
{
    char digit = '0';
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0; /* Before Linux 6.6. */
    ssize_t count = read(fd, &digit, 1);
    (void)close(fd);
    return count == 1 ? digit - '0' : 0;
}

unsigned coil_kernel_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    return limit.rlim_cur > UINT_MAX ? UINT_MAX : (unsigned)limit.rlim_cur;
}

void *coil_kernel_pages(size_t size_bytes)
{
    void *pages =
            mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    (void)madvise(pages, size_bytes, MADV_DONTFORK);
    return pages;
}

void coil_kernel_pages_release(void *pages, size_t size_bytes)
{
    (void)munmap(pages, size_bytes);
}

/* -------------------------------------------------------------------------- time, chance -- */

coil_time coil_kernel_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (coil_time)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t coil_kernel_time_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec;
}

int coil_kernel_random(void *bytes, size_t size_bytes)
{
    return checked(getrandom(bytes, size_bytes, GRND_NONBLOCK));
}

/* -------------------------------------------------------------------------------- sockets -- */

int coil_kernel_socket(int family, int type, int protocol)
{
    return checked(socket(family, type | SOCK_CLOEXEC, protocol));
}

int coil_kernel_bind(int fd, const struct sockaddr *address, socklen_t size_bytes)
{
    return checked(bind(fd, address, size_bytes));
}

int coil_kernel_listen(int fd, int backlog)
{
    return checked(listen(fd, backlog));
}

int coil_kernel_connect_now(int fd, const struct sockaddr *address, socklen_t size_bytes)
{
    return checked(connect(fd, address, size_bytes));
}

int coil_kernel_setsockopt(int fd, int level, int option, const void *value, socklen_t size_bytes)
{
    return checked(setsockopt(fd, level, option, value, size_bytes));
}

int coil_kernel_getsockopt(int fd, int level, int option, void *value, socklen_t *size_bytes)
{
    return checked(getsockopt(fd, level, option, value, size_bytes));
}

int coil_kernel_getsockname(int fd, struct sockaddr *address, socklen_t *size_bytes)
{
    return checked(getsockname(fd, address, size_bytes));
}

int coil_kernel_getpeername(int fd, struct sockaddr *address, socklen_t *size_bytes)
{
    return checked(getpeername(fd, address, size_bytes));
}

ssize_t coil_kernel_send_now(int fd, const void *bytes, size_t size_bytes)
{
    ssize_t count = send(fd, bytes, size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    return count < 0 ? -errno : count;
}

/* ---------------------------------------------------------------------------- descriptors -- */

int coil_kernel_close(int fd)
{
    return checked(close(fd));
}

int coil_kernel_pipe(int out_fds[2])
{
    return checked(pipe2(out_fds, O_CLOEXEC));
}

int coil_kernel_unlink(const char *path)
{
    return checked(unlink(path));
}

int coil_kernel_is_socket(const char *path)
{
    struct stat status;
    int rc = checked(lstat(path, &status));
    return rc < 0 ? rc : S_ISSOCK(status.st_mode);
}

int coil_kernel_eventfd(void)
{
    return checked(eventfd(0, EFD_CLOEXEC));
}

int coil_kernel_eventfd_add(int fd, uint64_t count)
{
    return checked(write(fd, &count, sizeof(count)));
}

int coil_kernel_is_device(int fd)
{
    struct stat status;
    return fstat(fd, &status) < 0 ? -errno : S_ISCHR(status.st_mode);
}

int coil_kernel_dup_above(int fd, int lowest)
{
    return checked(fcntl(fd, F_DUPFD_CLOEXEC, lowest));
}

int coil_kernel_get_flags(int fd)
{
    return checked(fcntl(fd, F_GETFL));
}

int coil_kernel_set_flags(int fd, int flags)
{
    return checked(fcntl(fd, F_SETFL, flags));
}

/* ------------------------------------------------------------------- signals and processes -- */

int coil_kernel_sigmask(int how, const sigset_t *set, sigset_t *out_before)
{
    return -pthread_sigmask(how, set, out_before);
}

int coil_kernel_signalfd(const sigset_t *set)
{
    return checked(signalfd(-1, set, SFD_CLOEXEC));
}

int coil_kernel_pidfd_signal(int pidfd, int signo)
{
    return checked(syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0));
}

int coil_kernel_kill(pid_t pid, int signo)
{
    return checked(kill(pid, signo));
}

int coil_kernel_reap(int pidfd, siginfo_t *out_status)
{
    return checked(waitid((idtype_t)P_PIDFD, (id_t)pidfd, out_status, WEXITED | WNOHANG));
}

int coil_kernel_pidfd_open(pid_t pid)
{
    return checked(syscall(SYS_pidfd_open, pid, 0));
}
