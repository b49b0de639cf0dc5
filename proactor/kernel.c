/* SPDX-License-Identifier: MIT */
#include <coil/kernel.h>

#include "kernel_ring.h"

#include <coil/check.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>
#include <linux/magic.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>

/* The result of a libc call as a negative errno. */
static int checked(long result)
{
    return result < 0 ? -errno : (int)result;
}

/* ----------------------------------------------------------------------------------- ring -- */

int coil_kernel_ring_setup(
        struct io_uring *uring, unsigned entries, struct io_uring_params *parameters)
{
    int rc = io_uring_queue_init_params(entries, uring, parameters);
    if (rc < 0)
        return rc;
    /*
     * All three are needed so that a forked child cannot keep the ring, and with it listening
     * sockets, alive: it would inherit the descriptor, and the mapping pins the ring just as well.
     */
    rc = io_uring_register_ring_fd(uring);
    if (rc == 1)
        rc = io_uring_close_ring_fd(uring);
    if (rc >= 0)
        rc = io_uring_ring_dontfork(uring);
    if (rc < 0)
        io_uring_queue_exit(uring);
    return rc < 0 ? rc : 0;
}

COIL_HOT int coil_kernel_ring_enter(struct io_uring *uring, unsigned to_submit,
        unsigned min_complete, unsigned flags, void *argument, size_t argument_bytes)
{
    return io_uring_enter2((unsigned)uring->enter_ring_fd, to_submit, min_complete,
            flags | IORING_ENTER_REGISTERED_RING, argument, argument_bytes);
}

int coil_kernel_ring_register(
        struct io_uring *uring, unsigned opcode, const void *argument, unsigned count)
{
    return io_uring_register((unsigned)uring->enter_ring_fd,
            opcode | IORING_REGISTER_USE_REGISTERED_RING, argument, count);
}

void coil_kernel_ring_close(struct io_uring *uring)
{
    io_uring_queue_exit(uring);
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

void coil_kernel_pages_forget(void *memory, size_t size_bytes)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t before_bytes = -(uintptr_t)memory % page_bytes;
    if (before_bytes + page_bytes > size_bytes)
        return;
    size_t whole_bytes = (size_bytes - before_bytes) / page_bytes * page_bytes;
    (void)madvise((char *)memory + before_bytes, whole_bytes, MADV_DONTNEED);
}

/* ---------------------------------------------------------------------------------- time -- */

coil_time coil_kernel_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (coil_time)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t coil_kernel_time_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t coil_kernel_time_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec;
}

void coil_kernel_random(void *bytes, size_t size_bytes)
{
    size_t count = 0;
    while (count < size_bytes) {
        ssize_t more = getrandom((char *)bytes + count, size_bytes - count, 0);
        COIL_CHECK(more > 0 || errno == EINTR);
        count += more > 0 ? (size_t)more : 0;
    }
}

/* -------------------------------------------------------------------------------- sockets -- */

int coil_kernel_getaddrinfo(
        const char *name, const struct addrinfo *hints, struct addrinfo **out_list)
{
    switch (getaddrinfo(name, NULL, hints, out_list)) {
    case 0:
        return 0;
    case EAI_NONAME:
        return -ENOENT;
    case EAI_NODATA:
        return -ENODATA;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    default:
        return -EIO;
    }
}

void coil_kernel_freeaddrinfo(struct addrinfo *list)
{
    freeaddrinfo(list);
}

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

int coil_kernel_interface(const char *name)
{
    const unsigned index = if_nametoindex(name);
    return index == 0 ? -errno : (int)index;
}

int coil_kernel_shutdown(int fd, int how)
{
    return checked(shutdown(fd, how));
}

int coil_kernel_socketpair(int family, int type, int out_fds[2])
{
    return checked(socketpair(family, type | SOCK_CLOEXEC, 0, out_fds));
}

COIL_HOT ssize_t coil_kernel_send_now(int fd, const void *bytes, size_t size_bytes)
{
    ssize_t count = send(fd, bytes, size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    return count < 0 ? -errno : count;
}

ssize_t coil_kernel_sendmsg_now(int fd, const struct msghdr *message)
{
    ssize_t count = sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return count < 0 ? -errno : count;
}

int coil_kernel_sendmmsg_now(int fd, struct mmsghdr *messages, unsigned count)
{
    return checked(sendmmsg(fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL));
}

COIL_HOT ssize_t coil_kernel_recv_now(int fd, void *bytes, size_t size_bytes)
{
    ssize_t count = recv(fd, bytes, size_bytes, MSG_DONTWAIT);
    return count < 0 ? -errno : count;
}

int coil_kernel_recv_peek(int fd)
{
    char byte;
    return checked((int)recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT));
}

int coil_kernel_is_tcp(int fd)
{
    int protocol = 0;
    socklen_t size_bytes = sizeof(protocol);
    int rc = checked(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size_bytes));
    return rc < 0 ? rc : protocol == IPPROTO_TCP;
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

int coil_kernel_eventfd(void)
{
    return checked(eventfd(0, EFD_CLOEXEC));
}

/*
 * Signal handlers call this: what they interrupt keeps its errno. write() of libc would be a point
 * at which a thread can be cancelled, and then a loop would wait for its post for ever.
 */
int coil_kernel_eventfd_add(int fd, uint64_t count)
{
    int before = errno;
    int rc = checked(syscall(SYS_write, fd, &count, sizeof(count)));
    errno = before;
    return rc;
}

int coil_kernel_is_socket(const char *path)
{
    struct stat status;
    int rc = checked(lstat(path, &status));
    return rc < 0 ? rc : S_ISSOCK(status.st_mode);
}

int coil_kernel_is_device(int fd)
{
    struct stat status;
    int rc = checked(fstat(fd, &status));
    return rc < 0 ? rc : S_ISCHR(status.st_mode);
}

int coil_kernel_is_fifo(int fd)
{
    struct stat status;
    struct statfs system;
    int rc = checked(fstat(fd, &status));
    if (rc < 0 || !S_ISFIFO(status.st_mode))
        return rc;
    rc = checked(fstatfs(fd, &system));
    return rc < 0 ? rc : system.f_type != PIPEFS_MAGIC;
}

int coil_kernel_terminal_get(int fd, struct termios *out_modes)
{
    return checked(tcgetattr(fd, out_modes));
}

int coil_kernel_terminal_set(int fd, int when, const struct termios *modes)
{
    return checked(tcsetattr(fd, when, modes));
}

int coil_kernel_terminal_resize(int fd, const struct winsize *size)
{
    return checked(ioctl(fd, TIOCSWINSZ, size));
}

/* Move it, if it is in the way; the old number is closed in any case. */
static int lift(int fd, int lowest)
{
    if (fd < 0 || fd >= lowest)
        return fd;
    const int lifted = checked(fcntl(fd, F_DUPFD_CLOEXEC, lowest));
    (void)close(fd);
    return lifted;
}

/* The other side by ioctl_tty(2), as its name in /dev/pts may be that of another mount. */
int coil_kernel_terminal_open(int lowest, const struct winsize *size, int out_sides[2])
{
    const int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    const int locked = 0;
    const int ours = lift(checked(open("/dev/ptmx", flags)), lowest);
    if (ours < 0)
        return ours;
    int theirs = checked(ioctl(ours, TIOCSPTLCK, &locked));
    if (theirs == 0 && (size->ws_row != 0 || size->ws_col != 0))
        theirs = checked(ioctl(ours, TIOCSWINSZ, size));
    if (theirs == 0)
        theirs = lift(checked(ioctl(ours, TIOCGPTPEER, flags)), lowest);
    if (theirs < 0) {
        (void)close(ours);
        return theirs;
    }
    out_sides[0] = ours;
    out_sides[1] = theirs;
    return 0;
}

int coil_kernel_terminal_size(int fd, struct winsize *out_size)
{
    return checked(ioctl(fd, TIOCGWINSZ, out_size));
}

int coil_kernel_close_on_exec(int fd)
{
    return checked(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

int coil_kernel_dup_above(int fd, int lowest)
{
    return checked(fcntl(fd, F_DUPFD_CLOEXEC, lowest));
}

int coil_kernel_dup_to_pass(int fd, int number)
{
    return checked(dup2(fd, number));
}

int coil_kernel_exec(const char *path, char *const arguments[])
{
    return checked(execv(path, arguments));
}

/* ---------------------------------------------------------------------------------- files -- */

int coil_kernel_mkdir(const char *path)
{
    return checked(mkdir(path, 0755));
}

int coil_kernel_rmdir(const char *path)
{
    return checked(rmdir(path));
}

int coil_kernel_openat(int directory, const char *path, int flags)
{
    return checked(openat(directory, path, flags | O_CLOEXEC, 0600));
}

ssize_t coil_kernel_getdents(int fd, void *entries, size_t size_bytes)
{
    return checked(syscall(SYS_getdents64, fd, entries, size_bytes));
}

ssize_t coil_kernel_copy_file_range(int from, int to, size_t size_bytes)
{
    return checked(copy_file_range(from, NULL, to, NULL, size_bytes, 0));
}

int coil_kernel_memory(const char *name, size_t size_bytes)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
    int fd = checked(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd < 0)
        return fd;
    int rc = checked(ftruncate(fd, (off_t)size_bytes));
    if (rc == 0)
        rc = checked(fcntl(fd, F_ADD_SEALS, seals));
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    return fd;
}

int coil_kernel_memory_seal(int fd)
{
    return checked(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
}

ssize_t coil_kernel_memory_size(int fd, bool is_sealed)
{
    const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | (is_sealed ? F_SEAL_WRITE : 0);
    struct stat status;
    int seals = checked(fcntl(fd, F_GET_SEALS));
    if (seals < 0)
        return seals;
    if ((seals & wanted) != wanted)
        return -EPERM;
    int rc = checked(fstat(fd, &status));
    return rc < 0 ? rc : (ssize_t)status.st_size;
}

/* A shared mapping of what is sealed could become writable, says Linux before 6.7. */
int coil_kernel_memory_map(
        int fd, size_t size_bytes, coil_kernel_mapping mapping, void **out_memory)
{
    static const int flags[] = {
            [COIL_KERNEL_READS] = MAP_PRIVATE | MAP_POPULATE,
            [COIL_KERNEL_SHARES] = MAP_SHARED | MAP_POPULATE,
            [COIL_KERNEL_SPARSE] = MAP_SHARED | MAP_NORESERVE,
    };
    const int protection = mapping == COIL_KERNEL_READS ? PROT_READ : PROT_READ | PROT_WRITE;
    void *memory = mmap(NULL, size_bytes, protection, flags[mapping], fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    *out_memory = memory;
    return 0;
}

void coil_kernel_memory_unmap(void *memory, size_t size_bytes)
{
    (void)munmap(memory, size_bytes);
}

void coil_kernel_memory_forget(void *memory, size_t size_bytes)
{
    (void)madvise(memory, size_bytes, MADV_REMOVE);
}

int coil_kernel_inotify(void)
{
    return checked(inotify_init1(IN_CLOEXEC));
}

int coil_kernel_inotify_add(int fd, const char *path, uint32_t mask)
{
    return checked(inotify_add_watch(fd, path, mask));
}

int coil_kernel_inotify_remove(int fd, int watch)
{
    return checked(inotify_rm_watch(fd, watch));
}

ssize_t coil_kernel_pread(int fd, void *bytes, size_t size_bytes, off_t offset)
{
    ssize_t count = pread(fd, bytes, size_bytes, offset);
    return count < 0 ? -errno : count;
}

ssize_t coil_kernel_pwrite(int fd, const void *bytes, size_t size_bytes, off_t offset)
{
    ssize_t count = pwrite(fd, bytes, size_bytes, offset);
    return count < 0 ? -errno : count;
}

int coil_kernel_ftruncate(int fd, off_t size_bytes)
{
    return checked(ftruncate(fd, size_bytes));
}

ssize_t coil_kernel_pread_now(int fd, void *bytes, size_t size_bytes, off_t offset)
{
    const struct iovec part = {bytes, size_bytes};
    if (offset < 0)
        return -EINVAL; /* -1 would be the position of the file. */
    ssize_t count = preadv2(fd, &part, 1, offset, RWF_NOWAIT);
    return count < 0 ? -errno : count;
}

/* Some files do not know RWF_NOWAIT, pipes before Linux 6.4 among them. */
ssize_t coil_kernel_read_now(int fd, void *bytes, size_t size_bytes)
{
    const struct iovec part = {bytes, size_bytes};
    ssize_t count = preadv2(fd, &part, 1, -1, RWF_NOWAIT);
    if (count < 0 && errno == EOPNOTSUPP) {
        struct pollfd one = {.fd = fd, .events = POLLIN};
        if (poll(&one, 1, 0) <= 0)
            return -EAGAIN;
        count = read(fd, bytes, size_bytes);
    }
    return count < 0 ? -errno : count;
}

ssize_t coil_kernel_splice_now(int from, int to, size_t size_bytes)
{
    ssize_t count = splice(from, NULL, to, NULL, size_bytes, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    return count < 0 ? -errno : count;
}

int coil_kernel_pipe_held(int fd)
{
    int size_bytes = 0;
    int rc = checked(ioctl(fd, FIONREAD, &size_bytes));
    return rc < 0 ? rc : size_bytes;
}

int coil_kernel_inode(int fd, uint64_t *out_inode)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    *out_inode = status.st_ino;
    return 0;
}

int coil_kernel_pipe_resize(int fd, int size_bytes)
{
    return checked(fcntl(fd, F_SETPIPE_SZ, size_bytes));
}

int coil_kernel_lock(int fd)
{
    return checked(flock(fd, LOCK_EX | LOCK_NB));
}

ssize_t coil_kernel_write(int fd, const void *bytes, size_t size_bytes)
{
    ssize_t count = write(fd, bytes, size_bytes);
    return count < 0 ? -errno : count;
}

int coil_kernel_fstatat(int directory, const char *path, struct stat *out_status)
{
    return checked(fstatat(directory, path, out_status, 0));
}

int coil_kernel_fstatvfs(int fd, struct statvfs *out_status)
{
    return checked(fstatvfs(fd, out_status));
}

int coil_kernel_faccessat(int directory, const char *path, int mode)
{
    return checked(faccessat(directory, path, mode, AT_EACCESS));
}

/* -------------------------------------------------------------------------------- signals -- */

int coil_kernel_sigmask(int how, const sigset_t *set, sigset_t *out_before)
{
    return -pthread_sigmask(how, set, out_before);
}

int coil_kernel_sigpending(sigset_t *out_pending)
{
    return checked(sigpending(out_pending));
}

int coil_kernel_signalfd(const sigset_t *set)
{
    return checked(signalfd(-1, set, SFD_CLOEXEC));
}

int coil_kernel_sigtake(const sigset_t *set)
{
    const struct timespec now = {0, 0};
    return checked(sigtimedwait(set, NULL, &now));
}

int coil_kernel_sigaction(int signo, const struct sigaction *action, struct sigaction *out_before)
{
    return checked(sigaction(signo, action, out_before));
}

int coil_kernel_raise(int signo)
{
    return -raise(signo);
}

uint64_t coil_kernel_block_signals(void)
{
    const uint64_t all = UINT64_MAX;
    uint64_t before = 0;
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(all));
    return before;
}

void coil_kernel_restore_signals(uint64_t before)
{
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, 0L, sizeof(before));
}

/* -------------------------------------------------------------------------------- threads -- */

int64_t coil_kernel_resident_bytes(void)
{
    char text[128] = ""; /* Pages: all, resident, shared, ... */

    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t size = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    const char *resident = size > 0 ? strchr(text, ' ') : NULL;
    if (resident == NULL)
        return -ENODATA;
    return strtoll(resident, NULL, 10) * sysconf(_SC_PAGESIZE);
}

uint64_t coil_kernel_sleep_count(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (uint64_t)usage.ru_nvcsw : 0;
}

pid_t coil_kernel_thread_id(void)
{
    return gettid();
}

int coil_kernel_thread_signal(pid_t thread, int signo)
{
    return checked(syscall(SYS_tgkill, getpid(), thread, signo));
}

static void *run_thread(void *argument)
{
    coil_kernel_thread *thread = argument;
    if (thread->name != NULL) {
        char name[16]; /* The kernel takes no more. */
        (void)snprintf(name, sizeof(name), "%s", thread->name);
        (void)pthread_setname_np(pthread_self(), name);
    }
    thread->run(thread);
    return NULL;
}

static sigset_t all_but_faults(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    sigset_t set;
    (void)sigfillset(&set);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        (void)sigdelset(&set, faults[i]);
    return set;
}

int coil_kernel_thread_start(coil_kernel_thread *thread)
{
    const sigset_t blocked = all_but_faults();
    pthread_attr_t attributes;
    sigset_t before;

    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return -error;
    if (thread->stack_bytes > 0)
        error = pthread_attr_setstacksize(&attributes, thread->stack_bytes);
    if (error == 0) {
        /* The thread inherits the mask, so that there is no time in which a signal can hit it. */
        (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
        error = pthread_create(&thread->id, &attributes, run_thread, thread);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    (void)pthread_attr_destroy(&attributes);
    return -error;
}

void coil_kernel_thread_join(coil_kernel_thread *thread)
{
    (void)pthread_join(thread->id, NULL);
}

void coil_kernel_thread_detach(coil_kernel_thread *thread)
{
    (void)pthread_detach(thread->id);
}

int coil_kernel_cpus(int *out_cpus, int limit)
{
    cpu_set_t set;
    int count = 0;

    CPU_ZERO(&set);
    int rc = checked(sched_getaffinity(0, sizeof(set), &set));
    if (rc < 0)
        return rc;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < limit; cpu++) {
        if (CPU_ISSET(cpu, &set))
            out_cpus[count++] = cpu;
    }
    return count;
}

int coil_kernel_pin(int cpu)
{
    cpu_set_t set;

    if (cpu < 0 || cpu >= CPU_SETSIZE)
        return -EINVAL;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return checked(sched_setaffinity(0, sizeof(set), &set));
}

void coil_kernel_word_wait(const uint32_t *word, uint32_t value, coil_duration limit)
{
    struct timespec duration = {.tv_sec = limit / 1000000000, .tv_nsec = limit % 1000000000};
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value,
            limit == COIL_FOREVER ? NULL : &duration, NULL, 0);
}

void coil_kernel_word_wake(const uint32_t *word)
{
    int before = errno;
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    errno = before;
}

bool coil_kernel_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, coil_time deadline)
{
    if (deadline == COIL_NEVER) {
        (void)pthread_cond_wait(cond, mutex);
        return true;
    }
    const struct timespec end = {deadline / coil_s(1), deadline % coil_s(1)};
    return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &end) != ETIMEDOUT;
}

void coil_kernel_cond_signal(pthread_cond_t *cond)
{
    (void)pthread_cond_signal(cond);
}

void coil_kernel_cond_broadcast(pthread_cond_t *cond)
{
    (void)pthread_cond_broadcast(cond);
}

/* --------------------------------------------------------------------------- introspection -- */

int coil_kernel_peek(void *copy, const void *from, size_t size_bytes)
{
    struct iovec to = {copy, size_bytes};
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): process_vm_readv(2) only reads there. */
    struct iovec source = {(void *)(uintptr_t)from, size_bytes};
    ssize_t count = process_vm_readv(getpid(), &to, 1, &source, 1, 0);
    if (count < 0)
        return -errno;
    return (size_t)count == size_bytes ? 0 : -EFAULT;
}

int coil_kernel_backtrace(void **out_addresses, int address_count_max)
{
    return backtrace(out_addresses, address_count_max);
}

void *coil_kernel_library(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

void *coil_kernel_library_symbol(void *library, const char *name)
{
    return dlsym(library, name);
}

/* ------------------------------------------------------------------------------ processes -- */

gid_t coil_kernel_getegid(void)
{
    return getegid();
}

uid_t coil_kernel_geteuid(void)
{
    return geteuid();
}

pid_t coil_kernel_getpid(void)
{
    return getpid();
}

bool coil_kernel_is_main_thread(void)
{
    return gettid() == getpid();
}

int coil_kernel_dumpable(void)
{
    return checked(prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L));
}

int coil_kernel_set_dumpable(int dumpable)
{
    return checked(prctl(PR_SET_DUMPABLE, (long)dumpable, 0L, 0L, 0L));
}

/*
 * What the child needs is below 1 KiB; it calls nothing but syscall(). The stack is a part of the
 * caller's own, which waits until the child is done with it: no mapping to make, none to fail.
 */
#define CHILD_STACK_BYTES 16384

/* ThreadSanitizer takes a clone() for a fork(), and ruins its own state when memory is shared. */
#if defined __SANITIZE_THREAD__
#define THREAD_SANITIZER 1
#elif defined __has_feature
#define THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define THREAD_SANITIZER 0
#endif
#if THREAD_SANITIZER
#define CLONE plain_clone
int plain_clone(int (*run)(void *), void *stack, int flags, void *argument, ...) __asm__("__clone");
#else
#define CLONE clone
#endif

COIL_UNINSTRUMENTED static int run_child(void *argument)
{
    coil_kernel_child *child = argument;
    child->run(child);
    return 0;
}

pid_t coil_kernel_clone(coil_kernel_child *child, int *out_pidfd)
{
    _Alignas(16) char stack[CHILD_STACK_BYTES];
    const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD | (int)child->namespaces;

    return checked(CLONE(run_child, stack + sizeof(stack), flags, child, out_pidfd));
}

int coil_kernel_pidfd_signal(int pidfd, int signo)
{
    return checked(syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0));
}

int coil_kernel_pidfd_open(pid_t pid)
{
    return checked(syscall(SYS_pidfd_open, pid, 0));
}

int coil_kernel_reap(int pidfd, siginfo_t *out_status)
{
    return checked(waitid((idtype_t)P_PIDFD, (id_t)pidfd, out_status, WEXITED | WNOHANG));
}

int coil_kernel_reap_soon(int pidfd, siginfo_t *out_status)
{
    int rc;
    do {
        rc = checked(waitid((idtype_t)P_PIDFD, (id_t)pidfd, out_status, WEXITED));
    } while (rc == -EINTR);
    return rc;
}

int coil_kernel_reap_usage(int pidfd, siginfo_t *out_status, struct rusage *out_usage)
{
    /* libc's function hides the fifth argument. */
    return checked(syscall(SYS_waitid, P_PIDFD, pidfd, out_status, WEXITED | WNOHANG, out_usage));
}

/* `struct pidfd_info` of <linux/pidfd.h>, which is younger than the headers that we build with. */
typedef struct pidfd_info_64 {
    uint64_t mask;
    uint64_t cgroup_id;
    uint32_t ids[11];
    int32_t exit_code;
} pidfd_info_64;

static_assert(sizeof(pidfd_info_64) == 64, "PIDFD_INFO_SIZE_VER0");

#define PIDFD_GET_INFO_64 _IOWR(0xff, 11, pidfd_info_64)
#define PIDFD_INFO_EXIT_BIT (UINT64_C(1) << 3)

int coil_kernel_pidfd_exit(int pidfd, int *out_wait_status)
{
    pidfd_info_64 info = {.mask = PIDFD_INFO_EXIT_BIT};
    int rc = checked(ioctl(pidfd, PIDFD_GET_INFO_64, &info));
    if (rc == -ESRCH) { /* It was being reaped while the kernel looked: now it is known. */
        info = (pidfd_info_64){.mask = PIDFD_INFO_EXIT_BIT};
        rc = checked(ioctl(pidfd, PIDFD_GET_INFO_64, &info));
    }
    if (rc == -ENOTTY || rc == -EINVAL)
        return -EOPNOTSUPP;
    if (rc < 0)
        return rc;
    if ((info.mask & PIDFD_INFO_EXIT_BIT) == 0)
        return -EAGAIN;
    *out_wait_status = info.exit_code;
    return 0;
}

#define PIDFS_MAGIC 0x50494446 /* PID_FS_MAGIC of <linux/magic.h> */

int coil_kernel_pidfd_identity(int pidfd, uint64_t *out_identity)
{
    struct statfs system;
    struct stat status;
    int rc = checked(fstatfs(pidfd, &system));
    if (rc == 0 && system.f_type != PIDFS_MAGIC)
        return -EOPNOTSUPP;
    if (rc == 0)
        rc = checked(fstat(pidfd, &status));
    if (rc == 0)
        *out_identity = status.st_ino;
    return rc;
}

#define SIGNAL_PROCESS_GROUP (1U << 2) /* PIDFD_SIGNAL_PROCESS_GROUP of <linux/pidfd.h> */

int coil_kernel_pidfd_signal_group(int pidfd, int signo)
{
    return checked(syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, SIGNAL_PROCESS_GROUP));
}

int coil_kernel_processes(pid_t *out_pids, int limit)
{
    int count = 0;
    DIR *directory = opendir("/proc");
    if (directory == NULL)
        return -errno;
    for (const struct dirent *entry = NULL; count < limit;) {
        entry = readdir(directory);
        if (entry == NULL)
            break;
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            out_pids[count++] = (pid_t)strtol(entry->d_name, NULL, 10);
    }
    (void)closedir(directory);
    return count;
}

/* A number and a blank for each. Those that do not fit into `limit` are left out. */
static int read_children(const char *path, pid_t *out_pids, int limit)
{
    FILE *file = fopen(path, "re");
    int count = 0;
    if (file == NULL)
        return -errno;
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers. */
    while (count < limit && fscanf(file, "%d", &out_pids[count]) == 1)
        count++;
    (void)fclose(file);
    return count;
}

/* Each of its threads has children of its own. */
int coil_kernel_process_children(pid_t pid, pid_t *out_pids, int limit)
{
    char path[64];
    int count = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return errno == ENOENT ? -ESRCH : -errno;
    for (const struct dirent *entry = readdir(directory); entry != NULL && count >= 0;
            entry = readdir(directory)) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children", (int)pid, entry->d_name);
        const int more = read_children(path, out_pids + count, limit - count);
        count = more < 0 ? more : count + more;
    }
    (void)closedir(directory);
    return count;
}

/* "PID (name) state ppid pgrp session ... start time": the name may have anything in it. */
int coil_kernel_process_look(pid_t pid, coil_kernel_process *out_process)
{
    char text[1024];
    char path[32];
    coil_kernel_process found = {.pid = pid};

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    const ssize_t size = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (size <= 0)
        return -ESRCH;
    text[size] = '\0';
    const char *rest = strrchr(text, ')');
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers. */
    if (rest == NULL || sscanf(rest + 1,
                                " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                                "%*d %*d %" SCNu64,
                                &found.state, &found.parent, &found.group, &found.session,
                                &found.start_time) != 5)
        return -ESRCH;
    *out_process = found;
    return 0;
}

int coil_kernel_set_subreaper(bool subreaper)
{
    return checked(prctl(PR_SET_CHILD_SUBREAPER, subreaper ? 1L : 0L, 0L, 0L, 0L));
}
