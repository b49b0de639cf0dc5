/* SPDX-License-Identifier: MIT */
/* What one process leaves to the next, in shared memory and in pipes: not simulated. */
#include <coil/kernel.h>

#include "fiber.h"
#include "kernel_calls.h"
#include "process.h"

#include <errno.h>

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

/* As if the user had enough of them. */
int coil_kernel_pipe_resize(int fd, int size_bytes)
{
    (void)size_bytes;
    return sim_call_file(fd) == NULL ? -EBADF : -EPERM;
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

/* NOLINTNEXTLINE(readability-non-const-parameter): elsewhere it is written. */
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

int coil_kernel_memory(size_t size_bytes)
{
    (void)size_bytes;
    sim_fiber_pass();
    return -ENOSYS;
}

int coil_kernel_memory_seal(int fd)
{
    sim_fiber_pass();
    return sim_call_file(fd) == NULL ? -EBADF : -EINVAL;
}

ssize_t coil_kernel_memory_size(int fd, bool is_sealed)
{
    (void)is_sealed;
    sim_fiber_pass();
    return sim_call_file(fd) == NULL ? -EBADF : -EINVAL;
}

int coil_kernel_memory_map(int fd, size_t size_bytes, bool writable, void **out_memory)
{
    (void)size_bytes, (void)writable, (void)out_memory;
    sim_fiber_pass();
    return sim_call_file(fd) == NULL ? -EBADF : -ENODEV;
}

void coil_kernel_memory_unmap(void *memory, size_t size_bytes)
{
    (void)memory, (void)size_bytes;
    sim_fiber_pass();
}
