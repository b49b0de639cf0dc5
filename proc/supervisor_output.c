/* SPDX-License-Identifier: MIT */
/* What a process writes, until a log reads it. */
#include "log_private.h"
#include "supervisor_private.h"

#include <coil/kernel.h>

enum { PIPES = 2 };

unread_pipes unread_take(coil_child *child)
{
    const unread_pipes pipes = {{child->stdout_fd, child->stderr_fd}};

    child->stdout_fd = child->stderr_fd = -1;
    return pipes;
}

void unread_close(unread_pipes *pipes)
{
    for (int i = 0; i < PIPES; i++) {
        if (pipes->fds[i] >= 0)
            (void)coil_kernel_close(pipes->fds[i]);
    }
    *pipes = UNREAD_NONE;
}

bool unread_is_any(const unread_pipes *pipes)
{
    return pipes->fds[0] >= 0 || pipes->fds[1] >= 0;
}

const char *unread_name(const unread_pipes *pipes)
{
    return pipes->fds[0] >= 0 ? "stdout" : "stderr";
}

int service_attach(coil_service *service, unread_pipes *pipes)
{
    const coil_service_plan *plan = &service->owned.plan;

    for (int i = 0; i < PIPES; i++) {
        if (pipes->fds[i] < 0)
            continue;
        const int rc = log_attach(plan->log, pipes->fds[i], plan->log_prefix);
        if (rc < 0)
            return rc;
        pipes->fds[i] = -1;
    }
    return 0;
}
