/* SPDX-License-Identifier: MIT */
/*
 * The seam to the real kernel: the ring, clocks, and what a program sees of its own memory. The
 * other calls are in kernel_*.c, by their subject. sim/ has all of them once more.
 */
#include "kernel_ring.h"

#include <coil/check.h>
#include <coil/kernel.h>

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/utsname.h>

/* ------------------------------------------------------------------- descriptors of rings -- */

/*
 * Who tells a ring something needs its descriptor. A forked child inherits that, and would keep the
 * ring alive, with the sockets that it listens on: so a child closes those of its parent before it
 * does anything else. Whoever opens or closes one holds the lock, which fork() waits for.
 */
static COIL_PROCESS_WIDE struct {
    pthread_mutex_t lock;
    bool is_wanted; /* The kernel delivers messages, and forks are watched. */
    int *fds;
    size_t count;
    size_t room;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lock_kept(void)
{
    (void)pthread_mutex_lock(&kept.lock);
}

static void unlock_kept(void)
{
    (void)pthread_mutex_unlock(&kept.lock);
}

static void close_those_of_the_parent(void)
{
    while (kept.count > 0)
        (void)close(kept.fds[--kept.count]);
    unlock_kept();
}

bool coil_kernel_delivers_messages(const char *release)
{
    char *end;
    const long major = strtol(release, &end, 10);
    const long minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    return major > 6 || (major == 6 && minor >= 16);
}

int coil_kernel_at_fork(void (*before)(void), void (*after)(void), void (*in_child)(void))
{
    return -pthread_atfork(before, after, in_child);
}

static __attribute__((constructor)) void watch_forks(void)
{
    struct utsname kernel;
    kept.is_wanted = uname(&kernel) == 0 && coil_kernel_delivers_messages(kernel.release) &&
                     coil_kernel_at_fork(lock_kept, unlock_kept, close_those_of_the_parent) == 0;
}

/* False: it has to be closed. */
static bool keep(int fd)
{
    if (!kept.is_wanted || coil_kernel_ring_tell(-1, 0) != -EBADF)
        return false; /* The kernel does not know messages, else it would look for the ring. */
    if (kept.count == kept.room) {
        size_t room = kept.room == 0 ? 16 : 2 * kept.room;
        int *fds = realloc(kept.fds, room * sizeof(*fds));
        if (fds == NULL)
            return false;
        kept.fds = fds;
        kept.room = room;
    }
    kept.fds[kept.count++] = fd;
    return true;
}

static void forget(int fd)
{
    for (size_t i = 0; i < kept.count; i++) {
        if (kept.fds[i] == fd) {
            kept.fds[i] = kept.fds[--kept.count];
            return;
        }
    }
}

/* ----------------------------------------------------------------------------------- ring -- */

static int set_up(struct io_uring *uring, unsigned entries, struct io_uring_params *parameters)
{
    int rc = io_uring_queue_init_params(entries, uring, parameters);
    if (rc < 0)
        return rc;
    /*
     * A forked child cannot keep the ring, and with it listening sockets, alive: not by the
     * descriptor, which it does not have, nor by the mapping, which pins the ring just as well.
     */
    rc = io_uring_register_ring_fd(uring);
    if (rc == 1 && !keep(uring->ring_fd))
        rc = io_uring_close_ring_fd(uring);
    if (rc >= 0)
        rc = io_uring_ring_dontfork(uring);
    if (rc < 0) {
        forget(uring->ring_fd);
        io_uring_queue_exit(uring);
    }
    return rc < 0 ? rc : 0;
}

int coil_kernel_ring_setup(
        struct io_uring *uring, unsigned entries, struct io_uring_params *parameters)
{
    lock_kept();
    int rc = set_up(uring, entries, parameters);
    unlock_kept();
    return rc;
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

int coil_kernel_ring_tell(int fd, uint64_t user_data)
{
    const int before = errno; /* Somebody else's, in a signal handler. */
    struct io_uring_sqe message = {.opcode = IORING_OP_MSG_RING, .fd = fd, .off = user_data};
    const int rc = io_uring_register(UINT_MAX, RING_SEND_MESSAGE, &message, 1);
    errno = before;
    return rc;
}

void coil_kernel_ring_close(struct io_uring *uring)
{
    lock_kept();
    forget(uring->ring_fd);
    io_uring_queue_exit(uring);
    unlock_kept();
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
