/* SPDX-License-Identifier: MIT */
/* Files by path: there are none yet. */
#include "operation.h"

#include <coil/kernel.h>

#include <errno.h>

int coil_kernel_unlink(const char *path)
{
    (void)path;
    return -ENOENT;
}

int coil_kernel_is_socket(const char *path)
{
    (void)path;
    return -ENOENT;
}

int coil_kernel_openat(int directory, const char *path, int flags)
{
    (void)directory, (void)path, (void)flags;
    return -ENOENT;
}

int coil_kernel_fstatat(int directory, const char *path, struct stat *out_status)
{
    (void)directory, (void)path, (void)out_status;
    return -ENOENT;
}

int coil_kernel_fstatvfs(int fd, struct statvfs *out_status)
{
    (void)fd, (void)out_status;
    return -ENOSYS;
}

int coil_kernel_faccessat(int directory, const char *path, int mode)
{
    (void)directory, (void)path, (void)mode;
    return -ENOENT;
}

static int refuse(sim_request *request)
{
    (void)request;
    return -EINVAL;
}

const sim_operation sim_operation_fsync = {.name = "fsync", .prepare = refuse};
const sim_operation sim_operation_openat = {.name = "openat", .prepare = refuse};
const sim_operation sim_operation_statx = {.name = "statx", .prepare = refuse};
