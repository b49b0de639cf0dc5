/* SPDX-License-Identifier: MIT */
/* What one process leaves to the next, in pipes: not simulated. */
#include <coil/kernel.h>

#include "kernel_calls.h"
#include "process.h"

#include <errno.h>

ssize_t coil_kernel_splice_now(int from, int to, size_t size_bytes)
{
    (void)from, (void)to, (void)size_bytes;
    return -ENOSYS;
}

/* As if the user had enough of them. */
int coil_kernel_pipe_resize(int fd, int size_bytes)
{
    (void)size_bytes;
    return sim_call_file(fd) == NULL ? -EBADF : -EPERM;
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
