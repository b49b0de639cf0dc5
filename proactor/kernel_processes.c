/* SPDX-License-Identifier: MIT */
/* The seam to the real kernel: this process, its children, and all others. */
#include "kernel_private.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

/* --------------------------------------------------------------------------------- itself -- */

gid_t coil_kernel_getegid(void)
{
    return getegid();
}

uid_t coil_kernel_geteuid(void)
{
    return geteuid();
}

pid_t coil_kernel_getpid(void)
{
    return getpid();
}

bool coil_kernel_is_main_thread(void)
{
    return gettid() == getpid();
}

int coil_kernel_dumpable(void)
{
    return checked(prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L));
}

int coil_kernel_set_dumpable(int dumpable)
{
    return checked(prctl(PR_SET_DUMPABLE, (long)dumpable, 0L, 0L, 0L));
}

int coil_kernel_set_subreaper(bool subreaper)
{
    return checked(prctl(PR_SET_CHILD_SUBREAPER, subreaper ? 1L : 0L, 0L, 0L, 0L));
}

int64_t coil_kernel_resident_bytes(void)
{
    char text[128] = ""; /* Pages: all, resident, shared, ... */

    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t size = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    const char *resident = size > 0 ? strchr(text, ' ') : NULL;
    if (resident == NULL)
        return -ENODATA;
    return strtoll(resident, NULL, 10) * sysconf(_SC_PAGESIZE);
}

/* ------------------------------------------------------------------------------- children -- */

/*
 * What the child needs is below 1 KiB; it calls nothing but syscall(). The stack is a part of the
 * caller's own, which waits until the child is done with it: no mapping to make, none to fail.
 */
#define CHILD_STACK_BYTES 16384

/* ThreadSanitizer takes a clone() for a fork(), and ruins its own state when memory is shared. */
#if defined __SANITIZE_THREAD__
#define THREAD_SANITIZER 1
#elif defined __has_feature
#define THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define THREAD_SANITIZER 0
#endif
#if THREAD_SANITIZER
#define CLONE plain_clone
int plain_clone(int (*run)(void *), void *stack, int flags, void *argument, ...) __asm__("__clone");
#else
#define CLONE clone
#endif

COIL_UNINSTRUMENTED static int run_child(void *argument)
{
    coil_kernel_child *child = argument;
    child->run(child);
    return 0;
}

pid_t coil_kernel_clone(coil_kernel_child *child, int *out_pidfd)
{
    _Alignas(16) char stack[CHILD_STACK_BYTES];
    const int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD | (int)child->namespaces;

    return checked(CLONE(run_child, stack + sizeof(stack), flags, child, out_pidfd));
}

int coil_kernel_exec(const char *path, char *const arguments[])
{
    return checked(execv(path, arguments));
}

/* --------------------------------------------------------------------------------- pidfds -- */

int coil_kernel_pidfd_signal(int pidfd, int signo)
{
    return checked(syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0));
}

int coil_kernel_pidfd_open(pid_t pid)
{
    return checked(syscall(SYS_pidfd_open, pid, 0));
}

int coil_kernel_reap(int pidfd, siginfo_t *out_status)
{
    return checked(waitid((idtype_t)P_PIDFD, (id_t)pidfd, out_status, WEXITED | WNOHANG));
}

int coil_kernel_reap_soon(int pidfd, siginfo_t *out_status)
{
    int rc;
    do {
        rc = checked(waitid((idtype_t)P_PIDFD, (id_t)pidfd, out_status, WEXITED));
    } while (rc == -EINTR);
    return rc;
}

int coil_kernel_reap_usage(int pidfd, siginfo_t *out_status, struct rusage *out_usage)
{
    /* libc's function hides the fifth argument. */
    return checked(syscall(SYS_waitid, P_PIDFD, pidfd, out_status, WEXITED | WNOHANG, out_usage));
}

/* `struct pidfd_info` of <linux/pidfd.h>, which is younger than the headers that we build with. */
typedef struct pidfd_info_64 {
    uint64_t mask;
    uint64_t cgroup_id;
    uint32_t ids[11];
    int32_t exit_code;
} pidfd_info_64;

static_assert(sizeof(pidfd_info_64) == 64, "PIDFD_INFO_SIZE_VER0");

#define PIDFD_GET_INFO_64 _IOWR(0xff, 11, pidfd_info_64)
#define PIDFD_INFO_EXIT_BIT (UINT64_C(1) << 3)

int coil_kernel_pidfd_exit(int pidfd, int *out_wait_status)
{
    pidfd_info_64 info = {.mask = PIDFD_INFO_EXIT_BIT};
    int rc = checked(ioctl(pidfd, PIDFD_GET_INFO_64, &info));
    if (rc == -ESRCH) { /* It was being reaped while the kernel looked: now it is known. */
        info = (pidfd_info_64){.mask = PIDFD_INFO_EXIT_BIT};
        rc = checked(ioctl(pidfd, PIDFD_GET_INFO_64, &info));
    }
    if (rc == -ENOTTY || rc == -EINVAL)
        return -EOPNOTSUPP;
    if (rc < 0)
        return rc;
    if ((info.mask & PIDFD_INFO_EXIT_BIT) == 0)
        return -EAGAIN;
    *out_wait_status = info.exit_code;
    return 0;
}

#define PIDFS_MAGIC 0x50494446 /* PID_FS_MAGIC of <linux/magic.h> */

int coil_kernel_pidfd_identity(int pidfd, uint64_t *out_identity)
{
    struct statfs system;
    struct stat status;
    int rc = checked(fstatfs(pidfd, &system));
    if (rc == 0 && system.f_type != PIDFS_MAGIC)
        return -EOPNOTSUPP;
    if (rc == 0)
        rc = checked(fstat(pidfd, &status));
    if (rc == 0)
        *out_identity = status.st_ino;
    return rc;
}

#define SIGNAL_PROCESS_GROUP (1U << 2) /* PIDFD_SIGNAL_PROCESS_GROUP of <linux/pidfd.h> */

int coil_kernel_pidfd_signal_group(int pidfd, int signo)
{
    return checked(syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, SIGNAL_PROCESS_GROUP));
}

/* ---------------------------------------------------------------------------------- /proc -- */

int coil_kernel_processes(pid_t *out_pids, int limit)
{
    int count = 0;
    DIR *directory = opendir("/proc");
    if (directory == NULL)
        return -errno;
    for (const struct dirent *entry = NULL; count < limit;) {
        entry = readdir(directory);
        if (entry == NULL)
            break;
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            out_pids[count++] = (pid_t)strtol(entry->d_name, NULL, 10);
    }
    (void)closedir(directory);
    return count;
}

/*
 * Of one thread: a number and a blank for each. Those that do not fit into `limit` are left out. A
 * thread that has ended since it was listed has none any more; one without such a file is of a
 * kernel that does not tell.
 */
static int read_children(pid_t pid, const char *thread, pid_t *out_pids, int limit)
{
    char path[64];
    int count = 0;
    const int length = snprintf(path, sizeof(path), "/proc/%d/task/%.16s", (int)pid, thread);
    (void)snprintf(path + length, sizeof(path) - (size_t)length, "/children");
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        const int rc = -errno;
        path[length] = '\0';
        return access(path, F_OK) == 0 ? rc : 0;
    }
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers. */
    while (count < limit && fscanf(file, "%d", &out_pids[count]) == 1)
        count++;
    (void)fclose(file);
    return count;
}

/* Each of its threads has children of its own. */
int coil_kernel_process_children(pid_t pid, pid_t *out_pids, int limit)
{
    char path[64];
    int count = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return errno == ENOENT ? -ESRCH : -errno;
    for (const struct dirent *entry = readdir(directory); entry != NULL && count >= 0;
            entry = readdir(directory)) {
        if (entry->d_name[0] == '.')
            continue;
        const int more = read_children(pid, entry->d_name, out_pids + count, limit - count);
        count = more < 0 ? more : count + more;
    }
    (void)closedir(directory);
    return count;
}

/*
 * "PID (name) state ppid pgrp session ... threads ... start time": the name may have anything in
 * it. A main thread that called pthread_exit() is a zombie while others of its threads run.
 */
int coil_kernel_process_look(pid_t pid, coil_kernel_process *out_process)
{
    char text[1024];
    char path[32];
    coil_kernel_process found = {.pid = pid};
    int thread_count = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    const ssize_t size = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (size <= 0)
        return -ESRCH;
    text[size] = '\0';
    const char *rest = strrchr(text, ')');
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers. */
    if (rest == NULL || sscanf(rest + 1,
                                " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                                "%d %*d %" SCNu64,
                                &found.state, &found.parent, &found.group, &found.session,
                                &thread_count, &found.start_time) != 6)
        return -ESRCH;
    found.has_ended = found.state == 'Z' && thread_count <= 1;
    *out_process = found;
    return 0;
}
