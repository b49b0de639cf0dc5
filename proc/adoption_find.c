/* SPDX-License-Identifier: MIT */
/* Who is at the other end of a pipe: proc_pid_fd(5). */
#include "adoption_private.h"

#include <coil/kernel.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_BYTES = 48, PROCESSES_MAX = 1 << 16 };

static bool has_it(pid_t pid, int fd, uint64_t inode)
{
    char path[PATH_BYTES];
    struct stat status;
    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
    return coil_kernel_fstatat(AT_FDCWD, path, &status) == 0 && S_ISFIFO(status.st_mode) &&
           status.st_ino == inode;
}

static int eldest(const pid_t *pids, int count, uint64_t inode)
{
    coil_kernel_process found = {.pid = -ESRCH};
    for (int i = 0; i < count; i++) {
        coil_kernel_process process;
        if (pids[i] == coil_kernel_getpid())
            continue;
        if (!has_it(pids[i], STDOUT_FILENO, inode) && !has_it(pids[i], STDERR_FILENO, inode))
            continue;
        if (coil_kernel_process_look(pids[i], &process) < 0)
            continue;
        if (found.pid < 0 || process.start_time < found.start_time ||
                (process.start_time == found.start_time && process.pid == found.parent))
            found = process;
    }
    return found.pid;
}

int adoption_find_writer(int read_fd)
{
    uint64_t inode = 0;
    int rc = coil_kernel_inode(read_fd, &inode);
    if (rc < 0)
        return rc;
    pid_t *pids = malloc(PROCESSES_MAX * sizeof(*pids));
    if (pids == NULL)
        return -ENOMEM;
    rc = coil_kernel_processes(pids, PROCESSES_MAX);
    if (rc >= 0)
        rc = eldest(pids, rc, inode);
    free(pids);
    return rc;
}
