/* SPDX-License-Identifier: MIT */
/*
 * What the child may do, and how much of it: the steps between clone and exec that are about user
 * namespace, cgroup, priorities, identity and capabilities. See spawn_child.c for the rules.
 *
 * Sources: user_namespaces(7), cgroups(7), ioprio_set(2), sched_setaffinity(2), capabilities(7),
 * proc_pid_oom_score_adj(5), sched(7) for the autogroup.
 */
#include "child_syscall.h"
#include "spawn_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* 16-bit ids hide behind the plain names on old 32-bit machines. */
#ifdef SYS_setresuid32
#define CALL_SETRESUID SYS_setresuid32
#define CALL_SETRESGID SYS_setresgid32
#define CALL_SETGROUPS SYS_setgroups32
#else
#define CALL_SETRESUID SYS_setresuid
#define CALL_SETRESGID SYS_setresgid
#define CALL_SETGROUPS SYS_setgroups
#endif

#define IOPRIO_WHO_PROCESS 1 /* <linux/ioprio.h> */

CHILD_SIDE static int outcome(long result)
{
    return result < 0 ? -errno : (int)result;
}

/* The fd is close-on-exec, and left to the exec. */
CHILD_SIDE static int write_file(const char *path, const char *text)
{
    size_t size_bytes = 0;
    while (text[size_bytes] != '\0')
        size_bytes++;
    int fd = outcome(CHILD_SYSCALL(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0));
    return fd < 0 ? fd : outcome(CHILD_SYSCALL(SYS_write, fd, text, size_bytes));
}

/* A map of one line needs no privilege, if groups cannot be given up by it. */
CHILD_SIDE int coil_spawn_child_user_namespace(spawn_job *job)
{
    if ((job->plan->namespaces & CLONE_NEWUSER) == 0)
        return 0;
    int rc = write_file("/proc/self/setgroups", "deny");
    if (rc >= 0)
        rc = write_file("/proc/self/uid_map", job->texts.uid_map);
    if (rc >= 0)
        rc = write_file("/proc/self/gid_map", job->texts.gid_map);
    return rc;
}

CHILD_SIDE int coil_spawn_child_cgroup(spawn_job *job)
{
    if (job->plan->cgroup == NULL)
        return 0;
    return outcome(CHILD_SYSCALL(SYS_write, job->cgroup_procs, "0", 1));
}

/*
 * Where the kernel groups sessions for the scheduler, a nice value counts within the session only;
 * so a new session is given it as well. There may be no such file.
 */
CHILD_SIDE static int set_nice(spawn_job *job)
{
    if (!job->plan->set_nice)
        return 0;
    job->report.subject = PRIORITY_NICE;
    if (job->has_terminal || job->plan->group == COIL_SPAWN_SESSION_NEW)
        (void)write_file("/proc/self/autogroup", job->texts.nice);
    return outcome(CHILD_SYSCALL(SYS_setpriority, PRIO_PROCESS, 0, job->plan->nice));
}

CHILD_SIDE int coil_spawn_child_priority(spawn_job *job)
{
    const coil_spawn_plan *plan = job->plan;
    int rc = set_nice(job);
    if (rc >= 0 && plan->io_priority != 0) {
        job->report.subject = PRIORITY_IO;
        rc = outcome(CHILD_SYSCALL(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, plan->io_priority));
    }
    if (rc >= 0 && plan->cpus != NULL) {
        job->report.subject = PRIORITY_CPUS;
        rc = outcome(CHILD_SYSCALL(SYS_sched_setaffinity, 0, sizeof(job->cpus), job->cpus));
    }
    if (rc >= 0 && plan->set_oom_score_adjust) {
        job->report.subject = PRIORITY_OOM;
        rc = write_file("/proc/self/oom_score_adj", job->texts.oom_score_adjust);
    }
    return rc;
}

/* A change from root to another would take the capabilities that the next step needs. */
CHILD_SIDE int coil_spawn_child_identity(spawn_job *job)
{
    const coil_spawn_identity *who = job->plan->run_as;
    if (who == NULL)
        return 0;

    int rc = 0;
    if (job->plan->capabilities != NULL)
        rc = outcome(CHILD_SYSCALL(SYS_prctl, PR_SET_KEEPCAPS, 1L, 0L, 0L, 0L));
    /* In a user namespace of its own nobody may change the groups. */
    if (rc >= 0 && ((job->plan->namespaces & CLONE_NEWUSER) == 0 || who->group_count > 0))
        rc = outcome(CHILD_SYSCALL(CALL_SETGROUPS, who->group_count, who->groups));
    if (rc >= 0)
        rc = outcome(CHILD_SYSCALL(CALL_SETRESGID, who->gid, who->gid, who->gid));
    if (rc >= 0)
        rc = outcome(CHILD_SYSCALL(CALL_SETRESUID, who->uid, who->uid, who->uid));
    return rc;
}

/* The kernel's two halves of each set: capset(2). */
struct capability_sets {
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct halves[2];
};

CHILD_SIDE static int get_capabilities(struct capability_sets *sets)
{
    sets->header.version = _LINUX_CAPABILITY_VERSION_3;
    sets->header.pid = 0;
    return outcome(CHILD_SYSCALL(SYS_capget, &sets->header, sets->halves));
}

CHILD_SIDE static int set_capabilities(struct capability_sets *sets)
{
    return outcome(CHILD_SYSCALL(SYS_capset, &sets->header, sets->halves));
}

/* What is permitted counts again: a change of the identity has made it sleep. */
CHILD_SIDE static int wake_capabilities(struct capability_sets *sets)
{
    int rc = get_capabilities(sets);
    for (int i = 0; i < 2; i++)
        sets->halves[i].effective = sets->halves[i].permitted;
    return rc < 0 ? rc : set_capabilities(sets);
}

/* The first number that the kernel does not know ends it. */
CHILD_SIDE static int set_bounds(uint64_t allowed)
{
    for (int i = 0; i < 64 && allowed != UINT64_MAX; i++) {
        if ((allowed >> i & 1) != 0)
            continue;
        int rc = outcome(CHILD_SYSCALL(SYS_prctl, PR_CAPBSET_DROP, (long)i, 0L, 0L, 0L));
        if (rc == -EINVAL)
            return 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

CHILD_SIDE static int set_ambient(uint64_t kept)
{
    int rc =
            outcome(CHILD_SYSCALL(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L));
    for (int i = 0; i < 64 && rc >= 0; i++) {
        if ((kept >> i & 1) == 0)
            continue;
        rc = outcome(
                CHILD_SYSCALL(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, (long)i, 0L, 0L));
    }
    return rc;
}

/* After the identity. First what needs CAP_SETPCAP, then that goes, too. */
CHILD_SIDE int coil_spawn_child_capabilities(spawn_job *job)
{
    const coil_spawn_capabilities *wanted = job->plan->capabilities;
    struct capability_sets sets;
    if (wanted == NULL)
        return 0;

    int rc = wake_capabilities(&sets);
    if (rc >= 0)
        rc = set_bounds(wanted->keep | wanted->bounding);
    if (rc >= 0 && wanted->securebits != 0) {
        const long bits = (long)wanted->securebits;
        rc = outcome(CHILD_SYSCALL(SYS_prctl, PR_SET_SECUREBITS, bits, 0L, 0L, 0L));
    }
    for (int i = 0; i < 2; i++) {
        const uint32_t half = (uint32_t)(wanted->keep >> (32 * i));
        sets.halves[i].effective = half;
        sets.halves[i].permitted = half;
        sets.halves[i].inheritable = half;
    }
    if (rc >= 0)
        rc = set_capabilities(&sets);
    return rc < 0 ? rc : set_ambient(wanted->keep);
}
