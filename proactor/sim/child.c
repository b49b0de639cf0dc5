/* SPDX-License-Identifier: MIT */
/* Child processes: there are none yet. */
#include "operation.h"

#include <coil/kernel.h>

#include <errno.h>

pid_t coil_kernel_clone(coil_kernel_child *child, int *out_pidfd)
{
    (void)child, (void)out_pidfd;
    return -ENOSYS;
}

int coil_kernel_pidfd_signal(int pidfd, int signo)
{
    (void)pidfd, (void)signo;
    return -ENOSYS;
}

int coil_kernel_pidfd_open(pid_t pid)
{
    (void)pid;
    return -ENOSYS;
}

int coil_kernel_reap(int pidfd, siginfo_t *out_status)
{
    (void)pidfd, (void)out_status;
    return -ECHILD;
}

int coil_kernel_reap_soon(int pidfd, siginfo_t *out_status)
{
    (void)pidfd, (void)out_status;
    return -ECHILD;
}

static int refuse(sim_request *request)
{
    (void)request;
    return -EINVAL;
}

const sim_operation sim_operation_waitid = {.name = "waitid", .prepare = refuse, .found = 1};
