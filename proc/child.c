/* SPDX-License-Identifier: MIT */
#include <coil/child.h>

#include <coil/io.h>
#include <coil/kernel.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* Take the status of a child that has ended. */
static int reap(coil_child *child)
{
    siginfo_t status;
    memset(&status, 0, sizeof(status));
    int rc = coil_kernel_reap(child->pidfd, &status);
    if (rc < 0)
        return rc;
    if (status.si_pid == 0)
        return -EAGAIN;
    child->exit.ended = true;
    child->exit.signaled = status.si_code != CLD_EXITED;
    child->exit.code = status.si_status;
    return 0;
}

/*
 * The child stays a zombie until reap(), so that a wait that is cancelled in the moment of its end
 * does not take the status with it. WNOWAIT leaves `status` without a use.
 */
coil_define(int, coil_child_wait, (coil_child *) child)
{
    coil_vars(siginfo_t status; int rc);

    if (child->exit.ended)
        return 0;
    coil_await(my->rc,
            coil_waitid((idtype_t)P_PIDFD, (id_t)child->pidfd, &my->status, WEXITED | WNOWAIT));
    if (my->rc == -EINVAL) /* Linux before 6.7. */
        coil_await(my->rc, coil_poll(child->pidfd, POLLIN));
    if (child->exit.ended)
        return 0; /* Somebody else who waited has reaped it. */
    return my->rc < 0 ? my->rc : reap(child);
}

int coil_child_signal(coil_child *child, int signo)
{
    if (child->exit.ended)
        return 0;
    int rc = coil_kernel_pidfd_signal(child->pidfd, signo);
    return rc == -ESRCH ? 0 : rc;
}

coil_define(int, coil_child_stop, (coil_child *) child, (coil_duration) grace)
{
    coil_vars(int rc);

    if (child->exit.ended)
        return 0;
    coil_defer(if (!child->exit.ended) {
        (void)coil_child_signal(child, SIGKILL);
        coil_await(my->rc, coil_child_wait(child));
    });
    (void)coil_child_signal(child, SIGTERM);
    (void)coil_child_signal(child, SIGCONT);
    coil_await(my->rc, coil_within(grace, coil_child_wait(child)));
    if (my->rc == -ETIME) {
        (void)coil_child_signal(child, SIGKILL);
        coil_await(my->rc, coil_child_wait(child));
    }
    return my->rc;
}

const char *coil_exit_format(const coil_exit *exit, char text[COIL_EXIT_TEXT_BYTES])
{
    const char *name = sigabbrev_np(exit->code);
    if (!exit->ended) {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "is running");
    } else if (!exit->signaled) {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "exited with status %d", exit->code);
    } else if (name != NULL) {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "was killed by SIG%s", name);
    } else {
        (void)snprintf(text, COIL_EXIT_TEXT_BYTES, "was killed by signal %d", exit->code);
    }
    return text;
}
