/* SPDX-License-Identifier: MIT */
/* The seam, simulated: what has no subject of its own. ../kernel.c is the real one. */
#include <coil/kernel.h>

#include "kernel_ring.h"

#include "fiber.h"
#include "kernel_calls.h"
#include "process.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Nobody forks in a simulation. */
int coil_kernel_at_fork(void (*before)(void), void (*after)(void), void (*in_child)(void))
{
    (void)before, (void)after, (void)in_child;
    return 0;
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

/* In nanoseconds, on this host. */
static int64_t wall_ns(void)
{
    return coil_s(YEAR_2030_S) + sim_now(sim_here()) + sim_process_current()->host->wall_ahead;
}

int64_t coil_kernel_time_s(void)
{
    sim_fiber_pass();
    return wall_ns() / coil_s(1);
}

int64_t coil_kernel_time_us(void)
{
    sim_fiber_pass();
    return wall_ns() / coil_us(1);
}

void coil_kernel_random(void *bytes, size_t size_bytes)
{
    unsigned char *each = bytes;
    sim_fiber_pass();
    for (size_t i = 0; i < size_bytes; i++)
        each[i] = (unsigned char)sim_random_below(sim_here(), 256);
}

/*
 * libc reads addresses; of names it knows nothing, because who answers is a name server of the
 * world: -EAGAIN, unless there was to be no question.
 */
int coil_kernel_getaddrinfo(
        const char *name, const struct addrinfo *hints, struct addrinfo **out_list)
{
    struct addrinfo numeric = *hints;

    sim_fiber_pass();
    numeric.ai_flags = (numeric.ai_flags & ~AI_ADDRCONFIG) | AI_NUMERICHOST;
    switch (getaddrinfo(name, NULL, &numeric, out_list)) {
    case 0:
        return 0;
    case EAI_NONAME:
        return (hints->ai_flags & AI_NUMERICHOST) != 0 ? -ENOENT : -EAGAIN;
    default:
        return -EIO;
    }
}

void coil_kernel_freeaddrinfo(struct addrinfo *list)
{
    freeaddrinfo(list);
}

/* ------------------------------------------------------------------------------ descriptors -- */

sim_file *sim_call_file(int fd)
{
    sim_here()->operation_count++;
    sim_fiber_pass();
    return sim_descriptor_file(sim_process_current(), fd);
}

int coil_kernel_close(int fd)
{
    sim_process *process = sim_process_current();

    sim_fiber_pass();
    sim_descriptor_check_open(process, fd);
    return sim_descriptor_close(process, fd);
}

int coil_kernel_eventfd(void)
{
    sim_fiber_pass();
    return sim_descriptor_install(sim_process_current(), sim_eventfd_create(sim_here()), 0);
}

int coil_kernel_dup_above(int fd, int lowest)
{
    sim_file *file = sim_call_file(fd);
    if (file == NULL)
        return -EBADF;
    if (lowest < 0 || (unsigned)lowest >= sim_process_current()->descriptor_limit)
        return -EINVAL; /* fcntl(2), F_DUPFD */
    return sim_descriptor_install(sim_process_current(), sim_file_hold(file), lowest);
}

int coil_kernel_dup_to_pass(int fd, int number)
{
    if (sim_call_file(fd) == NULL)
        return -EBADF;
    return sim_descriptor_copy(sim_process_current(), fd, number);
}

int coil_kernel_close_on_exec(int fd)
{
    if (sim_call_file(fd) == NULL)
        return -EBADF;
    sim_process_current()->descriptors[fd].close_on_exec = true;
    return 0;
}

int coil_kernel_is_device(int fd)
{
    struct stat status;
    sim_file *file = sim_call_file(fd);
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
    return sim_call_file(fd) == NULL ? -EBADF : 0;
}

/* Nor are there terminals whose modes can be changed. */
int coil_kernel_terminal_get(int fd, struct termios *out_modes)
{
    (void)out_modes;
    return sim_call_file(fd) == NULL ? -EBADF : -ENOTTY;
}

int coil_kernel_terminal_set(int fd, int when, const struct termios *modes)
{
    (void)when, (void)modes;
    return sim_call_file(fd) == NULL ? -EBADF : -ENOTTY;
}

int coil_kernel_terminal_resize(int fd, const struct winsize *size)
{
    (void)size;
    return sim_call_file(fd) == NULL ? -EBADF : -ENOTTY;
}

/* There are no terminals here. NOLINTNEXTLINE(readability-non-const-parameter) */
int coil_kernel_terminal_open(int lowest, const struct winsize *size, int out_sides[2])
{
    (void)lowest, (void)size, (void)out_sides;
    return -ENODEV;
}

int coil_kernel_terminal_size(int fd, struct winsize *out_size)
{
    (void)out_size;
    return sim_call_file(fd) == NULL ? -EBADF : -ENOTTY;
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

int64_t coil_kernel_resident_bytes(void)
{
    enum { LIKE_A_SMALL_PROGRAM = 4 << 20 };
    sim_fiber_pass();
    return LIKE_A_SMALL_PROGRAM;
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
