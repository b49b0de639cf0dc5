/* SPDX-License-Identifier: MIT */
#include <coil/child.h>

#include "owned.h"

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* --------------------------------------------------------------------------------- waiting -- */

/* Take the status of a child that has ended. */
static int reap(coil_child *child)
{
    siginfo_t status;
    coil_exit exit = {.ended = true, .has_usage = true};

    memset(&status, 0, sizeof(status));
    int rc = coil_kernel_reap_usage(child->pidfd, &status, &exit.usage);
    if (rc < 0)
        return rc;
    if (status.si_pid == 0)
        return -EAGAIN;
    owned_remove(child->pid);
    exit.signaled = status.si_code != CLD_EXITED;
    exit.dumped_core = status.si_code == CLD_DUMPED;
    exit.code = status.si_status;
    child->exit = exit;
    return 0;
}

/* What the kernel remembers of a process that somebody else has reaped. */
static int ask(coil_child *child)
{
    int status = 0;
    int rc = coil_kernel_pidfd_exit(child->pidfd, &status);
    if (rc == -EAGAIN)
        return rc;
    child->exit = (coil_exit){.ended = true, .lost = true};
    if (rc < 0)
        return -ECHILD;
    child->exit.lost = false;
    child->exit.signaled = WIFSIGNALED(status);
    child->exit.dumped_core = WIFSIGNALED(status) && WCOREDUMP(status);
    child->exit.code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    return 0;
}

/* How long it may take others to reap their child. */
#define REAP_LIMIT coil_s(5)

/*
 * A process that is not our child, or is no more. Its pidfd is readable when it has ended, and hung
 * up when it has been reaped. An orphan may become ours meanwhile, if we are a subreaper.
 */
coil_async(int, wait_for_stranger, (coil_child *) child)
{
    coil_vars(int rc);

    coil_await(my->rc, coil_poll(child->pidfd, POLLIN));
    if (child->exit.ended || my->rc < 0)
        return my->rc < 0 ? my->rc : 0;
    my->rc = reap(child);
    if (my->rc == -ECHILD)
        my->rc = ask(child);
    if (my->rc != -EAGAIN)
        return my->rc;

    coil_await(my->rc, coil_within(REAP_LIMIT, coil_poll(child->pidfd, 0)));
    if (child->exit.ended || (my->rc < 0 && my->rc != -ETIME))
        return child->exit.ended ? 0 : my->rc;
    my->rc = reap(child);
    if (my->rc == -ECHILD)
        my->rc = ask(child);
    if (my->rc != -EAGAIN)
        return my->rc;
    child->exit = (coil_exit){.ended = true, .lost = true};
    return -ECHILD;
}

/*
 * The child stays a zombie until reap(), so that a wait that is cancelled in the moment of its end
 * does not take the status with it: the wait is for the end alone.
 */
coil_define(int, coil_child_wait, (coil_child *) child)
{
    coil_vars(int rc);

    if (child->exit.ended)
        return child->exit.lost ? -ECHILD : 0;
    coil_await(my->rc, coil_waitid((idtype_t)P_PIDFD, (id_t)child->pidfd, NULL, WEXITED | WNOWAIT));
    if (my->rc == -EINVAL) /* Linux before 6.7. */
        coil_await(my->rc, coil_poll(child->pidfd, POLLIN));
    if (my->rc >= 0 && !child->exit.ended)
        my->rc = reap(child);
    if (my->rc == -ECHILD && !child->exit.ended)
        coil_await(my->rc, wait_for_stranger(child));
    if (child->exit.ended) /* Somebody else who waited may have reaped it. */
        return child->exit.lost ? -ECHILD : 0;
    return my->rc;
}

/* -------------------------------------------------------------------------------- identity -- */

int coil_child_identity(const coil_child *child, uint64_t *out_identity)
{
    return coil_kernel_pidfd_identity(child->pidfd, out_identity);
}

/* What it leads, as far as can be seen. */
static coil_spawn_group group_of(pid_t pid)
{
    coil_kernel_process process;
    if (coil_kernel_process_look(pid, &process) < 0 || process.group != pid)
        return COIL_SPAWN_GROUP_INHERIT;
    return process.session == pid ? COIL_SPAWN_SESSION_NEW : COIL_SPAWN_GROUP_NEW;
}

int coil_child_adopt(pid_t pid, uint64_t identity, coil_child *out_child)
{
    int pidfd = coil_kernel_pidfd_open(pid);
    if (pidfd < 0)
        return pidfd == -ENOENT ? -ESRCH : pidfd; /* A thread has this number: no process. */

    uint64_t found = 0;
    int rc = identity == 0 ? 0 : coil_kernel_pidfd_identity(pidfd, &found);
    if (rc == 0 && found != identity)
        rc = -ESRCH;
    if (rc < 0) {
        (void)coil_kernel_close(pidfd);
        return rc;
    }
    *out_child = (coil_child){.pid = pid,
            .pidfd = pidfd,
            .stdin_fd = -1,
            .stdout_fd = -1,
            .stderr_fd = -1,
            .group = group_of(pid)};
    return 0;
}

/* --------------------------------------------------------------------------------- signals -- */

int coil_child_signal(coil_child *child, int signo)
{
    if (child->exit.ended)
        return 0;
    int rc = coil_kernel_pidfd_signal(child->pidfd, signo);
    return rc == -ESRCH ? 0 : rc;
}

/* ------------------------------------------------------------------------------------ text -- */

const char *coil_exit_format(const coil_exit *exit, char text[COIL_EXIT_TEXT_BYTES])
{
    const char *name = sigabbrev_np(exit->code);
    const char *core = exit->dumped_core ? " (core dumped)" : "";
    if (!exit->ended) {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "is running");
    } else if (exit->lost) {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "has ended, nobody knows how");
    } else if (!exit->signaled) {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "exited with status %d", exit->code);
    } else if (name != NULL) {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "was killed by SIG%s%s", name, core);
    } else {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "was killed by signal %d%s", exit->code, core);
    }
    return text;
}
