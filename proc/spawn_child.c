/* SPDX-License-Identifier: MIT */
/*
 * The child between clone and exec. It runs on the parent's memory, in the place of the thread that
 * called, with that thread's thread-local storage, while the parent's other threads run on.
 *
 * Therefore: system calls on what `spawn_job` holds and nothing else. No allocation (a lock that
 * another thread holds would never be released for us, and one that we hold when killed would never
 * be released for them), no stdio, no libc function that keeps state (setuid() of glibc would
 * signal the parent's threads), no return from coil_spawn_child_main(). Not even a sanitizer's
 * hooks.
 *
 * syscall() writes errno, which is the parent's: coil_child_spawn() restores it.
 */
#include "child_syscall.h"
#include "spawn_private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <linux/close_range.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* The kernel's own `struct sigaction`; its size is not that of libc's. */
struct kernel_sigaction {
    uintptr_t handler;
    unsigned long flags;
    uintptr_t restorer;
    uint64_t mask;
};

CHILD_SIDE static int outcome(long result)
{
    return result < 0 ? -errno : (int)result;
}

CHILD_SIDE static int join_group(spawn_job *job)
{
    if (job->has_terminal)
        return outcome(CHILD_SYSCALL(SYS_setsid));
    switch (job->plan->group) {
    case COIL_SPAWN_GROUP_INHERIT:
        return 0;
    case COIL_SPAWN_GROUP_NEW:
        return outcome(CHILD_SYSCALL(SYS_setpgid, 0, 0));
    case COIL_SPAWN_SESSION_NEW:
        return outcome(CHILD_SYSCALL(SYS_setsid));
    }
    return -EINVAL;
}

CHILD_SIDE static int take_terminal(spawn_job *job)
{
    return job->has_terminal ? outcome(CHILD_SYSCALL(SYS_ioctl, job->terminal, TIOCSCTTY, 0)) : 0;
}

CHILD_SIDE static int highest_target(const coil_spawn_plan *plan)
{
    int highest = STDERR_FILENO;
    for (size_t i = 0; i < plan->fd_count; i++) {
        if (plan->fds[i].child_fd > highest)
            highest = plan->fds[i].child_fd;
    }
    return highest;
}

/* Copy `fd` above all targets unless it is there already, so that no dup3 hits a source. */
CHILD_SIDE static int move_above(int fd, int highest)
{
    return fd > highest ? fd : outcome(CHILD_SYSCALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, highest + 1));
}

CHILD_SIDE static int stdio_needs_source(const coil_stdio *stdio)
{
    return stdio->mode == COIL_STDIO_PIPE || stdio->mode == COIL_STDIO_FD ||
           stdio->mode == COIL_STDIO_PTY;
}

CHILD_SIDE static int move_sources(spawn_job *job)
{
    const coil_spawn_plan *plan = job->plan;
    const coil_stdio *stdio[] = {&plan->in, &plan->out, &plan->err};
    const int highest = highest_target(plan);

    for (int fd = 0; fd < 3; fd++) {
        job->report.subject = fd;
        if (!stdio_needs_source(stdio[fd]))
            continue;
        job->stdio_source[fd] = move_above(job->stdio_source[fd], highest);
        if (job->stdio_source[fd] < 0)
            return job->stdio_source[fd];
    }
    for (size_t i = 0; i < plan->fd_count; i++) {
        job->report.subject = plan->fds[i].child_fd;
        job->moved_source[i] = move_above(plan->fds[i].parent_fd, highest);
        if (job->moved_source[i] < 0)
            return job->moved_source[i];
    }
    return 0;
}

CHILD_SIDE static int set_null(int target)
{
    int fd = outcome(CHILD_SYSCALL(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0));
    if (fd < 0)
        return fd;
    if (fd == target) /* dup3 refuses that. */
        return outcome(CHILD_SYSCALL(SYS_fcntl, fd, F_SETFD, 0));
    return outcome(CHILD_SYSCALL(SYS_dup3, fd, target, 0)); /* The exec closes `fd`. */
}

CHILD_SIDE static int set_stdio(const coil_stdio *stdio, int source, int target)
{
    int rc = 0;
    switch (stdio->mode) {
    case COIL_STDIO_INHERIT:
        rc = outcome(CHILD_SYSCALL(SYS_fcntl, target, F_SETFD, 0));
        /* A program started with 0, 1 or 2 closed takes its next file for a standard stream. */
        return rc == -EBADF ? set_null(target) : rc;
    case COIL_STDIO_NULL:
        return set_null(target);
    case COIL_STDIO_PIPE:
    case COIL_STDIO_FD:
    case COIL_STDIO_PTY:
        return outcome(CHILD_SYSCALL(SYS_dup3, source, target, 0));
    case COIL_STDIO_MERGE:
        return outcome(CHILD_SYSCALL(SYS_dup3, STDOUT_FILENO, target, 0));
    }
    return -EINVAL;
}

/*
 * The fd table is our own copy. First everything from 3 on becomes close-on-exec, whoever opened
 * it; then dup3 makes what the plan names, without that flag.
 */
CHILD_SIDE static int set_fds(spawn_job *job)
{
    const coil_spawn_plan *plan = job->plan;
    const coil_stdio *stdio[] = {&plan->in, &plan->out, &plan->err};

    int rc = move_sources(job);
    if (rc < 0)
        return rc;
    job->report.subject = -1;
    rc = outcome(CHILD_SYSCALL(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC));
    for (int fd = 0; fd < 3 && rc >= 0; fd++) {
        job->report.subject = fd;
        rc = set_stdio(stdio[fd], job->stdio_source[fd], fd);
    }
    for (size_t i = 0; i < plan->fd_count && rc >= 0; i++) {
        job->report.subject = plan->fds[i].child_fd;
        rc = outcome(CHILD_SYSCALL(SYS_dup3, job->moved_source[i], plan->fds[i].child_fd, 0));
    }
    return rc;
}

/* After the fds: a low RLIMIT_NOFILE is the program's limit, not ours. */
CHILD_SIDE static int set_limits(spawn_job *job)
{
    for (size_t i = 0; i < job->plan->limit_count; i++) {
        const coil_spawn_limit *limit = &job->plan->limits[i];
        /* prlimit64 takes 64-bit limits on every machine, and so does struct rlimit on ours. */
        const uint64_t soft_and_hard[2] = {limit->limit.rlim_cur, limit->limit.rlim_max};

        job->report.subject = limit->resource;
        int rc = outcome(CHILD_SYSCALL(SYS_prlimit64, 0, limit->resource, soft_and_hard, 0L));
        if (rc < 0)
            return rc;
    }
    return 0;
}

CHILD_SIDE static int set_root(spawn_job *job)
{
    if (job->plan->root == NULL)
        return 0;
    int rc = outcome(CHILD_SYSCALL(SYS_chroot, job->plan->root));
    return rc < 0 ? rc : outcome(CHILD_SYSCALL(SYS_chdir, "/"));
}

CHILD_SIDE static int set_directory(spawn_job *job)
{
    if (job->plan->set_umask)
        (void)CHILD_SYSCALL(SYS_umask, job->plan->umask);
    return job->plan->cwd == NULL ? 0 : outcome(CHILD_SYSCALL(SYS_chdir, job->plan->cwd));
}

/*
 * After the identity, whose change would clear it. The parent may have died before the prctl: then
 * no signal will ever come, and we belong to somebody else already. A parent of pid 0 is one
 * outside of our pid namespace, which is all that can be known about it.
 */
CHILD_SIDE static int die_with_parent(spawn_job *job)
{
    if (job->death_signal == 0)
        return 0;

    int rc = outcome(CHILD_SYSCALL(SYS_prctl, PR_SET_PDEATHSIG, job->death_signal, 0L, 0L, 0L));
    if (rc < 0)
        return rc;
    int parent = outcome(CHILD_SYSCALL(SYS_getppid));
    if (parent != job->parent_pid && parent != 0)
        (void)CHILD_SYSCALL(SYS_kill, outcome(CHILD_SYSCALL(SYS_getpid)), SIGKILL);
    return 0;
}

CHILD_SIDE static int give_up_privileges(spawn_job *job)
{
    if (!job->plan->no_new_privs)
        return 0;
    return outcome(CHILD_SYSCALL(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
}

/*
 * The parent has blocked all signals, because its handlers must not run here, on its memory. So
 * first the dispositions, then the mask. Exec resets handlers by itself, but neither an ignored
 * signal nor a blocked one. (CLONE_CLEAR_SIGHAND would not spare the loop: it keeps ignored signals
 * ignored.)
 */
CHILD_SIDE static int reset_signals(spawn_job *job)
{
    struct kernel_sigaction usual = {0};
    struct kernel_sigaction old;
    const uint64_t mask = job->plan->inherit_signals ? job->caller_mask : 0;

    for (int number = 1; number <= 64; number++) {
        if (number == SIGKILL || number == SIGSTOP)
            continue;
        if (job->plan->inherit_signals) {
            int rc = outcome(CHILD_SYSCALL(SYS_rt_sigaction, number, 0L, &old, sizeof(old.mask)));
            if (rc < 0 || old.handler == (uintptr_t)SIG_IGN)
                continue;
        }
        int rc = outcome(CHILD_SYSCALL(SYS_rt_sigaction, number, &usual, 0L, sizeof(usual.mask)));
        if (rc < 0)
            return rc;
    }
    return outcome(CHILD_SYSCALL(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0L, sizeof(mask)));
}

CHILD_SIDE static int become_program(spawn_job *job)
{
    return outcome(CHILD_SYSCALL(SYS_execve, job->path, job->argv, job->env));
}

CHILD_SIDE void coil_spawn_child_main(coil_kernel_child *child)
{
    static const struct {
        coil_spawn_stage stage;
        int (*take)(spawn_job *job);
    } steps[] = {
            {COIL_SPAWN_STAGE_USER_NAMESPACE, coil_spawn_child_user_namespace},
            {COIL_SPAWN_STAGE_GROUP, join_group},
            {COIL_SPAWN_STAGE_TERMINAL, take_terminal},
            {COIL_SPAWN_STAGE_CGROUP, coil_spawn_child_cgroup},
            {COIL_SPAWN_STAGE_STDIO, set_fds},
            {COIL_SPAWN_STAGE_LIMITS, set_limits},
            {COIL_SPAWN_STAGE_PRIORITY, coil_spawn_child_priority},
            {COIL_SPAWN_STAGE_ROOT, set_root},
            {COIL_SPAWN_STAGE_CHDIR, set_directory},
            {COIL_SPAWN_STAGE_IDENTITY, coil_spawn_child_identity},
            {COIL_SPAWN_STAGE_CAPABILITIES, coil_spawn_child_capabilities},
            {COIL_SPAWN_STAGE_DEATH_SIGNAL, die_with_parent},
            {COIL_SPAWN_STAGE_PRIVILEGES, give_up_privileges},
            {COIL_SPAWN_STAGE_SIGNALS, reset_signals},
            {COIL_SPAWN_STAGE_EXEC, become_program},
    };
    spawn_job *job = coil_container_of(child, spawn_job, child);

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int rc = steps[i].take(job);
        if (rc >= 0)
            continue;
        job->report.error = rc;
        job->report.stage = steps[i].stage;
        break;
    }
    for (;;)
        (void)CHILD_SYSCALL(SYS_exit_group, 127);
}
