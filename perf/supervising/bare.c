/* SPDX-License-Identifier: MIT */
/*
 * bare COUNT PROGRAM ARGUMENT: the least that a supervisor can be: clone, epoll of pidfds, clone.
 */
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char stack[65536] __attribute__((aligned(16)));

static int run(void *argv)
{
    char **arguments = argv;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)execv(arguments[0], arguments);
    _exit(127);
}

static void start(int epoll, char **argv)
{
    int pidfd = -1;
    if (clone(run, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, argv,
                &pidfd) < 0)
        exit(1);
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = pidfd}};
    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, &event);
}

int main(int argc, char **argv)
{
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event;
    siginfo_t status;

    if (argc < 3)
        return 2;
    for (long i = strtol(argv[1], NULL, 10); i > 0; i--)
        start(epoll, argv + 2);
    for (;;) {
        if (epoll_wait(epoll, &event, 1, -1) != 1)
            continue;
        (void)waitid((idtype_t)P_PIDFD, (id_t)event.data.fd, &status, WEXITED);
        (void)close(event.data.fd);
        start(epoll, argv + 2);
    }
}
