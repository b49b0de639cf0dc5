/* SPDX-License-Identifier: MIT */
/* Children that are stopped, and who is told of them, and when. */
#include "programs.h"

#include "child_syscall.h"

#include <poll.h>
#include <signal.h>

#include <sys/syscall.h>
#include <sys/wait.h>

typedef struct sleeper {
    coil_kernel_child child;
    char *const *arguments;
} sleeper;

COIL_UNINSTRUMENTED static void run_sleep(coil_kernel_child *child)
{
    static char *const no_environment[] = {NULL};
    const sleeper *self = coil_container_of(child, sleeper, child);
    (void)CHILD_SYSCALL(SYS_execve, "/bin/sleep", self->arguments, no_environment);
    for (;;)
        (void)CHILD_SYSCALL(SYS_exit_group, 127);
}

static int start_sleeper(struct stage *stage)
{
    static char name[] = "sleep";
    static char seconds[] = "1000";
    static char *const arguments[] = {name, seconds, NULL};
    sleeper plan = {.child = {.run = run_sleep}, .arguments = arguments};
    int pidfd = -1;
    pid_t pid = coil_kernel_clone(&plan.child, &pidfd);
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
    const char *how = status->si_code == CLD_EXITED      ? "exited"
                      : status->si_code == CLD_KILLED    ? "killed"
                      : status->si_code == CLD_STOPPED   ? "stopped"
                      : status->si_code == CLD_CONTINUED ? "continued"
                                                         : "other";
    if (status->si_pid == 0) {
        stage_say(stage, "no status");
    } else {
        stage_say(stage, "%s %d", how, status->si_status);
    }
}

static void wait_one(
        struct stage *stage, const char *name, int pidfd, siginfo_t *status, int options)
{
    memset(status, 0, sizeof(*status));
    ask_waitid(stage, name, pidfd, status, options);
    stage_expect(stage, 1);
    say_status(stage, status);
}

static void send_signal(struct stage *stage, const char *name, int pidfd, int signo)
{
    stage_say_result(stage, name, coil_kernel_pidfd_signal(pidfd, signo));
}

/* Told once; with WNOWAIT as often as one asks. Who waits for its end is not told. */
void play_child_is_stopped(struct stage *stage)
{
    siginfo_t *end = stage_memory(stage, sizeof(*end));
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    int pidfd = start_sleeper(stage);
    ask_waitid(stage, "end", pidfd, end, WEXITED | WNOWAIT);
    ask_waitid(stage, "stop", pidfd, status, WSTOPPED);
    io_uring_prep_poll_add(stage_ask(stage, "poll"), pidfd, POLLIN);
    stage_expect_nothing(stage);
    send_signal(stage, "SIGSTOP", pidfd, SIGSTOP);
    stage_expect(stage, 1);
    say_status(stage, status);
    wait_one(stage, "stop again", pidfd, status, WSTOPPED | WNOHANG);
    send_signal(stage, "SIGCONT", pidfd, SIGCONT);
    wait_one(stage, "continued, WNOWAIT", pidfd, status, WCONTINUED | WNOWAIT);
    wait_one(stage, "continued", pidfd, status, WCONTINUED);
    wait_one(stage, "continued again", pidfd, status, WCONTINUED | WNOHANG);
    send_signal(stage, "SIGSTOP", pidfd, SIGSTOP);
    wait_one(stage, "stop, WNOWAIT", pidfd, status, WSTOPPED | WNOWAIT);
    wait_one(stage, "stop", pidfd, status, WSTOPPED | WEXITED);
    send_signal(stage, "SIGKILL", pidfd, SIGKILL);
    stage_expect(stage, 2);
    say_status(stage, end);
    wait_one(stage, "all", pidfd, status, WSTOPPED | WEXITED | WCONTINUED);
    stage_close(stage, pidfd);
}

/* A signal waits until the child goes on; SIGKILL does not. */
void play_child_is_signalled_while_stopped(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    int pidfd = start_sleeper(stage);
    send_signal(stage, "SIGSTOP", pidfd, SIGSTOP);
    wait_one(stage, "stop", pidfd, status, WSTOPPED);
    send_signal(stage, "SIGTERM", pidfd, SIGTERM);
    ask_waitid(stage, "end", pidfd, status, WEXITED);
    stage_expect_nothing(stage);
    send_signal(stage, "SIGCONT", pidfd, SIGCONT);
    stage_expect(stage, 1);
    say_status(stage, status);
    send_signal(stage, "SIGCONT to the gone", pidfd, SIGCONT);
    stage_close(stage, pidfd);
    pidfd = start_sleeper(stage);
    send_signal(stage, "SIGSTOP", pidfd, SIGSTOP);
    send_signal(stage, "SIGKILL", pidfd, SIGKILL);
    wait_one(stage, "end", pidfd, status, WEXITED);
    stage_close(stage, pidfd);
}

/* A SIGCONT undoes a SIGSTOP that nobody has seen yet, and a stop a SIGCONT. */
void play_child_stops_and_goes_on(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, sizeof(*status));
    int pidfd = start_sleeper(stage);
    send_signal(stage, "SIGSTOP", pidfd, SIGSTOP);
    wait_one(stage, "stop, WNOWAIT", pidfd, status, WSTOPPED | WNOWAIT);
    send_signal(stage, "SIGCONT", pidfd, SIGCONT);
    wait_one(stage, "continued, WNOWAIT", pidfd, status, WCONTINUED | WNOWAIT);
    wait_one(stage, "stop that is over", pidfd, status, WSTOPPED | WNOHANG);
    send_signal(stage, "SIGSTOP", pidfd, SIGSTOP);
    wait_one(stage, "stop, WNOWAIT", pidfd, status, WSTOPPED | WNOWAIT);
    wait_one(stage, "continued that is over", pidfd, status, WCONTINUED | WNOHANG);
    send_signal(stage, "SIGKILL", pidfd, SIGKILL);
    wait_one(stage, "end", pidfd, status, WEXITED);
    stage_close(stage, pidfd);
}

/* Two descriptors of one child, polls and waits of both: each is told, and one status is taken. */
void play_child_of_two_pidfds(struct stage *stage)
{
    siginfo_t *status = stage_memory(stage, 2 * sizeof(*status));
    int one = start_sleeper(stage);
    int other = coil_kernel_dup_above(one, 0);
    io_uring_prep_poll_add(stage_ask(stage, "poll of one"), one, POLLIN);
    io_uring_prep_poll_multishot(stage_ask(stage, "polls of the other"), other, POLLIN);
    io_uring_prep_poll_add(stage_ask(stage, "hang-up"), other, POLLHUP);
    ask_waitid(stage, "wait of one", one, &status[0], WEXITED);
    ask_waitid(stage, "wait of the other", other, &status[1], WEXITED);
    stage_expect_nothing(stage);
    send_signal(stage, "SIGTERM", one, SIGTERM);
    stage_await(stage, "wait of one");
    stage_await(stage, "wait of the other");
    const int32_t results[] = {
            stage_result(stage, "wait of one"), stage_result(stage, "wait of the other")};
    stage_say_result(stage, "one", results[0] == 0 ? results[0] : results[1]);
    stage_say_result(stage, "the other", results[0] == 0 ? results[1] : results[0]);
    say_status(stage, results[0] == 0 ? &status[0] : &status[1]);
    stage_say_mask(stage, "poll", stage_await(stage, "poll of one") & POLLIN);
    io_uring_prep_poll_add(stage_ask(stage, "poll of the reaped"), one, POLLIN | POLLHUP);
    stage_await(stage, "poll of the reaped");
    stage_say_mask(stage, "reaped", stage_result(stage, "poll of the reaped"));
    stage_close(stage, one);
    stage_close(stage, other);
}
