/* SPDX-License-Identifier: MIT */
#include <coil/spawn.h>

#include "cgroup_private.h"
#include "owned.h"
#include "spawn_private.h"

#include <coil/check.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define USUAL_PATH "/usr/local/bin:/usr/bin:/bin"

/* --------------------------------------------------------------------------- system calls -- */

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)coil_kernel_close(fd);
}

/* Both ends close-on-exec, and above 2, where a parent that has closed its stdio would get them. */
static int open_pipe(int out_ends[2])
{
    int ends[2];
    int rc = coil_kernel_pipe(ends);
    if (rc < 0)
        return rc;
    for (int i = 0; i < 2; i++) {
        if (ends[i] > STDERR_FILENO)
            continue;
        int moved = coil_kernel_dup_above(ends[i], STDERR_FILENO + 1);
        close_fd(ends[i]);
        ends[i] = moved;
        if (moved >= 0)
            continue;
        close_fd(ends[1 - i]);
        return moved;
    }
    out_ends[0] = ends[0];
    out_ends[1] = ends[1];
    return 0;
}

/*
 * A process that changes its identity makes its memory unfit for core dumps and tracers. Until exec
 * the child's memory is ours, so that would stick to us.
 */
static void restore_dumpable(int dumpable)
{
    if (coil_kernel_dumpable() != dumpable)
        (void)coil_kernel_set_dumpable(dumpable);
}

/*
 * Until it is restored, files in /proc/self belong to root: another child that writes there would
 * be refused, and another thread that looks would take this for how it has been. So one after the
 * other.
 */
static pthread_mutex_t dumpable_lock COIL_PROCESS_WIDE = PTHREAD_MUTEX_INITIALIZER;

/* In the order of clone_with_care(). */
static void lock_spawns(void)
{
    (void)pthread_mutex_lock(&dumpable_lock);
    owned_fork_begins();
}

static void unlock_spawns(void)
{
    owned_fork_ends(/* in_child= */ false);
    (void)pthread_mutex_unlock(&dumpable_lock);
}

static void unlock_spawns_in_child(void)
{
    owned_fork_ends(/* in_child= */ true);
    (void)pthread_mutex_unlock(&dumpable_lock);
}

static __attribute__((constructor)) void watch_forks(void)
{
    (void)coil_kernel_at_fork(lock_spawns, unlock_spawns, unlock_spawns_in_child);
}

/* 0 if `path` is a file that may be executed, as far as one can tell without doing it. */
static int executable(const char *path)
{
    struct stat status = {.st_mode = 0};
    int rc = coil_kernel_faccessat(AT_FDCWD, path, X_OK);
    if (rc == 0)
        rc = coil_kernel_fstatat(AT_FDCWD, path, &status);
    if (rc < 0)
        return rc;
    return S_ISREG(status.st_mode) ? 0 : -EACCES;
}

/* --------------------------------------------------------------------- the search in PATH -- */

static const char *search_path(const char *const *env)
{
    for (; *env != NULL; env++) {
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    }
    return USUAL_PATH;
}

/*
 * Write the first executable `name` of the directories in `path` to `out_found`. If there is none:
 * -EACCES and the first file of that name that may not be executed, or -ENOENT and "".
 */
static int search(const char *name, const char *path, char out_found[PATH_MAX])
{
    char candidate[PATH_MAX];

    out_found[0] = '\0';
    for (size_t length; *path != '\0'; path += length + (path[length] == ':')) {
        length = strcspn(path, ":");
        if (path[0] != '/')
            continue;
        int size = snprintf(candidate, sizeof(candidate), "%.*s/%s", (int)length, path, name);
        if (size >= (int)sizeof(candidate))
            continue;
        int rc = executable(candidate);
        if (rc == 0 || (rc == -EACCES && out_found[0] == '\0'))
            memcpy(out_found, candidate, (size_t)size + 1);
        if (rc == 0)
            return 0;
    }
    return out_found[0] == '\0' ? -ENOENT : -EACCES;
}

/* Set job->path; `buffer` is where it lives if it has to be put together. */
static int find_program(spawn_job *job, char buffer[PATH_MAX])
{
    const char *program = job->plan->program;

    job->path = program;
    if (job->plan->root != NULL)
        return program[0] == '/' ? 0 : -EINVAL;
    if (strchr(program, '/') != NULL)
        return 0;
    buffer[0] = '\0';
    job->path = buffer;
    return program[0] == '\0' ? -ENOENT : search(program, search_path(job->env), buffer);
}

/* ---------------------------------------------------------------------------------- pipes -- */

/* Index: the child's fd. -1 where there is none. */
typedef struct spawn_pipes {
    int ours[3];
    int childs[3];
    int terminal; /* The child's side of it. */
} spawn_pipes;

static void close_all(int fds[3])
{
    for (int i = 0; i < 3; i++) {
        close_fd(fds[i]);
        fds[i] = -1;
    }
}

static bool wants_terminal(const coil_spawn_plan *plan)
{
    return plan->in.mode == COIL_STDIO_PTY || plan->out.mode == COIL_STDIO_PTY ||
           plan->err.mode == COIL_STDIO_PTY;
}

/* Our side is one file, with a descriptor for each direction. */
static int open_terminal(const coil_spawn_plan *plan, spawn_pipes *pipes)
{
    const bool writes = plan->in.mode == COIL_STDIO_PTY;
    int ends[2];
    int rc = coil_kernel_terminal_open(STDERR_FILENO + 1, &plan->window, ends);
    if (rc < 0)
        return rc;
    pipes->terminal = ends[1];
    pipes->ours[STDOUT_FILENO] = ends[0];
    if (!writes)
        return 0;
    pipes->ours[STDIN_FILENO] = coil_kernel_dup_above(ends[0], STDERR_FILENO + 1);
    return pipes->ours[STDIN_FILENO] < 0 ? pipes->ours[STDIN_FILENO] : 0;
}

static int open_stream(const coil_spawn_plan *plan, spawn_pipes *pipes, int fd)
{
    const coil_stdio *stdio[] = {&plan->in, &plan->out, &plan->err};
    if (stdio[fd]->mode == COIL_STDIO_PTY)
        pipes->childs[fd] = pipes->terminal;
    if (stdio[fd]->mode != COIL_STDIO_PIPE)
        return 0;
    int ends[2] = {-1, -1};
    int rc = open_pipe(ends);
    pipes->childs[fd] = ends[fd == STDIN_FILENO ? 0 : 1];
    pipes->ours[fd] = ends[fd == STDIN_FILENO ? 1 : 0];
    return rc;
}

/* The terminal stands for several. */
static void close_childs(spawn_pipes *pipes)
{
    for (int fd = 0; fd < 3; fd++) {
        if (pipes->childs[fd] == pipes->terminal)
            pipes->childs[fd] = -1;
    }
    close_all(pipes->childs);
    close_fd(pipes->terminal);
    pipes->terminal = -1;
}

static int open_pipes(const coil_spawn_plan *plan, spawn_pipes *pipes)
{
    *pipes = (spawn_pipes){.ours = {-1, -1, -1}, .childs = {-1, -1, -1}, .terminal = -1};
    int rc = wants_terminal(plan) ? open_terminal(plan, pipes) : 0;
    for (int fd = 0; fd < 3 && rc >= 0; fd++)
        rc = open_stream(plan, pipes, fd);
    if (rc >= 0)
        return 0;
    close_all(pipes->ours);
    close_childs(pipes);
    return rc;
}

/* ------------------------------------------------------------------------------ the spawn -- */

static void check_plan(const coil_spawn_plan *plan)
{
    const coil_stdio *stdio[] = {&plan->in, &plan->out, &plan->err};

    COIL_CHECK(plan->program != NULL);
    COIL_CHECK(plan->in.mode != COIL_STDIO_MERGE && plan->out.mode != COIL_STDIO_MERGE);
    for (int fd = 0; fd < 3; fd++)
        COIL_CHECK(stdio[fd]->mode != COIL_STDIO_FD || stdio[fd]->fd >= 0);

    COIL_CHECK(plan->fd_count == 0 || plan->fds != NULL);
    for (size_t i = 0; i < plan->fd_count; i++) {
        COIL_CHECK(plan->fds[i].child_fd > STDERR_FILENO && plan->fds[i].parent_fd >= 0);
        for (size_t earlier = 0; earlier < i; earlier++)
            COIL_CHECK(plan->fds[i].child_fd != plan->fds[earlier].child_fd);
    }
    for (int fd = 0; fd < 3 && wants_terminal(plan); fd++) /* Our side of it has two numbers. */
        COIL_CHECK(stdio[fd]->mode != COIL_STDIO_PIPE || fd == STDERR_FILENO);
    COIL_CHECK(plan->limit_count == 0 || plan->limits != NULL);
    COIL_CHECK(plan->death_signal >= COIL_SPAWN_OUTLIVE);
}

static int death_signal(const coil_spawn_plan *plan)
{
    switch (plan->death_signal) {
    case 0:
        return SIGKILL;
    case COIL_SPAWN_OUTLIVE:
        return 0;
    }
    return plan->death_signal;
}

/* What the child needs as text and as sets of bits. -EINVAL: a CPU that cannot be. */
static int prepare(spawn_job *job)
{
    const coil_spawn_plan *plan = job->plan;
    const coil_spawn_identity *who = plan->run_as;
    spawn_texts *texts = &job->texts;

    (void)snprintf(texts->nice, sizeof(texts->nice), "%d", plan->nice);
    (void)snprintf(
            texts->oom_score_adjust, sizeof(texts->oom_score_adjust), "%d", plan->oom_score_adjust);
    (void)snprintf(texts->uid_map, sizeof(texts->uid_map), "%u %u 1", who == NULL ? 0 : who->uid,
            coil_kernel_geteuid());
    (void)snprintf(texts->gid_map, sizeof(texts->gid_map), "%u %u 1", who == NULL ? 0 : who->gid,
            coil_kernel_getegid());
    for (size_t i = 0; plan->cpus != NULL && i < plan->cpu_count; i++) {
        const int cpu = plan->cpus[i];
        if (cpu < 0 || cpu >= SPAWN_CPUS_MAX) {
            job->report = (spawn_report){COIL_SPAWN_STAGE_PRIORITY, -EINVAL, PRIORITY_CPUS};
            return -EINVAL;
        }
        job->cpus[cpu / 64] |= UINT64_C(1) << (cpu % 64);
    }
    job->cgroup_procs = plan->cgroup == NULL ? -1 : coil_cgroup_procs_fd(plan->cgroup);
    return 0;
}

/* The child's identity and capabilities become known to our memory; or it writes to /proc/self. */
static bool concerns_dumpable(const coil_spawn_plan *plan)
{
    return plan->run_as != NULL || plan->capabilities != NULL || plan->namespaces != 0 ||
           plan->set_nice || plan->set_oom_score_adjust;
}

/* Clone, with all signals blocked: a handler must not run in the child, on our memory. */
static pid_t clone_child(spawn_job *job, int *out_pidfd)
{
    job->caller_mask = coil_kernel_block_signals();
    owned_clone_begins();
    const pid_t pid = coil_kernel_clone(&job->child, out_pidfd);
    owned_clone_ends(pid);
    coil_kernel_restore_signals(job->caller_mask);
    return pid;
}

static pid_t clone_with_care(spawn_job *job, int *out_pidfd)
{
    (void)pthread_mutex_lock(&dumpable_lock);
    const int dumpable = coil_kernel_dumpable();
    const pid_t pid = clone_child(job, out_pidfd);
    restore_dumpable(dumpable);
    (void)pthread_mutex_unlock(&dumpable_lock);
    return pid;
}

/* Clone, and judge what came of it: the pid of a running child, or an error and no process. */
static pid_t run_job(spawn_job *job, const spawn_pipes *pipes, int *out_pidfd)
{
    const coil_spawn_plan *plan = job->plan;
    const coil_stdio *stdio[] = {&plan->in, &plan->out, &plan->err};
    for (int fd = 0; fd < 3; fd++) {
        const bool given = stdio[fd]->mode == COIL_STDIO_FD;
        job->stdio_source[fd] = given ? stdio[fd]->fd : pipes->childs[fd];
    }
    job->has_terminal = pipes->terminal >= 0;
    job->terminal = pipes->terminal;
    job->child.run = coil_spawn_child_main;
    job->child.namespaces = plan->namespaces;
    job->parent_pid = coil_kernel_getpid();
    job->death_signal = death_signal(plan);

    int pidfd = -1;
    const pid_t pid =
            concerns_dumpable(plan) ? clone_with_care(job, &pidfd) : clone_child(job, &pidfd);
    if (pid < 0) {
        job->report = (spawn_report){.stage = COIL_SPAWN_STAGE_CLONE, .error = pid};
        return pid;
    }
    if (job->report.stage != COIL_SPAWN_STAGE_NONE) {
        siginfo_t unused; /* Somebody else may be faster. */
        (void)coil_kernel_reap_soon(pidfd, &unused);
        owned_remove(pid);
        close_fd(pidfd);
        return job->report.error;
    }
    *out_pidfd = pidfd;
    return pid;
}

/* Everything but the explanation of a failure, which is in job->report then. */
static int spawn(spawn_job *job, char path[PATH_MAX], coil_child *out_child)
{
    int rc = find_program(job, path);
    if (rc < 0) {
        job->report = (spawn_report){.stage = COIL_SPAWN_STAGE_SEARCH, .error = rc};
        return rc;
    }
    if (job->plan->fd_count > COIL_SPAWN_FDS_MAX) {
        job->report = (spawn_report){COIL_SPAWN_STAGE_STDIO, -EINVAL, -1};
        return -EINVAL;
    }
    rc = prepare(job);
    if (rc < 0)
        return rc;
    spawn_pipes pipes;
    rc = open_pipes(job->plan, &pipes);
    if (rc < 0) {
        job->report = (spawn_report){.stage = COIL_SPAWN_STAGE_PIPE, .error = rc};
        return rc;
    }
    int pidfd = -1;
    pid_t pid = run_job(job, &pipes, &pidfd);
    close_childs(&pipes);
    if (pid < 0) {
        close_all(pipes.ours);
        return pid;
    }
    *out_child = (coil_child){.pid = pid,
            .pidfd = pidfd,
            .stdin_fd = pipes.ours[0],
            .stdout_fd = pipes.ours[1],
            .stderr_fd = pipes.ours[2],
            .group = job->has_terminal ? COIL_SPAWN_SESSION_NEW : job->plan->group,
            .cgroup = job->plan->cgroup};
    return 0;
}

int coil_child_spawn(
        const coil_spawn_plan *plan, coil_child *out_child, coil_spawn_error *out_error)
{
    const char *const shell[] = {"sh", "-c", plan->shell, NULL};
    coil_spawn_plan copy = *plan;
    if (plan->shell != NULL) {
        COIL_CHECK(plan->program == NULL && plan->argv == NULL);
        copy.program = "/bin/sh";
        copy.argv = shell;
        plan = &copy;
    }
    check_plan(plan);

    const int caller_errno = errno;
    const char *const just_the_name[] = {plan->program, NULL};
    char path[PATH_MAX];
    spawn_job job = {
            .plan = plan,
            .argv = plan->argv == NULL ? just_the_name : plan->argv,
            .env = plan->env == NULL ? (const char *const *)environ : plan->env,
    };
    int rc = spawn(&job, path, out_child);
    if (rc < 0 && out_error != NULL)
        coil_spawn_explain(plan, job.path, &job.report, out_error);
    errno = caller_errno;
    return rc;
}

void coil_child_fini(coil_child *child)
{
    if (child == NULL)
        return;

    int *const fds[] = {&child->pidfd, &child->stdin_fd, &child->stdout_fd, &child->stderr_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        close_fd(*fds[i]);
        *fds[i] = -1;
    }
}

const char *coil_spawn_stage_name(coil_spawn_stage stage)
{
    switch (stage) {
    case COIL_SPAWN_STAGE_NONE:
        return "none";
    case COIL_SPAWN_STAGE_SEARCH:
        return "search";
    case COIL_SPAWN_STAGE_PIPE:
        return "pipe";
    case COIL_SPAWN_STAGE_CLONE:
        return "clone";
    case COIL_SPAWN_STAGE_GROUP:
        return "process group";
    case COIL_SPAWN_STAGE_STDIO:
        return "stdio";
    case COIL_SPAWN_STAGE_LIMITS:
        return "limits";
    case COIL_SPAWN_STAGE_CHDIR:
        return "chdir";
    case COIL_SPAWN_STAGE_IDENTITY:
        return "identity";
    case COIL_SPAWN_STAGE_DEATH_SIGNAL:
        return "death signal";
    case COIL_SPAWN_STAGE_PRIVILEGES:
        return "no_new_privs";
    case COIL_SPAWN_STAGE_SIGNALS:
        return "signals";
    case COIL_SPAWN_STAGE_USER_NAMESPACE:
        return "user namespace";
    case COIL_SPAWN_STAGE_TERMINAL:
        return "terminal";
    case COIL_SPAWN_STAGE_CGROUP:
        return "cgroup";
    case COIL_SPAWN_STAGE_PRIORITY:
        return "priority";
    case COIL_SPAWN_STAGE_ROOT:
        return "root";
    case COIL_SPAWN_STAGE_CAPABILITIES:
        return "capabilities";
    case COIL_SPAWN_STAGE_EXEC:
        return "exec";
    }
    return "unknown";
}
