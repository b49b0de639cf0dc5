/* SPDX-License-Identifier: MIT */
#include <coil/kernel.h>

#include "kernel_ring.h"

#include <coil/check.h>

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
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

int coil_kernel_ring_enter(struct io_uring *uring, unsigned to_submit, unsigned min_complete,
        unsigned flags, void *argument, size_t argument_bytes)
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

int coil_kernel_socketpair(int family, int type, int out_fds[2])
{
    return checked(socketpair(family, type | SOCK_CLOEXEC, 0, out_fds));
}

ssize_t coil_kernel_send_now(int fd, const void *bytes, size_t size_bytes)
{
    ssize_t count = send(fd, bytes, size_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    return count < 0 ? -errno : count;
}

ssize_t coil_kernel_sendmsg_now(int fd, const struct msghdr *message)
{
    ssize_t count = sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return count < 0 ? -errno : count;
}

ssize_t coil_kernel_recv_now(int fd, void *bytes, size_t size_bytes)
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

/* ---------------------------------------------------------------------------------- files -- */

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

int coil_kernel_memory(size_t size_bytes)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
    int fd = checked(memfd_create("coil", MFD_CLOEXEC | MFD_ALLOW_SEALING));
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
int coil_kernel_memory_map(int fd, size_t size_bytes, bool writable, void **out_memory)
{
    const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    const int flags = (writable ? MAP_SHARED : MAP_PRIVATE) | MAP_POPULATE;
    void *memory = mmap(NULL, size_bytes, protection, flags, fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    *out_memory = memory;
    return 0;
}

void coil_kernel_memory_unmap(void *memory, size_t size_bytes)
{
    (void)munmap(memory, size_bytes);
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

ssize_t coil_kernel_pread_now(int fd, void *bytes, size_t size_bytes, off_t offset)
{
    const struct iovec part = {bytes, size_bytes};
    if (offset < 0)
        return -EINVAL; /* -1 would be the position of the file. */
    ssize_t count = preadv2(fd, &part, 1, offset, RWF_NOWAIT);
    return count < 0 ? -errno : count;
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
    const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;

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
