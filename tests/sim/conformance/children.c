/* SPDX-License-Identifier: MIT */
/*
 * Child processes. A child here runs on our memory between clone and exec, where it may do nothing
 * but plain system calls: it exits at once, or waits to be killed.
 */
#include "programs.h"

#include "child_syscall.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <sys/syscall.h>
#include <sys/wait.h>

typedef struct plan {
    coil_kernel_child child;
    int status;
    const char *path; /* Exec this first. */
    char *const *arguments;
    bool leads; /* A group of its own. */
} plan;

COIL_UNINSTRUMENTED static void run(coil_kernel_child *child)
{
    plan *self = coil_container_of(child, plan, child);
    static char *const no_environment[] = {NULL};
    if (self->leads)
        (void)CHILD_SYSCALL(SYS_setpgid, 0, 0);
    if (self->path != NULL)
        (void)CHILD_SYSCALL(SYS_execve, self->path, self->arguments, no_environment);
    for (;;)
        (void)CHILD_SYSCALL(SYS_exit_group, self->status);
}

static int start(struct stage *stage, int status)
{
    int pidfd = -1;
    plan exits = {.child = {.run = run}, .status = status};
    pid_t pid = coil_kernel_clone(&exits.child, &pidfd);
    stage_say(stage, "clone: %s", pid > 0 ? "pid" : "error");
    return pidfd;
}

/* A child that does not end by itself. A simulated world must have this program, too. */
static int start_sleeper(struct stage *stage)
{
    static char name[] = "sleep";
    static char seconds[] = "1000";
    static char *const arguments[] = {name, seconds, NULL};
    int pidfd = -1;
    plan exits = {
            .child = {.run = run}, .status = 127, .path = "/bin/sleep", .arguments = arguments};
    pid_t pid = coil_kernel_clone(&exits.child, &pidfd);
    stage_say(stage, "clone: %s", pid > 0 ? "pid" : "error");
    return pidfd;
}

static void ask_waitid(
        struct stage *stage, const char *name, int pidfd, siginfo_t *status, int options)
{
    io_uring_prep_waitid(
            stage_ask(stage, name), (idtype_t)P_PIDFD, (id_t)pidfd, status, options, 0);
}

static void say_status(struct stage *stage, const siginfo_t *status)
{
    if (status->si_pid == 0) {
        stage_say(stage, "no status");
        return;
    }
    stage_say(stage, "%s %d",
            status->si_code == CLD_EXITED   ? "exited"
            : status->si_code == CLD_KILLED ? "killed"
                                            : "other",
            status->si_status);
}

/* Pitfall 8: WNOWAIT leaves the status; without it, it is taken once. */
void play_child_exits(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    int pidfd = start(stage, 7);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), pidfd, POLLIN);
    stage_expect(stage, 1);
    for (int i = 0; i < 2; i++) {
        ask_waitid(stage, "wait with WNOWAIT", pidfd, status, WEXITED | WNOWAIT);
        stage_expect(stage, 1);
        say_status(stage, status);
    }
    memset(status, 0, sizeof(*status));
    ask_waitid(stage, "wait", pidfd, status, WEXITED);
    stage_expect(stage, 1);
    say_status(stage, status);
    ask_waitid(stage, "wait again", pidfd, status, WEXITED);
    stage_expect(stage, 1);
    stage_say_result(stage, "reap", coil_kernel_reap(pidfd, status));
    stage_say_result(stage, "signal", coil_kernel_pidfd_signal(pidfd, 0));
    io_uring_prep_poll_add(stage_ask(stage, "poll of the reaped"), pidfd, POLLIN);
    stage_expect(stage, 1);
    stage_close(stage, pidfd);
}

void play_child_is_reaped(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    int pidfd = start(stage, 3);
    stage_say_result(stage, "reap soon", coil_kernel_reap_soon(pidfd, status));
    say_status(stage, status);
    stage_say_result(stage, "reap soon again", coil_kernel_reap_soon(pidfd, status));
    stage_close(stage, pidfd);
}

/* WNOHANG of a child that runs is a success without a status; a signal ends it. */
void play_child_is_killed(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    int pidfd = start_sleeper(stage);
    stage_say_result(stage, "reap", coil_kernel_reap(pidfd, status));
    say_status(stage, status);
    ask_waitid(stage, "wait with WNOHANG", pidfd, status, WEXITED | WNOHANG);
    stage_expect(stage, 1);
    say_status(stage, status);
    ask_waitid(stage, "wait", pidfd, status, WEXITED);
    stage_expect_nothing(stage);
    stage_say_result(stage, "signal 0", coil_kernel_pidfd_signal(pidfd, 0));
    stage_say_result(stage, "no such signal", coil_kernel_pidfd_signal(pidfd, 1000));
    stage_say_result(stage, "SIGKILL", coil_kernel_pidfd_signal(pidfd, SIGKILL));
    stage_expect(stage, 1);
    say_status(stage, status);
    stage_close(stage, pidfd);
}

/* A signal to a child that has ended, but is not reaped, is no error. */
void play_child_signal_to_zombie(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    int pidfd = start(stage, 0);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), pidfd, POLLIN);
    stage_expect(stage, 1);
    stage_say_result(stage, "SIGKILL", coil_kernel_pidfd_signal(pidfd, SIGKILL));
    stage_say_result(stage, "reap", coil_kernel_reap(pidfd, status));
    say_status(stage, status);
    stage_say_result(stage, "SIGKILL", coil_kernel_pidfd_signal(pidfd, SIGKILL));
    stage_close(stage, pidfd);
}

/* Pitfall 5: cancelling a wait says how many, not 0. The status is left for the next. */
void play_child_wait_cancelled(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    int pidfd = start_sleeper(stage);
    ask_waitid(stage, "wait", pidfd, status, WEXITED | WNOWAIT);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel", "wait", 0);
    stage_expect(stage, 2);
    stage_ask_cancel(stage, "cancel again", "wait", 0);
    stage_expect(stage, 1);
    ask_waitid(stage, "another", pidfd, status, WEXITED | WNOWAIT);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "cancel, told only if it fails", "another", 0)->flags |=
            IOSQE_CQE_SKIP_SUCCESS;
    stage_expect(stage, 1);
    stage_expect_nothing(stage);
    stage_say_result(stage, "SIGTERM", coil_kernel_pidfd_signal(pidfd, SIGTERM));
    ask_waitid(stage, "last", pidfd, status, WEXITED);
    stage_expect(stage, 1);
    say_status(stage, status);
    stage_close(stage, pidfd);
}

/* To a cancellation of all, all waits are one. One that is cancelled is not found again. */
void play_child_waits_cancelled(struct stage *stage)
{
    const unsigned all = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
    siginfo_t *status = stage_memory(stage, 3 * sizeof(*status));
    int pidfd = start_sleeper(stage);
    for (int i = 0; i < 3; i++)
        ask_waitid(stage, "wait", pidfd, &status[i], WEXITED | WNOWAIT);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), pidfd, POLLIN);
    stage_expect_nothing(stage);
    io_uring_prep_cancel64(stage_ask(stage, "cancel"), 0, (int)all);
    stage_expect(stage, 5);
    ask_waitid(stage, "once more", pidfd, status, WEXITED | WNOWAIT);
    stage_expect_nothing(stage);
    stage_ask_cancel(stage, "first", "once more", 0);
    stage_ask_cancel(stage, "second", "once more", 0);
    stage_expect(stage, 3);
    stage_say_result(stage, "SIGKILL", coil_kernel_pidfd_signal(pidfd, SIGKILL));
    stage_say_result(stage, "reap", coil_kernel_reap_soon(pidfd, status));
    stage_close(stage, pidfd);
}

/* Several wait, none takes: all are told. */
void play_child_of_many_waits(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, 3 * sizeof(*status));
    int pidfd = start_sleeper(stage);
    for (int i = 0; i < 3; i++)
        ask_waitid(stage, "wait", pidfd, &status[i], WEXITED | WNOWAIT);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), pidfd, POLLIN);
    stage_expect_nothing(stage);
    stage_say_result(stage, "SIGKILL", coil_kernel_pidfd_signal(pidfd, SIGKILL));
    stage_expect(stage, 4);
    for (int i = 0; i < 3; i++)
        say_status(stage, &status[i]);
    stage_say_result(stage, "reap", coil_kernel_reap_soon(pidfd, status));
    stage_close(stage, pidfd);
}

void play_child_misused(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    int self = coil_kernel_pidfd_open(coil_kernel_getpid());
    int other = coil_kernel_eventfd();
    stage_say_fd(stage, "pidfd of ourselves", self);
    ask_waitid(stage, "no child of ours", self, status, WEXITED);
    stage_expect(stage, 1);
    ask_waitid(stage, "no pidfd", other, status, WEXITED);
    stage_expect(stage, 1);
    ask_waitid(stage, "no descriptor", 4000, status, WEXITED);
    stage_expect(stage, 1);
    ask_waitid(stage, "no options", self, status, 0);
    stage_expect(stage, 1);
    io_uring_prep_waitid(
            stage_ask(stage, "flags"), (idtype_t)P_PIDFD, (id_t)self, status, WEXITED, 1);
    stage_expect(stage, 1);
    io_uring_prep_waitid(stage_ask(stage, "any, without one"), P_ALL, 0, status, WEXITED, 0);
    stage_expect(stage, 1);
    stage_say_result(stage, "reap of ourselves", coil_kernel_reap(self, status));
    stage_say_fd(stage, "pidfd of nobody", coil_kernel_pidfd_open(-1));
    stage_say_result(stage, "signal by no pidfd", coil_kernel_pidfd_signal(other, 0));
    stage_close(stage, other);
    stage_close(stage, self);
}

/* What exec refuses, the child says by its status. */
void play_child_exec_fails(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    static char name[] = "x";
    static char *const arguments[] = {name, NULL};
    int pidfd = -1;
    plan exits = {.child = {.run = run},
            .status = 127,
            .path = "child_exec_fails.missing",
            .arguments = arguments};
    pid_t pid = coil_kernel_clone(&exits.child, &pidfd);
    stage_say(stage, "clone: %s", pid > 0 ? "pid" : "error");
    ask_waitid(stage, "wait", pidfd, status, WEXITED);
    stage_expect(stage, 1);
    say_status(stage, status);
    stage_close(stage, pidfd);
}

static pid_t start_leader(struct stage *stage, bool leads, int *out_pidfd)
{
    static char name[] = "sleep";
    static char seconds[] = "1000";
    static char *const arguments[] = {name, seconds, NULL};
    plan sleeps = {.child = {.run = run},
            .status = 127,
            .path = "/bin/sleep",
            .arguments = arguments,
            .leads = leads};
    const pid_t pid = coil_kernel_clone(&sleeps.child, out_pidfd);
    stage_say(stage, "clone: %s", pid > 0 ? "pid" : "error");
    return pid;
}

static void end_and_see(struct stage *stage, int pidfd)
{
    stage_say_result(stage, "SIGKILL", coil_kernel_pidfd_signal(pidfd, SIGKILL));
    io_uring_prep_poll_add(stage_ask(stage, "poll"), pidfd, POLLIN);
    stage_expect(stage, 1);
}

static bool has(const pid_t *pids, int count, pid_t pid)
{
    for (int i = 0; i < count; i++) {
        if (pids[i] == pid)
            return true;
    }
    return false;
}

/* What the kernel knows of a process, and still knows when it has been reaped. */
void play_child_is_remembered(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    struct rusage *usage = stage_memory(stage, sizeof(*usage));
    int ended = -1;
    int pidfd = -1;
    uint64_t identity[2] = {0, 1};
    pid_t pid = start_leader(stage, false, &pidfd);
    int other = coil_kernel_pidfd_open(pid);

    stage_say_result(stage, "identity", coil_kernel_pidfd_identity(pidfd, &identity[0]));
    stage_say_result(stage, "identity", coil_kernel_pidfd_identity(other, &identity[1]));
    stage_say(stage, "%s", identity[0] == identity[1] ? "the same" : "different");
    stage_close(stage, other);
    stage_say_result(stage, "status, running", coil_kernel_pidfd_exit(pidfd, &ended));
    stage_say_result(stage, "reap", coil_kernel_reap_usage(pidfd, status, usage));
    say_status(stage, status);
    end_and_see(stage, pidfd);
    stage_say_result(stage, "status, a zombie", coil_kernel_pidfd_exit(pidfd, &ended));
    stage_say_result(stage, "reap", coil_kernel_reap_usage(pidfd, status, usage));
    say_status(stage, status);
    stage_say_result(stage, "status, reaped", coil_kernel_pidfd_exit(pidfd, &ended));
    stage_say(stage, "signal %d", WTERMSIG(ended));
    stage_say_result(stage, "identity", coil_kernel_pidfd_identity(pidfd, &identity[1]));
    stage_say(stage, "%s", identity[0] == identity[1] ? "the same" : "different");
    stage_say_result(stage, "reap", coil_kernel_reap_usage(pidfd, status, usage));
    stage_close(stage, pidfd);
    stage_say_result(stage, "identity, closed", coil_kernel_pidfd_identity(pidfd, &identity[1]));
    stage_say_result(stage, "status, closed", coil_kernel_pidfd_exit(pidfd, &ended));
    other = coil_kernel_eventfd();
    stage_say_result(stage, "status of no pidfd", coil_kernel_pidfd_exit(other, &ended));
    stage_say_result(stage, "identity of none", coil_kernel_pidfd_identity(other, &identity[1]));
    stage_close(stage, other);
}

/* A group is told through the pidfd of its leader, also when that has ended. */
void play_child_leads_a_group(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    int pidfd = -1;
    int leader = -1;
    (void)start_leader(stage, false, &pidfd);
    stage_say_result(stage, "no leader", coil_kernel_pidfd_signal_group(pidfd, 0));
    (void)start_leader(stage, true, &leader);
    stage_say_result(stage, "leader", coil_kernel_pidfd_signal_group(leader, 0));
    stage_say_result(stage, "SIGSTOP", coil_kernel_pidfd_signal_group(leader, SIGSTOP));
    end_and_see(stage, leader);
    stage_say_result(stage, "zombie", coil_kernel_pidfd_signal_group(leader, 0));
    stage_say_result(stage, "reap", coil_kernel_reap_soon(leader, status));
    stage_say_result(stage, "empty", coil_kernel_pidfd_signal_group(leader, 0));
    stage_close(stage, leader);
    end_and_see(stage, pidfd);
    stage_say_result(stage, "reap", coil_kernel_reap_soon(pidfd, status));
    stage_close(stage, pidfd);
}

/* What /proc says. */
void play_child_is_listed(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    pid_t *pids = stage_memory(stage, 65536 * sizeof(*pids));
    coil_kernel_process process = {.pid = 0};
    const pid_t self = coil_kernel_getpid();
    int pidfd = -1;
    const pid_t pid = start_leader(stage, true, &pidfd);

    int count = coil_kernel_processes(pids, 65536);
    stage_say(stage, "all: %d %d", has(pids, count, self), has(pids, count, pid));
    stage_say(stage, "one: %d", coil_kernel_processes(pids, 1));
    count = coil_kernel_process_children(self, pids, 65536);
    stage_say(stage, "children: %d %d", has(pids, count, self), has(pids, count, pid));
    stage_say_result(stage, "of it", coil_kernel_process_children(pid, pids, 65536));
    stage_say_result(stage, "look", coil_kernel_process_look(pid, &process));
    stage_say(stage, "parent %d group %d", process.parent == self, process.group == pid);
    const uint64_t start_time = process.start_time;
    end_and_see(stage, pidfd);
    stage_say_result(stage, "look at a zombie", coil_kernel_process_look(pid, &process));
    stage_say(stage, "%c, ended: %d, the same: %d", process.state, process.has_ended,
            process.start_time == start_time);
    stage_say_result(stage, "reap", coil_kernel_reap_soon(pidfd, status));
    stage_say_result(stage, "look at nobody", coil_kernel_process_look(pid, &process));
    stage_say_result(stage, "children of nobody", coil_kernel_process_children(pid, pids, 10));
    stage_close(stage, pidfd);
}
