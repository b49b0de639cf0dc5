/* SPDX-License-Identifier: MIT */
/* The seam, simulated: what has no subject of its own. ../kernel.c is the real one. */
#include <coil/kernel.h>

#include "kernel_ring.h"

#include "fiber.h"
#include "process.h"
#include "socket.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/uio.h>

/* ---------------------------------------------------------------------------------- memory -- */

/*
 * Pages of a process are memory of its ledger: those of a killed one are freed. Aligned to pages,
 * because the real ones are.
 */
void *coil_kernel_pages(size_t size_bytes)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const size_t whole_bytes = (size_bytes + page_bytes - 1) / page_bytes * page_bytes;

    sim_fiber_pass();
    void *pages = aligned_alloc(page_bytes, whole_bytes);
    if (pages != NULL)
        memset(pages, 0, whole_bytes);
    return pages;
}

void coil_kernel_pages_release(void *pages, size_t size_bytes)
{
    (void)size_bytes;
    sim_fiber_pass();
    free(pages);
}

void coil_kernel_pages_forget(void *memory, size_t size_bytes)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const size_t before_bytes = -(uintptr_t)memory % page_bytes;

    if (before_bytes + page_bytes > size_bytes)
        return;
    memset((char *)memory + before_bytes, 0, (size_bytes - before_bytes) / page_bytes * page_bytes);
}

int coil_kernel_ring_sysctl(void)
{
    return 0;
}

unsigned coil_kernel_descriptor_limit(void)
{
    return sim_process_current()->descriptor_limit;
}

/* ------------------------------------------------------------------------------------ time -- */

#define YEAR_2030_S 1893456000

coil_time coil_kernel_now(void)
{
    sim_fiber_pass();
    return sim_now(sim_here());
}

int64_t coil_kernel_time_s(void)
{
    sim_fiber_pass();
    return YEAR_2030_S + sim_now(sim_here()) / coil_s(1);
}

int64_t coil_kernel_time_us(void)
{
    sim_fiber_pass();
    return (int64_t)YEAR_2030_S * 1000000 + sim_now(sim_here()) / coil_us(1);
}

void coil_kernel_random(void *bytes, size_t size_bytes)
{
    unsigned char *each = bytes;
    sim_fiber_pass();
    for (size_t i = 0; i < size_bytes; i++)
        each[i] = (unsigned char)sim_random_below(sim_here(), 256);
}

/* Who answers is a name server of the world, which libc knows nothing of. */
int coil_kernel_getaddrinfo(
        const char *name, const struct addrinfo *hints, struct addrinfo **out_list)
{
    (void)name, (void)hints, (void)out_list;
    sim_fiber_pass();
    return -EAGAIN;
}

void coil_kernel_freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

/* ------------------------------------------------------------------------------ descriptors -- */

/* NULL: -EBADF. Each call takes its time. */
static sim_file *file_of(int fd)
{
    sim_here()->operation_count++;
    sim_fiber_pass();
    return sim_descriptor_file(sim_process_current(), fd);
}

int coil_kernel_close(int fd)
{
    sim_fiber_pass();
    return sim_descriptor_close(sim_process_current(), fd);
}

int coil_kernel_eventfd(void)
{
    sim_fiber_pass();
    return sim_descriptor_install(sim_process_current(), sim_eventfd_create(sim_here()), 0);
}

int coil_kernel_dup_above(int fd, int lowest)
{
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    if (lowest < 0 || (unsigned)lowest >= sim_process_current()->descriptor_limit)
        return -EINVAL; /* fcntl(2), F_DUPFD */
    return sim_descriptor_install(sim_process_current(), sim_file_hold(file), lowest);
}

int coil_kernel_close_on_exec(int fd)
{
    if (file_of(fd) == NULL)
        return -EBADF;
    sim_process_current()->descriptors[fd].close_on_exec = true;
    return 0;
}

int coil_kernel_is_device(int fd)
{
    struct stat status;
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    if (file->type->stat == NULL)
        return 0;
    const int rc = file->type->stat(file, &status);
    return rc < 0 ? rc : S_ISCHR(status.st_mode);
}

/* There are none with a name. */
int coil_kernel_is_fifo(int fd)
{
    return file_of(fd) == NULL ? -EBADF : 0;
}

/* Nor are there terminals whose modes can be changed. */
int coil_kernel_terminal_get(int fd, struct termios *out_modes)
{
    (void)out_modes;
    return file_of(fd) == NULL ? -EBADF : -ENOTTY;
}

int coil_kernel_terminal_set(int fd, int when, const struct termios *modes)
{
    (void)when, (void)modes;
    return file_of(fd) == NULL ? -EBADF : -ENOTTY;
}

int coil_kernel_terminal_resize(int fd, const struct winsize *size)
{
    (void)size;
    return file_of(fd) == NULL ? -EBADF : -ENOTTY;
}

/* There are no terminals here. */
int coil_kernel_terminal_open(int lowest, const struct winsize *size, int out_sides[2])
{
    (void)lowest, (void)size, (void)out_sides;
    return -ENODEV;
}

int coil_kernel_terminal_size(int fd, struct winsize *out_size)
{
    (void)out_size;
    return file_of(fd) == NULL ? -EBADF : -ENOTTY;
}

/* ---------------------------------------------------------------------------------- transfer -- */

static sim_io io_of(const struct iovec *part, int64_t offset, int flags)
{
    return (sim_io){.parts = part,
            .part_count = 1,
            .size_bytes = part->iov_len,
            .offset = offset,
            .flags = flags,
            .process = sim_process_current()};
}

/*
 * Fewer bytes, if chance says so. Not of what lies on a disk, where the end of the file, or of the
 * disk, is the only reason for that; unless only what is cached is wanted.
 */
static void shorten(sim_file *file, sim_io *io, sim_fault_kind fault)
{
    const bool is_whole = file->type->has_offset && (io->flags & RWF_NOWAIT) == 0;
    if (io->size_bytes > 1 && !file->type->has_messages && !is_whole &&
            sim_fault(file->world, fault))
        io->size_bytes = 1 + (size_t)sim_random_below(file->world, io->size_bytes - 1);
}

/*
 * All of it, if the file is one that waits: pipe(7), and sockets do the same. A signal whose
 * handler has run ends it if some bytes have gone, else it goes on, as with SA_RESTART.
 */
static ssize_t write_all(sim_file *file, sim_io *io)
{
    const bool waits = !file->is_nonblocking;
    const bool is_stream = waits && !file->type->has_messages && !file->type->has_offset;
    bool is_done = false;
    ssize_t count = 0;

    (void)sim_file_hold(file);
    while (!is_done) {
        count = sim_file_write(file, io);
        if (count == -EAGAIN && waits) {
            (void)sim_file_wait(file, POLLOUT, COIL_NEVER);
            is_done = sim_fiber_was_interrupted() && io->done_bytes > 0;
        } else {
            is_done = count <= 0 || !is_stream || sim_io_left(io) == 0;
        }
    }
    sim_file_drop(file);
    return io->done_bytes > 0 ? (ssize_t)io->done_bytes : count;
}

ssize_t coil_kernel_write(int fd, const void *bytes, size_t size_bytes)
{
    const struct iovec part = sim_part_of(bytes, size_bytes);
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    sim_io io = io_of(&part, -1, 0);
    shorten(file, &io, SIM_FAULT_SHORT_WRITE);
    return write_all(file, &io);
}

int coil_kernel_eventfd_add(int fd, uint64_t count)
{
    const int before = errno;
    const ssize_t written = coil_kernel_write(fd, &count, sizeof(count));
    errno = before;
    return written < 0 ? (int)written : (int)sizeof(count);
}

static ssize_t read_at(int fd, const struct iovec *part, off_t offset, int flags)
{
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    if (offset < 0)
        return -EINVAL;
    sim_io io = io_of(part, offset, flags);
    shorten(file, &io, SIM_FAULT_SHORT_READ);
    return sim_file_read(file, &io);
}

ssize_t coil_kernel_pread(int fd, void *bytes, size_t size_bytes, off_t offset)
{
    const struct iovec part = {bytes, size_bytes};
    return read_at(fd, &part, offset, 0);
}

ssize_t coil_kernel_pread_now(int fd, void *bytes, size_t size_bytes, off_t offset)
{
    const struct iovec part = {bytes, size_bytes};
    if (sim_fault(sim_here(), SIM_FAULT_NOT_CACHED))
        return -EAGAIN;
    return read_at(fd, &part, offset, RWF_NOWAIT);
}

ssize_t coil_kernel_read_now(int fd, void *bytes, size_t size_bytes)
{
    const struct iovec part = {bytes, size_bytes};
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    sim_io io = io_of(&part, -1, RWF_NOWAIT);
    shorten(file, &io, SIM_FAULT_SHORT_READ);
    return sim_file_read(file, &io);
}

/* What one process leaves to the next in memory is not simulated. */
ssize_t coil_kernel_splice_now(int from, int to, size_t size_bytes)
{
    (void)from, (void)to, (void)size_bytes;
    return -ENOSYS;
}

int coil_kernel_pipe_held(int fd)
{
    (void)fd;
    return -ENOSYS;
}

int coil_kernel_memfd(const char *name, size_t size_bytes)
{
    (void)name, (void)size_bytes;
    return -ENOSYS;
}

int coil_kernel_map_shared(int fd, size_t size_bytes, void **out_memory)
{
    (void)fd, (void)size_bytes, (void)out_memory;
    return -ENOSYS;
}

void coil_kernel_unmap(void *memory, size_t size_bytes)
{
    (void)memory, (void)size_bytes;
}

void coil_kernel_forget_pages(void *memory, size_t size_bytes)
{
    (void)memory, (void)size_bytes;
}

int coil_kernel_inode(int fd, uint64_t *out_inode)
{
    (void)fd, (void)out_inode;
    return -ENOSYS;
}

int coil_kernel_lock(int fd)
{
    (void)fd;
    return -ENOSYS;
}

/* As if the user had enough of them. */
int coil_kernel_pipe_resize(int fd, int size_bytes)
{
    (void)size_bytes;
    return file_of(fd) == NULL ? -EBADF : -EPERM;
}

ssize_t coil_kernel_send_now(int fd, const void *bytes, size_t size_bytes)
{
    const struct iovec part = sim_part_of(bytes, size_bytes);
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    sim_io io = io_of(&part, -1, MSG_DONTWAIT | MSG_NOSIGNAL);
    shorten(file, &io, SIM_FAULT_SHORT_WRITE);
    return sim_file_send(file, &io);
}

ssize_t coil_kernel_sendmsg_now(int fd, const struct msghdr *message)
{
    struct msghdr copy = *message;
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    sim_io io = {.parts = message->msg_iov,
            .part_count = (unsigned)message->msg_iovlen,
            .flags = MSG_DONTWAIT | MSG_NOSIGNAL,
            .offset = -1,
            .message = &copy,
            .process = sim_process_current()};
    for (size_t i = 0; i < message->msg_iovlen; i++)
        io.size_bytes += message->msg_iov[i].iov_len;
    shorten(file, &io, SIM_FAULT_SHORT_WRITE);
    return sim_file_send(file, &io);
}

ssize_t coil_kernel_recv_now(int fd, void *bytes, size_t size_bytes)
{
    const struct iovec part = {bytes, size_bytes};
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    sim_io io = io_of(&part, -1, MSG_DONTWAIT);
    shorten(file, &io, SIM_FAULT_SHORT_READ);
    return sim_file_recv(file, &io);
}

int coil_kernel_recv_peek(int fd)
{
    char byte;
    const struct iovec part = {&byte, 1};
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    sim_io io = io_of(&part, -1, MSG_PEEK | MSG_DONTWAIT);
    return (int)sim_file_recv(file, &io);
}

/* ----------------------------------------------------------------------------------- sockets -- */

int coil_kernel_bind(int fd, const struct sockaddr *address, socklen_t size_bytes)
{
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    return file->type->bind == NULL ? -ENOTSOCK : file->type->bind(file, address, size_bytes);
}

int coil_kernel_listen(int fd, int backlog)
{
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    return file->type->listen == NULL ? -ENOTSOCK : file->type->listen(file, backlog);
}

int coil_kernel_connect_now(int fd, const struct sockaddr *address, socklen_t size_bytes)
{
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    if (file->type->connect == NULL)
        return -ENOTSOCK;
    int rc;
    bool waits;
    if (sim_socket_refuses(file))
        return -ECONNREFUSED;
    (void)sim_file_hold(file);
    do {
        rc = file->type->connect(file, address, size_bytes);
        waits = (rc == -EINPROGRESS || rc == -EAGAIN) && !file->is_nonblocking;
        if (waits)
            (void)sim_file_wait(file, POLLOUT, COIL_NEVER);
    } while (waits);
    sim_file_drop(file);
    return rc;
}

int coil_kernel_setsockopt(int fd, int level, int option, const void *value, socklen_t size_bytes)
{
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    return file->type->setsockopt == NULL
                   ? -ENOTSOCK
                   : file->type->setsockopt(file, level, option, value, size_bytes);
}

int coil_kernel_getsockname(int fd, struct sockaddr *address, socklen_t *size_bytes)
{
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    return file->type->getsockname == NULL ? -ENOTSOCK
                                           : file->type->getsockname(file, address, size_bytes);
}

int coil_kernel_getpeername(int fd, struct sockaddr *address, socklen_t *size_bytes)
{
    sim_file *file = file_of(fd);
    return file == NULL ? -EBADF : sim_socket_getpeername(file, address, size_bytes);
}

int coil_kernel_getsockopt(int fd, int level, int option, void *value, socklen_t *size_bytes)
{
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    return file->type->getsockopt == NULL
                   ? -ENOTSOCK
                   : file->type->getsockopt(file, level, option, value, size_bytes);
}

int coil_kernel_is_tcp(int fd)
{
    int protocol = 0;
    socklen_t size_bytes = sizeof(protocol);
    sim_file *file = file_of(fd);
    if (file == NULL)
        return -EBADF;
    if (file->type->getsockopt == NULL)
        return -ENOTSOCK;
    const int rc = file->type->getsockopt(file, SOL_SOCKET, SO_PROTOCOL, &protocol, &size_bytes);
    return rc < 0 ? rc : protocol == IPPROTO_TCP;
}

/* ----------------------------------------------------------------------------------- threads -- */

/* What a fiber does for a thread of ours; `thread` may be gone once it has been detached. */
static void run_thread(sim_fiber *fiber)
{
    fiber->thread->run(fiber->thread);
}

int coil_kernel_thread_start(coil_kernel_thread *thread)
{
    sim_process *process = sim_process_current();

    sim_fiber_pass();
    if (sim_fault(process->world, SIM_FAULT_NO_THREAD))
        return -EAGAIN;
    const char *name = thread->name != NULL ? thread->name : sim_fiber_current()->name;
    sim_fiber *fiber = sim_fiber_start(process, run_thread, name, thread->stack_bytes);
    fiber->thread = thread;
    thread->id = (pthread_t)(uintptr_t)fiber;
    sim_fiber_pass();
    return 0;
}

static sim_fiber *fiber_of(const coil_kernel_thread *thread)
{
    return (sim_fiber *)(uintptr_t)thread->id; /* NOLINT(performance-no-int-to-ptr) */
}

void coil_kernel_thread_join(coil_kernel_thread *thread)
{
    sim_fiber_pass();
    sim_fiber_join(fiber_of(thread));
}

void coil_kernel_thread_detach(coil_kernel_thread *thread)
{
    sim_fiber_pass();
    sim_fiber_detach(fiber_of(thread));
}

uint64_t coil_kernel_sleep_count(void)
{
    return sim_fiber_current()->switch_count;
}

pid_t coil_kernel_thread_id(void)
{
    return sim_fiber_current()->id;
}

int coil_kernel_cpus(int *out_cpus, int limit)
{
    enum { CPU_COUNT = 4 };
    int count = 0;

    sim_fiber_pass();
    while (count < CPU_COUNT && count < limit) {
        out_cpus[count] = count;
        count++;
    }
    return count;
}

int coil_kernel_pin(int cpu)
{
    sim_fiber_pass();
    return cpu < 0 ? -EINVAL : 0;
}

/* --------------------------------------------------------------------------------- processes -- */

gid_t coil_kernel_getegid(void)
{
    return 0;
}

/* As SO_PEERCRED says of everybody. */
uid_t coil_kernel_geteuid(void)
{
    return 0;
}

pid_t coil_kernel_getpid(void)
{
    return sim_process_current()->id;
}

bool coil_kernel_is_main_thread(void)
{
    return sim_fiber_current() == sim_process_current()->main_fiber;
}

int coil_kernel_dumpable(void)
{
    return sim_process_current()->is_dumpable;
}

int coil_kernel_set_dumpable(int dumpable)
{
    sim_process_current()->is_dumpable = dumpable != 0;
    return 0;
}

/* ----------------------------------------------------------------------------- introspection -- */

/* These are about the program itself, which is real. */

int coil_kernel_peek(void *copy, const void *from, size_t size_bytes)
{
    struct iovec to = {copy, size_bytes};
    struct iovec source = sim_part_of(from, size_bytes);
    const ssize_t count = process_vm_readv(getpid(), &to, 1, &source, 1, 0);
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
