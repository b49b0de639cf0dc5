/* SPDX-License-Identifier: MIT */
/* Pipes: there are none yet. */
#include "operation.h"

#include <coil/kernel.h>

#include <errno.h>

int coil_kernel_pipe(int out_fds[2])
{
    (void)out_fds;
    return -ENOSYS;
}

static int refuse(sim_request *request)
{
    (void)request;
    return -EINVAL;
}

const sim_operation sim_operation_splice = {.name = "splice", .prepare = refuse};
