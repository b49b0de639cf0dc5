/* SPDX-License-Identifier: MIT */
/*
 * The system calls of a child between clone and exec (proc/child_syscall.h): those that
 * proc/spawn_child.c makes, and no other.
 */
#include "child.h"

#include "disk.h"

#include <coil/kernel.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* ------------------------------------------------------------------------------ descriptors -- */

/* dup3(2) */
static long copy_to(sim_process *process, int from, int to, int flags)
{
    if (from == to || (flags & ~O_CLOEXEC) != 0)
        return -EINVAL;
    const int rc = sim_descriptor_copy(process, from, to);
    if (rc >= 0)
        process->descriptors[rc].close_on_exec = (flags & O_CLOEXEC) != 0;
    return rc;
}

static long control(sim_process *process, int fd, int command, long argument)
{
    if (sim_descriptor_file(process, fd) == NULL)
        return -EBADF;
    switch (command) {
    case F_DUPFD_CLOEXEC:
        if (argument < 0 || argument >= (long)process->descriptor_limit)
            return -EINVAL;
        return sim_descriptor_install(
                process, sim_file_hold(sim_descriptor_file(process, fd)), (int)argument);
    case F_SETFD:
        process->descriptors[fd].close_on_exec = (argument & FD_CLOEXEC) != 0;
        return 0;
    default:
        return -EINVAL;
    }
}

/* umask(2): what it was. */
static long change_umask(sim_process *process, mode_t umask)
{
    const mode_t before = process->umask;
    process->umask = umask & 0777;
    return (long)before;
}

static long close_range_on_exec(sim_process *process, unsigned first, unsigned last, int flags)
{
    if (first > last || flags != CLOSE_RANGE_CLOEXEC)
        return -EINVAL;
    for (unsigned fd = first; fd <= last && fd < process->descriptor_count; fd++)
        process->descriptors[fd].close_on_exec = true;
    return 0;
}

/* -------------------------------------------------------------------------- limits, identity -- */

static long set_limit(sim_process *process, unsigned resource, const struct rlimit64 *limit)
{
    sim_family *family = sim_family_of(process);

    if (resource >= RLIM_NLIMITS || limit->rlim_cur > limit->rlim_max)
        return -EINVAL;
    if (limit->rlim_max > family->limits[resource].rlim_max && family->users[1] != 0)
        return -EPERM;
    family->limits[resource] = *limit;
    if (resource == RLIMIT_NOFILE) { /* Descriptors above it stay open. */
        process->descriptor_limit =
                limit->rlim_cur > 1U << 20 ? 1U << 20 : (unsigned)limit->rlim_cur;
    }
    return 0;
}

/* setresuid(2), setresgid(2); a change of the user takes the death signal away (prctl(2)). */
static long set_ids(sim_process *process, uint32_t ids[3], const uint32_t wanted[3])
{
    sim_family *family = sim_family_of(process);
    for (int i = 0; i < 3; i++) {
        const bool is_had = wanted[i] == ids[0] || wanted[i] == ids[1] || wanted[i] == ids[2];
        if (wanted[i] != UINT32_MAX && !is_had && family->users[1] != 0)
            return -EPERM;
    }
    for (int i = 0; i < 3; i++) {
        if (wanted[i] == UINT32_MAX || wanted[i] == ids[i])
            continue;
        ids[i] = wanted[i];
        process->is_dumpable = false;
        family->death_signal = 0;
    }
    return 0;
}

static long set_groups(sim_process *process, size_t count)
{
    if (sim_family_of(process)->users[1] != 0)
        return -EPERM;
    return count > 65536 ? -EINVAL : 0; /* NGROUPS_MAX. Nothing here depends on the groups. */
}

static long set_attribute(sim_process *process, int attribute, long value)
{
    sim_family *family = sim_family_of(process);
    switch (attribute) {
    case PR_SET_PDEATHSIG:
        if (value < 0 || value > SIM_SIGNAL_LAST)
            return -EINVAL;
        family->death_signal = (int)value;
        return 0;
    case PR_SET_CHILD_SUBREAPER:
        family->is_subreaper = value != 0;
        return 0;
    case PR_SET_KEEPCAPS:
        return 0;
    case PR_SET_NO_NEW_PRIVS:
        if (value != 1)
            return -EINVAL;
        family->has_no_new_privs = true;
        return 0;
    default:
        return -EINVAL;
    }
}

/* ---------------------------------------------------------------------------------- signals -- */

/* The kernel's own `struct sigaction` (asm-generic/signal.h). */
struct kernel_sigaction {
    uintptr_t handler;
    unsigned long flags;
    uintptr_t restorer;
    uint64_t mask;
};

static long set_action(sim_process *process, int signo, const struct kernel_sigaction *action,
        struct kernel_sigaction *out_before)
{
    struct sigaction before;
    struct sigaction wanted;

    memset(&wanted, 0, sizeof(wanted));
    if (action != NULL) {
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): an address, as the kernel has it. */
        wanted.sa_handler = (void (*)(int))action->handler;
        wanted.sa_flags = (int)action->flags;
        sim_signal_set_to(action->mask, &wanted.sa_mask);
    }
    const int rc = sim_signal_set_action(process, signo, action == NULL ? NULL : &wanted, &before);
    if (rc == 0 && out_before != NULL) {
        memset(out_before, 0, sizeof(*out_before));
        out_before->handler = (uintptr_t)before.sa_handler;
    }
    return rc;
}

static long set_mask(sim_fiber *fiber, int how, const uint64_t *mask)
{
    if (how != SIG_SETMASK)
        return -EINVAL;
    sigset_t set;
    sim_signal_set_to(*mask, &set);
    return coil_kernel_sigmask(how, &set, NULL) == 0 && fiber != NULL ? 0 : -EINVAL;
}

/* ---------------------------------------------------------------------------------- dispatch -- */

/* NOLINTBEGIN(performance-no-int-to-ptr): the arguments of system calls are what they are. */
static long files_call(sim_process *process, long number, const long *a)
{
    switch (number) {
    case SYS_dup3:
        return copy_to(process, (int)a[0], (int)a[1], (int)a[2]);
    case SYS_fcntl:
        return control(process, (int)a[0], (int)a[1], a[2]);
    case SYS_close_range:
        return close_range_on_exec(process, (unsigned)a[0], (unsigned)a[1], (int)a[2]);
    case SYS_openat:
        return coil_kernel_openat((int)a[0], (const char *)a[1], (int)a[2]);
    case SYS_chdir:
        return sim_chdir(process, (const char *)a[0]);
    case SYS_write:
        return coil_kernel_write((int)a[0], (const void *)a[1], (size_t)a[2]);
    case SYS_umask:
        return change_umask(process, (mode_t)a[0]);
    default:
        return -ENOSYS;
    }
}

static long identity_call(sim_process *process, long number, const long *a)
{
    sim_family *family = sim_family_of(process);
    const uint32_t ids[3] = {(uint32_t)a[0], (uint32_t)a[1], (uint32_t)a[2]};

    switch (number) {
    case SYS_setpgid:
        return a[0] == 0 && a[1] == 0 ? sim_family_lead_group(process) : -EINVAL;
    case SYS_setsid:
        return sim_family_lead_session(process);
    case SYS_prlimit64:
        return set_limit(process, (unsigned)a[1], (const struct rlimit64 *)a[2]);
    case SYS_setgroups:
        return set_groups(process, (size_t)a[0]);
    case SYS_setresgid:
        return set_ids(process, family->groups, ids);
    case SYS_setresuid:
        return set_ids(process, family->users, ids);
    case SYS_prctl:
        return set_attribute(process, (int)a[0], a[1]);
    case SYS_getppid:
        return process->parent == NULL ? SIM_INIT : process->parent->id;
    case SYS_getpid:
        return process->id;
    case SYS_setpriority: /* Time is shared by chance here. */
    case SYS_ioprio_set:
    case SYS_sched_setaffinity:
        return 0;
    case SYS_chroot: /* Nobody has capabilities here. */
    case SYS_capget:
    case SYS_capset:
        return -EPERM;
    default:
        return -ENOSYS;
    }
}

static long call(sim_process *process, long number, const long *a)
{
    switch (number) {
    case SYS_rt_sigaction:
        return set_action(process, (int)a[0], (const struct kernel_sigaction *)a[1],
                (struct kernel_sigaction *)a[2]);
    case SYS_rt_sigprocmask:
        return set_mask(sim_fiber_current(), (int)a[0], (const uint64_t *)a[1]);
    case SYS_kill:
        return sim_kill(process, (pid_t)a[0], (int)a[1]);
    case SYS_execve:
        return sim_exec(
                process, (const char *)a[0], (char *const *)a[1], (const char *const *)a[2]);
    case SYS_exit_group:
        sim_process_end(process, CLD_EXITED, (int)a[0] & 0xff);
        return 0;
    default:
        break;
    }
    const long result = files_call(process, number, a);
    return result != -ENOSYS ? result : identity_call(process, number, a);
}
/* NOLINTEND(performance-no-int-to-ptr) */

long coil_sim_child_syscall(long number, ...)
{
    long arguments[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    sim_fiber_pass();
    const long result = call(sim_process_current(), number, arguments);
    SIM_CHECK(sim_here(), result != -ENOSYS, "system call %ld is not simulated", number);
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}
